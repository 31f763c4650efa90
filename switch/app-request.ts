// One data operation of the application from its call to its completion, whichever provider carries
// it. Pooled: the send path allocates nothing. Completion is decided here and nowhere else, so that
// both paths look the same. Sources: W8.1.4, W9.1 to W9.9, APP-01 to APP-05.

import { WSA_IO_PENDING } from '../provider/spi/error-codes.js';
import { statusOfWsaError } from '../provider/spi/ntstatus.js';
import type { WSAOVERLAPPED, WSAOVERLAPPED_COMPLETION_ROUTINE } from '../provider/spi/winsock2.js';
import { createOverlapped } from '../provider/spi/winsock2.js';
import { WSS_OPERATION_IN_PROGRESS } from '../provider/spi/ws2spi.js';
import type { ApcQueue } from './apc-queue.js';
import type { EventTable } from './event-table.js';
import { SessionRequest } from './session/request.js';
import type { SwitchSocket } from './socket.js';

export class AppRequest {
  /** What the session sees; its owner is this request. */
  readonly session = new SessionRequest();
  /** What TCP/IP sees: the application's own structure never leaves the switch. */
  readonly inner: WSAOVERLAPPED = createOverlapped();
  readonly isDone = (): boolean => this.done;
  /** What a blocking receive waits for: its end, or a routine that may run meanwhile. */
  readonly isDoneOrInterrupted = (): boolean => this.done || this.#apcs.isRunnable;
  readonly #apcs: ApcQueue;
  socket: SwitchSocket | null = null;
  isSend = false;
  /** The application's, null in a synchronous call. */
  overlapped: WSAOVERLAPPED | null = null;
  routine: WSAOVERLAPPED_COMPLETION_ROUTINE | null = null;
  /** The call that made it has not returned: the outcome is the call's, not yet an indication. */
  inCall = false;
  done = false;
  error = 0;
  bytes = 0;
  flags = 0;

  constructor(apcs: ApcQueue) {
    this.#apcs = apcs;
  }
}

export class RequestPool {
  readonly #spare: AppRequest[] = [];
  readonly #events: EventTable;
  readonly #apcs: ApcQueue;
  #outstanding = 0;

  constructor(events: EventTable, apcs: ApcQueue) {
    this.#events = events;
    this.#apcs = apcs;
  }

  /** Requests taken and not given back. */
  get outstanding(): number {
    return this.#outstanding;
  }

  take(socket: SwitchSocket, isSend: boolean): AppRequest {
    const request = this.#spare.pop() ?? new AppRequest(this.#apcs);
    request.session.owner = request;
    request.socket = socket;
    request.isSend = isSend;
    request.inCall = true;
    request.done = false;
    request.error = 0;
    request.bytes = 0;
    request.flags = 0;
    this.#outstanding++;
    return request;
  }

  /** Gives a request back that has ended, or that nothing was made of. */
  release(request: AppRequest): void {
    request.session.reset();
    request.socket = null;
    request.overlapped = null;
    request.routine = null;
    this.#outstanding--;
    this.#spare.push(request);
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
    if (routine === null && overlapped.hEvent !== 0) this.#events.reset(overlapped.hEvent);
  }

  /** An operation has ended. Indicates it unless its call is still running. */
  complete(request: AppRequest, error: number, bytes: number, flags: number): void {
    request.done = true;
    request.error = error;
    request.bytes = bytes;
    request.flags = flags;
    if (request.inCall) return;
    if (!request.isSend && request.socket !== null) request.socket.receivesPending--;
    this.#indicate(request);
    this.release(request);
  }

  /**
   * The end of an overlapped call. 0: done, and indicated (W8.1.4, W9.3); WSA_IO_PENDING: later;
   * anything else: not started, and no indication will come. The request is gone unless pending.
   */
  endCall(request: AppRequest): number {
    request.inCall = false;
    if (!request.done) {
      if (!request.isSend && request.socket !== null) request.socket.receivesPending++;
      return WSA_IO_PENDING;
    }
    const error = request.error;
    if (error === 0) this.#indicate(request);
    else if (request.overlapped !== null) request.overlapped.Internal = statusOfWsaError(error);
    this.release(request);
    return error;
  }

  #indicate(request: AppRequest): void {
    const { overlapped, routine, socket, error, bytes, flags } = request;
    if (overlapped !== null) {
      overlapped.Offset = flags;
      overlapped.OffsetHigh = error;
      overlapped.InternalHigh = bytes;
      overlapped.Internal = error === 0 ? 0 : statusOfWsaError(error);
      if (routine === null && overlapped.hEvent !== 0) this.#events.set(overlapped.hEvent);
    }
    if (routine !== null && socket !== null) {
      this.#apcs.queueRoutine(socket, routine, error, bytes, overlapped, flags);
    }
  }
}
