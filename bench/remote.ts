// The two sides in two terminals: the server carries out the tasks of one client and ends. Requests and
// reports are lines of JSON over kernel TCP on the server's own address; what is measured goes through the
// SAN as ever. Each side opens its own host by its own options: a client names no module and no folder.

import { once } from 'node:events';
import type { Socket } from 'node:net';
import { connect, createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import type { HostPlan } from './host-plan.js';
import type { Task } from './peer.js';
import { TaskServer } from './peer.js';
import type { TaskCall, TaskRequest, TaskStarter } from './peer-protocol.js';
import { PeerDied } from './peer-protocol.js';
import { casePlan } from './plan.js';
import { TaskCalls } from './task-calls.js';

/** The port of perftest. */
export const DEFAULT_PORT = 18515;
const PROTOCOL_VERSION = 1;

const hello = z.strictObject({
  version: z.literal(PROTOCOL_VERSION),
  fabric: z.string(),
  address: z.string(),
});
export type Hello = z.infer<typeof hello>;

const request = z.union([
  z.strictObject({ id: z.int(), task: z.string(), plan: z.unknown() }),
  z.strictObject({ id: z.int(), note: z.unknown() }),
]);
const report = z.union([
  z.strictObject({ id: z.int(), kind: z.literal('told'), info: z.unknown() }),
  z.strictObject({ id: z.int(), kind: z.literal('done'), result: z.unknown() }),
  z.strictObject({
    id: z.int(),
    kind: z.literal('failed'),
    failure: z.strictObject({
      name: z.string(),
      message: z.string(),
      code: z.union([z.string(), z.number()]).nullable(),
      stack: z.string().nullable(),
    }),
  }),
]);

export interface ServerOptions {
  readonly host: HostPlan;
  readonly port: number;
  readonly tasks: Readonly<Record<string, Task>>;
  readonly signal: AbortSignal;
  /** Called when a client can come. */
  listening(port: number): void;
}

/** Serves one client. Throws what listening throws, and the reason of `signal`. */
export async function serveClient(options: ServerOptions): Promise<void> {
  const { host, signal } = options;
  const server = createServer();
  server.listen(options.port, host.address);
  try {
    await once(server, 'listening', { signal });
    const at = server.address();
    options.listening(typeof at === 'object' && at !== null ? at.port : options.port);
    const [socket] = (await once(server, 'connection', { signal })) as [Socket];
    server.close();
    await serve(socket, options);
  } catch (thrown) {
    signal.throwIfAborted();
    throw thrown;
  } finally {
    server.close();
  }
}

async function serve(socket: Socket, { host, tasks, signal }: ServerOptions): Promise<void> {
  socket.on('error', () => undefined);
  const tasksHere = new TaskServer(tasks, null, (made) => {
    socket.write(`${JSON.stringify(made)}\n`);
    return Promise.resolve();
  });
  const greeting: Hello = { version: 1, fabric: host.fabric, address: host.address };
  socket.write(`${JSON.stringify(greeting)}\n`);
  const lines = createInterface({ input: socket });
  lines.on('line', (line) => {
    try {
      tasksHere.take(withOwnHost(request.parse(JSON.parse(line)), host));
    } catch (thrown) {
      tasksHere.end(thrown instanceof Error ? thrown : new Error(String(thrown)));
      socket.destroy();
    }
  });
  lines.on('close', () => tasksHere.end(new Error('the client is gone')));
  const abort = (): void => tasksHere.end(signal.reason as Error);
  signal.addEventListener('abort', abort, { once: true });
  try {
    await tasksHere.serve();
    signal.throwIfAborted();
  } finally {
    signal.removeEventListener('abort', abort);
    lines.close();
    socket.destroy();
  }
}

/** The client says what to measure; which host answers is the server's own business. */
function withOwnHost(given: z.infer<typeof request>, host: HostPlan): TaskRequest {
  if (!('task' in given)) return { id: given.id, note: given.note };
  const plan = casePlan.parse(given.plan);
  return { id: given.id, task: given.task, plan: { ...plan, peerHost: host } };
}

/** A server in another terminal, as the side that starts sees it. */
export class RemotePeer implements TaskStarter {
  readonly hello: Hello;
  readonly #socket: Socket;
  readonly #calls: TaskCalls;

  private constructor(socket: Socket, greeting: Hello, calls: TaskCalls) {
    this.#socket = socket;
    this.#calls = calls;
    this.hello = greeting;
  }

  /** Throws the socket's error when nobody listens there, ZodError when that is no server of ours. */
  static async connect(address: string, port: number): Promise<RemotePeer> {
    const socket = connect({ host: address, port, noDelay: true });
    await once(socket, 'connect');
    const calls = new TaskCalls((made) => socket.write(`${JSON.stringify(made)}\n`));
    const lines = createInterface({ input: socket });
    const gone = (): void => calls.end(new PeerDied(undefined, 'the server has closed'));
    socket.on('error', gone);
    lines.on('close', gone);
    const [first] = (await once(lines, 'line')) as [string];
    lines.on('line', (line) => calls.take(report.parse(JSON.parse(line))));
    return new RemotePeer(socket, hello.parse(JSON.parse(first)), calls);
  }

  start<Told, Result>(task: string, plan: unknown): TaskCall<Told, Result> {
    return this.#calls.start(task, plan);
  }

  stop(): Promise<void> {
    this.#socket.destroy();
    return Promise.resolve();
  }
}
