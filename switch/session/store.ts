// The private store of a receiver: a ring of bytes that arrived before anyone asked for them
// (XFER-05, OOB-02). Bounded by the window, which the sender keeps to; going beyond is a bug of
// ours. Knows nothing of messages or requests.

import { assert } from '../../runtime/assert.js';
import { copyBytes } from './copy.js';

export class Store {
  readonly #bytes: Uint8Array;
  #start = 0;
  #length = 0;
  #total = 0;
  /** Total of bytes up to the end of the newest urgent data. */
  #urgentEnd = 0;
  #hasUrgent = false;

  constructor(capacity: number) {
    this.#bytes = new Uint8Array(capacity);
  }

  get length(): number {
    return this.#length;
  }

  /** Bytes ever stored, as a 32-bit total. */
  get total(): number {
    return this.#total;
  }

  /** Stored bytes up to the end of the newest urgent data; -1 when there is none left. */
  get urgentDistance(): number {
    if (!this.#hasUrgent) return -1;
    const distance = this.#length - ((this.#total - this.#urgentEnd) | 0);
    return distance > 0 ? distance : -1;
  }

  append(from: Uint8Array, offset: number, length: number, urgent: boolean): void {
    assert(this.#length + length <= this.#bytes.length, 'the window keeps within the store');
    const end = (this.#start + this.#length) % this.#bytes.length;
    const first = Math.min(length, this.#bytes.length - end);
    copyBytes(from, offset, this.#bytes, end, first);
    copyBytes(from, offset + first, this.#bytes, 0, length - first);
    this.#length += length;
    this.#total = (this.#total + length) | 0;
    if (urgent) {
      this.#hasUrgent = true;
      this.#urgentEnd = this.#total;
    }
  }

  /** Copies the oldest `length` bytes without taking them. */
  copyOut(into: Uint8Array, offset: number, length: number): void {
    assert(length <= this.#length, 'only what is stored is read');
    const first = Math.min(length, this.#bytes.length - this.#start);
    copyBytes(this.#bytes, this.#start, into, offset, first);
    copyBytes(this.#bytes, 0, into, offset + first, length - first);
  }

  drop(length: number): void {
    this.#start = (this.#start + length) % this.#bytes.length;
    this.#length -= length;
    if (this.urgentDistance < 0) this.#hasUrgent = false;
  }
}
