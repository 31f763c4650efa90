// The measures of a SAN connection, each from both sides: what the first process does and returns as a
// reading, and the task by which the second process answers. Which of them run, and against which
// floors, is bench.ts's and the demonstration's business.

import { getHeapStatistics } from 'node:v8';
import type { SwitchStatistics } from '../index.js';
import type { ConnectionPlan, Listening, Opened, Ready } from './connection.js';
import { answer, start } from './connection.js';
import type { Endpoint } from './endpoint.js';
import { PayloadError, SLOT_COUNT } from './endpoint.js';
import { ProviderEndpoint } from './endpoint-provider.js';
import {
  Answerer,
  pingPong,
  prepareStream,
  receiveStream,
  Starter,
  StreamSender,
} from './loops.js';
import type { PingPongPlan } from './loops.js';
import { cpuNanos, now, pinToSide, unpin } from './machine.js';
import type { Reading } from './measure.js';
import { involuntarySwitches, median } from './measure.js';
import type { Task, TaskContext } from './peer.js';
import type { PeerProcess } from './peer-process.js';

/** A reading and what the connection's host counted; null below the switch. */
export interface TransferReading extends Reading {
  readonly statistics: SwitchStatistics | null;
}

interface Answered {
  readonly switches: number;
}

type Starts = (opened: Opened & { readonly ready: Ready }) => Omit<Reading, 'peerSwitches'>;

/** Runs `measure` on a fresh connection to the task of the other process. */
async function onConnection(
  peer: PeerProcess,
  task: string,
  plan: ConnectionPlan,
  measure: Starts,
): Promise<TransferReading> {
  const call = peer.start<Listening | Ready, Answered>(task, plan);
  const opened = await start(plan, call);
  const reading = await closingAfter(opened, () => ({
    ...measure(opened),
    statistics: opened.statistics(),
  }));
  const { switches } = await call.result();
  return { ...reading, peerSwitches: switches };
}

/**
 * Closes this side before the other side's outcome is waited for: closing takes both, and nothing
 * moves on a host whose thread waits for something else.
 */
async function closingAfter<T>(opened: Opened, act: () => T | Promise<T>): Promise<T> {
  try {
    return await act();
  } finally {
    await opened.endpoint.close();
    unpin();
  }
}

/** Answers on a fresh connection; the connection is closed when the starting side has closed its own. */
async function onAnswer<Prepared>(
  plan: ConnectionPlan,
  context: TaskContext,
  act: {
    prepare(endpoint: Endpoint): Prepared;
    serve(endpoint: Endpoint, prepared: Prepared): void;
  },
): Promise<Answered> {
  const { endpoint, prepared } = await answer(plan, context, (made) => act.prepare(made));
  try {
    const before = involuntarySwitches();
    act.serve(endpoint, prepared);
    return { switches: involuntarySwitches() - before };
  } finally {
    await endpoint.close();
    unpin();
  }
}

// Latency ----------------------------------------------------------------------------------------

export interface LatencyPlan extends ConnectionPlan {
  readonly pingPong: PingPongPlan;
}

/** Half the median round trip, in nanoseconds. */
export function measureLatency(peer: PeerProcess, plan: LatencyPlan): Promise<TransferReading> {
  return onConnection(peer, 'latency', plan, ({ endpoint }) => {
    const trips = pingPong(endpoint, plan.pingPong);
    return { value: median(trips) / 2, details: { fastest: Math.min(...trips) / 2 } };
  });
}

const latency = (plan: LatencyPlan, context: TaskContext): Promise<Answered> =>
  onAnswer(plan, context, {
    prepare: (endpoint) => new Answerer(endpoint, plan.pingPong.bytes),
    serve: (_endpoint, answerer) => answerer.serve(),
  });

// Bandwidth --------------------------------------------------------------------------------------

export interface StreamPlan extends ConnectionPlan {
  readonly bytes: number;
  readonly count: number;
}

/** The receiving side's word that everything has arrived. */
const ACKNOWLEDGEMENT_BYTES = 64;

/**
 * Messages before anything counts: every page of every slot was touched by both sides then. The copy
 * floor has touched its own as well.
 */
export const WARM_MESSAGES = 16 * SLOT_COUNT;

