// Two reports against each other: how much each result changed, how much of that is noise, and whether it
// is worse than allowed. A change within the noise is none. Samples of a run know only how that run varied:
// what lies between two runs is added, and where their floors differ they were two machines.

import { calmest, spread } from './measure.js';
import type { BenchReport, Result } from './report.js';
import { columns, formatValue } from './report-text.js';

export interface Change {
  readonly name: string;
  readonly unit: Result['unit'];
  readonly before: number | null;
  readonly after: number | null;
  /** Relative; positive is worse. Null when one of them is missing. */
  readonly worsening: number | null;
  /** A change within this is none: two standard errors of both medians together. */
  readonly noise: number;
  readonly verdict:
    | 'same'
    | 'better'
    | 'worse'
    | 'within the limit'
    | 'disturbed'
    | 'another machine'
    | 'missing';
}

/** The standard error of a single sample that nothing is known of, relative. */
const UNKNOWN_NOISE = 0.1;
/** What runs of the same build differ by, as a standard deviation, however steady each of them is. */
const RUN_NOISE = 0.03;
/** A floor differs by more only when the hypervisor has moved the processors. */
const FLOOR_FACTOR = 1.3;
/** The standard error of a median of n over that of one value, times the root of n. */
const MEDIAN_FACTOR = 1.2533;
const STANDARD_ERRORS = 2;

/** `limit` is relative: 0.1 is ten percent. Results of `before` that the other lacks are missing. */
export function compareReports(before: BenchReport, after: BenchReport, limit: number): Change[] {
  return before.results
    .filter(({ value }) => value !== null)
    .map((old) =>
      compare(old, resultOf(after, old.name), {
        limit,
        isMoved: isMoved(old, before, after),
      }),
    );
}

function resultOf({ results }: BenchReport, wanted: string): Result | undefined {
  return results.find(({ name }) => name === wanted);
}

/** Whether the floor of a result is another one now: then nothing is known of the program. */
function isMoved({ floor, origin }: Result, before: BenchReport, after: BenchReport): boolean {
  if (floor === null || origin !== 'subject') return false;
  const [old, fresh] = [resultOf(before, floor), resultOf(after, floor)];
  // What is compared with another result of ours has no floor of the machine's.
  if (old?.origin !== 'floor' || old.value === null) return false;
  if (fresh === undefined || fresh.value === null) return false;
  const factor = fresh.value / old.value;
  return Math.max(factor, 1 / factor) > FLOOR_FACTOR;
}

function compare(
  old: Result,
  fresh: Result | undefined,
  { limit, isMoved: moved }: { readonly limit: number; readonly isMoved: boolean },
): Change {
  const noise = STANDARD_ERRORS * Math.hypot(standardError(old), standardError(fresh));
  const base = { name: old.name, unit: old.unit, before: old.value, after: fresh?.value ?? null };
  if (fresh === undefined || fresh.value === null || old.value === null || old.value === 0) {
    return { ...base, worsening: null, noise, verdict: 'missing' };
  }
  const change = fresh.value / old.value - 1;
  const worsening = old.better === 'less' ? change : -change;
  return { ...base, worsening, noise, verdict: verdictOf(worsening, noise) };

  function verdictOf(by: number, within: number): Change['verdict'] {
    if (isDisturbed(old) || (fresh !== undefined && isDisturbed(fresh))) return 'disturbed';
    if (Math.abs(by) <= within) return 'same';
    if (moved) return 'another machine';
    if (by < 0) return 'better';
    return by > limit ? 'worse' : 'within the limit';
  }
}

/** Every sample was disturbed: the figure says nothing. */
function isDisturbed({ samples, disturbedCount }: Result): boolean {
  return samples.length > 0 && disturbedCount === samples.length;
}

function standardError(result: Result | undefined): number {
  const values = calmest(result?.samples ?? []).map(({ value }) => value);
  const robust = spread(values);
  if (robust === null) return UNKNOWN_NOISE;
  // Few samples may lie in two heaps, of which the robust measure sees one.
  const deviation = Math.max(robust, plainDeviation(values));
  return Math.hypot(RUN_NOISE, (MEDIAN_FACTOR * deviation) / Math.sqrt(values.length));
}

/** Relative to the mean. */
function plainDeviation(values: readonly number[]): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return Math.sqrt(squares / (values.length - 1)) / Math.abs(mean);
}

export function comparisonTable(changes: readonly Change[]): string {
  const percent = (value: number | null): string =>
    value === null ? '' : `${value > 0 ? '+' : ''}${(100 * value).toFixed(1)} %`;
  const rows = changes.map(({ name, unit, before, after, worsening, noise, verdict }) => [
    name,
    before === null ? '' : formatValue(before, unit),
    after === null ? '' : formatValue(after, unit),
    percent(worsening),
    `${(100 * noise).toFixed(1)} %`,
    verdict,
  ]);
  return columns([['', 'before', 'after', 'worse by', 'noise', ''], ...rows]).join('\n');
}
