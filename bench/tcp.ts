// The peers to compare with: the same two processes over kernel TCP on loopback, or over a UNIX socket, by
// plain node:net. The answering side echoes small messages, and acknowledges the end of a stream with one
// byte.

import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { now, pinToSide, unpin } from './machine.js';
import type { Reading } from './measure.js';
import { median } from './measure.js';
import { Neighbours, NoiseWatch, threadName } from './noise.js';
import type { Task, TaskContext } from './peer.js';
import type { TaskCall, TaskStarter } from './peer-protocol.js';

const LOOPBACK = '127.0.0.1';
const BATCH = 100;

/** Where the answering side listens, and the thread that does. */
type Place = ({ readonly port: number } | { readonly path: string }) & { readonly thread: string };

interface TransportPlan {
  /** Default: TCP. */
  readonly transport?: 'tcp' | 'unix';
  /** Default true: each side has a core of its own, as the sides of a measurement have. */
  readonly pins?: boolean;
}

export interface TcpLatencyPlan extends TransportPlan {
  readonly bytes: number;
  readonly rounds: number;
}

export interface TcpStreamPlan extends TransportPlan {
  readonly bytes: number;
  readonly count: number;
}

/** Half the median round trip over batches, in nanoseconds. */
export async function measureTcpLatency(peer: TaskStarter, plan: TcpLatencyPlan): Promise<Reading> {
  const call = peer.start<Place, null>('tcp-echo', plan);
  return onConnection(plan, call, async (socket) => {
    const trips = await tcpPingPong(socket, plan);
    // V8 compiles and the connection opens its window in the first ones.
    return median(trips.slice(trips.length >> 2)) / 2;
  });
}

/** What `act` finds, with an eye on who else was there. */
async function onConnection(
  { pins }: TransportPlan,
  call: TaskCall<Place, null>,
  act: (socket: Socket) => Promise<number>,
): Promise<Reading> {
  const place = await call.told();
  const socket = await open(place);
  if (pins !== false) pinToSide(0);
  try {
    const neighbours = new Neighbours([threadName(), place.thread]);
    const watch = new NoiseWatch();
    const value = await act(socket);
    const foreignNanos = neighbours.end();
    // Who sleeps waits for its core after every wake-up: that is what it costs.
    const noise = { ...watch.end(), waitedNanos: 0, involuntarySwitches: 0, foreignNanos };
    return { value, noise: [noise] };
  } finally {
    unpin();
    socket.destroy();
    await call.result();
  }
}

function tcpPingPong(socket: Socket, plan: TcpLatencyPlan): Promise<number[]> {
  const message = new Uint8Array(plan.bytes);
  const trips: number[] = [];
  let [received, round, start] = [0, 0, now()];
  return new Promise((resolve, reject) => {
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('the TCP connection ended early')));
    socket.on('data', (chunk) => {
      received += chunk.length;
      if (received < plan.bytes) return;
      received = 0;
      round++;
      if (round % BATCH === 0) {
        const stop = now();
        trips.push((stop - start) / BATCH);
        start = stop;
      }
      if (round < plan.rounds || trips.length === 0) socket.write(message);
      else resolve(trips);
    });
    socket.write(message);
  });
}

/** Bytes per nanosecond until the other side has everything. */
export async function measureTcpStream(peer: TaskStarter, plan: TcpStreamPlan): Promise<Reading> {
  const call = peer.start<Place, null>('tcp-sink', plan);
  return onConnection(plan, call, async (socket) => {
    const message = new Uint8Array(plan.bytes);
    const begin = now();
    const acknowledged = once(socket, 'data');
    for (let index = 0; index < plan.count; index++) {
      if (!socket.write(message)) await once(socket, 'drain');
    }
    await acknowledged;
    return (plan.bytes * plan.count) / (now() - begin);
  });
}

async function open(place: Place): Promise<Socket> {
  const socket =
    'path' in place
      ? connect({ path: place.path })
      : connect({ host: LOOPBACK, port: place.port, noDelay: true });
  await once(socket, 'connect');
  return socket;
}

/** Serves one connection with `serve` and resolves when it has closed. */
async function serveOne(
  { transport, pins }: TransportPlan,
  context: TaskContext,
  serve: (socket: Socket) => void,
): Promise<null> {
  const server = createServer({ noDelay: true });
  // Closing the server removes the socket's name.
  if (transport === 'unix') server.listen(path.join(tmpdir(), `wsd-bench-${process.pid}.sock`));
  else server.listen(0, LOOPBACK);
  await once(server, 'listening');
  const connected = once(server, 'connection', { signal: context.signal });
  const at = server.address() as AddressInfo | string;
  const where = typeof at === 'string' ? { path: at } : { port: at.port };
  if (pins !== false) pinToSide(1);
  await context.tell({ ...where, thread: threadName() } satisfies Place);
  try {
    const [socket] = (await connected) as [Socket];
    // The starting side ends the connection by a reset, which is no failure.
    socket.on('error', () => undefined);
    serve(socket);
    await once(socket, 'close', { signal: context.signal });
    return null;
  } finally {
    unpin();
    server.close();
  }
}

const tcpEcho: Task = (plan: TcpLatencyPlan, context) =>
  serveOne(plan, context, (socket) => {
    socket.on('data', (chunk) => socket.write(chunk));
  });

const tcpSink: Task = (plan: TcpStreamPlan, context) =>
  serveOne(plan, context, (socket) => {
    let left = plan.bytes * plan.count;
    socket.on('data', (chunk) => {
      left -= chunk.length;
      if (left === 0) socket.write(new Uint8Array(1));
    });
  });

/** What the second process answers to. */
export const tcpTasks: Readonly<Record<string, Task>> = {
  'tcp-echo': tcpEcho,
  'tcp-sink': tcpSink,
};