/** WSASend into posted WSARecv (or the provider's equivalents), in bytes per nanosecond. */
export function measureStream(peer: PeerProcess, plan: StreamPlan): Promise<TransferReading> {
  return onConnection(peer, 'stream', plan, ({ endpoint }) => {
    const sender = new StreamSender(endpoint, (slot) => endpoint.startSend(slot, plan.bytes));
    endpoint.postReceive(0, ACKNOWLEDGEMENT_BYTES);
    sender.send(WARM_MESSAGES);
    const begin = now();
    sender.send(plan.count);
    endpoint.awaitReceive(0);
    const value = (plan.bytes * plan.count) / (now() - begin);
    return { value, details: steadyRate(sender, plan) };
  });
}

const stream = (plan: StreamPlan, context: TaskContext): Promise<Answered> =>
  onAnswer(plan, context, {
    prepare: (endpoint) => prepareStream(endpoint, plan.bytes),
    serve: (endpoint) => {
      receiveStream(endpoint, plan.bytes, WARM_MESSAGES + plan.count);
      acknowledge(endpoint);
    },
  });

/** WSPRdmaWrite into the other side's exposed memory, in bytes per nanosecond. */
export function measureRdmaWrite(peer: PeerProcess, plan: StreamPlan): Promise<TransferReading> {
  return onConnection(peer, 'rdma-write', plan, ({ endpoint, ready }) => {
    if (!(endpoint instanceof ProviderEndpoint)) throw new TypeError('RDMA is below the switch');
    const target = Uint8Array.from(ready.descriptor ?? []);
    const write = (slot: number): void => endpoint.startWrite(slot, plan.bytes, target);
    const writer = new StreamSender(endpoint, write);
    endpoint.postReceive(0, ACKNOWLEDGEMENT_BYTES);
    writer.send(WARM_MESSAGES);
    const begin = now();
    writer.send(plan.count);
    const nanos = now() - begin;
    // A send does not overtake the writes before it: it tells that they are there. [RDMA-09]
    const closing = closingSlot(plan);
    endpoint.startSend(closing, ACKNOWLEDGEMENT_BYTES);
    endpoint.awaitSend(closing);
    endpoint.awaitReceive(0);
    return { value: (plan.bytes * plan.count) / nanos, details: steadyRate(writer, plan) };
  });
}

/** The rate of the middle rotation, if there is one. */
function steadyRate(sender: StreamSender, plan: StreamPlan): Record<string, number> {
  const rotations = sender.rotations();
  return rotations.length === 0 ? {} : { steady: (plan.bytes * SLOT_COUNT) / median(rotations) };
}

/**
 * Receives and exposed slots are the same memory: the closing message goes to the slot whose counter
 * is the oldest.
 */
function closingSlot(plan: StreamPlan): number {
  return (WARM_MESSAGES + plan.count) % SLOT_COUNT;
}

const rdmaWrite = (plan: StreamPlan, context: TaskContext): Promise<Answered> => {
  const closing = closingSlot(plan);
  const total = WARM_MESSAGES + plan.count;
  return onAnswer(plan, context, {
    prepare: (endpoint) => endpoint.postReceive(closing, ACKNOWLEDGEMENT_BYTES),
    serve: (endpoint) => {
      endpoint.awaitReceive(closing);
      for (let index = total - SLOT_COUNT + 1; index < total; index++) {
        const slot = index % SLOT_COUNT;
        const found = endpoint.receiveWords[(slot * endpoint.slotBytes) >>> 2];
        if (found !== index) {
          throw new PayloadError(
            `slot ${slot} holds write ${found ?? 'none'} in place of ${index}`,
          );
        }
      }
      acknowledge(endpoint);
    },
  });
};

function acknowledge(endpoint: Endpoint): void {
  endpoint.startSend(0, ACKNOWLEDGEMENT_BYTES);
  endpoint.awaitSend(0);
}

// Allocation -------------------------------------------------------------------------------------

export interface HeapPlan extends ConnectionPlan {
  readonly bytes: number;
  readonly segments: number;
  readonly roundTripsPerSegment: number;
}

/** Segments before anything counts: the code is compiled for good after these. */
const WARM_SEGMENTS = 3;
/** A round trip is a send and a receive on each side. */
const OPERATIONS_PER_ROUND_TRIP = 2;

