// Data calls on a socket that TCP/IP carries. The switch waits itself: TCP/IP's descriptors are always
// nonblocking, and its overlapped operations use structures of the switch's own, so that both paths
// complete alike. Sources: W4, W8.1, W9, ARCH-08, ARCH-11.

import * as wsa from '../provider/spi/error-codes.js';
import { wsaErrorOfStatus } from '../provider/spi/ntstatus.js';
import type {
  WSABUF,
  WSAOVERLAPPED,
  WSAOVERLAPPED_COMPLETION_ROUTINE,
} from '../provider/spi/winsock2.js';
import * as ws from '../provider/spi/winsock2.js';
import { WSS_OPERATION_IN_PROGRESS } from '../provider/spi/ws2spi.js';
import { deadlineAfter, nudge, wait, waitAlertably } from './blocking.js';
import { CallMode } from './call-mode.js';
import type { AppRequest } from './app-request.js';
import type { SwitchCore } from './core.js';
import { reenable, watchTcp } from './network-events.js';
import type { SwitchSocket } from './socket.js';
import { SocketState } from './socket.js';

type Routine = WSAOVERLAPPED_COMPLETION_ROUTINE | null;

export class TcpTransfers {
  readonly #core: SwitchCore;
  bytes = 0;
  flags = 0;
  readonly #bytes = ws.ref(0);
  readonly #flags = ws.ref(0);
  readonly #errno = ws.ref(0);

  constructor(core: SwitchCore) {
    this.#core = core;
  }

