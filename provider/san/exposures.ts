// Memory that the peer of one socket may reach by RDMA, and the descriptors that were given out for
// it. Counted like registrations: exposing the same memory again gives the same descriptor.
// Memory that is freed while it is exposed is exposed no longer. Sources: REGRDMA-01, CACHECB-02, REGRDMA-06, DEREGRDMA-01, DEREGRDMA-02.

import type { MemoryRegion } from '../nic/device.js';
import { DESCRIPTOR_BYTES, isSameDescriptor, remoteKeyOf } from './descriptor.js';
import type { Registration } from './registration.js';

export class Exposure {
  references = 1;
  /** Its memory was freed under it: the peer reaches it no more, and its descriptor can only be ended. */
  isRevoked = false;
  readonly descriptor = new Uint8Array(DESCRIPTOR_BYTES);

  constructor(
    readonly buffer: Uint8Array,
    readonly region: MemoryRegion,
    /** What keeps it pinned when nobody has it exposed. */
    readonly record: Registration,
  ) {}
}

export class SocketExposures {
  /** By remote key, signed: such numbers need no box. */
  readonly #byKey = new Map<number, Exposure>();

  get count(): number {
    return this.#byKey.size;
  }

  all(): Exposure[] {
    return [...this.#byKey.values()];
  }

  /** The live exposure that this descriptor was given out for, or null. */
  find(descriptor: Uint8Array | null, length: number): Exposure | null {
    if (descriptor === null || length !== DESCRIPTOR_BYTES) return null;
    if (descriptor.length < DESCRIPTOR_BYTES) return null;
    const exposure = this.#byKey.get(remoteKeyOf(descriptor) | 0);
    if (exposure === undefined) return null;
    return isSameDescriptor(exposure.descriptor, descriptor) ? exposure : null;
  }

  add(exposure: Exposure): void {
    this.#byKey.set(exposure.region.remoteKey | 0, exposure);
  }

  remove(exposure: Exposure): void {
    exposure.references = 0;
    this.#byKey.delete(exposure.region.remoteKey | 0);
  }
}
