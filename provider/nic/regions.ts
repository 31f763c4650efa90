// The engine's table of memory regions: key → range, rights, owner. Keys are random and every region
// belongs to one queue pair, so a key is worth nothing on any other connection. Not shared: what peers see
// of it is a copy (exposed-regions.ts), which decides nothing here (MEM-03, MEM-04).

import { assert } from '../../runtime/assert.js';

const EMPTY = 0;
/** A key that was removed; lookups walk past it. Never handed out as a key. */
const REMOVED = 1;
const INITIAL_CAPACITY = 1024;

export class RegionTable {
  #capacity = INITIAL_CAPACITY;
  #keys = new Int32Array(INITIAL_CAPACITY);
  #bases = new Float64Array(INITIAL_CAPACITY);
  #lengths = new Float64Array(INITIAL_CAPACITY);
  #access = new Uint8Array(INITIAL_CAPACITY);
  #owners = new Int32Array(INITIAL_CAPACITY);
  #live = 0;
  #lastKey = EMPTY;
  #lastAt = 0;
  #used = 0;

  get size(): number {
    return this.#live;
  }

  /** Enters a region under a key that is not in use. `owner` is the queue pair slot it is bound to. */
  add(key: number, base: number, length: number, access: number, owner: number): void {
    assert(isKey(key), 'a memory key is none of the reserved ones');
    if ((this.#used + 1) * 2 > this.#capacity) this.#rehash();
    const at = this.#slotFor(key);
    if (this.#keys[at] === EMPTY) this.#used++;
    this.#keys[at] = key | 0;
    this.#bases[at] = base;
    this.#lengths[at] = length;
    this.#access[at] = access;
    this.#owners[at] = owner;
    this.#live++;
  }

  has(key: number): boolean {
    return this.#find(key) >= 0;
  }

  remove(key: number): boolean {
    const at = this.#find(key);
    if (at < 0) return false;
    this.#keys[at] = REMOVED;
    this.#live--;
    return true;
  }

  /**
   * Whether `key` opens [address, address + length) to queue pair slot `owner` with all of `access`.
   * A zero-length range needs the key and its rights all the same.
   */
  allows(key: number, address: number, length: number, access: number, owner: number): boolean {
    const at = this.#find(key);
    if (at < 0 || this.#owners[at] !== owner) return false;
    if (((this.#access[at] as number) & access) !== access) return false;
    const start = address - (this.#bases[at] as number);
    return start >= 0 && start + length <= (this.#lengths[at] as number);
  }

  /**
   * Where the table has a region that `key` opens to `owner` with all of `access` and that ends at
   * `limit` at most; -1 for none. Good until the next change of the table.
   */
  place(key: number, access: number, owner: number, limit: number): number {
    const at = this.#find(key);
    if (at < 0 || this.#owners[at] !== owner) return -1;
    if (((this.#access[at] as number) & access) !== access) return -1;
    return this.endOf(at) <= limit ? at : -1;
  }

  startOf(at: number): number {
    return this.#bases[at] as number;
  }

  endOf(at: number): number {
    return (this.#bases[at] as number) + (this.#lengths[at] as number);
  }

  #find(key: number): number {
    const keys = this.#keys;
    const mask = keys.length - 1;
    const wanted = key | 0;
    if (wanted === EMPTY || wanted === REMOVED) return -1;
    // The regions of message buffers are asked for over and over.
    if (wanted === this.#lastKey && keys[this.#lastAt] === wanted) return this.#lastAt;
    for (let at = wanted & mask; ; at = (at + 1) & mask) {
      const found = keys[at];
      if (found === wanted) {
        this.#lastKey = wanted;
        this.#lastAt = at;
        return at;
      }
      if (found === EMPTY) return -1;
    }
  }

  #slotFor(key: number): number {
    const mask = this.#capacity - 1;
    let at = key & mask;
    for (;;) {
      const found = this.#keys[at] as number;
      assert(found !== (key | 0), 'a memory key is handed out once');
      if (found === EMPTY || found === REMOVED) return at;
      at = (at + 1) & mask;
    }
  }

  /** Doubles when full of live keys; otherwise only sweeps removed ones out. */
  #rehash(): void {
    const before = {
      keys: this.#keys,
      bases: this.#bases,
      lengths: this.#lengths,
      access: this.#access,
      owners: this.#owners,
    };
    const capacity = this.#live * 4 > this.#capacity ? this.#capacity * 2 : this.#capacity;
    this.#capacity = capacity;
    this.#keys = new Int32Array(capacity);
    this.#bases = new Float64Array(capacity);
    this.#lengths = new Float64Array(capacity);
    this.#access = new Uint8Array(capacity);
    this.#owners = new Int32Array(capacity);
    this.#live = 0;
    this.#used = 0;
    before.keys.forEach((key, at) => {
      if (key === EMPTY || key === REMOVED) return;
      this.add(
        key >>> 0,
        before.bases[at] as number,
        before.lengths[at] as number,
        before.access[at] as number,
        before.owners[at] as number,
      );
    });
  }
}

/** Keys 0 and 1 mark empty places of the table. */
export function isKey(key: number): boolean {
  return key > REMOVED && key <= 0xffffffff;
}
