// Round trips over one or many connections, taken in turn: by send and receive, by writes into memory
// that the other side looks at, and by reads. The starting side drives them one by one, so that whoever
// calls it decides how often the clock is read. No loop allocates.

import type { Endpoint } from '../endpoint.js';
import { closingSlotOf, PATIENCE_NANOS, PayloadError, POLLS_PER_CLOCK_READ } from '../endpoint.js';
import { Deadline } from '../measure.js';
import type { Payload } from '../payload.js';

/** The starting side of a ping-pong. */
export interface RoundTrips {
  /** Throws PayloadError when an answer is not what was sent, and what the endpoint throws. */
  run(count: number): void;
  /** Tells the other side that this was all. */
  stop(): void;
}

/** The answering side. Made before the other side may send. */
export interface Answers {
  /** Answers until the other side says stop, or `count` messages; returns how many. */
  serve(count?: number): number;
}

/** Looks into memory between two turns of the NIC: as many as take about as long as one turn. */
const LOOKS_PER_DRIVE = 32;
/** Bytes of the message that ends a series of reads or writes. */
const CLOSING_BYTES = 4;

/**
 * By send and receive. Both sides keep two receives posted on every connection, so that the next message
 * always finds one and a new one is posted while the other side works, not while it waits. The outcome of
 * a send is looked at in the same while, one message later: before its slot is used again.
 */
export class SendRoundTrips implements RoundTrips {
  readonly #endpoints: readonly Endpoint[];
  readonly #payload: Payload;
  #at = 0;
  #round = 0;
  #counter = 0;

  constructor(endpoints: readonly Endpoint[], payload: Payload) {
    this.#endpoints = endpoints;
    this.#payload = payload;
    postTwo(endpoints, payload.bytes);
  }

  run(count: number): void {
    for (let left = count; left > 0; left--) {
      this.#exchange(this.#payload.counterOf(this.#counter++));
    }
  }

  stop(): void {
    const slot = this.#round & 1;
    const endpoint = this.#endpoints[this.#at] as Endpoint;
    this.#exchange(this.#payload.stop);
    endpoint.awaitSend(slot);
  }

  #exchange(counter: number): void {
    const endpoint = this.#endpoints[this.#at] as Endpoint;
    const payload = this.#payload;
    const { bytes } = payload;
    const round = this.#round;
    const slot = round & 1;
    payload.fill(endpoint.sendWords, (slot * endpoint.slotBytes) >>> 2, counter);
    endpoint.startSend(slot, bytes);
    if (round > 0) {
      endpoint.postReceive(slot ^ 1, bytes);
      endpoint.awaitSend(slot ^ 1);
    }
    const received = endpoint.awaitReceive(slot);
    payload.checkReceived(endpoint, slot, received, counter);
    if (++this.#at === this.#endpoints.length) {
      this.#at = 0;
      this.#round++;
    }
  }
}

export class SendAnswers implements Answers {
  readonly #endpoints: readonly Endpoint[];
  readonly #payload: Payload;
  #at = 0;
  #round = 0;
  #counter = 0;

  constructor(endpoints: readonly Endpoint[], payload: Payload) {
    this.#endpoints = endpoints;
    this.#payload = payload;
    postTwo(endpoints, payload.bytes);
  }

  serve(count = Infinity): number {
    const payload = this.#payload;
    const { bytes, stop } = payload;
    for (let served = 0; served < count; served++) {
      const endpoint = this.#endpoints[this.#at] as Endpoint;
      const round = this.#round;
      const slot = round & 1;
      const word = (slot * endpoint.slotBytes) >>> 2;
      const received = endpoint.awaitReceive(slot);
      const found = payload.counterAt(endpoint.receiveWords, word);
      const expected = found === stop ? stop : payload.counterOf(this.#counter++);
      payload.checkReceived(endpoint, slot, received, expected);
      payload.fill(endpoint.sendWords, word, expected);
      endpoint.startSend(slot, bytes);
      if (found === stop) {
        endpoint.awaitSend(slot);
        return served + 1;
      }
      endpoint.postReceive(slot, bytes);
      if (round > 0) endpoint.awaitSend(slot ^ 1);
      if (++this.#at === this.#endpoints.length) {
        this.#at = 0;
        this.#round++;
      }
    }
    return count;
  }
}

function postTwo(endpoints: readonly Endpoint[], bytes: number): void {
  for (const endpoint of endpoints) {
    endpoint.postReceive(0, bytes);
    endpoint.postReceive(1, bytes);
  }
}

/**
 * By RDMA writes: each side writes into the other's memory and looks at the last word of its own. Needs
 * messages of whole words, and memory whose last word is written last. [RDMA-09]
 */
export class WriteRoundTrips implements RoundTrips {
  readonly #side: WriteSide;
  #counter = 1;

  constructor(endpoint: Endpoint, payload: Payload) {
    this.#side = new WriteSide(endpoint, payload);
  }

