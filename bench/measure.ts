// How samples are taken and judged: measures interleaved A B A B, so that a change of the machine's
// mood hits all of them, and a mark on every sample in which somebody else had our cores or the machine
// itself was slow. It must not know what is measured.

import type { CaseReading } from './cases/case.js';
import { now } from './machine.js';
import type { Disturbance } from './noise.js';
import { isDisturbed, NoiseWatch } from './noise.js';

/** What one run of a measure found. */
export interface Reading {
  readonly value: number;
  /** What disturbed either side; the sides watch themselves while the messages run. */
  readonly noise?: readonly Disturbance[];
  /** Further numbers worth a column of their own. */
  readonly details?: Readonly<Record<string, number>>;
  /** What a measurement of a connection found beyond the one figure. */
  readonly measured?: CaseReading;
}

export interface Sample {
  readonly value: number;
  /** Why it counts as disturbed; empty if it does not. */
  readonly disturbances: readonly ('preempted' | 'stolen' | 'slow')[];
  readonly waitedNanos: number;
  readonly stolenNanos: number;
  readonly involuntarySwitches: number;
  /** How long a fixed piece of work took just before, over the shortest of the run. */
  readonly slowness: number;
  readonly details: Readonly<Record<string, number>>;
  readonly measured: CaseReading | null;
}

export interface Measure {
  readonly name: string;
  run(): Promise<Reading>;
}

/** The machine did its fixed piece of work this much slower than at its best. */
const SLOWNESS_MAX = 1.5;

/** The middle value, the upper one of two; NaN of nothing. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** The relative spread of values about their median, as a standard deviation; null of less than two. */
export function spread(values: readonly number[]): number | null {
  if (values.length < 2) return null;
  const middle = median(values);
  if (middle === 0) return null;
  // The median absolute deviation of normal noise is 0.6745 standard deviations.
  return median(values.map((value) => Math.abs(value - middle))) / 0.6745 / Math.abs(middle);
}

/** The samples that nobody disturbed, or all of them when each was. */
export function calmest<T extends Pick<Sample, 'disturbances'>>(
  samples: readonly T[],
): readonly T[] {
  const calm = samples.filter(({ disturbances }) => disturbances.length === 0);
  return calm.length > 0 ? calm : samples;
}

/**
 * Runs every measure `pairs` times in turn, after `warmUps` rounds that do not count: two spinning
 * processes on two cores leave V8's compiler threads little time, so code gets fast slowly. Throws
 * what `check` or a measure throws.
 */
export async function interleave(
  measures: readonly Measure[],
  pairs: number,
  check: (measure: Measure, pair: number) => void = () => undefined,
  warmUps = 0,
): Promise<Map<string, Sample[]>> {
  for (let round = 0; round < warmUps; round++) {
    for (const measure of measures) {
      check(measure, round - warmUps);
      await measure.run();
    }
  }
  const taken: { name: string; reading: Reading; speed: number; outer: Disturbance }[] = [];
  for (let pair = 0; pair < pairs; pair++) {
    for (const measure of measures) {
      check(measure, pair);
      const speed = fixedWorkNanos();
      const watch = new NoiseWatch();
      const reading = await measure.run();
      taken.push({ name: measure.name, reading, speed, outer: watch.end() });
    }
  }
  const fastest = Math.min(...taken.map(({ speed }) => speed));
  const samples = new Map<string, Sample[]>(measures.map(({ name }) => [name, []]));
  for (const { name, reading, speed, outer } of taken) {
    samples.get(name)?.push(makeSample(reading, speed / fastest, outer));
  }
  return samples;
}

function makeSample(reading: Reading, slowness: number, outer: Disturbance): Sample {
  const { value, details = {}, measured = null } = reading;
  // A measure that does not watch its sides is watched from outside, waits of the event loop included.
  const sides = reading.noise ?? [{ ...outer, waitedNanos: 0 }];
  const sum = (pick: (side: Disturbance) => number): number =>
    sides.reduce((total, side) => total + pick(side), 0);
  const disturbances: Sample['disturbances'][number][] = [];
  if (sides.some((side) => isDisturbed({ ...side, stolenNanos: 0 })))
    disturbances.push('preempted');
  if (sides.some((side) => isDisturbed({ ...side, waitedNanos: 0, involuntarySwitches: 0 }))) {
    disturbances.push('stolen');
  }
  if (slowness > SLOWNESS_MAX) disturbances.push('slow');
  return {
    value,
    disturbances,
    waitedNanos: sum((side) => side.waitedNanos),
    stolenNanos: Math.max(...sides.map((side) => side.stolenNanos)),
    involuntarySwitches: sum((side) => side.involuntarySwitches),
    slowness,
    details,
    measured,
  };
}

const FIXED_STEPS = 100_000;

/** A fixed piece of arithmetic, the best of three, in nanoseconds: says how fast the core is just now. */
function fixedWorkNanos(): number {
  let best = Infinity;
  for (let repeat = 0; repeat < 3; repeat++) {
    const begin = now();
    let value = 1;
    for (let step = 0; step < FIXED_STEPS; step++) value = (Math.imul(value, 48271) + step) | 0;
    // Never true; without it the loop has no effect.
    if (value === 0.5) throw new Error('arithmetic');
    best = Math.min(best, now() - begin);
  }
  return best;
}

/** A bound on a loop that spins: it ends by itself when the other side does not answer. */
export class Deadline {
  readonly #at: number;
  readonly #what: string;

  constructor(nanos: number, what: string) {
    this.#at = now() + nanos;
    this.#what = what;
  }

  /** Throws DeadlineError when the time is over. */
  check(): void {
    if (now() > this.#at) throw new DeadlineError(this.#what);
  }
}

export class DeadlineError extends Error {
  override readonly name = 'DeadlineError';

  constructor(what: string) {
    super(`gave up: ${what} took too long`);
  }
}

/** Lets the event loop have a turn, then throws the reason of `signal` if it is aborted. */
export async function breathe(signal: AbortSignal): Promise<void> {
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  signal.throwIfAborted();
}
