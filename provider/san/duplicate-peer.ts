// The peer of a connection that is handed over: parks it, and goes on when somebody who knows its
// identity asks to. The switch above never notices: its receives stay pending, and are posted again on
// the new queue pair in their order. Sources: DUP-15, DUP-18, S16; docs/duplication.md.

import { seconds } from '../../runtime/clock.js';
import type { NicEvent, QueuePair } from '../nic/device.js';
import { Opcode, PostResult } from '../nic/verbs.js';
import * as wsa from '../spi/error-codes.js';
import { connectionLost } from './completion.js';
import { createQueuePair } from './connection.js';
import { introduced, introduction, Purpose } from './duplicate-identity.js';
import { releaseRegistration } from './pinned-memory.js';
import type { ResumeRequest, SanSocket } from './record.js';
import type { SanState } from './state.js';

/** Where providers listen for those that go on with a connection. No socket can have it. */
export const RESUME_PORT = 0;
/** How long a connection waits for its peer to arrive; then it is reset. */
export const PARKED_NANOS_MAX = seconds(30);

/** The old end has let go, and says that a new one comes. */
export function peerMoves(state: SanState, socket: SanSocket): void {
  if (socket.state !== 'connected') return;
  if (socket.identity === null) {
    connectionLost(state, socket, wsa.WSAECONNRESET);
    return;
  }
  socket.parkedUntil = state.environment.clock.now() + PARKED_NANOS_MAX;
  state.parked.add(socket);
}

/** Somebody wants to go on with a connection; a stranger does not know what it is called. */
export function queueResume(
  state: SanState,
  event: Extract<NicEvent, { type: 'connect-request' }>,
): void {
  const { privateData, requestId, remoteAddress: address } = event;
  const identity = introduced(Purpose.RESUME, privateData);
  const socket = identity === null ? undefined : state.identities.get(identity);
  if (socket?.state !== 'connected' || socket.resumeRequest !== null) {
    state.nic.reject(requestId);
    return;
  }
  // It may be here before the old end has said good-bye; then it waits.
  socket.resumeRequest = { requestId, address };
}

/** The one that asked has gone. */
export function withdrawResume(state: SanState, requestId: number): void {
  for (const socket of state.identities.values()) {
    if (socket.resumeRequest?.requestId === requestId) socket.resumeRequest = null;
  }
}

/** The connection ends otherwise: nobody can go on with it. */
export function forgetParking(state: SanState, socket: SanSocket): void {
  state.parked.delete(socket);
  socket.parkedUntil = null;
  if (socket.resumeRequest !== null) state.nic.reject(socket.resumeRequest.requestId);
  socket.resumeRequest = null;
}

/** A turn for the parked connections. Returns how many are parked no more. */
export function driveParked(state: SanState): number {
  const now = state.environment.clock.now();
  const before = state.parked.size;
  for (const socket of state.parked) {
    const { parkedUntil, resumeRequest } = socket;
    // What was posted came back flushed, and is held: the old queue pair has nothing left.
    const isFlushed = socket.sendsPosted === 0 && socket.receivesPosted === 0;
    if (parkedUntil === null || parkedUntil <= now || socket.state !== 'connected') {
      lose(state, socket);
    } else if (resumeRequest !== null && isFlushed) {
      resume(state, socket, resumeRequest);
    }
  }
  return before - state.parked.size;
}

/** When driveParked() has something to do although nothing happens. */
export function parkedDeadline(state: SanState): number {
  let earliest = Infinity;
  for (const { parkedUntil } of state.parked) earliest = Math.min(earliest, parkedUntil ?? 0);
  return earliest;
}

function lose(state: SanState, socket: SanSocket): void {
  forgetParking(state, socket);
  connectionLost(state, socket, wsa.WSAECONNRESET);
}

function resume(state: SanState, socket: SanSocket, request: ResumeRequest): void {
  const { identity, queuePair: old } = socket;
  // A send that was overtaken cannot be repeated: its memory may have been told as reusable.
  const isQuiet = socket.heldFlushes.every(({ isReceive }) => isReceive);
  const queuePair = isQuiet ? createQueuePair(state) : null;
  if (queuePair === null || old === null || identity === null) {
    lose(state, socket);
    return;
  }
  socket.attach(queuePair);
  state.byQueuePair[queuePair.slot] = socket;
  const isReady = moveMemory(state, socket, queuePair) && postAgain(state, socket, queuePair);
  old.destroy();
  if (!isReady) {
    lose(state, socket);
    queuePair.destroy();
    return;
  }
  socket.resumeRequest = null;
  forgetParking(state, socket);
  socket.peerAddress = request.address;
  queuePair.accept(request.requestId, introduction(Purpose.RESUME, identity));
}

/** Registered memory is one queue pair's: all of it that is still wanted is registered for the new one. */
function moveMemory(state: SanState, socket: SanSocket, queuePair: QueuePair): boolean {
  // What is only exposed goes: descriptors that the peer has do not open anything any more. [DUP-09]
  for (const registration of [...socket.registrations.all()]) {
    if (registration.references === 0 && registration.busy === 0) {
      releaseRegistration(state, registration);
      continue;
    }
    const { buffer, region } = registration;
    const moved = state.nic.registerMemory(queuePair, buffer, region.length, region.access);
    if (typeof moved !== 'object' || moved.address !== region.address) return false;
    registration.moveTo(moved);
  }
  return true;
}

function postAgain(state: SanState, socket: SanSocket, queuePair: QueuePair): boolean {
  const { request } = state;
  for (;;) {
    const [operation] = socket.heldFlushes;
    if (operation === undefined) return true;
    operation.describeAgain(request);
    request.opcode = Opcode.RECV;
    request.flags = 0;
    if (queuePair.postReceive(request) !== PostResult.OK) return false;
    socket.heldFlushes.shift();
    socket.receivesPosted++;
  }
}
