// Opens a host, says what came of it, and closes it again.

import { openHost } from '../../../index.js';
import type { HostOptions } from '../../../index.js';
import { plan, say } from './talk.js';

try {
  const host = await openHost(plan<HostOptions>());
  await host.close();
  say({ name: null });
} catch (thrown) {
  const { name, message, code } = thrown as Error & { code?: unknown };
  say({ name, message, code });
}
