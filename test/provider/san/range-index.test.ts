// The index of ranges against a plain list, over seeded histories.

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Prng } from '../../../runtime/prng.js';
import type { AddressRange } from '../../../provider/san/range-index.js';
import { RangeIndex } from '../../../provider/san/range-index.js';

function contains(range: AddressRange, address: number, end: number): boolean {
  return range.address <= address && range.end >= end;
}

function sorted(ranges: readonly AddressRange[]): AddressRange[] {
  return [...ranges].sort((one, other) => one.address - other.address || one.serial - other.serial);
}

describe('RangeIndex', () => {
  it('finds a containing range exactly when a plain list has one, and all that touch it', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffffffff }), (seed) => {
        const random = new Prng(seed);
        const index = new RangeIndex(() => random.uint32());
        const list: AddressRange[] = [];
        for (let step = 0; step < 200; step++) {
          if (list.length > 0 && random.chance(1, 3)) {
            const [range] = list.splice(random.below(list.length), 1);
            if (range !== undefined) index.remove(range);
          } else {
            const address = random.below(100);
            const range = { address, end: address + random.between(1, 40), serial: step };
            list.push(range);
            index.add(range);
          }
          const address = random.below(110);
          const end = address + random.between(1, 30);
          const found = index.containing(address, end);
          const containing = list.filter((range) => contains(range, address, end));
          const isRight = found === null ? containing.length === 0 : containing.includes(found);
          const touching = list.filter((range) => range.address < end && range.end > address);
          expect([isRight, index.touching(address, end)]).toEqual([true, sorted(touching)]);
        }
      }),
      { numRuns: 30 },
    );
  });

  it('keeps 100,000 ranges apart, in whatever order they come', () => {
    const random = new Prng(7);
    const index = new RangeIndex(() => random.uint32());
    const ranges = Array.from({ length: 100_000 }, (_, serial) => ({
      address: serial * 64,
      end: serial * 64 + 32,
      serial,
    }));
    for (const range of random.shuffle([...ranges])) index.add(range);
    const isFound = (range: AddressRange): boolean =>
      index.containing(range.address, range.end) === range;
    expect(ranges.filter((range) => !isFound(range))).toEqual([]);
    expect(index.containing(32, 33)).toBeNull();
    for (const range of ranges) index.remove(range);
    expect(index.containing(0, 1)).toBeNull();
  });
});
