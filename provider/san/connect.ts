// Making connections, from both ends: WSPConnect, WSPListen, WSPAccept with its condition function,
// and what the NIC reports about them. Never blocks: outcomes travel as FD_CONNECT and FD_ACCEPT.
// Sources: CONNECT, LISTEN, ACCEPT, EVT-03.

import type { NicEvent, QueuePair } from '../nic/device.js';
import type { ConnectFailure, DisconnectReason } from '../nic/verbs.js';
import * as wsa from '../spi/error-codes.js';
import {
  SOCKADDR_IN_BYTES,
  sockaddrFamily,
  sockaddrIn,
  sockaddrInAddress,
  sockaddrPort,
  writeSockaddrIn,
} from '../spi/sockaddr.js';
import type { DWORD_PTR, LPCONDITIONPROC, Ref, WSABUF } from '../spi/winsock2.js';
import * as ws from '../spi/winsock2.js';
import { fail } from '../spi/ws2spi.js';
import { connectionLost } from './completion.js';
import { recordAccept, recordConnect, resetAccept } from './events.js';
import type { PendingRequest, SanSocket } from './record.js';
import { connectionKey } from './record.js';
import { addSocket } from './socket.js';
import type { SanState } from './state.js';

/**
 * What FD_CONNECT says. Three codes are final: they promise that TCP/IP would fail too, and the
 * switch gives up on them. Everything else lets it try TCP/IP. [CONNECT-04, CONNECT-05;
 * docs/decisions/0004-final-connect-errors.md]
 */
const CONNECT_ERROR: Readonly<Record<ConnectFailure, number>> = {
  // The host's NIC answered for a port that its TCP/IP would have had a listener on too, since a
  // SAN listener never exists without one (LSN-01): final.
  'no-listener': wsa.WSAECONNRESET,
  // Somebody listens there and said no, or has no room: final. [CONNECT-06]
  rejected: wsa.WSAECONNREFUSED,
  // No NIC at that address; a host without one may still answer by TCP/IP: not final.
  unreachable: wsa.WSAETIMEDOUT,
  // Nothing answered: no promise about TCP/IP either.
  timeout: wsa.WSAETIMEDOUT,
  // This side ended the attempt, which only WSPCloseSocket does: nobody is there to read it.
  aborted: wsa.WSA_OPERATION_ABORTED,
};

/** What every transfer after the end of the connection fails with. [CLOSE-07, WSPSEND-12] */
const DISCONNECT_ERROR: Readonly<Record<DisconnectReason, number>> = {
  'peer-disconnected': wsa.WSAECONNRESET,
  'peer-died': wsa.WSAECONNRESET,
  error: wsa.WSAECONNABORTED,
  // "Ordinary connection failure": of this side, so not a reset. [ERR-04]
  'device-removed': wsa.WSAECONNABORTED,
};

/** What SOMAXCONN means, and the most that any backlog means. [LISTEN-03] */
export const BACKLOG_MAX = 256;

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

/** Queues requests from now on, or changes how many. [LISTEN-01 to -05] */
export function wspListen(
  state: SanState,
  s: number,
  backlog: number,
  lpErrno: Ref<number>,
): number {
  const socket = state.sockets.find(s);
  if (socket === null) return fail(lpErrno, wsa.WSAENOTSOCK);
  if (socket.state === 'connecting' || socket.state === 'connected') {
    return fail(lpErrno, wsa.WSAEISCONN);
  }
  if (socket.state !== 'bound' && socket.state !== 'listening') {
    return fail(lpErrno, wsa.WSAEINVAL);
  }
  if (socket.state === 'bound') {
    // WSAEADDRINUSE is TCP/IP's to say (LISTEN-02); to the SAN the port is a resource in use.
    if (!state.nic.listen(socket.localPort)) return fail(lpErrno, wsa.WSAENOBUFS);
    state.listeners.set(socket.localPort, socket);
    socket.state = 'listening';
  }
  socket.backlog = Math.min(Math.max(backlog, 1), BACKLOG_MAX);
  for (const request of socket.requests.splice(socket.backlog)) state.nic.reject(request.requestId);
  return 0;
}

