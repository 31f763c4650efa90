// Socket options and control codes, which are few: the rest is the switch's and TCP/IP's business.
// Sources: OPT-01 to OPT-10, GETOPT, SETOPT, IOC, IOCTL, EXT-01 to EXT-03.

import { answerAddressList } from '../spi/address-list.js';
import * as wsa from '../spi/error-codes.js';
import { GUID_BYTES, guidText } from '../spi/guid.js';
import { sockaddrIn } from '../spi/sockaddr.js';
import type {
  Ref,
  WSAOVERLAPPED,
  WSAOVERLAPPED_COMPLETION_ROUTINE,
  WSATHREADID,
} from '../spi/winsock2.js';
import * as ws from '../spi/winsock2.js';
import type { ExtensionFunctionPointer, SanExtensions } from '../spi/ws2san.js';
import {
  EXTENSION_FUNCTION_POINTER_BYTES,
  isExtensionFunctionPointer,
  SAN_EXTENSIONS,
  SO_MAX_RDMA_SIZE,
  SO_RDMA_THRESHOLD_SIZE,
} from '../spi/ws2san.js';
import { fail } from '../spi/ws2spi.js';
import type { SanSocket } from './record.js';
import type { SanState } from './state.js';

const OPTION_BYTES = 4;

/** Stores an option as four bytes, little-endian. [GETOPT-01, GETOPT-02] */
export function wspGetSockOpt(
  state: SanState,
  s: number,
  level: number,
  optname: number,
  optval: Uint8Array | null,
  optlen: Ref<number> | null,
  lpErrno: Ref<number>,
): number {
  const socket = state.sockets.find(s);
  if (socket === null) return fail(lpErrno, wsa.WSAENOTSOCK);
  const value = isLevel(level) ? valueOf(state, socket, level, optname) : null;
  if (value === null) return fail(lpErrno, isLevel(level) ? wsa.WSAENOPROTOOPT : wsa.WSAEINVAL);
  const room = Math.min(optlen?.value ?? 0, optval?.length ?? 0);
  if (optval === null || optlen === null || room < OPTION_BYTES)
    return fail(lpErrno, wsa.WSAEFAULT);
  for (let index = 0; index < OPTION_BYTES; index++) optval[index] = value >>> (8 * index);
  optlen.value = OPTION_BYTES;
  return 0;
}

/** Sets SO_DEBUG; the rest is read-only here, or unknown. [SETOPT-01, OPT-07] */
export function wspSetSockOpt(
  state: SanState,
  s: number,
  level: number,
  optname: number,
  optval: Uint8Array | null,
  optlen: number,
  lpErrno: Ref<number>,
): number {
  const socket = state.sockets.find(s);
  if (socket === null) return fail(lpErrno, wsa.WSAENOTSOCK);
  if (!isLevel(level)) return fail(lpErrno, wsa.WSAEINVAL);
  if (level !== ws.SOL_SOCKET || optname !== ws.SO_DEBUG) return fail(lpErrno, wsa.WSAENOPROTOOPT);
  if (optval === null || Math.min(optlen, optval.length) < OPTION_BYTES) {
    return fail(lpErrno, wsa.WSAEFAULT);
  }
  socket.debug = optval.subarray(0, OPTION_BYTES).some((byte) => byte !== 0);
  return 0;
}

/** Finds extension functions and lists addresses. [IOCTL-01 to -04, IOC-01, IOC-02] */
export function wspIoctl(
  state: SanState,
  extensions: SanExtensions,
  s: number,
  dwIoControlCode: number,
  lpvInBuffer: Uint8Array | null,
  cbInBuffer: number,
  lpvOutBuffer: Uint8Array | ExtensionFunctionPointer | null,
  cbOutBuffer: number,
  lpcbBytesReturned: Ref<number> | null,
  _lpOverlapped: WSAOVERLAPPED | null,
  _lpCompletionRoutine: WSAOVERLAPPED_COMPLETION_ROUTINE | null,
  _lpThreadId: WSATHREADID | null,
  lpErrno: Ref<number>,
): number {
  if (dwIoControlCode === ws.SIO_GET_EXTENSION_FUNCTION_POINTER) {
    // The socket is not looked at: it may be none. [INIT-11]
    const guid = lpvInBuffer?.subarray(0, Math.max(0, cbInBuffer)) ?? null;
    if (guid === null || guid.length < GUID_BYTES) return fail(lpErrno, wsa.WSAEFAULT);
    if (cbOutBuffer < EXTENSION_FUNCTION_POINTER_BYTES) return fail(lpErrno, wsa.WSAEFAULT);
    if (!isExtensionFunctionPointer(lpvOutBuffer)) return fail(lpErrno, wsa.WSAEFAULT);
    return answerExtension(extensions, guid, lpvOutBuffer, lpcbBytesReturned, lpErrno);
  }
  if (state.sockets.find(s) === null) return fail(lpErrno, wsa.WSAENOTSOCK);
  if (dwIoControlCode !== ws.SIO_ADDRESS_LIST_QUERY) return fail(lpErrno, wsa.WSAEOPNOTSUPP);
  if (isExtensionFunctionPointer(lpvOutBuffer)) return fail(lpErrno, wsa.WSAEFAULT);
  const addresses = [sockaddrIn(state.nic.attributes.address, 0)];
  return answerAddressList(addresses, lpvOutBuffer, cbOutBuffer, lpcbBytesReturned, lpErrno);
}

function answerExtension(
  extensions: SanExtensions,
  guid: Uint8Array,
  output: ExtensionFunctionPointer,
  lpcbBytesReturned: Ref<number> | null,
  lpErrno: Ref<number>,
): number {
  const text = guidText(guid);
  const known = SAN_EXTENSIONS.find((extension) => extension.guid === text);
  if (known === undefined) return fail(lpErrno, wsa.WSAEINVAL);
  const entry = extensions[known.name];
  if (entry === null) return fail(lpErrno, wsa.WSAEOPNOTSUPP);
  output.value = entry;
  if (lpcbBytesReturned !== null) lpcbBytesReturned.value = EXTENSION_FUNCTION_POINTER_BYTES;
  return 0;
}

function isLevel(level: number): boolean {
  return level === ws.SOL_SOCKET || level === ws.IPPROTO_TCP;
}

/** null for an option that this provider does not have. [OPT-03 to OPT-06] */
function valueOf(state: SanState, socket: SanSocket, level: number, option: number): number | null {
  if (level !== ws.SOL_SOCKET) return null;
  switch (option) {
    case ws.SO_MAX_MSG_SIZE:
    case SO_MAX_RDMA_SIZE:
      return state.nic.attributes.maxMessageBytes;
    case SO_RDMA_THRESHOLD_SIZE:
      return state.rdmaThresholdBytes;
    case ws.SO_DEBUG:
      return socket.debug ? 1 : 0;
    default:
      return null;
  }
}
