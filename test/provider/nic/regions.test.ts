// The region table against a Map: whatever was entered and removed, it opens exactly what the Map does.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { isKey, RegionTable } from '../../../provider/nic/regions.js';

interface Entry {
  readonly base: number;
  readonly length: number;
  readonly access: number;
  readonly owner: number;
}

/** Keys that collide in the table's first sizes, and large ones. */
const keys = fc.oneof(
  fc.integer({ min: 2, max: 40 }),
  fc.integer({ min: 1, max: 30 }).map((step) => step * 1024 + 7),
  fc.integer({ min: 2 ** 31, max: 2 ** 32 - 1 }),
);
const entries = fc.record({
  base: fc.nat(10_000),
  length: fc.integer({ min: 1, max: 5000 }),
  access: fc.integer({ min: 1, max: 15 }),
  owner: fc.nat(3),
});
const steps = fc.array(fc.tuple(fc.boolean(), keys, entries), { maxLength: 400 });

function allowsInModel(model: Map<number, Entry>, key: number, probe: Entry): boolean {
  const entry = model.get(key);
  if (entry === undefined || entry.owner !== probe.owner) return false;
  if ((entry.access & probe.access) !== probe.access) return false;
  return probe.base >= entry.base && probe.base + probe.length <= entry.base + entry.length;
}

it('opens exactly what was registered: key, range, rights and owner [MEM-03 MEM-04 MEM-05 MEM-06]', () => {
  fc.assert(
    fc.property(steps, fc.array(fc.tuple(keys, entries), { minLength: 50 }), (walk, probes) => {
      const table = new RegionTable();
      const model = new Map<number, Entry>();
      for (const [isAdded, key, entry] of walk) {
        if (isAdded && !model.has(key)) {
          table.add(key, entry.base, entry.length, entry.access, entry.owner);
          model.set(key, entry);
        } else expect(table.remove(key)).toBe(model.delete(key));
      }
      expect(table.size).toBe(model.size);
      for (const [key, entry] of model) {
        expect(table.allows(key, entry.base, entry.length, entry.access, entry.owner)).toBe(true);
        expect(table.allows(key, entry.base, entry.length + 1, entry.access, entry.owner)).toBe(
          false,
        );
      }
      for (const [key, probe] of probes) {
        const allowed = table.allows(key, probe.base, probe.length, probe.access, probe.owner);
        expect(allowed).toBe(allowsInModel(model, key, probe));
      }
    }),
    { seed: 0x5eed },
  );
});

it('stays small when registrations come and go for ever', () => {
  const table = new RegionTable();
  for (let round = 0; round < 100_000; round++) {
    const key = (Math.imul(round, 0x9e3779b1) >>> 0) + 2;
    if (!isKey(key)) continue;
    table.add(key, 0, 1, 1, 0);
    expect(table.remove(key)).toBe(true);
  }
  expect(table.size).toBe(0);
});

it('keys 0 and 1 are no keys', () => {
  const table = new RegionTable();
  expect([0, 1, 2, 2 ** 32 - 1, 2 ** 32].map(isKey)).toEqual([false, false, true, true, false]);
  expect([table.has(0), table.has(1), table.remove(1), table.allows(0, 0, 0, 0, 0)]).toEqual([
    false,
    false,
    false,
    false,
  ]);
});
