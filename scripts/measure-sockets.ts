// Measures 64-byte ping-pongs between two processes on 127.0.0.1: the base provider alone, plain Node,
// and as the floor two C++ threads with blocking sockets. One line each, with the ratio to the floor of
// the same round; the median of the rounds counts. Not a test: its numbers depend on the machine.
//
//   npx tsx scripts/measure-sockets.ts [rounds]

import { fork } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { native } from '../native/load.js';
import { Reactor } from '../native/reactor.js';
import * as spi from '../provider/spi/index.js';
import { createProvider } from '../provider/tcpip/provider.js';
import { MonotonicClock } from '../runtime/clock.js';
import { Prng } from '../runtime/prng.js';
import { ProgressLoop } from '../runtime/progress.js';

const BYTES = 64;
const TRIPS = 20_000;
const BATCH = 100;
const STREAM = spi.SOCK_STREAM;
const DGRAM = spi.SOCK_DGRAM;

const lpErrno = spi.ref(0);

/** The base provider with a progress loop, as a host has it. */
function startProvider(): spi.FullProcTable {
  const clock = new MonotonicClock(() => native.now());
  const reactor = new Reactor();
  const loop = new ProgressLoop(clock, {
    fence: () => undefined,
    park: (deadline) => {
      reactor.poll(Math.max(0, deadline - clock.now()));
    },
  });
  loop.add({ role: 'reactor', doWork: () => reactor.poll(0) });
  const nothing = (): void => undefined;
  const provider = createProvider({
    clock,
    random: new Prng(1),
    progress: loop,
    memory: { VirtualAlloc: () => null, VirtualFree: () => false, addressOf: () => 0 },
    logger: { debug: nothing, info: nothing, warn: nothing, error: nothing },
    profile: spi.PROFILES.documented,
    nic: null,
    sockets: { reactor, hostAddress: null, blocking: loop },
    processId: process.pid,
  });
  const table = spi.emptyProcTable();
  const upcalls = {
    lpWPUQueryBlockingCallback: () => 0,
  } as unknown as spi.WSPUpcallTableEx;
  provider.WSPStartupEx(0x0202, spi.emptyWspData(), spi.tcpProtocolInfo(), upcalls, table);
  return table as spi.FullProcTable;
}

function must(result: number): number {
  if (result === spi.SOCKET_ERROR || result === spi.INVALID_SOCKET) {
    throw new Error(spi.errorName(lpErrno.value));
  }
  return result;
}

function boundSocket(wsp: spi.FullProcTable, type: number): { s: number; name: Uint8Array } {
  const s = must(wsp.lpWSPSocket(spi.AF_INET, type, 0, null, 0, 0, lpErrno));
  const name = spi.sockaddrIn('127.0.0.1', 0);
  must(wsp.lpWSPBind(s, name, name.length, lpErrno));
  must(wsp.lpWSPGetSockName(s, name, spi.ref(name.length), lpErrno));
  return { s, name };
}

function noDelay(wsp: spi.FullProcTable, s: number): void {
  const on = Uint8Array.of(1, 0, 0, 0);
  must(wsp.lpWSPSetSockOpt(s, spi.IPPROTO_TCP, spi.TCP_NODELAY, on, 4, lpErrno));
}

/** One message back and forth, from either side. */
class Messages {
  readonly #wsp: spi.FullProcTable;
  readonly #s: number;
  readonly #buffers = [{ len: BYTES, buf: new Uint8Array(BYTES) }];
  readonly #count = spi.ref(0);
  readonly #flags = spi.ref(0);

  constructor(wsp: spi.FullProcTable, s: number) {
    this.#wsp = wsp;
    this.#s = s;
  }

