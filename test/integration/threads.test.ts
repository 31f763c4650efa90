// Threads: each has hosts, a last error and completion routines of its own, and takes its operations
// with it when it ends.

import { describe, expect, it } from 'vitest';
import * as spi from '../../provider/spi/index.js';
import { Child } from './child.js';
import { A, B, newFabric } from './fixture.js';

describe('a worker thread', () => {
  it('is a thread of its own, and its end cancels what it has started [W1.1 W5.11 W9.10.2 W9.12.6 APP-08]', async () => {
    const child = new Child('threads', { fabric: newFabric(), a: A, b: B });
    expect(await child.said()).toEqual({
      result: 0,
      strangerError: spi.WSAENOTSOCK,
      statuses: [spi.NTSTATUS.STATUS_CANCELLED, spi.NTSTATUS.STATUS_CANCELLED],
      routines: 0,
      queued: false,
    });
    const seen = await child.said<{ cloned: string; outcome: number; lastError: number }>();
    expect(seen.cloned).toBe('DataCloneError');
    expect(seen.lastError).toBe(4711);
    expect([0, spi.WSAECONNRESET, spi.WSAECONNABORTED]).toContain(seen.outcome);
    expect(await child.ended).toBe(0);
  });
});
