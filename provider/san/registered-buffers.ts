// Registrations with one right, found by the address of a buffer: what WSPSend and WSPRecv need, whose
// buffers carry no handle. A buffer that was used lately is recognised as an object, without asking
// for its address. Calls no NIC but to ask where a buffer lies. Sources: WSPSEND-02, IMPL-03, MEM-06.

import type { RandomSource } from '../spi/provider.js';
import { RangeIndex } from './range-index.js';
import type { Registration } from './registration.js';

/**
 * A buffer object that was used lately, with what finding it by address came to. They stand in a ring, each
 * knowing the next, and not in an array: with many sockets every object on the way is a cache miss.
 */
export class CachedBuffer {
  buffer: Uint8Array | null = null;
  /** Bytes from `address` to the end of the registration. */
  room = 0;
  next: CachedBuffer = this;
  address = 0;
  registration: Registration | null = null;
}

/** Whoever goes round more buffers than this pays for a search by address every time. */
const CACHED_BUFFERS = 256;
/** Entries that are looked at before that search. */
const STEPS_MAX = 32;
/** What every ring begins with until it has an entry of its own: it is never the buffer asked for. */
const NOTHING_CACHED = new CachedBuffer();

export class RegisteredBuffers {
  /** After the last hit: callers go round their message buffers in order, so it is tried first. */
  private expected = NOTHING_CACHED;
  /** The ring in the order of its making, as many as were needed so far: most sockets need few. */
  private readonly entries: CachedBuffer[] = [];
  private victim = 0;
  private readonly index: RangeIndex<Registration>;
  private readonly beforeSearch: () => void;

  /** `beforeSearch` adds what is not added yet, before a search by address. */
  constructor(random: RandomSource, beforeSearch: () => void) {
    this.index = new RangeIndex(() => random.uint32());
    this.beforeSearch = beforeSearch;
  }

  add(registration: Registration): void {
    this.index.add(registration);
  }

  remove(registration: Registration): void {
    this.index.remove(registration);
    for (const entry of this.entries) {
      if (entry.registration !== registration) continue;
      entry.buffer = null;
      entry.registration = null;
    }
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
    const { expected } = this;
    if (expected.buffer !== buffer || length > expected.room)
      return this.search(buffer, length, addressOf);
    this.expected = expected.next;
    return expected;
  }

  private search(
    buffer: Uint8Array,
    length: number,
    addressOf: { addressOf(buffer: Uint8Array): number },
  ): CachedBuffer | null {
    const cached = this.cached(buffer);
    if (cached !== null && length <= cached.room) return cached;
    const address = addressOf.addressOf(buffer);
    if (address === 0) return null;
    this.beforeSearch();
    const registration = this.index.containing(address, address + length);
    if (registration === null || !registration.isIntact) return null;
    const entry = cached ?? this.newEntry();
    entry.buffer = buffer;
    entry.address = address;
    entry.room = registration.end - address;
    entry.registration = registration;
    return entry;
  }

  private cached(buffer: Uint8Array): CachedBuffer | null {
    let entry = this.expected;
    for (let step = Math.min(this.entries.length, STEPS_MAX); step > 0; step--) {
      if (entry.buffer === buffer) {
        this.expected = entry.next;
        return entry;
      }
      entry = entry.next;
    }
    return null;
  }

  private newEntry(): CachedBuffer {
    const index = this.victim;
    this.victim = (index + 1) % CACHED_BUFFERS;
    const entry = this.entries[index] ?? this.lengthen();
    // What comes after it the first time is likely to come after it again.
    this.expected = entry.next;
    return entry;
  }

  /** One more entry, at the end of the ring. */
  private lengthen(): CachedBuffer {
    const entry = new CachedBuffer();
    const last = this.entries.at(-1);
    if (last !== undefined) {
      entry.next = last.next;
      last.next = entry;
    }
    this.entries.push(entry);
    return entry;
  }
}
