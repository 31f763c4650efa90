// Data calls on a socket whose connection another process controls, or is about to: who waits, waits for
// control and then goes the ordinary way; overlapped operations are kept; the others find nothing, and
// have asked. Sources: DUP-03, DUP-04, DUP-10, W4.6, W4.13.

import * as wsa from '../../provider/spi/error-codes.js';
import type {
  WSABUF,
  WSAOVERLAPPED,
  WSAOVERLAPPED_COMPLETION_ROUTINE,
} from '../../provider/spi/winsock2.js';
import * as ws from '../../provider/spi/winsock2.js';
import { deadlineAfter, nudge, waitAlertably } from '../blocking.js';
import { CallMode } from '../call-mode.js';
import type { SwitchCore } from '../core.js';
import { reenable } from '../network-events.js';
import { capture, type SanTransfers } from '../san-transfer.js';
import { RequestFlag } from '../session/request.js';
import type { SwitchSocket } from '../socket.js';
import type { Share } from './share.js';

type Routine = WSAOVERLAPPED_COMPLETION_ROUTINE | null;

export class SharedTransfers {
  readonly #core: SwitchCore;
  readonly #san: SanTransfers;
  bytes = 0;
  flags = 0;

  constructor(core: SwitchCore, san: SanTransfers) {
    this.#core = core;
    this.#san = san;
  }

  send(
    socket: SwitchSocket,
    buffers: readonly WSABUF[] | null,
    total: number,
    count: number,
    flags: number,
    mode: CallMode,
    overlapped: WSAOVERLAPPED | null,
    routine: Routine,
  ): number {
    if (socket.sendShut) return wsa.WSAESHUTDOWN;
    if (mode === CallMode.overlapped) {
      const request = this.#core.requests.take(socket, true);
      this.#core.requests.begin(request, overlapped, routine);
      capture(request, buffers, count, total);
      if ((flags & ws.MSG_OOB) !== 0) request.session.flags = RequestFlag.urgent;
      // W4.13: nothing goes over the wire, so nobody needs control for it.
      if (total === 0) this.#core.requests.complete(request, 0, 0, 0);
      else (socket.share as Share).hold(request);
      return this.#ended(this.#core.requests.endCall(request), 0, 0);
    }
    const error = this.#acquire(socket, mode, socket.sendTimeoutMs);
    if (error !== 0) {
      if (error === wsa.WSAEWOULDBLOCK) reenable(socket, ws.FD_WRITE);
      return this.#ended(error === ENDED ? wsa.WSAECONNABORTED : error, 0, 0);
    }
    const san = this.#san;
    const code = san.send(socket, buffers, total, count, flags, mode, overlapped, routine);
    return this.#ended(code, san.bytes, san.flags);
  }

  receive(
    socket: SwitchSocket,
    buffers: readonly WSABUF[],
    total: number,
    count: number,
    flags: number,
    mode: CallMode,
    overlapped: WSAOVERLAPPED | null,
    routine: Routine,
  ): number {
    if (mode === CallMode.overlapped && (flags & ws.MSG_PEEK) === 0) {
      const request = this.#core.requests.take(socket, false);
      this.#core.requests.begin(request, overlapped, routine);
      capture(request, buffers, count, total);
      if ((flags & ws.MSG_OOB) !== 0) request.session.flags = RequestFlag.urgent;
      else if ((flags & ws.MSG_WAITALL) !== 0) request.session.flags = RequestFlag.waitAll;
      (socket.share as Share).hold(request);
      return this.#ended(this.#core.requests.endCall(request), 0, 0);
    }
    const error = this.#acquire(socket, mode, socket.receiveTimeoutMs);
    // W8.1.7: an overlapped peek is served from what is there.
    if (error === wsa.WSAEWOULDBLOCK && mode === CallMode.overlapped) return wsa.WSAEOPNOTSUPP;
    if (error !== 0) return this.#ended(error === ENDED ? 0 : error, 0, 0);
    const san = this.#san;
    const code = san.receive(socket, buffers, total, count, flags, mode, overlapped, routine);
    return this.#ended(code, san.bytes, san.flags);
  }

  /** 0 with control, which the caller uses at once; ENDED after a graceful end; or an error. */
  #acquire(socket: SwitchSocket, mode: CallMode, timeoutMs: number): number {
    const core = this.#core;
    const share = socket.share as Share;
    const isHere = (): boolean => socket.connection !== null || share.end !== null;
    share.want();
    if (!isHere()) {
      if (mode !== CallMode.blocking) nudge(core);
      else if (!waitAlertably(core, isHere, deadlineAfter(core, timeoutMs))) {
        return wsa.WSAETIMEDOUT;
      }
    }
    if (socket.connection !== null) {
      share.used();
      return 0;
    }
    const { end } = share;
    if (end === null) return wsa.WSAEWOULDBLOCK;
    return end === 0 ? ENDED : end;
  }

  #ended(code: number, bytes: number, flags: number): number {
    this.bytes = bytes;
    this.flags = flags;
    return code;
  }
}

/** No error of Winsock's: the stream has come to its end elsewhere. */
const ENDED = -1;
