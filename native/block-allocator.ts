// Blocks of a segment, handed out by its owner: first fit in whole cache lines, aligned ones from the
// end, over memory that is committed in chunks when it is first needed. A block is zeroed. It must not
// know what is in a block. The bookkeeping lies in the owner's private memory: a peer cannot damage it.

import { assert } from '../runtime/assert.js';
import type { Arena } from './arena.js';
import { check, errno } from './errors.js';
import { FreeList } from './free-list.js';
import { CACHE_LINE_BYTES, roundUp } from './layout/struct.js';
import { native } from './load.js';
import type { Mapping } from './segment.js';

/** Memory is committed and released in whole chunks. */
const CHUNK_BYTES = 65_536;

/** A free range is worth a system call to give its memory back from this size on. */
const RELEASE_BYTES_MIN = 1_048_576;

interface ChunkRun {
  readonly first: number;
  readonly count: number;
}

const NO_RUNS: readonly ChunkRun[] = [];

export class BlockAllocator {
  readonly #arena: Arena;
  readonly #mapping: Mapping;
  readonly #free: FreeList;
  readonly #blocks = new Map<number, number>();
  /**
   * Per chunk: 1 when memory is behind it, and then its free parts hold leftovers; 0 reads zero.
   */
  readonly #committed: Uint8Array;
  #allocatedBytes = 0;
  #committedChunkCount = 1;

  /** The first `reservedBytes` are not handed out; the first chunk is committed already. */
  constructor(arena: Arena, mapping: Mapping, reservedBytes: number) {
    this.#arena = arena;
    this.#mapping = mapping;
    this.#free = new FreeList(reservedBytes, mapping.bytes - reservedBytes);
    this.#committed = new Uint8Array(mapping.bytes / CHUNK_BYTES);
    this.#committed[0] = 1;
  }

  get blockCount(): number {
    return this.#blocks.size;
  }

  get allocatedBytes(): number {
    return this.#allocatedBytes;
  }

  get committedBytes(): number {
    return this.#committedChunkCount * CHUNK_BYTES;
  }

  /** See Segment.allocate. Throws RangeError for a size or alignment that cannot be meant. */
  allocate(bytes: number, alignment: number = CACHE_LINE_BYTES): number | null {
    if (!(Number.isSafeInteger(bytes) && bytes > 0))
      throw new RangeError(`a block of ${bytes} bytes`);
    if (!(alignment >= 1 && Number.isInteger(Math.log2(alignment)))) {
      throw new RangeError(`a block aligned to ${alignment} bytes`);
    }
    const length = roundUp(bytes, CACHE_LINE_BYTES);
    // Pages come from the other end: among blocks of lines each would leave a gap before it that fits
    // nothing, and every search would pass all of them.
    const offset =
      alignment > CACHE_LINE_BYTES
        ? this.#free.allocateHigh(length, alignment)
        : this.#free.allocate(length, CACHE_LINE_BYTES);
    if (offset < 0) return null;
    if (!this.prepare(offset, length)) {
      this.#free.free(offset, length);
      return null;
    }
    this.#blocks.set(offset, length);
    this.#allocatedBytes += length;
    return offset;
  }

  free(offset: number): void {
    const length = this.#blocks.get(offset);
    assert(length !== undefined, 'only an allocated block is freed, and once');
    this.#blocks.delete(offset);
    this.#allocatedBytes -= length;
    const extent = this.#free.free(offset, length);
    if (extent.bytes >= RELEASE_BYTES_MIN) this.release(extent.offset, extent.bytes);
  }

  /**
   * Commits the uncommitted chunks under a range and clears the rest of it; false without a trace
   * when full.
   */
  private prepare(offset: number, length: number): boolean {
    const first = Math.floor(offset / CHUNK_BYTES);
    const end = Math.ceil((offset + length) / CHUNK_BYTES);
    if (this.isCommitted(first, end)) {
      this.clear(offset, length, NO_RUNS);
      return true;
    }
    const added: ChunkRun[] = [];
    for (let chunk = first; chunk < end; ) {
      const isCommitted = this.#committed[chunk] === 1;
      const run = this.runFrom(chunk, end);
      if (!isCommitted) {
        if (!this.commit(run)) {
          for (const one of added) this.giveBack(one);
          return false;
        }
        added.push(run);
      }
      chunk += run.count;
    }
    this.clear(offset, length, added);
    return true;
  }

  private isCommitted(first: number, end: number): boolean {
    for (let chunk = first; chunk < end; chunk++) if (this.#committed[chunk] === 0) return false;
    return true;
  }

  /** Zeroes a range but for the runs that were committed just now and are zero already. */
  private clear(offset: number, length: number, zeroRuns: readonly ChunkRun[]): void {
    const bytes = this.#arena.view.bytes;
    const base = this.#mapping.offset;
    let at = offset;
    for (const run of zeroRuns) {
      const zeroStart = run.first * CHUNK_BYTES;
      if (zeroStart > at) bytes.fill(0, base + at, base + zeroStart);
      at = zeroStart + run.count * CHUNK_BYTES;
    }
    if (at < offset + length) bytes.fill(0, base + at, base + offset + length);
  }

  private release(offset: number, length: number): void {
    // The first chunk holds the header and is never released.
    let first = Math.max(1, Math.ceil(offset / CHUNK_BYTES));
    const end = Math.floor((offset + length) / CHUNK_BYTES);
    for (;;) {
      // Most of a long free range was never committed, or was given back before.
      first = this.#committed.indexOf(1, first);
      if (first < 0 || first >= end) return;
      const run = this.runFrom(first, end);
      this.giveBack(run);
      first += run.count;
    }
  }

  /** The chunks from `first` on that are in the same state, up to `end`. */
  private runFrom(first: number, end: number): ChunkRun {
    let next = first + 1;
    while (next < end && this.#committed[next] === this.#committed[first]) next++;
    return { first, count: next - first };
  }

  private commit(run: ChunkRun): boolean {
    const { fd } = this.#mapping;
    const result = native.segmentCommit(fd, run.first * CHUNK_BYTES, run.count * CHUNK_BYTES);
    // EFBIG: the process's file size limit; like a full file system, it means that there is no
    // more.
    if (result === -errno.ENOSPC || result === -errno.EFBIG || result === -errno.ENOMEM)
      return false;
    check(result, 'fallocate', `${run.count * CHUNK_BYTES} bytes`);
    this.#committed.fill(1, run.first, run.first + run.count);
    this.#committedChunkCount += run.count;
    return true;
  }

  private giveBack(run: ChunkRun): void {
    const { fd } = this.#mapping;
    const result = native.segmentRelease(fd, run.first * CHUNK_BYTES, run.count * CHUNK_BYTES);
    // A file system that cannot punch holes keeps the memory; the chunks stay committed.
    if (result === -errno.EOPNOTSUPP) return;
    check(result, 'fallocate', `releasing ${run.count * CHUNK_BYTES} bytes`);
    this.#committed.fill(0, run.first, run.first + run.count);
    this.#committedChunkCount -= run.count;
  }
}
