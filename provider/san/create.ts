// WSPSocket: a new socket, or one that goes on with a connection of another process.
// Sources: SOCKET, COMP-06, DUP-12.

import * as wsa from '../spi/error-codes.js';
import type { Ref, WSAPROTOCOL_INFO } from '../spi/winsock2.js';
import * as ws from '../spi/winsock2.js';
import { takeOver } from './duplicate-target.js';
import { SanSocket } from './record.js';
import { addSocket } from './socket.js';
import type { SanState } from './state.js';

/** The descriptor of a new socket, or INVALID_SOCKET. [SOCKET-01 to -05, COMP-06] */
export function wspSocket(
  state: SanState,
  af: number,
  type: number,
  protocol: number,
  lpProtocolInfo: WSAPROTOCOL_INFO | null,
  g: number,
  dwFlags: number,
  lpErrno: Ref<number>,
): number {
  const problem = socketRefusal(state, { af, type, protocol, g, dwFlags });
  const duplicate = lpProtocolInfo?.dwProviderReserved ?? 0;
  let socket: SanSocket | number = problem;
  // [SOCKET-04, DUP-12]
  if (problem === 0) socket = duplicate === 0 ? addSocket(state) : takeOver(state, duplicate);
  if (socket instanceof SanSocket) return socket.descriptor;
  lpErrno.value = socket;
  return ws.INVALID_SOCKET;
}

function socketRefusal(
  state: SanState,
  asked: {
    readonly af: number;
    readonly type: number;
    readonly protocol: number;
    readonly g: number;
    readonly dwFlags: number;
  },
): number {
  if (state.upcalls === null) return wsa.WSANOTINITIALISED;
  if (asked.af !== ws.AF_INET) return wsa.WSAEAFNOSUPPORT;
  if (asked.type !== ws.SOCK_STREAM) return wsa.WSAESOCKTNOSUPPORT;
  if (asked.protocol === ws.IPPROTO_UDP) return wsa.WSAEPROTOTYPE;
  if (asked.protocol !== ws.IPPROTO_TCP) return wsa.WSAEPROTONOSUPPORT;
  return asked.g !== 0 || asked.dwFlags !== ws.WSA_FLAG_OVERLAPPED ? wsa.WSAEINVAL : 0;
}
