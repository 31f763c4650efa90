// One data operation of the application from its call to its completion, whichever provider carries
// it. Pooled: the send path allocates nothing. Completion is decided here and nowhere else, so that
// both paths look the same. Sources: W8.1.4, W9.1 to W9.9, APP-01 to APP-05.

import { WSA_IO_PENDING, WSAEMSGSIZE } from '../provider/spi/error-codes.js';
import { statusOfWsaError } from '../provider/spi/ntstatus.js';
import type { WSAOVERLAPPED, WSAOVERLAPPED_COMPLETION_ROUTINE } from '../provider/spi/winsock2.js';
import {
  createOverlapped,
  FILE_SKIP_COMPLETION_PORT_ON_SUCCESS,
  FILE_SKIP_SET_EVENT_ON_HANDLE,
} from '../provider/spi/winsock2.js';
import { WSS_OPERATION_IN_PROGRESS } from '../provider/spi/ws2spi.js';
import type { ApcQueue } from './apc-queue.js';
import type { EventTable } from './event-table.js';
import { SessionRequest } from './session/request.js';
import type { Cancellable, SwitchSocket } from './socket.js';

export class AppRequest {
  /** What the session sees; its owner is this request. */
  readonly session = new SessionRequest();
  /** What TCP/IP sees: the application's own structure never leaves the switch. */
  readonly inner: WSAOVERLAPPED = createOverlapped();
  readonly isDone = (): boolean => this.done;
  /** What a blocking receive waits for: its end, or a routine that may run meanwhile. */
  readonly isDoneOrInterrupted = (): boolean => this.done || this.apcs.isRunnable;
  private readonly apcs: ApcQueue;
  socket: SwitchSocket | null = null;
  isSend = false;
  /** Offset and OffsetHigh stay as they are: a file system owns this operation. [W8.3.3] */
  isOpaque = false;
  /** Who ends it when it is cancelled, where that is neither the session nor TCP/IP. */
  cancellable: Cancellable | null = null;
  /** The application's, null in a synchronous call. */
  overlapped: WSAOVERLAPPED | null = null;
  routine: WSAOVERLAPPED_COMPLETION_ROUTINE | null = null;
  /** The call that made it has not returned: the outcome is the call's, not yet an indication. */
  inCall = false;
  done = false;
  error = 0;
  bytes = 0;
  flags = 0;
  /** In its socket's list of operations under way. */
  isListed = false;
  newer: AppRequest | null = null;
  older: AppRequest | null = null;

  constructor(apcs: ApcQueue) {
    this.apcs = apcs;
  }
}

export class RequestPool {
  private readonly spare: AppRequest[] = [];
  private readonly events: EventTable;
  private readonly apcs: ApcQueue;
  private outCount = 0;

  constructor(events: EventTable, apcs: ApcQueue) {
    this.events = events;
    this.apcs = apcs;
  }

  /** Requests taken and not given back. */
  get outstanding(): number {
    return this.outCount;
  }

  take(socket: SwitchSocket, isSend: boolean): AppRequest {
    const request = this.spare.pop() ?? new AppRequest(this.apcs);
    request.session.owner = request;
    request.socket = socket;
    request.isSend = isSend;
    request.isOpaque = false;
    request.cancellable = null;
    request.inCall = true;
    request.done = false;
    request.error = 0;
    request.bytes = 0;
    request.flags = 0;
    this.outCount++;
    return request;
  }

  /** Gives a request back that has ended, or that nothing was made of. */
  release(request: AppRequest): void {
    request.session.reset();
    request.socket = null;
    request.overlapped = null;
    request.routine = null;
    this.outCount--;
    this.spare.push(request);
  }

  /**
   * Makes a call overlapped: the structure says "in progress", the event is reset. [W9.2, W9.7]
   */
  begin(
    request: AppRequest,
    overlapped: WSAOVERLAPPED | null,
    routine: WSAOVERLAPPED_COMPLETION_ROUTINE | null,
  ): void {
    request.overlapped = overlapped;
    request.routine = routine;
    if (overlapped === null) return;
    overlapped.Internal = WSS_OPERATION_IN_PROGRESS;
    // With a routine hEvent is the application's own. [W9.4]
    if (routine !== null) return;
    if (overlapped.hEvent !== 0) this.events.reset(overlapped.hEvent);
    else if (request.socket !== null) request.socket.isSignalled = false;
  }

  /** An operation has ended. Indicates it unless its call is still running. */
  complete(request: AppRequest, error: number, bytes: number, flags: number): void {
    request.done = true;
    request.error = error;
    request.bytes = bytes;
    request.flags = flags;
    if (request.inCall) return;
    if (request.isListed) unlist(request);
    this.indicateEnd(request, false);
    this.release(request);
  }

  /** The same for a receive that `bytes` bytes have gone into: mostly one that is polled for. */
  received(request: AppRequest, bytes: number): void {
    const { overlapped, socket } = request;
    const isPlain = request.isListed && request.routine === null && !request.isOpaque;
    if (!isPlain || overlapped === null || socket === null) {
      this.complete(request, 0, bytes, 0);
      return;
    }
    unlist(request);
    overlapped.Offset = 0;
    overlapped.OffsetHigh = 0;
    overlapped.InternalHigh = bytes;
    overlapped.Internal = 0;
    if (!isSignalledAlone(socket, overlapped)) this.signal(socket, overlapped, false);
    this.release(request);
  }

