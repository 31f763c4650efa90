// Data calls on a socket that a SAN connection carries: into the session and back. The hot path:
// nothing is allocated per operation. Returns errors; what a successful call moved is in `bytes` and
// `flags` until the next. Sources: W4.6, W4.7, W4.13, W4.18, W8.1, BLK-03 to BLK-05, XFER-15.

import * as wsa from '../provider/spi/error-codes.js';
import type {
  Ref,
  WSABUF,
  WSAOVERLAPPED,
  WSAOVERLAPPED_COMPLETION_ROUTINE,
} from '../provider/spi/winsock2.js';
import * as ws from '../provider/spi/winsock2.js';
import type { AppRequest } from './app-request.js';
import { deadlineAfter, nudge, wait, waitAlertably, waitForReceive } from './blocking.js';
import { CallMode } from './call-mode.js';
import { uint32 } from './companion.js';
import type { Connection } from './connection.js';
import type { SwitchCore } from './core.js';
import { OVERLAPPED_COUNT_MAX } from './limits.js';
import { reenable } from './network-events.js';
import { fetchReadable } from './readiness.js';
import { RequestFlag } from './session/request.js';
import type { SwitchSocket } from './socket.js';

type Routine = WSAOVERLAPPED_COMPLETION_ROUTINE | null;

export class SanTransfers {
  readonly #core: SwitchCore;
  bytes = 0;
  flags = 0;

  constructor(core: SwitchCore) {
    this.#core = core;
  }

