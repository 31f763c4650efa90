// The measures of a SAN connection that the summary and the demonstration take: latency and bandwidth as
// one figure each, allocation, and rest; what the first process does, and the task by which the second one
// answers.

import { getHeapStatistics } from 'node:v8';
import type { SwitchStatistics } from '../index.js';
import type { CaseReading } from './cases/case.js';
import { closingAfter } from './cases/case.js';
import { caseTasks, measureCase } from './cases/index.js';
import type { ConnectionPlan, Listening, Ready } from './connection.js';
import { answer, start } from './connection.js';
import type { Endpoint } from './endpoint.js';
import { AppEndpoint } from './endpoint-app.js';
import { floorTasks } from './floors.js';
import { mergeHistograms } from './histogram.js';
import { SendAnswers, SendRoundTrips } from './loops/ping-pong.js';
import { cpuNanos, now } from './machine.js';
import type { Reading } from './measure.js';
import { median } from './measure.js';
import { Payload } from './payload.js';
import type { Task, TaskContext } from './peer.js';
import type { TaskStarter } from './peer-protocol.js';
import type { CasePlan, Operation } from './plan.js';
import { makePlan } from './plan.js';

/** A reading and what the connection's host counted; null below the switch. */
export interface TransferReading extends Reading {
  readonly statistics: SwitchStatistics | null;
}

export interface PingPongPlan {
  readonly bytes: number;
  /** Round trips between two readings of the clock, and how often that. */
  readonly batch: number;
  readonly batches: number;
  /** Round trips before the first batch. */
  readonly warmup: number;
}

type Sides = Pick<ConnectionPlan, 'level' | 'host' | 'peerHost'>;

function sidesOf({ level, host, peerHost }: Sides): Sides {
  return { level, host, peerHost };
}

// Latency and bandwidth --------------------------------------------------------------------------

/** Half the median round trip, in nanoseconds. */
export async function measureLatency(
  peer: TaskStarter,
  plan: ConnectionPlan & { readonly pingPong: PingPongPlan },
): Promise<TransferReading> {
  const { bytes, batch, batches, warmup } = plan.pingPong;
  const measured = await measureCase(
    peer,
    makePlan({
      ...sidesOf(plan),
      test: 'lat',
      bytes,
      iterations: batch * batches,
      stampEvery: batch,
      warmUp: warmup,
    }),
  );
  return { ...readingOf(measured), statistics: measured.statistics };
}

export interface StreamPlan extends ConnectionPlan {
  readonly bytes: number;
  readonly count: number;
}

/**
 * Messages before anything counts: every page of every slot was touched by both sides then. The copy
 * floor has touched its own as well.
 */
export const WARM_MESSAGES = 256;

/** WSASend into posted WSARecv (or the provider's equivalents), in bytes per nanosecond. */
export function measureStream(peer: TaskStarter, plan: StreamPlan): Promise<TransferReading> {
  return measureTransfer(peer, plan, 'send');
}

/** WSPRdmaWrite into the other side's exposed memory, in bytes per nanosecond. */
export function measureRdmaWrite(peer: TaskStarter, plan: StreamPlan): Promise<TransferReading> {
  return measureTransfer(peer, plan, 'write');
}

async function measureTransfer(
  peer: TaskStarter,
  plan: StreamPlan,
  operation: Operation,
): Promise<TransferReading> {
  const { bytes, count } = plan;
  const measured = await measureCase(
    peer,
    makePlan({
      ...sidesOf(plan),
      test: 'bw',
      operation,
      bytes,
      iterations: count,
      warmUp: WARM_MESSAGES,
    }),
  );
  return { ...readingOf(measured), statistics: measured.statistics };
}

/** The one figure of a test: nanoseconds, bytes per nanosecond, or operations a second. */
export function readingOf(measured: CaseReading, test?: CasePlan['test']): Reading {
  const { noise, details, times, operations, nanos, bytes, slices } = measured;
  return { value: figure(), noise, details, slices, measured };

  function figure(): number {
    if (test === 'rate' || test === 'conn') return operations / (nanos / 1e9);
    return times === null ? bytes / nanos : mergeHistograms([times]).percentile(50);
  }
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
export async function measureHeap(peer: TaskStarter, plan: HeapPlan): Promise<Reading> {
  const call = peer.start<Listening | Ready, number>('heap', plan);
  const opened = await start(plan, call);
  const own = await closingAfter(opened, () => {
    const starter = new SendRoundTrips(opened.endpoints, new Payload(plan.bytes, 'counter'));
    return growthPerOperation(plan, () => starter.run(plan.roundTripsPerSegment));
  });
  const other = await call.result();
  return { value: Math.max(own, other), details: { starting: own, answering: other } };
}

const heap = async (plan: HeapPlan, context: TaskContext): Promise<number> => {
  const opened = await answer(
    plan,
    context,
    (made) => new SendAnswers(made, new Payload(plan.bytes, 'counter')),
  );
  return closingAfter(opened, () =>
    growthPerOperation(plan, () => opened.prepared.serve(plan.roundTripsPerSegment)),
  );
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

const RECEIVE_BYTES = 64;

export interface IdlePlan extends ConnectionPlan {
  readonly millis: number;
}

/**
 * CPU time of a connection at rest, in percent of a core, the larger of two ways to wait: this
 * process in its event loop, the other one blocked in WSAWaitForMultipleEvents on a posted receive.
 */
export async function measureIdle(peer: TaskStarter, plan: IdlePlan): Promise<Reading> {
  const call = peer.start<Listening | Ready, number>('idle', plan);
  const opened = await start(plan, call);
  const own = await closingAfter(opened, async () => {
    opened.endpoint.postReceive(0, RECEIVE_BYTES);
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
  const opened = await answer(plan, context, ([first]: readonly Endpoint[]) =>
    first?.postReceive(0, RECEIVE_BYTES),
  );
  return closingAfter(opened, () => {
    const { endpoint } = opened;
    if (!(endpoint instanceof AppEndpoint))
      throw new TypeError('rest is an application level thing');
    const [begin, cpu] = [now(), cpuNanos()];
    endpoint.tryReceive(0, plan.millis);
    return (100 * (cpuNanos() - cpu)) / (now() - begin);
  });
};

/** What the second process answers to. */
export const sanTasks: Readonly<Record<string, Task>> = { ...caseTasks, ...floorTasks, heap, idle };
