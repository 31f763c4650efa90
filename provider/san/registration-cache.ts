// What stays pinned after it was deregistered: registrations of all sockets, the least recently used
// one first, within a number of entries and of bytes. Also knows where in the process every
// registration lies, cached or live, so that memory about to be freed finds what still holds it.
// Decides and remembers only: who releases a victim is memory.ts. Knows no NIC and no socket.
// Sources: CACHE-01 to -07, CACHECB-01 to -04, REGMEM-03; docs/decisions/0011-registration-cache.md.

import type { RandomSource } from '../spi/provider.js';
import type { AddressRange } from './range-index.js';
import { RangeIndex } from './range-index.js';
import type { Registration } from './registration.js';
import { RegistrationList } from './registration.js';

export interface CacheLimits {
  readonly entries: number;
  readonly bytes: number;
}

/** Where a registration lies in the process, which is not how the NIC names the place. */
class Mapping implements AddressRange {
  constructor(
    readonly address: number,
    readonly end: number,
    readonly serial: number,
    readonly registration: Registration,
  ) {}
}

export class RegistrationCache {
  readonly #limits: CacheLimits;
  readonly #unused = new RegistrationList();
  readonly #mappings = new Map<Registration, Mapping>();
  readonly #byAddress: RangeIndex<Mapping>;
  #bytes = 0;
  #nextSerial = 0;

  constructor(limits: CacheLimits, random: RandomSource) {
    this.#limits = limits;
    this.#byAddress = new RangeIndex(() => random.uint32());
  }

  /** A registration came to be; `address` is the process address of its first byte. */
  add(registration: Registration, address: number): void {
    const end = address + registration.region.length;
    const mapping = new Mapping(address, end, this.#nextSerial++, registration);
    this.#mappings.set(registration, mapping);
    this.#byAddress.add(mapping);
  }

  /** The registration is gone from the NIC. */
  remove(registration: Registration): void {
    this.takeOut(registration);
    const mapping = this.#mappings.get(registration);
    if (mapping === undefined) return;
    this.#mappings.delete(registration);
    this.#byAddress.remove(mapping);
  }

  /** Nobody has it registered any more: it is the last one to go. Call victim() afterwards. */
  keep(registration: Registration): void {
    this.#bytes += registration.region.length;
    this.#unused.append(registration);
  }

  /** It is in use again; nothing happens if it was. */
  takeOut(registration: Registration): void {
    if (this.#unused.remove(registration)) this.#bytes -= registration.region.length;
  }

  /** What has to go now to keep within the limits, or null. */
  victim(): Registration | null {
    const isOver = this.#unused.count > this.#limits.entries || this.#bytes > this.#limits.bytes;
    return isOver ? this.#unused.first : null;
  }

  /** The one that was not used for the longest time, or null. */
  get oldest(): Registration | null {
    return this.#unused.first;
  }

  /** Every registration with a byte in [address, end), cached or live. [CACHECB-02] */
  touching(address: number, end: number): Registration[] {
    return this.#byAddress.touching(address, end).map((mapping) => mapping.registration);
  }
}
