// Connect, listen and accept. A connect is nonblocking in the kernel and ends in finishConnect; a
// blocking caller waits for that. It must not know how data moves.
// Sources: W10.6, W10.7, W10.10, W15.9; ACCEPT-03 to -10, LISTEN-01 to -05.

import { errno } from '../../native/errors.js';
import { native } from '../../native/load.js';
import * as wsa from '../spi/errors.js';
import { sockaddrPort } from '../spi/sockaddr.js';
import { fail } from '../spi/ws2spi.js';
import type { LPWSPACCEPT, LPWSPCONNECT, LPWSPLISTEN } from '../spi/ws2spi.js';
import * as ws from '../spi/winsock2.js';
import {
  evaluate,
  inheritSelection,
  raiseConnected,
  reenableAccept,
  reenableConnect,
} from './events.js';
import { updateInterest } from './interest.js';
import {
  isWildcard,
  kernelLocalName,
  kernelPeerName,
  nameError,
  sourceName,
  wildcardName,
} from './naming.js';
import { setFlag, takeSocketError } from './kernel-option.js';
import { failSocket, TcpSocket } from './record.js';
import type { AcceptedConnection, Context } from './record.js';
import {
  connectError,
  LINUX,
  sockaddrBytes,
  toLinuxSockaddr,
  wsaErrorOfErrno,
} from './translate.js';

// Connect -------------------------------------------------------------------------------------------

function connectStateError(socket: TcpSocket): number {
  switch (socket.state) {
    case 'listening':
      return wsa.WSAEINVAL;
    case 'connecting':
      return wsa.WSAEALREADY;
    case 'connected':
      return wsa.WSAEISCONN;
    default:
      return 0;
  }
}

/** Takes over the outcome that the kernel has reached. Called when the descriptor is writable. */
export function finishConnect(context: Context, socket: TcpSocket): void {
  const number = takeSocketError(socket.fd);
  endConnect(context, socket, number === 0 ? 0 : connectError(number));
}

function endConnect(context: Context, socket: TcpSocket, error: number): void {
  socket.connectOutcome = error;
  socket.pendingError = error;
  socket.state = error === 0 ? 'connected' : 'open';
  if (error === 0) {
    socket.localName = kernelLocalName(socket.fd) ?? socket.localName;
    socket.peerName = kernelPeerName(socket.fd) ?? socket.peerName;
    socket.connectedAt = context.clock.now();
  }
  raiseConnected(context, socket);
  updateInterest(context, socket);
}

/** Binds a socket that the application left unbound. 0 or the error. */
function bindForConnect(context: Context, socket: TcpSocket, target: Uint8Array): number {
  if (socket.localName !== null) return 0;
  const source = toLinuxSockaddr(sourceName(context.kernel.hostAddress, target));
  const result = native.socketBind(socket.fd, source, source.length);
  if (result < 0) return wsaErrorOfErrno(result);
  const port = sockaddrPort(kernelLocalName(socket.fd) ?? source);
  socket.localName = wildcardName(socket.family, port);
  return 0;
}

function startConnect(socket: TcpSocket, target: Uint8Array): number {
  const name = toLinuxSockaddr(target);
  const result = native.socketConnect(socket.fd, name, name.length);
  // After a failed attempt the kernel reports the failure once more before it tries again.
  const isLeftover = result === -errno.ECONNABORTED && (socket.connectOutcome ?? 0) !== 0;
  return isLeftover ? native.socketConnect(socket.fd, name, name.length) : result;
}

function createConnect(context: Context): LPWSPCONNECT {
  return (s, name, namelen, _callerData, _calleeData, _sqos, _gqos, lpErrno) => {
    const socket = context.table.find(s, lpErrno);
    if (socket === null) return ws.SOCKET_ERROR;
    const invalid = connectStateError(socket) || nameError(name, namelen, socket.family);
    if (invalid !== 0 || name === null) return fail(lpErrno, invalid);
    // Linux takes the wildcard for the loopback address. [W15.9]
    if (isWildcard(name) || sockaddrPort(name) === 0) return fail(lpErrno, wsa.WSAEADDRNOTAVAIL);
    const unbound = bindForConnect(context, socket, name);
    if (unbound !== 0) return fail(lpErrno, unbound);
    const result = startConnect(socket, name);
    reenableConnect(socket);
    socket.peerName = name.slice(0, sockaddrBytes(socket.family));
    if (result !== -errno.EINPROGRESS) {
      const error = result < 0 ? connectError(result) : 0;
      endConnect(context, socket, error);
      return error === 0 ? 0 : fail(lpErrno, error);
    }
    socket.state = 'connecting';
    socket.connectOutcome = null;
    updateInterest(context, socket);
    if (socket.isNonblocking) return fail(lpErrno, wsa.WSAEWOULDBLOCK);
    context.kernel.blocking.waitUntil(() => socket.state !== 'connecting');
    const outcome = socket.connectOutcome as number | null;
    // null: closed while it waited.
    return outcome === 0 ? 0 : fail(lpErrno, outcome ?? wsa.WSAEINTR);
  };
}

// Listen --------------------------------------------------------------------------------------------

