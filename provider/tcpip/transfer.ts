// WSPSend, WSPRecv and their relatives on stream sockets, shutdown, and the outcome of overlapped
// operations. Every transfer tries the kernel inside the call; what is left waits in a queue, in
// posting order, and moves when the descriptor is ready. A blocking call waits for its operation in the
// same queue. It must not know the network events' rules beyond when to re-enable them.
// Sources: W4, W5.2, W8.1, W9, W12.1, W12.2.

import { milliseconds } from '../../runtime/clock.js';
import * as wsa from '../spi/errors.js';
import { wsaErrorOfStatus } from '../spi/ntstatus.js';
import { fail } from '../spi/ws2spi.js';
import type * as fn from '../spi/ws2spi.js';
import * as ws from '../spi/winsock2.js';
import { attemptReceive, attemptSend, finishShutdown, spreadFailure } from './attempt.js';
import type { Attempt } from './attempt.js';
import { reenableReceive, reenableSend } from './events.js';
import { updateInterest } from './interest.js';
import { beginIndication, indicate, indicationOf, markPending } from './operation.js';
import type { Indication, Operation } from './operation.js';
import type { Context, TcpSocket } from './record.js';

const SEND_FLAGS = ws.MSG_OOB | ws.MSG_DONTROUTE;
const WAITALL_EXCLUDES = ws.MSG_OOB | ws.MSG_PEEK | ws.MSG_PARTIAL;

type Buffers = readonly ws.WSABUF[] | null;

/** The arguments that say how a call completes, and the mode they select. [W9.1] */
interface Mode {
  /** null: the call is synchronous. */
  readonly indication: Indication | null;
  /** A structure to fill in although the call is synchronous, and waits. [W4.5 TRAP] */
  readonly filled: ws.WSAOVERLAPPED | null;
}

const SYNCHRONOUS: Mode = { indication: null, filled: null };