  /**
   * The short way of a send, whatever its mode: one small buffer that leaves at once, and the call has
   * succeeded. False, with nothing done, wherever it is not that simple, or wrong: send() then.
   */
  sendSmall(
    socket: SwitchSocket,
    first: WSABUF | undefined,
    isCapable: boolean,
    lpBytes: Ref<number> | null,
    overlapped: WSAOVERLAPPED | null,
    routine: Routine,
  ): boolean {
    const { connection } = socket;
    if (connection === null || first === undefined) return false;
    const { len, buf } = first;
    if (buf === null || !(len > 0) || len > buf.length) return false;
    if (overlapped === null) {
      // A routine alone is for the profile to judge, and a count is asked for without either.
      if (lpBytes === null || routine !== null) return false;
    } else if (
      !isCapable ||
      socket.requestCount >= OVERLAPPED_COUNT_MAX ||
      (routine !== null && socket.port !== null)
    ) {
      return false;
    }
    if (!connection.sendSmall(buf, len)) return false;
    if (lpBytes !== null) lpBytes.value = len;
    if (overlapped !== null) this.#core.requests.endAtOnce(socket, overlapped, routine, len);
    return true;
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
    const connection = socket.connection as Connection;
    if (socket.sendShut) return wsa.WSAESHUTDOWN;
    connection.tellLoss();
    // W4.18: after a reset no send is started, and none is indicated.
    if (connection.session.error !== 0) return connection.session.error;
    connection.reclaim();
    if (mode === CallMode.nonblocking && total > 0) {
      return this.#sendNow(socket, connection, buffers, total, count, flags);
    }
    const { requests } = this.#core;
    const request = requests.take(socket, true);
    if (mode === CallMode.overlapped) requests.begin(request, overlapped, routine);
    if (total === 0) {
      // W4.13: nothing goes over the wire.
      requests.complete(request, 0, 0, 0);
    } else {
      capture(request, buffers, count, total);
      if ((flags & ws.MSG_OOB) !== 0) request.session.flags = RequestFlag.urgent;
      connection.sendsPending++;
      connection.session.send(request.session, connection.now());
      connection.drain();
    }
    if (mode === CallMode.overlapped) return this.#endOverlapped(request);
    if (!request.done && !wait(this.#core, request.isDone, sendDeadline(this.#core, socket))) {
      this.#forceEnd(connection, request);
      requests.release(request);
      return wsa.WSAETIMEDOUT;
    }
    return this.#endSynchronous(request);
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
    const connection = socket.connection as Connection;
    const peek = (flags & ws.MSG_PEEK) !== 0;
    if ((flags & ws.MSG_OOB) !== 0) {
      const error = this.#readUrgent(socket, buffers, count, peek, mode);
      if (mode !== CallMode.overlapped) return error;
      if (error === 0) return this.#endServed(socket, overlapped, routine);
      if (error !== wsa.WSAEWOULDBLOCK) return error;
      // W8.1.7: a peek is served from what is there, and not kept waiting for more.
      if (peek) return wsa.WSAEOPNOTSUPP;
      const waiting = this.#core.requests.take(socket, false);
      this.#core.requests.begin(waiting, overlapped, routine);
      capture(waiting, buffers, count, total);
      waiting.session.flags = RequestFlag.urgent;
      // Past the short way: it waits apart from the others.
      connection.session.receive(waiting.session, connection.now());
      connection.drain();
      return this.#endOverlapped(waiting);
    }
    const waitAll = (flags & ws.MSG_WAITALL) !== 0;
    if (mode !== CallMode.overlapped && !waitAll && this.#read(connection, buffers, count, peek)) {
      return 0;
    }
    if (peek || mode === CallMode.nonblocking) {
      return this.#readReady(
        socket,
        connection,
        buffers,
        total,
        count,
        peek,
        mode,
        overlapped,
        routine,
      );
    }
    const { requests } = this.#core;
    const request = requests.take(socket, false);
    if (mode === CallMode.overlapped) requests.begin(request, overlapped, routine);
    capture(request, buffers, count, total);
    if (waitAll) request.session.flags = RequestFlag.waitAll;
    connection.receive(request);
    if (mode === CallMode.overlapped) return this.#endOverlapped(request);
    const deadline = deadlineAfterReceive(this.#core, socket);
    if (!request.done && !waitForReceive(this.#core, request, deadline)) {
      // BLK-05: RDMA into the buffer is waited for, but only so long.
      connection.cancel(request);
      if (!request.done) wait(this.#core, request.isDone, Infinity);
      if (request.error !== 0) {
        requests.release(request);
        return wsa.WSAETIMEDOUT;
      }
    }
    return this.#endSynchronous(request);
  }

  /** Takes what is readable now; false when there is nothing. */
  #read(connection: Connection, buffers: readonly WSABUF[], count: number, peek: boolean): boolean {
    const { session } = connection;
    if (session.readableBytes === 0 || session.error !== 0) return false;
    let moved = 0;
    let left = session.readableRun;
    // A peek always starts at the first byte, so it fills one buffer only.
    const last = peek ? Math.min(1, count) : count;
    for (let index = 0; index < last; index++) {
      const { buf, len } = buffers[index] as WSABUF;
      if (buf === null || len === 0) continue;
      const read = session.readStored(buf, 0, len < left ? len : left, peek, connection.now());
      moved += read;
      left -= read;
      if (read < len || left === 0) break;
    }
    connection.drain();
    this.bytes = moved;
    this.flags = 0;
    return moved > 0;
  }

  /** A peek, or a nonblocking receive that has found nothing so far. */
  #readReady(
    socket: SwitchSocket,
    connection: Connection,
    buffers: readonly WSABUF[],
    total: number,
    count: number,
    peek: boolean,
    mode: CallMode,
    overlapped: WSAOVERLAPPED | null,
    routine: Routine,
  ): number {
    const { session } = connection;
    if (mode !== CallMode.blocking && !session.isReadable) nudge(this.#core);
    if (!session.isReadable) fetchReadable(connection);
    if (mode === CallMode.blocking && !session.isReadable) {
      const deadline = deadlineAfterReceive(this.#core, socket);
      const readable = (): boolean => session.isReadable;
      if (!waitAlertably(this.#core, readable, deadline)) return wsa.WSAETIMEDOUT;
    }
    let error = 0;
    if (!this.#read(connection, buffers, count, peek)) {
      this.bytes = 0;
      this.flags = 0;
      if (session.error !== 0) error = session.error;
      else if (session.isAtEnd) error = session.endError;
      else if (total > 0 || !session.isReadable) error = wsa.WSAEWOULDBLOCK;
    }
    if (mode !== CallMode.overlapped) return error;
    // W8.1.7: an overlapped peek is served from what is there, and not kept waiting for more.
    if (error !== 0) return error === wsa.WSAEWOULDBLOCK ? wsa.WSAEOPNOTSUPP : error;
    return this.#endServed(socket, overlapped, routine);
  }

  /** An overlapped receive that was served inside its call. */
  #endServed(socket: SwitchSocket, overlapped: WSAOVERLAPPED | null, routine: Routine): number {
    const request = this.#core.requests.take(socket, false);
    this.#core.requests.begin(request, overlapped, routine);
    this.#core.requests.complete(request, 0, this.bytes, this.flags);
    return this.#endOverlapped(request);
  }

  /**
   * MSG_OOB: one urgent byte apart from the stream, the oldest. WSAEWOULDBLOCK when there is none and
   * the call is not a blocking one. [W8.1.13, docs/decisions/0026-urgent-data.md]
   */
  #readUrgent(
    socket: SwitchSocket,
    buffers: readonly WSABUF[],
    count: number,
    peek: boolean,
    mode: CallMode,
  ): number {
    const connection = socket.connection as Connection;
    const { session } = connection;
    if (socket.oobInline && !session.hasUrgent) return wsa.WSAEINVAL;
    const isOver = (): boolean => session.hasUrgent || session.isAtEnd || session.error !== 0;
    if (!isOver()) nudge(this.#core);
    if (!isOver() && mode === CallMode.blocking) {
      const deadline = deadlineAfterReceive(this.#core, socket);
      if (!waitAlertably(this.#core, isOver, deadline)) return wsa.WSAETIMEDOUT;
    }
    this.bytes = 0;
    this.flags = ws.MSG_OOB;
    if (!session.hasUrgent) {
      if (session.error !== 0) return session.error;
      if (session.isAtEnd) return session.endError;
      return wsa.WSAEWOULDBLOCK;
    }
    for (let index = 0; index < count; index++) {
      const { buf, len } = buffers[index] as WSABUF;
      if (buf === null || len === 0) continue;
      buf[0] = session.readUrgent(peek);
      this.bytes = 1;
      return 0;
    }
    return 0;
  }

  /** W4.6: what fits now; all of it or nothing where the profile says so. */
  #sendNow(
    socket: SwitchSocket,
    connection: Connection,
    buffers: readonly WSABUF[] | null,
    total: number,
    count: number,
    flags: number,
  ): number {
    const { session } = connection;
    let space = session.sendSpaceFor(total);
    if (space === 0) {
      connection.reclaimAll();
      nudge(this.#core);
      if (session.sendRefusal !== 0) return session.sendRefusal;
      space = session.sendSpaceFor(total);
    }
    if (space === 0 && session.moving.isSuspended) {
      return this.#sendHeld(socket, connection, buffers, total, count, flags);
    }
    if (space === 0) {
      reenable(socket, ws.FD_WRITE);
      return wsa.WSAEWOULDBLOCK;
    }
    const { requests } = this.#core;
    const request = requests.take(socket, true);
    const urgent = (flags & ws.MSG_OOB) !== 0 ? RequestFlag.urgent : 0;
    const partial = this.#core.profile.partialNonblockingSend;
    if (total > space && !partial)
      return this.#sendCopy(connection, request, buffers, count, total, urgent);
    capture(request, buffers, count, Math.min(total, space));
    request.session.flags = RequestFlag.byMessage | urgent;
    connection.sendsPending++;
    session.send(request.session, connection.now());
    connection.drain();
    // sendSpace promised that it goes out at once; should it not, the bytes are the session's still.
    if (!request.done) wait(this.#core, request.isDone, Infinity);
    return this.#endSynchronous(request);
  }

  /** DUP-10: while the peer moves, SO_SNDBUF bytes are kept for it, and no more. */
  #sendHeld(
    socket: SwitchSocket,
    connection: Connection,
    buffers: readonly WSABUF[] | null,
    total: number,
    count: number,
    flags: number,
  ): number {
    const room = sendBufferBytes(this.#core, socket) - connection.bytesHeld;
    const isAll = total <= room;
    if (room <= 0 || (!isAll && !this.#core.profile.partialNonblockingSend)) {
      reenable(socket, ws.FD_WRITE);
      return wsa.WSAEWOULDBLOCK;
    }
    const bytes = isAll ? total : room;
    const urgent = (flags & ws.MSG_OOB) !== 0 && isAll ? RequestFlag.urgent : 0;
    connection.bytesHeld += bytes;
    const request = this.#core.requests.take(socket, true);
    return this.#sendCopy(connection, request, buffers, count, bytes, urgent);
  }

  /** The transport takes `bytes` bytes into memory of its own; all of them in profile windows. */
  #sendCopy(
    connection: Connection,
    request: AppRequest,
    buffers: readonly WSABUF[] | null,
    count: number,
    bytes: number,
    urgent: number,
  ): number {
    const parts = (buffers ?? []).slice(0, count);
    const views = parts.map(({ buf, len }) => (buf ?? NO_BYTES).subarray(0, len));
    const copy = Buffer.concat(views, bytes);
    request.session.add(copy, copy.length);
    request.session.flags = urgent | RequestFlag.accepted;
    connection.sendsPending++;
    connection.session.send(request.session, connection.now());
    connection.drain();
    this.bytes = copy.length;
    this.flags = 0;
    const code = this.#core.requests.endCall(request);
    return code === wsa.WSA_IO_PENDING ? 0 : code;
  }

  #endOverlapped(request: AppRequest): number {
    const code = this.#core.requests.endCall(request);
    this.bytes = request.bytes;
    this.flags = request.flags;
    return code;
  }

  #endSynchronous(request: AppRequest): number {
    this.bytes = request.bytes;
    this.flags = request.flags;
    const { error } = request;
    this.#core.requests.release(request);
    return error;
  }

  /** BLK-05: takes too long; the connection is given up so that the buffer is free again. */
  #forceEnd(connection: Connection, request: AppRequest): void {
    connection.abort(wsa.WSAECONNABORTED);
    if (!request.done) wait(this.#core, request.isDone, Infinity);
  }
}

const NO_BYTES = new Uint8Array(0);
/** What SO_SNDBUF is where TCP/IP does not say. */
const SEND_BUFFER_BYTES = 65_536;

/** Hands the first `total` bytes of the caller's buffers to the session's request. [W4.8] */
export function capture(
  request: AppRequest,
  buffers: readonly WSABUF[] | null,
  count: number,
  total: number,
): void {
  if (buffers === null) return;
  let left = total;
  for (let index = 0; index < count; index++) {
    const { buf, len } = buffers[index] as WSABUF;
    if (buf === null || len === 0) continue;
    const taken = len < left ? len : left;
    request.session.add(buf, taken);
    left -= taken;
    if (left === 0) return;
  }
}

/** SO_SNDBUF, which is TCP/IP's to know. */
function sendBufferBytes({ tcp }: SwitchCore, { descriptor }: SwitchSocket): number {
  const value = new Uint8Array(4);
  const length = ws.ref(value.length);
  const { SOL_SOCKET, SO_SNDBUF } = ws;
  const failed =
    tcp.lpWSPGetSockOpt(descriptor, SOL_SOCKET, SO_SNDBUF, value, length, ws.ref(0)) !== 0;
  return failed ? SEND_BUFFER_BYTES : uint32(value);
}

function sendDeadline(core: SwitchCore, socket: SwitchSocket): number {
  return deadlineAfter(core, socket.sendTimeoutMs);
}

function deadlineAfterReceive(core: SwitchCore, socket: SwitchSocket): number {
  return deadlineAfter(core, socket.receiveTimeoutMs);
}
