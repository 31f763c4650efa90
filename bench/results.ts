// From the samples of a run to its results: medians over what nobody disturbed, ratios within pairs,
// distributions over all that counts, verdicts. It must not know how samples are taken or shown.

import type { CaseReading } from './cases/case.js';
import { hdrText } from './hdr.js';
import type { Histogram } from './histogram.js';
import { mergeHistograms } from './histogram.js';
import type { Sample } from './measure.js';
import { calmest, median, spread } from './measure.js';
import type { BandwidthResult, LatencyResult, Limit, Result } from './report.js';

/** What a result is about, known before anything ran. */
export interface Description {
  readonly name: string;
  readonly title: string;
  readonly origin: Result['origin'];
  readonly unit: Result['unit'];
  readonly better: Result['better'];
  readonly bytes?: number;
  readonly connections?: number;
  /** The result that this one is divided by. */
  readonly floor?: string;
  readonly limit?: Limit;
  /** Why there is nothing to measure. */
  readonly absent?: string;
}

export function makeResults(
  descriptions: readonly Description[],
  samples: ReadonlyMap<string, readonly Sample[]>,
): Result[] {
  return descriptions.map((one) => makeResult(one, descriptions, samples));
}

function makeResult(
  about: Description,
  all: readonly Description[],
  samples: ReadonlyMap<string, readonly Sample[]>,
): Result {
  const own = samples.get(about.name) ?? [];
  const counted = calmest(own);
  const values = counted.map(({ value }) => value);
  const value = values.length === 0 ? null : median(values);
  const measured = counted.flatMap((one) => (one.measured === null ? [] : [one.measured]));
  const against = about.origin === 'subject' ? ratios(about, all, samples) : [];
  const ratio = about.floor === undefined ? null : ratioTo(own, samples.get(about.floor) ?? []);
  const calmCount = own.filter(isCalm).length;
  return {
    name: about.name,
    title: about.title,
    origin: about.origin,
    absent: about.absent ?? null,
    unit: about.unit,
    better: about.better,
    bytes: about.bytes ?? null,
    connections: about.connections ?? null,
    operations: measured.reduce((sum, one) => sum + one.operations, 0),
    value,
    noise: spread(values),
    disturbedCount: own.length - calmCount,
    latency: latencyOf(measured),
    bandwidth: bandwidthOf(measured),
    verifyNanos: measured[0]?.verifyNanos ?? null,
    clockNanos: measured[0]?.clockNanos ?? null,
    against,
    floor: about.floor ?? null,
    ratio: ratio?.ratio ?? null,
    limit: about.limit ?? null,
    verdict: verdictOf(about.limit, { value, calmCount, count: own.length }, ratio),
    samples: own.map(({ measured: found, ...rest }) => ({
      ...rest,
      digests: found === null ? [] : [found.digest, found.answerDigest],
    })),
  };
}

function isCalm({ disturbances }: Sample): boolean {
  return disturbances.length === 0;
}

/** To every floor and peer of the same kind and size, or of no size. */
function ratios(
  about: Description,
  all: readonly Description[],
  samples: ReadonlyMap<string, readonly Sample[]>,
): Result['against'] {
  const own = samples.get(about.name) ?? [];
  return all.flatMap((other) => {
    const isSame = other.unit === about.unit && (other.bytes ?? about.bytes) === about.bytes;
    if (other.origin === 'subject' || !isSame) return [];
    const ratio = ratioTo(own, samples.get(other.name) ?? []);
    return ratio === null ? [] : [{ name: other.name, ...ratio }];
  });
}

/** A ratio and how many pairs it was made of: of the undisturbed ones if there were any, of all if not. */
export interface Ratio {
  readonly ratio: number;
  readonly pairs: number;
  readonly calmPairs: number;
}

/** The median of the ratios within pairs. */
export function ratioTo(own: readonly Sample[], other: readonly Sample[]): Ratio | null {
  const pairs = own.flatMap((sample, at) => {
    const floor = other[at];
    if (floor === undefined) return [];
    const disturbances = [...sample.disturbances, ...floor.disturbances];
    return [{ ratio: sample.value / floor.value, disturbances }];
  });
  if (pairs.length === 0) return null;
  const calmPairs = pairs.filter(({ disturbances }) => disturbances.length === 0).length;
  return {
    ratio: median(calmest(pairs).map(({ ratio }) => ratio)),
    pairs: pairs.length,
    calmPairs,
  };
}

