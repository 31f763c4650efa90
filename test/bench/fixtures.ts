// Samples and reports as a run would make them, without a run.

import type { CaseReading } from '../../bench/cases/case.js';
import { Histogram } from '../../bench/histogram.js';
import type { Sample } from '../../bench/measure.js';
import type { BenchReport } from '../../bench/report.js';
import { REPORT_VERSION } from '../../bench/report.js';
import type { Description } from '../../bench/results.js';
import { makeResults, warningsOf } from '../../bench/results.js';

export function sample(value: number, disturbances: Sample['disturbances'] = []): Sample {
  return {
    value,
    disturbances,
    waitedNanos: 0,
    stolenNanos: 0,
    foreignNanos: 0,
    involuntarySwitches: 0,
    slowness: 1,
    slicesKept: 0,
    slicesLost: 0,
    details: {},
    measured: null,
  };
}

/** One of a latency test whose round trips took about `nanos`. */
export function latencySample(nanos: number, bytes = 64): Sample {
  const times = new Histogram();
  for (let index = 0; index < 1000; index++) times.record(nanos + (index % 50) * (nanos / 100));
  const measured: CaseReading = {
    operations: 1000,
    bytes: 1000 * bytes,
    nanos: 2000 * nanos,
    times: times.data(),
    peak: null,
    digest: '00000001',
    answerDigest: '00000001',
    details: {},
    engine: 'inline',
    statistics: null,
    verifyNanos: 5,
    clockNanos: 40,
    noise: [],
    slices: null,
  };
  return { ...sample(nanos), measured };
}

export const subject = (name: string, further: Partial<Description> = {}): Description => ({
  name,
  title: `title of ${name}`,
  origin: 'subject',
  unit: 'ns',
  better: 'less',
  ...further,
});

export function report(
  descriptions: readonly Description[],
  samples: ReadonlyMap<string, readonly Sample[]>,
): BenchReport {
  const results = makeResults(descriptions, samples);
  return {
    format: 'winsock-direct bench',
    version: REPORT_VERSION,
    startedAt: '2026-01-01T00:00:00.000Z',
    command: ['bench', 'lat', '<&"'],
    environment: {
      cpu: 'a processor',
      cores: 2,
      kernel: '6.1',
      node: '20.0.0',
      loadAverage: 0,
      pinnedTo: [0, 1],
      clockNanos: 40,
    },
    parameters: {
      test: 'lat',
      engine: 'inline',
      provider: 'reference',
      pairs: 1,
      plans: [],
      further: {},
    },
    results,
    warnings: warningsOf(results),
  };
}
