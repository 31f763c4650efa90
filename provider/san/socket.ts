// Sockets from WSPSocket to the last upcall: creation, binding, closing. A queue pair comes only with
// a connection (connect.ts), so a socket that never connects costs the NIC nothing.
// Sources: SOCKET, BIND, CLOSESOCK, COMP-05 to COMP-08, CLOSE-01 to CLOSE-04.

import * as wsa from '../spi/error-codes.js';
import { SOCKADDR_IN_BYTES } from '../spi/sockaddr.js';
import { sockaddrFamily, sockaddrInAddress, sockaddrPort } from '../spi/sockaddr.js';
import type { Ref, WSAPROTOCOL_INFO } from '../spi/winsock2.js';
import * as ws from '../spi/winsock2.js';
import { fail } from '../spi/ws2spi.js';
import { giveUpIfFinished, releaseHeldFlushes } from './completion.js';
import { stopListening } from './listen.js';
import { releaseIdleMemory } from './pinned-memory.js';
import { connectionKey, SanSocket } from './record.js';
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
  const problem = socketRefusal(state, { af, type, protocol, g, dwFlags, info: lpProtocolInfo });
  const socket = problem === 0 ? addSocket(state) : problem;
  if (socket instanceof SanSocket) return socket.descriptor;
  lpErrno.value = socket;
  return ws.INVALID_SOCKET;
}

/** Any port goes: ports are TCP/IP's. Any address that is ours, or 0.0.0.0. [BIND-01 to -04] */
export function wspBind(
  state: SanState,
  s: number,
  name: Uint8Array | null,
  namelen: number,
  lpErrno: Ref<number>,
): number {
  const socket = state.sockets.find(s);
  if (socket === null) return fail(lpErrno, wsa.WSAENOTSOCK);
  const isAddress =
    name !== null &&
    Math.min(namelen, name.length) >= SOCKADDR_IN_BYTES &&
    sockaddrFamily(name) === ws.AF_INET;
  if (!isAddress) return fail(lpErrno, wsa.WSAEFAULT);
  if (socket.state !== 'created') return fail(lpErrno, wsa.WSAEINVAL);
  const address = sockaddrInAddress(name);
  const port = sockaddrPort(name);
  const isOurs = address === ws.INADDR_ANY || address === state.nic.attributes.address;
  // TCP/IP has chosen the port already; none is not an address. [COMP-08]
  if (!isOurs || port === 0) return fail(lpErrno, wsa.WSAEADDRNOTAVAIL);
  socket.localAddress = address;
  socket.localPort = port;
  socket.state = 'bound';
  return 0;
}

/** Ends everything at once; what is pending is told later. [CLOSESOCK-01 to -03, CONNECT-07] */
export function wspCloseSocket(state: SanState, s: number, lpErrno: Ref<number>): number {
  const socket = state.sockets.find(s);
  if (socket === null) return fail(lpErrno, wsa.WSAENOTSOCK);
  state.sockets.remove(socket);
  state.closing.add(socket);
  if (socket.state === 'listening') stopListening(state, socket);
  socket.state = 'closed';
  const { queuePair } = socket;
  if (queuePair === null) {
    giveUpIfFinished(state, socket);
    return 0;
  }
  state.connections.delete(
    connectionKey(socket.localPort, socket.remoteAddress, socket.remotePort),
  );
  // The queue pair first: from here on nothing moves, so the memory may go.
  queuePair.destroy();
  releaseIdleMemory(state, socket);
  releaseHeldFlushes(state, socket);
  return 0;
}

/** A new socket in the table, with the switch's handle; or the error of the upcall. [SOCKET-03] */
export function addSocket(state: SanState): SanSocket | number {
  const { errno, profile, random, sockets, upcalls } = state;
  if (upcalls === null) return wsa.WSANOTINITIALISED;
  const descriptor = sockets.newDescriptor(profile.oddHandles ? random : null);
  const handle = upcalls.lpWPUCreateSocketHandle(0, descriptor, errno);
  if (handle === ws.INVALID_SOCKET) return errno.value;
  const socket = new SanSocket(descriptor, handle, random, profile);
  sockets.add(socket);
  return socket;
}

/** The NIC has let go of a queue pair, and all its completions were taken. [CLOSE-03] */
export function queuePairDestroyed(state: SanState, slot: number): void {
  const socket = state.byQueuePair[slot];
  if (socket === undefined) return;
  state.byQueuePair[slot] = undefined;
  socket.isQueuePairGone = true;
  giveUpIfFinished(state, socket);
}

function socketRefusal(
  state: SanState,
  asked: {
    readonly af: number;
    readonly type: number;
    readonly protocol: number;
    readonly g: number;
    readonly dwFlags: number;
    readonly info: WSAPROTOCOL_INFO | null;
  },
): number {
  if (state.upcalls === null) return wsa.WSANOTINITIALISED;
  if (asked.af !== ws.AF_INET) return wsa.WSAEAFNOSUPPORT;
  if (asked.type !== ws.SOCK_STREAM) return wsa.WSAESOCKTNOSUPPORT;
  if (asked.protocol === ws.IPPROTO_UDP) return wsa.WSAEPROTOTYPE;
  if (asked.protocol !== ws.IPPROTO_TCP) return wsa.WSAEPROTONOSUPPORT;
  if (asked.g !== 0 || asked.dwFlags !== ws.WSA_FLAG_OVERLAPPED) return wsa.WSAEINVAL;
  // Only WSPDuplicateSocket gives such a value out, and ours gives none. [SOCKET-04]
  return (asked.info?.dwProviderReserved ?? 0) === 0 ? 0 : wsa.WSAEINVAL;
}
