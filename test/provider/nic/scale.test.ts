// Many connections: what one that is idle costs in memory, and that it takes part in nothing. What a
// step of the engine visits is counted in hot-list.test.ts.

import { expect, it } from 'vitest';
import { LocalEnd } from './harness/end.js';
import type { Connection } from './harness/pair.js';
import { INLINE, Pair } from './harness/pair.js';

const CONNECTIONS = 400;
const LIMIT_BYTES = 64 * 1024;

function heapBytes(): number {
  globalThis.gc?.();
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  return heapUsed + external + arrayBuffers;
}

it('an idle connection takes at most 64 KiB per side, heap included, and gives all of it back', async () => {
  const pair = await Pair.open(INLINE);
  const { nic } = pair.near.opened;
  if (!(pair.far instanceof LocalEnd)) throw new Error('the far end is not in this process');
  const far = pair.far.opened.nic;
  await pair.disconnect(await pair.connect({ completionDepth: 1 }));
  const before = { shared: nic.sharedBytes + far.sharedBytes, heap: heapBytes() };
  const connections: Connection[] = [];
  for (let count = 0; count < CONNECTIONS; count++)
    connections.push(await pair.connect({ completionDepth: 1 }));
  const shared = nic.sharedBytes + far.sharedBytes - before.shared;
  const heap = heapBytes() - before.heap;
  const perSide = (shared + heap) / (2 * CONNECTIONS);
  expect([shared / (2 * CONNECTIONS) < LIMIT_BYTES / 2, perSide < LIMIT_BYTES]).toEqual([
    true,
    true,
  ]);
  await pair.disconnect(...connections);
  // Completion queues, one per connection here, stay as long as their host.
  const left = nic.sharedBytes + far.sharedBytes - before.shared;
  expect(left).toBeLessThan(2 * CONNECTIONS * 256);
  await pair.close();
});
