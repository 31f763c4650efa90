// What the kernel takes and gives of streams: one attempt at a send or a receive; and the queues of what
// could not be done at once, on every kind of socket. It must not know which call an operation came from.
// Sources: W4.2, W4.19, W8.1.1 to W8.1.8, W9.10.1, W12.2.

import { errno } from '../../native/errors.js';
import { native } from '../../native/load.js';
import { EPOLLHUP } from '../../native/reactor.js';
import * as wsa from '../spi/errors.js';
import * as ws from '../spi/winsock2.js';
import { takeFailure } from './events.js';
import { attemptReceiveMessage, attemptSendMessage } from './message.js';
import { complete } from './operation.js';
import type { Operation } from './operation.js';
import type { Context, KernelSocket } from './record.js';
import { streamError } from './stream-error.js';
import { LINUX, linuxTransferFlags } from './translate.js';

// Attempts: 0 done, WSAEWOULDBLOCK not yet, otherwise the error that ends the operation ------------

export function attemptSend(socket: KernelSocket, operation: Operation): number {
  if (socket.failure !== 0) return socket.failure;
  while (operation.remaining > 0) {
    const { buffers, lengths } = operation;
    const flags = linuxTransferFlags(operation.flags);
    const taken = native.socketSend(socket.fd, buffers, lengths, lengths.length, flags);
    if (taken >= 0) operation.advance(taken);
    else if (taken === -errno.EAGAIN) return wsa.WSAEWOULDBLOCK;
    else return breakConnection(socket, streamError(socket, taken));
  }
  return 0;
}

const peeked = [new Uint8Array(1)];
const ONE = [1];

export function attemptReceive(socket: KernelSocket, operation: Operation): number {
  if (socket.failure !== 0) return socket.failure;
  const isUrgent = (operation.flags & ws.MSG_OOB) !== 0;
  const isWaitingForAll = (operation.flags & ws.MSG_WAITALL) !== 0;
  const isEmpty = operation.remaining === 0;
  const isTaking = (operation.flags & (ws.MSG_OOB | ws.MSG_PEEK)) === 0;
  socket.inbound = 'unknown';
  for (;;) {
    // No room at all: wait for data or the end of the stream, and leave it there. [W8.1.6]
    const taken = isEmpty
      ? native.socketReceive(socket.fd, peeked, ONE, 1, LINUX.MSG_PEEK)
      : native.socketReceive(
          socket.fd,
          operation.buffers,
          operation.lengths,
          operation.lengths.length,
          linuxTransferFlags(operation.flags),
        );
    if (taken > 0 && isEmpty) return 0;
    if (taken > 0) {
      // The kernel gives all there is, as far as it fits.
      if (isTaking && taken < operation.remaining) socket.inbound = 'drained';
      operation.advance(taken);
      if (isWaitingForAll && operation.remaining > 0) continue;
      return 0;
    }
    // A reset that followed the peer's close hides behind the end of the stream. [W4.19]
    if (taken === 0) return takeFailure(socket);
    if (taken === -errno.EAGAIN) {
      if (!isUrgent) socket.inbound = 'drained';
      return wsa.WSAEWOULDBLOCK;
    }
    // The kernel's way of saying that no urgent data is there.
    if (isUrgent && taken === -errno.EINVAL) {
      if (socket.options.outOfBandInline) return wsa.WSAEINVAL;
      const isEnded = socket.isInboundEnded || socket.isCloseDeferred;
      return isEnded ? 0 : wsa.WSAEWOULDBLOCK;
    }
    return breakConnection(socket, streamError(socket, taken));
  }
}

function breakConnection(socket: KernelSocket, error: number): number {
  const isBroken =
    error === wsa.WSAECONNRESET || error === wsa.WSAECONNABORTED || error === wsa.WSAENETRESET;
  if (isBroken) socket.failure = error;
  return error;
}

/** A broken connection ends everything that is pending on it, and is an event. [W8.1.18, W10.8] */
export function spreadFailure(context: Context, socket: KernelSocket): void {
  if (!socket.isInboundEnded) context.onReady(socket, EPOLLHUP);
}

// Progress of what is pending ----------------------------------------------------------------------

export type Attempt = (socket: KernelSocket, operation: Operation) => number;

function progressQueue(
  context: Context,
  socket: KernelSocket,
  queue: Operation[],
  attempt: Attempt,
): void {
  for (let head = queue[0]; head !== undefined; head = queue[0]) {
    const outcome = head.isIntact() ? attempt(socket, head) : wsa.WSAEFAULT;
    if (outcome === wsa.WSAEWOULDBLOCK) return;
    queue.shift();
    complete(context.upcalls, head, outcome);
  }
}

export function progressSends(context: Context, socket: KernelSocket): void {
  const attempt = socket.message === null ? attemptSend : attemptSendMessage;
  progressQueue(context, socket, socket.sends, attempt);
  finishShutdown(socket);
}

export function progressReceives(context: Context, socket: KernelSocket): void {
  if (socket.message !== null) {
    progressQueue(context, socket, socket.receives, attemptReceiveMessage);
    return;
  }
  progressQueue(context, socket, socket.urgentReceives, attemptReceive);
  progressQueue(context, socket, socket.receives, attemptReceive);
}

/** SD_SEND reaches the kernel when everything that was sent before has. [W12.2] */
export function finishShutdown(socket: KernelSocket): void {
  if (!socket.isFinPending || socket.sends.length > 0) return;
  socket.isFinPending = false;
  if (socket.failure === 0 && socket.message === null)
    native.socketShutdown(socket.fd, LINUX.SHUT_WR);
}

/** Ends every operation of a queue; the blocking calls among them were interrupted. [W9.10.1] */
export function abortQueue(context: Context, queue: Operation[], error: number): void {
  for (const operation of queue.splice(0)) {
    const isBlocking = operation.indication === null;
    complete(context.upcalls, operation, isBlocking ? wsa.WSA_OPERATION_ABORTED : error);
  }
}
