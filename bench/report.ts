// The report of a benchmark run: a versioned form that programs read, checked on the way out and on the
// way in. It must not know how anything was measured, nor how it is shown.

import { z } from 'zod';
import { DISTURBANCES } from './measure.js';
import { casePlan } from './plan.js';

/** Grows with every change that a reader of version n would misread. */
export const REPORT_VERSION = 3;

const limit = z.strictObject({
  kind: z.enum(['at-most', 'at-least']),
  /** Of the ratio to the floor; or of the value itself. */
  ratio: z.number().optional(),
  value: z.number().optional(),
});

const sample = z.strictObject({
  value: z.number(),
  /** What they mean is said where they are listed. */
  disturbances: z.array(z.enum(DISTURBANCES)).readonly(),
  waitedNanos: z.number(),
  stolenNanos: z.number(),
  foreignNanos: z.number(),
  involuntarySwitches: z.number(),
  /** Time of a fixed piece of work just before, over the shortest of the run. */
  slowness: z.number(),
  /** Slices of some milliseconds that count, and those that were left out; 0 and 0: it was not cut. */
  slicesKept: z.int(),
  slicesLost: z.int(),
  details: z.record(z.string(), z.number()),
  /** Of the counters that each side received, in order. */
  digests: z.array(z.string()).readonly(),
});

const latency = z.strictObject({
  minNanos: z.number(),
  maxNanos: z.number(),
  typicalNanos: z.number(),
  averageNanos: z.number(),
  stdevNanos: z.number(),
  p99Nanos: z.number(),
  p999Nanos: z.number(),
  /** Percent and nanoseconds, ascending. */
  percentiles: z.array(z.tuple([z.number(), z.number()])).readonly(),
  /** HdrHistogram V2, compressed, base64; values in nanoseconds. */
  hdr: z.string(),
});

const bandwidth = z.strictObject({
  peakBytesPerSecond: z.number().nullable(),
  averageBytesPerSecond: z.number(),
  messagesPerSecond: z.number(),
});

const result = z.strictObject({
  name: z.string(),
  title: z.string(),
  /** A peer or floor that is not here has no samples, and says why. */
  origin: z.enum(['subject', 'floor', 'peer']),
  absent: z.string().nullable(),
  unit: z.enum(['ns', 'GB/s', 'B', '%', '/s']),
  better: z.enum(['less', 'more']),
  bytes: z.int().nullable(),
  connections: z.int().nullable(),
  /** Operations that counted, over all samples that counted. */
  operations: z.number(),
  /** The median of the samples that nobody disturbed; of all when each was disturbed. */
  value: z.number().nullable(),
  /** Relative standard deviation of those samples; null of less than two. */
  noise: z.number().nullable(),
  disturbedCount: z.int(),
  latency: latency.nullable(),
  bandwidth: bandwidth.nullable(),
  /** Parts of the value that are the measurement's own. */
  verifyNanos: z.number().nullable(),
  clockNanos: z.number().nullable(),
  /** The value over another result's: the median of the ratios within a pair, of the calm pairs if any. */
  against: z
    .array(
      z.strictObject({
        name: z.string(),
        ratio: z.number(),
        pairs: z.int(),
        calmPairs: z.int(),
      }),
    )
    .readonly(),
  floor: z.string().nullable(),
  ratio: z.number().nullable(),
  limit: limit.nullable(),
  /** How the median stands to the limit; 'disturbed': too little was left undisturbed to say. */
  verdict: z.enum(['within', 'beyond', 'disturbed', 'none']),
  samples: z.array(sample),
});

export const benchReport = z.strictObject({
  format: z.literal('winsock-direct bench'),
  version: z.literal(REPORT_VERSION),
  startedAt: z.iso.datetime(),
  command: z.array(z.string()).readonly(),
  environment: z.strictObject({
    cpu: z.string(),
    cores: z.int(),
    kernel: z.string(),
    node: z.string(),
    /** Of the last minute, when the run began. */
    loadAverage: z.number(),
    /** The cores that the two sides are pinned to; null when there are fewer than two, or on request. */
    pinnedTo: z.array(z.int()).readonly().nullable(),
    clockNanos: z.number(),
  }),
  parameters: z.strictObject({
    test: z.string(),
    engine: z.enum(['inline', 'worker', 'auto']),
    provider: z.string(),
    pairs: z.int(),
    /** One plan per result of this program's own tests. */
    plans: z.array(casePlan),
    further: z.record(z.string(), z.union([z.number(), z.string(), z.boolean()])),
  }),
  results: z.array(result),
  warnings: z.array(z.string()),
});

export type Limit = z.infer<typeof limit>;
export type Result = z.infer<typeof result>;
export type LatencyResult = z.infer<typeof latency>;
export type BandwidthResult = z.infer<typeof bandwidth>;
export type BenchReport = z.infer<typeof benchReport>;

/** The report as JSON text. Throws ZodError when it is not of the form that it states. */
export function reportJson(made: BenchReport): string {
  return JSON.stringify(parseReport(made), null, 2);
}

/** Throws ZodError. */
export function parseReport(data: unknown): BenchReport {
  return benchReport.parse(data);
}

export { columns, formatValue, reportTable } from './report-text.js';
