// Moving payload between message buffers, the store and application memory. A view costs more than
// a short loop, and would be an allocation per message; a long copy is worth one. A message buffer has its
// words beside it: four bytes at a time, written out, take half the time that single ones do.

const LOOP_BYTES_MAX = 160;

/** Copies `length` bytes; the ranges do not overlap. */
export function copyBytes(
  from: Uint8Array,
  fromOffset: number,
  to: Uint8Array,
  toOffset: number,
  length: number,
): void {
  if (length <= LOOP_BYTES_MAX) {
    let at = 0;
    for (; at + 8 <= length; at += 8) {
      const source = fromOffset + at;
      const target = toOffset + at;
      to[target] = from[source] as number;
      to[target + 1] = from[source + 1] as number;
      to[target + 2] = from[source + 2] as number;
      to[target + 3] = from[source + 3] as number;
      to[target + 4] = from[source + 4] as number;
      to[target + 5] = from[source + 5] as number;
      to[target + 6] = from[source + 6] as number;
      to[target + 7] = from[source + 7] as number;
    }
    for (; at < length; at++) to[toOffset + at] = from[fromOffset + at] as number;
    return;
  }
  to.set(from.subarray(fromOffset, fromOffset + length), toOffset);
}

/** Copies the first `length` bytes of `from` to `words[at]` and on; `to` has the same memory in bytes. */
export function packBytes(
  from: Uint8Array,
  length: number,
  to: Uint8Array,
  words: Int32Array,
  at: number,
): void {
  let done = 0;
  if (length <= LOOP_BYTES_MAX) {
    for (let word = at; done + 16 <= length; done = (done + 16) | 0, word = (word + 4) | 0) {
      words[word] =
        (from[done] as number) |
        ((from[done + 1] as number) << 8) |
        ((from[done + 2] as number) << 16) |
        ((from[done + 3] as number) << 24);
      words[word + 1] =
        (from[done + 4] as number) |
        ((from[done + 5] as number) << 8) |
        ((from[done + 6] as number) << 16) |
        ((from[done + 7] as number) << 24);
      words[word + 2] =
        (from[done + 8] as number) |
        ((from[done + 9] as number) << 8) |
        ((from[done + 10] as number) << 16) |
        ((from[done + 11] as number) << 24);
      words[word + 3] =
        (from[done + 12] as number) |
        ((from[done + 13] as number) << 8) |
        ((from[done + 14] as number) << 16) |
        ((from[done + 15] as number) << 24);
    }
  }
  if (done < length) copyBytes(from, done, to, 4 * at + done, length - done);
}

/** The other way: `from` has the memory of `words` in bytes. */
export function unpackBytes(
  from: Uint8Array,
  words: Int32Array,
  at: number,
  to: Uint8Array,
  length: number,
): void {
  let done = 0;
  if (length <= LOOP_BYTES_MAX) {
    for (let word = at; done + 16 <= length; done = (done + 16) | 0, word = (word + 4) | 0) {
      const first = words[word] as number;
      const second = words[word + 1] as number;
      const third = words[word + 2] as number;
      const fourth = words[word + 3] as number;
      to[done] = first;
      to[done + 1] = first >>> 8;
      to[done + 2] = first >>> 16;
      to[done + 3] = first >>> 24;
      to[done + 4] = second;
      to[done + 5] = second >>> 8;
      to[done + 6] = second >>> 16;
      to[done + 7] = second >>> 24;
      to[done + 8] = third;
      to[done + 9] = third >>> 8;
      to[done + 10] = third >>> 16;
      to[done + 11] = third >>> 24;
      to[done + 12] = fourth;
      to[done + 13] = fourth >>> 8;
      to[done + 14] = fourth >>> 16;
      to[done + 15] = fourth >>> 24;
    }
  }
  if (done < length) copyBytes(from, 4 * at + done, to, done, length - done);
}
