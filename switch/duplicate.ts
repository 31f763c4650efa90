// WSADuplicateSocket, and WSASocket with what it filled in: in this process a further descriptor of the
// same socket, whatever carries it; in another one a socket of TCP/IP's, passed by the base provider, or
// a share of what a SAN provider has, which is sharing/.
// Sources: W3.7, DUP-02, DUP-07; docs/duplication.md.

import * as wsa from '../provider/spi/error-codes.js';
import type { Ref, WSAPROTOCOL_INFO } from '../provider/spi/winsock2.js';
import * as ws from '../provider/spi/winsock2.js';
import { fail } from '../provider/spi/ws2spi.js';
import { attachTcp } from './accept.js';
import type { SwitchCore } from './core.js';
import { listen } from './listen.js';
import type { SocketKind } from './socket-arguments.js';
import {
  canShareListener,
  isSharedListener,
  offerListener,
  takeListener,
} from './sharing/duplicate-listener.js';
import { isShared, offerShared, takeShared } from './sharing/duplicate.js';
import { SocketState, SwitchSocket } from './socket.js';

const NAME_BYTES = 32;
const INT_BYTES = 4;

/** A switch's duplicates that its own process has not taken yet. */
export class Duplicates {
  readonly #core: SwitchCore;
  /** By dwProviderReserved. */
  readonly #waiting = new Map<number, SwitchSocket>();

  constructor(core: SwitchCore) {
    this.#core = core;
  }

  /**
   * Fills `info` in for one WSASocket of the process `processId`. Nothing happens to the socket yet.
   * [DUP-04] WSAEFAULT; WSAEINVAL for no process, or a socket that is connecting; WSAEOPNOTSUPP for a
   * connection over a SAN that cannot move; WSAENOBUFS.
   */
  offer(
    socket: SwitchSocket,
    processId: number,
    info: WSAPROTOCOL_INFO | null,
    lpErrno: Ref<number>,
  ): number {
    const core = this.#core;
    if (info === null) return fail(lpErrno, wsa.WSAEFAULT);
    if (!Number.isInteger(processId) || processId <= 0) return fail(lpErrno, wsa.WSAEINVAL);
    const { family: iAddressFamily, type: iSocketType, protocol: iProtocol } = socket;
    const entry = { ...core.tcpInfo, iAddressFamily, iSocketType, iProtocol };
    if (processId === core.environment.processId) {
      Object.assign(info, entry, { dwProviderReserved: this.#keep(socket) });
      return 0;
    }
    if (socket.connection !== null || socket.share !== null) {
      return offerShared(core, socket, processId, info, lpErrno);
    }
    if (socket.descriptor !== socket.handle) return fail(lpErrno, wsa.WSAEOPNOTSUPP);
    if (socket.state === SocketState.connecting) return fail(lpErrno, wsa.WSAEINVAL);
    if (canShareListener(core, socket)) {
      const result = offerListener(core, socket, processId, entry, lpErrno);
      if (result === 0) Object.assign(info, entry);
      return result;
    }
    const { lpWSPDuplicateSocket } = core.tcp;
    const result = lpWSPDuplicateSocket(socket.descriptor, processId, entry, lpErrno);
    if (result === 0) Object.assign(info, entry);
    return result;
  }

  /** The descriptor that `info` stands for, once; or INVALID_SOCKET with WSAEINVAL or another error. */
  take(kind: SocketKind, info: WSAPROTOCOL_INFO, flags: number, lpErrno: Ref<number>): number {
    const name = info.dwProviderReserved;
    const socket = this.#waiting.get(name);
    if (socket === undefined && isShared(this.#core, info)) {
      return takeShared(this.#core, kind, info, flags, lpErrno);
    }
    if (socket === undefined && isSharedListener(info)) {
      return takeListener(this.#core, kind, info, flags, lpErrno);
    }
    if (socket === undefined) return this.#takeFromProcess(kind, info, flags, lpErrno);
    this.#waiting.delete(name);
    if (socket.openHandles === 0) {
      lpErrno.value = wsa.WSAEINVAL;
      return ws.INVALID_SOCKET;
    }
    return this.#addDescriptor(socket, lpErrno);
  }

  #keep(socket: SwitchSocket): number {
    for (;;) {
      const name = this.#core.environment.random.uint32();
      if (name === 0 || this.#waiting.has(name)) continue;
      this.#waiting.set(name, socket);
      return name;
    }
  }

  /** A number that only TCP/IP can make sure of is taken by a socket of its own. [COMP-01] */
  #addDescriptor(socket: SwitchSocket, lpErrno: Ref<number>): number {
    const { tcp, tcpInfo, sockets } = this.#core;
    const { family, type, protocol } = socket;
    const flags = ws.WSA_FLAG_OVERLAPPED;
    const s = tcp.lpWSPSocket(family, type, protocol, tcpInfo, 0, flags, lpErrno);
    if (s !== ws.INVALID_SOCKET) sockets.addHandle(s, socket);
    return s;
  }

  #takeFromProcess(
    { family, type, protocol }: SocketKind,
    info: WSAPROTOCOL_INFO,
    dwFlags: number,
    lpErrno: Ref<number>,
  ): number {
    const core = this.#core;
    const flags = dwFlags | ws.WSA_FLAG_OVERLAPPED;
    const s = core.tcp.lpWSPSocket(family, type, protocol, info, 0, flags, lpErrno);
    if (s === ws.INVALID_SOCKET) return s;
    const overlappedCapable = (dwFlags & ws.WSA_FLAG_OVERLAPPED) !== 0;
    const socket = new SwitchSocket(s, { family, type, protocol, overlappedCapable });
    core.sockets.add(socket);
    const error = restore(core, socket);
    if (error === 0) return s;
    core.sockets.remove(socket);
    core.tcp.lpWSPCloseSocket(s, ws.ref(0));
    lpErrno.value = error;
    return ws.INVALID_SOCKET;
  }
}

/** The state that the socket had in the other process, as TCP/IP tells it. 0, or the error. */
function restore(core: SwitchCore, socket: SwitchSocket): number {
  const { lpWSPGetPeerName, lpWSPGetSockName, lpWSPGetSockOpt } = core.tcp;
  const { descriptor } = socket;
  const errno = ws.ref(0);
  const has = (name: typeof lpWSPGetPeerName): boolean =>
    name(descriptor, new Uint8Array(NAME_BYTES), ws.ref(NAME_BYTES), errno) === 0;
  socket.isBound = has(lpWSPGetSockName);
  if (has(lpWSPGetPeerName)) {
    if (socket.isStream) return attachTcp(core, socket, descriptor);
    socket.state = SocketState.connected;
    return 0;
  }
  const value = new Uint8Array(INT_BYTES);
  const length = ws.ref(INT_BYTES);
  const { SOL_SOCKET, SO_ACCEPTCONN } = ws;
  const isKnown =
    lpWSPGetSockOpt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, value, length, errno) === 0;
  const isListening = isKnown && value.some((byte) => byte !== 0);
  return isListening ? listen(core, socket, ws.SOMAXCONN) : 0;
}
