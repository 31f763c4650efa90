// Two processes over one block of shared words: what the ring hammer and the litmus tests build on.

import { Arena } from '../../native/arena.js';
import { FabricDirectory } from '../../native/fabric-directory.js';
import { registerForBarriers, sleeperBarrier, waitOnWord, wakeWord } from '../../native/futex.js';
import type { SharedView } from '../../native/shared-view.js';

/** Words between two words with different writers: one cache line. */
export const LINE = 16;

/** How often a wait may be cut short without news before it counts as a lost wake-up: 30 s. */
const SLICES_MAX = 60;

/** Polls before a wait sleeps: few, so that both ways are exercised. */
const SPINS = 300;

/** One side's words: indices count from the start of the block. */
export class SharedBlock {
  readonly #arena: Arena;
  readonly #view: SharedView;
  readonly #base: number;
  readonly #hasBarrier = registerForBarriers();

  constructor(arena: Arena, baseWord: number) {
    this.#arena = arena;
    this.#view = arena.view;
    this.#base = baseWord;
  }

  load(index: number): number {
    return this.#view.loadAcquire(this.#base + index);
  }

  store(index: number, value: number): void {
    this.#view.storeRelease(this.#base + index, value);
  }

  /** The producer's publication: plain where the sleeper's barrier covers it, a fence elsewhere. */
  publish(index: number, value: number): void {
    if (this.#hasBarrier) this.#view.storeRelease(this.#base + index, value);
    else this.#view.exchange(this.#base + index, value);
  }

  /**
   * The sleeper's announcement, visible to every producer before anything that is looked at next.
   */
  arm(index: number, value: number): void {
    if (this.#hasBarrier) {
      this.#view.storeRelease(this.#base + index, value);
      sleeperBarrier();
    } else {
      this.#view.exchange(this.#base + index, value);
    }
  }

  /**
   * Waits for `ready()`: spins, then sleeps on the parked word by the protocol. Throws on a lost
   * wake-up.
   */
  sleepUntil(ready: () => boolean, parked: number): void {
    for (let spin = 0; spin < SPINS; spin++) if (ready()) return;
    for (let slices = 0; !ready(); ) {
      this.arm(parked, 1);
      if (!ready() && waitOnWord(this.#arena, this.#base + parked, 1, Infinity) === 'interrupted')
        slices++;
      if (slices > SLICES_MAX) throw new Error('a wake-up was lost');
      this.store(parked, 0);
    }
  }

  /** The producer's second half: wakes the other side if it announced that it sleeps. */
  wake(parked: number): void {
    if (this.load(parked) === 0) return;
    this.store(parked, 0);
    wakeWord(this.#arena, this.#base + parked);
  }

  /** Waits without the protocol under test: for pacing. */
  await(index: number, value: number): void {
    for (let spin = 0; this.load(index) < value; spin++) {
      if (spin > 5_000) waitOnWord(this.#arena, this.#base + index, this.load(index), 20_000);
    }
  }
}

/** The child's mapping of the same block, from the same arguments. */
export function openedBlock(
  base: string,
  address: string,
  offset: string,
): { block: SharedBlock; close: () => void } {
  const arena = new Arena();
  const peer = new FabricDirectory('two', { base }).open(address, arena);
  if (peer === null) throw new Error('the host is not alive');
  return {
    block: new SharedBlock(arena, peer.segment.word(Number(offset))),
    close: () => {
      peer.close();
    },
  };
}
