// An endpoint made of memory, for the loops: keeps what was sent, and receives what a function says. It
// checks that every slot has one operation at a time.

import { expect } from 'vitest';
import type { Endpoint } from '../../bench/endpoint.js';
import { SLOT_COUNT } from '../../bench/endpoint.js';

export const SLOT_BYTES = 64;
const WORDS = SLOT_BYTES / 4;

/** What arrives: how many bytes, and the words at their beginning. */
export type Arrival = readonly [bytes: number, ...words: number[]];

export class FakeEndpoint implements Endpoint {
  readonly slotBytes = SLOT_BYTES;
  readonly slotCount = SLOT_COUNT;
  readonly sendWords = new Uint32Array(SLOT_COUNT * WORDS);
  readonly receiveWords = new Uint32Array(SLOT_COUNT * WORDS);
  readonly descriptor: readonly number[] = [];
  readonly posted: number[] = [];
  readonly sends: { readonly slot: number; readonly words: readonly number[] }[] = [];
  readonly #underWay = new Set<number>();
  readonly #next: () => Arrival;

  constructor(next: () => Arrival) {
    this.#next = next;
  }

  get counters(): (number | undefined)[] {
    return this.sends.map(({ words }) => words[0]);
  }

  get underWayCount(): number {
    return this.#underWay.size;
  }

  aim(): void {
    // There is nobody to aim at.
  }

  drive(): void {
    // Nothing moves by itself.
  }

  postReceive(slot: number): void {
    expect(this.posted).not.toContain(slot);
    this.posted.push(slot);
  }

  startSend(slot: number, bytes: number): void {
    expect(this.#underWay).not.toContain(slot);
    this.#underWay.add(slot);
    const from = slot * WORDS;
    const words = Array.from(this.sendWords.subarray(from, from + Math.ceil(bytes / 4)));
    this.sends.push({ slot, words });
  }

  startWrite(slot: number, bytes: number): void {
    this.startSend(slot, bytes);
  }

  startRead(slot: number): void {
    this.postReceive(slot);
  }

  awaitReceive(slot: number): number {
    expect(this.posted).toContain(slot);
    this.posted.splice(this.posted.indexOf(slot), 1);
    const [bytes, ...words] = this.#next();
    this.receiveWords.set(words, slot * WORDS);
    return bytes;
  }

  awaitSend(slot: number): void {
    this.#underWay.delete(slot);
  }

  async received(slot: number): Promise<number> {
    return this.awaitReceive(slot);
  }

  async sent(slot: number): Promise<void> {
    this.awaitSend(slot);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** An endpoint whose peer sends back whatever it gets. */
export function echoing(): FakeEndpoint {
  const endpoint: FakeEndpoint = new FakeEndpoint(() => [
    SLOT_BYTES,
    ...(endpoint.sends.at(-1)?.words ?? []),
  ]);
  return endpoint;
}

/** Arrivals from a list, then the end of the stream. */
export function fromList(list: readonly Arrival[]): () => Arrival {
  let at = 0;
  return () => list[at++] ?? [0];
}
