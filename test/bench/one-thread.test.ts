// Both ends of a connection on one thread, as the counting of instructions needs them: every message
// arrives, on every layer, over several connections, and nothing is left.

import { existsSync } from 'node:fs';
import { expect, it } from 'vitest';
import { Exchange, GROUP, openPairs, WAYS } from '../../bench/one-thread.js';
import { LEVELS } from '../../bench/plan.js';

const BYTES = 64;

it.each(LEVELS)('messages of the %s layer come there and back on one thread', async (level) => {
  const fabric = `one-thread-test-${process.pid}`;
  const options = { slotBytes: BYTES, slotCount: GROUP + 1, mode: 'spin', connections: 3 } as const;
  for (const way of WAYS) {
    const pairs = await openPairs(level, fabric, options);
    try {
      const exchange = new Exchange(pairs, way, BYTES);
      for (let run = 0; run < 3; run++) exchange.run(4 * GROUP);
      // Each says in its first word which slot it is of.
      const slots = way === 'lat' ? 2 : GROUP;
      for (const { receiveWords, slotBytes } of pairs.far) {
        const found = Array.from(
          { length: slots },
          (_, slot) => receiveWords[(slot * slotBytes) / 4],
        );
        expect(found).toEqual(Array.from({ length: slots }, (_, slot) => slot));
      }
    } finally {
      await pairs.close();
    }
  }
  expect(existsSync(`/dev/shm/wsd-${process.getuid?.() ?? 0}-${fabric}`)).toBe(false);
});
