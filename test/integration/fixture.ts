// What the integration tests share: fabrics of their own, hosts with Winsock started, waits under a
// watchdog, and the proof that a test leaves nothing behind. It knows the published entry points and
// where fabrics have their files; nothing of what lies between.

import { readdirSync } from 'node:fs';
import { afterEach, expect } from 'vitest';
import { startWinsock } from '../../examples/helpers.js';
import { openHost } from '../../index.js';
import type { Host, HostOptions, HostUsage, Winsock } from '../../index.js';
import { FABRIC_BASE, FabricDirectory } from '../../native/fabric-directory.js';
import * as spi from '../../provider/spi/index.js';

export const A = '127.77.0.1';
export const B = '127.77.0.2';
export const ENGINES = ['inline', 'worker'] as const;
export type Engine = (typeof ENGINES)[number];

/** A watchdog, not an expectation: how long anything may take before a test gives up on it. */
export const WATCHDOG_MS = 25_000;

export const UNUSED: HostUsage = { queuePairs: 0, registrations: 0, memoryBlocks: 0 };

const fabrics = new Set<string>();
const hosts = new Set<Host>();
const cleanups: (() => void | Promise<void>)[] = [];

/** The name of a fabric that nobody else uses; its directory must be gone when the test ends. */
export function newFabric(): string {
  const fabric = `it-${process.pid}-${fabrics.size + 1}`;
  fabrics.add(fabric);
  return fabric;
}

export function fabricPath(fabric: string): string {
  return new FabricDirectory(fabric).path;
}

/** Runs `act` when the test ends, in reverse order, before it is checked that nothing is left. */
export function atEnd(act: () => void | Promise<void>): void {
  cleanups.push(act);
}

afterEach(async () => {
  for (let act = cleanups.pop(); act !== undefined; act = cleanups.pop()) await act();
  for (const host of hosts) await host.close();
  hosts.clear();
  for (const fabric of fabrics) {
    // Of any user: some children give up their privileges.
    const left = readdirSync(FABRIC_BASE).filter((name) => name.endsWith(`-${fabric}`));
    expect(left, 'directories of fabrics').toEqual([]);
  }
});

/** Opens a host and starts Winsock on it; the test closes it with closeClean. */
export async function open(options: HostOptions): Promise<Host> {
  const host = await openHost(options);
  hosts.add(host);
  startWinsock(host);
  return host;
}

/**
 * The proof that nothing is in use below the switch, and the end of the hosts. Hosts of one connection
 * go together: each lets go of its memory when the other has.
 */
export async function closeClean(...ending: readonly Host[]): Promise<void> {
  for (const host of ending) await host.winsock.promises.WSACleanup();
  for (const host of ending) {
    await until(() => {
      host.progress();
      return host.usage().queuePairs === 0;
    }, `the release of queue pairs at ${host.address}`);
  }
  for (const host of ending) {
    expect(host.usage()).toEqual(UNUSED);
    await host.close();
    hosts.delete(host);
  }
}

/** Lets the event loop turn until `done()` holds. */
export async function until(done: () => boolean, what: string): Promise<void> {
  const deadline = new Deadline(what);
  while (!done()) {
    deadline.check();
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

/** Settles like `promise`, or rejects when that takes too long. */
export async function watched<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`gave up waiting: ${what}`));
    }, WATCHDOG_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The watchdog of a loop that holds the thread. */
export class Deadline {
  readonly #what: string;
  readonly #end = process.hrtime.bigint() + BigInt(WATCHDOG_MS) * 1_000_000n;

  constructor(what: string) {
    this.#what = what;
  }

  check(): void {
    if (process.hrtime.bigint() > this.#end) throw new Error(`gave up waiting: ${this.#what}`);
  }
}

/** Returns `result`, or throws WsaError with the last error when the call has failed. */
export function must(winsock: Winsock, call: string, result: number): number {
  if (result !== spi.SOCKET_ERROR && result !== spi.INVALID_SOCKET) return result;
  throw new spi.WsaError(winsock.WSAGetLastError(), { call });
}

export function newSocket({ winsock }: Host): number {
  const { AF_INET, SOCK_STREAM, IPPROTO_TCP } = spi;
  return must(winsock, 'socket', winsock.socket(AF_INET, SOCK_STREAM, IPPROTO_TCP));
}

/** A listening socket on a port of the host's address that the kernel has chosen. */
export function listen(host: Host): { readonly listener: number; readonly port: number } {
  const { winsock } = host;
  const listener = newSocket(host);
  const name = spi.sockaddrIn(host.address, 0);
  must(winsock, 'bind', winsock.bind(listener, name, name.length));
  must(winsock, 'listen', winsock.listen(listener, 5));
  must(winsock, 'getsockname', winsock.getsockname(listener, name, spi.ref(name.length)));
  return { listener, port: spi.sockaddrPort(name) };
}

/** A connected socket, by a blocking connect. Throws WsaError with the socket closed. */
export function connect(host: Host, address: string, port: number): number {
  const { winsock } = host;
  const socket = newSocket(host);
  const name = spi.sockaddrIn(address, port);
  if (winsock.connect(socket, name, name.length) === 0) return socket;
  const error = winsock.WSAGetLastError();
  winsock.closesocket(socket);
  throw new spi.WsaError(error, { call: 'connect' });
}

/** The code of the WsaError that `act` throws. */
export function errorOf(act: () => unknown): number {
  try {
    act();
  } catch (thrown) {
    if (spi.isWsaError(thrown)) return thrown.code;
    throw thrown;
  }
  return 0;
}

export interface Pair {
  readonly a: Host;
  readonly b: Host;
  /** The connecting and the accepted socket. */
  readonly atA: number;
  readonly atB: number;
}

/** Two hosts of this thread and a connection from A to B. */
export async function openPair(
  options: { readonly a?: Partial<HostOptions>; readonly b?: Partial<HostOptions> } = {},
): Promise<Pair> {
  const fabric = newFabric();
  const a = await open({ fabric, address: A, engine: 'inline', ...options.a });
  const b = await open({ fabric, address: B, engine: 'inline', ...options.b });
  const { listener, port } = listen(b);
  const atA = connect(a, B, port);
  const atB = must(b.winsock, 'accept', b.winsock.accept(listener, null, null));
  b.winsock.closesocket(listener);
  return { a, b, atA, atB };
}

/** Sends `text` from one socket and receives it at the other, with blocking calls. */
export function carry(
  from: { readonly host: Host; readonly socket: number },
  to: { readonly host: Host; readonly socket: number },
  text: string,
): string {
  const bytes = Buffer.from(text);
  must(from.host.winsock, 'send', from.host.winsock.send(from.socket, bytes, bytes.length, 0));
  const buffer = Buffer.alloc(bytes.length);
  for (let at = 0; at < buffer.length; ) {
    const rest = buffer.subarray(at);
    const { winsock } = to.host;
    const count = must(winsock, 'recv', winsock.recv(to.socket, rest, rest.length, 0));
    if (count === 0) throw new Error('the stream ended early');
    at += count;
  }
  return buffer.toString();
}