function createListen(context: Context): LPWSPLISTEN {
  return (s, backlog, lpErrno) => {
    const socket = context.table.find(s, lpErrno);
    if (socket === null) return ws.SOCKET_ERROR;
    if (socket.state === 'connected' || socket.state === 'connecting') {
      return fail(lpErrno, wsa.WSAEISCONN);
    }
    if (socket.localName === null) return fail(lpErrno, wsa.WSAEINVAL);
    // From here on the port is free for others as soon as nobody listens on it, whatever is left of
    // earlier connections (docs/decisions/0002-host-addresses.md).
    if (!socket.options.exclusiveAddressUse) setFlag(socket.fd, LINUX.SO_REUSEADDR, true);
    const result = native.socketListen(socket.fd, Math.max(1, backlog));
    if (result < 0) {
      setFlag(socket.fd, LINUX.SO_REUSEADDR, socket.options.reuseAddress);
      return fail(lpErrno, wsaErrorOfErrno(result));
    }
    socket.state = 'listening';
    evaluate(context, socket);
    return 0;
  };
}

// Accept --------------------------------------------------------------------------------------------

/** The oldest connection that waits; WSAEWOULDBLOCK or another error when there is none. */
function takeConnection(socket: TcpSocket): AcceptedConnection | number {
  const deferred = socket.deferred.shift();
  if (deferred !== undefined) return deferred;
  const none = new Uint8Array(0);
  for (;;) {
    const fd = native.socketAccept(socket.fd, none);
    // A connection that broke while it waited is nobody's.
    if (fd === -errno.ECONNABORTED) continue;
    if (fd < 0) return wsaErrorOfErrno(fd);
    const peerName = kernelPeerName(fd);
    const localName = kernelLocalName(fd);
    if (peerName !== null && localName !== null) return { fd, peerName, localName };
    native.closeDescriptor(fd);
  }
}

function awaitConnection(context: Context, socket: TcpSocket): AcceptedConnection | number {
  for (;;) {
    const taken = takeConnection(socket);
    if (taken !== wsa.WSAEWOULDBLOCK || socket.isNonblocking) return taken;
    socket.acceptWaiterCount++;
    socket.isAcceptReady = false;
    updateInterest(context, socket);
    context.kernel.blocking.waitUntil(() => socket.isAcceptReady || socket.state !== 'listening');
    socket.acceptWaiterCount--;
    if (socket.state !== 'listening') return wsa.WSAEINTR;
    updateInterest(context, socket);
  }
}

/** Resets a connection that was accepted by the kernel and is not wanted. */
export function refuse(connection: AcceptedConnection): void {
  const abortive = Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0);
  const { fd } = connection;
  native.socketSetOption(fd, LINUX.SOL_SOCKET, LINUX.SO_LINGER, abortive, abortive.length);
  native.closeDescriptor(fd);
}

function decide(
  connection: AcceptedConnection,
  condition: ws.LPCONDITIONPROC | null,
  callbackData: ws.DWORD_PTR,
): number {
  if (condition === null) return ws.CF_ACCEPT;
  const { peerName, localName } = connection;
  const caller = { len: peerName.length, buf: peerName.slice() };
  const callee = { len: localName.length, buf: localName.slice() };
  return condition(caller, null, null, null, callee, null, ws.ref(0), callbackData);
}

function adopt(context: Context, from: TcpSocket, connection: AcceptedConnection): TcpSocket {
  const { table, clock } = context;
  const { isOverlapped, family } = from;
  const handle = table.newHandle();
  const socket = new TcpSocket({ handle, fd: connection.fd, family, isOverlapped });
  socket.state = 'connected';
  socket.isNonblocking = from.isNonblocking;
  socket.localName = connection.localName;
  socket.peerName = connection.peerName;
  socket.connectedAt = clock.now();
  socket.options = Object.assign(socket.options, from.options);
  inheritSelection(from, socket);
  table.add(socket);
  evaluate(context, socket);
  return socket;
}

function createAccept(context: Context): LPWSPACCEPT {
  return (s, addr, addrlen, condition, callbackData, lpErrno) => {
    const listener = context.table.find(s, lpErrno);
    if (listener === null) return ws.INVALID_SOCKET;
    if (listener.state !== 'listening') return failSocket(lpErrno, wsa.WSAEINVAL);
    const isTooShort =
      addr !== null &&
      (addrlen === null || Math.min(addrlen.value, addr.length) < sockaddrBytes(listener.family));
    if (isTooShort) return failSocket(lpErrno, wsa.WSAEFAULT);
    const connection = awaitConnection(context, listener);
    if (typeof connection === 'number') {
      if (listener.state === 'listening') reenableAccept(context, listener);
      return failSocket(lpErrno, connection);
    }
    const decision = decide(connection, condition, callbackData);
    if (listener.state !== 'listening') {
      refuse(connection);
      return failSocket(lpErrno, wsa.WSAENOTSOCK);
    }
    if (decision === ws.CF_DEFER) {
      listener.deferred.unshift(connection);
      return failSocket(lpErrno, wsa.WSATRY_AGAIN);
    }
    reenableAccept(context, listener);
    if (decision !== ws.CF_ACCEPT) {
      refuse(connection);
      const isRejected = decision === ws.CF_REJECT;
      return failSocket(lpErrno, isRejected ? wsa.WSAECONNREFUSED : wsa.WSAEINVAL);
    }
    const socket = adopt(context, listener, connection);
    if (addr !== null && addrlen !== null) {
      addr.set(connection.peerName);
      addrlen.value = connection.peerName.length;
    }
    return socket.handle;
  };
}

export function createConnectionFunctions(context: Context): {
  connect: LPWSPCONNECT;
  listen: LPWSPLISTEN;
  accept: LPWSPACCEPT;
} {
  return {
    connect: createConnect(context),
    listen: createListen(context),
    accept: createAccept(context),
  };
}
