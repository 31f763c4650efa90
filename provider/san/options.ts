// WSPGetSockOpt and WSPSetSockOpt. The options are few: the rest is the switch's and TCP/IP's business.
// Sources: OPT-01 to OPT-10, GETOPT, SETOPT.

import * as wsa from '../spi/error-codes.js';
import type { Ref } from '../spi/winsock2.js';
import * as ws from '../spi/winsock2.js';
import { SO_MAX_RDMA_SIZE, SO_RDMA_THRESHOLD_SIZE } from '../spi/ws2san.js';
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

function isLevel(level: number): boolean {
  return level === ws.SOL_SOCKET || level === ws.IPPROTO_TCP;
}

/** null for an option that this provider does not have. [OPT-03 to OPT-06] */
function valueOf(state: SanState, socket: SanSocket, level: number, option: number): number | null {
  if (level !== ws.SOL_SOCKET) return null;
  switch (option) {
    case ws.SO_MAX_MSG_SIZE:
      return state.maxMessageBytes;
    case SO_MAX_RDMA_SIZE:
      return state.maxRdmaBytes;
    case SO_RDMA_THRESHOLD_SIZE:
      return state.rdmaThresholdBytes;
    case ws.SO_DEBUG:
      return socket.debug ? 1 : 0;
    default:
      return null;
  }
}
