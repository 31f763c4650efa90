// The switch's own side of the SPI: WSPxxx as ws2_32.dll calls them, with lpErrno, for every provider
// below together. Each finds the socket and hands over to the file of its subject.
// Sources: ARCH-05, ARCH-06, ARCH-09, COMP-01, COMP-03, SPI-03, SPI-04, W3.

import * as wsa from '../provider/spi/error-codes.js';
import { SOCKADDR_IN_BYTES } from '../provider/spi/sockaddr.js';
import type { ExtensionFunctionPointer } from '../provider/spi/ws2san.js';
import type { DWORD_PTR, LPCONDITIONPROC, Ref } from '../provider/spi/winsock2.js';
import type { QOS, WSABUF, WSANETWORKEVENTS, WSAOVERLAPPED } from '../provider/spi/winsock2.js';
import type { WSAOVERLAPPED_COMPLETION_ROUTINE } from '../provider/spi/winsock2.js';
import type { WSAPROTOCOL_INFO, WSATHREADID } from '../provider/spi/winsock2.js';
import * as ws from '../provider/spi/winsock2.js';
import { fail } from '../provider/spi/ws2spi.js';
import { type AcceptArguments, tryAccept } from './accept.js';
import { nudge, wait } from './blocking.js';
import { closeSocket, shutdown } from './close.js';
import { ConnectAttempt, destinationOf } from './connect.js';
import { control } from './control.js';
import type { SwitchCore } from './core.js';
import { Duplicates } from './duplicate.js';
import { listen, type Listener } from './listen.js';
import { MessageTransfers } from './message-transfer.js';
import { copyName } from './names.js';
import { enumerateEvents, refresh, selectEvents } from './network-events.js';
import { queryOption, setOption } from './options.js';
import { OverlappedResults } from './overlapped-result.js';
import { SocketState, SwitchSocket } from './socket.js';
import { creationError, socketKind } from './socket-arguments.js';
import { Transfers } from './transfer.js';

type Errno = Ref<number>;
type Routine = WSAOVERLAPPED_COMPLETION_ROUTINE | null;

export class SwitchProcedures {
  readonly #core: SwitchCore;
  readonly #duplicates: Duplicates;
  readonly transfers: Transfers;
  readonly results: OverlappedResults;
  /** WSPSendTo, WSPRecvFrom and the messages with control data. */
  readonly messages: MessageTransfers;
  /**
   * Set by the promise twins around a call: nothing waits, whatever the socket's mode; blocking
   * functions answer WSAEWOULDBLOCK.
   */
  neverBlock = false;

  constructor(core: SwitchCore) {
    this.#core = core;
    this.#duplicates = new Duplicates(core);
    this.transfers = new Transfers(core);
    this.results = new OverlappedResults(core);
    this.messages = new MessageTransfers(core, this.transfers);
  }

  WSPSocket(
    af: number,
    type: number,
    protocol: number,
    lpProtocolInfo: WSAPROTOCOL_INFO | null,
    g: number,
    dwFlags: number,
    lpErrno: Errno,
  ): number {
    const kind = socketKind(af, type, protocol, lpProtocolInfo);
    const error = typeof kind === 'number' ? kind : creationError(g, dwFlags);
    if (typeof kind === 'number' || error !== 0) {
      lpErrno.value = error;
      return ws.INVALID_SOCKET;
    }
    // Below, every socket is overlapped; whether this one looks so is the switch's affair.
    const flags = dwFlags | ws.WSA_FLAG_OVERLAPPED;
    const info = lpProtocolInfo ?? this.#core.tcpInfo;
    if (info.dwProviderReserved !== 0) return this.#duplicates.take(kind, info, dwFlags, lpErrno);
    const { family, type: socketType, protocol: socketProtocol } = kind;
    const { lpWSPSocket } = this.#core.tcp;
    const s = lpWSPSocket(family, socketType, socketProtocol, info, g, flags, lpErrno);
    if (s === ws.INVALID_SOCKET) return s;
    const overlappedCapable = (dwFlags & ws.WSA_FLAG_OVERLAPPED) !== 0;
    const shape = { family, type: socketType, protocol: socketProtocol, overlappedCapable };
    this.#core.sockets.add(new SwitchSocket(s, shape));
    return s;
  }

