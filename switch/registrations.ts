// What one connection has registered at its provider: the two regions of message buffers, the staging
// buffer once it is needed, and per slot of the session either local memory or memory exposed to the peer.
// Sources: MEM-01, MEM-07, MEM-08, REGMEM-01, REGRDMA-02, REGRDMA-03, XFER-04.

import { INVALID_SOCKET, ref } from '../provider/spi/winsock2.js';
import type { SanExtensions } from '../provider/spi/ws2san.js';
import { MEM_READ, MEM_READWRITE, MEM_WRITE } from '../provider/spi/ws2san.js';
import { assert } from '../runtime/assert.js';
import type { ConnectionMemory } from './connection-memory.js';
import type { SessionAction } from './session/actions.js';
import type {
  CachedRegistration,
  RegistrationCache,
  RegistrationOwner,
} from './registration-cache.js';
import { Access, STAGING_REGISTRATION } from './session/actions.js';
import { DESCRIPTOR_BYTES_MAX } from './session/limits.js';

const NO_BYTES = new Uint8Array(0);

class SlotRegistration {
  /** Local memory; null when nothing is registered, or it is exposed memory. */
  local: CachedRegistration | null = null;
  /** Exposed memory's descriptor; length 0 when there is none. */
  descriptor = NO_BYTES;
  descriptorLength = 0;
}

export class Registrations implements RegistrationOwner {
  readonly #s: number;
  readonly #extensions: SanExtensions;
  readonly #memory: ConnectionMemory;
  /** Made when a slot first registers something: most connections never do. */
  readonly #slots: (SlotRegistration | undefined)[];
  readonly #cache: RegistrationCache;
  #probes: boolean;
  #sendHandle = 0;
  #moreSendsHandle = 0;
  #receiveHandle = 0;
  #moreReceivesHandle = 0;
  #stagingHandle = 0;
  readonly #errno = ref(0);
  readonly #size = ref(0);

  constructor(
    s: number,
    parts: {
      readonly extensions: SanExtensions;
      readonly memory: ConnectionMemory;
      readonly slotCount: number;
      readonly cache: RegistrationCache;
      readonly probesDescriptorLength: boolean;
    },
  ) {
    assert(s !== INVALID_SOCKET, 'memory is registered for a socket');
    this.#s = s;
    this.#extensions = parts.extensions;
    this.#memory = parts.memory;
    this.#cache = parts.cache;
    this.#probes = parts.probesDescriptorLength;
    this.#slots = new Array<SlotRegistration | undefined>(parts.slotCount).fill(undefined);
  }

