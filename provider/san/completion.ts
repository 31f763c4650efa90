// From the NIC's completion queue to the caller's WSAOVERLAPPED. Two steps, so that a posting call may
// look for its own completion without notifying anybody: harvest() takes completions off the queue,
// deliver() publishes them. What a NIC status means in Winsock errors is errors.ts.
// Sources: OVL-05 to OVL-18, WSPSEND-12, WSPSEND-15, CLOSE-02, CLOSE-03, CLOSE-07.

import { WcStatus as Status } from '../nic/verbs.js';
import * as wsa from '../spi/error-codes.js';
import type { WSAOVERLAPPED } from '../spi/winsock2.js';
import { operationError } from './errors.js';
import { releaseRegistration } from './pinned-memory.js';
import type { Operation, SanSocket } from './record.js';
import type { SanState } from './state.js';

/**
 * Whether a success can be told by the WSAOVERLAPPED alone, at once: the caller polls for it, so no
 * upcall is due (OVL-05), nothing else of this socket waits to be told first, and no posting call is
 * looking for completions of its own.
 */
function isPolledFor(state: SanState, operation: Operation): boolean {
  const { overlapped } = operation;
  return (
    overlapped !== null &&
    (overlapped.hEvent & 1) !== 0 &&
    !state.completesAtOnce &&
    state.finishedHead === null &&
    operation.socket.state !== 'closed'
  );
}

/** finish() and notify() in one. [OVL-11, OVL-12] */
function publish(state: SanState, operation: Operation): void {
  const { overlapped, socket } = operation;
  releaseMemory(state, operation);
  recycle(operation);
  socket.unfinished--;
  if (overlapped === null) return;
  storeOutcome(overlapped, operation.bytes, 0, operation.flags);
  overlapped.Internal = 0;
}

function succeeded(state: SanState, operation: Operation, bytes: number): void {
  operation.bytes = bytes;
  operation.error = 0;
  if (isPolledFor(state, operation)) publish(state, operation);
  else finish(state, operation);
}

/** A message has gone into its receive past the completion queue. Makes no upcall. */
export function arrived(
  state: SanState,
  socket: SanSocket,
  operation: Operation,
  bytes: number,
): void {
  socket.receivesPosted--;
  succeeded(state, operation, bytes);
}

/** Takes every completion off the queue. Makes no upcall. Returns how many there were. */
export function harvest(state: SanState): number {
  const { completion, completionQueue } = state;
  let count = 0;
  while (completionQueue.poll(completion)) {
    count++;
    const socket = state.byQueuePair[completion.queuePair];
    const operation = socket?.operations[completion.id];
    if (socket === undefined || operation === undefined) continue;
    if (operation.isReceive) socket.receivesPosted--;
    else socket.sendsPosted--;
    if (operation.isRead) socket.readsPosted--;
    const status = completion.status;
    if (status === Status.SUCCESS) {
      succeeded(state, operation, completion.byteLength);
    } else if (status === Status.WR_FLUSH_ERR) {
      flushed(state, socket, operation);
    } else {
      const error = operationError(status);
      fail(state, operation, isOver(socket) ? wsa.WSA_OPERATION_ABORTED : error);
      connectionLost(state, socket, error);
    }
  }
  return count;
}

/** Nothing is left to do on this side but to let go. */
function isOver(socket: SanSocket): boolean {
  return socket.state === 'closed' || socket.state === 'handed-over';
}

/** The connection of a socket is over. Only the first reason counts. [CLOSE-07] */
export function connectionLost(state: SanState, socket: SanSocket, error: number): void {
  if (socket.connectionError === 0) socket.connectionError = error;
  if (socket.state === 'connected') socket.state = 'disconnected';
  releaseHeldFlushes(state, socket);
}

/** Ends the operations that were flushed before the reason was known. */
export function releaseHeldFlushes(state: SanState, socket: SanSocket): void {
  if (socket.heldFlushes.length === 0) return;
  const held = socket.heldFlushes;
  socket.heldFlushes = [];
  for (const operation of held) fail(state, operation, flushError(state, socket, operation));
}

/** A flushed operation takes its error from what ended the connection, which may not be known. */
function flushed(state: SanState, socket: SanSocket, operation: Operation): void {
  if (socket.state === 'handed-over' && operation.isReceive) {
    // Not the end of the stream: nothing was received here, and the next process goes on. [DUP-11]
    operation.bytes = 0;
    operation.error = 0;
    finish(state, operation);
    return;
  }
  const isKnown = isOver(socket) || socket.connectionError !== 0;
  if (isKnown) fail(state, operation, flushError(state, socket, operation));
  else socket.heldFlushes.push(operation);
}

