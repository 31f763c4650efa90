// A listener that is handed over, in the three places that know of it: the provider that had it lets
// requests wait for the next one; the next one asks for them; the NIC whose address it is, and the one
// that had it last, send them on. Whoever asks for a connection follows by itself (docs/nic.md).
// Sources: DUP-14, DUP-16; docs/duplication.md.

import { seconds } from '../../runtime/clock.js';
import type { NicEvent } from '../nic/device.js';
import { createQueuePair } from './connection.js';
import { introduced, introduction, Purpose } from './duplicate-identity.js';
import type { MovedListener, SanSocket } from './record.js';
import type { SanState } from './state.js';

/** How long requests wait for somebody to take the listener; after that TCP/IP alone serves the port. */
export const LISTENER_WAIT_NANOS_MAX = seconds(30);

type ConnectRequest = Extract<NicEvent, { type: 'connect-request' }>;

/** From here on requests wait for the next process, which knows what the listener is called. */
export function letListenerGo(state: SanState, socket: SanSocket, identity: string): void {
  const moved: MovedListener = {
    address: socket.serviceAddress,
    port: socket.localPort,
    backlog: socket.backlog,
    requests: socket.requests.splice(0),
    waitsUntil: state.environment.clock.now() + LISTENER_WAIT_NANOS_MAX,
  };
  for (const request of moved.requests) request.of = moved;
  state.movedListeners.set(identity, moved);
}

/** Where a request waits that comes for a listener on its way; null where nobody knows of one. */
export function findMoved(
  state: SanState,
  event: ConnectRequest,
): MovedListener | 'sent on' | null {
  for (const moved of state.movedListeners.values()) {
    if (moved.port !== event.port || moved.address !== event.address) continue;
    if (moved.waitsUntil === null) return null;
    if (state.environment.clock.now() < moved.waitsUntil) return moved;
    // Nobody came: this request, and those after it, need not wait to be told to try TCP/IP.
    sendOn(state, moved, null);
    return 'sent on';
  }
  return null;
}

/** Gives the requests to whoever knows what the listener is called; whether that was asked for. */
export function grantListener(state: SanState, event: ConnectRequest): boolean {
  const identity = introduced(Purpose.LISTEN, event.privateData);
  if (identity === null) return false;
  const moved = state.movedListeners.get(identity);
  const queuePair = moved === undefined ? null : createQueuePair(state);
  if (moved === undefined || queuePair === null) {
    state.nic.reject(event.requestId);
    return true;
  }
  sendOn(state, moved, event.remoteAddress);
  // The consent is all there is to say.
  queuePair.accept(event.requestId, introduction(Purpose.LISTEN, identity));
  queuePair.destroy();
  return true;
}

/** The answer to a question of duplicate-target.ts; false for any other event. */
export function errandEnded(
  state: SanState,
  event: Extract<NicEvent, { type: 'established' | 'connect-failed' }>,
): boolean {
  const errand = state.errands.get(event.queuePair);
  if (errand === undefined) return false;
  errand.isGranted =
    event.type === 'established' &&
    introduced(Purpose.LISTEN, event.privateData) === errand.identity;
  return true;
}

/** The listener comes back: with what waits here for it, if nobody else has had it; whether so. */
export function takeWaiting(state: SanState, socket: SanSocket, identity: string): boolean {
  const moved = state.movedListeners.get(identity);
  if (moved === undefined) return false;
  state.movedListeners.delete(identity);
  socket.requests = moved.requests;
  for (const request of socket.requests) request.of = socket;
  return moved.waitsUntil !== null;
}

/** Somebody else listens on this port of `address` from now on. */
export function forgetMoved(state: SanState, address: number, port: number): void {
  for (const [identity, moved] of state.movedListeners) {
    if (moved.address !== address || moved.port !== port) continue;
    state.movedListeners.delete(identity);
    endMoved(state, moved);
  }
}

/** The provider ends. */
export function forgetAllMoved(state: SanState): void {
  for (const moved of state.movedListeners.values()) endMoved(state, moved);
  state.movedListeners.clear();
}

function endMoved(state: SanState, moved: MovedListener): void {
  dropRequests(state, moved);
  state.nic.unlisten(moved.port, moved.address);
}

function sendOn(state: SanState, moved: MovedListener, to: number | null): void {
  dropRequests(state, moved);
  moved.waitsUntil = null;
  state.nic.redirect?.(moved.port, to, moved.address);
}

function dropRequests(state: SanState, moved: MovedListener): void {
  for (const { requestId } of moved.requests) state.pendingRequests.delete(requestId);
  moved.requests = [];
}
