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
  /** The rest of the receive buffers, likewise. */
  #moreReceives: Uint8Array | null = null;
  readonly sendBuffers: Uint8Array[] = [];
  readonly receiveBuffers: Uint8Array[] = [];
  readonly sendWords: Int32Array[] = [];
  readonly receiveWords: Int32Array[] = [];

  constructor(block: Uint8Array, limits: SessionLimits, memory: HostMemory) {
    const stride = roundUp(limits.messageBytes, CACHE_LINE);
    const receivesAt = stride * limits.firstSendCount;
    const spareAt = receivesAt + stride * limits.firstReceiveCount;
    this.block = block;
    this.sendRegion = block.subarray(0, receivesAt);
    this.receiveRegion = block.subarray(receivesAt, spareAt + stride);
    this.spare = block.subarray(spareAt, spareAt + limits.messageBytes);
    this.#memory = memory;
    this.#limits = limits;
    cut(this.sendRegion, limits.messageBytes, this.sendBuffers, this.sendWords);
    const receives = block.subarray(receivesAt, spareAt);
    cut(receives, limits.messageBytes, this.receiveBuffers, this.receiveWords);
  }

  /** Whether it is what a session of these limits needs. */
  fits(limits: SessionLimits): boolean {
    const own = this.#limits;
    return (
      own === limits ||
      (own.messageBytes === limits.messageBytes &&
        own.sendCount === limits.sendCount &&
        own.firstSendCount === limits.firstSendCount &&
        own.receiveCount === limits.receiveCount &&
        own.firstReceiveCount === limits.firstReceiveCount &&
        own.stagingBytes === limits.stagingBytes)
    );
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
    const { firstSendCount, sendCount } = this.#limits;
    this.#moreSends = this.#more(sendCount - firstSendCount, this.sendBuffers, this.sendWords);
    return this.#moreSends;
  }

  /** The same for the receive buffers. */
  moreReceives(): Uint8Array | null {
    if (this.#moreReceives !== null) return this.#moreReceives;
    const { firstReceiveCount, receiveCount } = this.#limits;
    const count = receiveCount - firstReceiveCount;
    this.#moreReceives = this.#more(count, this.receiveBuffers, this.receiveWords);
    return this.#moreReceives;
  }

  #more(count: number, buffers: Uint8Array[], words: Int32Array[]): Uint8Array | null {
    if (count === 0) return null;
    const { messageBytes } = this.#limits;
    const region = this.#memory.VirtualAlloc(roundUp(messageBytes, CACHE_LINE) * count);
    if (region !== null) cut(region, messageBytes, buffers, words);
    return region;
  }

  /** All blocks of it. */
  get blocks(): readonly Uint8Array[] {
    const more = [this.#moreSends, this.#moreReceives, this.#staging];
    return [this.block, ...more].filter((block) => block !== null);
  }
}

/** Adds the message buffers of a region to those that there are. */
function cut(
  region: Uint8Array,
  messageBytes: number,
  buffers: Uint8Array[],
  words: Int32Array[],
): void {
  const stride = roundUp(messageBytes, CACHE_LINE);
  for (let start = 0; start < region.length; start += stride) {
    const buffer = region.subarray(start, start + messageBytes);
    buffers.push(buffer);
    words.push(wordsOf(buffer, messageBytes));
  }
}

/** Bytes of the block that a session of these limits needs. */
export function connectionBytes(limits: SessionLimits): number {
  const stride = roundUp(limits.messageBytes, CACHE_LINE);
  return stride * (limits.firstSendCount + limits.firstReceiveCount + 1);
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
    const found = this.#takeSpare(limits);
    if (found !== null) {
      this.#lentCount++;
      return found;
    }
    const block = this.#memory.VirtualAlloc(connectionBytes(limits));
    if (block === null) return null;
    this.#lentCount++;
    return new ConnectionMemory(block, limits, this.#memory);
  }

  #takeSpare(limits: SessionLimits): ConnectionMemory | null {
    const spare = this.#spare;
    // The one given back last: it is the likeliest to be in a cache still.
    const last = spare.at(-1);
    if (last?.fits(limits) === true) return spare.pop() ?? null;
    const index = spare.findLastIndex((memory) => memory.fits(limits));
    return index < 0 ? null : (spare.splice(index, 1)[0] ?? null);
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
