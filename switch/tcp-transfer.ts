// Calls on a socket that TCP/IP carries. The switch waits itself: TCP/IP's descriptors are always
// nonblocking, and its overlapped operations use structures of the switch's own, so that both paths
// complete alike. Sources: W4, W5, W6, W8, W9, W11, ARCH-08, ARCH-11.

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
import { TcpCall, TcpFunction } from './tcp-call.js';

type Routine = WSAOVERLAPPED_COMPLETION_ROUTINE | null;

const READABLE = ws.FD_READ | ws.FD_CLOSE | ws.FD_OOB;
const WRITABLE = ws.FD_WRITE | ws.FD_CLOSE;

export class TcpTransfers {
  readonly #core: SwitchCore;
  /** What the last call moved; meaningful for success and for a message that was cut short. */
  bytes = 0;
  flags = 0;
  readonly #spare: TcpCall[] = [];
  readonly #flags = ws.ref(0);
  readonly #bytes = ws.ref(0);
  readonly #errno = ws.ref(0);

  constructor(core: SwitchCore) {
    this.#core = core;
  }

  /** A call to fill in and hand to run(), which takes it back. */
  take(kind: TcpFunction): TcpCall {
    const call = this.#spare.pop() ?? new TcpCall();
    call.kind = kind;
    return call;
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
    const call = this.take(TcpFunction.send);
    call.buffers = buffers;
    call.count = count;
    call.flags = flags;
    return this.run(socket, call, mode, overlapped, routine);
  }

  receive(
    socket: SwitchSocket,
    buffers: readonly WSABUF[],
    _total: number,
    count: number,
    flags: number,
    mode: CallMode,
    overlapped: WSAOVERLAPPED | null,
    routine: Routine,
  ): number {
    const call = this.take(TcpFunction.receive);
    call.buffers = buffers;
    call.count = count;
    call.flags = flags;
    return this.run(socket, call, mode, overlapped, routine);
  }