  run(count: number): void {
    for (let left = count; left > 0; left--) this.#exchange(this.#counter++);
  }

  stop(): void {
    this.#exchange(this.#side.payload.stop);
  }

  #exchange(counter: number): void {
    this.#side.write(counter);
    this.#side.awaitMemory(counter);
  }
}

export class WriteAnswers implements Answers {
  readonly #side: WriteSide;
  #counter = 1;

  constructor(endpoint: Endpoint, payload: Payload) {
    this.#side = new WriteSide(endpoint, payload);
  }

  serve(count = Infinity): number {
    for (let served = 0; served < count; served++) {
      const found = this.#side.awaitMemory(this.#counter++);
      this.#side.write(found);
      if (found === this.#side.payload.stop) return served + 1;
    }
    return count;
  }
}

class WriteSide {
  readonly payload: Payload;
  readonly #endpoint: Endpoint;
  readonly #lastWord: number;
  /** Of a receive that nothing comes to. */
  readonly #idleSlot: number;

  constructor(endpoint: Endpoint, payload: Payload) {
    if (payload.bytes % 4 !== 0 || payload.verify !== 'counter') {
      throw new TypeError('a ping-pong of writes needs messages of whole words with counters');
    }
    this.payload = payload;
    this.#endpoint = endpoint;
    this.#lastWord = payload.bytes / 4 - 1;
    this.#idleSlot = closingSlotOf(endpoint);
    endpoint.postReceive(this.#idleSlot, CLOSING_BYTES);
  }

  write(counter: number): void {
    const endpoint = this.#endpoint;
    const { payload } = this;
    payload.fill(endpoint.sendWords, 0, counter);
    endpoint.startWrite(0, payload.bytes);
    // Its outcome while the bytes are on their way, as perftest does.
    endpoint.awaitSend(0);
  }

  /** Looks at memory until the last word says `counter`, or stop. Returns which. */
  awaitMemory(counter: number): number {
    const endpoint = this.#endpoint;
    const words = endpoint.receiveWords;
    const last = this.#lastWord;
    const { stop } = this.payload;
    let looks = 0;
    let deadline: Deadline | null = null;
    for (;;) {
      const found = (words[last] ?? 0) | 0;
      if (found === counter || found === stop) {
        if (((words[0] ?? 0) | 0) !== found)
          throw new PayloadError(`write ${counter} has not come whole`);
        this.payload.check(words, 0, found);
        return found;
      }
      if (++looks % LOOKS_PER_DRIVE !== 0) continue;
      // A write may come without this side's doing; one that does not needs a turn of its NIC.
      endpoint.drive(this.#idleSlot);
      if (looks % POLLS_PER_CLOCK_READ !== 0) continue;
      deadline ??= new Deadline(PATIENCE_NANOS, 'a write into memory');
      deadline.check();
    }
  }
}

/** By reads of the other side's memory: a whole round trip is one read, and nobody answers. */
export class ReadRoundTrips implements RoundTrips {
  readonly #endpoint: Endpoint;
  readonly #payload: Payload;

  constructor(endpoint: Endpoint, payload: Payload) {
    this.#endpoint = endpoint;
    this.#payload = payload;
  }

  run(count: number): void {
    const endpoint = this.#endpoint;
    for (let left = count; left > 0; left--) {
      endpoint.startRead(0, this.#payload.bytes);
      const received = endpoint.awaitReceive(0);
      this.#payload.checkReceived(endpoint, 0, received, 0);
    }
  }

  stop(): void {
    const endpoint = this.#endpoint;
    const slot = closingSlotOf(endpoint);
    endpoint.startSend(slot, CLOSING_BYTES);
    endpoint.awaitSend(slot);
  }
}

/** The memory that is read, until the reader says that it has finished. */
export class ReadAnswers implements Answers {
  readonly #endpoint: Endpoint;

  constructor(endpoint: Endpoint, payload: Payload) {
    this.#endpoint = endpoint;
    payload.fill(endpoint.sendWords, 0, 0);
    endpoint.postReceive(closingSlotOf(endpoint), CLOSING_BYTES);
  }

  serve(): number {
    awaitPatiently(this.#endpoint, closingSlotOf(this.#endpoint));
    return 0;
  }
}

/**
 * Waits for a message that may be a whole measurement away, longer than a single operation may take.
 */
export function awaitPatiently(endpoint: Endpoint, slot: number): number {
  const deadline = new Deadline(MEASUREMENT_NANOS_MAX, 'the end of a measurement');
  for (;;) {
    try {
      return endpoint.awaitReceive(slot);
    } catch (thrown) {
      if (!(thrown instanceof Error) || thrown.name !== 'DeadlineError') throw thrown;
      deadline.check();
    }
  }
}

/** The longest a passive side waits. */
const MEASUREMENT_NANOS_MAX = 3600e9;
