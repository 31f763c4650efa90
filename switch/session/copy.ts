// Moving payload between message buffers, the store and application memory. A view costs more than
// a short loop, and would be an allocation per message; a long copy is worth one.

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
