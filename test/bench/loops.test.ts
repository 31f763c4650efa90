// The measuring loops over an endpoint made of memory: what they check of the payload, which slots they
// use in which order, and that they end.

import { describe, expect, it } from 'vitest';
import type { Endpoint } from '../../bench/endpoint.js';
import { PayloadError, SLOT_COUNT } from '../../bench/endpoint.js';
import {
  Answerer,
  pingPong,
  prepareStream,
  receiveStream,
  STREAM_DEPTH,
  StreamSender,
} from '../../bench/loops.js';
import { seconds } from '../../runtime/clock.js';

const BYTES = 64;

/** Keeps what was sent, and receives from a list of [bytes, first word]. */
class FakeEndpoint implements Endpoint {
  readonly slotBytes = BYTES;
  readonly sendWords = new Uint32Array((SLOT_COUNT * BYTES) / 4);
  readonly receiveWords = new Uint32Array((SLOT_COUNT * BYTES) / 4);
  readonly posted: number[] = [];
  readonly sent: { slot: number; counter: number }[] = [];
  readonly #next: () => readonly [number, number];

  constructor(next: () => readonly [number, number]) {
    this.#next = next;
  }

  postReceive(slot: number): void {
    this.posted.push(slot);
  }

  startSend(slot: number): void {
    this.sent.push({ slot, counter: this.sendWords[(slot * BYTES) / 4] ?? -1 });
  }

  awaitReceive(slot: number): number {
    expect(this.posted).toContain(slot);
    this.posted.splice(this.posted.indexOf(slot), 1);
    const [bytes, word] = this.#next();
    this.receiveWords[(slot * BYTES) / 4] = word;
    return bytes;
  }

  awaitSend(): void {
    // Sent is sent.
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

function fromList(list: readonly (readonly [number, number])[]): () => readonly [number, number] {
  let at = 0;
  return () => list[at++] ?? [0, 0];
}

describe('pingPong', () => {
  const plan = { bytes: BYTES, batch: 10, batches: 3, warmup: 5, budgetNanos: seconds(60) };

  it('makes every round trip that it was told to, and one that says stop', () => {
    const endpoint: FakeEndpoint = new FakeEndpoint(() => [
      BYTES,
      endpoint.sent.at(-1)?.counter ?? 0,
    ]);
    expect(pingPong(endpoint, plan)).toHaveLength(3);
    expect(endpoint.sent.map(({ counter }) => counter)).toEqual([
      ...Array.from({ length: 35 }, (_, index) => index),
      0xffffffff,
    ]);
    // The one for the message after the last.
    expect(endpoint.posted).toHaveLength(1);
  });

  it('ends after a whole batch when its time is over', () => {
    const endpoint: FakeEndpoint = new FakeEndpoint(() => [
      BYTES,
      endpoint.sent.at(-1)?.counter ?? 0,
    ]);
    expect(pingPong(endpoint, { ...plan, budgetNanos: -1 })).toHaveLength(1);
  });

  it('refuses an answer with another counter, and one of another length', () => {
    const wrong = new FakeEndpoint(() => [BYTES, 77]);
    expect(() => pingPong(wrong, plan)).toThrow(PayloadError);
    const short = new FakeEndpoint(() => [BYTES - 4, 0]);
    expect(() => pingPong(short, plan)).toThrow(PayloadError);
  });
});

describe('an Answerer', () => {
  it('answers with what came, always has a receive posted, and stops when told', () => {
    const endpoint = new FakeEndpoint(
      fromList([
        [BYTES, 0],
        [BYTES, 1],
        [BYTES, 0xffffffff],
      ]),
    );
    const answerer = new Answerer(endpoint, BYTES);
    expect(endpoint.posted).toEqual([0, 1]);
    expect(answerer.serve(2)).toBe(2);
    expect(answerer.serve()).toBe(1);
    expect(endpoint.sent.map(({ counter }) => counter)).toEqual([0, 1, 0xffffffff]);
  });

  it('refuses a message that is not the next one', () => {
    const answerer = new Answerer(new FakeEndpoint(fromList([[BYTES, 1]])), BYTES);
    expect(() => answerer.serve()).toThrow(PayloadError);
  });
});

describe('a stream', () => {
  it('rotates over all slots and numbers its messages', () => {
    const endpoint = new FakeEndpoint(() => [0, 0]);
    const sender = new StreamSender(endpoint, (slot) => endpoint.startSend(slot));
    sender.send(SLOT_COUNT);
    sender.send(2);
    const expected = Array.from({ length: SLOT_COUNT + 2 }, (_, at) => ({
      slot: at % SLOT_COUNT,
      counter: at,
    }));
    expect(endpoint.sent).toEqual(expected);
  });

  it('may arrive in pieces: counters are looked at where a message begins', () => {
    const pieces: (readonly [number, number])[] = [
      [BYTES, 0],
      [BYTES / 2, 1],
      [BYTES / 2, 0],
      [BYTES, 2],
    ];
    const endpoint = new FakeEndpoint(fromList(pieces));
    prepareStream(endpoint, BYTES);
    expect(endpoint.posted).toHaveLength(STREAM_DEPTH);
    expect(receiveStream(endpoint, BYTES, 3)).toBe(3);
  });

  it('is refused when a message is missing, or when it ends early', () => {
    const missing = new FakeEndpoint(fromList([[BYTES, 1]]));
    prepareStream(missing, BYTES);
    expect(() => receiveStream(missing, BYTES, 3)).toThrow(PayloadError);
    const early = new FakeEndpoint(fromList([[BYTES, 0]]));
    prepareStream(early, BYTES);
    expect(() => receiveStream(early, BYTES, 3)).toThrow('ended after 64 of 192 bytes');
  });
});