  send(
    socket: SwitchSocket,
    buffers: readonly WSABUF[] | null,
    count: number,
    flags: number,
    mode: CallMode,
    overlapped: WSAOVERLAPPED | null,
    routine: Routine,
  ): number {
    const watched = watchTcp(this.#core, socket);
    if (watched !== 0) return watched;
    if (mode === CallMode.overlapped) {
      return this.#overlapped(socket, true, buffers, count, flags, overlapped, routine);
    }
    const error = this.#sendOnce(socket, buffers, count, flags);
    if (mode === CallMode.nonblocking || !socket.isStream) return error;
    return this.#sendAll(socket, buffers ?? [], count, flags, error);
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
    const watched = watchTcp(this.#core, socket);
    if (watched !== 0) return watched;
    if (mode === CallMode.overlapped) {
      return this.#overlapped(socket, false, buffers, count, flags, overlapped, routine);
    }
    // Waiting for all is the switch's business: below, nothing waits.
    const waitAll = (flags & ws.MSG_WAITALL) !== 0;
    const once = flags & ~ws.MSG_WAITALL;
    const deadline = deadlineAfter(this.#core, socket.receiveTimeoutMs);
    const ready = (): boolean => (socket.tcpReady & (ws.FD_READ | ws.FD_CLOSE | ws.FD_OOB)) !== 0;
    let rest = buffers;
    let moved = 0;
    for (;;) {
      socket.tcpReady &= ~(ws.FD_READ | ws.FD_OOB);
      let error = this.#receiveOnce(socket, rest, rest === buffers ? count : rest.length, once);
      if (error === 0) {
        moved += this.bytes;
        const isFull = moved === total || this.bytes === 0;
        this.bytes = moved;
        if (!waitAll || isFull) return 0;
        rest = after(buffers, count, moved);
        continue;
      }
      if (error !== wsa.WSAEWOULDBLOCK) return error;
      if (mode === CallMode.nonblocking) {
        nudge(this.#core);
        if (!ready()) return error;
        error = this.#receiveOnce(socket, rest, count, once);
        return error;
      }
      // FD_CLOSE comes once, and what it announces stays.
      socket.tcpReady &= ~ws.FD_CLOSE;
      if (!waitAlertably(this.#core, ready, deadline)) return wsa.WSAETIMEDOUT;
    }
  }

  /** Fetches what TCP/IP has finished of a socket's operations. Returns how many. */
  poll(socket: SwitchSocket): number {
    const { tcpPending } = socket;
    let ended = 0;
    for (let index = 0; index < tcpPending.length; ) {
      const request = tcpPending[index];
      if (request === undefined || request.inner.Internal === WSS_OPERATION_IN_PROGRESS) {
        index++;
        continue;
      }
      tcpPending.splice(index, 1);
      const { inner } = request;
      let error = wsaErrorOfStatus(inner.Internal);
      this.#bytes.value = inner.InternalHigh;
      this.#flags.value = 0;
      if (socket.state !== SocketState.closed) {
        const { lpWSPGetOverlappedResult } = this.#core.tcp;
        const { descriptor } = socket;
        const errno = this.#errno;
        const bytes = this.#bytes;
        const done = lpWSPGetOverlappedResult(descriptor, inner, bytes, false, this.#flags, errno);
        error = done ? 0 : errno.value;
      }
      this.#ended(request, error, this.#bytes.value, this.#flags.value);
      ended++;
    }
    return ended;
  }

  #ended(request: AppRequest, error: number, bytes: number, flags: number): void {
    const { requests, statistics } = this.#core;
    if (error === 0 && request.isSend) statistics.tcpSent(bytes);
    else if (error === 0) statistics.tcpReceived(bytes);
    requests.complete(request, error, bytes, flags);
  }

  #overlapped(
    socket: SwitchSocket,
    isSend: boolean,
    buffers: readonly WSABUF[] | null,
    count: number,
    flags: number,
    overlapped: WSAOVERLAPPED | null,
    routine: Routine,
  ): number {
    const { requests, tcp, apcs } = this.#core;
    const request = requests.take(socket, isSend);
    requests.begin(request, overlapped, routine);
    const { inner } = request;
    inner.hEvent = socket.tcpEvent;
    inner.Internal = 0;
    inner.InternalHigh = 0;
    const s = socket.descriptor;
    const errno = this.#errno;
    const { threadId } = apcs;
    this.#flags.value = flags;
    const bytes = this.#bytes;
    const result = isSend
      ? tcp.lpWSPSend(s, buffers, count, bytes, flags, inner, null, threadId, errno)
      : tcp.lpWSPRecv(s, buffers, count, bytes, this.#flags, inner, null, threadId, errno);
    if (result === 0) {
      this.#ended(request, 0, bytes.value, isSend ? 0 : this.#flags.value);
    } else if (errno.value === wsa.WSA_IO_PENDING) {
      if (socket.tcpPending.length === 0) this.#core.tcpBusy.push(socket);
      socket.tcpPending.push(request);
    } else {
      requests.complete(request, errno.value, 0, 0);
    }
    const code = requests.endCall(request);
    this.bytes = request.bytes;
    this.flags = request.flags;
    return code;
  }

  #sendOnce(
    socket: SwitchSocket,
    buffers: readonly WSABUF[] | null,
    count: number,
    flags: number,
  ): number {
    const errno = this.#errno;
    const { lpWSPSend } = this.#core.tcp;
    socket.tcpReady &= ~ws.FD_WRITE;
    const s = socket.descriptor;
    const bytes = this.#bytes;
    const failed = lpWSPSend(s, buffers, count, bytes, flags, null, null, null, errno) !== 0;
    this.bytes = failed ? 0 : bytes.value;
    this.#core.statistics.tcpSent(this.bytes);
    this.flags = 0;
    if (!failed) return 0;
    if (errno.value === wsa.WSAEWOULDBLOCK) reenable(socket, ws.FD_WRITE);
    return errno.value;
  }

  /** W4.7: until every byte has been consumed, by a first call that ended with `error`. */
  #sendAll(
    socket: SwitchSocket,
    buffers: readonly WSABUF[],
    count: number,
    flags: number,
    error: number,
  ): number {
    let sum = 0;
    for (let index = 0; index < count; index++) sum += buffers[index]?.len ?? 0;
    const deadline = deadlineAfter(this.#core, socket.sendTimeoutMs);
    const ready = (): boolean => (socket.tcpReady & (ws.FD_WRITE | ws.FD_CLOSE)) !== 0;
    let moved = this.bytes;
    let last = error;
    while (last === wsa.WSAEWOULDBLOCK || (last === 0 && moved < sum)) {
      if (last !== 0) {
        socket.tcpReady &= ~ws.FD_CLOSE;
        if (!wait(this.#core, ready, deadline)) return wsa.WSAETIMEDOUT;
      }
      const rest = after(buffers, count, moved);
      last = this.#sendOnce(socket, rest, rest.length, flags);
      moved += this.bytes;
    }
    this.bytes = moved;
    return last;
  }

  #receiveOnce(
    socket: SwitchSocket,
    buffers: readonly WSABUF[],
    count: number,
    flags: number,
  ): number {
    const errno = this.#errno;
    const { lpWSPRecv } = this.#core.tcp;
    this.#flags.value = flags;
    const s = socket.descriptor;
    const bytes = this.#bytes;
    const failed = lpWSPRecv(s, buffers, count, bytes, this.#flags, null, null, null, errno) !== 0;
    this.bytes = failed ? 0 : bytes.value;
    this.#core.statistics.tcpReceived(this.bytes);
    this.flags = failed ? 0 : this.#flags.value;
    return failed ? errno.value : 0;
  }
}

/** What is left of `buffers` behind their first `moved` bytes. */
function after(buffers: readonly WSABUF[], count: number, moved: number): WSABUF[] {
  const rest: WSABUF[] = [];
  let skip = moved;
  for (let index = 0; index < count; index++) {
    const { buf, len } = buffers[index] as WSABUF;
    if (skip >= len) {
      skip -= len;
      continue;
    }
    rest.push({ len: len - skip, buf: buf === null ? null : buf.subarray(skip) });
    skip = 0;
  }
  return rest;
}
