// What one connection has registered at its provider: the two regions of message buffers, the staging
// buffer, and per slot of the session either local memory or memory exposed to the peer.
// Sources: MEM-01, MEM-07, MEM-08, REGMEM-01, REGRDMA-02, REGRDMA-03, XFER-04.

import { INVALID_SOCKET, ref } from '../provider/spi/winsock2.js';
import type { SanExtensions } from '../provider/spi/ws2san.js';
import { MEM_READ, MEM_READWRITE, MEM_WRITE } from '../provider/spi/ws2san.js';
import { assert } from '../runtime/assert.js';
import type { ConnectionMemory } from './connection-memory.js';
import type { SessionAction } from './session/actions.js';
import { Access, STAGING_REGISTRATION } from './session/actions.js';
import { DESCRIPTOR_BYTES_MAX } from './session/limits.js';

class SlotRegistration {
  /** WSPRegisterMemory's handle; 0 when nothing is registered, or it is exposed memory. */
  handle = 0;
  /** Exposed memory's descriptor; length 0 when there is none. */
  readonly descriptor = new Uint8Array(DESCRIPTOR_BYTES_MAX);
  descriptorLength = 0;
}

export class Registrations {
  readonly #s: number;
  readonly #extensions: SanExtensions;
  readonly #memory: ConnectionMemory;
  readonly #slots: readonly SlotRegistration[];
  #sendHandle = 0;
  #receiveHandle = 0;
  #stagingHandle = 0;
  readonly #errno = ref(0);
  readonly #size = ref(0);

  constructor(s: number, extensions: SanExtensions, memory: ConnectionMemory, slotCount: number) {
    assert(s !== INVALID_SOCKET, 'memory is registered for a socket');
    this.#s = s;
    this.#extensions = extensions;
    this.#memory = memory;
    this.#slots = Array.from({ length: slotCount }, () => new SlotRegistration());
  }

  /** Registers the regions; 0, or the error with nothing left registered. [XFER-04, MEM-01] */
  registerRegions(): number {
    const { sendRegion, receiveRegion, staging } = this.#memory;
    this.#sendHandle = this.#register(sendRegion, MEM_READ);
    if (this.#sendHandle !== 0) this.#receiveHandle = this.#register(receiveRegion, MEM_WRITE);
    if (this.#receiveHandle !== 0) this.#stagingHandle = this.#register(staging, MEM_READWRITE);
    if (this.#stagingHandle !== 0) return 0;
    const error = this.#errno.value;
    this.#deregister(this.#sendHandle);
    this.#deregister(this.#receiveHandle);
    this.#sendHandle = 0;
    this.#receiveHandle = 0;
    return error;
  }

  /** Registers memory for a slot; 0 or the error. Exposed memory then has a descriptor. */
  register(action: SessionAction): number {
    const slot = this.#slot(action.slot);
    const end = action.offset + action.length;
    const memory = (action.buffer as Uint8Array).subarray(action.offset, end);
    slot.handle = 0;
    slot.descriptorLength = 0;
    if (action.access === Access.local) {
      slot.handle = this.#register(memory, MEM_READWRITE);
      return slot.handle === 0 ? this.#errno.value : 0;
    }
    const access = action.access === Access.remoteRead ? MEM_READ : MEM_WRITE;
    const size = this.#size;
    size.value = DESCRIPTOR_BYTES_MAX;
    const { WSPRegisterRdmaMemory } = this.#extensions;
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
    return slot === STAGING_REGISTRATION ? this.#stagingHandle : this.#slot(slot).handle;
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
    this.#deregister(slot.handle);
    slot.handle = 0;
    slot.descriptorLength = 0;
  }

  /** Before the socket is closed: everything that no pending call uses. [MEM-08] */
  deregisterUnused(inUse: {
    readonly sends: boolean;
    readonly receives: boolean;
    /** Handles that pending RDMA calls name. */
    readonly handles: readonly number[];
  }): void {
    for (const [index, { handle }] of this.#slots.entries()) {
      if (handle === 0 || !inUse.handles.includes(handle)) this.deregister(index);
    }
    if (!inUse.sends) this.#deregister(this.#sendHandle);
    if (!inUse.receives) this.#deregister(this.#receiveHandle);
    if (!inUse.handles.includes(this.#stagingHandle)) this.#deregister(this.#stagingHandle);
  }

  #slot(index: number): SlotRegistration {
    const slot = this.#slots[index];
    assert(slot !== undefined, 'a slot of this session');
    return slot;
  }

  #register(memory: Uint8Array, access: number): number {
    const { WSPRegisterMemory } = this.#extensions;
    return WSPRegisterMemory(this.#s, memory, memory.length, access, this.#errno);
  }

  #deregister(handle: number): void {
    if (handle !== 0) this.#extensions.WSPDeregisterMemory(this.#s, handle, this.#errno);
  }
}
