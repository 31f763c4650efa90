// How a SAN provider answers SIO_GET_EXTENSION_FUNCTION_POINTER, for all of them: it finds the GUID among
// the seven and hands out the function. Knows no provider. Sources: EXT-01 to EXT-03, IOCTL-04, W11.4.

import { WSAEFAULT, WSAEINVAL, WSAEOPNOTSUPP } from './errors.js';
import type { ExtensionFunctionPointer } from './extension-pointer.js';
import {
  EXTENSION_FUNCTION_POINTER_BYTES,
  isExtensionFunctionPointer,
} from './extension-pointer.js';
import { GUID_BYTES, guidText } from './guid.js';
import type { Ref } from './winsock2.js';
import type { SanExtensions } from './ws2san.js';
import { SAN_EXTENSIONS } from './ws2san.js';
import { fail } from './ws2spi.js';

/**
 * Answers as WSPIoctl does: 0 with the function in `output` and 8 in lpcbBytesReturned, or SOCKET_ERROR
 * with WSAEFAULT (no whole GUID, no room), WSAEINVAL (a GUID that names no extension) or WSAEOPNOTSUPP
 * (an extension that is null). Lengths in bytes. [EXT-03]
 */
export function answerExtension(
  extensions: SanExtensions,
  input: Uint8Array | null,
  inputLength: number,
  output: Uint8Array | ExtensionFunctionPointer | null,
  outputLength: number,
  lpcbBytesReturned: Ref<number> | null,
  lpErrno: Ref<number>,
): number {
  const guid = input?.subarray(0, Math.max(0, inputLength)) ?? null;
  if (guid === null || guid.length < GUID_BYTES) return fail(lpErrno, WSAEFAULT);
  const isRoom = outputLength >= EXTENSION_FUNCTION_POINTER_BYTES;
  if (!isRoom || !isExtensionFunctionPointer(output)) return fail(lpErrno, WSAEFAULT);
  const text = guidText(guid);
  const known = SAN_EXTENSIONS.find((extension) => extension.guid === text);
  if (known === undefined) return fail(lpErrno, WSAEINVAL);
  const entry = extensions[known.name];
  if (entry === null) return fail(lpErrno, WSAEOPNOTSUPP);
  output.value = entry;
  if (lpcbBytesReturned !== null) lpcbBytesReturned.value = EXTENSION_FUNCTION_POINTER_BYTES;
  return 0;
}
