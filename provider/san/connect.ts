// WSPConnect and how it ends. Never blocks: the outcome travels as FD_CONNECT. The other end is
// listen.ts and accept.ts. Sources: CONNECT, EVT-03.

import * as wsa from '../spi/error-codes.js';
import {
  SOCKADDR_IN_BYTES,
  sockaddrFamily,
  sockaddrInAddress,
  sockaddrPort,
} from '../spi/sockaddr.js';
import type { Ref, WSABUF } from '../spi/winsock2.js';
import * as ws from '../spi/winsock2.js';
import { fail } from '../spi/ws2spi.js';
import { attach, createQueuePair } from './connection.js';
import { recordConnect } from './events.js';
import type { SanSocket } from './record.js';
import { connectionKey } from './record.js';
import type { SanState } from './state.js';

const NO_PRIVATE_DATA = new Uint8Array(0);

/** Starts connecting: WSAEWOULDBLOCK, or why it cannot be tried. [CONNECT-01 to -12] */
export function wspConnect(
  state: SanState,
  s: number,
  name: Uint8Array | null,
  namelen: number,
  lpCallerData: WSABUF | null,
  _lpCalleeData: WSABUF | null,
  _lpSQOS: ws.QOS | null,
  _lpGQOS: ws.QOS | null,
  lpErrno: Ref<number>,
): number {
  const socket = state.sockets.find(s);
  if (socket === null) return fail(lpErrno, wsa.WSAENOTSOCK);
  if (name === null || !(Math.min(namelen, name.length) >= SOCKADDR_IN_BYTES)) {
    return fail(lpErrno, wsa.WSAEFAULT);
  }
  if (sockaddrFamily(name) !== ws.AF_INET) return fail(lpErrno, wsa.WSAEAFNOSUPPORT);
  if (lpCallerData !== null) return fail(lpErrno, wsa.WSAEINVAL);
  const problem = connectRefusal(socket);
  if (problem !== 0) return fail(lpErrno, problem);
  const address = sockaddrInAddress(name);
  const port = sockaddrPort(name);
  // The NIC does not connect to itself; TCP/IP does. [CONNECT-12]
  if (address === 0 || port === 0 || address === state.nic.attributes.address) {
    return fail(lpErrno, wsa.WSAEADDRNOTAVAIL);
  }
  if (state.connections.has(connectionKey(socket.localPort, address, port))) {
    return fail(lpErrno, wsa.WSAEADDRINUSE);
  }
  const queuePair = createQueuePair(state);
  if (queuePair === null) return fail(lpErrno, wsa.WSAENOBUFS);
  socket.state = 'connecting';
  attach(state, socket, queuePair, { address, port });
  queuePair.connect(address, port, socket.localPort, NO_PRIVATE_DATA);
  return fail(lpErrno, wsa.WSAEWOULDBLOCK);
}

/** The NIC says how the attempt ended: 0, or the error. [CONNECT-03] */
export function connectEnded(state: SanState, socket: SanSocket | undefined, error: number): void {
  // An accepted socket is connected already; a closed one has nobody to tell.
  if (socket?.state !== 'connecting') return;
  socket.state = error === 0 ? 'connected' : 'failed';
  recordConnect(state, socket, error);
}

function connectRefusal(socket: SanSocket): number {
  switch (socket.state) {
    case 'bound':
      return 0;
    case 'connecting':
      return wsa.WSAEALREADY;
    case 'connected':
      return wsa.WSAEISCONN;
    default:
      return wsa.WSAEINVAL;
  }
}
