// The demonstration's transfer from both sides: the beginning of the file in small sends, the rest in
// large ones out of VirtualAlloc memory, several of each under way, every outcome announced by an
// event; at the far end the digest of what arrived.

import { createHash } from 'node:crypto';
import { readSync } from 'node:fs';
import { acceptOne, AppEndpoint, connectTo, listenOn, openApp } from '../bench/endpoint-app.js';
import { SLOT_COUNT } from '../bench/endpoint.js';
import type { HostPlan } from '../bench/host-plan.js';
import { breathe } from '../bench/breath.js';
import type { Task, TaskContext } from '../bench/peer.js';
import type { PeerProcess } from '../bench/peer-process.js';
import type { SwitchStatistics } from '../index.js';
import { isWsaError } from '../provider/spi/index.js';
import { Prng } from '../runtime/prng.js';
import { CommandFailure } from './errors.js';

/** Operations under way on each side. */
const DEPTH = SLOT_COUNT / 2;
const LARGE_BYTES = 1 << 20;
/** How much of the file goes in small sends, and their sizes. */
const SMALL_SHARE_BYTES = 64 * 1024;
const SMALL_BYTES_MIN = 64;
const SMALL_BYTES_MAX = 1024;
const SEED = 1;
/** A wait in the kernel lasts this long at most: signals are served in between. */
const WAIT_MS = 50;
const OPERATIONS_PER_BREATH = 16;

export interface TransferPlan {
  readonly host: HostPlan;
  readonly peerHost: HostPlan;
  readonly file: { readonly fd: number; readonly bytes: number };
  readonly repeat: number;
  /** Called as bytes go out. */
  sent(bytes: number, total: number): void;
}

export interface TransferOutcome {
  readonly bytes: number;
  readonly digest: string;
  readonly engine: 'inline' | 'worker';
  readonly statistics: SwitchStatistics;
  readonly received: ReceivedOutcome;
}

interface ReceivePlan {
  readonly peerHost: HostPlan;
  readonly bytes: number;
}

interface ReceivedOutcome {
  readonly bytes: number;
  readonly digest: string;
  readonly statistics: SwitchStatistics;
}

/** Sends the file. Throws CommandFailure when the connection ends early, Interrupted, PeerFailure. */
export async function sendFile(
  peer: PeerProcess,
  plan: TransferPlan,
  signal: AbortSignal,
): Promise<TransferOutcome> {
  const total = plan.file.bytes * plan.repeat;
  const receive: ReceivePlan = { peerHost: plan.peerHost, bytes: total };
  const call = peer.start<{ port: number }, ReceivedOutcome>('demo-receive', receive);
  const { port } = await call.told();
  const host = await openApp(plan.host);
  let endpoint: AppEndpoint;
  try {
    const socket = connectTo(host, plan.peerHost.address, port);
    endpoint = new AppEndpoint(host, socket, { slotBytes: LARGE_BYTES, mode: 'sleep' });
  } catch (thrown) {
    await host.close();
    throw thrown;
  }
  let outcome: Omit<TransferOutcome, 'received'>;
  try {
    const digest = await sendPieces(endpoint, plan, signal);
    await finishSending(endpoint, signal);
    outcome = { bytes: total, digest, engine: host.engine, statistics: host.statistics() };
  } finally {
    await endpoint.close();
  }
  return { ...outcome, received: await call.result() };
}

async function sendPieces(
  endpoint: AppEndpoint,
  plan: TransferPlan,
  signal: AbortSignal,
): Promise<string> {
  const hash = createHash('sha256');
  const total = plan.file.bytes * plan.repeat;
  let [position, operation] = [0, 0];
  try {
    for (const bytes of pieces(total, plan.file.bytes)) {
      const slot = operation % SLOT_COUNT;
      const memory = endpoint.sendMemory(slot);
      readExactly(plan.file.fd, memory, bytes, position % plan.file.bytes);
      hash.update(memory.subarray(0, bytes));
      endpoint.startSend(slot, bytes);
      position += bytes;
      if (operation >= DEPTH - 1) await sendDone(endpoint, operation - DEPTH + 1, signal);
      plan.sent(position, total);
      if (++operation % OPERATIONS_PER_BREATH === 0) await breathe(signal);
    }
    const first = Math.max(0, operation - DEPTH + 1);
    for (let index = first; index < operation; index++) await sendDone(endpoint, index, signal);
  } catch (thrown) {
    if (!isWsaError(thrown)) throw thrown;
    const how = `the connection ended after ${position} of ${total} bytes: ${thrown.message}`;
    throw new CommandFailure(how, { cause: thrown });
  }
  return hash.digest('hex');
}