/** So many undisturbed ones are enough, however many were disturbed beside them. */
const CALM_ENOUGH = 3;

/** Whether what was left undisturbed allows a verdict: neither a miss nor a hit counts otherwise. */
export function isTrusted(calmCount: number, count: number): boolean {
  return calmCount >= CALM_ENOUGH || calmCount * 2 > count;
}

/** What goes into a report of a distribution. */
const PERCENTILES = [0, 1, 5, 10, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.95, 99.99, 99.999, 100];

function latencyOf(measured: readonly CaseReading[]): LatencyResult | null {
  const data = measured.flatMap(({ times }) => (times === null ? [] : [times]));
  if (data.length === 0) return null;
  const times: Histogram = mergeHistograms(data);
  return {
    minNanos: times.min,
    maxNanos: times.max,
    typicalNanos: times.percentile(50),
    averageNanos: times.mean,
    stdevNanos: times.stdev,
    p99Nanos: times.percentile(99),
    p999Nanos: times.percentile(99.9),
    percentiles: PERCENTILES.map((percent) => [percent, times.percentile(percent)]),
    hdr: hdrText(times.data()),
  };
}

function bandwidthOf(measured: readonly CaseReading[]): BandwidthResult | null {
  const streams = measured.filter(({ times, bytes }) => times === null && bytes > 0);
  if (streams.length === 0) return null;
  const peaks = streams.flatMap(({ peak }) => (peak === null ? [] : [peak * 1e9]));
  return {
    peakBytesPerSecond: peaks.length === 0 ? null : Math.max(...peaks),
    averageBytesPerSecond: median(streams.map(({ bytes, nanos }) => (bytes / nanos) * 1e9)),
    messagesPerSecond: median(streams.map(({ operations, nanos }) => (operations / nanos) * 1e9)),
  };
}

function verdictOf(
  bound: Limit | undefined,
  own: { readonly value: number | null; readonly calmCount: number; readonly count: number },
  ratio: Ratio | null,
): Result['verdict'] {
  if (bound === undefined) return 'none';
  const isOfRatio = bound.ratio !== undefined;
  const found = (isOfRatio ? ratio?.ratio : own.value) ?? Number.NaN;
  const isJudged = isOfRatio
    ? ratio !== null && isTrusted(ratio.calmPairs, ratio.pairs)
    : isTrusted(own.calmCount, own.count);
  if (!isJudged) return 'disturbed';
  return isWithin(bound, found) ? 'within' : 'beyond';
}

/** How a ratio, or else a value, stands to its limit. */
export function isWithin(bound: Limit, found: number): boolean {
  const limit = bound.ratio ?? bound.value ?? Number.NaN;
  return bound.kind === 'at-most' ? found <= limit : found >= limit;
}

/** Sentences for everything that a reader must not overlook. */
export function warningsOf(results: readonly Result[]): string[] {
  return results.flatMap((one) => [...disturbedWarning(one), ...sliceWarning(one)]);
}

/** Above the switch, connections may go another way than the one that is to be measured. */
export function pathWarnings(samples: ReadonlyMap<string, readonly Sample[]>): string[] {
  return [...samples].flatMap(([name, all]) => {
    const seen = all.flatMap(({ measured }) => measured?.statistics ?? []);
    const tcp = seen.reduce((sum, { tcpConnections }) => sum + tcpConnections, 0);
    const san = seen.reduce((sum, { sanConnections }) => sum + sanConnections, 0);
    if (tcp === 0) return [];
    return [`${name}: ${tcp} of ${tcp + san} connections went over TCP/IP, not over the SAN`];
  });
}

function disturbedWarning({ name, samples, disturbedCount }: Result): string[] {
  if (disturbedCount === 0) return [];
  const kinds = [...new Set(samples.flatMap(({ disturbances }) => disturbances))].join(', ');
  return disturbedCount === samples.length
    ? [`${name}: every sample was disturbed (${kinds}); the figure is not to be trusted`]
    : [`${name}: ${disturbedCount} of ${samples.length} samples disturbed (${kinds}), left out`];
}

/** Of the samples that count. */
function sliceWarning({ name, samples }: Result): string[] {
  const counted = samples.filter(({ disturbances }) => disturbances.length === 0);
  const lost = counted.reduce((sum, { slicesLost }) => sum + slicesLost, 0);
  const all = counted.reduce((sum, { slicesKept }) => sum + slicesKept, lost);
  if (lost === 0) return [];
  return [`${name}: a side waited for its core in ${lost} of ${all} slices, left out`];
}
