// Two threads, each with a host of its own: the main one listens and receives, a worker connects, leaves
// a receive pending, and ends. Says what each has seen. The worker is this file, too.

import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { startWinsock } from '../../../examples/helpers.js';
import { openHost } from '../../../index.js';
import type { Host } from '../../../index.js';
import * as spi from '../../../provider/spi/index.js';
import { plan, say } from './talk.js';

interface Plan {
  readonly fabric: string;
  readonly a: string;
  readonly b: string;
}

interface Peer {
  readonly port: number;
  /** A socket of the main thread's host. */
  readonly stranger: number;
  readonly plan: Plan;
}

async function open(fabric: string, address: string): Promise<Host> {
  const host = await openHost({ fabric, address, engine: 'inline' });
  startWinsock(host);
  return host;
}

if (isMainThread) await main(plan() as Plan);
else await worker(workerData as Peer);

async function main(own: Plan): Promise<void> {
  const host = await open(own.fabric, own.b);
  const { winsock } = host;
  const listener = winsock.socket(spi.AF_INET, spi.SOCK_STREAM, 0);
  const name = spi.sockaddrIn(own.b, 0);
  winsock.bind(listener, name, 16);
  winsock.listen(listener, 5);
  winsock.getsockname(listener, name, spi.ref(16));
  let cloned = '';
  try {
    structuredClone(winsock);
  } catch (thrown) {
    cloned = (thrown as Error).name;
  }
  winsock.WSASetLastError(4711);
  const peer: Peer = { port: spi.sockaddrPort(name), stranger: listener, plan: own };
  // A new thread has no TypeScript loader until it is given one.
  const start = `import('tsx/esm/api').then(({ register }) => {
    register();
    return import(${JSON.stringify(import.meta.url)});
  })`;
  const thread = new Worker(start, { eval: true, workerData: peer });
  const gone = new Promise((resolve) => thread.once('exit', resolve));
  const s = await winsock.promises.accept(listener, null, null);
  const outcome = await winsock.promises.recv(s, new Uint8Array(1), 1, 0).then(
    (bytes) => bytes,
    (error: unknown) => (error as spi.WsaError).code,
  );
  await gone;
  say({ cloned, outcome, lastError: winsock.WSAGetLastError() });
  await host.close();
}

async function worker({ port, stranger, plan: own }: Peer): Promise<void> {
  const { winsock } = await open(own.fabric, own.a);
  const s = winsock.socket(spi.AF_INET, spi.SOCK_STREAM, 0);
  const result = winsock.connect(s, spi.sockaddrIn(own.b, port), 16);
  winsock.getpeername(stranger === s ? s + 4096 : stranger, new Uint8Array(16), spi.ref(16));
  const strangerError = winsock.WSAGetLastError();
  const ov = spi.createOverlapped(winsock.WSACreateEvent());
  const buffers = [{ len: 4, buf: new Uint8Array(4) }];
  winsock.WSARecv(s, buffers, 1, null, spi.ref(0), ov, null);
  let routines = 0;
  const withRoutine = spi.createOverlapped();
  winsock.WSARecv(s, buffers, 1, null, spi.ref(0), withRoutine, () => routines++);
  process.on('exit', () => {
    const statuses = [ov.Internal, withRoutine.Internal];
    const queued = winsock.QueueUserAPC(() => routines++, winsock.GetCurrentThread(), null);
    say({ result, strangerError, statuses, routines, queued });
  });
  process.exit(0);
}