/** Takes the first request if the condition function wants it. [ACCEPT-01 to -10] */
export function wspAccept(
  state: SanState,
  s: number,
  addr: Uint8Array | null,
  addrlen: Ref<number> | null,
  lpfnCondition: LPCONDITIONPROC | null,
  dwCallbackData: DWORD_PTR,
  lpErrno: Ref<number>,
): number {
  const listener = state.sockets.find(s);
  if (listener === null) return noSocket(lpErrno, wsa.WSAENOTSOCK);
  if (listener.state !== 'listening') return noSocket(lpErrno, wsa.WSAEINVAL);
  if (addr !== null && !(Math.min(addrlen?.value ?? 0, addr.length) >= SOCKADDR_IN_BYTES)) {
    return noSocket(lpErrno, wsa.WSAEFAULT);
  }
  const request = listener.requests.shift();
  if (request === undefined) return noSocket(lpErrno, wsa.WSAEWOULDBLOCK);
  const answer = askCondition(state, listener, request, lpfnCondition, dwCallbackData);
  // The condition function is free to close the listener, which rejects every request of it.
  if (state.sockets.find(s) !== listener) return noSocket(lpErrno, wsa.WSAENOTSOCK);
  if (answer === ws.CF_DEFER && !request.withdrawn) {
    listener.requests.unshift(request);
    return noSocket(lpErrno, wsa.WSATRY_AGAIN);
  }
  resetAccept(state, listener);
  const accepted = carryOut(state, listener, request, answer);
  if (listener.requests.length > 0) recordAccept(state, listener);
  if (typeof accepted === 'number') return noSocket(lpErrno, accepted);
  if (addr !== null && addrlen !== null) {
    writeSockaddrIn(addr, request.remoteAddress, request.remotePort);
    addrlen.value = SOCKADDR_IN_BYTES;
  }
  return accepted.descriptor;
}

