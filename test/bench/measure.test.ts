// How samples become results: interleaving, disturbances, medians, ratios within a pair, limits, the
// comparison of two reports, the gate, and the forms a report is shown in.

import { describe, expect, it } from 'vitest';
import { compareReports, comparisonTable } from '../../bench/compare.js';
import { GATE, gateTable, judge } from '../../bench/gate.js';
import { Deadline, DeadlineError, interleave, median, spread } from '../../bench/measure.js';
import { parseReport, reportJson } from '../../bench/report.js';
import { columns, perftestTables, reportTable } from '../../bench/report-text.js';
import { makeResults, ratioTo, warningsOf } from '../../bench/results.js';
import { latencySample, report, sample, subject } from './fixtures.js';

const quiet = { elapsedNanos: 1e9, waitedNanos: 0, stolenNanos: 0, involuntarySwitches: 0 };

describe('interleave', () => {
  it('runs the measures in turn, after rounds that do not count', async () => {
    const order: string[] = [];
    const measure = (name: string) => ({ name, run: async () => (order.push(name), { value: 1 }) });
    const samples = await interleave([measure('a'), measure('b')], { pairs: 2, warmUps: 1 });
    expect(order).toEqual(['a', 'b', 'a', 'b', 'a', 'b']);
    expect([samples.get('a')?.length, samples.get('b')?.length]).toEqual([2, 2]);
  });

  it('marks a sample when a side waited for its core or the hypervisor took one', async () => {
    const noises = [
      { ...quiet, waitedNanos: 2e7 },
      { ...quiet, stolenNanos: 3e7 },
      { ...quiet, involuntarySwitches: 500 },
      quiet,
    ];
    const marks: (readonly string[])[] = [];
    for (const noise of noises) {
      const run = async (): Promise<{ value: number; noise: (typeof noise)[] }> => ({
        value: 1,
        noise: [quiet, noise],
      });
      const samples = await interleave([{ name: 'a', run }], { pairs: 1 });
      marks.push(samples.get('a')?.[0]?.disturbances ?? []);
    }
    expect(marks).toEqual([['preempted'], ['stolen'], ['preempted'], []]);
  });
});

it('median takes the middle whatever the order, and is not a number for nothing', () => {
  expect(median([9, 1, 5])).toBe(5);
  expect(median([4, 1])).toBe(4);
  expect(median([])).toBeNaN();
});

it('spread is a relative standard deviation that a single outlier does not move', () => {
  expect(spread([100])).toBeNull();
  expect(spread([100, 100, 100, 900])).toBe(0);
  expect(spread([90, 100, 110])).toBeCloseTo(0.148, 3);
});

describe('a result', () => {
  const one = [subject('a')];

  it('is the median of the samples that nobody disturbed, and says how many were', () => {
    const samples = new Map([['a', [sample(5, ['preempted']), sample(1), sample(2), sample(3)]]]);
    const [result] = makeResults(one, samples);
    expect([result?.value, result?.disturbedCount]).toEqual([2, 1]);
    expect(warningsOf([result].flatMap((found) => found ?? []))).toEqual([
      'a: 1 of 4 samples disturbed (preempted), left out',
    ]);
  });

  it('of nothing but disturbed samples is not to be trusted, and says so', () => {
    const samples = new Map([['a', [sample(5, ['slow']), sample(7, ['stolen'])]]]);
    const [result] = makeResults(one, samples);
    expect(result?.value).toBe(7);
    expect(warningsOf(result === undefined ? [] : [result])[0]).toContain('not to be trusted');
  });

  it('is divided within a pair, never across', () => {
    expect(ratioTo([sample(10), sample(30)], [sample(1), sample(3)])?.ratio).toBe(10);
    expect(ratioTo([sample(10)], [])).toBeNull();
  });
});

