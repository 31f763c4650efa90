// A queue of small numbers of a bound known beforehand, without allocation. Holds indexes of message
// buffers in the order in which calls were made.

import { assert } from '../runtime/assert.js';

export class Ring {
  readonly #items: Int32Array;
  readonly #mask: number;
  #head = 0;
  #tail = 0;

  /** `capacity`: the most it ever holds; an assertion guards it. */
  constructor(capacity: number) {
    this.#items = new Int32Array(2 ** Math.ceil(Math.log2(Math.max(1, capacity))));
    this.#mask = this.#items.length - 1;
  }

  get length(): number {
    return (this.#tail - this.#head) | 0;
  }

  /** The oldest item; -1 when empty. */
  get oldest(): number {
    return this.#head === this.#tail ? -1 : (this.#items[this.#head & this.#mask] as number);
  }

  push(item: number): void {
    assert(this.length <= this.#mask, 'a ring holds what it was made for');
    this.#items[this.#tail & this.#mask] = item;
    this.#tail = (this.#tail + 1) | 0;
  }

  /** Takes the oldest; the caller has checked that there is one. */
  shift(): number {
    const item = this.#items[this.#head & this.#mask] as number;
    this.#head = (this.#head + 1) | 0;
    return item;
  }

  /** Takes the newest back. */
  dropNewest(): void {
    this.#tail = (this.#tail - 1) | 0;
  }
}
