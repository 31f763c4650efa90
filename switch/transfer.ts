// The data calls: WSPSend and WSPRecv of the switch. Checks what the pages say in their order, decides
// between overlapped, blocking and nonblocking, and hands the call to the path that carries the
// socket. Sources: W4.1 to W4.25, W8.1, APP-01 to APP-07, BLK-03.

import * as wsa from '../provider/spi/error-codes.js';
import type {
  Ref,
  WSABUF,
  WSAOVERLAPPED,
  WSAOVERLAPPED_COMPLETION_ROUTINE,
} from '../provider/spi/winsock2.js';
import * as ws from '../provider/spi/winsock2.js';
import { fail } from '../provider/spi/ws2spi.js';
import type { RequestPool } from './app-request.js';
import type { BlockingCalls } from './blocking.js';
import { CallMode, receiveMode, sendMode } from './call-mode.js';
import type { SwitchCore } from './core.js';
import { evaluate, receiveRefused, reenable } from './network-events.js';
import { OVERLAPPED_COUNT_MAX } from './limits.js';
import { SanTransfers } from './san-transfer.js';
import { SharedTransfers } from './sharing/shared-transfers.js';
import type { SwitchSocket } from './socket.js';
import { SocketState } from './socket.js';
import type { SocketTable } from './socket-table.js';
import { TcpTransfers } from './tcp-transfer.js';

/** Flags that only message transports know. [W4.10] */
const KNOWN_RECEIVE_FLAGS =
  ws.MSG_OOB | ws.MSG_PEEK | ws.MSG_WAITALL | ws.MSG_PUSH_IMMEDIATE | ws.MSG_PARTIAL;

export class Transfers {
  readonly #core: SwitchCore;
  private readonly sockets: SocketTable;
  private readonly blocking: BlockingCalls;
  private readonly requests: RequestPool;
  readonly san: SanTransfers;
  readonly tcp: TcpTransfers;
  readonly #shared: SharedTransfers;
  /** Set by the promise twins around a call: overlapped, even on a socket made without. */
  forceOverlapped = false;

  constructor(core: SwitchCore) {
    this.#core = core;
    this.sockets = core.sockets;
    this.blocking = core.blocking;
    this.requests = core.requests;
    this.san = new SanTransfers(core);
    this.tcp = new TcpTransfers(core);
    this.#shared = new SharedTransfers(core, this.san);
  }

  /**
   * The short way of an overlapped send of one buffer, polled for or waited for: whether it has succeeded.
   * False, with nothing done, wherever it is not that simple, or wrong: send() then.
   */
  sendAtOnce(s: number, buffers: readonly WSABUF[], overlapped: WSAOVERLAPPED): boolean {
    const socket = this.sockets.find(s);
    if (socket === null || this.blocking.isVersion1) return false;
    const { connection } = socket;
    const first = buffers[0];
    if (connection === null || first === undefined || !socket.overlappedCapable) return false;
    const { len, buf } = first;
    if (
      buf === null ||
      !(len > 0) ||
      len > buf.length ||
      socket.requestCount >= OVERLAPPED_COUNT_MAX ||
      !connection.sendSmall(buf, len)
    ) {
      return false;
    }
    this.requests.endAtOnce(socket, overlapped, null, len);
    return true;
  }

