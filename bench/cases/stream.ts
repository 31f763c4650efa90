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
import type { Case, Measured } from './case.js';

const CLOSING_BYTES = 4;

interface Prepared {
  readonly sequence: PayloadSequence;
  /** For sends. */
  readonly taker: StreamTaker | null;
  /** For the other direction, where there is one. */
  readonly starter: StreamStarter | null;
}

export const streamCase: Case<Prepared> = {
  async measure(opened, plan) {
    if (plan.mode === 'promise') return measurePromised(opened, plan);
    return plan.bidirectional && plan.operation === 'send'
      ? measureBothWays(opened, plan)
      : measureOneWay(opened, plan);
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
export function fillForReads(endpoints: readonly Endpoint[], sequence: PayloadSequence): void {
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

function measureOneWay({ endpoints, endpoint }: Opened, plan: CasePlan): Measured {
  const sequence = sequenceOf(plan);
  const starter = new StreamStarter(endpoints, sequence, shapeOf(plan));
  // What a bidirectional run of one-sided operations reads on this side.
  fillForReads(plan.operation === 'read' && plan.bidirectional ? endpoints : [], sequence);
  const closing = closingSlotOf(endpoint);
  if (plan.operation !== 'read') endpoint.postReceive(closing, CLOSING_BYTES);
  starter.start(plan.warmUp);
  starter.drain();
  const clock = new StreamClock(plan, sequence, starter.count);
  while (clock.isOpen) {
    starter.start(clock.next());
    clock.stamp(starter.count);
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

function measureBothWays({ endpoints }: Opened, plan: CasePlan): Measured {
  const sequence = sequenceOf(plan);
  const incoming = sequenceOf(plan);
  const starter = new StreamStarter(endpoints, sequence, shapeOf(plan));
  const taker = new StreamTaker(endpoints, incoming, plan.receiveDepth);
  const chunk = chunkOf(plan);
  for (let left = plan.warmUp; left > 0; left -= chunk) {
    starter.start(chunk);
    taker.take(chunk);
  }
  const clock = new StreamClock(plan, sequence, starter.count);
  while (clock.isOpen) {
    const count = clock.next();
    starter.start(count);
    taker.take(count);
    clock.stamp(starter.count);
  }
  starter.startLast();
  taker.take();
  starter.drain();
  clock.finish(starter.count);
  return clock.measured(incoming.digest.value, 2);
}

async function measurePromised({ endpoint }: Opened, plan: CasePlan): Promise<Measured> {
  const sequence = sequenceOf(plan);
  const stream = new PromisedStream(endpoint, sequence, shapeOf(plan));
  const closing = closingSlotOf(endpoint);
  if (plan.operation !== 'read') endpoint.postReceive(closing, CLOSING_BYTES);
  await stream.start(plan.warmUp);
  await stream.drain();
  const clock = new StreamClock(plan, sequence, stream.count);
  while (clock.isOpen) {
    await stream.start(clock.next());
    clock.stamp(stream.count);
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

// Clock ------------------------------------------------------------------------------------------

/** What counts of a stream: everything up to the far side's word, or what lies between two margins. */
class StreamClock {
  readonly #plan: CasePlan;
  readonly #sequence: PayloadSequence;
  readonly #begin = now();
  readonly #chunk: number;
  readonly #end: number;
  readonly #countsFrom: number;
  readonly #countsUntil: number;
  #isOpen = true;
  #left: number;
  #lastNanos: number;
  #lastCount: number;
  #firstNanos: number;
  #firstCount: number;
  #countedNanos = 0;
  #countedCount = 0;
  #peak = 0;

  constructor(plan: CasePlan, sequence: PayloadSequence, count: number) {
    this.#plan = plan;
    this.#sequence = sequence;
    this.#chunk = plan.bidirectional ? chunkOf(plan) : plan.depth * plan.connections;
    // The last message of sends is started apart.
    this.#left = plan.iterations - (plan.operation === 'send' ? 1 : 0);
    const { nanos, marginNanos } = plan.duration ?? { nanos: Infinity, marginNanos: 0 };
    this.#end = this.#begin + nanos;
    this.#countsFrom = this.#begin + marginNanos;
    this.#countsUntil = this.#end - marginNanos;
    [this.#lastNanos, this.#lastCount] = [this.#begin, count];
    [this.#firstNanos, this.#firstCount] = [this.#begin, count];
    this.#isOpen = plan.duration !== null || this.#left > 0;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** How many to start before the next stamp. */
  next(): number {
    return this.#plan.duration === null ? Math.min(this.#left, this.#chunk) : this.#chunk;
  }

  stamp(count: number): void {
    const time = now();
    const moved = count - this.#lastCount;
    if (moved >= this.#chunk) this.#note(count, time - this.#lastNanos);
    [this.#lastNanos, this.#lastCount] = [time, count];
    if (this.#plan.duration === null) {
      this.#left -= moved;
      if (this.#left <= 0) this.#isOpen = false;
      return;
    }
    if (time <= this.#countsFrom) [this.#firstNanos, this.#firstCount] = [time, count];
    if (time <= this.#countsUntil) {
      this.#countedNanos = time - this.#firstNanos;
      this.#countedCount = count - this.#firstCount;
    }
    if (time >= this.#end) this.#isOpen = false;
  }

  /** The far side has said that everything is there. */
  finish(count: number): void {
    if (this.#plan.duration !== null && this.#countedCount > 0) return;
    this.#countedNanos = now() - this.#begin;
    this.#countedCount = count - this.#firstCount;
  }

  measured(digest: string, directions: number): Measured {
    const sequence = this.#sequence;
    const end = this.#firstCount + this.#countedCount;
    const bytes = sequence.totalBytes(end) - sequence.totalBytes(this.#firstCount);
    return {
      operations: this.#countedCount * directions,
      bytes: bytes * directions,
      nanos: this.#countedNanos,
      times: null,
      peak: this.#peak === 0 ? null : this.#peak * directions,
      digest,
      details: {},
    };
  }

  #note(count: number, nanos: number): void {
    if (this.#plan.mix !== null) return;
    this.#peak = Math.max(this.#peak, ((count - this.#lastCount) * this.#plan.bytes) / nanos);
  }
}