  WSPBind(s: number, name: Uint8Array | null, namelen: number, lpErrno: Errno): number {
    const socket = this.#core.sockets.find(s);
    if (socket === null) return fail(lpErrno, wsa.WSAENOTSOCK);
    // COMP-03: ports are TCP/IP's; the companion copies the result.
    const { descriptor } = socket;
    if (this.#core.tcp.lpWSPBind(descriptor, name, namelen, lpErrno) !== 0) return ws.SOCKET_ERROR;
    socket.isBound = true;
    return 0;
  }

  WSPListen(s: number, backlog: number, lpErrno: Errno): number {
    const socket = this.#core.sockets.find(s);
    if (socket === null) return fail(lpErrno, wsa.WSAENOTSOCK);
    const error = listen(this.#core, socket, backlog);
    return error === 0 ? 0 : fail(lpErrno, error);
  }

  WSPAccept(
    s: number,
    addr: Uint8Array | null,
    addrlen: Ref<number> | null,
    lpfnCondition: LPCONDITIONPROC | null,
    dwCallbackData: DWORD_PTR,
    lpErrno: Errno,
  ): number {
    const core = this.#core;
    const socket = core.sockets.find(s);
    if (socket === null) {
      lpErrno.value = wsa.WSAENOTSOCK;
      return ws.INVALID_SOCKET;
    }
    const args = { addr, addrlen, condition: lpfnCondition, callbackData: dwCallbackData };
    return this.#accept(socket, args, lpErrno);
  }

  #accept(socket: SwitchSocket, args: AcceptArguments, lpErrno: Errno): number {
    const core = this.#core;
    let isNudged = false;
    let waiting: Listener | null = null;
    try {
      for (;;) {
        const accepted = tryAccept(core, socket, args, lpErrno);
        if (accepted !== ws.INVALID_SOCKET || lpErrno.value !== wsa.WSAEWOULDBLOCK) return accepted;
        if (!socket.nonBlocking && !this.neverBlock) {
          const { listener } = socket;
          if (waiting === null) listener?.acceptWaits();
          waiting ??= listener;
          // The listener may be closed meanwhile, by an APC or another host's turn.
          const done = (): boolean =>
            listener?.hasArrival === true ||
            (socket.tcpReady & ws.FD_ACCEPT) !== 0 ||
            socket.state !== SocketState.listening;
          if (wait(core, done, Infinity)) continue;
          lpErrno.value = wsa.WSAEINTR;
          return ws.INVALID_SOCKET;
        }
        if (isNudged) return accepted;
        isNudged = true;
        nudge(core);
      }
    } finally {
      // DUP-14: it was in progress, and other processes have waited for it.
      waiting?.acceptEnded();
    }
  }

  WSPConnect(
    s: number,
    name: Uint8Array | null,
    namelen: number,
    lpCallerData: WSABUF | null,
    _lpCalleeData: WSABUF | null,
    _lpSQOS: QOS | null,
    _lpGQOS: QOS | null,
    lpErrno: Errno,
  ): number {
    const core = this.#core;
    const socket = core.sockets.find(s);
    if (socket === null) return fail(lpErrno, wsa.WSAENOTSOCK);
    if (socket.state === SocketState.connecting) return this.#askAgain(socket, lpErrno);
    // CONNECT-08: an application that polls by repeated connects is answered here.
    if (socket.state === SocketState.connected && socket.isStream) {
      return fail(lpErrno, wsa.WSAEISCONN);
    }
    if (socket.state === SocketState.listening) return fail(lpErrno, wsa.WSAEINVAL);
    // CONNECT-11: no provider carries connect data.
    if (lpCallerData !== null) return fail(lpErrno, wsa.WSAEINVAL);
    const destination = destinationOf(socket, name, namelen);
    if (typeof destination === 'number') return fail(lpErrno, destination);
    const attempt = new ConnectAttempt(core, socket, destination);
    attempt.start();
    if (!attempt.isEnded) {
      if (socket.nonBlocking || this.neverBlock) return fail(lpErrno, wsa.WSAEWOULDBLOCK);
      if (!wait(core, attempt.isDone, Infinity)) {
        attempt.abandon();
        return fail(lpErrno, wsa.WSAEINTR);
      }
    }
    return attempt.error === 0 ? 0 : fail(lpErrno, attempt.error);
  }

  WSPSend(
    s: number,
    lpBuffers: readonly WSABUF[] | null,
    dwBufferCount: number,
    lpNumberOfBytesSent: Ref<number> | null,
    dwFlags: number,
    lpOverlapped: WSAOVERLAPPED | null,
    lpCompletionRoutine: Routine,
    _lpThreadId: WSATHREADID | null,
    lpErrno: Errno,
  ): number {
    const { transfers } = this;
    return transfers.send(
      s,
      lpBuffers,
      dwBufferCount,
      lpNumberOfBytesSent,
      dwFlags,
      lpOverlapped,
      lpCompletionRoutine,
      lpErrno,
    );
  }

  WSPRecv(
    s: number,
    lpBuffers: readonly WSABUF[] | null,
    dwBufferCount: number,
    lpNumberOfBytesRecvd: Ref<number> | null,
    lpFlags: Ref<number> | null,
    lpOverlapped: WSAOVERLAPPED | null,
    lpCompletionRoutine: Routine,
    _lpThreadId: WSATHREADID | null,
    lpErrno: Errno,
  ): number {
    const { transfers } = this;
    return transfers.receive(
      s,
      lpBuffers,
      dwBufferCount,
      lpNumberOfBytesRecvd,
      lpFlags,
      lpOverlapped,
      lpCompletionRoutine,
      lpErrno,
    );
  }

  WSPGetOverlappedResult(
    s: number,
    lpOverlapped: WSAOVERLAPPED | null,
    lpcbTransfer: Ref<number> | null,
    fWait: boolean,
    lpdwFlags: Ref<number> | null,
    lpErrno: Errno,
  ): boolean {
    const core = this.#core;
    const socket = core.sockets.find(s);
    if (socket === null) {
      lpErrno.value = wsa.WSAENOTSOCK;
      return false;
    }
    const mayWait = fWait && !this.neverBlock;
    const { results } = this;
    return results.result(socket, lpOverlapped, lpcbTransfer, mayWait, lpdwFlags, lpErrno);
  }

  WSPShutdown(s: number, how: number, lpErrno: Errno): number {
    const socket = this.#core.sockets.find(s);
    if (socket === null) return fail(lpErrno, wsa.WSAENOTSOCK);
    return shutdown(this.#core, socket, how, lpErrno);
  }

  WSPCloseSocket(s: number, lpErrno: Errno): number {
    const socket = this.#core.sockets.find(s);
    if (socket === null) return fail(lpErrno, wsa.WSAENOTSOCK);
    // Only the last descriptor ends the socket, and what is pending on it. [W3.7]
    if (this.#core.sockets.dropHandle(s, socket)) {
      return s === socket.handle ? 0 : this.#core.tcp.lpWSPCloseSocket(s, lpErrno);
    }
    return closeSocket(this.#core, socket, lpErrno);
  }

  WSPDuplicateSocket(
    s: number,
    dwProcessId: number,
    lpProtocolInfo: WSAPROTOCOL_INFO | null,
    lpErrno: Errno,
  ): number {
    const socket = this.#core.sockets.find(s);
    if (socket === null) return fail(lpErrno, wsa.WSAENOTSOCK);
    return this.#duplicates.offer(socket, dwProcessId, lpProtocolInfo, lpErrno);
  }

  WSPGetSockName(
    s: number,
    name: Uint8Array | null,
    namelen: Ref<number> | null,
    lpErrno: Errno,
  ): number {
    const socket = this.#core.sockets.find(s);
    if (socket === null) return fail(lpErrno, wsa.WSAENOTSOCK);
    if (!isCarried(socket) || socket.localName === null) {
      return this.#core.tcp.lpWSPGetSockName(socket.descriptor, name, namelen, lpErrno);
    }
    return giveName(socket.localName, name, namelen, lpErrno);
  }

  WSPGetPeerName(
    s: number,
    name: Uint8Array | null,
    namelen: Ref<number> | null,
    lpErrno: Errno,
  ): number {
    const socket = this.#core.sockets.find(s);
    if (socket === null) return fail(lpErrno, wsa.WSAENOTSOCK);
    if (socket.needsContext) return fail(lpErrno, wsa.WSAENOTCONN);
    if (!isCarried(socket) || socket.peerName === null) {
      return this.#core.tcp.lpWSPGetPeerName(socket.descriptor, name, namelen, lpErrno);
    }
    return giveName(socket.peerName, name, namelen, lpErrno);
  }

  WSPSetSockOpt(
    s: number,
    level: number,
    optname: number,
    optval: Uint8Array | null,
    optlen: number,
    lpErrno: Errno,
  ): number {
    const socket = this.#core.sockets.find(s);
    if (socket === null) return fail(lpErrno, wsa.WSAENOTSOCK);
    return setOption(this.#core, socket, level, optname, optval, optlen, lpErrno);
  }

  WSPGetSockOpt(
    s: number,
    level: number,
    optname: number,
    optval: Uint8Array | null,
    optlen: Ref<number> | null,
    lpErrno: Errno,
  ): number {
    const socket = this.#core.sockets.find(s);
    if (socket === null) return fail(lpErrno, wsa.WSAENOTSOCK);
    return queryOption(this.#core, socket, level, optname, optval, optlen, lpErrno);
  }

  WSPIoctl(
    s: number,
    code: number,
    input: Uint8Array | null,
    inputLength: number,
    output: Uint8Array | ExtensionFunctionPointer | null,
    outputLength: number,
    lpcbBytesReturned: Ref<number> | null,
    overlapped: WSAOVERLAPPED | null,
    routine: Routine,
    _lpThreadId: WSATHREADID | null,
    lpErrno: Errno,
  ): number {
    const socket = this.#core.sockets.find(s);
    if (socket === null) return fail(lpErrno, wsa.WSAENOTSOCK);
    if (lpcbBytesReturned === null) return fail(lpErrno, wsa.WSAEFAULT);
    const buffers = { code, input, inputLength, output, outputLength, lpcbBytesReturned };
    const call = { ...buffers, overlapped, routine };
    return control(this.#core, this.transfers.tcp, socket, call, lpErrno);
  }

  WSPEventSelect(s: number, hEventObject: number, lNetworkEvents: number, lpErrno: Errno): number {
    const socket = this.#core.sockets.find(s);
    if (socket === null) return fail(lpErrno, wsa.WSAENOTSOCK);
    return selectEvents(this.#core, socket, hEventObject, lNetworkEvents, lpErrno);
  }

  WSPEnumNetworkEvents(
    s: number,
    hEventObject: number,
    lpNetworkEvents: WSANETWORKEVENTS | null,
    lpErrno: Errno,
  ): number {
    const socket = this.#core.sockets.find(s);
    if (socket === null) return fail(lpErrno, wsa.WSAENOTSOCK);
    refresh(this.#core, socket);
    return enumerateEvents(this.#core, socket, hEventObject, lpNetworkEvents, lpErrno);
  }

  /** A connect while one is under way: WSAEALREADY, unless this turn ends it. */
  #askAgain(socket: SwitchSocket, lpErrno: Errno): number {
    const { attempt } = socket;
    nudge(this.#core);
    if (attempt === null || !attempt.isEnded) return fail(lpErrno, wsa.WSAEALREADY);
    return fail(lpErrno, attempt.error === 0 ? wsa.WSAEISCONN : attempt.error);
  }
}

/** By a SAN provider, here or in another process. */
function isCarried({ connection, share }: SwitchSocket): boolean {
  return connection !== null || share !== null;
}

function giveName(
  name: Uint8Array,
  out: Uint8Array | null,
  length: Ref<number> | null,
  lpErrno: Errno,
): number {
  if (out === null || length === null) return fail(lpErrno, wsa.WSAEFAULT);
  if (length.value < SOCKADDR_IN_BYTES) return fail(lpErrno, wsa.WSAEFAULT);
  return copyName(name, out, length) ? 0 : fail(lpErrno, wsa.WSAEFAULT);
}