describe('a verdict', () => {
  const floor = subject('f', { origin: 'floor' });
  const verdictOf = (kind: 'at-most' | 'at-least', ratio: number, values: number[]): unknown => {
    const about = subject('a', { floor: 'f', limit: { kind, ratio } });
    const samples = new Map([
      ['a', values.map((value) => sample(Math.abs(value), value < 0 ? ['preempted'] : []))],
      ['f', values.map(() => sample(1))],
    ]);
    return makeResults([floor, about], samples)[1]?.verdict;
  };

  it('compares the median ratio with the limit, in both directions', () => {
    expect(verdictOf('at-most', 4, [3, 100, 4])).toBe('within');
    expect(verdictOf('at-most', 4, [4.1])).toBe('beyond');
    expect(verdictOf('at-least', 0.9, [0.95])).toBe('within');
    expect(verdictOf('at-least', 0.9, [0.5])).toBe('beyond');
  });

  it('blames the machine only when most samples beyond the limit were disturbed', () => {
    expect(verdictOf('at-most', 4, [-9, -9, 9])).toBe('disturbed');
    expect(verdictOf('at-most', 4, [-9, 9, 9])).toBe('beyond');
  });
});

describe('a comparison', () => {
  const of = (values: number[], further = {}): ReturnType<typeof report> =>
    report([subject('a', further)], new Map([['a', values.map((value) => sample(value))]]));
  const verdict = (before: number[], after: number[], further = {}): unknown =>
    compareReports(of(before, further), of(after, further), 0.1)[0]?.verdict;

  it('tells a change from noise, and worse from better, whichever way is better', () => {
    expect(verdict([100, 101, 99], [101, 100, 102])).toBe('same');
    expect(verdict([100, 101, 99], [130, 131, 129])).toBe('worse');
    expect(verdict([100, 101, 99], [109, 109, 109])).toBe('within the limit');
    expect(verdict([100, 101, 99], [80, 81, 79])).toBe('better');
    const more = { better: 'more', unit: 'GB/s' };
    expect(verdict([100, 101, 99], [80, 81, 79], more)).toBe('worse');
  });

  it('sees no change in what runs of one build differ by, however steady each of them was', () => {
    expect(verdict([469, 469, 469, 469, 469], [453, 453, 453, 453, 453])).toBe('same');
    // Medians of two heaps in either of which the machine may have been.
    expect(verdict([866, 870, 850, 530, 535], [530, 566, 566, 834, 866])).toBe('same');
    expect(verdict([850, 851, 849, 850, 852], [566, 567, 565, 566, 566])).toBe('better');
  });

  it('blames the machine where its floor is another one than before', () => {
    const on = (floor: number, own: number): ReturnType<typeof report> =>
      report(
        [subject('floor.spin', { origin: 'floor' }), subject('a', { floor: 'floor.spin' })],
        new Map([
          ['floor.spin', [floor, floor].map((value) => sample(value))],
          ['a', [own, own, own].map((value) => sample(value))],
        ]),
      );
    const of = (before: number, after: number): unknown =>
      compareReports(on(45, 150), on(before, after), 0.1).find(({ name }) => name === 'a')?.verdict;
    expect(of(200, 290)).toBe('another machine');
    expect(of(200, 150)).toBe('same');
    expect(of(46, 290)).toBe('worse');
  });

  it('takes a single sample for noisy, and a missing result for missing', () => {
    expect(verdict([100], [120])).toBe('same');
    expect(verdict([100], [])).toBe('missing');
    const table = comparisonTable(compareReports(of([100]), of([120]), 0.1));
    expect(table).toMatch(/^a +100 ns +120 ns +\+20\.0 %/m);
  });
});