function flushError(state: SanState, socket: SanSocket, operation: Operation): number {
  if (isOver(socket)) return wsa.WSA_OPERATION_ABORTED;
  const receiveError = state.profile.flushedReceiveError;
  return operation.isReceive && receiveError !== null ? receiveError : socket.connectionError;
}

/** An operation that failed moved nothing that counts. [OVL-18] */
function fail(state: SanState, operation: Operation, error: number): void {
  operation.bytes = 0;
  operation.error = error;
  finish(state, operation);
}

/** The outcome is known: lets go of the memory, then queues the operation for deliver(). */
function finish(state: SanState, operation: Operation): void {
  releaseMemory(state, operation);
  if (state.finishedTail === null) state.finishedHead = operation;
  else state.finishedTail.next = operation;
  state.finishedTail = operation;
}

/** Before the completion is told, not after. [CLOSE-02] */
export function releaseMemory(state: SanState, operation: Operation): void {
  for (let index = 0; index < operation.registrationCount; index++) {
    const registration = operation.letGo(index);
    if (registration === null) continue;
    registration.busy--;
    if (registration.busy === 0 && isOver(operation.socket)) {
      releaseRegistration(state, registration);
    }
  }
  operation.registrationCount = 0;
}

/**
 * Tells the outcome of every finished operation, also of those that finish meanwhile. May be
 * entered again from an upcall.
 */
export function deliver(state: SanState): number {
  if (state.finishedHead === null) return 0;
  if (state.profile.notificationOrder === 'shuffled') shuffleFinished(state);
  let count = 0;
  for (let operation = takeFinished(state); operation !== null; operation = takeFinished(state)) {
    count++;
    notify(state, operation);
  }
  return count;
}

/** Takes one certain operation off the finished ones, for a call that completes it at once. */
export function takeOutOfFinished(state: SanState, operation: Operation): boolean {
  let before: Operation | null = null;
  for (let at = state.finishedHead; at !== null; at = at.next) {
    if (at === operation) {
      if (before === null) state.finishedHead = at.next;
      else before.next = at.next;
      if (state.finishedTail === at) state.finishedTail = before;
      at.next = null;
      return true;
    }
    before = at;
  }
  return false;
}

/** Stores a result where WSPGetOverlappedResult looks for it, all but Internal. [OVL-09, OVL-12] */
export function storeOutcome(
  overlapped: WSAOVERLAPPED,
  bytes: number,
  error: number,
  flags: number,
): void {
  overlapped.InternalHigh = bytes;
  overlapped.OffsetHigh = error;
  overlapped.Offset = flags;
}

/** Gives the record of an operation back, before its owner is told and may start the next one. */
export function recycle(operation: Operation): void {
  operation.overlapped = null;
  operation.isRead = false;
  const { socket } = operation;
  operation.next = socket.freeOperations;
  socket.freeOperations = operation;
}

function takeFinished(state: SanState): Operation | null {
  const operation = state.finishedHead;
  if (operation === null) return null;
  state.finishedHead = operation.next;
  if (state.finishedHead === null) state.finishedTail = null;
  operation.next = null;
  return operation;
}

function notify(state: SanState, operation: Operation): void {
  const { overlapped, socket, bytes, error } = operation;
  if (overlapped !== null) {
    storeOutcome(overlapped, bytes, error, operation.flags);
    recycle(operation);
    if ((overlapped.hEvent & 1) !== 0) {
      // Nobody else will: the caller polls for it. [OVL-05, OVL-11, OVL-12]
      overlapped.Internal = 0;
    } else {
      // Stores Internal itself, and only then lets it be seen as done. [OVL-06, OVL-09]
      const { errno, upcalls } = state;
      state.notifying++;
      upcalls?.lpWPUCompleteOverlappedRequest(socket.handle, overlapped, error, bytes, errno);
      state.notifying--;
    }
  }
  socket.unfinished--;
  if (socket.state === 'closed') giveUpIfFinished(state, socket);
}

/**
 * The last upcall for a socket, after every completion of it has returned and the NIC has let go.
 * [CLOSE-03]
 */
export function giveUpIfFinished(state: SanState, socket: SanSocket): void {
  if (socket.unfinished > 0 || socket.queuePairsHeld > 0) return;
  if (!state.closing.delete(socket)) return;
  state.upcalls?.lpWPUCloseSocketHandle(socket.handle, state.errno);
}

/** Any order is legal; the hostile profile shows whoever relies on one. [WSPSEND-15] */
function shuffleFinished(state: SanState): void {
  const operations: Operation[] = [];
  for (let operation = takeFinished(state); operation !== null; operation = takeFinished(state)) {
    operations.push(operation);
  }
  while (operations.length > 0) {
    const [operation] = operations.splice(state.random.uint32() % operations.length, 1);
    if (operation === undefined) continue;
    if (state.finishedTail === null) state.finishedHead = operation;
    else state.finishedTail.next = operation;
    state.finishedTail = operation;
  }
}
