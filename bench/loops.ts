// The measuring loops, over any Endpoint. Every message carries a counter in its first word, which the
// far side checks. The clock is read once per batch, since that costs as much as a small message; no
// timed loop allocates.

import type { Endpoint } from './endpoint.js';
import { PayloadError, SLOT_COUNT } from './endpoint.js';
import { now } from './machine.js';

/** The counter of the last message of a ping-pong: the other side stops after answering it. */
const STOP = 0xffffffff;
/** Messages of a stream that are under way at a time, and receives that are posted for them. */
export const STREAM_DEPTH = 8;

export interface PingPongPlan {
  readonly bytes: number;
  /** Round trips per batch, and batches. */
  readonly batch: number;
  readonly batches: number;
  /** Round trips before the first batch. */
  readonly warmup: number;
  /** Ends early, after a whole batch, when this has passed. */
  readonly budgetNanos: number;
}

/**
 * The initiating side. Returns the round trip of each batch in nanoseconds; at least one. The next
 * receive is posted before the message that is answered into it.
 */
export function pingPong(endpoint: Endpoint, plan: PingPongPlan): number[] {
  const times = new Float64Array(plan.batches);
  const end = now() + plan.budgetNanos;
  let counter = roundTrips(endpoint, plan.bytes, 0, plan.warmup);
  let count = 0;
  while (count < plan.batches) {
    const start = now();
    counter = roundTrips(endpoint, plan.bytes, counter, plan.batch);
    const stop = now();
    times[count++] = (stop - start) / plan.batch;
    if (stop > end) break;
  }
  exchange(endpoint, plan.bytes, counter, STOP);
  return Array.from(times.subarray(0, count));
}

/** Makes `count` round trips with counters from `from` on; returns the next counter. */
export function roundTrips(endpoint: Endpoint, bytes: number, from: number, count: number): number {
  for (let index = 0; index < count; index++) exchange(endpoint, bytes, from + index, from + index);
  return from + count;
}

function exchange(endpoint: Endpoint, bytes: number, turn: number, counter: number): void {
  const slot = turn & 1;
  const word = (slot * endpoint.slotBytes) >>> 2;
  endpoint.postReceive(slot, bytes);
  endpoint.sendWords[word] = counter;
  endpoint.startSend(slot, bytes);
  const received = endpoint.awaitReceive(slot);
  endpoint.awaitSend(slot);
  if (received !== bytes || endpoint.receiveWords[word] !== counter) {
    throw wrongMessage(received, bytes, endpoint.receiveWords[word], counter);
  }
}

/** Ends a series of roundTrips without a timed part. */
export function stopEcho(endpoint: Endpoint, bytes: number, turn: number): void {
  exchange(endpoint, bytes, turn, STOP);
}

/** What `echo` needs before the other side may send: call it first. */
export function prepareEcho(endpoint: Endpoint, bytes: number): void {
  endpoint.postReceive(0, bytes);
}

/**
 * The answering side, until it has answered the last message. Returns how many messages it answered.
 * With `again` it is then prepared for the next series.
 */
export function echo(endpoint: Endpoint, bytes: number, again = false): number {
  for (let counter = 0; ; counter++) {
    const slot = counter & 1;
    const word = (slot * endpoint.slotBytes) >>> 2;
    const received = endpoint.awaitReceive(slot);
    const found = endpoint.receiveWords[word] ?? 0;
    if (received !== bytes || (found !== counter && found !== STOP)) {
      throw wrongMessage(received, bytes, found, counter);
    }
    if (found !== STOP) endpoint.postReceive(slot ^ 1, bytes);
    else if (again) endpoint.postReceive(0, bytes);
    endpoint.sendWords[word] = found;
    endpoint.startSend(slot, bytes);
    endpoint.awaitSend(slot);
    if (found === STOP) return counter + 1;
  }
}

/** Sends `count` messages in rotation; returns the nanoseconds until the last send was done. */
export function sendStream(endpoint: Endpoint, bytes: number, count: number): number {
  const start = now();
  for (let index = 0; index < count; index++) {
    const slot = index % SLOT_COUNT;
    if (index >= STREAM_DEPTH) endpoint.awaitSend((index - STREAM_DEPTH) % SLOT_COUNT);
    endpoint.sendWords[(slot * endpoint.slotBytes) >>> 2] = index;
    endpoint.startSend(slot, bytes);
  }
  for (let index = Math.max(0, count - STREAM_DEPTH); index < count; index++) {
    endpoint.awaitSend(index % SLOT_COUNT);
  }
  return now() - start;
}

/** What `receiveStream` needs before the other side may send: call it first. */
export function prepareStream(endpoint: Endpoint, bytes: number): void {
  for (let slot = 0; slot < STREAM_DEPTH; slot++) endpoint.postReceive(slot, bytes);
}

/**
 * Receives `count` messages of `bytes` as a stream of bytes: a receive may end in the middle of a
 * message. Returns how many messages had their counter looked at.
 */
export function receiveStream(endpoint: Endpoint, bytes: number, count: number): number {
  const total = bytes * count;
  let position = 0;
  let checked = 0;
  for (let index = 0; position < total; index++) {
    const slot = index % SLOT_COUNT;
    const received = endpoint.awaitReceive(slot);
    if (received === 0)
      throw new PayloadError(`the stream ended after ${position} of ${total} bytes`);
    checked += checkCounters(endpoint, { slot, position, received, bytes });
    position += received;
    if (position < total) endpoint.postReceive((index + STREAM_DEPTH) % SLOT_COUNT, bytes);
  }
  return checked;
}

interface Received {
  readonly slot: number;
  /** Where in the stream the slot's first byte stands. */
  readonly position: number;
  readonly received: number;
  readonly bytes: number;
}

/** Looks at the counters that begin within a received piece. A counter split in two is left out. */
function checkCounters(endpoint: Endpoint, piece: Received): number {
  const { slot, position, received, bytes } = piece;
  const next = Math.ceil(position / bytes);
  const offset = next * bytes - position;
  if (offset + 4 > received || offset % 4 !== 0) return 0;
  const found = endpoint.receiveWords[(slot * endpoint.slotBytes + offset) >>> 2];
  if (found !== next) throw wrongMessage(received, bytes, found, next);
  return 1;
}

function wrongMessage(
  received: number,
  bytes: number,
  found: number | undefined,
  counter: number,
): PayloadError {
  return new PayloadError(
    `message ${counter}: ${received} of ${bytes} bytes, with the counter of message ${found ?? 'none'}`,
  );
}
