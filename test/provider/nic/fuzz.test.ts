// A hostile peer: a bounded run of random hostile acts. The long form is fuzz.long.test.ts. To replay
// a failure, set FUZZ_SEED to the seed it names.

import { expect, it } from 'vitest';
import { Fuzz } from './harness/fuzz.js';

const SEED = Number(process.env['FUZZ_SEED'] ?? 0x5ef2);
const CASES = 20_000;

it(`a hostile peer changes and sees nothing that is not open to it, and stops nobody (seed ${SEED}) [MEM-03 MEM-04 MEM-06]`, async () => {
  const fuzz = await Fuzz.open(SEED);
  for (let count = 0; count < CASES; count++) fuzz.step();
  expect(fuzz.broken).toBeGreaterThan(100);
  await fuzz.close();
});
