// Registered memory of one socket, and a list to keep such records in: entered and left in constant
// time without allocating, because the links are fields of the record. A record is in one list at a
// time: among those not indexed yet (registrations.ts) or among those kept in the cache
// (registration-cache.ts). Knows the NIC's regions as values and calls no NIC.
// Sources: REGMEM-01 to -03, DEREGMEM-02, MEM-06.

import type { MemoryRegion } from '../nic/device.js';
import type { Exposure } from './exposures.js';
import type { AddressRange } from './range-index.js';

/** The table that a registration stands in, whatever else that table can do. */
export interface RegistrationOwner {
  remove(registration: Registration): void;
}

/** One region of the NIC, counted once for every time it was registered and not yet deregistered. */
export class Registration implements AddressRange {
  // What a small transfer touches comes first, side by side: of many connections nothing is in a near cache.
  /** Transfers that use it now. */
  busy = 0;
  /** That of the region as a signed word, for the shortest ways: never a number in a box. */
  localKey = 0;
  /** 0: nobody has it registered, it is only still pinned. [CACHE-01] */
  references = 0;
  /** Whether a search by address can come across it. */
  isIndexed = false;
  readonly address: number;
  readonly end: number;
  /** Its region has, or had, a remote key: that of this exposure. */
  exposure: Exposure | null = null;
  /** The peer reaches it now: it is not to be shared, nor in a list. */
  isExposed = false;
  /** It has left the table of its owner, and its region the NIC. */
  isGone = false;
  /** The next one of the same place and length, with other rights or another buffer. */
  nextOfPlace: Registration | null = null;

  // Where it is in `list`; of no use to anybody else.
  list: RegistrationList | null = null;
  previous: Registration | null = null;
  next: Registration | null = null;

  readonly owner: RegistrationOwner;
  /** The handle towards the switch, unique in the socket. Changes only while nobody has it. */
  serial: number;
  readonly buffer: Uint8Array;
  readonly flags: number;
  region: MemoryRegion;

  constructor(
    owner: RegistrationOwner,
    serial: number,
    buffer: Uint8Array,
    flags: number,
    region: MemoryRegion,
  ) {
    this.owner = owner;
    this.serial = serial;
    this.buffer = buffer;
    this.flags = flags;
    this.region = region;
    this.address = region.address;
    this.end = region.address + region.length;
    this.localKey = region.localKey | 0;
  }

  /** The connection goes on over another queue pair, with another region of the same place. */
  moveTo(region: MemoryRegion): void {
    this.region = region;
    this.localKey = region.localKey | 0;
  }

  /** Whether a further registration with these arguments may share this one. [REGMEM-03] */
  isSame(address: number, buffer: Uint8Array, length: number, flags: number): boolean {
    return (
      this.address === address &&
      this.region.length === length &&
      this.flags === flags &&
      this.isIntact &&
      this.buffer.buffer === buffer.buffer
    );
  }

  /** False once the memory was detached from the buffer that was registered. */
  get isIntact(): boolean {
    return this.buffer.length >= this.region.length;
  }
}

export class RegistrationList {
  first: Registration | null = null;
  count = 0;
  #last: Registration | null = null;

  append(registration: Registration): void {
    registration.list = this;
    registration.previous = this.#last;
    registration.next = null;
    if (this.#last === null) this.first = registration;
    else this.#last.next = registration;
    this.#last = registration;
    this.count++;
  }

  /** Whether it was in this list. */
  remove(registration: Registration): boolean {
    if (registration.list !== this) return false;
    const { previous, next } = registration;
    if (previous === null) this.first = next;
    else previous.next = next;
    if (next === null) this.#last = previous;
    else next.previous = previous;
    registration.list = null;
    registration.previous = null;
    registration.next = null;
    this.count--;
    return true;
  }
}