function modeOf(
  context: Context,
  socket: TcpSocket,
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

/** What a transfer with these buffers is refused with before anything moves; 0 otherwise. */
function captureError(
  operation: Operation,
  buffers: Buffers,
  count: number,
  flags: number,
): number {
  if (buffers === null && count !== 0) return wsa.WSAEFAULT;
  return operation.capture(buffers ?? [], count, flags);
}

// Calls ---------------------------------------------------------------------------------------------

/** Puts an operation into its queue and waits for it: the call of a blocking socket. */
function block(
  context: Context,
  socket: TcpSocket,
  queue: Operation[],
  operation: Operation,
  timeoutMs: number,
): number {
  queue.push(operation);
  updateInterest(context, socket);
  const deadline = timeoutMs === 0 ? Infinity : context.clock.now() + milliseconds(timeoutMs);
  context.kernel.blocking.waitUntil(() => operation.isDone, deadline);
  if (!operation.isDone) {
    queue.splice(queue.indexOf(operation), 1);
    updateInterest(context, socket);
    return wsa.WSAETIMEDOUT;
  }
  return operation.error === wsa.WSA_OPERATION_ABORTED ? wsa.WSAEINTR : operation.error;
}

interface Call {
  readonly mode: Mode;
  readonly isWaiting: boolean;
  readonly timeoutMs: number;
  readonly lpCount: ws.Ref<number> | null;
  readonly lpErrno: ws.Ref<number>;
}

/** Moves the captured operation as far as the mode wants it to go, and reports. [W4.12, W4.22, W9.3] */
function run(
  context: Context,
  socket: TcpSocket,
  queue: Operation[],
  attempt: Attempt,
  call: Call,
): number {
  const operation = context.scratch;
  const { indication, filled } = call.mode;
  if (indication !== null) beginIndication(context.upcalls, indication);
  // What was posted before goes first. [W4.15, W8.1.3]
  let outcome = queue.length === 0 ? attempt(socket, operation) : wsa.WSAEWOULDBLOCK;
  let { transferred } = operation;
  if (socket.failure !== 0) spreadFailure(context, socket);
  if (outcome === wsa.WSAEWOULDBLOCK && indication !== null) {
    markPending(indication);
    queue.push(operation.detach(indication));
    updateInterest(context, socket);
    operation.clear();
    return fail(call.lpErrno, wsa.WSA_IO_PENDING);
  }
  if (outcome === wsa.WSAEWOULDBLOCK && call.isWaiting) {
    const kept = operation.detach(null);
    outcome = block(context, socket, queue, kept, call.timeoutMs);
    ({ transferred } = kept);
  } else if (outcome === wsa.WSAEWOULDBLOCK && attempt === attemptSend && transferred > 0) {
    // The rest is the application's to send again, or is sent for it. [W4.6]
    outcome = 0;
    if (!context.profile.partialNonblockingSend) {
      transferred += operation.remaining;
      queue.push(operation.detachCopy());
      updateInterest(context, socket);
    }
  }
  operation.clear();
  if (outcome !== 0) return fail(call.lpErrno, outcome);
  if (call.lpCount !== null) call.lpCount.value = transferred;
  if (indication !== null) indicate(context.upcalls, indication, 0, transferred);
  else if (filled !== null) {
    indicate(context.upcalls, { overlapped: filled, routine: null, thread: null }, 0, transferred);
  }
  return 0;
}

function sendError(
  socket: TcpSocket,
  mode: Mode,
  lpCount: ws.Ref<number> | null,
  flags: number,
): number {
  if (lpCount === null && !isOverlappedMode(mode)) return wsa.WSAEFAULT;
  if (socket.state !== 'connected') return wsa.WSAENOTCONN;
  if ((flags & ~SEND_FLAGS) !== 0) return wsa.WSAEOPNOTSUPP;
  if (socket.isSendShut) return wsa.WSAESHUTDOWN;
  return routineError(mode);
}

function receiveError(
  socket: TcpSocket,
  mode: Mode,
  lpCount: ws.Ref<number> | null,
  flags: number,
): number {
  if (lpCount === null && !isOverlappedMode(mode)) return wsa.WSAEFAULT;
  if (socket.state !== 'connected') return wsa.WSAENOTCONN;
  if (socket.isReceiveShut) return wsa.WSAESHUTDOWN;
  const isWaitingForAll = (flags & ws.MSG_WAITALL) !== 0;
  if (isWaitingForAll && (flags & WAITALL_EXCLUDES) !== 0) return wsa.WSAEOPNOTSUPP;
  if (isWaitingForAll && socket.isNonblocking && !isOverlappedMode(mode)) return wsa.WSAEOPNOTSUPP;
  return routineError(mode);
}

/** lpOverlapped was given or stands for itself: the count pointer may be missing. [W4.12] */
function isOverlappedMode(mode: Mode): boolean {
  return mode.indication !== null && mode.indication.overlapped !== null;
}

/** A routine needs a thread to run in. [W13.1] */
function routineError(mode: Mode): number {
  const isHomeless =
    mode.indication !== null && mode.indication.routine !== null && mode.indication.thread === null;
  return isHomeless ? wsa.WSAEFAULT : 0;
}

function createSend(context: Context): fn.LPWSPSEND {
  return (s, lpBuffers, count, lpCount, flags, overlapped, routine, thread, lpErrno) => {
    const socket = context.table.find(s, lpErrno);
    if (socket === null) return ws.SOCKET_ERROR;
    const isRoutineEnough = context.profile.routineAloneIsOverlapped;
    const mode = modeOf(context, socket, overlapped, routine, thread, isRoutineEnough);
    const error =
      sendError(socket, mode, lpCount, flags) ||
      captureError(context.scratch, lpBuffers, count, flags);
    if (error !== 0) return fail(lpErrno, error);
    const result = run(context, socket, socket.sends, attemptSend, {
      mode,
      isWaiting: !socket.isNonblocking || mode.filled !== null,
      timeoutMs: socket.options.sendTimeoutMs,
      lpCount,
      lpErrno,
    });
    if (result !== 0 && lpErrno.value === wsa.WSAEWOULDBLOCK) reenableSend(context, socket);
    return result;
  };
}

function createReceive(context: Context): fn.LPWSPRECV {
  return (s, lpBuffers, count, lpCount, lpFlags, overlapped, routine, thread, lpErrno) => {
    const socket = context.table.find(s, lpErrno);
    if (socket === null) return ws.SOCKET_ERROR;
    const mode = modeOf(context, socket, overlapped, routine, thread, false);
    const flags = lpFlags?.value ?? 0;
    const error =
      (lpFlags === null ? wsa.WSAEFAULT : 0) ||
      (count === 0 ? wsa.WSAEINVAL : 0) ||
      receiveError(socket, mode, lpCount, flags) ||
      captureError(context.scratch, lpBuffers, count, flags);
    let result: number;
    if (error !== 0) result = fail(lpErrno, error);
    else {
      const isUrgent = (flags & ws.MSG_OOB) !== 0;
      const queue = isUrgent ? socket.urgentReceives : socket.receives;
      result = run(context, socket, queue, attemptReceive, {
        mode,
        isWaiting: !socket.isNonblocking || mode.filled !== null,
        timeoutMs: socket.options.receiveTimeoutMs,
        lpCount,
        lpErrno,
      });
      if (result === 0 && lpFlags !== null) lpFlags.value = 0;
    }
    // The call re-enables even when it fails. [W10.3]
    if (socket.state === 'connected') reenableReceive(context, socket);
    return result;
  };
}

function createShutdown(context: Context): fn.LPWSPSHUTDOWN {
  return (s, how, lpErrno) => {
    const socket = context.table.find(s, lpErrno);
    if (socket === null) return ws.SOCKET_ERROR;
    if (how !== ws.SD_RECEIVE && how !== ws.SD_SEND && how !== ws.SD_BOTH) {
      return fail(lpErrno, wsa.WSAEINVAL);
    }
    if (socket.state !== 'connected') return fail(lpErrno, wsa.WSAENOTCONN);
    if (socket.failure !== 0) return fail(lpErrno, socket.failure);
    // The kernel is not told: a pending receive still gets its data. [W9.10.4]
    if (how !== ws.SD_SEND) socket.isReceiveShut = true;
    if (how !== ws.SD_RECEIVE && !socket.isSendShut) {
      socket.isSendShut = true;
      socket.isFinPending = true;
      finishShutdown(socket);
    }
    return 0;
  };
}

function createGetOverlappedResult(context: Context): fn.LPWSPGETOVERLAPPEDRESULT {
  return (s, overlapped, lpcbTransfer, fWait, lpdwFlags, lpErrno) => {
    const no = (code: number): false => {
      lpErrno.value = code;
      return false;
    };
    if (context.table.find(s, lpErrno) === null) return false;
    if (overlapped === null || lpcbTransfer === null || lpdwFlags === null) {
      return no(wsa.WSAEFAULT);
    }
    const isPending = (): boolean => wsa.WSA_IO_INCOMPLETE === statusError(overlapped);
    if (isPending()) {
      if (fWait && overlapped.hEvent === 0) return no(wsa.WSA_INVALID_HANDLE);
      // Without fWait one turn of the thread's progress, so that polling alone gets somewhere.
      const deadline = fWait ? Infinity : context.clock.now();
      context.kernel.blocking.waitUntil(() => !isPending(), deadline);
    }
    const error = statusError(overlapped);
    if (error !== 0) return no(error);
    lpcbTransfer.value = overlapped.InternalHigh;
    lpdwFlags.value = 0;
    return true;
  };
}

export interface TransferFunctions {
  send: fn.LPWSPSEND;
  sendTo: fn.LPWSPSENDTO;
  receive: fn.LPWSPRECV;
  receiveFrom: fn.LPWSPRECVFROM;
  shutdown: fn.LPWSPSHUTDOWN;
  sendDisconnect: fn.LPWSPSENDDISCONNECT;
  receiveDisconnect: fn.LPWSPRECVDISCONNECT;
  overlappedResult: fn.LPWSPGETOVERLAPPEDRESULT;
}

export function createTransferFunctions(context: Context): TransferFunctions {
  const send = createSend(context);
  const receive = createReceive(context);
  const shutdown = createShutdown(context);
  return {
    send,
    receive,
    shutdown,
    // A connection has its peer: the address is not looked at, nor written. [W5.2, W8.2.1]
    sendTo: (s, buffers, count, lpCount, flags, _to, _tolen, overlapped, routine, thread, e) =>
      send(s, buffers, count, lpCount, flags, overlapped, routine, thread, e),
    receiveFrom: (s, buffers, count, lpCount, flags, _from, _len, overlapped, routine, thread, e) =>
      receive(s, buffers, count, lpCount, flags, overlapped, routine, thread, e),
    // TCP carries no disconnect data.
    sendDisconnect: (s, _data, lpErrno) => shutdown(s, ws.SD_SEND, lpErrno),
    receiveDisconnect: (s, _data, lpErrno) => shutdown(s, ws.SD_RECEIVE, lpErrno),
    overlappedResult: createGetOverlappedResult(context),
  };
}

function statusError(overlapped: ws.WSAOVERLAPPED): number {
  return wsaErrorOfStatus(overlapped.Internal);
}
