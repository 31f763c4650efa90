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
    for (let at = 0; at < length; at++) to[toOffset + at] = from[fromOffset + at] as number;
    return;
  }
  to.set(from.subarray(fromOffset, fromOffset + length), toOffset);
}
