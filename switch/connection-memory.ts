// The memory of one connection: two virtually contiguous regions of message buffers, one for sends
// and one for receives, and the staging buffer. Blocks are kept for the next connection of the same
// shape, because providers cache registrations. Sources: XFER-04, CACHE-01, CACHE-03.

import type { HostMemory } from '../provider/spi/provider.js';
import type { SessionLimits } from './session/limits.js';
import { roundUp, SPARE_MEMORY_COUNT_MAX } from './limits.js';

const CACHE_LINE = 64;

export class ConnectionMemory {
  readonly shape: string;
  readonly block: Uint8Array;
  readonly sendRegion: Uint8Array;
  readonly receiveRegion: Uint8Array;
  readonly staging: Uint8Array;
  readonly sendBuffers: readonly Uint8Array[];
  readonly receiveBuffers: readonly Uint8Array[];

  constructor(shape: string, block: Uint8Array, limits: SessionLimits) {
    const stride = roundUp(limits.messageBytes, CACHE_LINE);
    const receivesAt = stride * limits.sendCount;
    const stagingAt = receivesAt + stride * limits.receiveCount;
    const slice = (base: number, index: number): Uint8Array => {
      const start = base + stride * index;
      return block.subarray(start, start + limits.messageBytes);
    };
    this.shape = shape;
    this.block = block;
    this.sendRegion = block.subarray(0, receivesAt);
    this.receiveRegion = block.subarray(receivesAt, stagingAt);
    this.staging = block.subarray(stagingAt, stagingAt + limits.stagingBytes);
    this.sendBuffers = Array.from({ length: limits.sendCount }, (_, index) => slice(0, index));
    this.receiveBuffers = Array.from({ length: limits.receiveCount }, (_, index) =>
      slice(receivesAt, index),
    );
  }
}

/** Bytes of the block that a session of these limits needs. */
export function connectionBytes(limits: SessionLimits): number {
  const stride = roundUp(limits.messageBytes, CACHE_LINE);
  return stride * (limits.sendCount + limits.receiveCount) + limits.stagingBytes;
}

export class MemoryPool {
  readonly #memory: HostMemory;
  readonly #beforeFree: (block: Uint8Array) => void;
  readonly #spare: ConnectionMemory[] = [];
  #lentCount = 0;

  /** `beforeFree` tells the providers' caches of a block that is about to go. [CACHE-04] */
  constructor(memory: HostMemory, beforeFree: (block: Uint8Array) => void) {
    this.#memory = memory;
    this.#beforeFree = beforeFree;
  }

  /** Blocks in use. */
  get lentCount(): number {
    return this.#lentCount;
  }

  /** Memory for a connection, or null when the host has no more. */
  take(limits: SessionLimits): ConnectionMemory | null {
    const { sendCount, receiveCount, messageBytes, stagingBytes } = limits;
    const shape = `${sendCount}/${receiveCount}/${messageBytes}/${stagingBytes}`;
    const index = this.#spare.findIndex((memory) => memory.shape === shape);
    const found = index < 0 ? undefined : this.#spare.splice(index, 1)[0];
    if (found !== undefined) {
      this.#lentCount++;
      return found;
    }
    const block = this.#memory.VirtualAlloc(connectionBytes(limits));
    if (block === null) return null;
    this.#lentCount++;
    return new ConnectionMemory(shape, block, limits);
  }

  giveBack(memory: ConnectionMemory): void {
    this.#lentCount--;
    if (this.#spare.length < SPARE_MEMORY_COUNT_MAX) this.#spare.push(memory);
    else this.#free(memory);
  }

  /** Frees what no connection uses. */
  drain(): void {
    for (const memory of this.#spare.splice(0)) this.#free(memory);
  }

  #free({ block }: ConnectionMemory): void {
    this.#beforeFree(block);
    this.#memory.VirtualFree(block);
  }
}
