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
      const end = extent.offset + extent.bytes;
      if (offset + bytes > end) continue;
      const left = offset - extent.offset;
      const right = end - (offset + bytes);
      const remains: Extent[] = [];
      if (left > 0) remains.push({ offset: extent.offset, bytes: left });
      if (right > 0) remains.push({ offset: offset + bytes, bytes: right });
      this.#extents.splice(index, 1, ...remains);
      return offset;
    }
    return -1;
  }

  /** Gives a range back. Returns the free range it is now part of. */
  free(offset: number, bytes: number): { readonly offset: number; readonly bytes: number } {
    const extents = this.#extents;
    let index = 0;
    while (index < extents.length && (extents[index] as Extent).offset < offset) index++;
    const before = extents[index - 1];
    const after = extents[index];
    assert(before === undefined || before.offset + before.bytes <= offset, 'a range is freed once');
    assert(after === undefined || offset + bytes <= after.offset, 'a range is freed once');
    const merged = { offset, bytes };
    let from = index;
    let count = 0;
    if (before !== undefined && before.offset + before.bytes === offset) {
      merged.offset = before.offset;
      merged.bytes += before.bytes;
      from--;
      count++;
    }
    if (after !== undefined && offset + bytes === after.offset) {
      merged.bytes += after.bytes;
      count++;
    }
    extents.splice(from, count, merged);
    return merged;
  }
}
