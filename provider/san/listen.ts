// WSPListen and the backlog: requests that wait for WSPAccept, as the NIC reports them. Never wakes
// anybody for a request that it refuses. Sources: LISTEN, LSN-02, LSN-04.

import type { NicEvent } from '../nic/device.js';
import { serviceKey } from '../nic/service.js';
import * as wsa from '../spi/error-codes.js';
import type { Ref } from '../spi/winsock2.js';
import { fail } from '../spi/ws2spi.js';
import { introduced, Purpose } from './duplicate-identity.js';
import { findMoved, forgetMoved, grantListener } from './duplicate-listener.js';
import { queueResume, RESUME_PORT, withdrawResume } from './duplicate-peer.js';
import { recordAccept } from './events.js';
import type { SanSocket } from './record.js';
import type { SanState } from './state.js';

/** What SOMAXCONN means, and the most that any backlog means. [LISTEN-03] */
const BACKLOG_MAX = 256;

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
  if (state.isRemoved) return fail(lpErrno, wsa.WSAENETDOWN);
  if (socket.state === 'bound') {
    const { address } = state.nic.attributes;
    // Whoever took an older listener of this port over has given it up: TCP/IP owns the port.
    forgetMoved(state, address, socket.localPort);
    // TCP/IP has said so before, where it owns the port. [docs/decisions/0013-a-port-in-use.md]
    if (!beginListening(state, socket, address)) return fail(lpErrno, wsa.WSAENOBUFS);
  }
  socket.backlog = Math.min(Math.max(backlog, 1), BACKLOG_MAX);
  for (const request of socket.requests.splice(socket.backlog)) state.nic.reject(request.requestId);
  return 0;
}

/**
 * From here on requests for the socket's port of `address` wait at it. False if another socket of this
 * NIC has them; `isListening` says that the NIC reports them already, and for this one.
 */
export function beginListening(
  state: SanState,
  socket: SanSocket,
  address: number,
  isListening = false,
): boolean {
  if (!isListening && !state.nic.listen(socket.localPort, address)) return false;
  state.listeners.set(serviceKey(address, socket.localPort), socket);
  socket.serviceAddress = address;
  socket.state = 'listening';
  return true;
}

/** A request came in: it waits, or is refused. */
export function queueRequest(
  state: SanState,
  event: Extract<NicEvent, { type: 'connect-request' }>,
): void {
  if (event.port === RESUME_PORT) {
    if (!grantListener(state, event)) queueResume(state, event);
    return;
  }
  if (state.isRemoved) return;
  const listener = state.listeners.get(serviceKey(event.address, event.port));
  const queue = listener ?? findMoved(state, event);
  if (queue === 'sent on') return;
  // A full backlog refuses without a word to the listener. [LISTEN-04]
  if (queue === null || queue.requests.length >= queue.backlog) {
    state.nic.reject(event.requestId);
    return;
  }
  const { requestId, remoteAddress, remotePort, privateData } = event;
  const named = introduced(Purpose.CONNECT, privateData);
  // A name that is taken is not another connection's: whoever gives it away twice gets no second one.
  const identity = named === null || state.identities.has(named) ? null : named;
  const of = queue;
  const request = { requestId, remoteAddress, remotePort, identity, of, withdrawn: false };
  queue.requests.push(request);
  state.pendingRequests.set(requestId, request);
  if (listener !== undefined) recordAccept(state, listener);
}

/** The requester gave up before anybody answered. */
export function withdrawRequest(state: SanState, port: number, requestId: number): void {
  if (port === RESUME_PORT) {
    withdrawResume(state, requestId);
    return;
  }
  const request = state.pendingRequests.get(requestId);
  if (request === undefined) return;
  request.withdrawn = true;
  state.pendingRequests.delete(requestId);
  const { of: queue } = request;
  queue.requests = queue.requests.filter((other) => other !== request);
}

/** The listener closes: the NIC rejects what waits. */
export function stopListening(state: SanState, socket: SanSocket): void {
  const { localPort, serviceAddress } = socket;
  state.listeners.delete(serviceKey(serviceAddress, localPort));
  for (const request of socket.requests) state.pendingRequests.delete(request.requestId);
  socket.requests = [];
  state.nic.unlisten(localPort, serviceAddress);
}
