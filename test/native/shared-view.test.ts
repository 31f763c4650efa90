// The view: its variants agree, numbers of two words, copies, and what lies outside.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sharedViewVariants } from '../../native/shared-view.js';
import type { SharedView } from '../../native/shared-view.js';
import { native } from '../../native/load.js';
import { Mover } from '../../provider/nic/mover.js';
import { Prng } from '../../runtime/prng.js';

describe.each(Object.entries(sharedViewVariants))('the %s view', (_, View) => {
  it('loads what was stored, and its atomic verbs answer the old value', () => {
    const view = new View(new ArrayBuffer(64));
    view.storePlain(1, 0xffffffff);
    view.storeRelease(2, 7);
    expect([view.loadPlain(1), view.loadAcquire(2)]).toEqual([-1, 7]);
    expect([
      view.exchange(2, 8),
      view.compareExchange(2, 8, 9),
      view.compareExchange(2, 8, 10),
    ]).toEqual([7, 8, 9]);
    expect([view.or(3, 6), view.and(3, 3), view.loadPlain(3)]).toEqual([0, 6, 2]);
  });

  it('keeps every whole number below 2^53 in two words', () => {
    const view = new View(new ArrayBuffer(64));
    fc.assert(
      fc.property(fc.maxSafeNat(), (value) => {
        view.store64(4, value);
        expect(view.load64(4)).toBe(value);
        expect(new DataView(view.words.buffer).getBigUint64(16, true)).toBe(BigInt(value));
      }),
      { seed: 5, examples: [[0], [2 ** 31], [2 ** 32 - 1], [2 ** 32], [2 ** 53 - 1]] },
    );
  });

  it('copies like copyWithin, whatever the alignment and overlap', () => {
    const at = fc.nat(400);
    fc.assert(
      fc.property(at, at, fc.nat(112), fc.boolean(), (target, source, length, aligned) => {
        const mask = aligned ? ~3 : ~0;
        const view = new View(new ArrayBuffer(512));
        for (let index = 0; index < 512; index++) view.bytes[index] = index * 7;
        const expected = view.bytes
          .slice()
          .copyWithin(target & mask, source & mask, (source & mask) + (length & mask));
        view.copy(target & mask, source & mask, length & mask);
        expect(view.bytes).toEqual(expected);
      }),
      { seed: 6, numRuns: 500 },
    );
  });
});

describe('outside the arena', () => {
  it('the fast views read 0 and write nothing', () => {
    for (const View of [sharedViewVariants.plain]) {
      const view = new View(new ArrayBuffer(64));
      view.storePlain(16, 5);
      view.storeRelease(1e9, 5);
      expect([
        view.loadPlain(16),
        view.loadAcquire(-1),
        view.words.every((word) => word === 0),
      ]).toEqual([0, 0, true]);
    }
  });

  it('the checked view throws RangeError', () => {
    const view = new sharedViewVariants.checked(new ArrayBuffer(64));
    for (const index of [16, -1, 0.5, NaN]) {
      expect(() => view.loadPlain(index)).toThrow(RangeError);
      expect(() => view.loadAcquire(index)).toThrow(RangeError);
      expect(() => {
        view.storePlain(index, 1);
      }).toThrow(RangeError);
      expect(() => {
        view.storeRelease(index, 1);
      }).toThrow(RangeError);
    }
    expect(() => {
      view.copy(0, 60, 8);
    }).toThrow(RangeError);
  });
});

const LOOPS = 200_000;
const TWO_32 = 2 ** 32;
const SLOT_DOUBLES = 19;
const SOURCE = 256;
const HIGH_WORDS = [
  0x7ff00000, // infinity, or with a low word a signalling NaN
  0xfff00000,
  0x7ff00001, // signalling NaNs with payloads
  0xfff7ffff,
  0x7ff8dead, // quiet NaNs with payloads
  0xffffffff,
  0x80000000, // minus zero, and subnormals
  0x00000001,
  0x41e00000,
];

/** Fills words with patterns of which most are no ordinary number. */
function fillPatterns(words: Int32Array, from: number, count: number, prng: Prng): void {
  for (let at = from; at < from + count; at += 2) {
    words[at] = prng.chance(1, 4) ? prng.below(2) : prng.below(TWO_32);
    words[at + 1] = prng.chance(1, 4)
      ? prng.below(TWO_32)
      : (HIGH_WORDS[prng.below(HIGH_WORDS.length)] ?? 0);
  }
}

/** The first word that differs, or -1. As words: nothing here may look at the doubles. */
function firstDifference(words: Int32Array, one: number, other: number, count: number): number {
  for (let at = 0; at < count; at++) if (words[one + at] !== words[other + at]) return at;
  return -1;
}

function copyOne(view: SharedView, target: number, source: number): void {
  view.doubles[target] = view.doubles[source] as number;
}

describe('copies through doubles', () => {
  it('move every bit pattern unchanged, signalling NaNs included, in cold code and in optimised code', () => {
    const view = new sharedViewVariants.plain(new ArrayBuffer(8192));
    const prng = new Prng(91);
    const wrong: number[] = [];
    for (let loop = 0; loop < LOOPS; loop++) {
      const at = loop % 64;
      fillPatterns(view.words, 2 * (SOURCE + at), 2, prng);
      copyOne(view, at, SOURCE + at);
      if (firstDifference(view.words, 2 * at, 2 * (SOURCE + at), 2) !== -1) wrong.push(loop);
    }
    expect(wrong).toEqual([]);
  });

  it('move slots unchanged in the loops of the mover, cold and optimised', () => {
    const view = new sharedViewVariants.plain(new ArrayBuffer(8192));
    const own = { offset: 8 * SOURCE, bytes: 4096 };
    const mover = new Mover(view, native, own, 0);
    const prng = new Prng(92);
    const wrong: number[] = [];
    for (let loop = 0; loop < LOOPS; loop++) {
      const count = 1 + (loop % SLOT_DOUBLES);
      // A fresh double each time; over the laps every place has held every kind.
      fillPatterns(view.words, 2 * (SOURCE + prng.below(count)), 2, prng);
      mover.collectSmall(2, 0, 8 * count);
      mover.deliverSmall(2, 2048, 8 * count);
      const collected = firstDifference(view.words, 2, 2 * SOURCE, 2 * count);
      const delivered = firstDifference(view.words, 2 * SOURCE + 512, 2 * SOURCE, 2 * count);
      if (collected !== -1 || delivered !== -1) wrong.push(loop);
    }
    expect(wrong).toEqual([]);
  });
});
