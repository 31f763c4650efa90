// What messages carry and what is noticed of it, at every size from one byte on; the order of mixed sizes;
// and the histogram that times go into.

import * as hdr from 'hdr-histogram-js';
import { describe, expect, it } from 'vitest';
import { PayloadError } from '../../bench/endpoint.js';
import { hdrText } from '../../bench/hdr.js';
import { Histogram, mergeHistograms } from '../../bench/histogram.js';
import { Payload } from '../../bench/payload.js';
import { makePlan, sequenceOf } from '../../bench/plan.js';
import { Prng } from '../../runtime/prng.js';

describe('a payload', () => {
  it.each([1, 2, 3, 4, 5, 8, 63, 64])('of %i bytes is known again by its counter', (bytes) => {
    for (const verify of ['counter', 'full'] as const) {
      const payload = new Payload(bytes, verify);
      const words = new Uint32Array(32);
      for (const index of [0, 1, 250, 251, 1000]) {
        const counter = payload.counterOf(index);
        payload.fill(words, 8, counter);
        expect(payload.counterAt(words, 8)).toBe(counter);
        expect(() => payload.check(words, 8, counter)).not.toThrow();
        expect(() => payload.check(words, 8, payload.counterOf(index + 1))).toThrow(PayloadError);
        expect(counter).not.toBe(payload.stop);
      }
    }
  });

  it('looked at in full shows a single wrong word anywhere, and by its counter one at its end', () => {
    const words = new Uint32Array(16);
    for (let at = 0; at < words.length; at++) {
      for (const verify of ['counter', 'full', 'off'] as const) {
        const payload = new Payload(64, verify);
        payload.fill(words, 0, 5);
        words[at] = (words[at] ?? 0) ^ 0x100;
        const isSeen = verify === 'full' || (verify === 'counter' && (at === 0 || at === 15));
        if (isSeen) expect(() => payload.check(words, 0, 5)).toThrow(PayloadError);
        else expect(() => payload.check(words, 0, 5)).not.toThrow();
      }
    }
  });
});

describe('mixed sizes', () => {
  const host = { fabric: 'f', address: '127.77.0.1' };
  const sides = { level: 'app', host, peerHost: { ...host, address: '127.77.0.2' } } as const;
  const mix: [number, number][] = [
    [64, 3],
    [4096, 1],
  ];

  it('come in the order of their seed and in their shares', () => {
    const made = (seed: number): number[] => {
      const sequence = sequenceOf(makePlan({ ...sides, test: 'mixed', bytes: 4096, mix, seed }));
      return Array.from({ length: 8192 }, (_, index) => sequence.payload(index).bytes);
    };
    const [sizes, again, other] = [made(1), made(1), made(2)];
    expect(again).toEqual(sizes);
    expect(other).not.toEqual(sizes);
    const share = sizes.filter((size) => size === 64).length / sizes.length;
    expect(share).toBeGreaterThan(0.7);
    expect(share).toBeLessThan(0.8);
  });

  it('are counted in bytes', () => {
    const sequence = sequenceOf(makePlan({ ...sides, test: 'mixed', bytes: 4096, mix }));
    let bytes = 0;
    for (let index = 0; index < 10_000; index++) bytes += sequence.payload(index).bytes;
    expect(sequence.totalBytes(10_000)).toBe(bytes);
  });
});

describe('a histogram', () => {
  it('gives percentiles within 1/128 of the exact ones, at every magnitude', () => {
    const random = new Prng(7);
    const [histogram, values] = [new Histogram(), [] as number[]];
    for (let index = 0; index < 20_000; index++) {
      const value = Math.floor(2 ** ((random.uint32() / 2 ** 32) * 34));
      histogram.record(value);
      values.push(value);
    }
    values.sort((a, b) => a - b);
    for (const percent of [1, 50, 90, 99, 99.9]) {
      const exact = values[Math.ceil((percent / 100) * values.length) - 1] ?? 0;
      const found = histogram.percentile(percent);
      expect(Math.abs(found - exact)).toBeLessThanOrEqual(1 + exact / 128);
    }
    expect([histogram.min, histogram.max]).toEqual([values[0], values.at(-1)]);
    const mean = values.reduce((sum, one) => sum + one, 0) / values.length;
    expect(histogram.mean).toBeCloseTo(mean, 3);
  });

  it('is the same in one piece and merged of two', () => {
    const [whole, first, second] = [new Histogram(), new Histogram(), new Histogram()];
    for (let value = 0; value < 1000; value++) {
      whole.record(value * 3);
      (value % 2 === 0 ? first : second).record(value * 3);
    }
    const merged = mergeHistograms([first.data(), second.data()]);
    expect(merged.data().buckets).toEqual(whole.data().buckets);
    expect([merged.count, merged.stdev]).toEqual([whole.count, whole.stdev]);
  });

  it('is read by other programs in the form of HdrHistogram', () => {
    const histogram = new Histogram();
    for (let value = 100; value < 1100; value++) histogram.record(value);
    const read = hdr.decodeFromCompressedBase64(hdrText(histogram.data()));
    expect(read.totalCount).toBe(1000);
    expect(Math.abs(read.getValueAtPercentile(50) - 600)).toBeLessThan(10);
  });

  it('of nothing has no percentile, and counts a time below zero as none', () => {
    const histogram = new Histogram();
    expect([histogram.percentile(50), histogram.min]).toEqual([Number.NaN, Number.NaN]);
    histogram.record(-5);
    expect([histogram.min, histogram.max, histogram.percentile(50)]).toEqual([0, 0, 0]);
  });
});
