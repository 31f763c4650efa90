// What an idle connection costs in the provider and its NIC, beside the buffers that are posted on it:
// shared memory (queues, ring, state) and everything on the heap that the connection keeps alive.

import { expect, it } from 'vitest';
import * as spi from '../../../provider/spi/index.js';
import { memoryInUse } from '../../integration/many-connections.js';
import type { End } from './real-pair.js';
import { RealPair } from './real-pair.js';

const CONNECTIONS = 150;
const RECEIVES = 16;
const LIMIT_BYTES = 64 * 1024;

it('takes at most 64 KiB per side beyond its posted buffers, shared memory and heap together [MEM-08]', async () => {
  const pair = await RealPair.open('inline engines', spi.PROFILES.documented);
  const sides = [pair.near, pair.far] as const;
  const blocks = [
    await pair.near.allocate(RECEIVES, 'segment', 0),
    await pair.far.allocate(RECEIVES, 'segment', 0),
  ];
  // The buffers are one block for all: what is measured is what is kept about them.
  const post = async (end: End, s: number, block: number): Promise<void> => {
    await end.register(s, block, spi.MEM_WRITE);
    for (let at = 0; at < RECEIVES; at++) {
      expect(await end.receive(s, { block, from: at, to: at + 1 }, true)).toBeGreaterThanOrEqual(0);
    }
  };
  const connect = async (): Promise<void> => {
    const { near, far } = await pair.connect();
    await post(pair.near, near, blocks[0] ?? -1);
    await post(pair.far, far, blocks[1] ?? -1);
  };
  const shared = async (): Promise<number> =>
    (await pair.near.sharedBytes()) + (await pair.far.sharedBytes());
  for (let warm = 0; warm < 10; warm++) await connect();
  const before = { shared: await shared(), heap: await memoryInUse() };
  for (let count = 0; count < CONNECTIONS; count++) await connect();
  const ends = CONNECTIONS * sides.length;
  const sharedEach = ((await shared()) - before.shared) / ends;
  const heapEach = ((await memoryInUse()) - before.heap) / ends;
  // docs/nic.md and docs/performance.md say how much it is.
  expect(Math.ceil(sharedEach / 1024)).toBe(25);
  expect(sharedEach + heapEach).toBeLessThan(LIMIT_BYTES);
  await pair.close();
});
