// The same as sim.test.ts for as many seeds as there is time for: SIM_SEEDS of them from SIM_FIRST on.

import { expect, it } from 'vitest';
import { runBatch } from './index.js';

const FIRST = Number(process.env['SIM_FIRST'] ?? 100_000);
const SEEDS = Number(process.env['SIM_SEEDS'] ?? 5_000);
const BATCH = 250;

it(`${SEEDS} seeds from ${FIRST} on keep every promise`, async () => {
  for (let first = FIRST; first < FIRST + SEEDS; first += BATCH) {
    const count = Math.min(BATCH, FIRST + SEEDS - first);
    expect((await runBatch({ first, count })).failures).toEqual([]);
  }
});
