// A segment: the shared file of one host, mapped into the arena of a thread. The owner creates it
// and hands out its blocks; a peer opens it, and the addon validates its header. It must not know
// what is in a block. Layout: layout/segment.layout.ts; docs/shared-memory.md, "The segment".

import { unlinkSync } from 'node:fs';
import { assert } from '../runtime/assert.js';
import type { Arena } from './arena.js';
import { BlockAllocator } from './block-allocator.js';
import { check, isSystemFailure } from './errors.js';
import { SEGMENT_MAGIC, SEGMENT_VERSION, segmentHeader } from './layout/segment.layout.js';
import { roundUp } from './layout/struct.js';
import { native } from './load.js';

/** Segment sizes are multiples of this, the step in which memory is committed. */
export const SEGMENT_GRANULARITY = 65_536;

export interface SegmentOptions {
  /** Wanted size; rounded up to SEGMENT_GRANULARITY. Costs memory only where it is allocated. */
  readonly bytes: number;
  /** The host's IPv4 address as a number in host order. */
  readonly address: number;
  /** Distinguishes this host from an earlier one with the same address. Below 2^53. */
  readonly generation: number;
}

/** One mapping of a segment. Belongs to the thread of its arena; the contents are shared. */
export class Segment {
  readonly arena: Arena;
  readonly path: string;
  /** Where the segment starts in the arena, in bytes. */
  readonly offset: number;
  readonly bytes: number;
  /** Whether this mapping created the file, allocates in it, and removes it at the end. */
  readonly isOwner: boolean;
  readonly pid: number;
  readonly address: number;
  readonly generation: number;
  readonly #fd: number;
  readonly #allocator: BlockAllocator | null;
  #open = true;

  private constructor(arena: Arena, path: string, mapping: Mapping, isOwner: boolean) {
    const word = (name: string): number =>
      arena.view.loadPlain(mapping.offset / 4 + segmentHeader.word(name));
    this.arena = arena;
    this.path = path;
    this.offset = mapping.offset;
    this.bytes = mapping.bytes;
    this.isOwner = isOwner;
    this.pid = word('pid') >>> 0;
    this.address = word('address') >>> 0;
    this.generation = arena.view.load64(mapping.offset / 4 + segmentHeader.word('generation'));
    this.#fd = mapping.fd;
    this.#allocator = isOwner ? new BlockAllocator(arena, mapping, segmentHeader.bytes) : null;
  }

  /**
   * Creates the file, exclusively, and writes its header, the magic last. Throws SystemError
   * (EEXIST, ENOSPC, …) with nothing left behind.
   */
  static create(arena: Arena, path: string, options: SegmentOptions): Segment {
    const bytes = roundUp(options.bytes, SEGMENT_GRANULARITY);
    const fd = check(native.segmentCreate(path, bytes), 'open', path);
    try {
      const header = SEGMENT_GRANULARITY;
      check(native.segmentCommit(fd, 0, header), 'fallocate', `${header} bytes of ${path}`);
      const offset = arena.map(fd, bytes);
      writeHeader(arena, offset, bytes, options);
      return new Segment(arena, path, { fd, offset, bytes }, true);
    } catch (thrown) {
      native.closeDescriptor(fd);
      unlinkSync(path);
      throw thrown;
    }
  }

  /**
   * Maps another host's segment. Throws SystemError: ENOENT, EACCES (of another user), EPROTO
   * (another version), EILSEQ (no segment, or a broken one).
   */
  static open(arena: Arena, path: string): Segment {
    const fd = check(native.segmentOpen(path), 'open', path);
    try {
      const bytes = check(native.segmentSize(fd), 'fstat', path);
      const offset = arena.map(fd, bytes);
      return new Segment(arena, path, { fd, offset, bytes }, false);
    } catch (thrown) {
      native.closeDescriptor(fd);
      throw thrown;
    }
  }

  /** The arena's byte offset of a byte of the segment. */
  byte(offset: number): number {
    return this.offset + offset;
  }

  /** The arena's word index of a byte offset in the segment, which is a multiple of 4. */
  word(offset: number): number {
    return (this.offset + offset) / 4;
  }

  /** The process address of a byte of the segment. */
  addressOf(offset: number): number {
    return this.arena.address + this.offset + offset;
  }

  /**
   * Hands out a zeroed block in whole cache lines and returns its offset in the segment, or null
   * when there is no room: neither address space in the segment nor (ENOSPC) memory behind it.
   * `alignment` is a power of two. Owner only.
   */
  allocate(bytes: number, alignment?: number): number | null {
    return this.allocator.allocate(bytes, alignment);
  }

  /** Takes back the block at `offset`. Memory behind large free ranges returns to the system. */
  free(offset: number): void {
    this.allocator.free(offset);
  }

  /** Blocks handed out and not taken back, and their bytes. */
  get blockCount(): number {
    return this.allocator.blockCount;
  }

  get allocatedBytes(): number {
    return this.allocator.allocatedBytes;
  }

  /** Memory committed behind the segment so far, in bytes. */
  get committedBytes(): number {
    return this.allocator.committedBytes;
  }

  /** Unmaps; the owner also removes the file. Closing twice is allowed. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.arena.unmap(this.offset);
    native.closeDescriptor(this.#fd);
    if (this.isOwner) unlinkIfThere(this.path);
  }

  private get allocator(): BlockAllocator {
    assert(
      this.#open && this.#allocator !== null,
      'blocks are handed out by the owner of an open segment',
    );
    return this.#allocator;
  }
}

export interface Mapping {
  readonly fd: number;
  readonly offset: number;
  readonly bytes: number;
}

function writeHeader(arena: Arena, offset: number, bytes: number, options: SegmentOptions): void {
  const view = arena.view;
  const word = (name: string): number => offset / 4 + segmentHeader.word(name);
  view.storePlain(word('version'), SEGMENT_VERSION);
  view.store64(word('bytes'), bytes);
  view.storePlain(word('pid'), process.pid);
  view.storePlain(word('address'), options.address | 0);
  view.store64(word('generation'), options.generation);
  view.storeRelease(word('magic'), SEGMENT_MAGIC);
}

export function unlinkIfThere(path: string): boolean {
  try {
    unlinkSync(path);
    return true;
  } catch (thrown) {
    if (!isSystemFailure(thrown, 'ENOENT')) throw thrown;
    return false;
  }
}
