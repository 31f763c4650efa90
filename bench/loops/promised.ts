// The loops over promise twins, for programs that live in an event loop: what a round trip and a stream
// cost there. Each await lets the event loop turn, so these are measured by themselves.

import type { Endpoint } from '../endpoint.js';
import { closingSlotOf, StreamEnded } from '../endpoint.js';
import type { Payload, PayloadSequence } from '../payload.js';
import type { Operation, StreamShape } from './stream.js';

const CLOSING_BYTES = 4;

/** The starting side of a ping-pong by send, or of a series of reads. */
export class PromisedRoundTrips {
  readonly #endpoint: Endpoint;
  readonly #payload: Payload;
  readonly #operation: Operation;
  #counter = 0;

  constructor(endpoint: Endpoint, payload: Payload, operation: Operation) {
    if (operation === 'write') throw new TypeError('a write that is looked at has no promise');
    this.#endpoint = endpoint;
    this.#payload = payload;
    this.#operation = operation;
  }

  async run(count: number): Promise<void> {
    for (let left = count; left > 0; left--) {
      if (this.#operation === 'read') await this.#read();
      else await this.#exchange(this.#payload.counterOf(this.#counter++));
    }
  }

  async stop(): Promise<void> {
    if (this.#operation === 'send') return this.#exchange(this.#payload.stop);
    const slot = closingSlotOf(this.#endpoint);
    this.#endpoint.startSend(slot, CLOSING_BYTES);
    return this.#endpoint.sent(slot);
  }

  async #exchange(counter: number): Promise<void> {
    const endpoint = this.#endpoint;
    const payload = this.#payload;
    endpoint.postReceive(0, payload.bytes);
    payload.fill(endpoint.sendWords, 0, counter);
    endpoint.startSend(0, payload.bytes);
    const received = await receivedWhole(endpoint, 0, payload.bytes);
    payload.checkReceived(endpoint, 0, received, counter);
    await endpoint.sent(0);
  }

  async #read(): Promise<void> {
    const endpoint = this.#endpoint;
    endpoint.startRead(0, this.#payload.bytes);
    this.#payload.checkReceived(endpoint, 0, await endpoint.received(0), 0);
  }
}

/** The answering side, until the other one says stop. Its first receive is posted when it is called. */
export async function promisedAnswers(endpoint: Endpoint, payload: Payload): Promise<number> {
  const { bytes, stop } = payload;
  for (let served = 0; ; served++) {
    endpoint.postReceive(0, bytes);
    const received = await receivedWhole(endpoint, 0, bytes);
    const found = payload.counterAt(endpoint.receiveWords, 0);
    const expected = found === stop ? stop : payload.counterOf(served);
    payload.checkReceived(endpoint, 0, received, expected);
    payload.fill(endpoint.sendWords, 0, expected);
    endpoint.startSend(0, bytes);
    await endpoint.sent(0);
    if (found === stop) return served + 1;
  }
}

async function receivedWhole(endpoint: Endpoint, slot: number, bytes: number): Promise<number> {
  const received = await endpoint.received(slot);
  if (received === 0 && bytes > 0) throw new StreamEnded('the stream ended early');
  return received;
}

/** A stream whose window is kept by promises; see StreamStarter. */
export class PromisedStream {
  readonly #endpoint: Endpoint;
  readonly #sequence: PayloadSequence;
  readonly #shape: StreamShape;
  #index = 0;
  #settled = 0;

  constructor(endpoint: Endpoint, sequence: PayloadSequence, shape: StreamShape) {
    this.#endpoint = endpoint;
    this.#sequence = sequence;
    this.#shape = shape;
  }

  get count(): number {
    return this.#index;
  }

  get settledCount(): number {
    return this.#settled;
  }

  async start(count: number): Promise<void> {
    for (let left = count; left > 0; left--) await this.#startOne(false);
  }

  async startLast(): Promise<void> {
    await this.#startOne(true);
  }

  async drain(): Promise<void> {
    while (this.#settled < this.#index) await this.#settleOne();
  }

  async #startOne(isLast: boolean): Promise<void> {
    while (this.#index + 1 - this.#settled > this.#shape.depth) await this.#settleOne();
    const endpoint = this.#endpoint;
    const index = this.#index++;
    const slot = index % closingSlotOf(endpoint);
    const payload = this.#sequence.payload(index);
    if (this.#shape.operation === 'read') return endpoint.startRead(slot, payload.bytes);
    const counter = isLast ? payload.stop : payload.counterOf(index);
    payload.fill(endpoint.sendWords, (slot * endpoint.slotBytes) >>> 2, counter);
    if (this.#shape.operation === 'send') endpoint.startSend(slot, payload.bytes);
    else endpoint.startWrite(slot, payload.bytes);
  }

  async #settleOne(): Promise<void> {
    const endpoint = this.#endpoint;
    const index = this.#settled++;
    const slot = index % closingSlotOf(endpoint);
    if (this.#shape.operation !== 'read') return endpoint.sent(slot);
    const received = await endpoint.received(slot);
    this.#sequence.payload(index).checkReceived(endpoint, slot, received, slot);
  }
}
