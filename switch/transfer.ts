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
import { CallMode } from './call-mode.js';
import type { SwitchCore } from './core.js';
import { evaluate, reenable } from './network-events.js';
import { SanTransfers } from './san-transfer.js';
import type { SwitchSocket } from './socket.js';
import { SocketState } from './socket.js';
import { TcpTransfers } from './tcp-transfer.js';

/** Flags that only message transports know. [W4.10] */
const KNOWN_RECEIVE_FLAGS =
  ws.MSG_OOB | ws.MSG_PEEK | ws.MSG_WAITALL | ws.MSG_PUSH_IMMEDIATE | ws.MSG_PARTIAL;

export class Transfers {
  readonly #core: SwitchCore;
  readonly san: SanTransfers;
  readonly tcp: TcpTransfers;
  /** Set by the promise twins around a call: overlapped, even on a socket made without. */
  forceOverlapped = false;

  constructor(core: SwitchCore) {
    this.#core = core;
    this.san = new SanTransfers(core);
    this.tcp = new TcpTransfers(core);
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
    const total = totalOf(buffers, count);
    if (total < 0 || (overlapped === null && lpBytes === null)) {
      return fail(lpErrno, wsa.WSAEFAULT);
    }
    if ((flags & ws.MSG_PARTIAL) !== 0) return fail(lpErrno, wsa.WSAEOPNOTSUPP);
    if ((flags & ws.MSG_OOB) !== 0 && !socket.isStream) return fail(lpErrno, wsa.WSAEOPNOTSUPP);
    if (socket.isStream && socket.state !== SocketState.connected) {
      return fail(lpErrno, wsa.WSAENOTCONN);
    }
    const mode = this.#sendMode(socket, overlapped, routine);
    const isOverlapped = mode === CallMode.overlapped;
    const ov = isOverlapped ? overlapped : null;
    const apc = isOverlapped ? routine : null;
    const error =
      socket.connection === null
        ? this.tcp.send(socket, buffers, count, flags, mode, ov, apc)
        : this.san.send(socket, buffers, total, count, flags, mode, ov, apc);
    if (error !== 0) return fail(lpErrno, error);
    const bytes = socket.connection === null ? this.tcp.bytes : this.san.bytes;
    if (lpBytes !== null) lpBytes.value = bytes;
    if (!isOverlapped) this.#fillIgnored(socket, overlapped, bytes, 0);
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
    const socket = this.#core.sockets.find(s);
    if (socket === null) return fail(lpErrno, wsa.WSAENOTSOCK);
    if (count === 0) return fail(lpErrno, wsa.WSAEINVAL);
    const total = totalOf(buffers, count);
    if (total < 0 || buffers === null || lpFlags === null) return fail(lpErrno, wsa.WSAEFAULT);
    if (overlapped === null && lpBytes === null) return fail(lpErrno, wsa.WSAEFAULT);
    if (socket.isStream && socket.state !== SocketState.connected) {
      return fail(lpErrno, wsa.WSAENOTCONN);
    }
    if (socket.receiveShut) return fail(lpErrno, wsa.WSAESHUTDOWN);
    const mode = this.#receiveMode(socket, overlapped);
    const flags = lpFlags.value;
    if (!flagsFit(socket, flags, mode)) return fail(lpErrno, wsa.WSAEOPNOTSUPP);
    reenable(socket, ws.FD_READ | ws.FD_OOB);
    const isOverlapped = mode === CallMode.overlapped;
    const ov = isOverlapped ? overlapped : null;
    const apc = isOverlapped ? routine : null;
    const path = socket.connection === null ? this.tcp : this.san;
    const error = path.receive(socket, buffers, total, count, flags, mode, ov, apc);
    if (socket.selectedMask !== 0) evaluate(this.#core, socket);
    if (error !== 0) return fail(lpErrno, error);
    if (lpBytes !== null) lpBytes.value = path.bytes;
    lpFlags.value = path.flags;
    if (!isOverlapped) this.#fillIgnored(socket, overlapped, path.bytes, path.flags);
    return 0;
  }

  #sendMode(
    socket: SwitchSocket,
    overlapped: WSAOVERLAPPED | null,
    routine: WSAOVERLAPPED_COMPLETION_ROUTINE | null,
  ): CallMode {
    const alone = routine !== null && this.#core.profile.routineAloneIsOverlapped;
    // W4.3, W4.4: the attribute and either of the two; the routine alone depends on the profile.
    const capable = socket.overlappedCapable || this.forceOverlapped;
    if (capable && (overlapped !== null || alone)) return CallMode.overlapped;
    return this.#waitingMode(socket, overlapped);
  }

  #receiveMode(socket: SwitchSocket, overlapped: WSAOVERLAPPED | null): CallMode {
    // W4.4: no page lets a routine alone make a receive overlapped.
    const capable = socket.overlappedCapable || this.forceOverlapped;
    if (capable && overlapped !== null) return CallMode.overlapped;
    return this.#waitingMode(socket, overlapped);
  }

  #waitingMode(socket: SwitchSocket, overlapped: WSAOVERLAPPED | null): CallMode {
    // W4.5: where the structure is not ignored, a nonoverlapped call with one blocks.
    const ignores = overlapped === null || this.#core.profile.nonoverlappedIgnoresOverlapped;
    return socket.nonBlocking && ignores ? CallMode.nonblocking : CallMode.blocking;
  }

  /** W4.5: a nonoverlapped call fills the structure in, where the profile does not ignore it. */
  #fillIgnored(
    socket: SwitchSocket,
    overlapped: WSAOVERLAPPED | null,
    bytes: number,
    flags: number,
  ): void {
    if (overlapped === null || socket.overlappedCapable) return;
    if (this.#core.profile.nonoverlappedIgnoresOverlapped) return;
    overlapped.Offset = flags;
    overlapped.OffsetHigh = 0;
    overlapped.InternalHigh = bytes;
    overlapped.Internal = 0;
    if (overlapped.hEvent !== 0) this.#core.events.set(overlapped.hEvent);
  }
}

/** W8.1.8: MSG_WAITALL stands alone, on a stream, in a call that may wait. */
function flagsFit(socket: SwitchSocket, flags: number, mode: CallMode): boolean {
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
