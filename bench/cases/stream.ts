// bw, rate and mixed: as many messages as fit under way, in one direction or in both, counted from the
// first one to the far side's word that the last one is there.

import type { Opened } from '../connection.js';
import type { Endpoint } from '../endpoint.js';
import { closingSlotOf } from '../endpoint.js';
import { awaitPatiently } from '../loops/ping-pong.js';
import { PromisedStream } from '../loops/promised.js';
import type { StreamShape } from '../loops/stream.js';
import { StreamStarter, StreamTaker } from '../loops/stream.js';
import { now } from '../machine.js';
import type { PayloadSequence } from '../payload.js';
import { Payload } from '../payload.js';
import type { CasePlan } from '../plan.js';
import { sequenceOf } from '../plan.js';
import type { Slices } from '../slices.js';
import { warmUp } from '../slices.js';
import type { Case, Measured } from './case.js';
import { StreamClock } from './stream-clock.js';

const CLOSING_BYTES = 4;

interface Prepared {
  readonly sequence: PayloadSequence;
  /** For sends. */
  readonly taker: StreamTaker | null;
  /** For the other direction, where there is one. */
  readonly starter: StreamStarter | null;
}

export const streamCase: Case<Prepared> = {
  arrange(endpoints, plan) {
    // What the other side reads here when both read; it begins as soon as it is ready.
    if (plan.operation === 'read' && plan.bidirectional) fillForReads(endpoints, sequenceOf(plan));
  },

  async measure(opened, plan, slices) {
    if (plan.mode === 'promise') return measurePromised(opened, plan, slices);
    return plan.bidirectional && plan.operation === 'send'
      ? measureBothWays(opened, plan, slices)
      : measureOneWay(opened, plan, slices);
  },

  verifyCost: ({ endpoint }, plan) => Payload.cost(endpoint, plan.bytes, plan.verify),

  prepare(endpoints, plan) {
    const sequence = sequenceOf(plan);
    const [first] = endpoints as readonly [Endpoint];
    const isBothWays = plan.bidirectional;
    const starter = isBothWays
      ? new StreamStarter(endpoints, sequenceOf(plan), shapeOf(plan))
      : null;
    if (plan.operation === 'send') {
      return { sequence, starter, taker: new StreamTaker(endpoints, sequence, plan.receiveDepth) };
    }
    fillForReads(endpoints, sequence);
    first.postReceive(closingSlotOf(first), CLOSING_BYTES);
    return { sequence, starter, taker: null };
  },

  serve({ sequence, taker, starter }, endpoints, plan) {
    const [first] = endpoints as readonly [Endpoint];
    if (taker === null) servePassively(endpoints, plan, { sequence, starter });
    else if (starter === null) taker.take();
    else serveBothWays(plan, starter, taker);
    // Both ways, each side has seen the other's last message.
    if (plan.operation !== 'read' && (taker === null || starter === null)) acknowledge(first);
    return sequence.digest.value;
  },
};

function shapeOf(plan: CasePlan): StreamShape {
  const { operation, depth, postList } = plan;
  return { operation, depth, postList: Math.min(postList, depth) };
}

/** The memory that is read says in each slot which one it is. */
function fillForReads(endpoints: readonly Endpoint[], sequence: PayloadSequence): void {
  const payload = sequence.payload(0);
  for (const endpoint of endpoints) {
    for (let slot = 0; slot < closingSlotOf(endpoint); slot++) {
      payload.fill(endpoint.sendWords, (slot * endpoint.slotBytes) >>> 2, slot);
    }
  }
}

function acknowledge(endpoint: Endpoint): void {
  const slot = closingSlotOf(endpoint);
  endpoint.startSend(slot, CLOSING_BYTES);
  endpoint.awaitSend(slot);
}

// Starting side ----------------------------------------------------------------------------------

async function measureOneWay(
  { endpoints, endpoint }: Opened,
  plan: CasePlan,
  slices: Slices,
): Promise<Measured> {
  const sequence = sequenceOf(plan);
  const starter = new StreamStarter(endpoints, sequence, shapeOf(plan));
  const closing = closingSlotOf(endpoint);
  if (plan.operation !== 'read') endpoint.postReceive(closing, CLOSING_BYTES);
  await warmUp(
    plan.warmUp,
    slices,
    (count) => starter.start(count),
    () => starter.drain(),
  );
  const clock = clockOf(plan, sequence, slices, starter.count);
  while (clock.isOpen) {
    const count = clock.next();
    starter.start(count);
    clock.stamp(count, starter.settledCount);
    if (clock.isBreathDue) await clock.breathe();
  }
  if (plan.operation === 'send') starter.startLast();
  starter.drain();
  if (plan.operation !== 'send') clock.finish(starter.count);
  if (plan.operation !== 'send') {
    // A send does not overtake the writes before it: it tells how many there are. [RDMA-09]
    endpoint.sendWords[(closing * endpoint.slotBytes) >>> 2] = starter.count;
    endpoint.startSend(closing, CLOSING_BYTES);
    endpoint.awaitSend(closing);
  }
  if (plan.operation !== 'read') awaitPatiently(endpoint, closing);
  if (plan.operation === 'send') clock.finish(starter.count);
  return clock.measured(sequence.digest.value, plan.bidirectional ? 2 : 1);
}

