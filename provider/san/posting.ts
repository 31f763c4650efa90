// From a described work request to an operation in progress: what WSPSend, WSPRecv and the RDMA calls
// have in common. Nothing is allocated, and no upcall is made from here.
// Sources: WSPSEND-06, WSPSEND-19, WSPSEND-20, OVL-03, OVL-09, OVL-16, CLOSE-07, IMPL-01, IMPL-02.

import type { WorkRequest } from '../nic/verbs.js';
import { PostResult } from '../nic/verbs.js';
import * as wsa from '../spi/error-codes.js';
import type { Ref, WSAOVERLAPPED } from '../spi/winsock2.js';
import { fail, WSS_OPERATION_IN_PROGRESS } from '../spi/ws2spi.js';
import { harvest, recycle, releaseMemory, storeOutcome, takeOutOfFinished } from './completion.js';
import { postError } from './errors.js';
import type { Operation, SanSocket } from './record.js';
import type { Registration } from './registration.js';
import type { SanState } from './state.js';

/** Why a socket that is not connected takes no transfer. [WSPSEND-19, CLOSE-07] */
export function notConnectedError(socket: SanSocket): number {
  if (socket.connectionError !== 0) return socket.connectionError;
  return socket.state === 'created' ? wsa.WSAEINVAL : wsa.WSAENOTCONN;
}

/** One more element of the work request; the registration is busy until the operation ends. */
export function use(
  state: SanState,
  operation: Operation,
  registration: Registration,
  address: number,
  length: number,
): void {
  const { request } = state;
  request.setSge(request.sgeCount, address, length, registration.region.localKey);
  request.sgeCount++;
  registration.busy++;
  operation.hold(registration);
}

/** Bytes that a work request names on this side. */
export function bytesOf(request: WorkRequest): number {
  let total = 0;
  for (let index = 0; index < request.sgeCount; index++) total += request.lengths[index] ?? 0;
  return total;
}

/** Hands the work request over. From here on the outcome comes by completion. [OVL-03, OVL-16] */
export function post(
  state: SanState,
  operation: Operation,
  overlapped: WSAOVERLAPPED,
  transferred: Ref<number> | null,
  flags: Ref<number> | null,
  lpErrno: Ref<number>,
): number {
  const { request } = state;
  const { socket, isReceive, isRead } = operation;
  const { queuePair } = socket;
  if (queuePair === null) return abandon(state, operation, lpErrno, wsa.WSAENOTCONN);
  request.id = operation.index;
  const isFull = isReceive
    ? socket.receivesPosted >= state.receivesMax
    : socket.sendsPosted >= state.sendsMax;
  if (isFull) {
    return abandon(state, operation, lpErrno, postError(state.profile, PostResult.QUEUE_FULL));
  }
  const result = isReceive ? queuePair.postReceive(request) : queuePair.postSend(request);
  if (result !== PostResult.OK) {
    return abandon(state, operation, lpErrno, postError(state.profile, result));
  }
  if (isReceive) socket.receivesPosted++;
  else socket.sendsPosted++;
  if (isRead) socket.readsPosted++;
  socket.unfinished++;
  operation.overlapped = overlapped;
  overlapped.InternalHigh = 0;
  overlapped.Internal = WSS_OPERATION_IN_PROGRESS;
  if (state.completesAtOnce && completedAtOnce(state, operation, overlapped)) {
    if (transferred !== null) transferred.value = overlapped.InternalHigh;
    if (flags !== null) flags.value = overlapped.Offset;
    return 0;
  }
  return fail(lpErrno, wsa.WSA_IO_PENDING);
}

/** Nothing was started: everything is as before the call. [OVL-16] */
export function abandon(
  state: SanState,
  operation: Operation,
  lpErrno: Ref<number>,
  error: number,
): number {
  releaseMemory(state, operation);
  recycle(operation);
  return fail(lpErrno, error);
}

/**
 * Whether the operation is done already, and well. It is then complete: its WSAOVERLAPPED is filled
 * in and nobody is notified. Others that are done too wait for their own delivery. [WSPSEND-06]
 */
function completedAtOnce(
  state: SanState,
  operation: Operation,
  overlapped: WSAOVERLAPPED,
): boolean {
  state.nic.progress();
  harvest(state);
  if (!isFinished(state, operation) || operation.error !== 0) return false;
  takeOutOfFinished(state, operation);
  storeOutcome(overlapped, operation.bytes, 0, operation.flags);
  overlapped.Internal = 0;
  operation.socket.unfinished--;
  recycle(operation);
  return true;
}

function isFinished(state: SanState, operation: Operation): boolean {
  for (let at = state.finishedHead; at !== null; at = at.next) if (at === operation) return true;
  return false;
}
