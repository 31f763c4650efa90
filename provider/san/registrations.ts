// The registrations of one socket, live and cached: by handle for RDMA calls, by buffer for WSPSend
// and WSPRecv, and by place, to share one instead of registering the same memory again. Knows the
// NIC's regions as values and calls no NIC.
// Sources: REGMEM-01 to -03, WSPSEND-02, IMPL-03, MEM-06, DEREGMEM-02, CACHE-03.

import type { MemoryRegion } from '../nic/device.js';
import type { Profile } from '../spi/profile.js';
import type { RandomSource } from '../spi/provider.js';
import { MEM_READ, MEM_WRITE } from '../spi/ws2san.js';
import type { Exposure } from './exposures.js';
import { RegisteredBuffers } from './registered-buffers.js';
import type { RegistrationOwner } from './registration.js';
import { Registration, RegistrationList } from './registration.js';

export class SocketRegistrations implements RegistrationOwner {
  /** What may be sent from: MEM_READ. */
  readonly readable: RegisteredBuffers;
  /** What may be received into: MEM_WRITE. */
  readonly writable: RegisteredBuffers;
  readonly #byHandle = new Map<number, Registration>();
  readonly #byPlace = new Map<number, Registration>();
  /**
   * Live, and not yet findable by address: memory for RDMA is named by its handle, so most of what is
   * registered while a connection lives never needs to be.
   */
  readonly #unindexed = new RegistrationList();
  readonly #random: RandomSource;
  readonly #areDistinct: boolean;
  readonly #areOdd: boolean;

  constructor(random: RandomSource, profile: Profile) {
    this.#random = random;
    this.#areDistinct = profile.repeatedRegistration === 'distinct';
    this.#areOdd = profile.oddHandles;
    const beforeSearch = (): void => {
      this.#indexAll();
    };
    this.readable = new RegisteredBuffers(random, beforeSearch);
    this.writable = new RegisteredBuffers(random, beforeSearch);
  }

  /** The live registration with this handle, or null. */
  byHandle(handle: number): Registration | null {
    const registration = this.#byHandle.get(handle);
    return registration === undefined || registration.references === 0 ? null : registration;
  }

  /** Live and cached ones. */
  all(): IterableIterator<Registration> {
    return this.#byHandle.values();
  }

  /** One of exactly this memory with these flags that may be shared or is cached, or null. */
  same(address: number, buffer: Uint8Array, length: number, flags: number): Registration | null {
    let registration = this.#byPlace.get(placeKey(address, length)) ?? null;
    while (registration !== null) {
      const isTaken = registration.isExposed || (this.#areDistinct && registration.references > 0);
      if (!isTaken && registration.isSame(address, buffer, length, flags)) return registration;
      registration = registration.nextOfPlace;
    }
    return null;
  }

  /** The exposure of exactly this memory with these flags that the peer reaches, or null. */
  exposed(address: number, buffer: Uint8Array, length: number, flags: number): Exposure | null {
    let one = this.#byPlace.get(placeKey(address, length)) ?? null;
    for (; one !== null; one = one.nextOfPlace) {
      if (!one.isExposed || one.exposure?.isRevoked === true) continue;
      if (one.isSame(address, buffer, length, flags)) return one.exposure;
    }
    return null;
  }

  /** One that the peer reached, and that is nobody's now, or null. */
  concealed(address: number, buffer: Uint8Array, length: number, flags: number): Exposure | null {
    let one = this.#byPlace.get(placeKey(address, length)) ?? null;
    for (; one !== null; one = one.nextOfPlace) {
      if (one.exposure === null || one.isExposed || one.references > 0 || one.busy > 0) continue;
      if (one.isSame(address, buffer, length, flags)) return one.exposure;
    }
    return null;
  }

  /** A record of a new region, which nobody has registered yet: see take(). */
  add(buffer: Uint8Array, flags: number, region: MemoryRegion): Registration {
    const registration = new Registration(this, this.#newHandle(), buffer, flags, region);
    this.#byHandle.set(registration.serial, registration);
    const key = placeKey(registration.address, region.length);
    registration.nextOfPlace = this.#byPlace.get(key) ?? null;
    this.#byPlace.set(key, registration);
    return registration;
  }

  /** Registered once more, for the first time or again; it is in no other list. */
  take(registration: Registration): void {
    registration.references++;
    if (registration.references > 1) return;
    if (this.#areDistinct) this.#rename(registration);
    this.#unindexed.append(registration);
  }

  /** Deregistered once; whether that was the last time. Its handle means nothing then. */
  drop(registration: Registration): boolean {
    registration.references--;
    if (registration.references > 0) return false;
    this.#hide(registration);
    return true;
  }

  /** The region is no more. */
  remove(registration: Registration): void {
    registration.references = 0;
    registration.isGone = true;
    if (!this.#byHandle.delete(registration.serial)) return;
    this.#hide(registration);
    const key = placeKey(registration.address, registration.region.length);
    const head = this.#byPlace.get(key);
    if (head === registration) {
      if (registration.nextOfPlace === null) this.#byPlace.delete(key);
      else this.#byPlace.set(key, registration.nextOfPlace);
      return;
    }
    let before = head ?? null;
    while (before !== null && before.nextOfPlace !== registration) before = before.nextOfPlace;
    if (before !== null) before.nextOfPlace = registration.nextOfPlace;
  }

  /** No buffer leads to it from here on. */
  #hide(registration: Registration): void {
    if (this.#unindexed.remove(registration) || !registration.isIndexed) return;
    registration.isIndexed = false;
    if ((registration.flags & MEM_READ) !== 0) this.readable.remove(registration);
    if ((registration.flags & MEM_WRITE) !== 0) this.writable.remove(registration);
  }

  #indexAll(): void {
    for (let one = this.#unindexed.first; one !== null; one = this.#unindexed.first) {
      this.#unindexed.remove(one);
      one.isIndexed = true;
      if ((one.flags & MEM_READ) !== 0) this.readable.add(one);
      if ((one.flags & MEM_WRITE) !== 0) this.writable.add(one);
    }
  }

  #newHandle(): number {
    for (;;) {
      const random = this.#random.uint32();
      const handle = this.#areOdd ? (random | 0x80000001) >>> 0 : random;
      if (handle !== 0 && !this.#byHandle.has(handle)) return handle;
    }
  }

  #rename(registration: Registration): void {
    this.#byHandle.delete(registration.serial);
    registration.serial = this.#newHandle();
    this.#byHandle.set(registration.serial, registration);
  }
}

/** The same for the same range; seldom the same for two. */
function placeKey(address: number, length: number): number {
  return address + length * 8191;
}
