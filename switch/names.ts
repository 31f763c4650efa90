// Socket addresses on their way to the application. Sources: SPI-04, ACCEPT-01, W8.2.3.

import type { Ref } from '../provider/spi/winsock2.js';

/**
 * Copies a sockaddr to an out buffer and its length to the reference. Both null: nobody asked. False:
 * one of them is missing, or the room is too small, and nothing was written.
 */
export function copyName(
  name: Uint8Array,
  out: Uint8Array | null,
  length: Ref<number> | null,
): boolean {
  if (out === null && length === null) return true;
  if (out === null || length === null) return false;
  if (length.value < name.length || out.length < name.length) return false;
  out.set(name);
  length.value = name.length;
  return true;
}