  /** Registers the regions; 0, or the error with nothing left registered. [XFER-04, MEM-01] */
  registerRegions(): number {
    const { sendRegion, receiveRegion } = this.#memory;
    this.#sendHandle = this.#register(sendRegion, MEM_READ);
    if (this.#sendHandle !== 0) this.#receiveHandle = this.#register(receiveRegion, MEM_WRITE);
    if (this.#receiveHandle !== 0) return 0;
    const error = this.#errno.value;
    this.#deregister(this.#sendHandle);
    this.#sendHandle = 0;
    return error;
  }

  /** Registers the rest of the send buffers; false when there is no memory for them. */
  lendSends(): boolean {
    const region = this.#memory.moreSends();
    if (region !== null) this.#moreSendsHandle = this.#register(region, MEM_READ);
    return this.#moreSendsHandle !== 0;
  }

  /** The same for the receive buffers. */
  lendReceives(): boolean {
    const region = this.#memory.moreReceives();
    if (region !== null) this.#moreReceivesHandle = this.#register(region, MEM_WRITE);
    return this.#moreReceivesHandle !== 0;
  }

  /**
   * The staging buffer, registered from now on. Where there is no memory for one, or it cannot be
   * registered, it is the message buffer that is left over: data that has been announced must move.
   */
  lendStaging(): Uint8Array {
    const staging = this.#memory.staging();
    if (staging !== null) this.#stagingHandle = this.#register(staging, MEM_READWRITE);
    if (staging !== null && this.#stagingHandle !== 0) return staging;
    this.#stagingHandle = this.#receiveHandle;
    return this.#memory.spare;
  }

  /**
   * Registers memory for a slot; 0 or the error. Exposed memory then has a descriptor. What is only
   * kept for later gives way to what is needed now.
   */
  register(action: SessionAction): number {
    const error = this.#registerSlot(action);
    return error !== 0 && this.#cache.clear() ? this.#registerSlot(action) : error;
  }

  endRegistration(handle: number): void {
    this.#deregister(handle);
  }

  #registerSlot(action: SessionAction): number {
    const slot = this.#slot(action.slot);
    const end = action.offset + action.length;
    const memory = (action.buffer as Uint8Array).subarray(action.offset, end);
    slot.local = null;
    slot.descriptorLength = 0;
    if (action.access === Access.local) {
      slot.local = this.#cache.take(this, memory);
      if (slot.local !== null) return 0;
      const handle = this.#register(memory, MEM_READWRITE);
      if (handle === 0) return this.#errno.value;
      slot.local = this.#cache.add(this, handle, memory);
      return 0;
    }
    const access = action.access === Access.remoteRead ? MEM_READ : MEM_WRITE;
    if (this.#probes) this.#probe(memory, access);
    const size = this.#size;
    size.value = DESCRIPTOR_BYTES_MAX;
    const { WSPRegisterRdmaMemory } = this.#extensions;
    // Room for a descriptor is made when a slot first needs it: most connections never do.
    if (slot.descriptor.length === 0) slot.descriptor = new Uint8Array(DESCRIPTOR_BYTES_MAX);
    const { descriptor } = slot;
    const bytes = memory.length;
    const errno = this.#errno;
    if (WSPRegisterRdmaMemory(this.#s, memory, bytes, access, descriptor, size, errno) !== 0) {
      return errno.value;
    }
    slot.descriptorLength = size.value;
    return 0;
  }

  /** The handle that an RDMA call names for its local memory. */
  handleOf(slot: number): number {
    if (slot === STAGING_REGISTRATION) return this.#stagingHandle;
    return this.#slot(slot).local?.handle ?? 0;
  }

  descriptorOf(slot: number): Uint8Array {
    return this.#slot(slot).descriptor;
  }

  descriptorLengthOf(slot: number): number {
    return this.#slot(slot).descriptorLength;
  }

  deregister(index: number): void {
    const slot = this.#slot(index);
    if (slot.descriptorLength > 0) {
      const { WSPDeregisterRdmaMemory } = this.#extensions;
      WSPDeregisterRdmaMemory(this.#s, slot.descriptor, slot.descriptorLength, this.#errno);
    }
    if (slot.local !== null) this.#cache.giveBack(slot.local);
    slot.local = null;
    slot.descriptorLength = 0;
  }

  /** Before the socket is closed: everything that no pending call uses. [MEM-08] */
  deregisterUnused(inUse: {
    readonly sends: boolean;
    readonly receives: boolean;
    /** Handles that pending RDMA calls name. */
    readonly handles: readonly number[];
  }): void {
    for (let index = 0; index < this.#slots.length; index++) {
      const slot = this.#slots[index];
      if (slot === undefined) continue;
      const isNamed = slot.local !== null && inUse.handles.includes(slot.local.handle);
      if (!isNamed) this.deregister(index);
    }
    this.#cache.forgetOwner(this);
    if (!inUse.sends) {
      this.#deregister(this.#sendHandle);
      this.#deregister(this.#moreSendsHandle);
    }
    const { handles } = inUse;
    const hasOwnStaging = this.#stagingHandle !== this.#receiveHandle;
    if (!inUse.receives && !handles.includes(this.#receiveHandle)) {
      this.#deregister(this.#receiveHandle);
    }
    if (!inUse.receives) this.#deregister(this.#moreReceivesHandle);
    if (hasOwnStaging && !handles.includes(this.#stagingHandle)) {
      this.#deregister(this.#stagingHandle);
    }
  }

  /** What deregisterUnused() has ended without the socket's being closed is registered again. */
  registerAgain(): boolean {
    this.#sendHandle = this.#register(this.#memory.sendRegion, MEM_READ);
    const staging = this.#memory.staging();
    if (this.#stagingHandle !== 0 && this.#stagingHandle !== this.#receiveHandle && staging) {
      this.#stagingHandle = this.#register(staging, MEM_READWRITE);
      if (this.#stagingHandle === 0) return false;
    }
    return this.#sendHandle !== 0;
  }

  /** Asks how long a descriptor is; the answer is an error, and not one. [REGRDMA-03, REGRDMA-04] */
  #probe(memory: Uint8Array, access: number): void {
    this.#probes = false;
    const size = this.#size;
    size.value = 0;
    const { WSPRegisterRdmaMemory } = this.#extensions;
    const errno = this.#errno;
    WSPRegisterRdmaMemory(this.#s, memory, memory.length, access, null, size, errno);
  }

  #slot(index: number): SlotRegistration {
    assert(index < this.#slots.length, 'a slot of this session');
    return (this.#slots[index] ??= new SlotRegistration());
  }

  #register(memory: Uint8Array, access: number): number {
    const { WSPRegisterMemory } = this.#extensions;
    return WSPRegisterMemory(this.#s, memory, memory.length, access, this.#errno);
  }

  #deregister(handle: number): void {
    if (handle !== 0) this.#extensions.WSPDeregisterMemory(this.#s, handle, this.#errno);
  }
}