describe('the gate', () => {
  const line = {
    command: [],
    checks: [{ name: 'lat', against: 'floor.spin', limit: { kind: 'at-most', ratio: 3.4 } }],
  } as const;
  type Marks = Parameters<typeof sample>[1];
  const made = (
    own: number,
    marks: Marks = [],
    floorMarks: Marks = [],
  ): ReturnType<typeof report> =>
    report(
      [subject('floor.spin', { origin: 'floor' }), subject('provider.lat.send.64')],
      new Map([
        ['floor.spin', [sample(100, floorMarks)]],
        ['provider.lat.send.64', [sample(own, marks)]],
      ]),
    );
  const verdict = (of: ReturnType<typeof report>): unknown => judge(line, of)[0]?.verdict;

  it('holds a ratio to its limit and sees what is absent', () => {
    expect(verdict(made(340))).toBe('within');
    expect(verdict(made(341))).toBe('beyond');
    expect(verdict(report([subject('provider.lat.send.64')], new Map()))).toBe('absent');
  });

  it('judges nothing by disturbed pairs: neither a miss, nor a hit against a slow floor', () => {
    expect(verdict(made(341, ['preempted']))).toBe('disturbed');
    expect(verdict(made(300, [], ['apart']))).toBe('disturbed');
  });

  it('judges by three undisturbed pairs, however many were disturbed beside them', () => {
    const values = [900, 900, 900, 900, 330, 320, 310];
    const marks = values.map((value): Marks => (value === 900 ? ['preempted'] : []));
    const found = report(
      [subject('floor.spin', { origin: 'floor' }), subject('a')],
      new Map([
        ['floor.spin', values.map(() => sample(100))],
        ['a', values.map((value, at) => sample(value, marks[at]))],
      ]),
    );
    expect(judge(line, found)[0]).toMatchObject({
      ...{ verdict: 'within', ratio: 3.2, calmPairs: 3, pairs: 7 },
    });
  });

  it('has checks with names of their own, and shows them as rows of a document', () => {
    const checks = GATE.flatMap((one) => one.checks);
    expect(new Set(checks.map(({ name }) => name)).size).toBe(checks.length);
    expect(gateTable(judge(line, made(300))).split('\n')).toEqual([
      '| measure | figure | beside it | ratio | limit | undisturbed pairs | verdict |',
      '| --- | --- | --- | --- | --- | --- | --- |',
      '| lat | 300 ns | 100 ns | 3.00 | ≤ 3.40 | 1 of 1 | within |',
    ]);
  });
});

describe('a report', () => {
  const names = ['provider.lat.send.64'] as const;
  const made = report(
    [
      subject('floor.spin', { origin: 'floor' }),
      subject(names[0], { bytes: 64, floor: 'floor.spin' }),
      subject('ucx.latency.64', { origin: 'peer', bytes: 64, absent: 'not installed' }),
    ],
    new Map([
      ['floor.spin', [sample(50)]],
      [names[0], [latencySample(200)]],
    ]),
  );

  it('is JSON of its stated form, and another version is refused', () => {
    expect(parseReport(JSON.parse(reportJson(made)))).toEqual(made);
    expect(() => parseReport({ ...made, version: 1 })).toThrow();
  });

  it("has perftest's columns, in microseconds", () => {
    const text = perftestTables(made, { gigabits: false, histograms: true });
    const line = text.split('\n').find((one) => one.startsWith(' #bytes'));
    expect(line?.replace(/ {2,}/g, ' ').trim()).toBe(
      '#bytes #iterations t_min[usec] t_max[usec] t_typical[usec] t_avg[usec] t_stdev[usec] ' +
        '99% percentile[usec] 99.9% percentile[usec]',
    );
    expect(text).toMatch(/^ 64 +1000 +0\.20 +0\.30 +0\.25 +0\.25/m);
    expect(text).toMatch(/^title of ucx\.latency\.64 +not installed/m);
    expect(text).toContain('4.00x (64 B)');
    expect(text).toMatch(/^ *99\.9% +0\.29/m);
  });

  it('has a table of everything', () => {
    expect(reportTable(made)).toMatch(/^title of provider\.lat\.send\.64 +200 ns +4\.00x floor/m);
  });
});

it('a table has its numbers at the right', () => {
  const rows = [
    ['name', 'ns'],
    ['x', '100'],
  ];
  expect(columns(rows)).toEqual(['name   ns', 'x     100']);
});

it('a deadline throws once its time is over, and not before', () => {
  expect(() => new Deadline(60e9, 'nothing').check()).not.toThrow();
  expect(() => new Deadline(-1, 'an answer').check()).toThrow(DeadlineError);
});
