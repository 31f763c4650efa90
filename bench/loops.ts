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
/** Rotations of one send that are timed. */
const STAMPS_MAX = 1024;

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
 * The starting side of a whole ping-pong. Returns the round trip of each batch in nanoseconds; at
 * least one.
 */
export function pingPong(endpoint: Endpoint, plan: PingPongPlan): number[] {
  const times = new Float64Array(plan.batches);
  const end = now() + plan.budgetNanos;
  const starter = new Starter(endpoint, plan.bytes);
  starter.roundTrips(plan.warmup);
  let count = 0;
  while (count < plan.batches) {
    const start = now();
    starter.roundTrips(plan.batch);
    const stop = now();
    times[count++] = (stop - start) / plan.batch;
    if (stop > end) break;
  }
  starter.stop();
  return Array.from(times.subarray(0, count));
}

/**
 * Starts round trips. Both sides keep two receives posted, so that the next message always finds one
 * and a new one is posted while the other side works, not while it waits. The outcome of a send is
 * looked at before its slot is used again.
 */
export class Starter {
  readonly #endpoint: Endpoint;
  readonly #bytes: number;
  #turn = 0;

  constructor(endpoint: Endpoint, bytes: number) {
    this.#endpoint = endpoint;
    this.#bytes = bytes;
    endpoint.postReceive(0, bytes);
    endpoint.postReceive(1, bytes);
  }

  /** Throws PayloadError when an answer is not what was sent. */
  roundTrips(count: number): void {
    for (let left = count; left > 0; left--) this.#exchange(this.#turn);
  }

  /** Tells the other side that this was all. */
  stop(): void {
    const slot = this.#turn & 1;
    this.#exchange(STOP);
    this.#endpoint.awaitSend(slot);
  }

  #exchange(counter: number): void {
    const endpoint = this.#endpoint;
    const bytes = this.#bytes;
    const turn = this.#turn++;
    const slot = turn & 1;
    const word = (slot * endpoint.slotBytes) >>> 2;
    if (turn > 1) endpoint.awaitSend(slot);
    endpoint.sendWords[word] = counter;
    endpoint.startSend(slot, bytes);
    if (turn > 0) endpoint.postReceive(slot ^ 1, bytes);
    const received = endpoint.awaitReceive(slot);
    if (received !== bytes || endpoint.receiveWords[word] !== counter) {
      throw wrongMessage(received, bytes, endpoint.receiveWords[word], counter);
    }
  }
}

/** Answers round trips. Make it before the other side may send. */
export class Answerer {
  readonly #endpoint: Endpoint;
  readonly #bytes: number;
  #turn = 0;

  constructor(endpoint: Endpoint, bytes: number) {
    this.#endpoint = endpoint;
    this.#bytes = bytes;
    endpoint.postReceive(0, bytes);
    endpoint.postReceive(1, bytes);
  }

  /**
   * Answers until the other side says stop, or `count` messages. Returns how many it was. Throws
   * PayloadError when a message is not the next one.
   */
  serve(count = Infinity): number {
    const endpoint = this.#endpoint;
    const bytes = this.#bytes;
    for (let served = 0; served < count; served++) {
      const turn = this.#turn++;
      const slot = turn & 1;
      const word = (slot * endpoint.slotBytes) >>> 2;
      const received = endpoint.awaitReceive(slot);
      const found = endpoint.receiveWords[word] ?? 0;
      if (received !== bytes || (found !== turn && found !== STOP)) {
        throw wrongMessage(received, bytes, found, turn);
      }
      if (turn > 1) endpoint.awaitSend(slot);
      endpoint.sendWords[word] = found;
      endpoint.startSend(slot, bytes);
      if (found === STOP) {
        endpoint.awaitSend(slot);
        return served + 1;
      }
      endpoint.postReceive(slot, bytes);
    }
    return count;
  }
}

/** Sends a stream in rotation, its messages numbered from 0 on. */
export class StreamSender {
  readonly #slotBytes: number;
  readonly #words: Uint32Array;
  readonly #start: (slot: number) => void;
  readonly #endpoint: Endpoint;
  readonly #stamps = new Float64Array(STAMPS_MAX);
  #stampCount = 0;
  #index = 0;

  /** `start` begins the transfer of a sending slot: a send, or an RDMA write. */
  constructor(endpoint: Endpoint, start: (slot: number) => void) {
    this.#endpoint = endpoint;
    this.#slotBytes = endpoint.slotBytes;
    this.#words = endpoint.sendWords;
    this.#start = start;
  }

  /** Sends `count` more and returns when all are done. */
  send(count: number): void {
    const first = this.#index;
    const end = first + count;
    this.#stampCount = 0;
    for (let index = first; index < end; index++) {
      const slot = index % SLOT_COUNT;
      if (index - first >= STREAM_DEPTH) {
        this.#endpoint.awaitSend((index - STREAM_DEPTH) % SLOT_COUNT);
      }
      this.#words[(slot * this.#slotBytes) >>> 2] = index;
      this.#start(slot);
      if (index % SLOT_COUNT === 0 && this.#stampCount < STAMPS_MAX) {
        this.#stamps[this.#stampCount++] = now();
      }
    }
    for (let index = Math.max(first, end - STREAM_DEPTH); index < end; index++) {
      this.#endpoint.awaitSend(index % SLOT_COUNT);
    }
    this.#index = end;
  }

  /**
   * Nanoseconds of each full rotation over the slots in the last `send`: the middle one says what the
   * stream does while nobody disturbs it.
   */
  rotations(): number[] {
    const stamps = this.#stamps.subarray(0, this.#stampCount);
    return Array.from(stamps.subarray(1), (stamp, at) => stamp - (stamps[at] ?? 0));
  }
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
