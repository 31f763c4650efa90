// How samples are taken and judged: measures interleaved A B A B, so that a change of the machine's
// mood hits all of them, and a mark on every sample in which somebody else had our cores or the machine
// itself was slow. It must not know what is measured.

import type { CaseReading } from './cases/case.js';
import { now } from './machine.js';
import type { Disturbance } from './noise.js';
import { isDisturbed, NoiseWatch } from './noise.js';
import type { SliceCount } from './slices.js';
import { isEnough } from './slices.js';

/** What one run of a measure found. */
export interface Reading {
  readonly value: number;
  /** What disturbed either side; the sides watch themselves while the messages run. */
  readonly noise?: readonly Disturbance[];
  /** The slices that the value was made of, where it was: then it is theirs to say who had the core. */
  readonly slices?: SliceCount | null;
  /** Further numbers worth a column of their own. */
  readonly details?: Readonly<Record<string, number>>;
  /** What a measurement of a connection found beyond the one figure. */
  readonly measured?: CaseReading;
}

/**
 * preempted: a side waited for its core; stolen: the hypervisor took one; foreign: others had the cores
 * that a sleeping side wakes up on; slow: the core was slow; unsteady: a floor far from what it is in other
 * rounds; apart: one that two cores with a cache in common do not have.
 */
export const DISTURBANCES = [
  'preempted',
  'stolen',
  'foreign',
  'slow',
  'unsteady',
  'apart',
] as const;
export type DisturbanceKind = (typeof DISTURBANCES)[number];

export interface Sample {
  readonly value: number;
  /** Why it counts as disturbed; empty if it does not. */
  readonly disturbances: readonly DisturbanceKind[];
  readonly waitedNanos: number;
  readonly stolenNanos: number;
  readonly foreignNanos: number;
  readonly involuntarySwitches: number;
  /** How long a fixed piece of work took just before, over the shortest of the run. */
  readonly slowness: number;
  /** How many of its slices count, and how many were left out; 0 and 0 where it was not cut. */
  readonly slicesKept: number;
  readonly slicesLost: number;
  readonly details: Readonly<Record<string, number>>;
  readonly measured: CaseReading | null;
}

export interface Steadiness {
  readonly better: 'less' | 'more';
  /** More than the time of so many steps of the fixed piece of work is no figure of one machine. */
  readonly stepsMax?: number;
}

