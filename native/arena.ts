// The arena: one flat range of offsets per thread into which every segment is mapped, so that one
// typed array reaches all shared memory and an offset says where. It must not know what a segment
// contains.

import { assert } from '../runtime/assert.js';
import { check, errno, SystemError } from './errors.js';
import { FreeList } from './free-list.js';
import { native } from './load.js';
import { SharedView } from './shared-view.js';

/** A byte view has at most 2^32 bytes, so that is as much as one thread can reach at a time. */
export const ARENA_BYTES_MAX = 2 ** 32;

/** Windows start at multiples of this, the allocation granularity of Windows. A page multiple. */
export const WINDOW_ALIGNMENT = 65_536;

/** Address space with windows onto segments. Belongs to the thread that created it. */
export class Arena {
  readonly buffer: ArrayBuffer;
  readonly view: SharedView;
  /** The process address of offset 0. */
  readonly address: number;
  readonly bytes: number;
  readonly #windows: FreeList;
  readonly #mapped = new Map<number, number>();

  /**
   * Reserves `bytes` of address space, which costs no memory. Throws SystemError (ENOMEM) when
   * there is no room for it.
   */
  constructor(bytes: number = ARENA_BYTES_MAX) {
    const created = native.arenaCreate(bytes);
    if (typeof created === 'number')
      throw new SystemError(-created, 'mmap', `an arena of ${bytes} bytes`);
    this.buffer = created;
    this.view = new SharedView(created);
    this.address = native.arenaAddress(created);
    this.bytes = bytes;
    // Nothing lies at offset 0, so that 0 can stand for "nowhere" in shared structures.
    this.#windows = new FreeList(WINDOW_ALIGNMENT, bytes - WINDOW_ALIGNMENT);
  }

  get windowCount(): number {
    return this.#mapped.size;
  }

  /**
   * Maps the first `length` bytes of `fd`. Returns the window's offset. Throws SystemError
   * (ENOMEM: full).
   */
  map(fd: number, length: number): number {
    const window = windowBytes(length);
    const offset = this.#windows.allocate(window, WINDOW_ALIGNMENT);
    if (offset < 0)
      throw new SystemError(
        errno.ENOMEM,
        'mmap',
        `no window of ${length} bytes is free: the segments that a thread reaches, its own hosts' and ` +
          `their peers', have ${this.bytes} bytes together`,
      );
    const result = native.arenaMap(this.buffer, offset, fd, length);
    if (result < 0) this.#windows.free(offset, window);
    check(result, 'mmap', `${length} bytes`);
    this.#mapped.set(offset, length);
    return offset;
  }

  /** Takes a window away. Its offsets read zeros until they are mapped again. */
  unmap(offset: number): void {
    const length = this.#mapped.get(offset);
    assert(length !== undefined, 'only a mapped window is unmapped');
    this.#mapped.delete(offset);
    check(native.arenaUnmap(this.buffer, offset, length), 'mmap', `unmapping ${length} bytes`);
    this.#windows.free(offset, windowBytes(length));
  }
}

function windowBytes(length: number): number {
  return Math.ceil(length / WINDOW_ALIGNMENT) * WINDOW_ALIGNMENT;
}
