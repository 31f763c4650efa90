// The private store of a receiver: a ring of bytes that arrived before anyone asked for them
// (XFER-05, OOB-02). Bounded by the window, which the sender keeps to; going beyond is a bug of
// ours. Takes its memory when it first has something to keep, for most connections have a reader.
// Knows nothing of messages or requests.

import { assert } from '../../runtime/assert.js';
import { copyBytes } from './copy.js';

const NO_BYTES = new Uint8Array(0);

export class Store {
  readonly #capacity: number;
  #bytes: Uint8Array = NO_BYTES;
  #start = 0;
  #length = 0;
  #total = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get length(): number {
    return this.#length;
  }

  /** Bytes ever stored, as a 32-bit total. */
  get total(): number {
    return this.#total;
  }

  /** Bytes ever taken out, as a 32-bit total. */
  get taken(): number {
    return (this.#total - this.#length) | 0;
  }

  append(from: Uint8Array, offset: number, length: number): void {
    assert(this.#length + length <= this.#capacity, 'the window keeps within the store');
    if (this.#bytes.length === 0) this.#bytes = new Uint8Array(this.#capacity);
    const end = (this.#start + this.#length) % this.#capacity;
    const first = Math.min(length, this.#capacity - end);
    copyBytes(from, offset, this.#bytes, end, first);
    copyBytes(from, offset + first, this.#bytes, 0, length - first);
    this.#length += length;
    this.#total = (this.#total + length) | 0;
  }

  /** Copies the oldest `length` bytes without taking them. */
  copyOut(into: Uint8Array, offset: number, length: number): void {
    assert(length <= this.#length, 'only what is stored is read');
    const first = Math.min(length, this.#capacity - this.#start);
    copyBytes(this.#bytes, this.#start, into, offset, first);
    copyBytes(this.#bytes, 0, into, offset + first, length - first);
  }

  /** What is stored, oldest first. */
  copy(): Uint8Array {
    const bytes = new Uint8Array(this.#length);
    if (this.#length > 0) this.copyOut(bytes, 0, this.#length);
    return bytes;
  }

  /** Stores what another store held, of which `total` bytes had ever been stored. Nothing is here. */
  load(bytes: Uint8Array, total: number): void {
    if (bytes.length > 0) this.append(bytes, 0, bytes.length);
    this.#total = total;
  }

  drop(length: number): void {
    this.#start = (this.#start + length) % this.#capacity;
    this.#length -= length;
  }

  /** Takes the newest `length` bytes back. */
  dropNewest(length: number): void {
    assert(length <= this.#length, 'only what is stored is taken back');
    this.#length -= length;
    this.#total = (this.#total - length) | 0;
  }
}
