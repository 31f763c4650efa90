// The memory of an endpoint: the sending slots, then the receiving ones, in the host's segment or in an
// ordinary ArrayBuffer. It must not know what is transferred.

import { statfsSync } from 'node:fs';
import * as spi from '../provider/spi/index.js';
import type { EndpointOptions } from './endpoint.js';
import { SLOT_COUNT } from './endpoint.js';

/** What hands out and takes back memory of VirtualAlloc: a host, or the environment of a provider. */
export interface Allocator {
  VirtualAlloc(bytes: number): Uint8Array | null;
  VirtualFree(memory: Uint8Array): boolean;
}

function noMemory(bytes: number): Error {
  const cause = new spi.WsaError(spi.WSAENOBUFS, { call: 'VirtualAlloc' });
  const { bavail, bsize } = statfsSync('/dev/shm');
  const [wanted, left] = [bytes, bavail * bsize].map((size) => Math.ceil(size / 2 ** 20));
  return new Error(
    `no memory for ${wanted} MiB of buffers: give the hosts more by --memory, ` +
      `as far as /dev/shm has it (${left} MiB left)`,
    { cause },
  );
}

export class SlotBlock {
  readonly slotCount: number;
  /** A multiple of 4, so that every slot begins with a whole word. */
  readonly slotBytes: number;
  readonly sending: Uint8Array;
  readonly receiving: Uint8Array;
  readonly sendWords: Uint32Array;
  readonly receiveWords: Uint32Array;
  readonly #memory: Uint8Array;
  readonly #allocator: Allocator | null;

  /** Throws when the host's memory cannot hold the slots. */
  constructor(allocator: Allocator, options: EndpointOptions) {
    this.slotCount = options.slotCount ?? SLOT_COUNT;
    this.slotBytes = Math.ceil(options.slotBytes / 4) * 4;
    const half = this.slotCount * this.slotBytes;
    this.#allocator = options.memory === 'buffer' ? null : allocator;
    const memory =
      this.#allocator === null ? new Uint8Array(2 * half) : this.#allocator.VirtualAlloc(2 * half);
    if (memory === null) throw noMemory(2 * half);
    this.#memory = memory;
    this.sending = memory.subarray(0, half);
    this.receiving = memory.subarray(half);
    this.sendWords = new Uint32Array(memory.buffer, memory.byteOffset, half / 4);
    this.receiveWords = new Uint32Array(memory.buffer, memory.byteOffset + half, half / 4);
  }

  /** The slots of one half. */
  slotsOf(half: Uint8Array): Uint8Array[] {
    return Array.from({ length: this.slotCount }, (_, index) =>
      half.subarray(index * this.slotBytes, (index + 1) * this.slotBytes),
    );
  }

  free(): void {
    this.#allocator?.VirtualFree(this.#memory);
  }
}
