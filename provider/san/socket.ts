// Sockets from their record to the last upcall: binding, closing; WSPSocket itself is create.ts. A
// queue pair comes only with a connection (connect.ts), so a socket that never connects costs the NIC
// nothing.
// Sources: SOCKET, BIND, CLOSESOCK, COMP-05 to COMP-08, CLOSE-01 to CLOSE-04.

import * as wsa from '../spi/error-codes.js';
import { SOCKADDR_IN_BYTES } from '../spi/sockaddr.js';
import { sockaddrFamily, sockaddrInAddress, sockaddrPort } from '../spi/sockaddr.js';
import type { Ref } from '../spi/winsock2.js';
import * as ws from '../spi/winsock2.js';
import { fail } from '../spi/ws2spi.js';
import { giveUpIfFinished, releaseHeldFlushes } from './completion.js';
import { forgetParking } from './duplicate-peer.js';
import { stopListening } from './listen.js';
import { releaseIdleMemory } from './pinned-memory.js';
import { connectionKey, SanSocket } from './record.js';
import type { SanState } from './state.js';

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
  const isNics = address === state.nic.attributes.address && !state.isRemoved;
  const isOurs = address === ws.INADDR_ANY || isNics;
  // TCP/IP has chosen the port already; none is not an address. [COMP-08]
  if (!isOurs || port === 0) return fail(lpErrno, wsa.WSAEADDRNOTAVAIL);
  socket.localAddress = address;
  socket.localPort = port;
  socket.state = 'bound';
  return 0;
}

/** Ends everything at once; what is pending is told later. [CLOSESOCK-01 to -03, CONNECT-07] */
export function wspCloseSocket(state: SanState, s: number, lpErrno: Ref<number>): number {
  const socket = state.sockets.findToClose(s);
  if (socket === null) return fail(lpErrno, wsa.WSAENOTSOCK);
  state.sockets.remove(socket);
  state.closing.add(socket);
  if (socket.state === 'listening') stopListening(state, socket);
  const isHandedOver = socket.state === 'handed-over';
  socket.state = 'closed';
  if (socket.queuePair === null || isHandedOver) giveUpIfFinished(state, socket);
  else endConnection(state, socket, 'ending');
  return 0;
}

/** Ends the connection of a socket that is closed or handed over, and lets go of its memory. */
export function endConnection(
  state: SanState,
  socket: SanSocket,
  intent: 'ending' | 'moving',
): void {
  state.connections.delete(
    connectionKey(socket.localPort, socket.remoteAddress, socket.remotePort),
  );
  if (socket.identity !== null) {
    state.identities.delete(socket.identity);
    forgetParking(state, socket);
  }
  // The queue pair first: from here on nothing moves, so the memory may go.
  socket.queuePair?.destroy(intent);
  releaseIdleMemory(state, socket);
  releaseHeldFlushes(state, socket);
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
  socket.queuePairsHeld--;
  giveUpIfFinished(state, socket);
}
