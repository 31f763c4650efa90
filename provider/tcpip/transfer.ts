// WSPSend, WSPRecv and their relatives on every kind of socket, shutdown, and the outcome of overlapped
// operations. Every transfer tries the kernel inside the call; what is left waits in a queue, in
// posting order, and moves when the descriptor is ready. It must not know the network events' rules
// beyond when to re-enable them, nor what a message travels with (datagram.ts).
// Sources: W4, W5.2, W8.1, W8.2, W9, W12.1, W12.2.

import * as wsa from '../spi/errors.js';
import { fail } from '../spi/ws2spi.js';
import type * as fn from '../spi/ws2spi.js';
import * as ws from '../spi/winsock2.js';
import { attemptReceive, attemptSend, finishShutdown } from './attempt.js';
import { captureError, isOverlappedMode, modeError, modeOf, run } from './call.js';
import type { Mode } from './call.js';
import { envelopeOf, nameRoomError, readyToSend } from './datagram.js';
import { reenableReceive, reenableSend } from './events.js';
import { attemptReceiveMessage, attemptSendMessage } from './message.js';
import { outcomeOf, PLAIN } from './operation.js';
import type { Envelope } from './operation.js';
import type { Context, KernelSocket } from './record.js';

const STREAM_SEND_FLAGS = ws.MSG_OOB | ws.MSG_DONTROUTE;
const WAITALL_EXCLUDES = ws.MSG_OOB | ws.MSG_PEEK | ws.MSG_PARTIAL;
/** What message sockets refuse to receive: urgent data is of streams, and a message is whole. */
const MESSAGE_RECEIVE_EXCLUDES = ws.MSG_OOB | ws.MSG_WAITALL;

type Buffers = readonly ws.WSABUF[] | null;
type Routine = ws.WSAOVERLAPPED_COMPLETION_ROUTINE | null;

/** The arguments that every transfer has. */
export interface Transfer {
  readonly socket: KernelSocket;
  readonly buffers: Buffers;
  readonly count: number;
  readonly flags: number;
  readonly envelope: Envelope;
  readonly mode: Mode;
  readonly lpCount: ws.Ref<number> | null;
  readonly lpErrno: ws.Ref<number>;
}

/** The mode of a send: a routine alone makes it overlapped, in most profiles. [W4.4] */
export function sendMode(
  context: Context,
  socket: KernelSocket,
  overlapped: ws.WSAOVERLAPPED | null,
  routine: Routine,
  thread: ws.WSATHREADID | null,
): Mode {
  const isRoutineEnough = context.profile.routineAloneIsOverlapped;
  return modeOf(context, socket, overlapped, routine, thread, isRoutineEnough);
}

function streamSendError(socket: KernelSocket, flags: number): number {
  if (socket.state !== 'connected') return wsa.WSAENOTCONN;
  if ((flags & ~STREAM_SEND_FLAGS) !== 0) return wsa.WSAEOPNOTSUPP;
  return socket.isSendShut ? wsa.WSAESHUTDOWN : 0;
}

/** Sends what was checked. */
export function startSend(context: Context, transfer: Transfer): number {
  const { socket, mode, lpCount, lpErrno, flags } = transfer;
  const operation = context.scratch;
  const error =
    modeError(context, socket, mode) ||
    captureError(operation, transfer.buffers, transfer.count, flags);
  if (error !== 0) return fail(lpErrno, error);
  const { message } = socket;
  if (message !== null && operation.remaining > message.bytesMax) {
    operation.clear();
    return fail(lpErrno, wsa.WSAEMSGSIZE);
  }
  operation.envelope = transfer.envelope;
  const result = run(context, socket, {
    mode,
    queue: socket.sends,
    attempt: message === null ? attemptSend : attemptSendMessage,
    isWaiting: !socket.isNonblocking || mode.filled !== null,
    timeoutMs: socket.options.sendTimeoutMs,
    isPartialEnough: true,
    isAlwaysPending: context.profile.completion === 'always-pending',
    lpCount,
    lpErrno,
  });
  if (result !== 0 && lpErrno.value === wsa.WSAEWOULDBLOCK) reenableSend(context, socket);
  return result;
}

function createSend(context: Context): fn.LPWSPSEND {
  return (s, buffers, count, lpCount, flags, overlapped, routine, thread, lpErrno) => {
    const socket = context.table.find(s, lpErrno);
    if (socket === null) return ws.SOCKET_ERROR;
    const mode = sendMode(context, socket, overlapped, routine, thread);
    const error =
      (lpCount === null && !isOverlappedMode(mode) ? wsa.WSAEFAULT : 0) ||
      (socket.message === null
        ? streamSendError(socket, flags)
        : readyToSend(context, socket, flags, null, wsa.WSAENOTCONN));
    if (error !== 0) return fail(lpErrno, error);
    let envelope: Envelope | number = PLAIN;
    if (socket.message !== null) envelope = envelopeOf(context, socket, null, null);
    if (typeof envelope === 'number') return fail(lpErrno, envelope);
    const transfer = { socket, buffers, count, flags, envelope, mode, lpCount, lpErrno };
    return startSend(context, transfer);
  };
}

