// How a transfer call runs: the mode that its arguments select, one attempt inside the call, and what
// becomes of the rest: pending, blocking, partial or refused. It must not know what is transferred.
// Sources: W4.3 to W4.8, W4.12, W4.16, W4.22, W8.1.11, W9.1, W9.3.

import { milliseconds } from '../../runtime/clock.js';
import * as wsa from '../spi/errors.js';
import { fail } from '../spi/ws2spi.js';
import type * as ws from '../spi/winsock2.js';
import { spreadFailure } from './attempt.js';
import type { Attempt } from './attempt.js';
import { updateInterest } from './interest.js';
import { beginIndication, indicate, indicationOf, markPending } from './operation.js';
import type { Indication, Operation } from './operation.js';
import type { Context, KernelSocket } from './record.js';

/** Overlapped operations of one socket that may be pending at a time. [W4.16] */
export const OUTSTANDING_MAX = 4096;

/** The arguments that say how a call completes, and the mode they select. [W9.1] */
export interface Mode {
  /** null: the call is synchronous. */
  readonly indication: Indication | null;
  /** A structure to fill in although the call is synchronous, and waits. [W4.5 TRAP] */
  readonly filled: ws.WSAOVERLAPPED | null;
}

const SYNCHRONOUS: Mode = { indication: null, filled: null };

export function modeOf(
  context: Context,
  socket: KernelSocket,
  overlapped: ws.WSAOVERLAPPED | null,
  routine: ws.WSAOVERLAPPED_COMPLETION_ROUTINE | null,
  thread: ws.WSATHREADID | null,
  isRoutineEnough: boolean,
): Mode {
  if (overlapped === null && (routine === null || !isRoutineEnough)) return SYNCHRONOUS;
  if (socket.isOverlapped) {
    return { indication: indicationOf(overlapped, routine, thread), filled: null };
  }
  if (context.profile.nonoverlappedIgnoresOverlapped) return SYNCHRONOUS;
  return { indication: null, filled: overlapped };
}

/** lpOverlapped was given or stands for itself: the count pointer may be missing. [W4.12] */
export function isOverlappedMode(mode: Mode): boolean {
  return mode.indication !== null && mode.indication.overlapped !== null;
}

/** What every transfer is refused with before its own arguments are looked at; 0: nothing. */
export function modeError(context: Context, socket: KernelSocket, mode: Mode): number {
  if (context.blocking.isInCallback) return wsa.WSAEINPROGRESS;
  if (mode.indication === null) return 0;
  // A routine needs a thread to run in. [W13.1]
  if (mode.indication.routine !== null && mode.indication.thread === null) return wsa.WSAEFAULT;
  return socket.outstandingCount >= OUTSTANDING_MAX ? wsa.WSAEWOULDBLOCK : 0;
}

/** Captures the buffers; what is wrong with them, or 0. */
export function captureError(
  operation: Operation,
  buffers: readonly ws.WSABUF[] | null,
  count: number,
  flags: number,
): number {
  if (buffers === null && count !== 0) return wsa.WSAEFAULT;
  return operation.capture(buffers ?? [], count, flags);
}

/** Puts an operation into its queue and waits for it: the call of a blocking socket. */
function block(
  context: Context,
  socket: KernelSocket,
  queue: Operation[],
  operation: Operation,
  timeoutMs: number,
): number {
  queue.push(operation);
  updateInterest(context, socket);
  const deadline = timeoutMs === 0 ? Infinity : context.clock.now() + milliseconds(timeoutMs);
  const outcome = context.blocking.wait(() => operation.isDone, deadline);
  if (outcome !== 'done') {
    queue.splice(queue.indexOf(operation), 1);
    updateInterest(context, socket);
    return outcome === 'cancelled' ? wsa.WSAEINTR : wsa.WSAETIMEDOUT;
  }
  return operation.error === wsa.WSA_OPERATION_ABORTED ? wsa.WSAEINTR : operation.error;
}

export interface Call {
  readonly mode: Mode;
  readonly queue: Operation[];
  readonly attempt: Attempt;
  /** Whether what does not go at once is waited for. */
  readonly isWaiting: boolean;
  readonly timeoutMs: number;
  /** What was moved is a result although not all of it was. [W4.6] */
  readonly isPartialEnough: boolean;
  /** Never inside the call, when that has an indication. */
  readonly isAlwaysPending: boolean;
  readonly lpCount: ws.Ref<number> | null;
  readonly lpErrno: ws.Ref<number>;
}

/** Moves the captured operation as far as the mode wants it to go, and reports. [W4.12, W4.22, W9.3] */
export function run(context: Context, socket: KernelSocket, call: Call): number {
  const operation = context.scratch;
  const { queue, attempt } = call;
  const { indication } = call.mode;
  if (indication !== null) beginIndication(context.upcalls, indication);
  const isHeld = indication !== null && call.isAlwaysPending && socket.failure === 0;
  // What was posted before goes first. [W4.15, W8.1.3]
  let outcome = queue.length === 0 && !isHeld ? attempt(socket, operation) : wsa.WSAEWOULDBLOCK;
  let { transferred, isCut } = operation;
  if (socket.failure !== 0) spreadFailure(context, socket);
  if (indication !== null && outcome === wsa.WSAEWOULDBLOCK) {
    return pend(context, socket, call, indication);
  }
  if (outcome === wsa.WSAEWOULDBLOCK && call.isWaiting) {
    const kept = operation.detach(null);
    outcome = block(context, socket, queue, kept, call.timeoutMs);
    ({ transferred, isCut } = kept);
  } else if (outcome === wsa.WSAEWOULDBLOCK && call.isPartialEnough && transferred > 0) {
    // The rest is the application's to send again, or is sent for it. [W4.6]
    outcome = 0;
    if (!context.profile.partialNonblockingSend) {
      transferred += operation.remaining;
      queue.push(operation.detachCopy());
      updateInterest(context, socket);
    }
  }
  operation.clear();
  // A message that was cut is a result of its own, and comes with its count. [W8.1.11]
  if (outcome !== 0 && !isCut) return fail(call.lpErrno, outcome);
  return finish(context, call, outcome, transferred);
}

/** Keeps the operation for later. */
function pend(context: Context, socket: KernelSocket, call: Call, indication: Indication): number {
  const operation = context.scratch;
  markPending(indication);
  call.queue.push(operation.detach(indication));
  updateInterest(context, socket);
  operation.clear();
  return fail(call.lpErrno, wsa.WSA_IO_PENDING);
}

/** Reports a result inside the call; one that is also an error, as a pending operation's. [W9.3] */
function finish(context: Context, call: Call, outcome: number, transferred: number): number {
  const { lpCount, lpErrno } = call;
  const { indication, filled } = call.mode;
  if (indication !== null) {
    if (outcome === 0 && lpCount !== null) lpCount.value = transferred;
    indicate(context.upcalls, indication, outcome, transferred);
    return outcome === 0 ? 0 : fail(lpErrno, wsa.WSA_IO_PENDING);
  }
  if (lpCount !== null) lpCount.value = transferred;
  if (filled !== null) {
    indicate(
      context.upcalls,
      { overlapped: filled, routine: null, thread: null },
      outcome,
      transferred,
    );
  }
  return outcome === 0 ? 0 : fail(lpErrno, outcome);
}