/** Heap growth in bytes per operation, the larger of both sides. */
export async function measureHeap(peer: PeerProcess, plan: HeapPlan): Promise<Reading> {
  const call = peer.start<Listening | Ready, number>('heap', plan);
  const opened = await start(plan, call);
  const own = await closingAfter(opened, () => {
    const starter = new Starter(opened.endpoint, plan.bytes);
    return growthPerOperation(plan, () => starter.roundTrips(plan.roundTripsPerSegment));
  });
  const other = await call.result();
  return { value: Math.max(own, other), details: { starting: own, answering: other } };
}

const heap = async (plan: HeapPlan, context: TaskContext): Promise<number> => {
  const { endpoint, prepared } = await answer(
    plan,
    context,
    (made) => new Answerer(made, plan.bytes),
  );
  try {
    return growthPerOperation(plan, () => prepared.serve(plan.roundTripsPerSegment));
  } finally {
    await endpoint.close();
    unpin();
  }
};

/**
 * The median over segments, since a collection within one makes it look smaller. Reading the
 * statistics costs an object of its own, once per segment.
 */
function growthPerOperation(plan: HeapPlan, segment: () => void): number {
  const growths: number[] = [];
  for (let index = 0; index < plan.segments + WARM_SEGMENTS; index++) {
    const before = getHeapStatistics().used_heap_size;
    segment();
    const growth = getHeapStatistics().used_heap_size - before;
    if (index >= WARM_SEGMENTS) growths.push(growth);
  }
  return Math.max(0, median(growths)) / (plan.roundTripsPerSegment * OPERATIONS_PER_ROUND_TRIP);
}

// Rest -------------------------------------------------------------------------------------------

export interface IdlePlan extends ConnectionPlan {
  readonly millis: number;
}

/**
 * CPU time of a connection at rest, in percent of a core, the larger of two ways to wait: this
 * process in its event loop, the other one blocked in WSAWaitForMultipleEvents on a posted receive.
 */
export async function measureIdle(peer: PeerProcess, plan: IdlePlan): Promise<Reading> {
  const call = peer.start<Listening | Ready, number>('idle', plan);
  const opened = await start(plan, call);
  const own = await closingAfter(opened, async () => {
    opened.endpoint.postReceive(0, ACKNOWLEDGEMENT_BYTES);
    const [begin, cpu] = [now(), cpuNanos()];
    await new Promise((resolve) => {
      setTimeout(resolve, plan.millis);
    });
    return (100 * (cpuNanos() - cpu)) / (now() - begin);
  });
  const other = await call.result();
  return { value: Math.max(own, other), details: { eventLoop: own, blocked: other } };
}

const idle = async (plan: IdlePlan, context: TaskContext): Promise<number> => {
  const { endpoint } = await answer(plan, context, (ready) =>
    ready.postReceive(0, ACKNOWLEDGEMENT_BYTES),
  );
  try {
    if (!('tryReceive' in endpoint)) throw new TypeError('rest is measured at application level');
    const waits = endpoint as { tryReceive(slot: number, timeoutMs: number): number };
    const [begin, cpu] = [now(), cpuNanos()];
    waits.tryReceive(0, plan.millis);
    return (100 * (cpuNanos() - cpu)) / (now() - begin);
  } finally {
    await endpoint.close();
    unpin();
  }
};

// Floors -----------------------------------------------------------------------------------------

export interface FloorPlan {
  readonly kind: 'spin' | 'futex';
  readonly rounds: number;
}

/** Half a round trip of bare C++ between the two processes, in nanoseconds. */
export async function measureFloor(peer: PeerProcess, plan: FloorPlan): Promise<Reading> {
  peer.floors.reset();
  const call = peer.start<null, Answered>('floor', plan);
  pinToSide(0);
  try {
    await call.told();
    const value = peer.floors[plan.kind](0, plan.rounds) / 2;
    const { switches } = await call.result();
    return { value, peerSwitches: switches };
  } finally {
    unpin();
  }
}

const floor = async (plan: FloorPlan, context: TaskContext): Promise<Answered> => {
  pinToSide(1);
  try {
    const before = involuntarySwitches();
    await context.tell(null);
    context.floors[plan.kind](1, plan.rounds);
    return { switches: involuntarySwitches() - before };
  } finally {
    unpin();
  }
};

/** What the second process answers to. */
export const sanTasks: Readonly<Record<string, Task>> = {
  latency,
  stream,
  'rdma-write': rdmaWrite,
  heap,
  idle,
  floor,
};