async function measureBothWays(
  { endpoints }: Opened,
  plan: CasePlan,
  slices: Slices,
): Promise<Measured> {
  const sequence = sequenceOf(plan);
  const incoming = sequenceOf(plan);
  const starter = new StreamStarter(endpoints, sequence, shapeOf(plan));
  const taker = new StreamTaker(endpoints, incoming, plan.receiveDepth);
  const chunk = chunkOf(plan);
  for (let left = plan.warmUp; left > 0; left -= chunk) {
    starter.start(chunk);
    taker.take(chunk);
    if (slices.isBreathDue(now())) await slices.breathe(now());
  }
  starter.drain();
  const clock = clockOf(plan, sequence, slices, starter.count);
  while (clock.isOpen) {
    const count = clock.next();
    starter.start(count);
    taker.take(count);
    clock.stamp(count, starter.settledCount);
    if (clock.isBreathDue) await clock.breathe();
  }
  starter.startLast();
  taker.take();
  starter.drain();
  clock.finish(starter.count);
  return clock.measured(incoming.digest.value, 2);
}

async function measurePromised(
  { endpoint }: Opened,
  plan: CasePlan,
  slices: Slices,
): Promise<Measured> {
  const sequence = sequenceOf(plan);
  const stream = new PromisedStream(endpoint, sequence, shapeOf(plan));
  const closing = closingSlotOf(endpoint);
  if (plan.operation !== 'read') endpoint.postReceive(closing, CLOSING_BYTES);
  await warmUp(
    plan.warmUp,
    slices,
    (count) => stream.start(count),
    () => stream.drain(),
  );
  const clock = clockOf(plan, sequence, slices, stream.count);
  while (clock.isOpen) {
    const count = clock.next();
    await stream.start(count);
    clock.stamp(count, stream.settledCount);
    if (clock.isBreathDue) await clock.breathe();
  }
  if (plan.operation === 'send') await stream.startLast();
  await stream.drain();
  if (plan.operation !== 'send') {
    clock.finish(stream.count);
    endpoint.sendWords[(closing * endpoint.slotBytes) >>> 2] = stream.count;
    endpoint.startSend(closing, CLOSING_BYTES);
    await endpoint.sent(closing);
  }
  if (plan.operation !== 'read') await endpoint.received(closing);
  if (plan.operation === 'send') clock.finish(stream.count);
  return clock.measured(sequence.digest.value, 1);
}

function clockOf(
  plan: CasePlan,
  sequence: PayloadSequence,
  slices: Slices,
  count: number,
): StreamClock {
  const chunk = plan.bidirectional ? chunkOf(plan) : plan.depth * plan.connections;
  return new StreamClock(plan, sequence, { slices, chunk, count });
}

// Answering side ---------------------------------------------------------------------------------

/** Half a window in each direction, in step: neither side waits for what the other has not begun. */
function chunkOf(plan: CasePlan): number {
  return Math.max(1, Math.floor((Math.min(plan.depth, plan.receiveDepth) * plan.connections) / 2));
}

function serveBothWays(plan: CasePlan, starter: StreamStarter, taker: StreamTaker): void {
  const chunk = chunkOf(plan);
  do starter.start(chunk);
  while (!taker.take(chunk));
  starter.startLast();
  starter.drain();
}

/** Writes and reads need this side for nothing but its memory; both ways, it does the same. */
function servePassively(
  endpoints: readonly Endpoint[],
  plan: CasePlan,
  { sequence, starter }: Pick<Prepared, 'sequence' | 'starter'>,
): void {
  const [first] = endpoints as readonly [Endpoint];
  if (starter !== null) {
    starter.start(plan.warmUp + plan.iterations);
    starter.drain();
  }
  const closing = closingSlotOf(first);
  awaitPatiently(first, closing);
  if (plan.operation === 'read') return;
  const count = first.receiveWords[(closing * first.slotBytes) >>> 2] ?? 0;
  checkWritten(endpoints, sequence, count);
}

/** Every slot holds the last message that was written to it. */
function checkWritten(
  endpoints: readonly Endpoint[],
  sequence: PayloadSequence,
  count: number,
): void {
  const slots = closingSlotOf(endpoints[0] as Endpoint);
  const from = Math.max(0, count - slots * endpoints.length);
  for (let index = from; index < count; index++) {
    const endpoint = endpoints[index % endpoints.length] as Endpoint;
    const slot = Math.floor(index / endpoints.length) % slots;
    const payload = sequence.payload(index);
    const word = (slot * endpoint.slotBytes) >>> 2;
    payload.check(endpoint.receiveWords, word, payload.counterOf(index));
  }
}
