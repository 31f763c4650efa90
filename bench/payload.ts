// What the messages of a measurement carry, and the check that they did: a counter at both ends of each
// message, or every word of it, or nothing. Filling and checking cost time inside the measurement; how
// much is measured, too. It must not know how messages travel.

import type { Endpoint } from './endpoint.js';
import { PayloadError, StreamEnded } from './endpoint.js';
import { now } from './machine.js';

/** 'counter': length, first and last word. 'full': every word. 'off': the length alone. */
export type Verify = 'off' | 'counter' | 'full';

/** The counter of the last message of all. No other has it. Counters are signed words, like this one. */
const STOP = -1;
/** Counters of messages too short for a whole word; below every mask. */
const SHORT_COUNTERS = 251;
const WORD = 4;
const MULTIPLIER = 0x9e3779b1;

/** Of every counter that was looked at, in order: a message lost, doubled or out of turn changes it. */
export class Digest {
  #value = 0x811c9dc5;

  add(counter: number): void {
    this.#value = Math.imul(this.#value ^ counter, 0x01000193);
  }

  get value(): string {
    return (this.#value >>> 0).toString(16).padStart(8, '0');
  }
}

/** Messages of one size. */
export class Payload {
  readonly bytes: number;
  readonly verify: Verify;
  /** The counter of the last message of all, as far as it travels. */
  readonly stop: number;
  readonly #digest: Digest;
  /** The bits of the first word that travel. */
  readonly #mask: number;
  /** Index of the last whole word; 0 when that is the first. */
  readonly #last: number;
  readonly #wholeWords: number;

  constructor(bytes: number, verify: Verify, digest = new Digest()) {
    this.bytes = bytes;
    this.verify = verify;
    this.#digest = digest;
    this.#mask = bytes >= WORD ? -1 : 2 ** (8 * bytes) - 1;
    this.stop = STOP & this.#mask;
    this.#wholeWords = Math.floor(bytes / WORD);
    this.#last = Math.max(0, this.#wholeWords - 1);
  }

  /** The counter of the n-th message. */
  counterOf(index: number): number {
    return this.bytes >= WORD ? index | 0 : index % SHORT_COUNTERS;
  }

  fill(words: Uint32Array, at: number, counter: number): void {
    words[at] = counter;
    if (this.verify === 'full') this.#fillAll(words, at, counter);
    else if (this.verify === 'counter') words[at + this.#last] = counter;
  }

  /** The counter that a message carries. */
  counterAt(words: Uint32Array, at: number): number {
    return (words[at] ?? 0) & this.#mask;
  }

  /** Throws PayloadError when the message is not the one with `counter`. */
  check(words: Uint32Array, at: number, counter: number): void {
    if (this.verify === 'off') return;
    const found = (words[at] ?? 0) & this.#mask;
    const last = this.#last === 0 ? counter : (words[at + this.#last] ?? 0) | 0;
    const isWhole =
      this.verify === 'counter' ? last === counter : this.#isWhole(words, at, counter);
    if (found !== counter || !isWhole) throw this.#wrong(found, counter);
    this.#digest.add(counter);
  }

  /** The same for a message that has arrived in a receiving slot. */
  checkReceived(endpoint: Endpoint, slot: number, received: number, counter: number): void {
    if (received !== this.bytes) throw this.#wrongLength(received, counter);
    this.check(endpoint.receiveWords, (slot * endpoint.slotBytes) >>> 2, counter);
  }

  /**
   * Nanoseconds of one fill and one check, measured on the memory of an endpoint that nothing runs on.
   */
  static cost(endpoint: Endpoint, bytes: number, verify: Verify): number {
    return new Payload(bytes, verify).#cost(endpoint);
  }

  #cost(endpoint: Endpoint): number {
    const rounds = Math.max(8, Math.min(20_000, Math.floor((1 << 22) / this.bytes)));
    const { sendWords } = endpoint;
    let best = Infinity;
    for (let repeat = 0; repeat < 5; repeat++) {
      const begin = now();
      for (let round = 0; round < rounds; round++) {
        const counter = this.counterOf(round);
        this.fill(sendWords, 0, counter);
        this.check(sendWords, 0, counter);
      }
      best = Math.min(best, (now() - begin) / rounds);
    }
    return best;
  }

  #fillAll(words: Uint32Array, at: number, counter: number): void {
    const end = at + this.#wholeWords;
    let value = counter;
    for (let word = at + 1; word < end; word++) {
      value = (value + MULTIPLIER) | 0;
      words[word] = value;
    }
  }

  #isWhole(words: Uint32Array, at: number, counter: number): boolean {
    const end = at + this.#wholeWords;
    let value = counter;
    let difference = 0;
    for (let word = at + 1; word < end; word++) {
      value = (value + MULTIPLIER) | 0;
      difference |= (words[word] ?? 0) ^ value;
    }
    return difference === 0;
  }

  #wrong(found: number, counter: number): PayloadError {
    return new PayloadError(
      `message ${counter} of ${this.bytes} bytes: what arrived begins with counter ${found}`,
    );
  }

  #wrongLength(received: number, counter: number): Error {
    if (received === 0) return new StreamEnded(`the stream ended before message ${counter}`);
    return new PayloadError(`message ${counter}: ${received} of ${this.bytes} bytes`);
  }
}

/** Messages of one size or of several, in an order that both sides know. */
export class PayloadSequence {
  readonly digest = new Digest();
  readonly verify: Verify;
  readonly #payloads: readonly Payload[];
  /** Where all messages are of one size. */
  readonly #only: Payload | null;
  readonly #order: Uint8Array;
  readonly #mask: number;
  /** Bytes of the first messages of a round, for each number of them. */
  readonly #bytesBefore: Float64Array;

  /** `order` is repeated for ever; its length is a power of two, its items are indices into `sizes`. */
  constructor(sizes: readonly number[], verify: Verify, order = new Uint8Array(1)) {
    this.verify = verify;
    this.#payloads = sizes.map((bytes) => new Payload(bytes, verify, this.digest));
    this.#only = (sizes.length === 1 ? this.#payloads[0] : null) ?? null;
    this.#order = order;
    this.#mask = order.length - 1;
    this.#bytesBefore = new Float64Array(order.length + 1);
    for (let at = 0; at < order.length; at++) {
      this.#bytesBefore[at + 1] = (this.#bytesBefore[at] ?? 0) + this.payload(at).bytes;
    }
  }

  payload(index: number): Payload {
    if (this.#only !== null) return this.#only;
    return this.#payloads[this.#order[index & this.#mask] ?? 0] as Payload;
  }

  /** Bytes of the first `count` messages. */
  totalBytes(count: number): number {
    const round = this.#order.length;
    const before = this.#bytesBefore;
    const whole = before[round] ?? 0;
    return Math.floor(count / round) * whole + (before[count % round] ?? 0);
  }
}
