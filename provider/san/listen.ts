// WSPListen and the backlog: requests that wait for WSPAccept, as the NIC reports them. Never wakes
// anybody for a request that it refuses. Sources: LISTEN, LSN-02, LSN-04.

import type { NicEvent } from '../nic/device.js';
import * as wsa from '../spi/error-codes.js';
import type { Ref } from '../spi/winsock2.js';
import { fail } from '../spi/ws2spi.js';
import { introduced, Purpose } from './duplicate-identity.js';
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
  if (socket.state === 'bound') {
    // TCP/IP has said so before, where it owns the port. [docs/decisions/0013-a-port-in-use.md]
    if (!state.nic.listen(socket.localPort)) return fail(lpErrno, wsa.WSAENOBUFS);
    state.listeners.set(socket.localPort, socket);
    socket.state = 'listening';
  }
  socket.backlog = Math.min(Math.max(backlog, 1), BACKLOG_MAX);
  for (const request of socket.requests.splice(socket.backlog)) state.nic.reject(request.requestId);
  return 0;
}

/** A request came in: it waits, or is refused. */
export function queueRequest(
  state: SanState,
  event: Extract<NicEvent, { type: 'connect-request' }>,
): void {
  if (event.port === RESUME_PORT) {
    queueResume(state, event);
    return;
  }
  const listener = state.listeners.get(event.port);
  // A full backlog refuses without a word to the listener. [LISTEN-04]
  if (listener === undefined || listener.requests.length >= listener.backlog) {
    state.nic.reject(event.requestId);
    return;
  }
  const { requestId, remoteAddress, remotePort, privateData } = event;
  const named = introduced(Purpose.CONNECT, privateData);
  // A name that is taken is not another connection's: whoever gives it away twice gets no second one.
  const identity = named === null || state.identities.has(named) ? null : named;
  const request = { requestId, remoteAddress, remotePort, identity, withdrawn: false };
  listener.requests.push(request);
  state.pendingRequests.set(requestId, request);
  recordAccept(state, listener);
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
  const listener = state.listeners.get(port);
  if (listener === undefined) return;
  listener.requests = listener.requests.filter((other) => other !== request);
}

/** The listener closes: the NIC rejects what waits. */
export function stopListening(state: SanState, socket: SanSocket): void {
  state.listeners.delete(socket.localPort);
  for (const request of socket.requests) state.pendingRequests.delete(request.requestId);
  socket.requests = [];
  state.nic.unlisten(socket.localPort);
}
