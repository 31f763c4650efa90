// A sample cut into slices of some milliseconds, each kept or left out by itself: a side that lost its core
// for a moment spoils that moment and not the whole sample. It must not know what is measured.

import { breathe } from './breath.js';
import { LOST_SHARE_MAX } from './noise.js';
import type { Waits } from './noise.js';

/** How a sample was cut. */
export interface SliceCount {
  readonly kept: number;
  readonly lost: number;
  readonly keptNanos: number;
  readonly lostNanos: number;
}

/** Shorter ones cost more to watch; longer ones are seldom left in peace on a machine with neighbours. */
const SLICE_NANOS = 2e6;
/** The share of a sample's time that has to be left for its figure to stand for the sample. */
const KEPT_SHARE_MIN = 0.2;

/** A measurement that lasts lets the event loop have a turn so often: signals arrive there. */
const BREATH_NANOS = 50e6;

/**
 * What V8's compiler threads need for what a warm-up has shown to be hot. While both sides spin they have no
 * core, and code gets fast after thousands of messages instead of hundreds.
 */
const COMPILING_MS = 30;

/** A rest in the middle of a warm-up, for this side's compilers and, on this core, for the other's. */
export async function letCompile(): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, COMPILING_MS);
  });
}

/** How a warm-up is divided by such a rest. */
export function warmUpParts({ warmUp }: { readonly warmUp: number }): [number, number] {
  const last = warmUp >> 2;
  return [warmUp - last, last];
}

/** Time in slices. The first one begins with the first `begin`. */
export class Slices {
  readonly #waits: Waits;
  readonly #signal: AbortSignal | null;
  #begin = 0;
  #breathed = 0;
  #waited = 0;
  #kept = 0;
  #lost = 0;
  #keptNanos = 0;
  #lostNanos = 0;

  /** `signal`: whether anybody still wants the outcome. */
  constructor(waits: Waits, signal: AbortSignal | null = null) {
    this.#waits = waits;
    this.#signal = signal;
  }

  begin(at: number): void {
    this.#begin = at;
    this.#waited = this.#waits.total();
  }

  isOver(at: number): boolean {
    return at - this.#begin >= SLICE_NANOS;
  }

  /** Ends the slice and begins the next one; true: nobody was kept from running. */
  end(at: number): boolean {
    const waited = this.#waits.total();
    const elapsed = at - this.#begin;
    const isCalm = waited - this.#waited <= elapsed * LOST_SHARE_MAX;
    if (isCalm) {
      this.#kept++;
      this.#keptNanos += elapsed;
    } else {
      this.#lost++;
      this.#lostNanos += elapsed;
    }
    this.#begin = at;
    this.#waited = waited;
    return isCalm;
  }

  isBreathDue(at: number): boolean {
    if (this.#breathed === 0) this.#breathed = at;
    return this.#signal !== null && at - this.#breathed >= BREATH_NANOS;
  }

  /** A turn for the event loop. Throws the reason of the signal when it is aborted. */
  async breathe(at: number): Promise<void> {
    this.#breathed = at;
    if (this.#signal !== null) await breathe(this.#signal);
  }

  get count(): SliceCount {
    const [kept, lost] = [this.#kept, this.#lost];
    return { kept, lost, keptNanos: this.#keptNanos, lostNanos: this.#lostNanos };
  }
}

/** Whether the slices that were kept stand for their sample. */
export function isEnough({ keptNanos, lostNanos }: SliceCount): boolean {
  return keptNanos > 0 && keptNanos >= (keptNanos + lostNanos) * KEPT_SHARE_MIN;
}
