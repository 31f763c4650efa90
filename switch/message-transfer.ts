// WSASendTo, WSARecvFrom, WSASendMsg and WSARecvMsg: on a stream they are WSASend and WSARecv, or
// refused; on everything else TCP/IP's functions, waited for as data calls are. What concerns the
// message itself TCP/IP checks. Sources: W5, W6, W8.2, W8.3, W4.3 to W4.5, W9.8.

import * as wsa from '../provider/spi/error-codes.js';
import { sockaddrIn, sockaddrIn6 } from '../provider/spi/sockaddr.js';
import type {
  Ref,
  WSABUF,
  WSAMSG,
  WSAOVERLAPPED,
  WSAOVERLAPPED_COMPLETION_ROUTINE,
} from '../provider/spi/winsock2.js';
import * as ws from '../provider/spi/winsock2.js';
import { fail } from '../provider/spi/ws2spi.js';
import { CallMode, receiveMode, sendMode } from './call-mode.js';
import type { SwitchCore } from './core.js';
import { OVERLAPPED_COUNT_MAX } from './limits.js';
import { evaluate, receiveRefused, reenable } from './network-events.js';
import type { SwitchSocket } from './socket.js';
import { SocketState } from './socket.js';
import type { TcpCall } from './tcp-call.js';
import { TcpFunction } from './tcp-call.js';
import type { Transfers } from './transfer.js';
import { fillIgnored, flagsFit, totalOf } from './transfer.js';

type Routine = WSAOVERLAPPED_COMPLETION_ROUTINE | null;

export class MessageTransfers {
  readonly #core: SwitchCore;
  readonly #transfers: Transfers;

  constructor(core: SwitchCore, transfers: Transfers) {
    this.#core = core;
    this.#transfers = transfers;
  }

  sendTo(
    s: number,
    buffers: readonly WSABUF[] | null,
    count: number,
    lpBytes: Ref<number> | null,
    flags: number,
    to: Uint8Array | null,
    toLength: number,
    overlapped: WSAOVERLAPPED | null,
    routine: Routine,
    lpErrno: Ref<number>,
  ): number {
    const socket = this.#core.sockets.find(s);
    if (socket === null) return fail(lpErrno, wsa.WSAENOTSOCK);
    // W5.2: on a connection-oriented socket the address means nothing.
    if (socket.isStream) {
      const transfers = this.#transfers;
      return transfers.send(s, buffers, count, lpBytes, flags, overlapped, routine, lpErrno);
    }
    if (totalOf(buffers, count) < 0) return fail(lpErrno, wsa.WSAEFAULT);
    if (to !== null && (toLength > to.length || toLength < 0)) return fail(lpErrno, wsa.WSAEFAULT);
    if (overlapped === null && lpBytes === null) return fail(lpErrno, wsa.WSAEFAULT);
    if (to === null && socket.state !== SocketState.connected) {
      return fail(lpErrno, wsa.WSAEDESTADDRREQ);
    }
    if (!socket.isBound) this.#bind(socket);
    const call = this.#transfers.tcp.take(TcpFunction.sendTo);
    call.buffers = buffers;
    call.count = count;
    call.flags = flags;
    call.name = to;
    call.nameLength = toLength;
    return this.#send(socket, call, lpBytes, overlapped, routine, lpErrno);
  }