  send(): void {
    const { lpWSPSend } = this.#wsp;
    must(lpWSPSend(this.#s, this.#buffers, 1, this.#count, 0, null, null, null, lpErrno));
  }

  /** The bytes received; 0 is the end. */
  receive(): number {
    const { lpWSPRecv } = this.#wsp;
    this.#flags.value = 0;
    const [flags, count] = [this.#flags, this.#count];
    must(lpWSPRecv(this.#s, this.#buffers, 1, count, flags, null, null, null, lpErrno));
    return count.value;
  }
}

async function echoWithProvider(type: number): Promise<void> {
  const wsp = startProvider();
  const { s, name } = boundSocket(wsp, type);
  if (type === STREAM) must(wsp.lpWSPListen(s, 1, lpErrno));
  process.send?.(spi.sockaddrPort(name));
  const [port] = (await once(process, 'message')) as [number];
  const peer = type === STREAM ? must(wsp.lpWSPAccept(s, null, null, null, null, lpErrno)) : s;
  if (type === STREAM) noDelay(wsp, peer);
  else {
    const from = spi.sockaddrIn('127.0.0.1', port);
    must(wsp.lpWSPConnect(s, from, from.length, null, null, null, null, lpErrno));
  }
  const messages = new Messages(wsp, peer);
  for (let trip = 0; trip < TRIPS && messages.receive() > 0; trip++) messages.send();
  wsp.lpWSPCleanup(lpErrno);
  process.disconnect();
}

async function echoWithNode(type: number): Promise<void> {
  if (type === STREAM) {
    const server = createServer({ noDelay: true }, (socket) => socket.pipe(socket));
    server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
  } else {
    const socket = createSocket('udp4');
    socket.on('message', (data, { port, address }) => {
      socket.send(data, port, address);
    });
    socket.bind(0, '127.0.0.1', () => process.send?.(socket.address().port));
  }
  await once(process, 'message');
  await once(process, 'disconnect');
  process.exit(0);
}

function median(values: number[]): number {
  return [...values].sort((one, other) => one - other)[values.length >> 1] ?? NaN;
}

/** Median over batches of `trip`, in nanoseconds. */
function timed(trip: () => void): number {
  const batches: number[] = [];
  let start = native.now();
  for (let count = 1; count <= TRIPS; count++) {
    trip();
    if (count % BATCH !== 0) continue;
    const stop = native.now();
    batches.push((stop - start) / BATCH);
    start = stop;
  }
  return median(batches);
}

async function withEcho(
  role: string,
  body: (port: number, tell: (port: number) => void) => Promise<number>,
): Promise<number> {
  const child = fork(fileURLToPath(import.meta.url), [role], { execArgv: ['--import', 'tsx'] });
  const ended = once(child, 'exit');
  const [port] = (await once(child, 'message')) as [number];
  const value = await body(port, (own) => child.send(own));
  if (child.connected) child.disconnect();
  await ended;
  return value;
}

function measureProvider(type: number): Promise<number> {
  return withEcho(type === STREAM ? 'provider-tcp' : 'provider-udp', async (port, tell) => {
    const wsp = startProvider();
    const { s, name } = boundSocket(wsp, type);
    const to = spi.sockaddrIn('127.0.0.1', port);
    must(wsp.lpWSPConnect(s, to, to.length, null, null, null, null, lpErrno));
    if (type === STREAM) noDelay(wsp, s);
    tell(spi.sockaddrPort(name));
    // The other side has to be there before the clock runs, and a datagram must not be lost.
    await new Promise((resolve) => setTimeout(resolve, 200));
    const messages = new Messages(wsp, s);
    const value = timed(() => {
      messages.send();
      messages.receive();
    });
    wsp.lpWSPCleanup(lpErrno);
    return value;
  });
}

function measureNodeTcp(): Promise<number> {
  return withEcho('node-tcp', async (port, tell) => {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true });
    await once(socket, 'connect');
    tell(0);
    const message = new Uint8Array(BYTES);
    const value = await chained((next) => {
      socket.on('data', next);
      return () => socket.write(message);
    });
    socket.destroy();
    return value;
  });
}

function measureNodeUdp(): Promise<number> {
  return withEcho('node-udp', async (port, tell) => {
    const socket = createSocket('udp4');
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    tell(0);
    const message = new Uint8Array(BYTES);
    const value = await chained((next) => {
      socket.on('message', next);
      return () => {
        socket.send(message, port, '127.0.0.1');
      };
    });
    socket.close();
    return value;
  });
}

/** Runs trips one after another in the event loop: `arrange` hears of arrivals, and sends. */
function chained(arrange: (next: () => void) => () => void): Promise<number> {
  return new Promise((resolve) => {
    const batches: number[] = [];
    let [count, start] = [0, native.now()];
    const send = arrange(() => {
      count++;
      if (count % BATCH === 0) {
        const stop = native.now();
        batches.push((stop - start) / BATCH);
        start = stop;
      }
      if (count < TRIPS) send();
      else resolve(median(batches));
    });
    send();
  });
}

async function measure(rounds: number): Promise<void> {
  const ways: Record<string, () => Promise<number>> = {
    'floor tcp': () => Promise.resolve(native.socketPingPong(STREAM, BYTES, TRIPS)),
    'provider tcp': () => measureProvider(STREAM),
    'node:net': measureNodeTcp,
    'floor udp': () => Promise.resolve(native.socketPingPong(DGRAM, BYTES, TRIPS)),
    'provider udp': () => measureProvider(DGRAM),
    'node:dgram': measureNodeUdp,
  };
  const results = new Map<string, number[]>();
  for (let round = 0; round < rounds; round++) {
    for (const [name, way] of Object.entries(ways)) {
      results.set(name, [...(results.get(name) ?? []), await way()]);
    }
  }
  for (const [name, values] of results) {
    const floor = results.get(/tcp|net/.test(name) ? 'floor tcp' : 'floor udp') ?? [];
    const ratios = values.map((value, index) => value / (floor[index] ?? NaN));
    const micros = (median(values) / 1000).toFixed(1);
    console.log(
      `${name.padEnd(14)} ${micros.padStart(6)} us round trip  ${median(ratios).toFixed(2)} x`,
    );
  }
}

const ROLES: Readonly<Record<string, () => Promise<void>>> = {
  'provider-tcp': () => echoWithProvider(STREAM),
  'provider-udp': () => echoWithProvider(DGRAM),
  'node-tcp': () => echoWithNode(STREAM),
  'node-udp': () => echoWithNode(DGRAM),
};

const [argument = '3'] = process.argv.slice(2);
await (ROLES[argument] ?? (() => measure(Number(argument))))();
