// A queue of small numbers of a bound known beforehand, without allocation. Holds indexes of message
// buffers in the order in which calls were made.

import { assert } from '../runtime/assert.js';

const NO_ITEMS = new Int32Array(0);

export class Ring {
  /** Made with the first item: of the rings of a connection most never have one. */
  private items = NO_ITEMS;
  private readonly mask: number;
  private head = 0;
  private tail = 0;

  /** `capacity`: the most it ever holds; an assertion guards it. */
  constructor(capacity: number) {
    this.mask = 2 ** Math.ceil(Math.log2(Math.max(1, capacity))) - 1;
  }

  get length(): number {
    return (this.tail - this.head) | 0;
  }

  /** The oldest item; -1 when empty. */
  get oldest(): number {
    return this.head === this.tail ? -1 : (this.items[this.head & this.mask] as number);
  }

  push(item: number): void {
    if (this.items === NO_ITEMS) this.items = new Int32Array(this.mask + 1);
    assert(this.length <= this.mask, 'a ring holds what it was made for');
    this.items[this.tail & this.mask] = item;
    this.tail = (this.tail + 1) | 0;
  }

  /** Takes the oldest; the caller has checked that there is one. */
  shift(): number {
    const item = this.items[this.head & this.mask] as number;
    this.head = (this.head + 1) | 0;
    return item;
  }

  /** Takes the newest back. */
  dropNewest(): void {
    this.tail = (this.tail - 1) | 0;
  }
}
