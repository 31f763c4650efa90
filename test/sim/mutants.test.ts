// The simulation notices a broken switch: every mutant, with each of its seeds. The table with everything that
// is noticed: npm run mutants.

import { expect, it } from 'vitest';
import { simulateMutant } from '../conformance/self/mutants.js';
import { switchMutants } from '../conformance/self/switch-mutants.js';

it.each(switchMutants)('the simulation catches the mutant $name', async (mutant) => {
  const [seed] = mutant.caughtBy.seeds ?? [];
  expect(seed).toBeDefined();
  expect(mutant.source).not.toBe('');
  expect([...(await simulateMutant(mutant, [seed ?? 0])).keys()]).toEqual([seed]);
});

it('the mutants have names of their own', () => {
  expect(new Set(switchMutants.map(({ name }) => name)).size).toBe(switchMutants.length);
});
