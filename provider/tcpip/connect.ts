// Connect, listen and accept. A connect is nonblocking in the kernel and ends in finishConnect; a
// blocking caller waits for that. It must not know how data moves.
// Sources: W10.6, W10.7, W10.10, W15.9; ACCEPT-03 to -10, LISTEN-01 to -05.

import { errno } from '../../native/errors.js';
import { native } from '../../native/load.js';
import * as wsa from '../spi/errors.js';
import { SOCKADDR_IN_BYTES, sockaddrPort } from '../spi/sockaddr.js';
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
import { failSocket, KernelSocket } from './record.js';
import type { AcceptedConnection, Context } from './record.js';
import {
  connectError,
  LINUX,
  sockaddrBytes,
  toLinuxSockaddr,
  wsaErrorOfErrno,
} from './translate.js';

// Connect -------------------------------------------------------------------------------------------

function connectStateError(socket: KernelSocket): number {
  if (socket.message !== null) return 0;
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
export function finishConnect(context: Context, socket: KernelSocket): void {
  const number = takeSocketError(socket.fd);
  endConnect(context, socket, number === 0 ? 0 : connectError(number));
}

function endConnect(context: Context, socket: KernelSocket, error: number): void {
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
function bindForConnect(context: Context, socket: KernelSocket, target: Uint8Array): number {
  if (socket.localName !== null) return 0;
  const source = toLinuxSockaddr(sourceName(context.kernel.hostAddress, target));
  const result = native.socketBind(socket.fd, source, source.length);
  if (result < 0) return wsaErrorOfErrno(result);
  const port = sockaddrPort(kernelLocalName(socket.fd) ?? source);
  socket.localName = wildcardName(socket.family, port);
  return 0;
}

function startConnect(socket: KernelSocket, target: Uint8Array): number {
  const name = toLinuxSockaddr(target);
  const result = native.socketConnect(socket.fd, name, name.length);
  // After a failed attempt the kernel reports the failure once more before it tries again.
  const isLeftover = result === -errno.ECONNABORTED && (socket.connectOutcome ?? 0) !== 0;
  return isLeftover ? native.socketConnect(socket.fd, name, name.length) : result;
}

/**
 * The default peer of a message socket; may be set again. Whether it is a broadcast address shows when
 * the kernel refuses it without SO_BROADCAST; Windows refuses the sends instead. [W4.1, W4.20]
 */
function setDefaultPeer(context: Context, socket: KernelSocket, target: Uint8Array): number {
  const { fd, message } = socket;
  const name = toLinuxSockaddr(target);
  const kernel = kernelLocalName(fd);
  const local = socket.localName;
  if (socket.type === ws.SOCK_RAW) name.fill(0, 2, 4);
  setFlag(fd, LINUX.SO_BROADCAST, false);
  let result = native.socketConnect(fd, name, name.length);
  const isBroadcast = result === -errno.EACCES;
  if (isBroadcast) {
    setFlag(fd, LINUX.SO_BROADCAST, true);
    result = native.socketConnect(fd, name, name.length);
  }
  setFlag(fd, LINUX.SO_BROADCAST, message?.isBroadcastAllowed === true);
  if (result < 0) return connectError(result);
  if (message !== null) {
    message.isPeerBroadcast = isBroadcast;
    if (kernel !== null && local !== null) {
      message.unconnectedNames ??= { kernel: toLinuxSockaddr(kernel), local };
    }
  }
  socket.state = 'connected';
  socket.peerName = target.slice(0, sockaddrBytes(socket.family));
  socket.localName = kernelLocalName(fd) ?? socket.localName;
  evaluate(context, socket);
  return 0;
}

/** An address of zeros takes the default peer away. */
function forgetDefaultPeer(socket: KernelSocket): number {
  const { fd, message } = socket;
  if (message === null || message.unconnectedNames === null) return 0;
  const none = new Uint8Array(SOCKADDR_IN_BYTES);
  native.socketConnect(fd, none, none.length);
  // With the peer the kernel lets go of an address and a port that it chose itself.
  const { kernel, local } = message.unconnectedNames;
  native.socketBind(fd, kernel, kernel.length);
  message.unconnectedNames = null;
  socket.localName = local;
  socket.state = 'open';
  socket.peerName = null;
  return 0;
}

function createConnect(context: Context): LPWSPCONNECT {
  return (s, name, namelen, _callerData, _calleeData, _sqos, _gqos, lpErrno) => {
    const socket = context.table.find(s, lpErrno);
    if (socket === null) return ws.SOCKET_ERROR;
    const invalid = connectStateError(socket) || nameError(name, namelen, socket.family);
    if (invalid !== 0 || name === null) return fail(lpErrno, invalid);
    if (socket.message !== null && isWildcard(name) && sockaddrPort(name) === 0) {
      return forgetDefaultPeer(socket);
    }
    // Linux takes the wildcard for the loopback address. [W15.9]
    if (isWildcard(name) || sockaddrPort(name) === 0) return fail(lpErrno, wsa.WSAEADDRNOTAVAIL);
    const unbound = bindForConnect(context, socket, name);
    if (unbound !== 0) return fail(lpErrno, unbound);
    if (socket.message !== null) {
      const error = setDefaultPeer(context, socket, name);
      return error === 0 ? 0 : fail(lpErrno, error);
    }
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
    const waited = context.blocking.wait(() => socket.state !== 'connecting');
    if (waited !== 'done') return fail(lpErrno, wsa.WSAEINTR);
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
    if (socket.message !== null) return fail(lpErrno, wsa.WSAEOPNOTSUPP);
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
function takeConnection(socket: KernelSocket): AcceptedConnection | number {
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

function awaitConnection(context: Context, socket: KernelSocket): AcceptedConnection | number {
  for (;;) {
    const taken = takeConnection(socket);
    if (taken !== wsa.WSAEWOULDBLOCK || socket.isNonblocking) return taken;
    socket.acceptWaiterCount++;
    socket.isAcceptReady = false;
    updateInterest(context, socket);
    const waited = context.blocking.wait(
      () => socket.isAcceptReady || socket.state !== 'listening',
    );
    socket.acceptWaiterCount--;
    if (socket.state !== 'listening' || waited !== 'done') return wsa.WSAEINTR;
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

function adopt(context: Context, from: KernelSocket, connection: AcceptedConnection): KernelSocket {
  const { table, clock } = context;
  const { isOverlapped, family, type, protocol } = from;
  const { fd } = connection;
  const identity = { handle: table.newHandle(), fd, family, type, protocol, isOverlapped };
  const socket = new KernelSocket(identity, null);
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
    if (listener.message !== null) return failSocket(lpErrno, wsa.WSAEOPNOTSUPP);
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