/** Sizes of the sends: no piece runs over the end of the file, where the next repetition begins. */
function* pieces(total: number, fileBytes: number): Generator<number> {
  const random = new Prng(SEED);
  let position = 0;
  while (position < total) {
    const left = fileBytes - (position % fileBytes);
    const isSmall = position < SMALL_SHARE_BYTES;
    const wanted = isSmall ? random.between(SMALL_BYTES_MIN, SMALL_BYTES_MAX) : LARGE_BYTES;
    const bytes = Math.min(wanted, left);
    yield bytes;
    position += bytes;
  }
}

function readExactly(fd: number, memory: Uint8Array, bytes: number, position: number): void {
  let read = 0;
  while (read < bytes) {
    const count = readSync(fd, memory, read, bytes - read, position + read);
    if (count === 0) throw new CommandFailure('the file became shorter while it was being sent');
    read += count;
  }
}

async function sendDone(
  endpoint: AppEndpoint,
  operation: number,
  signal: AbortSignal,
): Promise<void> {
  while (endpoint.trySend(operation % SLOT_COUNT, WAIT_MS) < 0) await breathe(signal);
}

/** Says that nothing more comes and waits for the same word of the other side, which has it all then. */
async function finishSending(endpoint: AppEndpoint, signal: AbortSignal): Promise<void> {
  endpoint.finish();
  endpoint.postReceive(0, LARGE_BYTES);
  while (endpoint.tryReceive(0, WAIT_MS) < 0) await breathe(signal);
}

const demoReceive = async (plan: ReceivePlan, context: TaskContext): Promise<ReceivedOutcome> => {
  const host = await openApp(plan.peerHost);
  let endpoint: AppEndpoint;
  try {
    const { listener, port } = listenOn(host);
    await context.tell({ port });
    const socket = await acceptOne(host, listener, context.signal);
    endpoint = new AppEndpoint(host, socket, { slotBytes: LARGE_BYTES, mode: 'sleep' });
  } catch (thrown) {
    await host.close();
    throw thrown;
  }
  try {
    const { bytes, digest } = await receivePieces(endpoint, context.signal);
    endpoint.finish();
    return { bytes, digest, statistics: host.statistics() };
  } finally {
    await endpoint.close();
  }
};

/** Receives until the end of the stream, in the order in which the receives were posted. */
async function receivePieces(
  endpoint: AppEndpoint,
  signal: AbortSignal,
): Promise<{ readonly bytes: number; readonly digest: string }> {
  const hash = createHash('sha256');
  let bytes = 0;
  for (let slot = 0; slot < DEPTH; slot++) endpoint.postReceive(slot, LARGE_BYTES);
  for (let operation = 0; ; operation++) {
    const slot = operation % SLOT_COUNT;
    let received = endpoint.tryReceive(slot, WAIT_MS);
    for (; received < 0; received = endpoint.tryReceive(slot, WAIT_MS)) await breathe(signal);
    if (received === 0) return { bytes, digest: hash.digest('hex') };
    hash.update(endpoint.receiveMemory(slot).subarray(0, received));
    bytes += received;
    endpoint.postReceive((operation + DEPTH) % SLOT_COUNT, LARGE_BYTES);
    if (operation % OPERATIONS_PER_BREATH === 0) await breathe(signal);
  }
}

/** What the second process answers to. */
export const demoTasks: Readonly<Record<string, Task>> = { 'demo-receive': demoReceive };
