// WSPConnect and how it ends. Never blocks: the outcome travels as FD_CONNECT. The other end is
// listen.ts and accept.ts. Sources: CONNECT, EVT-03.

import type { NicEvent } from '../nic/device.js';
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
import { attach, createQueuePair, nameConnection } from './connection.js';
import {
  introduced,
  introduction,
  newIdentity,
  NO_PRIVATE_DATA,
  Purpose,
} from './duplicate-identity.js';
import { recordConnect } from './events.js';
import type { SanSocket } from './record.js';
import { connectionKey } from './record.js';
import type { SanState } from './state.js';

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
  // Not final: TCP/IP does not need this NIC. [CONNECT-09]
  if (state.isRemoved) return fail(lpErrno, wsa.WSAENETDOWN);
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
  socket.identity = newIdentity();
  const privateData = introduction(Purpose.CONNECT, socket.identity);
  queuePair.connect(address, port, socket.localPort, privateData);
  return fail(lpErrno, wsa.WSAEWOULDBLOCK);
}

/** What the accepting side says, and whose NIC it has. */
type Answer = Pick<Extract<NicEvent, { type: 'established' }>, 'privateData' | 'remoteAddress'>;

/** The NIC says how the attempt ended: 0, or the error. [CONNECT-03] */
export function connectEnded(
  state: SanState,
  socket: SanSocket | undefined,
  error: number,
  answer: Answer | null = null,
): void {
  // An accepted socket is connected already; a closed one has nobody to tell.
  if (socket?.state !== 'connecting') return;
  socket.state = error === 0 ? 'connected' : 'failed';
  // Not the address that was asked when the listener has moved. [DUP-14]
  if (answer !== null) socket.peerAddress = answer.remoteAddress;
  const privateData = answer?.privateData ?? NO_PRIVATE_DATA;
  const { identity } = socket;
  // The acceptor repeats the name if it can wait for a peer that moves, or has waited for this one.
  const named = introduced(Purpose.CONNECT, privateData) ?? introduced(Purpose.RESUME, privateData);
  if (identity !== null && named === identity) {
    nameConnection(state, socket, identity);
  } else socket.identity = null;
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
