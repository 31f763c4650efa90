// One call of an mswsock.h function (AcceptEx, ConnectEx, DisconnectEx, TransmitFile) from its start to
// its completion, and the sends and receives it makes of itself on the way. Completion is the same as
// that of every other operation (app-request.ts). Sources: XFER-17, ACC-05, ACC-06, W9.1 to W9.8.

import * as wsa from '../../provider/spi/error-codes.js';
import { wsaErrorOfStatus } from '../../provider/spi/ntstatus.js';
import type { Ref, WSAOVERLAPPED } from '../../provider/spi/winsock2.js';
import * as ws from '../../provider/spi/winsock2.js';
import { WSS_OPERATION_IN_PROGRESS } from '../../provider/spi/ws2spi.js';
import type { AppRequest } from '../app-request.js';
import { wait } from '../blocking.js';
import { cancelOverlapped } from '../cancel.js';
import type { Attendant, SwitchCore } from '../core.js';
import type { Cancellable, SwitchSocket } from '../socket.js';
import type { Transfers } from '../transfer.js';

/** What the functions of this folder are called with besides the application's arguments. */
export interface ExtendedContext {
  readonly core: SwitchCore;
  readonly transfers: Transfers;
}

export class ExtendedCall implements Cancellable {
  protected readonly core: SwitchCore;
  readonly #transfers: Transfers;
  readonly #sockets: SwitchSocket[] = [];
  readonly #request: AppRequest;
  readonly #isOverlapped: boolean;
  #inner: InnerTransfer | null = null;
  #isEnded = false;
  #isGivenUp = false;

  /** `socket` is the one the call is made on: its completion port is told. */
  constructor(context: ExtendedContext, socket: SwitchSocket, overlapped: WSAOVERLAPPED | null) {
    this.core = context.core;
    this.#transfers = context.transfers;
    this.#isOverlapped = overlapped !== null;
    // Not a receive: those are counted for shutdown(SD_RECEIVE).
    this.#request = this.core.requests.take(socket, true);
    this.#request.cancellable = this;
    this.core.requests.begin(this.#request, overlapped, null);
    this.watch(socket);
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** Closing `socket` cancels the call. */
  watch(socket: SwitchSocket): void {
    this.#sockets.push(socket);
    socket.extended.push(this);
  }

  /** Gives the call up, which ends when nothing uses the application's memory any more. [BLK-05] */
  cancel(error: number): void {
    if (this.#isEnded || this.#isGivenUp) return;
    this.#isGivenUp = true;
    this.withdrawn(error);
    if (this.#inner === null) this.end(error, 0);
    else this.#inner.giveUp(() => this.end(error, 0));
  }

  /** The call has come to its end; nothing happens if it had before. */
  end(error: number, bytes: number): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    for (const { extended } of this.#sockets) extended.splice(extended.indexOf(this), 1);
    this.core.requests.complete(this.#request, error, bytes, 0);
  }

  /**
   * What the function returns: TRUE when the call has succeeded, FALSE with lpErrno otherwise. Waits
   * for the end when nobody could be told of it later.
   */
  outcome(lpBytes: Ref<number> | null, lpErrno: Ref<number>): boolean {
    const request = this.#request;
    if (!this.#isOverlapped) wait(this.core, request.isDone, Infinity);
    if (request.done && lpBytes !== null) lpBytes.value = request.bytes;
    const error = this.core.requests.endCall(request);
    lpErrno.value = error;
    return error === 0;
  }

  /** Sends `buf`, or receives into it; `ended` is called with the outcome, perhaps at once. */
  protected transfer(
    kind: 'send' | 'receive',
    socket: SwitchSocket,
    buf: Uint8Array,
    ended: (error: number, bytes: number) => void,
  ): void {
    const inner = new InnerTransfer(this.core, (error, bytes) => {
      this.#inner = null;
      ended(error, bytes);
    });
    this.#inner = inner;
    inner.start(this.#transfers, kind, socket, buf);
  }

  /** The call is cancelled: what it has begun is undone, as far as that goes. */
  protected withdrawn(_error: number): void {
    // Most have nothing to undo.
  }
}

/** An overlapped transfer of the switch's own on a socket of the application. */
class InnerTransfer implements Attendant {
  readonly #core: SwitchCore;
  readonly #overlapped: WSAOVERLAPPED;
  #socket: SwitchSocket | null = null;
  #ended: ((error: number, bytes: number) => void) | null;

  constructor(core: SwitchCore, ended: (error: number, bytes: number) => void) {
    this.#core = core;
    this.#ended = ended;
    // Tagged: a completion port of the application's hears of the whole call only. [W9.13.1]
    this.#overlapped = ws.createOverlapped(core.createOwnEvent(this) | 1);
  }

  start(
    transfers: Transfers,
    kind: 'send' | 'receive',
    socket: SwitchSocket,
    buf: Uint8Array,
  ): void {
    const { handle } = socket;
    this.#socket = socket;
    const buffers = [{ len: buf.length, buf }];
    const bytes = ws.ref(0);
    const errno = ws.ref(0);
    const overlapped = this.#overlapped;
    // Even on a socket that was made without the attribute.
    transfers.forceOverlapped = true;
    const result =
      kind === 'send'
        ? transfers.send(handle, buffers, 1, bytes, 0, overlapped, null, errno)
        : transfers.receive(handle, buffers, 1, bytes, ws.ref(0), overlapped, null, errno);
    transfers.forceOverlapped = false;
    if (result === 0) this.#finish(0, bytes.value);
    else if (errno.value !== wsa.WSA_IO_PENDING) this.#finish(errno.value, 0);
  }

  /** Has it end as soon as its memory is free; only `ended` is told, perhaps at once. */
  giveUp(ended: () => void): void {
    this.#ended = ended;
    if (this.#socket !== null) cancelOverlapped(this.#core, this.#socket, this.#overlapped);
    this.attend();
  }

  attend(): void {
    const { Internal, InternalHigh } = this.#overlapped;
    if (Internal === WSS_OPERATION_IN_PROGRESS) return;
    this.#finish(wsaErrorOfStatus(Internal), InternalHigh);
  }

  #finish(error: number, bytes: number): void {
    const ended = this.#ended;
    if (ended === null) return;
    this.#ended = null;
    this.#core.events.close(this.#overlapped.hEvent);
    ended(error, bytes);
  }
}
