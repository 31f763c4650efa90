// The two sides in two terminals: the server carries out the tasks of one client and ends. Requests and
// reports are lines of JSON over kernel TCP on the server's own address; what is measured goes through the
// SAN as ever. Each side opens its own host by its own options: a client names no module and no folder.

import { once } from 'node:events';
import type { Socket } from 'node:net';
import { connect, createServer } from 'node:net';
import type { Interface } from 'node:readline';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import type { HostPlan } from './host-plan.js';
import { PeerProcess } from './peer-process.js';
import type { TaskCall, TaskReport, TaskRequest, TaskStarter } from './peer-protocol.js';
import { failureOf, PeerDied } from './peer-protocol.js';
import { casePlan } from './plan.js';
import { TaskCalls } from './task-calls.js';

/** The port of perftest. */
export const DEFAULT_PORT = 18515;
const PROTOCOL_VERSION = 2;

const hello = z.strictObject({
  version: z.literal(PROTOCOL_VERSION),
  fabric: z.string(),
  address: z.string(),
});
export type Hello = z.infer<typeof hello>;

const request = z.union([
  z.strictObject({ id: z.int(), task: z.string(), plan: z.unknown() }),
  z.strictObject({ id: z.int(), note: z.unknown() }),
  /** The client has all that it wanted, and goes. */
  z.strictObject({ isDone: z.literal(true) }),
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
  /** What a client may ask for. */
  readonly tasks: readonly string[];
  readonly signal: AbortSignal;
  /** Called when a client can come. */
  listening(port: number): void;
}

/** The other terminal is gone, or is not what it should be. The message is the sentence to show. */
export class RemoteError extends Error {
  override readonly name = 'RemoteError';
}

/**
 * Serves one client. Throws what listening throws, RemoteError when the client goes in the middle of a
 * measurement, PeerDied, and the reason of `signal`.
 */
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
    await new Service(socket, options).run();
  } catch (thrown) {
    signal.throwIfAborted();
    throw thrown;
  } finally {
    server.close();
  }
}

/** A process that has been told to end while it spins on a message does not hear it. */
const END_PATIENCE_MS = 300;

/**
 * One client. Its tasks are carried out by a process of their own: this one hears of a Ctrl-C and of the
 * client's end at once, however long the other one spins.
 */
class Service {
  readonly #socket: Socket;
  readonly #options: ServerOptions;
  readonly #worker: PeerProcess;
  /** The tasks that have not ended. */
  readonly #running = new Set<number>();
  #isDone = false;

  constructor(socket: Socket, options: ServerOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#worker = new PeerProcess((made) => this.#report(made));
  }

  async run(): Promise<void> {
    const { host, signal } = this.#options;
    const socket = this.#socket;
    const lines = linesOf(socket);
    const end = new Promise<Error | null>((resolve) => {
      lines.on('line', (line) => {
        try {
          this.#take(line);
        } catch {
          resolve(new RemoteError('what the client asked for is nothing that a server does'));
        }
      });
      lines.on('close', () => resolve(null));
      void this.#worker
        .exited()
        .then(() => resolve(new PeerDied(this.#worker.pid, 'at the server')));
      signal.addEventListener('abort', () => resolve(signal.reason as Error), { once: true });
    });
    socket.write(
      `${JSON.stringify({ version: PROTOCOL_VERSION, fabric: host.fabric, address: host.address } satisfies Hello)}\n`,
    );
    const why = await end;
    if (why !== null) this.#failAll(why);
    socket.end();
    await this.#worker.stop(END_PATIENCE_MS);
    lines.close();
    socket.destroy();
    if (why !== null) throw why;
    if (!this.#isDone) throw new RemoteError('the client has gone in the middle of a measurement');
  }

  #take(line: string): void {
    const { host, tasks } = this.#options;
    const given = request.parse(JSON.parse(line));
    if ('isDone' in given) {
      this.#isDone = true;
      return;
    }
    const asked = withOwnHost(given, host);
    if ('task' in asked) {
      if (!tasks.includes(asked.task)) throw new TypeError(`there is no task ${asked.task}`);
      this.#running.add(asked.id);
    }
    this.#worker.request(asked);
  }

  #report(made: TaskReport): void {
    if (made.kind !== 'told') this.#running.delete(made.id);
    if (this.#socket.writable) this.#socket.write(`${JSON.stringify(made)}\n`);
  }

  /** What was under way has failed: who waits for it is told why. */
  #failAll(why: Error): void {
    const failure = { ...failureOf(why), stack: null };
    for (const id of [...this.#running]) this.#report({ id, kind: 'failed', failure });
  }
}

/** The lines that come; a connection that breaks ends them. */
function linesOf(socket: Socket): Interface {
  socket.on('error', () => undefined);
  const lines = createInterface({ input: socket });
  lines.on('error', () => lines.close());
  return lines;
}

/** The client says what to measure; which host answers is the server's own business. */
function withOwnHost(
  given: Exclude<z.infer<typeof request>, { isDone: true }>,
  host: HostPlan,
): TaskRequest {
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

  /**
   * Throws RemoteError when nobody serves there, or somebody else does, and the reason of `signal`.
   */
  static async connect(address: string, port: number, signal: AbortSignal): Promise<RemotePeer> {
    const socket = connect({ host: address, port, noDelay: true });
    const calls = new TaskCalls((made) => socket.write(`${JSON.stringify(made)}\n`));
    try {
      await once(socket, 'connect', { signal });
      const lines = linesOf(socket);
      lines.on('close', () => calls.end(new RemoteError('the server has gone')));
      const greeting = await firstLine(lines, signal);
      lines.on('line', (line) => calls.take(report.parse(JSON.parse(line))));
      return new RemotePeer(socket, hello.parse(JSON.parse(greeting)), calls);
    } catch (thrown) {
      socket.destroy();
      signal.throwIfAborted();
      throw new RemoteError(`${address}:${port}: ${whyNot(thrown)}`, { cause: thrown });
    }
  }

  start<Told, Result>(task: string, plan: unknown): TaskCall<Told, Result> {
    return this.#calls.start(task, plan);
  }

  /** The server may end well: otherwise the client has gone in the middle. */
  takeLeave(): void {
    this.#socket.write(`${JSON.stringify({ isDone: true })}\n`);
  }

  stop(): Promise<void> {
    this.#socket.end();
    return Promise.resolve();
  }
}

const GREETING_PATIENCE_MS = 5_000;

/** Throws RemoteError when none comes. */
async function firstLine(lines: Interface, signal: AbortSignal): Promise<string> {
  const isOver = new AbortController();
  const patience = AbortSignal.any([signal, AbortSignal.timeout(GREETING_PATIENCE_MS)]);
  try {
    const ended = once(lines, 'close', { signal: isOver.signal }).then(() => null);
    const line = once(lines, 'line', { signal: patience }).then(([text]: unknown[]) =>
      String(text),
    );
    const found = await Promise.race([line, ended]);
    if (found === null) throw new RemoteError('the server has gone');
    return found;
  } finally {
    isOver.abort();
  }
}

function whyNot(thrown: unknown): string {
  const { code, name, message } = failureOf(thrown);
  if (code === 'ECONNREFUSED')
    return 'nobody serves there: start the same test with --server first';
  return name === 'RemoteError' || typeof code === 'string'
    ? message
    : 'what listens there is no server of this version';
}
