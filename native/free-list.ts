// First-fit allocation of ranges of numbers, with coalescing. The arena hands out windows with it
// and the segment hands out blocks. It must not know what the numbers address.

import { assert } from '../runtime/assert.js';

interface Extent {
  offset: number;
  bytes: number;
}

/** Free ranges in ascending order, never touching each other. One thread. */
export class FreeList {
  readonly #extents: Extent[];

  constructor(offset: number, bytes: number) {
    this.#extents = bytes > 0 ? [{ offset, bytes }] : [];
  }

  get freeBytes(): number {
    return this.#extents.reduce((sum, extent) => sum + extent.bytes, 0);
  }

  get extentCount(): number {
    return this.#extents.length;
  }

  /** Takes the first range that fits, at a multiple of `alignment`. Returns its offset, or -1. */
  allocate(bytes: number, alignment: number): number {
    for (let index = 0; index < this.#extents.length; index++) {
      const extent = this.#extents[index] as Extent;
      const offset = Math.ceil(extent.offset / alignment) * alignment;
      if (offset + bytes > extent.offset + extent.bytes) continue;
      this.#take(index, offset, bytes);
      return offset;
    }
    return -1;
  }

  /** The same with the last range that fits, and the highest place in it. */
  allocateHigh(bytes: number, alignment: number): number {
    for (let index = this.#extents.length - 1; index >= 0; index--) {
      const extent = this.#extents[index] as Extent;
      const end = extent.offset + extent.bytes;
      const offset = Math.floor((end - bytes) / alignment) * alignment;
      if (offset < extent.offset) continue;
      this.#take(index, offset, bytes);
      return offset;
    }
    return -1;
  }

  #take(index: number, offset: number, bytes: number): void {
    const extent = this.#extents[index] as Extent;
    const left = offset - extent.offset;
    const right = extent.offset + extent.bytes - (offset + bytes);
    if (left > 0) {
      extent.bytes = left;
      if (right > 0) this.#extents.splice(index + 1, 0, { offset: offset + bytes, bytes: right });
    } else if (right > 0) {
      extent.offset = offset + bytes;
      extent.bytes = right;
    } else {
      this.#extents.splice(index, 1);
    }
  }

  /** Gives a range back. Returns the free range it is now part of, which the next call may change. */
  free(offset: number, bytes: number): { readonly offset: number; readonly bytes: number } {
    const extents = this.#extents;
    let index = 0;
    while (index < extents.length && (extents[index] as Extent).offset < offset) index++;
    // Not by asking an array for what is at -1, which V8 looks up as a name.
    const before = index > 0 ? extents[index - 1] : undefined;
    const after = extents[index];
    assert(before === undefined || before.offset + before.bytes <= offset, 'a range is freed once');
    assert(after === undefined || offset + bytes <= after.offset, 'a range is freed once');
    const touchesAfter = after !== undefined && offset + bytes === after.offset;
    if (before !== undefined && before.offset + before.bytes === offset) {
      before.bytes += bytes;
      if (!touchesAfter) return before;
      before.bytes += after.bytes;
      extents.splice(index, 1);
      return before;
    }
    if (touchesAfter) {
      after.offset = offset;
      after.bytes += bytes;
      return after;
    }
    const alone = { offset, bytes };
    extents.splice(index, 0, alone);
    return alone;
  }
}
