// How long to look before sleeping, learned from how the last waits ended: where cores are few and busy
// the kernel wakes a sleeper sooner than it lets a spinner see. It must not know what is waited for.

import { microseconds } from './clock.js';
import type { Nanos } from './clock.js';

/** The longest look before a sleep: a round trip over a quiet machine's loopback. */
const SPIN_MAX: Nanos = microseconds(20);
/** Below this a look is not worth its start. */
const SPIN_MIN: Nanos = microseconds(1);
/** Waits without a look between two that try whether it would help again. */
const WAITS_PER_TRIAL = 256;

/** Belongs to one thread; one learner for all waits of a kind. */
export class AdaptiveSpin {
  #nanos: Nanos = SPIN_MAX;
  #idleWaits = 0;

  /** How long the next wait is to look before it sleeps; 0: not at all. */
  next(): Nanos {
    if (this.#nanos > 0) return this.#nanos;
    this.#idleWaits = (this.#idleWaits + 1) % WAITS_PER_TRIAL;
    return this.#idleWaits === 0 ? SPIN_MIN : 0;
  }

  /** A wait that was to look for `spin` has taken `elapsed`. */
  learn(spin: Nanos, elapsed: Nanos): void {
    if (spin === 0) return;
    const isUseful = elapsed <= spin;
    if (isUseful) this.#nanos = Math.min(SPIN_MAX, spin * 2);
    else this.#nanos = spin / 2 < SPIN_MIN ? 0 : spin / 2;
  }
}
