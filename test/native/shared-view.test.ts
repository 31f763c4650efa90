// The view: its variants agree, numbers of two words, copies, and what lies outside.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sharedViewVariants } from '../../native/shared-view.js';

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