export interface Measure {
  readonly name: string;
  /** Of a figure that the machine alone decides: where it changes, the machine was another one. */
  readonly steady?: Steadiness;
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

export interface Rounds {
  /** How often everything is measured. */
  readonly pairs: number;
  /** Rounds before them that do not count. */
  readonly warmUps?: number;
  /** Rounds after them at most, while some measure has fewer undisturbed samples than `pairs`. */
  readonly extra?: number;
  /** Called before each sample; throws to end the run. */
  readonly check?: (measure: Measure, round: number) => void;
}

/** What was found and seen of one run of a measure, before it is judged. */
interface Taken {
  readonly reading: Reading;
  readonly outer: Disturbance;
  readonly fixedWorkNanos: number;
}

/**
 * Runs every measure in turn, round after round. The first rounds do not count: two spinning processes on
 * two cores leave V8's compiler threads little time, so code gets fast slowly. Throws what `check` or a
 * measure throws.
 */
export async function interleave(
  measures: readonly Measure[],
  { pairs, warmUps = 0, extra = 0, check = () => undefined }: Rounds,
): Promise<Map<string, Sample[]>> {
  fixedWorkNanos();
  const taken = new Map<Measure, Taken[]>(measures.map((measure) => [measure, []]));
  for (let round = -warmUps; round < pairs + extra; round++) {
    if (round >= pairs && isCalmOften(judge(taken), pairs)) break;
    for (const measure of measures) {
      check(measure, round);
      const nanos = fixedWorkNanos();
      const watch = new NoiseWatch();
      const reading = await measure.run();
      if (round >= 0) {
        taken.get(measure)?.push({ reading, outer: watch.end(), fixedWorkNanos: nanos });
      }
    }
  }
  return judge(taken);
}

function isCalmOften(samples: ReadonlyMap<string, readonly Sample[]>, often: number): boolean {
  return [...samples.values()].every(
    (all) => all.filter(({ disturbances }) => disturbances.length === 0).length >= often,
  );
}

function judge(taken: ReadonlyMap<Measure, readonly Taken[]>): Map<string, Sample[]> {
  const all = [...taken.values()].flat();
  const fastest = Math.min(...all.map((one) => one.fixedWorkNanos));
  return new Map(
    [...taken].map(([{ name, steady }, runs]) => {
      const samples = runs.map((one) => makeSample(one, fastest));
      return [
        name,
        steady === undefined ? samples : markUnsteady(samples, steady, fastest / FIXED_STEPS),
      ];
    }),
  );
}

/** How far a floor may be from the best ones of its run. */
const STEADY_FACTOR = 1.3;

/**
 * Marks the samples of a floor that are worse than the best by more than a floor ever is, and those that
 * cannot be: a hypervisor moves its processors about, and two that share no cache pass a line five times
 * as slowly as two that do. The best is the first quartile of those that nobody disturbed: a single lucky
 * one must not spoil the rest.
 */
export function markUnsteady(
  samples: readonly Sample[],
  { better, stepsMax = Infinity }: Steadiness,
  stepNanos: number,
): Sample[] {
  const costOf = ({ value }: Sample): number => (better === 'less' ? value : 1 / value);
  const costs = calmest(samples).map(costOf);
  const best = costs.sort((a, b) => a - b)[Math.floor((costs.length - 1) / 4)] ?? Number.NaN;
  return samples.map((sample) => {
    const isUnsteady = costOf(sample) > best * STEADY_FACTOR;
    const isApart = sample.value > stepsMax * stepNanos;
    if (!isUnsteady && !isApart) return sample;
    const kind = isApart ? 'apart' : 'unsteady';
    return { ...sample, disturbances: [...sample.disturbances, kind] };
  });
}

function makeSample({ reading, outer, fixedWorkNanos: nanos }: Taken, fastest: number): Sample {
  const { value, details = {}, measured = null, slices = null } = reading;
  // A measure that does not watch its sides is watched from outside, waits of the event loop included.
  const sides = reading.noise ?? [{ ...outer, waitedNanos: 0 }];
  const slowness = nanos / fastest;
  return {
    value,
    disturbances: disturbancesOf(sides, slices, slowness),
    waitedNanos: sum(sides, (side) => side.waitedNanos),
    stolenNanos: Math.max(...sides.map((side) => side.stolenNanos)),
    foreignNanos: sum(sides, (side) => side.foreignNanos ?? 0),
    involuntarySwitches: sum(sides, (side) => side.involuntarySwitches),
    slowness,
    slicesKept: slices?.kept ?? 0,
    slicesLost: slices?.lost ?? 0,
    details,
    measured,
  };
}

function disturbancesOf(
  sides: readonly Disturbance[],
  slices: SliceCount | null,
  slowness: number,
): DisturbanceKind[] {
  const nobody = { waitedNanos: 0, stolenNanos: 0, foreignNanos: 0, involuntarySwitches: 0 };
  const saw = (what: (side: Disturbance) => Partial<Disturbance>): boolean =>
    sides.some((side) => isDisturbed({ ...side, ...nobody, ...what(side) }));
  const isPreempted =
    slices === null
      ? saw(({ waitedNanos, involuntarySwitches }) => ({ waitedNanos, involuntarySwitches }))
      : !isEnough(slices);
  return [
    ...(isPreempted ? (['preempted'] as const) : []),
    ...(saw(({ stolenNanos }) => ({ stolenNanos })) ? (['stolen'] as const) : []),
    ...(saw(({ foreignNanos = 0 }) => ({ foreignNanos })) ? (['foreign'] as const) : []),
    ...(slowness > SLOWNESS_MAX ? (['slow'] as const) : []),
  ];
}

function sum(sides: readonly Disturbance[], pick: (side: Disturbance) => number): number {
  return sides.reduce((total, side) => total + pick(side), 0);
}

const FIXED_STEPS = 20_000;
const FIXED_REPEATS = 12;

/**
 * A fixed piece of arithmetic, the best of some, in nanoseconds: says how fast the core is just now. The
 * first call of all finds slow code, and makes it fast.
 */
function fixedWorkNanos(): number {
  let best = Infinity;
  for (let repeat = 0; repeat < FIXED_REPEATS; repeat++) {
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
