// Time, as an argument. Nothing below the composition root reads a clock of its own; it is handed one.

/** Nanoseconds on a monotonic scale. A double holds 104 days of them exactly. */
export type Nanos = number;

export const microseconds = (count: number): Nanos => count * 1_000;
export const milliseconds = (count: number): Nanos => count * 1_000_000;
export const seconds = (count: number): Nanos => count * 1_000_000_000;

export interface Clock {
  /** The present, in nanoseconds since an arbitrary origin; never decreases. */
  now(): Nanos;
}

/** The real clock, built from whatever cheap source the composition root has (native or hrtime). */
export class MonotonicClock implements Clock {
  readonly #source: () => Nanos;

  constructor(source: () => Nanos = () => Number(process.hrtime.bigint())) {
    this.#source = source;
  }

  now(): Nanos {
    return this.#source();
  }
}

/** A clock that moves only when told to: the time of simulations and of every test with a timer. */
export class VirtualClock implements Clock {
  #now: Nanos;

  constructor(start: Nanos = 0) {
    this.#now = start;
  }

  now(): Nanos {
    return this.#now;
  }

  advance(duration: Nanos): void {
    if (!(duration >= 0)) throw new RangeError(`cannot advance a clock by ${duration} ns`);
    this.#now += duration;
  }

  /** Moves to `time`, or stays where it is when that is already past. */
  advanceTo(time: Nanos): void {
    this.#now = Math.max(this.#now, time);
  }
}

/**
 * Has the event loop call `callback` once `duration` has passed, early by less than a millisecond
 * never. Returns a function that calls it off. For the composition root's waits; nothing that has a
 * progress loop needs it.
 */
export function callAfter(duration: Nanos, callback: () => void): () => void {
  const timer = setTimeout(callback, Math.max(0, Math.ceil(duration / 1e6)));
  return () => {
    clearTimeout(timer);
  };
}
