// Messages in one direction, as many under way as the plan says, over one or many connections in turn:
// sent, written, or read. The receiving side of sends takes them as a stream of bytes, since that is what
// a connection above the switch is. No loop allocates.

import type { Endpoint } from '../endpoint.js';
import { closingSlotOf, PayloadError, StreamEnded } from '../endpoint.js';
import type { PayloadSequence } from '../payload.js';
import type { Operation } from '../plan.js';

export type { Operation };

export interface StreamShape {
  readonly operation: Operation;
  /** Operations under way on each connection; at most the endpoint's slots. */
  readonly depth: number;
  /** Operations started between two looks at outcomes. */
  readonly postList: number;
}

/** Goes round the slots of an endpoint, or of several in turn, without dividing. */
class Round {
  /** Of the endpoint whose turn it is. */
  at = 0;
  slot = 0;

  constructor(
    private readonly endpointCount: number,
    private readonly slotCount: number,
  ) {}

  advance(): void {
    if (++this.at !== this.endpointCount) return;
    this.at = 0;
    if (++this.slot === this.slotCount) this.slot = 0;
  }
}

/** The side that starts the operations. */
export class StreamStarter {
  readonly #endpoints: readonly Endpoint[];
  readonly #sequence: PayloadSequence;
  readonly #operation: Operation;
  readonly #postList: number;
  readonly #window: number;
  #index = 0;
  readonly #starting: Round;
  /** The first operation whose outcome nobody has looked at. */
  #settled = 0;
  readonly #settling: Round;

  constructor(endpoints: readonly Endpoint[], sequence: PayloadSequence, shape: StreamShape) {
    this.#endpoints = endpoints;
    this.#sequence = sequence;
    const slotCount = endpoints[0] === undefined ? 0 : closingSlotOf(endpoints[0]);
    this.#starting = new Round(endpoints.length, slotCount);
    this.#settling = new Round(endpoints.length, slotCount);
    if (shape.depth > slotCount || shape.postList > shape.depth) {
      throw new TypeError('more operations under way than slots');
    }
    this.#operation = shape.operation;
    this.#postList = shape.postList;
    this.#window = shape.depth * endpoints.length;
  }

  /** Operations started so far. */
  get count(): number {
    return this.#index;
  }

  /** Of those, the ones whose outcome was looked at. */
  get settledCount(): number {
    return this.#settled;
  }

