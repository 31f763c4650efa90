// What becomes of time that somebody else had: slices that are left out, floors that are not believed,
// rounds that are run again. Everything here is told its time, its waits and its figures.

import { describe, expect, it } from 'vitest';
import { StreamClock } from '../../bench/cases/stream-clock.js';
import { interleave, markUnsteady } from '../../bench/measure.js';
import type { Reading } from '../../bench/measure.js';
import { Neighbours, threadName, ThreadWaits } from '../../bench/noise.js';
import type { Waits } from '../../bench/noise.js';
import { makePlan, sequenceOf } from '../../bench/plan.js';
import { makeResults, warningsOf } from '../../bench/results.js';
import { isEnough, Slices } from '../../bench/slices.js';
import { sample, subject } from './fixtures.js';

/** Waits that a test decides. */
class FakeWaits implements Waits {
  nanos = 0;
  total(): number {
    return this.nanos;
  }
  close(): void {
    // Nothing is open.
  }
}

const calm: Reading = { value: 1, slices: { kept: 9, lost: 1, keptNanos: 9e6, lostNanos: 1e6 } };
const spoilt: Reading = { value: 9, slices: { kept: 1, lost: 9, keptNanos: 1e6, lostNanos: 9e6 } };

describe('a sample in slices', () => {
  it('leaves out those in which a thread waited for more than a hundredth of the time', () => {
    const waits = new FakeWaits();
    const slices = new Slices(waits);
    slices.begin(0);
    expect([slices.isOver(1.9e6), slices.isOver(2e6)]).toEqual([false, true]);
    waits.nanos += 20_000;
    expect(slices.end(2e6)).toBe(true);
    waits.nanos += 40_001;
    expect(slices.end(6e6)).toBe(false);
    expect(slices.end(8e6)).toBe(true);
    expect(slices.count).toEqual({ kept: 2, lost: 1, keptNanos: 4e6, lostNanos: 4e6 });
  });

  it('stands while a fifth of its time is left', () => {
    expect(isEnough({ kept: 1, lost: 4, keptNanos: 1, lostNanos: 4 })).toBe(true);
    expect(isEnough({ kept: 1, lost: 5, keptNanos: 1, lostNanos: 5 })).toBe(false);
    expect(isEnough({ kept: 0, lost: 0, keptNanos: 0, lostNanos: 0 })).toBe(false);
  });

  it('counts of a stream what was done in the slices that are kept, and all when too few are', () => {
    const plan = makePlan({
      ...{ test: 'bw', level: 'provider', bytes: 64, iterations: 1000 },
      host: { fabric: 'x', address: '127.0.0.1' },
      peerHost: { fabric: 'x', address: '127.0.0.2' },
    });
    const counted = (lostFrom: number): number => {
      const waits = new FakeWaits();
      let nanos = 1e9;
      const clock = new StreamClock(plan, sequenceOf(plan), {
        ...{ slices: new Slices(waits), chunk: 10, count: 5 },
        time: () => nanos,
      });
      let count = 5;
      for (let slice = 0; slice < 3; slice++) {
        nanos += 2e6;
        count += 100;
        if (slice >= lostFrom) waits.nanos += 1e6;
        clock.stamp(100, count);
      }
      clock.finish(count);
      return clock.measured('', 1).operations;
    };
    expect(counted(3)).toBe(300);
    expect(counted(2)).toBe(200);
    expect(counted(0)).toBe(300);
  });
});

describe('the threads of a measurement', () => {
  it('have names by which their waits are read, and others are nobody', () => {
    expect(threadName()).toMatch(/^\d+\/task\/\d+$/);
    const own = new ThreadWaits([threadName()]);
    const first = own.total();
    expect(own.total()).toBeGreaterThanOrEqual(first);
    own.close();
    const nobody = new ThreadWaits(['../../etc', '1/../2', '']);
    expect(nobody.total()).toBe(0);
    nobody.close();
  });

  it('are no neighbours of themselves', () => {
    expect(new Neighbours([threadName()]).end()).toBeGreaterThanOrEqual(0);
  });
});

describe('rounds', () => {
  const run = async (readings: readonly Reading[], extra: number): Promise<string[]> => {
    let at = 0;
    const measure = { name: 'a', run: async () => readings[at++] ?? calm };
    const samples = await interleave([measure], { pairs: 2, extra });
    return (samples.get('a') ?? []).map(({ disturbances }) => disturbances.join());
  };

  it('are added while fewer than asked for are undisturbed, up to a bound', async () => {
    const bad = 'preempted';
    expect(await run([spoilt, calm, spoilt, calm, calm], 9)).toEqual([bad, '', bad, '']);
    expect(await run([spoilt, spoilt, spoilt, spoilt], 1)).toEqual([bad, bad, bad]);
    expect(await run([spoilt, spoilt], 0)).toEqual([bad, bad]);
  });

  it('are added for a floor that changes, too', async () => {
    const values = [50, 210, 52, 49];
    let at = 0;
    const floor = {
      name: 'f',
      steady: { better: 'less' },
      run: async () => ({ value: values[at++] ?? 50 }),
    } as const;
    const found = (await interleave([floor], { pairs: 3, extra: 3 })).get('f') ?? [];
    expect(found.map(({ disturbances }) => disturbances.includes('unsteady'))).toEqual([
      false,
      true,
      false,
      false,
    ]);
  });
});

describe('a floor', () => {
  const marks = (values: number[], stepsMax?: number, better: 'less' | 'more' = 'less'): string[] =>
    markUnsteady(
      values.map((value) => sample(value)),
      { better, ...(stepsMax === undefined ? {} : { stepsMax }) },
      1,
    ).map(({ disturbances }) => disturbances.join());

  it('is believed within a third of the best, where one lucky sample is not the best', () => {
    expect(marks([45, 46, 44, 104, 47])).toEqual(['', '', '', 'unsteady', '']);
    expect(marks([33, 45, 46, 44, 47])).toEqual(['', '', '', '', '']);
    expect(marks([16, 15, 9], undefined, 'more')).toEqual(['', '', 'unsteady']);
  });

  it('is not believed at all when it is no figure of cores with a cache in common', () => {
    expect(marks([200, 205, 198], 90)).toEqual(['apart', 'apart', 'apart']);
    const floors = [200, 205].map((value) => sample(value));
    const samples = new Map([
      ['f', markUnsteady(floors, { better: 'less', stepsMax: 90 }, 1)],
      ['a', [sample(300), sample(300)]],
    ]);
    const about = [
      subject('f', { origin: 'floor' }),
      subject('a', { floor: 'f', limit: { kind: 'at-most', ratio: 3 } }),
    ];
    const results = makeResults(about, samples);
    expect(results[1]?.verdict).toBe('disturbed');
    expect(warningsOf(results)[0]).toContain('apart');
  });

  it('that was disturbed takes its pair out of the ratio', () => {
    const samples = new Map([
      ['f', markUnsteady([sample(50), sample(200), sample(50)], { better: 'less' }, 1)],
      ['a', [sample(300), sample(400), sample(300)]],
    ]);
    const about = [subject('f', { origin: 'floor' }), subject('a', { floor: 'f' })];
    expect(makeResults(about, samples)[1]?.ratio).toBe(6);
  });
});

it('says how many slices of the samples that count were left out', () => {
  const one = { ...sample(5), slicesKept: 90, slicesLost: 10 };
  const results = makeResults([subject('a')], new Map([['a', [one]]]));
  expect(warningsOf(results)).toEqual([
    'a: a side waited for its core in 10 of 100 slices, left out',
  ]);
});
