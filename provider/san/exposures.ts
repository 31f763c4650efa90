// Memory that the peer of one socket may reach by RDMA, and the descriptors that were given out for
// it. Counted like registrations: exposing the same memory again gives the same descriptor.
// Memory that is freed while it is exposed is exposed no longer. Sources: REGRDMA-01, CACHECB-02, REGRDMA-06, DEREGRDMA-01, DEREGRDMA-02.

import type { MemoryRegion } from '../nic/device.js';
import { DESCRIPTOR_BYTES, isSameDescriptor, remoteKeyOf } from './descriptor.js';

export class Exposure {
  references = 1;
  /** Its memory was freed under it: the peer reaches it no more, and its descriptor can only be ended. */
  isRevoked = false;

  constructor(
    readonly buffer: Uint8Array,
    readonly flags: number,
    readonly region: MemoryRegion,
    readonly descriptor: Uint8Array,
  ) {}

  /** Whether a further exposure with these arguments may share this one. */
  isSame(buffer: Uint8Array, length: number, flags: number): boolean {
    return (
      !this.isRevoked &&
      this.buffer.buffer === buffer.buffer &&
      this.region.length === length &&
      this.flags === flags &&
      this.buffer.byteLength >= length
    );
  }
}

export class SocketExposures {
  readonly #byKey = new Map<number, Exposure>();
  /** The latest exposure at each address, to find one to share. */
  readonly #byAddress = new Map<number, Exposure>();

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
    const exposure = this.#byKey.get(remoteKeyOf(descriptor));
    if (exposure === undefined) return null;
    return isSameDescriptor(exposure.descriptor, descriptor) ? exposure : null;
  }

  /** A live exposure of exactly this memory with these flags, or null. */
  same(address: number, buffer: Uint8Array, length: number, flags: number): Exposure | null {
    const exposure = this.#byAddress.get(address);
    return exposure?.isSame(buffer, length, flags) === true ? exposure : null;
  }

  add(exposure: Exposure): void {
    this.#byKey.set(exposure.region.remoteKey, exposure);
    this.#byAddress.set(exposure.region.address, exposure);
  }

  /** None that is live now is good for another registration of its memory: its descriptor is stale. */
  outdate(): void {
    this.#byAddress.clear();
  }

  remove(exposure: Exposure): void {
    exposure.references = 0;
    this.#byKey.delete(exposure.region.remoteKey);
    const { address } = exposure.region;
    if (this.#byAddress.get(address) === exposure) this.#byAddress.delete(address);
  }
}