/** What the NIC reported about connections. 'destroyed' is the business of socket.ts. */
export function handleConnectionEvent(
  state: SanState,
  event: Exclude<NicEvent, { type: 'destroyed' }>,
): void {
  switch (event.type) {
    case 'connect-request':
      return queueRequest(state, event);
    case 'request-withdrawn':
      return withdrawRequest(state, event.port, event.requestId);
    case 'established':
      return connectEnded(state, state.byQueuePair[event.queuePair], 0);
    case 'connect-failed':
      return connectEnded(state, state.byQueuePair[event.queuePair], CONNECT_ERROR[event.reason]);
    case 'disconnected': {
      const socket = state.byQueuePair[event.queuePair];
      if (socket !== undefined) connectionLost(state, socket, DISCONNECT_ERROR[event.reason]);
    }
  }
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

function connectEnded(state: SanState, socket: SanSocket | undefined, error: number): void {
  // An accepted socket is connected already; a closed one has nobody to tell.
  if (socket?.state !== 'connecting') return;
  socket.state = error === 0 ? 'connected' : 'failed';
  recordConnect(state, socket, error);
}

function queueRequest(
  state: SanState,
  event: Extract<NicEvent, { type: 'connect-request' }>,
): void {
  const listener = state.listeners.get(event.port);
  // A full backlog refuses without a word to the listener. [LISTEN-04]
  if (listener === undefined || listener.requests.length >= listener.backlog) {
    state.nic.reject(event.requestId);
    return;
  }
  const { requestId, remoteAddress, remotePort } = event;
  const request = { requestId, remoteAddress, remotePort, withdrawn: false };
  listener.requests.push(request);
  state.pendingRequests.set(requestId, request);
  recordAccept(state, listener);
}

function withdrawRequest(state: SanState, port: number, requestId: number): void {
  const request = state.pendingRequests.get(requestId);
  if (request === undefined) return;
  request.withdrawn = true;
  state.pendingRequests.delete(requestId);
  const listener = state.listeners.get(port);
  if (listener === undefined) return;
  listener.requests = listener.requests.filter((other) => other !== request);
}

/** Called on this thread, before the peer hears anything. [ACCEPT-02, ACCEPT-03, ACCEPT-10] */
function askCondition(
  state: SanState,
  listener: SanSocket,
  request: PendingRequest,
  condition: LPCONDITIONPROC | null,
  callbackData: DWORD_PTR,
): number {
  if (condition === null) return ws.CF_ACCEPT;
  const caller = sockaddrIn(request.remoteAddress, request.remotePort);
  const callee = sockaddrIn(state.nic.attributes.address, listener.localPort);
  return condition(
    { len: caller.length, buf: caller },
    null,
    null,
    null,
    { len: callee.length, buf: callee },
    null,
    null,
    callbackData,
  );
}

/** An answer that means nothing is a refusal. [ACCEPT-05, ACCEPT-10] */
function carryOut(
  state: SanState,
  listener: SanSocket,
  request: PendingRequest,
  answer: number,
): SanSocket | number {
  if (request.withdrawn) return wsa.WSAEACCES;
  if (answer === ws.CF_ACCEPT) return acceptRequest(state, listener, request);
  return rejectRequest(state, request);
}

/** The accepted socket, or an error after which the peer was refused. [ACCEPT-04] */
function acceptRequest(
  state: SanState,
  listener: SanSocket,
  request: PendingRequest,
): SanSocket | number {
  const queuePair = createQueuePair(state);
  if (queuePair === null) {
    // To wait would end in the peer's timeout: to say no is quicker, and means the same.
    rejectRequest(state, request);
    return wsa.WSAENOBUFS;
  }
  const socket = addSocket(state);
  if (typeof socket === 'number') {
    queuePair.destroy();
    rejectRequest(state, request);
    return socket;
  }
  state.pendingRequests.delete(request.requestId);
  // [ACCEPT-09]
  socket.localAddress = state.nic.attributes.address;
  socket.localPort = listener.localPort;
  socket.debug = listener.debug;
  socket.hEvent = listener.hEvent;
  socket.eventMask = listener.eventMask;
  socket.state = 'connected';
  const { remoteAddress: address, remotePort: port } = request;
  attach(state, socket, queuePair, { address, port });
  queuePair.accept(request.requestId, NO_PRIVATE_DATA);
  return socket;
}

function rejectRequest(state: SanState, request: PendingRequest): number {
  state.pendingRequests.delete(request.requestId);
  state.nic.reject(request.requestId);
  return wsa.WSAECONNREFUSED;
}

function createQueuePair(state: SanState): QueuePair | null {
  const { sendQueueDepth, receiveQueueDepth } = state.profile;
  return state.nic.createQueuePair({
    completionQueue: state.completionQueue,
    ...(sendQueueDepth === null ? {} : { sendDepth: powerOfTwoFrom(sendQueueDepth) }),
    ...(receiveQueueDepth === null ? {} : { receiveDepth: powerOfTwoFrom(receiveQueueDepth) }),
  });
}

function attach(
  state: SanState,
  socket: SanSocket,
  queuePair: QueuePair,
  remote: { readonly address: number; readonly port: number },
): void {
  socket.queuePair = queuePair;
  socket.isQueuePairGone = false;
  socket.remoteAddress = remote.address;
  socket.remotePort = remote.port;
  state.byQueuePair[queuePair.slot] = socket;
  state.connections.add(connectionKey(socket.localPort, remote.address, remote.port));
}

function powerOfTwoFrom(count: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(count, 1)));
}

function noSocket(lpErrno: Ref<number>, error: number): number {
  lpErrno.value = error;
  return ws.INVALID_SOCKET;
}
