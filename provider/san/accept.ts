// WSPAccept: the first request of a listener, and what the condition function says to it, on the
// caller's thread and before the peer hears anything. Sources: ACCEPT, ACC-03, ACC-04, INST-11.

import * as wsa from '../spi/error-codes.js';
import { SOCKADDR_IN_BYTES, sockaddrIn, writeSockaddrIn } from '../spi/sockaddr.js';
import type { DWORD_PTR, LPCONDITIONPROC, Ref } from '../spi/winsock2.js';
import * as ws from '../spi/winsock2.js';
import { attach, createQueuePair, nameConnection } from './connection.js';
import { introduction, NO_PRIVATE_DATA, Purpose } from './duplicate-identity.js';
import { recordAccept, resetAccept } from './events.js';
import type { PendingRequest, SanSocket } from './record.js';
import { addSocket } from './socket.js';
import type { SanState } from './state.js';

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
  if (state.isRemoved) return noSocket(lpErrno, wsa.WSAENETDOWN);
  if (addr !== null && !(Math.min(addrlen?.value ?? 0, addr.length) >= SOCKADDR_IN_BYTES)) {
    return noSocket(lpErrno, wsa.WSAEFAULT);
  }
  const request = listener.requests.shift();
  if (request === undefined) return noSocket(lpErrno, wsa.WSAEWOULDBLOCK);
  const answer = askCondition(listener, request, lpfnCondition, dwCallbackData);
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

/** Called on this thread, before the peer hears anything. [ACCEPT-02, ACCEPT-03, ACCEPT-10] */
function askCondition(
  listener: SanSocket,
  request: PendingRequest,
  condition: LPCONDITIONPROC | null,
  callbackData: DWORD_PTR,
): number {
  if (condition === null) return ws.CF_ACCEPT;
  const caller = sockaddrIn(request.remoteAddress, request.remotePort);
  const callee = sockaddrIn(listener.serviceAddress, listener.localPort);
  listener.accepting++;
  const answer = condition(
    { len: caller.length, buf: caller },
    null,
    null,
    null,
    { len: callee.length, buf: callee },
    null,
    null,
    callbackData,
  );
  listener.accepting--;
  return answer;
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
  socket.localAddress = listener.serviceAddress;
  socket.localPort = listener.localPort;
  socket.debug = listener.debug;
  socket.hEvent = listener.hEvent;
  socket.eventMask = listener.eventMask;
  socket.state = 'connected';
  const { remoteAddress: address, remotePort: port } = request;
  attach(state, socket, queuePair, { address, port });
  const { identity } = request;
  if (identity !== null) nameConnection(state, socket, identity);
  const consent = identity === null ? NO_PRIVATE_DATA : introduction(Purpose.CONNECT, identity);
  queuePair.accept(request.requestId, consent);
  return socket;
}

function rejectRequest(state: SanState, request: PendingRequest): number {
  state.pendingRequests.delete(request.requestId);
  state.nic.reject(request.requestId);
  return wsa.WSAECONNREFUSED;
}

function noSocket(lpErrno: Ref<number>, error: number): number {
  lpErrno.value = error;
  return ws.INVALID_SOCKET;
}