  receiveFrom(
    s: number,
    buffers: readonly WSABUF[] | null,
    count: number,
    lpBytes: Ref<number> | null,
    lpFlags: Ref<number> | null,
    from: Uint8Array | null,
    lpFromLength: Ref<number> | null,
    overlapped: WSAOVERLAPPED | null,
    routine: Routine,
    lpErrno: Ref<number>,
  ): number {
    const socket = this.#core.sockets.find(s);
    if (socket === null) return fail(lpErrno, wsa.WSAENOTSOCK);
    // W8.2.1: on a connection-oriented socket nothing is written to it.
    if (socket.isStream) {
      const transfers = this.#transfers;
      return transfers.receive(s, buffers, count, lpBytes, lpFlags, overlapped, routine, lpErrno);
    }
    const mode = this.#receiveMode(socket, overlapped);
    const isCounted = overlapped !== null || lpBytes !== null;
    let refusal = 0;
    if (count === 0) refusal = wsa.WSAEINVAL;
    else if (totalOf(buffers, count) < 0 || !isCounted) refusal = wsa.WSAEFAULT;
    else if (lpFlags !== null && !flagsFit(socket, lpFlags.value, mode))
      refusal = wsa.WSAEOPNOTSUPP;
    if (refusal !== 0 || lpFlags === null) {
      receiveRefused(this.#core, socket);
      return fail(lpErrno, refusal === 0 ? wsa.WSAEFAULT : refusal);
    }
    const call = this.#transfers.tcp.take(TcpFunction.receiveFrom);
    call.buffers = buffers;
    call.count = count;
    call.flags = lpFlags.value;
    call.name = from;
    call.lpNameLength = lpFromLength;
    const code = this.#receive(socket, call, lpBytes, overlapped, routine, lpErrno);
    if (code === 0) lpFlags.value = this.#transfers.tcp.flags;
    return code;
  }

  sendMessage(
    s: number,
    message: WSAMSG | null,
    flags: number,
    lpBytes: Ref<number> | null,
    overlapped: WSAOVERLAPPED | null,
    routine: Routine,
    lpErrno: Ref<number>,
  ): number {
    const socket = this.#core.sockets.find(s);
    if (socket === null) return fail(lpErrno, wsa.WSAENOTSOCK);
    if (message === null) return fail(lpErrno, wsa.WSAEFAULT);
    if (socket.isStream) return fail(lpErrno, wsa.WSAEINVAL);
    if (overlapped === null && lpBytes === null) {
      // W6.4: where it binds by itself, even this call does.
      if (this.#core.profile.implicitBind && !socket.isBound) this.#bind(socket);
      return fail(lpErrno, wsa.WSAEFAULT);
    }
    const call = this.#transfers.tcp.take(TcpFunction.sendMessage);
    call.message = message;
    call.buffers = message.lpBuffers;
    call.count = message.dwBufferCount;
    call.flags = flags;
    return this.#send(socket, call, lpBytes, overlapped, routine, lpErrno);
  }

  receiveMessage(
    s: number,
    message: WSAMSG | null,
    lpBytes: Ref<number> | null,
    overlapped: WSAOVERLAPPED | null,
    routine: Routine,
    lpErrno: Ref<number>,
  ): number {
    const socket = this.#core.sockets.find(s);
    if (socket === null) return fail(lpErrno, wsa.WSAENOTSOCK);
    if (message === null) return fail(lpErrno, wsa.WSAEFAULT);
    if (socket.isStream) return fail(lpErrno, wsa.WSAEOPNOTSUPP);
    if (overlapped === null && lpBytes === null) return fail(lpErrno, wsa.WSAEFAULT);
    const call = this.#transfers.tcp.take(TcpFunction.receiveMessage);
    call.message = message;
    call.flags = 0;
    return this.#receive(socket, call, lpBytes, overlapped, routine, lpErrno);
  }

  #send(
    socket: SwitchSocket,
    call: TcpCall,
    lpBytes: Ref<number> | null,
    overlapped: WSAOVERLAPPED | null,
    routine: Routine,
    lpErrno: Ref<number>,
  ): number {
    const { profile } = this.#core;
    const mode = sendMode(profile, socket, this.#isCapable(socket), overlapped, routine);
    const error = this.#run(socket, call, mode, overlapped, routine);
    if (error !== 0) return fail(lpErrno, error);
    const { bytes } = this.#transfers.tcp;
    socket.isBound = true;
    if (lpBytes !== null) lpBytes.value = bytes;
    if (mode !== CallMode.overlapped) fillIgnored(this.#core, socket, overlapped, bytes, 0);
    return 0;
  }

  #receive(
    socket: SwitchSocket,
    call: TcpCall,
    lpBytes: Ref<number> | null,
    overlapped: WSAOVERLAPPED | null,
    routine: Routine,
    lpErrno: Ref<number>,
  ): number {
    const core = this.#core;
    const mode = this.#receiveMode(socket, overlapped);
    reenable(socket, ws.FD_READ | ws.FD_OOB);
    const error = this.#run(socket, call, mode, overlapped, routine);
    const { bytes, flags } = this.#transfers.tcp;
    if (socket.selectedMask !== 0) evaluate(core, socket);
    // W8.1.11, W8.3.3: what a message was cut down to is told all the same.
    const isTold = error === 0 || error === wsa.WSAEMSGSIZE;
    if (isTold && lpBytes !== null) lpBytes.value = bytes;
    if (error !== 0) return fail(lpErrno, error);
    if (mode !== CallMode.overlapped) fillIgnored(core, socket, overlapped, bytes, flags);
    return 0;
  }

  #run(
    socket: SwitchSocket,
    call: TcpCall,
    mode: CallMode,
    overlapped: WSAOVERLAPPED | null,
    routine: Routine,
  ): number {
    if (routine !== null && socket.port !== null) return wsa.WSAEINVAL;
    if (mode !== CallMode.overlapped) {
      return this.#transfers.tcp.run(socket, call, mode, null, null);
    }
    if (socket.requestCount >= OVERLAPPED_COUNT_MAX) return wsa.WSAEWOULDBLOCK;
    return this.#transfers.tcp.run(socket, call, mode, overlapped, routine);
  }

  #receiveMode(socket: SwitchSocket, overlapped: WSAOVERLAPPED | null): CallMode {
    return receiveMode(this.#core.profile, socket, this.#isCapable(socket), overlapped);
  }

  #isCapable(socket: SwitchSocket): boolean {
    return socket.overlappedCapable || this.#transfers.forceOverlapped;
  }

  /**
   * W5.3: whoever implements WSASendTo binds, to the wildcard address and a port of TCP/IP's choice.
   * What fails here the send reports.
   */
  #bind(socket: SwitchSocket): void {
    const name = socket.family === ws.AF_INET6 ? sockaddrIn6('::', 0) : sockaddrIn('0.0.0.0', 0);
    const { lpWSPBind } = this.#core.tcp;
    if (lpWSPBind(socket.descriptor, name, name.length, ws.ref(0)) === 0) socket.isBound = true;
  }
}
