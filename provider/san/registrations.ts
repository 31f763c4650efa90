// The registrations of one socket: by handle for RDMA calls, by address for WSPSend and WSPRecv, whose
// buffers carry no handle. Knows the NIC's regions as values and calls no NIC.
// Sources: REGMEM-01 to -03, WSPSEND-02, IMPL-03, MEM-06, DEREGMEM-02.

import type { MemoryRegion } from '../nic/device.js';
import type { RandomSource } from '../spi/provider.js';
import { MEM_READ, MEM_WRITE } from '../spi/ws2san.js';
import type { AddressRange } from './range-index.js';
import { RangeIndex } from './range-index.js';

/** Registered memory, counted once for every time it was registered and not yet deregistered. */
export class Registration implements AddressRange {
  references = 1;
  /** Transfers that use it now. */
  busy = 0;
  readonly address: number;
  readonly end: number;

  constructor(
    /** The handle towards the switch, unique among the live ones of the socket. */
    readonly serial: number,
    readonly buffer: Uint8Array,
    readonly flags: number,
    readonly region: MemoryRegion,
  ) {
    this.address = region.address;
    this.end = region.address + region.length;
  }

  /** Whether a further registration with these arguments may share this one. [REGMEM-03] */
  isSame(buffer: Uint8Array, length: number, flags: number): boolean {
    return (
      this.buffer.buffer === buffer.buffer &&
      this.region.length === length &&
      this.flags === flags &&
      this.isIntact
    );
  }

  /** False once the memory was detached from the buffer that was registered. */
  get isIntact(): boolean {
    return this.buffer.length >= this.region.length;
  }
}

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
  readonly #entries = Array.from({ length: CACHED_BUFFERS }, () => new CachedBuffer());
  #next = 0;
  #used = 0;
  #victim = 0;

  find(buffer: Uint8Array): CachedBuffer | null {
    const used = this.#used;
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
    if (index === this.#used) this.#used++;
    const entry = this.#entries[index] as CachedBuffer;
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

/** Registrations with one right, by address. */
export class Registered {
  readonly #cache = new BufferCache();
  readonly #index: RangeIndex<Registration>;

  constructor(random: RandomSource) {
    this.#index = new RangeIndex(() => random.uint32());
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
    const registration = this.#index.containing(address, address + length);
    if (registration === null || !registration.isIntact) return null;
    if (cached === null) return this.#cache.put(buffer, address, registration);
    cached.registration = registration;
    return cached;
  }
}

export class SocketRegistrations {
  /** What may be sent from: MEM_READ. */
  readonly readable: Registered;
  /** What may be received into: MEM_WRITE. */
  readonly writable: Registered;
  readonly #byHandle = new Map<number, Registration>();
  /** The latest registration at each address, to find one to share. */
  readonly #byAddress = new Map<number, Registration>();
  readonly #random: RandomSource;

  constructor(random: RandomSource) {
    this.#random = random;
    this.readable = new Registered(random);
    this.writable = new Registered(random);
  }

  get count(): number {
    return this.#byHandle.size;
  }

  byHandle(handle: number): Registration | null {
    return this.#byHandle.get(handle) ?? null;
  }

  all(): IterableIterator<Registration> {
    return this.#byHandle.values();
  }

  /** A live registration of exactly this memory with these flags, or null. */
  same(address: number, buffer: Uint8Array, length: number, flags: number): Registration | null {
    const registration = this.#byAddress.get(address);
    return registration?.isSame(buffer, length, flags) === true ? registration : null;
  }

  add(buffer: Uint8Array, flags: number, region: MemoryRegion): Registration {
    let handle = 0;
    while (handle === 0 || this.#byHandle.has(handle)) handle = this.#random.uint32();
    const registration = new Registration(handle, buffer, flags, region);
    this.#byHandle.set(handle, registration);
    this.#byAddress.set(registration.address, registration);
    if ((flags & MEM_READ) !== 0) this.readable.add(registration);
    if ((flags & MEM_WRITE) !== 0) this.writable.add(registration);
    return registration;
  }

  remove(registration: Registration): void {
    registration.references = 0;
    if (!this.#byHandle.delete(registration.serial)) return;
    if (this.#byAddress.get(registration.address) === registration) {
      this.#byAddress.delete(registration.address);
    }
    if ((registration.flags & MEM_READ) !== 0) this.readable.remove(registration);
    if ((registration.flags & MEM_WRITE) !== 0) this.writable.remove(registration);
  }
}