  send(
    s: number,
    buffers: readonly WSABUF[] | null,
    count: number,
    lpBytes: Ref<number> | null,
    flags: number,
    overlapped: WSAOVERLAPPED | null,
    routine: WSAOVERLAPPED_COMPLETION_ROUTINE | null,
    lpErrno: Ref<number>,
  ): number {
    const socket = this.#core.sockets.find(s);
    if (socket === null) return fail(lpErrno, wsa.WSAENOTSOCK);
    if (flags === 0 && count === 1 && buffers !== null) {
      const isCapable = this.#isCapable(socket);
      const first = buffers[0];
      if (this.san.sendSmall(socket, first, isCapable, lpBytes, overlapped, routine)) return 0;
    }
    const total = totalOf(buffers, count);
    if (total < 0 || (overlapped === null && lpBytes === null)) {
      return fail(lpErrno, wsa.WSAEFAULT);
    }
    if ((flags & ws.MSG_PARTIAL) !== 0) return fail(lpErrno, wsa.WSAEOPNOTSUPP);
    if ((flags & ws.MSG_OOB) !== 0 && !socket.isStream) return fail(lpErrno, wsa.WSAEOPNOTSUPP);
    if (socket.isStream && socket.state !== SocketState.connected) {
      return fail(lpErrno, wsa.WSAENOTCONN);
    }
    if (routine !== null && socket.port !== null) return fail(lpErrno, wsa.WSAEINVAL);
    const { profile } = this.#core;
    const mode = sendMode(profile, socket, this.#isCapable(socket), overlapped, routine);
    const isOverlapped = mode === CallMode.overlapped;
    if (isOverlapped && socket.requestCount >= OVERLAPPED_COUNT_MAX) {
      return fail(lpErrno, wsa.WSAEWOULDBLOCK);
    }
    const ov = isOverlapped ? overlapped : null;
    const apc = isOverlapped ? routine : null;
    let error: number;
    let bytes: number;
    if (socket.connection !== null) {
      error = this.san.send(socket, buffers, total, count, flags, mode, ov, apc);
      bytes = this.san.bytes;
    } else if (socket.share === null) {
      error = this.tcp.send(socket, buffers, count, flags, mode, ov, apc);
      bytes = this.tcp.bytes;
    } else {
      error = this.#shared.send(socket, buffers, total, count, flags, mode, ov, apc);
      bytes = this.#shared.bytes;
    }
    if (error !== 0) return fail(lpErrno, error);
    if (lpBytes !== null) lpBytes.value = bytes;
    if (!isOverlapped) fillIgnored(this.#core, socket, overlapped, bytes, 0);
    return 0;
  }

  receive(
    s: number,
    buffers: readonly WSABUF[] | null,
    count: number,
    lpBytes: Ref<number> | null,
    lpFlags: Ref<number> | null,
    overlapped: WSAOVERLAPPED | null,
    routine: WSAOVERLAPPED_COMPLETION_ROUTINE | null,
    lpErrno: Ref<number>,
  ): number {
    const core = this.#core;
    const socket = core.sockets.find(s);
    if (socket === null) return fail(lpErrno, wsa.WSAENOTSOCK);
    const mode = receiveMode(core.profile, socket, this.#isCapable(socket), overlapped);
    const total = totalOf(buffers, count);
    const isCounted = overlapped !== null || lpBytes !== null;
    const refusal = receiveRefusal(socket, total, count, isCounted, lpFlags, mode, routine);
    if (refusal !== 0 || buffers === null || lpFlags === null) {
      receiveRefused(core, socket);
      return fail(lpErrno, refusal);
    }
    const flags = lpFlags.value;
    reenable(socket, ws.FD_READ | ws.FD_OOB);
    const isOverlapped = mode === CallMode.overlapped;
    const ov = isOverlapped ? overlapped : null;
    const apc = isOverlapped ? routine : null;
    const other = socket.share === null ? this.tcp : this.#shared;
    const path = socket.connection === null ? other : this.san;
    const error = path.receive(socket, buffers, total, count, flags, mode, ov, apc);
    if (socket.selectedMask !== 0) evaluate(core, socket);
    if (error !== 0) {
      // W8.1.11: what a message was cut down to is told all the same.
      if (error === wsa.WSAEMSGSIZE && lpBytes !== null) lpBytes.value = path.bytes;
      return fail(lpErrno, error);
    }
    if (lpBytes !== null) lpBytes.value = path.bytes;
    lpFlags.value = path.flags;
    if (!isOverlapped) fillIgnored(core, socket, overlapped, path.bytes, path.flags);
    return 0;
  }

  #isCapable(socket: SwitchSocket): boolean {
    return socket.overlappedCapable || this.forceOverlapped;
  }
}

/** W4.5: a nonoverlapped call fills the structure in, where the profile does not ignore it. */
export function fillIgnored(
  core: SwitchCore,
  socket: SwitchSocket,
  overlapped: WSAOVERLAPPED | null,
  bytes: number,
  flags: number,
): void {
  if (overlapped === null || socket.overlappedCapable) return;
  if (core.profile.nonoverlappedIgnoresOverlapped) return;
  overlapped.Offset = flags;
  overlapped.OffsetHigh = 0;
  overlapped.InternalHigh = bytes;
  overlapped.Internal = 0;
  if (overlapped.hEvent !== 0) core.events.set(overlapped.hEvent);
}

/** What a receive with these arguments is refused with before anything moves; 0: nothing. */
function receiveRefusal(
  socket: SwitchSocket,
  total: number,
  count: number,
  isCounted: boolean,
  lpFlags: Ref<number> | null,
  mode: CallMode,
  routine: WSAOVERLAPPED_COMPLETION_ROUTINE | null,
): number {
  if (count === 0) return wsa.WSAEINVAL;
  if (total < 0 || lpFlags === null || !isCounted) return wsa.WSAEFAULT;
  if (socket.isStream && socket.state !== SocketState.connected) return wsa.WSAENOTCONN;
  if (socket.receiveShut) return wsa.WSAESHUTDOWN;
  if (!flagsFit(socket, lpFlags.value, mode)) return wsa.WSAEOPNOTSUPP;
  if (routine !== null && socket.port !== null) return wsa.WSAEINVAL;
  if (mode !== CallMode.overlapped || socket.requestCount < OVERLAPPED_COUNT_MAX) return 0;
  return wsa.WSAEWOULDBLOCK;
}

/** W8.1.8: MSG_WAITALL stands alone, on a stream, in a call that may wait. */
export function flagsFit(socket: SwitchSocket, flags: number, mode: CallMode): boolean {
  if (flags === 0) return true;
  if ((flags & ~KNOWN_RECEIVE_FLAGS) !== 0) return false;
  if ((flags & ws.MSG_WAITALL) === 0) return true;
  const others = ws.MSG_OOB | ws.MSG_PEEK | ws.MSG_PARTIAL;
  return socket.isStream && mode !== CallMode.nonblocking && (flags & others) === 0;
}

/** Bytes in the first `count` buffers; -1 when one of them is not what it says. */
export function totalOf(buffers: readonly WSABUF[] | null, count: number): number {
  if (buffers === null) return count === 0 ? 0 : -1;
  let total = 0;
  for (let index = 0; index < count; index++) {
    const buffer = buffers[index];
    if (buffer === undefined) return -1;
    const { len, buf } = buffer;
    if (!(len >= 0)) return -1;
    if (len > 0 && (buf === null || len > buf.length)) return -1;
    total += len;
  }
  return total;
}
