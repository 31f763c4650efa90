// The report of a benchmark run: a versioned form that programs read, checked on the way out, and the
// table that people read. It must not know how anything was measured.

import { z } from 'zod';
import { median } from './measure.js';
import type { Sample } from './measure.js';

/** Grows with every change that a reader of version n would misread. */
export const REPORT_VERSION = 1;

const limit = z.strictObject({
  kind: z.enum(['at-most', 'at-least']),
  /** Of the value over its floor; or of the value itself. */
  ratio: z.number().optional(),
  value: z.number().optional(),
});

const sample = z.strictObject({
  value: z.number(),
  ratio: z.number().nullable(),
  involuntarySwitches: z.number(),
  loadAverage: z.number(),
  disturbed: z.boolean(),
  details: z.record(z.string(), z.number()),
});

const result = z.strictObject({
  name: z.string(),
  title: z.string(),
  unit: z.enum(['ns', 'GB/s', 'B', '%']),
  /** The median of the samples, and of their ratios. */
  value: z.number(),
  ratio: z.number().nullable(),
  floor: z.string().nullable(),
  limit: limit.nullable(),
  /** How the median stands to the limit; 'disturbed' when it is beyond and most samples were disturbed. */
  verdict: z.enum(['within', 'beyond', 'disturbed', 'none']),
  samples: z.array(sample),
});

const report = z.strictObject({
  format: z.literal('winsock-direct bench'),
  version: z.literal(REPORT_VERSION),
  startedAt: z.iso.datetime(),
  machine: z.strictObject({
    cpu: z.string(),
    cores: z.int(),
    kernel: z.string(),
    node: z.string(),
    loadAverage: z.number(),
    pinnedTo: z.array(z.int()).readonly().nullable(),
  }),
  settings: z.strictObject({
    engine: z.enum(['inline', 'worker', 'auto']),
    provider: z.string(),
    bytes: z.int(),
    iterations: z.int(),
    pairs: z.int(),
    largeBytes: z.int(),
    largeCount: z.int(),
  }),
  results: z.array(result),
});

export type Limit = z.infer<typeof limit>;
export type Result = z.infer<typeof result>;
export type BenchReport = z.infer<typeof report>;

export interface MeasureDescription {
  readonly name: string;
  readonly title: string;
  readonly unit: Result['unit'];
  readonly floor?: string;
  readonly limit?: Limit;
}

/** Medians and a verdict from the samples of one measure. */
export function makeResult(measure: MeasureDescription, samples: readonly Sample[]): Result {
  const ratios = samples.flatMap((one) => (one.ratio === null ? [] : [one.ratio]));
  const value = median(samples.map((one) => one.value));
  const ratio = ratios.length === 0 ? null : median(ratios);
  return {
    name: measure.name,
    title: measure.title,
    unit: measure.unit,
    value,
    ratio,
    floor: measure.floor ?? null,
    limit: measure.limit ?? null,
    verdict: verdictOf(measure.limit, value, ratio, samples),
    samples: [...samples],
  };
}

function verdictOf(
  bound: Limit | undefined,
  value: number,
  ratio: number | null,
  samples: readonly Sample[],
): Result['verdict'] {
  if (bound === undefined) return 'none';
  const limitValue = bound.ratio ?? bound.value ?? Number.NaN;
  const found = bound.ratio === undefined ? value : (ratio ?? Number.NaN);
  const isWithin = bound.kind === 'at-most' ? found <= limitValue : found >= limitValue;
  if (isWithin) return 'within';
  const disturbedCount = samples.filter((one) => one.disturbed).length;
  return disturbedCount * 2 > samples.length ? 'disturbed' : 'beyond';
}

/** The report as JSON text. Throws when it is not of the form that it states. */
export function reportJson(made: BenchReport): string {
  return JSON.stringify(parseReport(made), null, 2);
}

/** Throws ZodError. */
export function parseReport(data: unknown): BenchReport {
  return report.parse(data);
}

/** The report as lines for a terminal. */
export function reportTable(made: BenchReport): string {
  const { machine, settings } = made;
  const pinned =
    machine.pinnedTo === null ? 'not pinned' : `pinned to ${machine.pinnedTo.join(' and ')}`;
  const rows = made.results.map((one) => [
    one.title,
    formatValue(one.value, one.unit),
    one.ratio === null ? '' : `${formatNumber(one.ratio)}x ${one.floor ?? ''}`,
    one.limit === null ? '' : formatLimit(one.limit),
    one.verdict === 'none' ? '' : one.verdict,
    disturbance(one),
  ]);
  return [
    `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node ${machine.node}`,
    `engine ${settings.engine}, ${pinned}, load average ${machine.loadAverage.toFixed(2)}, medians of ${settings.pairs}`,
    '',
    ...columns([['', 'median', 'to floor', 'limit', '', ''], ...rows]),
  ].join('\n');
}

function disturbance(one: Result): string {
  const count = one.samples.filter((each) => each.disturbed).length;
  return count === 0 ? '' : `${count} of ${one.samples.length} disturbed`;
}

export function formatValue(value: number, unit: Result['unit']): string {
  if (unit === 'ns' && value >= 10_000) return `${formatNumber(value / 1000)} us`;
  return `${formatNumber(value)} ${unit}`;
}

function formatNumber(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function formatLimit(bound: Limit): string {
  const sign = bound.kind === 'at-most' ? '<=' : '>=';
  return bound.ratio === undefined ? `${sign} ${bound.value ?? ''}` : `${sign} ${bound.ratio}x`;
}

/** Rows with their cells aligned: the first column to the left, numbers to the right. */
export function columns(rows: readonly (readonly string[])[]): string[] {
  const widths =
    rows[0]?.map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0))) ?? [];
  return rows.map((row) =>
    row
      .map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
}
