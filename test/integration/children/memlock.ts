// Allocates and registers memory beyond the memlock limit under which it was started, and says what came
// of it. What is warned of goes to standard error.

import * as spi from '../../../provider/spi/index.js';
import { openRawPair } from './raw-pair.js';
import type { RawPairPlan } from './raw-pair.js';
import { plan, say } from './talk.js';

const BYTES = 1 << 20;

// The superuser has no limit; nobody has.
if (process.getuid?.() === 0) process.setuid?.(65_534);

const ends = await openRawPair({ engine: 'inline', ...(plan() as Omit<RawPairPlan, 'engine'>) });
const [{ raw, socket }] = ends;
const { environment, extensions, table } = raw;

const blocks = [1, 2].map(() => environment.memory.VirtualAlloc(BYTES));
const errno = spi.ref(0);
const handle = extensions.WSPRegisterMemory(
  socket,
  Buffer.alloc(BYTES),
  BYTES,
  spi.MEM_READWRITE,
  errno,
);
const outcome = {
  allocated: blocks.map((block) => block !== null),
  registered: handle === 0 ? errno.value : 0,
};
if (handle !== 0) extensions.WSPDeregisterMemory(socket, handle, errno);
for (const block of blocks) if (block !== null) environment.memory.VirtualFree(block);
for (const end of ends) end.raw.table.lpWSPCloseSocket(end.socket, errno);
raw.wait(
  () => ends.every((end) => end.raw.environment.usage().queuePairs === 0),
  'the release of the queue pairs',
);
table.lpWSPCleanup(errno);
const usage = environment.usage();
for (const end of ends) await end.raw.close();
say({ ...outcome, usage });
