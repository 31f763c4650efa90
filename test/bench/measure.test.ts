// How samples become a verdict: interleaving, medians, ratios within a pair, limits, the report's form.

import { describe, expect, it } from 'vitest';
import { Deadline, DeadlineError, interleave, median } from '../../bench/measure.js';
import type { Sample } from '../../bench/measure.js';
import { columns, makeResult, parseReport } from '../../bench/report.js';

function sample(value: number, ratio: number | null, disturbed = false): Sample {
  return { value, ratio, involuntarySwitches: 0, loadAverage: 0, disturbed, details: {} };
}

describe('interleave', () => {
  it('runs the measures in turn and divides each by its floor of the same pair', async () => {
    const order: string[] = [];
    let floor = 0;
    const samples = await interleave(
      [
        { name: 'a', run: async () => (order.push('a'), { value: ++floor }) },
        { name: 'b', floor: 'a', run: async () => (order.push('b'), { value: 10 }) },
      ],
      2,
    );
    expect(order).toEqual(['a', 'b', 'a', 'b']);
    expect(samples.get('a')?.map(({ ratio }) => ratio)).toEqual([null, null]);
    expect(samples.get('b')?.map(({ ratio }) => ratio)).toEqual([10, 5]);
  });

  it('counts a sample with many involuntary switches as disturbed', async () => {
    const measures = [{ name: 'a', run: async () => ({ value: 1, peerSwitches: 1e9 }) }];
    const samples = await interleave(measures, 1);
    expect(samples.get('a')?.[0]?.disturbed).toBe(true);
  });
});

it('median takes the middle whatever the order, and is not a number for nothing', () => {
  expect(median([9, 1, 5])).toBe(5);
  expect(median([4, 1])).toBe(4);
  expect(median([])).toBeNaN();
});

describe('a verdict', () => {
  const measure = { name: 'x', title: 'X', unit: 'ns', floor: 'f' } as const;
  const atMost = { ...measure, limit: { kind: 'at-most', ratio: 4 } } as const;
  const atLeast = { ...measure, limit: { kind: 'at-least', ratio: 0.9 } } as const;

  it('compares the median ratio with the limit, in both directions', () => {
    const samples = [sample(1, 3), sample(1, 100), sample(1, 4)];
    expect(makeResult(atMost, samples).verdict).toBe('within');
    expect(makeResult(atMost, [sample(1, 4.1)]).verdict).toBe('beyond');
    expect(makeResult(atLeast, [sample(1, 0.95)]).verdict).toBe('within');
    expect(makeResult(atLeast, [sample(1, 0.5)]).verdict).toBe('beyond');
    expect(makeResult(measure, [sample(1, 0.5)]).verdict).toBe('none');
  });

  it('blames the machine only when most samples beyond the limit were disturbed', () => {
    const disturbed = sample(1, 9, true);
    expect(makeResult(atMost, [disturbed, disturbed, sample(1, 9)]).verdict).toBe('disturbed');
    expect(makeResult(atMost, [disturbed, sample(1, 9), sample(1, 9)]).verdict).toBe('beyond');
  });
});

it('a report of another version is refused', () => {
  expect(() => parseReport({ format: 'winsock-direct bench', version: 2 })).toThrow();
});

it('a table has its numbers at the right', () => {
  expect(
    columns([
      ['name', 'ns'],
      ['x', '100'],
    ]),
  ).toEqual(['name   ns', 'x     100']);
});

it('a deadline throws once its time is over, and not before', () => {
  expect(() => new Deadline(60e9, 'nothing').check()).not.toThrow();
  expect(() => new Deadline(-1, 'an answer').check()).toThrow(DeadlineError);
});
