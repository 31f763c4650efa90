// Opens a host, allocates memory if it is to, says what came of it, and closes the host again.

import { openHost } from '../../../index.js';
import type { HostOptions } from '../../../index.js';
import { plan, say } from './talk.js';

const { allocate = 0, ...options } = plan() as HostOptions & {
  readonly allocate?: number;
};
try {
  const host = await openHost(options);
  const memory = host.VirtualAlloc(allocate);
  // Less than that still fits.
  const less = host.VirtualAlloc(4_096);
  await host.close();
  say({ allocated: memory !== null, allocatedLess: less !== null });
} catch (thrown) {
  const { name, message, code } = thrown as Error & { code?: unknown };
  say({ name, message, code });
}
