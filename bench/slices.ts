// A sample cut into slices of some milliseconds, each kept or left out by itself: a side that lost its core
// for a moment spoils that moment and not the whole sample. It must not know what is measured.

import { Breather } from './breath.js';
import { now } from './machine.js';
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
export const SLICE_NANOS = 2e6;
/** The share of a sample's time that has to be left for its figure to stand for the sample. */
const KEPT_SHARE_MIN = 0.2;

/**
 * What V8's compiler threads need for what a warm-up has shown to be hot. While both sides spin they have no
 * core, and code gets fast after thousands of messages instead of hundreds.
 */
const COMPILING_MS = 30;

/** A rest in the middle of a warm-up, for this side's compilers and, on this core, for the other's. */
async function letCompile(): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, COMPILING_MS);
  });
}

/** Operations of a warm-up between two looks at the clock. */
const WARM_UP_CHUNK = 64;

/**
 * A warm-up of so many operations, with such a rest before its last quarter. `run` carries out some of
 * them; `settle` waits for what it has started. Throws the reason of the signal of `slices`.
 */
export async function warmUp(
  count: number,
  slices: Slices,
  run: (count: number) => void | Promise<void>,
  settle: () => void | Promise<void> = () => undefined,
): Promise<void> {
  const restAt = count - (count >> 2);
  for (let done = 0; done < count; ) {
    const chunk = Math.min(WARM_UP_CHUNK, (done < restAt ? restAt : count) - done);
    const running = run(chunk);
    if (running !== undefined) await running;
    done += chunk;
    const at = now();
    if (done !== restAt && !slices.isBreathDue(at)) continue;
    await settle();
    if (done === restAt) await letCompile();
    await slices.breathe(at);
  }
  await settle();
}

/** Time in slices. The first one begins with the first `begin`. */
export class Slices {
  readonly #waits: Waits;
  readonly #breather: Breather;
  #begin = 0;
  #waited = 0;
  #kept = 0;
  #lost = 0;
  #keptNanos = 0;
  #lostNanos = 0;

  /** `signal`: whether anybody still wants the outcome. */
  constructor(waits: Waits, signal: AbortSignal | null = null) {
    this.#waits = waits;
    this.#breather = new Breather(signal);
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
    return this.#breather.isDue(at);
  }

  /** A turn for the event loop. Throws the reason of the signal when it is aborted. */
  breathe(at: number): Promise<void> {
    return this.#breather.breathe(at);
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
