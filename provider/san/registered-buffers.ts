// Registrations with one right, found by the address of a buffer: what WSPSend and WSPRecv need, whose
// buffers carry no handle. A buffer that was used lately is recognised as an object, without asking
// for its address. Calls no NIC but to ask where a buffer lies. Sources: WSPSEND-02, IMPL-03, MEM-06.

import type { RandomSource } from '../spi/provider.js';
import { RangeIndex } from './range-index.js';
import type { Registration } from './registration.js';

/** A buffer object that was used lately, with what finding it by address came to. */
export class CachedBuffer {
  buffer: Uint8Array | null = null;
  address = 0;
  registration: Registration | null = null;
}

const CACHED_BUFFERS = 32;

/**
 * The buffers of one direction by identity. A switch goes round its message buffers in order, so
 * the one after the last hit is tried first.
 */
class BufferCache {
  /** As many as were needed so far: most sockets never come to need all. */
  readonly #entries: CachedBuffer[] = [];
  #next = 0;
  #victim = 0;

  find(buffer: Uint8Array): CachedBuffer | null {
    const used = this.#entries.length;
    let index = this.#next;
    for (let step = 0; step < used; step++) {
      if (index >= used) index = 0;
      const entry = this.#entries[index] as CachedBuffer;
      index++;
      if (entry.buffer === buffer) {
        this.#next = index;
        return entry;
      }
    }
    return null;
  }

  put(buffer: Uint8Array, address: number, registration: Registration): CachedBuffer {
    const index = this.#victim;
    this.#victim = (index + 1) % CACHED_BUFFERS;
    const entry = (this.#entries[index] ??= new CachedBuffer());
    entry.buffer = buffer;
    entry.address = address;
    entry.registration = registration;
    return entry;
  }

  drop(registration: Registration): void {
    for (const entry of this.#entries) {
      if (entry.registration !== registration) continue;
      entry.buffer = null;
      entry.registration = null;
    }
  }
}

export class RegisteredBuffers {
  readonly #cache = new BufferCache();
  readonly #index: RangeIndex<Registration>;
  readonly #beforeSearch: () => void;

  /** `beforeSearch` adds what is not added yet, before a search by address. */
  constructor(random: RandomSource, beforeSearch: () => void) {
    this.#index = new RangeIndex(() => random.uint32());
    this.#beforeSearch = beforeSearch;
  }

  add(registration: Registration): void {
    this.#index.add(registration);
  }

  remove(registration: Registration): void {
    this.#index.remove(registration);
    this.#cache.drop(registration);
  }

  /**
   * The first `length` bytes of `buffer` and the registration that contains them, or null. The
   * answer is valid until the next call. `addressOf` is asked only about buffers not used lately.
   */
  find(
    buffer: Uint8Array,
    length: number,
    addressOf: { addressOf(buffer: Uint8Array): number },
  ): CachedBuffer | null {
    // A detached buffer has no bytes left. `length` costs a fifth of what `byteLength` costs in V8.
    if (buffer.length < length) return null;
    const cached = this.#cache.find(buffer);
    if (cached !== null) {
      const { registration, address } = cached;
      if (registration !== null && address + length <= registration.end) return cached;
    }
    const address = addressOf.addressOf(buffer);
    if (address === 0) return null;
    this.#beforeSearch();
    const registration = this.#index.containing(address, address + length);
    if (registration === null || !registration.isIntact) return null;
    if (cached === null) return this.#cache.put(buffer, address, registration);
    cached.registration = registration;
    return cached;
  }
}