  /**
   * The end of an overlapped call. 0: done, and indicated (W8.1.4, W9.3); WSA_IO_PENDING: later;
   * anything else: not started, and no indication will come. The request is gone unless pending.
   */
  endCall(request: AppRequest): number {
    request.inCall = false;
    if (!request.done) {
      list(request);
      return WSA_IO_PENDING;
    }
    const { error } = request;
    // A message that was cut short has been received: that is told by an indication only. [W8.3.4]
    const isTruncated = error === WSAEMSGSIZE && !request.isSend;
    // Nor has the call a place for how much of a send has gone. [docs/decisions/0051]
    const isCut = error !== 0 && request.isSend && request.bytes > 0;
    const isTold = (isTruncated || isCut) && request.overlapped !== null;
    if (error === 0 || isTold) this.indicateEnd(request, true);
    else if (request.overlapped !== null) request.overlapped.Internal = statusOfWsaError(error);
    this.release(request);
    return isTold ? WSA_IO_PENDING : error;
  }

  /** An overlapped call whose operation has ended in it, with success: all of the above at once. */
  endAtOnce(
    socket: SwitchSocket,
    overlapped: WSAOVERLAPPED,
    routine: WSAOVERLAPPED_COMPLETION_ROUTINE | null,
    bytes: number,
  ): void {
    overlapped.Offset = 0;
    overlapped.OffsetHigh = 0;
    overlapped.InternalHigh = bytes;
    overlapped.Internal = 0;
    if (routine !== null) this.apcs.queueRoutine(socket, routine, 0, bytes, overlapped, 0);
    else if (!isSignalledAlone(socket, overlapped)) this.signal(socket, overlapped, true);
  }

  /** `inCall`: the call has not returned, and does so with success. */
  private indicateEnd(request: AppRequest, inCall: boolean): void {
    const { overlapped, routine, socket, error, bytes, flags } = request;
    if (overlapped !== null) {
      if (!request.isOpaque) {
        overlapped.Offset = flags;
        overlapped.OffsetHigh = error;
      }
      overlapped.InternalHigh = bytes;
      overlapped.Internal = error === 0 ? 0 : statusOfWsaError(error);
    }
    if (socket === null) return;
    if (routine !== null) {
      this.apcs.queueRoutine(socket, routine, error, bytes, overlapped, flags);
    } else if (overlapped !== null && !isSignalledAlone(socket, overlapped)) {
      this.signal(socket, overlapped, inCall);
    }
  }

  /** The event or else the socket's handle, and the completion packet. [W9.1, W9.13.1, W2.11] */
  private signal(socket: SwitchSocket, overlapped: WSAOVERLAPPED, inCall: boolean): void {
    const { hEvent, Internal, InternalHigh } = overlapped;
    const { port, notificationModes } = socket;
    if (hEvent !== 0) this.events.set(hEvent);
    else if ((notificationModes & FILE_SKIP_SET_EVENT_ON_HANDLE) === 0) socket.isSignalled = true;
    if (port === null || (hEvent & 1) !== 0) return;
    const isSkipped =
      inCall && Internal === 0 && (notificationModes & FILE_SKIP_COMPLETION_PORT_ON_SUCCESS) !== 0;
    if (!isSkipped) port.post(socket.portKey, overlapped, InternalHigh, Internal);
  }
}

/** The short way of signal: nobody but those who poll, or wait for the handle. */
function isSignalledAlone(socket: SwitchSocket, overlapped: WSAOVERLAPPED): boolean {
  if (overlapped.hEvent !== 0 || socket.port !== null || socket.notificationModes !== 0)
    return false;
  socket.isSignalled = true;
  return true;
}

/** The operation goes on after its call: its socket knows of it. */
function list(request: AppRequest): void {
  const { socket } = request;
  if (socket === null) return;
  const { newestRequest } = socket;
  request.isListed = true;
  request.newer = null;
  request.older = newestRequest;
  if (newestRequest !== null) newestRequest.newer = request;
  socket.newestRequest = request;
  socket.requestCount++;
  if (!request.isSend) socket.receivesPending++;
}

function unlist(request: AppRequest): void {
  const { socket, newer, older } = request;
  request.isListed = false;
  request.newer = null;
  request.older = null;
  if (newer !== null) newer.older = older;
  if (older !== null) older.newer = newer;
  if (socket === null) return;
  if (newer === null) socket.newestRequest = older;
  socket.requestCount--;
  if (!request.isSend) socket.receivesPending--;
}

/** The operations of a socket that are under way, oldest first: a copy, since ending one unlists it. */
export function requestsOf(socket: SwitchSocket): AppRequest[] {
  const all: AppRequest[] = [];
  for (let at = socket.newestRequest; at !== null; at = at.older) all.unshift(at);
  return all;
}
