// The owner's side of one-sided RDMA: what of its memory the peer of a queue pair may find by itself, and
// how it is taken back. The peer sees a copy in the queue pair's state (layout.ts); what counts here is
// the private list of keys, because anybody can write the copy. Does not know who reaches the memory, nor
// how: direct-access.ts. Sources: MEM-05, DEREGRDMA-02, docs/shared-memory.md, "One-sided access".

import { sleeperBarrier } from '../../native/futex.js';
import type { EngineCore } from './engine-core.js';
import type { EngineQueuePair } from './engine-queue-pair.js';
import {
  Exposed,
  EXPOSED_WORDS,
  STATE_ACCESSING,
  STATE_ADOPTED,
  STATE_EXPOSED,
  STATE_WANTS_FENCE,
} from './layout.js';
import { ACCESS_PAUSE, BARRIERS_MAX, EXPOSED_REGIONS, RELEASE_TIMEOUT } from './limits.js';
import { PROCESS_SPACE } from './mover.js';

/** An access takes less time than this many looks, unless its thread was interrupted in the middle. */
const LOOKS_BEFORE_PAUSE = 1000;
const NO_KEY = 0;

/**
 * Lets the peer find a region, if it lies in the segment and there is room in the list. What is not
 * listed is reached all the same, by a slot.
 */
export function expose(
  core: EngineCore,
  qp: EngineQueuePair,
  region: { remoteKey: number; address: number; length: number; access: number },
): void {
  const { remoteKey, address, length, access } = region;
  if (qp.isRevoked || address >= PROCESS_SPACE) return;
  const keys = qp.exposedKeys;
  const free = keys.indexOf(NO_KEY);
  const index = free < 0 ? keys.length : free;
  if (index === EXPOSED_REGIONS) return;
  keys[index] = remoteKey | 0;
  const entry = entryOf(qp, index);
  const { view } = core;
  view.storePlain(entry + Exposed.OFFSET, address | 0);
  view.storePlain(entry + Exposed.LENGTH, length | 0);
  view.storePlain(entry + Exposed.ACCESS, access);
  view.storeRelease(entry + Exposed.KEY, remoteKey | 0);
}

/** When this returns the peer reaches nothing by this key any more, and is not in the middle of it. */
export function withdraw(core: EngineCore, qp: EngineQueuePair, remoteKey: number): void {
  const key = remoteKey | 0;
  const index = qp.exposedKeys.indexOf(key);
  if (index < 0) return;
  qp.exposedKeys[index] = NO_KEY;
  // A full fence: it also comes before the look at `adopted`.
  core.view.exchange(entryOf(qp, index) + Exposed.KEY, NO_KEY);
  if (awaitAccesses(core, qp, [key])) return;
  failAwaiting(core, qp);
}

/** The peer has not let go of memory in time. */
export function failAwaiting(core: EngineCore, qp: EngineQueuePair): void {
  core.counters.protocolErrors++;
  core.fail(qp);
}

/** The same for every key, at the end of the connection. */
export function withdrawAll(core: EngineCore, qp: EngineQueuePair): void {
  const keys = qp.exposedKeys.splice(0);
  keys.forEach((key, index) => {
    if (key !== NO_KEY) core.view.exchange(entryOf(qp, index) + Exposed.KEY, NO_KEY);
  });
  if (keys.length > 0) awaitAccesses(core, qp, keys);
}

function entryOf(qp: EngineQueuePair, index: number): number {
  return qp.ownState + STATE_EXPOSED + index * EXPOSED_WORDS;
}

/**
 * Waits until the peer is not using any of `keys`, which are listed no more. The barrier is the fence that
 * the peer's engine leaves out for the key that it has adopted; where such memory is taken back often, the
 * peer is asked for a fence instead. False when the peer takes longer than anybody should.
 */
function awaitAccesses(core: EngineCore, qp: EngineQueuePair, keys: readonly number[]): boolean {
  if (qp.peer?.alive !== true) return true;
  if (core.hasBarrier && keys.includes(core.view.loadAcquire(qp.peerState + STATE_ADOPTED))) {
    if (++qp.barriers === BARRIERS_MAX) core.view.storeRelease(qp.ownState + STATE_WANTS_FENCE, 1);
    sleeperBarrier();
  }
  const word = qp.peerState + STATE_ACCESSING;
  return awaitPeer(core, qp, word, () => {
    const used = core.view.loadAcquire(word);
    return used !== NO_KEY && keys.includes(used);
  });
}

/** Waits until the peer, which writes `word` then, `isUsing` nothing. False when that takes too long. */
export function awaitPeer(
  core: EngineCore,
  qp: EngineQueuePair,
  word: number,
  isUsing: () => boolean,
): boolean {
  const { peer } = qp;
  if (peer?.alive !== true) return true;
  for (let looks = 0; looks < LOOKS_BEFORE_PAUSE; looks++) if (!isUsing()) return true;
  // Counted as well: a virtual clock stands still meanwhile.
  const giveUpAt = core.clock.now() + RELEASE_TIMEOUT;
  let left = RELEASE_TIMEOUT / ACCESS_PAUSE;
  for (; left > 0 && core.clock.now() < giveUpAt; left--) {
    // A process that dies in the middle writes no more.
    if (!isUsing() || !peer.isAlive()) return true;
    peer.pauseOn(word, ACCESS_PAUSE);
  }
  return false;
}
