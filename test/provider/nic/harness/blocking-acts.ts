// What an end in a process of its own can do while its thread is blocked and its NIC has no turn: look at
// its memory, and write into the other side's by one-sided RDMA. It must not drive anything.

import { milliseconds, seconds } from '../../../../runtime/clock.js';
import { native } from '../../../../native/load.js';
import { STATE_ACCESSING, STATE_ADOPTED } from '../../../../provider/nic/layout.js';
import { DIRECT_BYTES_MAX } from '../../../../provider/nic/limits.js';
import type { QueuePair } from '../../../../provider/nic/device.js';
import type { LocalEnd, Region } from './end.js';
import { stateWordOf } from './sides.js';

/** A watchdog, not an expectation. */
const GIVE_UP = seconds(20);
/** Words of the block that is looked at. */
export const LOOK_BEGUN = 0;
export const LOOK_FOR = 1;
/** Words of the owner's notice, which the writer reads: the first two in one piece. */
export const NOTICE_KEY = 0;
export const NOTICE_ADDRESS = 1;
export const NOTICE_STOP = 2;
const NOTICE_BYTES = 16;
/** The longest there is: it takes the longest from the look at the list to the last byte. */
export const HAMMER_BYTES = DIRECT_BYTES_MAX;
const WRITES_PER_NOTICE = 64;
/** Long enough for the other side to be waiting already; if it is not, nothing is shown and nothing fails. */
const PAUSE = milliseconds(150);

export interface BlockingActs {
  /** Looks at LOOK_FOR until it is `value`; LOOK_BEGUN is 1 from the beginning on. */
  lookFor(block: number, value: number): Promise<boolean>;
  /**
   * Writes the first bytes of `own`, after its first NOTICE_BYTES, to where the notice says, until the
   * notice says stop or nothing is left to read it from. Returns the writes that were done.
   */
  hammer(slot: number, own: Region, notice: Region): Promise<number>;
  /** Stops in the middle of an access to the other side's region with this key. */
  beginAccess(slot: number, remoteKey: number): Promise<void>;
  /** Goes on after a while: the first word of `block` is 1 before the access ends. */
  endAccess(slot: number, block: number): Promise<void>;
}

export function blockingActs(end: LocalEnd): BlockingActs {
  return {
    lookFor: (block, value) => {
      const words = end.wordsOf(block);
      words[LOOK_BEGUN] = 1;
      const giveUpAt = native.now() + GIVE_UP;
      while (words[LOOK_FOR] !== value) if (native.now() > giveUpAt) return Promise.resolve(false);
      return Promise.resolve(true);
    },
    hammer: (slot, own, notice) =>
      Promise.resolve(hammer(end.queuePairOf(slot), end.wordsAt(own.address), own, notice)),
    beginAccess: (slot, remoteKey) => {
      const state = stateWordOf(end, slot);
      end.words[state + STATE_ADOPTED] = remoteKey | 0;
      end.words[state + STATE_ACCESSING] = remoteKey | 0;
      return Promise.resolve();
    },
    endAccess: (slot, block) => {
      const resumeAt = native.now() + PAUSE;
      while (native.now() < resumeAt);
      end.wordsOf(block)[0] = 1;
      end.words[stateWordOf(end, slot) + STATE_ACCESSING] = 0;
      return Promise.resolve();
    },
  };
}

function hammer(queuePair: QueuePair, words: Int32Array, own: Region, notice: Region): number {
  const { address, localKey } = own;
  const key = localKey | 0;
  const giveUpAt = native.now() + GIVE_UP;
  let written = 0;
  while (words[NOTICE_STOP] !== 1 && native.now() < giveUpAt) {
    if (!queuePair.injectRead(address, NOTICE_BYTES, key, notice.address, notice.remoteKey | 0))
      break;
    const remoteKey = words[NOTICE_KEY] ?? 0;
    const target = words[NOTICE_ADDRESS] ?? 0;
    for (let left = remoteKey === 0 ? 0 : WRITES_PER_NOTICE; left > 0; left--) {
      if (!queuePair.injectWrite(address + NOTICE_BYTES, HAMMER_BYTES, key, target, remoteKey))
        break;
      written++;
    }
  }
  return written;
}
