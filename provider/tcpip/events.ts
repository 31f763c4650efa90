// Network events: recording, re-enabling, WSPEventSelect and WSPEnumNetworkEvents. An occurrence fires
// when its condition holds and it is enabled; firing disables it until a re-enabling call. It must not
// know how data moves. Sources: W10; the documented side of its TRAPs.

import { EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP } from '../../native/reactor.js';
import { native } from '../../native/load.js';
import { WSAECONNRESET, WSAEFAULT, WSAEINVAL } from '../spi/errors.js';
import { fail } from '../spi/ws2spi.js';
import type { LPWSPENUMNETWORKEVENTS, LPWSPEVENTSELECT } from '../spi/ws2spi.js';
import * as ws from '../spi/winsock2.js';
import { isWanted, readinessOf, updateInterest } from './interest.js';
import { takeSocketError } from './kernel-option.js';
import { hasMessage } from './message.js';
import type { Context, KernelSocket } from './record.js';
import { streamError } from './stream-error.js';
import { EPOLLPRI } from './translate.js';

const BROKEN = EPOLLERR | EPOLLHUP;
const ENDED = EPOLLRDHUP | BROKEN;

/** Records an occurrence and signals the event, if it is selected and enabled. [W10.2] */
export function raise(context: Context, socket: KernelSocket, event: number, error = 0): void {
  if (!isWanted(socket, event)) return;
  const { selection } = socket;
  selection.fired |= event;
  selection.record |= event;
  selection.errors[Math.log2(event)] = error;
  context.upcalls.lpWPUSetEvent(selection.event, { value: 0 });
}

/** Lets an occurrence fire again. Looking whether its condition holds is the caller's. [W10.3] */
function enable(socket: KernelSocket, event: number): void {
  socket.selection.fired &= ~event;
}

/** Every receive call, failed ones too: FD_READ fires again while there is data. [W10.3, W10.4] */
export function reenableReceive(context: Context, socket: KernelSocket): void {
  socket.isCloseDeferred = false;
  if (socket.selection.mask === 0) return;
  enable(socket, ws.FD_READ | ws.FD_OOB);
  raiseReadable(context, socket);
  socket.inbound = 'unknown';
  updateInterest(context, socket);
}

/** A send found no room: FD_WRITE fires when there is some again. [W10.6] */
export function reenableSend(context: Context, socket: KernelSocket): void {
  socket.isWriteBlocked = true;
  enable(socket, ws.FD_WRITE);
  updateInterest(context, socket);
}

/** Every accept call but a deferring one. [W10.3] */
export function reenableAccept(context: Context, socket: KernelSocket): void {
  enable(socket, ws.FD_ACCEPT);
  if (isWanted(socket, ws.FD_ACCEPT)) raiseAcceptable(context, socket);
  updateInterest(context, socket);
}

/** A new connect attempt has an outcome of its own to report. */
export function reenableConnect(socket: KernelSocket): void {
  enable(socket, ws.FD_CONNECT | ws.FD_WRITE);
}

/** The outcome of a connect: FD_CONNECT, and FD_WRITE when it is success. [W10.7] */
export function raiseConnected(context: Context, socket: KernelSocket): void {
  if (socket.connectOutcome !== null) {
    raise(context, socket, ws.FD_CONNECT, socket.connectOutcome);
  }
  if (socket.isOpenForData && !socket.isWriteBlocked) raise(context, socket, ws.FD_WRITE);
}

/** Records what a readiness report of a connected socket shows, after pending operations had it. */
export function noteReadiness(context: Context, socket: KernelSocket, ready: number): void {
  if (socket.failure === 0 && (ready & EPOLLERR) !== 0) takeFailure(socket);
  if ((ready & EPOLLPRI) !== 0) raise(context, socket, ws.FD_OOB);
  if ((ready & EPOLLIN) !== 0) raiseReadable(context, socket);
  if ((ready & ENDED) !== 0) noteEnd(context, socket);
  if ((ready & (EPOLLOUT | BROKEN)) !== 0) {
    socket.isWriteBlocked = false;
    raise(context, socket, ws.FD_WRITE);
  }
}

/** The same of a message socket: what the network answered is there to be received as well. */
export function noteMessageReadiness(context: Context, socket: KernelSocket, ready: number): void {
  raiseReadable(context, socket);
  if ((ready & EPOLLOUT) === 0) return;
  socket.isWriteBlocked = false;
  raise(context, socket, ws.FD_WRITE);
}

/** A broken connection tells every later transfer, so its error is kept. */
export function takeFailure(socket: KernelSocket): number {
  const number = takeSocketError(socket.fd);
  if (number !== 0) socket.failure = streamError(socket, number);
  return socket.failure;
}

