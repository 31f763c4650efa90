// How samples are taken and judged: measures interleaved A B A B, so that a change of the machine's
// mood hits all of them, medians over the pairs, ratios within a pair, and a mark on every sample in
// which somebody else ran on our cores. It must not know what is measured.

import { loadavg } from 'node:os';
import { now } from './machine.js';

/** What one run of a measure found. */
export interface Reading {
  readonly value: number;
  /** Involuntary context switches of the other process during the run. */
  readonly peerSwitches?: number;
  /** Further numbers worth a column of their own. */
  readonly details?: Readonly<Record<string, number>>;
}

export interface Sample {
  readonly value: number;
  /** The value over the floor's of the same pair; null when the measure has no floor. */
  readonly ratio: number | null;
  readonly involuntarySwitches: number;
  readonly loadAverage: number;
  /** Somebody else ran on our cores for a noticeable part of it. */
  readonly disturbed: boolean;
  readonly details: Readonly<Record<string, number>>;
}

export interface Measure {
  readonly name: string;
  /** The measure of the same run that this one is divided by; it stands before this one. */
  readonly floor?: string;
  run(): Promise<Reading>;
}

/** Switches per second from which on a sample counts as disturbed: a pinned spinner alone has few. */
const SWITCHES_PER_SECOND_MAX = 100;
/** And not for two or three of them in a short sample. */
const SWITCHES_MIN = 4;

/** The middle value, the upper one of two; NaN of nothing. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
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
  const samples = new Map<string, Sample[]>(measures.map(({ name }) => [name, []]));
  for (let pair = 0; pair < pairs; pair++) {
    for (const measure of measures) {
      check(measure, pair);
      const floor = measure.floor === undefined ? undefined : samples.get(measure.floor)?.[pair];
      samples.get(measure.name)?.push(await sample(measure, floor?.value));
    }
  }
  return samples;
}

async function sample(measure: Measure, floor: number | undefined): Promise<Sample> {
  const start = now();
  const before = involuntarySwitches();
  const { value, peerSwitches = 0, details = {} } = await measure.run();
  const switches = involuntarySwitches() - before + peerSwitches;
  const elapsedSeconds = (now() - start) / 1e9;
  return {
    value,
    ratio: floor === undefined ? null : value / floor,
    involuntarySwitches: switches,
    loadAverage: loadavg()[0] ?? 0,
    disturbed: switches >= SWITCHES_MIN && switches / elapsedSeconds > SWITCHES_PER_SECOND_MAX,
    details,
  };
}

/** How often the scheduler took the core away from this process so far. */
export function involuntarySwitches(): number {
  return process.resourceUsage().involuntaryContextSwitches;
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