  /** Makes the call as its mode asks for. 0 or the error; `bytes` and `flags` are what it moved. */
  run(
    socket: SwitchSocket,
    call: TcpCall,
    mode: CallMode,
    overlapped: WSAOVERLAPPED | null,
    routine: Routine,
  ): number {
    this.bytes = 0;
    this.flags = 0;
    let error = watchTcp(this.#core, socket);
    if (error === 0 && mode === CallMode.overlapped) {
      error = this.#overlapped(socket, call, overlapped, routine);
    } else if (error === 0) {
      call.socket = socket;
      error = call.isSend ? this.#sending(socket, call, mode) : this.#receiving(socket, call, mode);
    }
    call.reset();
    this.#spare.push(call);
    return error;
  }

  /** Makes a call that TCP/IP does not wait in, whatever the mode of its socket. */
  runOnce(socket: SwitchSocket, call: TcpCall): number {
    const error = call.make(this.#core, socket, null);
    call.reset();
    this.#spare.push(call);
    return error;
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
    if (error === 0) this.#count(request.isSend, bytes);
    this.#core.requests.complete(request, error, bytes, flags);
  }

  #count(isSend: boolean, bytes: number): void {
    const { statistics } = this.#core;
    if (isSend) statistics.tcpSent(bytes);
    else statistics.tcpReceived(bytes);
  }

  #overlapped(
    socket: SwitchSocket,
    call: TcpCall,
    overlapped: WSAOVERLAPPED | null,
    routine: Routine,
  ): number {
    const { requests, tcpBusy } = this.#core;
    const request = requests.take(socket, call.isSend);
    const isMessage = call.kind === TcpFunction.receiveMessage;
    request.isOpaque = isMessage;
    requests.begin(request, overlapped, routine);
    const { inner } = request;
    inner.hEvent = socket.tcpEvent;
    inner.Internal = 0;
    inner.InternalHigh = 0;
    const error = call.make(this.#core, socket, inner);
    // The count of a control code goes out through its own parameter alone. [W9.13.5]
    const bytes = call.kind === TcpFunction.control ? 0 : call.bytes.value;
    const flags = call.isSend ? 0 : call.resultFlags.value;
    if (error !== wsa.WSA_IO_PENDING) {
      this.#ended(request, error, bytes, flags);
    } else {
      if (socket.tcpPending.length === 0) tcpBusy.push(socket);
      socket.tcpPending.push(request);
    }
    const code = requests.endCall(request);
    this.bytes = request.bytes;
    this.flags = request.flags;
    // W8.3.4: with a routine even a message that was there already comes later.
    return isMessage && routine !== null && code === 0 ? wsa.WSA_IO_PENDING : code;
  }

  /** W4.7: until every byte of a stream has been consumed; a message goes in one piece. */
  #sending(socket: SwitchSocket, call: TcpCall, mode: CallMode): number {
    let error = this.#once(socket, call, ws.FD_WRITE);
    if (error === wsa.WSAEWOULDBLOCK) reenable(socket, ws.FD_WRITE);
    if (mode === CallMode.nonblocking) return error;
    const { buffers, count } = call;
    const total = socket.isStream ? sumOf(buffers, count) : 0;
    if (error === 0 && this.bytes >= total) return 0;
    const deadline = deadlineAfter(this.#core, socket.sendTimeoutMs);
    let moved = this.bytes;
    while (error === wsa.WSAEWOULDBLOCK || (error === 0 && moved < total)) {
      if (error !== 0) {
        socket.tcpReady &= ~ws.FD_CLOSE;
        call.wanted = WRITABLE;
        if (!wait(this.#core, call.isReady, deadline)) return wsa.WSAETIMEDOUT;
      }
      if (moved > 0) advance(call, buffers, count, moved);
      error = this.#once(socket, call, ws.FD_WRITE);
      moved += this.bytes;
      if (error === wsa.WSAEWOULDBLOCK) reenable(socket, ws.FD_WRITE);
    }
    this.bytes = moved;
    return error;
  }

  #receiving(socket: SwitchSocket, call: TcpCall, mode: CallMode): number {
    const { buffers, count, flags } = call;
    // Waiting for all is the switch's business: below, nothing waits.
    const wanted = (flags & ws.MSG_WAITALL) !== 0 ? sumOf(buffers, count) : 0;
    call.flags = flags & ~ws.MSG_WAITALL;
    let moved = 0;
    let deadline = -1;
    for (;;) {
      const error = this.#once(socket, call, ws.FD_READ | ws.FD_OOB);
      if (error === 0) {
        const isLast = this.bytes === 0 || moved + this.bytes >= wanted;
        moved += this.bytes;
        this.bytes = moved;
        if (isLast) return 0;
        advance(call, buffers, count, moved);
        continue;
      }
      if (error !== wsa.WSAEWOULDBLOCK) return error;
      call.wanted = READABLE;
      if (mode === CallMode.nonblocking) {
        nudge(this.#core);
        return call.isReady() ? this.#once(socket, call, ws.FD_READ | ws.FD_OOB) : error;
      }
      // FD_CLOSE comes once, and what it announces stays.
      socket.tcpReady &= ~ws.FD_CLOSE;
      if (deadline < 0) deadline = deadlineAfter(this.#core, socket.receiveTimeoutMs);
      if (!waitAlertably(this.#core, call.isReady, deadline)) return wsa.WSAETIMEDOUT;
      // A routine that ran meanwhile may have closed it.
      if (socket.state === SocketState.closed) return wsa.WSAEINTR;
    }
  }

  /** One nonblocking attempt; what TCP/IP has reported of `events` so far is no news after it. */
  #once(socket: SwitchSocket, call: TcpCall, events: number): number {
    socket.tcpReady &= ~events;
    const error = call.make(this.#core, socket, null);
    const isMoved = error === 0 || error === wsa.WSAEMSGSIZE;
    this.bytes = isMoved ? call.bytes.value : 0;
    this.flags = isMoved && !call.isSend ? call.resultFlags.value : 0;
    if (error === 0) this.#count(call.isSend, this.bytes);
    return error;
  }
}

function sumOf(buffers: readonly WSABUF[] | null, count: number): number {
  let sum = 0;
  for (let index = 0; index < count; index++) sum += buffers?.[index]?.len ?? 0;
  return sum;
}

/** Makes the call one for what is left of the caller's buffers behind their first `moved` bytes. */
function advance(
  call: TcpCall,
  buffers: readonly WSABUF[] | null,
  count: number,
  moved: number,
): void {
  const rest: WSABUF[] = [];
  let skip = moved;
  for (let index = 0; index < count; index++) {
    const { buf, len } = (buffers ?? [])[index] as WSABUF;
    if (skip >= len) {
      skip -= len;
      continue;
    }
    rest.push({ len: len - skip, buf: buf === null ? null : buf.subarray(skip) });
    skip = 0;
  }
  call.buffers = rest;
  call.count = rest.length;
}
