// The memory of one connection: two virtually contiguous regions of message buffers, one for sends
// and one for receives; and what only some come to need, the rest of the send buffers and the staging
// buffer. Blocks are kept for
// the next connection of the same shape: fresh memory costs a page fault and a pin per page, and
// providers cache registrations. Sources: XFER-04, CACHE-01, CACHE-03.

import type { HostMemory } from '../provider/spi/provider.js';
import type { SessionLimits } from './session/limits.js';
import { wordsOf } from './session/session.js';
import { roundUp, SPARE_MEMORY_COUNT_MAX } from './limits.js';

const CACHE_LINE = 64;

export class ConnectionMemory {
  readonly shape: string;
  readonly block: Uint8Array;
  readonly sendRegion: Uint8Array;
  /** The receive buffers, and `spare` behind them. */
  readonly receiveRegion: Uint8Array;
  /** A message buffer that is never posted: the staging buffer of those who get no other. */
  readonly spare: Uint8Array;
  /** null until it was needed; then kept with the block. */
  #staging: Uint8Array | null = null;
  readonly #memory: HostMemory;
  readonly #limits: SessionLimits;
  /** The rest of the send buffers; null until it was needed; then kept with the block. */
  #moreSends: Uint8Array | null = null;
  readonly sendBuffers: Uint8Array[];
  readonly receiveBuffers: readonly Uint8Array[];
  readonly sendWords: Int32Array[];
  readonly receiveWords: readonly Int32Array[];

  constructor(shape: string, block: Uint8Array, limits: SessionLimits, memory: HostMemory) {
    const stride = roundUp(limits.messageBytes, CACHE_LINE);
    const receivesAt = stride * limits.firstSendCount;
    const slice = (base: number, index: number): Uint8Array => {
      const start = base + stride * index;
      return block.subarray(start, start + limits.messageBytes);
    };
    this.shape = shape;
    this.block = block;
    this.sendRegion = block.subarray(0, receivesAt);
    this.receiveRegion = block.subarray(
      receivesAt,
      receivesAt + stride * (limits.receiveCount + 1),
    );
    this.spare = slice(receivesAt, limits.receiveCount);
    this.#memory = memory;
    this.#limits = limits;
    this.sendBuffers = Array.from({ length: limits.firstSendCount }, (_, index) => slice(0, index));
    this.receiveBuffers = Array.from({ length: limits.receiveCount }, (_, index) =>
      slice(receivesAt, index),
    );
    const words = (buffer: Uint8Array): Int32Array => wordsOf(buffer, limits.messageBytes);
    this.sendWords = this.sendBuffers.map(words);
    this.receiveWords = this.receiveBuffers.map(words);
  }

  /** The staging buffer, made when it is first asked for; null when the host has no more memory. */
  staging(): Uint8Array | null {
    return (this.#staging ??= this.#memory.VirtualAlloc(this.#limits.stagingBytes));
  }

  /**
   * The rest of the send buffers as one region, made when it is first asked for: they stand in
   * `sendBuffers` from then on. null when there are none, or the host has no more memory.
   */
  moreSends(): Uint8Array | null {
    if (this.#moreSends !== null) return this.#moreSends;
    const { firstSendCount, messageBytes, sendCount } = this.#limits;
    if (firstSendCount === sendCount) return null;
    const stride = roundUp(messageBytes, CACHE_LINE);
    const region = this.#memory.VirtualAlloc(stride * (sendCount - firstSendCount));
    if (region === null) return null;
    for (let start = 0; start < region.length; start += stride) {
      const buffer = region.subarray(start, start + messageBytes);
      this.sendBuffers.push(buffer);
      this.sendWords.push(wordsOf(buffer, messageBytes));
    }
    this.#moreSends = region;
    return region;
  }

  /** All blocks of it. */
  get blocks(): readonly Uint8Array[] {
    return [this.block, this.#moreSends, this.#staging].filter((block) => block !== null);
  }
}

/** Bytes of the block that a session of these limits needs. */
export function connectionBytes(limits: SessionLimits): number {
  const stride = roundUp(limits.messageBytes, CACHE_LINE);
  return stride * (limits.firstSendCount + limits.receiveCount + 1);
}

export class MemoryPool {
  readonly #memory: HostMemory;
  readonly #beforeFree: (block: Uint8Array) => void;
  readonly #spare: ConnectionMemory[] = [];
  /** What a provider may still write to: not used again, and freed with everything else. */
  readonly #condemned: ConnectionMemory[] = [];
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
    const { sendCount, firstSendCount, receiveCount, messageBytes, stagingBytes } = limits;
    const shape = `${sendCount}/${firstSendCount}/${receiveCount}/${messageBytes}/${stagingBytes}`;
    // The one given back last: it is the likeliest to be in a cache still.
    const index = this.#spare.findLastIndex((memory) => memory.shape === shape);
    const found = index < 0 ? undefined : this.#spare.splice(index, 1)[0];
    if (found !== undefined) {
      this.#lentCount++;
      return found;
    }
    const block = this.#memory.VirtualAlloc(connectionBytes(limits));
    if (block === null) return null;
    this.#lentCount++;
    return new ConnectionMemory(shape, block, limits, this.#memory);
  }

  /** `isInUse`: calls of the provider on it have not ended. */
  giveBack(memory: ConnectionMemory, isInUse = false): void {
    this.#lentCount--;
    if (isInUse) this.#condemned.push(memory);
    else if (this.#spare.length < SPARE_MEMORY_COUNT_MAX) this.#spare.push(memory);
    else this.#free(memory);
  }

  /** Frees what no connection uses. */
  drain(): void {
    for (const memory of this.#spare.splice(0)) this.#free(memory);
    for (const memory of this.#condemned.splice(0)) this.#free(memory);
  }

  #free({ blocks }: ConnectionMemory): void {
    for (const block of blocks) {
      this.#beforeFree(block);
      this.#memory.VirtualFree(block);
    }
  }
}