/** A connection has its peer: the address is not looked at. [W5.2] */
function createSendTo(context: Context, send: fn.LPWSPSEND): fn.LPWSPSENDTO {
  return (s, buffers, count, lpCount, flags, to, tolen, overlapped, routine, thread, lpErrno) => {
    const socket = context.table.find(s, lpErrno);
    if (socket === null) return ws.SOCKET_ERROR;
    if (socket.message === null) {
      return send(s, buffers, count, lpCount, flags, overlapped, routine, thread, lpErrno);
    }
    const mode = sendMode(context, socket, overlapped, routine, thread);
    const destination = to === null ? null : { name: to, length: tolen };
    const error =
      (lpCount === null && !isOverlappedMode(mode) ? wsa.WSAEFAULT : 0) ||
      readyToSend(context, socket, flags, destination, wsa.WSAEDESTADDRREQ);
    if (error !== 0) return fail(lpErrno, error);
    const envelope = envelopeOf(context, socket, to, null);
    if (typeof envelope === 'number') return fail(lpErrno, envelope);
    const transfer = { socket, buffers, count, flags, envelope, mode, lpCount, lpErrno };
    return startSend(context, transfer);
  };
}

function receiveStateError(socket: KernelSocket, mode: Mode, flags: number): number {
  const isStream = socket.message === null;
  if (isStream && socket.state !== 'connected') return wsa.WSAENOTCONN;
  if (!socket.isOpenForData) return wsa.WSAEINVAL;
  if (socket.isReceiveShut) return wsa.WSAESHUTDOWN;
  if (!isStream) return (flags & MESSAGE_RECEIVE_EXCLUDES) === 0 ? 0 : wsa.WSAEOPNOTSUPP;
  if ((flags & ws.MSG_WAITALL) === 0) return 0;
  const isRefused = socket.isNonblocking && !isOverlappedMode(mode);
  return isRefused || (flags & WAITALL_EXCLUDES) !== 0 ? wsa.WSAEOPNOTSUPP : 0;
}

/** Receives, if nothing is wrong with the arguments. Every call re-enables the events. [W10.3] */
export function startReceive(
  context: Context,
  transfer: Transfer,
  argumentError: number,
  isAlwaysPending: boolean,
): number {
  const { socket, mode, flags, lpCount, lpErrno, count } = transfer;
  const operation = context.scratch;
  const error =
    argumentError ||
    (count === 0 ? wsa.WSAEINVAL : 0) ||
    (lpCount === null && !isOverlappedMode(mode) ? wsa.WSAEFAULT : 0) ||
    receiveStateError(socket, mode, flags) ||
    modeError(context, socket, mode) ||
    captureError(operation, transfer.buffers, count, flags);
  let result: number;
  if (error !== 0) result = fail(lpErrno, error);
  else {
    operation.envelope = transfer.envelope;
    const isUrgent = (flags & ws.MSG_OOB) !== 0;
    result = run(context, socket, {
      mode,
      queue: isUrgent ? socket.urgentReceives : socket.receives,
      attempt: socket.message === null ? attemptReceive : attemptReceiveMessage,
      isWaiting: !socket.isNonblocking || mode.filled !== null,
      timeoutMs: socket.options.receiveTimeoutMs,
      isPartialEnough: false,
      isAlwaysPending: isAlwaysPending || context.profile.completion === 'always-pending',
      lpCount,
      lpErrno,
    });
  }
  const isReenabling = error === 0 || context.profile.failedReceiveReenables;
  if (isReenabling && socket.isOpenForData) reenableReceive(context, socket);
  return result;
}

function createReceiveFrom(context: Context): fn.LPWSPRECVFROM {
  return (...parameters) => {
    const [s, buffers, count, lpCount, lpFlags, from, fromLength] = parameters;
    const [, , , , , , , overlapped, routine, thread, lpErrno] = parameters;
    const socket = context.table.find(s, lpErrno);
    if (socket === null) return ws.SOCKET_ERROR;
    const isMessage = socket.message !== null;
    const mode = modeOf(context, socket, overlapped, routine, thread, false);
    const flags = lpFlags?.value ?? 0;
    // A connection has its peer: the address is not written. [W8.2.1]
    const envelope = isMessage && from !== null ? { ...PLAIN, from, fromLength } : PLAIN;
    const error =
      (lpFlags === null ? wsa.WSAEFAULT : 0) ||
      (isMessage ? nameRoomError(socket, from, fromLength?.value ?? 0) : 0);
    const transfer = { socket, buffers, count, flags, envelope, mode, lpCount, lpErrno };
    const result = startReceive(context, transfer, error, false);
    if (result === 0 && lpFlags !== null) lpFlags.value = 0;
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
    const isPending = (): boolean => wsa.WSA_IO_INCOMPLETE === outcomeOf(overlapped);
    if (isPending()) {
      if (fWait && overlapped.hEvent === 0) return no(wsa.WSA_INVALID_HANDLE);
      // Without fWait one turn of the thread's progress, so that polling alone gets somewhere.
      const deadline = fWait ? Infinity : context.clock.now();
      if (context.blocking.wait(() => !isPending(), deadline) === 'cancelled') {
        return no(wsa.WSAEINTR);
      }
    }
    const error = outcomeOf(overlapped);
    if (error !== 0) {
      const isTold = error !== wsa.WSA_IO_INCOMPLETE && context.profile.failedResultWritesCount;
      if (isTold) lpcbTransfer.value = overlapped.InternalHigh;
      return no(error);
    }
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
  const receiveFrom = createReceiveFrom(context);
  const shutdown = createShutdown(context);
  return {
    send,
    sendTo: createSendTo(context, send),
    receive: (s, buffers, count, lpCount, flags, overlapped, routine, thread, e) =>
      receiveFrom(s, buffers, count, lpCount, flags, null, null, overlapped, routine, thread, e),
    receiveFrom,
    shutdown,
    // TCP carries no disconnect data.
    sendDisconnect: (s, _data, lpErrno) => shutdown(s, ws.SD_SEND, lpErrno),
    receiveDisconnect: (s, _data, lpErrno) => shutdown(s, ws.SD_RECEIVE, lpErrno),
    overlappedResult: createGetOverlappedResult(context),
  };
}