/** The stream ended or broke. What arrived before is read first, then FD_CLOSE is told. [W10.8] */
function noteEnd(context: Context, socket: KernelSocket): void {
  const hasData = socket.failure === 0 && native.socketReadable(socket.fd) > 0;
  const { closePrecedesData, resetCloseError } = context.profile;
  socket.isCloseDeferred = hasData;
  socket.isInboundEnded = !hasData;
  if (hasData && !closePrecedesData) return;
  const isReset = socket.failure === WSAECONNRESET;
  raise(context, socket, ws.FD_CLOSE, isReset ? resetCloseError : socket.failure);
}

/** Data that a pending receive will take is not reported. [W10.9] */
function raiseReadable(context: Context, socket: KernelSocket): void {
  if (!socket.isOpenForData || socket.receives.length > 0) return;
  if (!isWanted(socket, ws.FD_READ)) return;
  if (isReadable(socket)) raise(context, socket, ws.FD_READ);
}

/** The kernel is asked only where the last attempt or report leaves it open. */
function isReadable(socket: KernelSocket): boolean {
  if (socket.inbound !== 'unknown') return socket.inbound === 'ready';
  return socket.message === null ? native.socketReadable(socket.fd) > 0 : hasMessage(socket);
}

function raiseAcceptable(context: Context, socket: KernelSocket): void {
  const isReady = socket.deferred.length > 0 || readinessOf(socket.fd, EPOLLIN) !== 0;
  if (isReady) raise(context, socket, ws.FD_ACCEPT);
}

/** Records, at the time of the selection, what holds already and was not reported before. [W10.5] */
export function evaluate(context: Context, socket: KernelSocket): void {
  socket.inbound = 'unknown';
  raiseConnected(context, socket);
  if (socket.state === 'listening') raiseAcceptable(context, socket);
  if (socket.message !== null && socket.isOpenForData) {
    raiseReadable(context, socket);
  } else if (socket.state === 'connected') {
    if (socket.failure !== 0) noteEnd(context, socket);
    else {
      const wanted = EPOLLIN | EPOLLRDHUP | EPOLLPRI;
      noteReadiness(context, socket, readinessOf(socket.fd, wanted) & (wanted | BROKEN));
    }
  }
  updateInterest(context, socket);
}

export function createEventFunctions(context: Context): {
  eventSelect: LPWSPEVENTSELECT;
  enumNetworkEvents: LPWSPENUMNETWORKEVENTS;
} {
  return {
    eventSelect(s, hEventObject, lNetworkEvents, lpErrno) {
      const socket = context.table.find(s, lpErrno);
      if (socket === null) return ws.SOCKET_ERROR;
      const isSelecting = lNetworkEvents !== 0;
      if ((lNetworkEvents & ~ws.FD_ALL_EVENTS) !== 0) return fail(lpErrno, WSAEINVAL);
      if (isSelecting && hEventObject === 0) return fail(lpErrno, WSAEINVAL);
      const { selection } = socket;
      // Whatever the mask; the socket stays so when the selection ends. [W10.1]
      socket.isNonblocking = true;
      selection.isActive = isSelecting;
      selection.event = isSelecting ? hEventObject : 0;
      selection.mask = lNetworkEvents;
      if ((selection.record & selection.mask) !== 0) {
        context.upcalls.lpWPUSetEvent(selection.event, { value: 0 });
      }
      evaluate(context, socket);
      return 0;
    },

    enumNetworkEvents(s, hEventObject, lpNetworkEvents, lpErrno) {
      const socket = context.table.find(s, lpErrno);
      if (socket === null) return ws.SOCKET_ERROR;
      if (lpNetworkEvents === null) return fail(lpErrno, WSAEFAULT);
      // First what may fail, so that a failure changes nothing. [W10.11]
      if (hEventObject !== 0 && !context.upcalls.lpWPUResetEvent(hEventObject, { value: 0 })) {
        return fail(lpErrno, WSAEINVAL);
      }
      const { selection } = socket;
      const reported = selection.record & selection.mask;
      lpNetworkEvents.lNetworkEvents = reported;
      for (let bit = 0; bit < ws.FD_MAX_EVENTS; bit++) {
        if ((reported & (1 << bit)) !== 0) {
          lpNetworkEvents.iErrorCode[bit] = selection.errors[bit] ?? 0;
        }
      }
      selection.record &= ~reported;
      return 0;
    },
  };
}

/** An accepted socket takes over the listener's event and mask. [W10.10] */
export function inheritSelection(from: KernelSocket, to: KernelSocket): void {
  to.selection.event = from.selection.event;
  to.selection.mask = from.selection.mask;
  to.selection.isActive = from.selection.isActive;
}