  /** Starts `count` more; returns when they are started, not when they are done. */
  start(count: number): void {
    const end = this.#index + count;
    while (this.#index < end) {
      const until = Math.min(end, this.#index + this.#postList);
      while (until - this.#settled > this.#window) this.#settleOne();
      while (this.#index < until) this.#startOne(false);
    }
  }

  /** Starts the last message of all, which tells the receiving side so. */
  startLast(): void {
    while (this.#index + 1 - this.#settled > this.#window) this.#settleOne();
    this.#startOne(true);
  }

  /** Returns when everything started is done. */
  drain(): void {
    while (this.#settled < this.#index) this.#settleOne();
  }

  #startOne(isLast: boolean): void {
    const index = this.#index++;
    const { at, slot } = this.#starting;
    this.#starting.advance();
    const endpoint = this.#endpoints[at] as Endpoint;
    const payload = this.#sequence.payload(index);
    if (this.#operation === 'read') return endpoint.startRead(slot, payload.bytes);
    const counter = isLast ? payload.stop : payload.counterOf(index);
    payload.fill(endpoint.sendWords, (slot * endpoint.slotBytes) >>> 2, counter);
    if (this.#operation === 'send') endpoint.startSend(slot, payload.bytes);
    else endpoint.startWrite(slot, payload.bytes);
  }

  #settleOne(): void {
    const index = this.#settled++;
    const { at, slot } = this.#settling;
    this.#settling.advance();
    const endpoint = this.#endpoints[at] as Endpoint;
    if (this.#operation !== 'read') return endpoint.awaitSend(slot);
    // The memory that is read says in each slot which one it is.
    const received = endpoint.awaitReceive(slot);
    this.#sequence.payload(index).checkReceived(endpoint, slot, received, slot);
  }
}

/** The side that takes a stream of sends. Made before the other side may send. */
export class StreamTaker {
  readonly #connections: readonly TakenConnection[];
  #at = 0;
  #index = 0;

  constructor(endpoints: readonly Endpoint[], sequence: PayloadSequence, depth: number) {
    this.#connections = endpoints.map(
      (endpoint, at) =>
        new TakenConnection(endpoint, sequence, { depth, at, count: endpoints.length }),
    );
  }

  /** Messages that came in more than one piece, or not alone. */
  get splitCount(): number {
    return this.#connections.reduce((sum, one) => sum + one.splitCount, 0);
  }

  /** Messages taken so far. */
  get count(): number {
    return this.#index;
  }

  /** Takes `count` messages. True: one of them was the last of all, and nothing comes after it. */
  take(count = Infinity): boolean {
    for (let left = count; left > 0; left--) {
      const connection = this.#connections[this.#at] as TakenConnection;
      if (++this.#at === this.#connections.length) this.#at = 0;
      if (connection.takeOne(this.#index++)) return true;
    }
    return false;
  }
}

/** The bytes of one connection, cut into messages again. */
class TakenConnection {
  readonly #endpoint: Endpoint;
  readonly #sequence: PayloadSequence;
  readonly #depth: number;
  readonly #place: { readonly at: number; readonly count: number };
  /** Receives waited for so far, the slot of the last one, and the next. */
  #next = 0;
  #slot = 0;
  readonly #taking: Round;
  /** Receives posted so far, and the next. */
  #posted = 0;
  readonly #posting: Round;
  /** What is left of the receive that was waited for last, and where it begins. */
  #left = 0;
  #offset = 0;
  splitCount = 0;

  constructor(
    endpoint: Endpoint,
    sequence: PayloadSequence,
    place: { readonly depth: number; readonly at: number; readonly count: number },
  ) {
    this.#endpoint = endpoint;
    this.#sequence = sequence;
    this.#depth = place.depth;
    this.#place = place;
    this.#taking = new Round(1, closingSlotOf(endpoint));
    this.#posting = new Round(1, closingSlotOf(endpoint));
    while (this.#posted < this.#depth) this.#post();
  }

  /** Takes one message, which is the one with this index. True: it is the last one of all. */
  takeOne(index: number): boolean {
    if (this.#left === 0) this.#await();
    const payload = this.#sequence.payload(index);
    if (this.#offset !== 0 || this.#left !== payload.bytes) return this.#takeSplit(index);
    const endpoint = this.#endpoint;
    const word = (this.#slot * endpoint.slotBytes) >>> 2;
    const isLast = payload.counterAt(endpoint.receiveWords, word) === payload.stop;
    payload.check(endpoint.receiveWords, word, isLast ? payload.stop : payload.counterOf(index));
    this.#left = 0;
    if (!isLast) this.#post();
    return isLast;
  }

  /** The same for a message that came in pieces: its counter is gathered and looked at, no more. */
  #takeSplit(index: number): boolean {
    const payload = this.#sequence.payload(index);
    const { bytes } = payload;
    const endpoint = this.#endpoint;
    const wanted = Math.min(bytes, 4);
    let counter = 0;
    this.splitCount++;
    for (let position = 0; position < bytes; ) {
      if (this.#left === 0) this.#await();
      const slot = this.#slot;
      const take = Math.min(this.#left, bytes - position);
      for (let at = position; at < Math.min(wanted, position + take); at++) {
        const from = slot * endpoint.slotBytes + this.#offset + at - position;
        const word = endpoint.receiveWords[from >>> 2] ?? 0;
        counter |= ((word >>> (8 * (from % 4))) & 0xff) << (8 * at);
      }
      position += take;
      this.#offset += take;
      this.#left -= take;
      if (this.#left === 0) this.#post();
    }
    const isLast = counter === payload.stop;
    if (payload.verify !== 'off') {
      const expected = isLast ? payload.stop : payload.counterOf(index);
      if (counter !== expected) {
        throw new PayloadError(`message ${index}: what arrived has counter ${counter}`);
      }
      this.#sequence.digest.add(counter);
    }
    return isLast;
  }

  #await(): void {
    const { slot } = this.#taking;
    this.#taking.advance();
    const received = this.#endpoint.awaitReceive(slot);
    if (received === 0) throw new StreamEnded(`the stream ended after ${this.#next} receives`);
    this.#next++;
    this.#slot = slot;
    this.#offset = 0;
    this.#left = received;
  }

  /** Posts a receive as long as the message that comes to it, if none is split. */
  #post(): void {
    const { at, count } = this.#place;
    const index = this.#posted++ * count + at;
    const { slot } = this.#posting;
    this.#posting.advance();
    this.#endpoint.postReceive(slot, this.#sequence.payload(index).bytes);
  }
}
