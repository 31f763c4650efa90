// A hostile peer, a million acts and more, each seed a process life of its own. To replay a failure, set
// FUZZ_SEED to the seed it names.

import { expect, it } from 'vitest';
import { Fuzz } from './harness/fuzz.js';

const CASES_PER_SEED = 125_000;
const FIRST_SEED = Number(process.env['FUZZ_SEED'] ?? 0x5eed);
const SEEDS = Array.from({ length: 8 }, (_, index) => FIRST_SEED + index);

it.each(SEEDS)('seed %i: a hostile peer gets nothing and stops nobody', async (seed) => {
  const fuzz = await Fuzz.open(seed);
  for (let count = 0; count < CASES_PER_SEED; count++) fuzz.step();
  expect(fuzz.cases).toBe(CASES_PER_SEED);
  process.stdout.write(`seed ${seed}: ${fuzz.cases} cases, ${fuzz.broken} connections broken\n`);
  await fuzz.close();
});
