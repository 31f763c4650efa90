// Socket options: kept by the switch for the companion to come, forwarded to TCP/IP always, to a live
// SAN socket where it knows them; those that say how the switch itself behaves are read here.
// Sources: COMP-10, OPT-01, OPT-07, SETOPT-01, GETOPT-01, W2.8, W4.17, W8.1.15, W12.5.

import * as wsa from '../provider/spi/error-codes.js';
import type { Ref } from '../provider/spi/winsock2.js';
import * as ws from '../provider/spi/winsock2.js';
import { fail } from '../provider/spi/ws2spi.js';
import { reachesProvider, uint32 } from './companion.js';
import type { SwitchCore } from './core.js';
import { connectTime, isContext, updateContext } from './ex/context.js';
import type { StoredOption, SwitchSocket } from './socket.js';
import { SocketState } from './socket.js';

const INT_BYTES = 4;

export function setOption(
  core: SwitchCore,
  socket: SwitchSocket,
  level: number,
  name: number,
  value: Uint8Array | null,
  length: number,
  lpErrno: Ref<number>,
): number {
  const bytes = value?.subarray(0, Math.max(0, length)) ?? null;
  if (bytes === null || length > (value?.length ?? 0)) return fail(lpErrno, wsa.WSAEFAULT);
  if (level === ws.SOL_SOCKET && isContext(name)) {
    const error = updateContext(core, socket, name, bytes);
    return error === 0 ? 0 : fail(lpErrno, error);
  }
  socket.share?.optionSet({ level, name, value: bytes.slice() });
  if (level === ws.SOL_SOCKET && isOwn(name)) return setOwn(socket, name, bytes, lpErrno);
  const { descriptor } = socket;
  if (core.tcp.lpWSPSetSockOpt(descriptor, level, name, bytes, bytes.length, lpErrno) !== 0) {
    return ws.SOCKET_ERROR;
  }
  store(socket.options, { level, name, value: bytes.slice() });
  const { connection } = socket;
  if (connection !== null && reachesProvider(level, name)) {
    const { provider, descriptor: s } = connection.companion;
    // TCP/IP has taken it: whether the provider knows it too is nobody's concern. [OPT-02]
    provider.procs.lpWSPSetSockOpt(s, level, name, bytes, bytes.length, ws.ref(0));
  }
  if (level === ws.SOL_SOCKET) noteForwarded(socket, name, bytes);
  return 0;
}

export function queryOption(
  core: SwitchCore,
  socket: SwitchSocket,
  level: number,
  name: number,
  value: Uint8Array | null,
  length: Ref<number> | null,
  lpErrno: Ref<number>,
): number {
  if (value === null || length === null) return fail(lpErrno, wsa.WSAEFAULT);
  const own = level === ws.SOL_SOCKET ? ownValue(core, socket, name) : null;
  if (own === null) {
    return core.tcp.lpWSPGetSockOpt(socket.descriptor, level, name, value, length, lpErrno);
  }
  const room = Math.min(length.value, value.length);
  if (room < own.length) return fail(lpErrno, wsa.WSAEFAULT);
  value.set(own);
  length.value = own.length;
  if (name === ws.SO_ERROR) socket.pendingError = 0;
  return 0;
}

/** Options that only the switch gives a meaning: it is the switch that waits. */
function isOwn(name: number): boolean {
  switch (name) {
    case ws.SO_SNDTIMEO:
    case ws.SO_RCVTIMEO:
    case ws.SO_CONDITIONAL_ACCEPT:
      return true;
    default:
      return false;
  }
}

function setOwn(
  socket: SwitchSocket,
  name: number,
  bytes: Uint8Array,
  lpErrno: Ref<number>,
): number {
  if (bytes.length < INT_BYTES) return fail(lpErrno, wsa.WSAEFAULT);
  const value = uint32(bytes);
  if (name === ws.SO_SNDTIMEO) socket.sendTimeoutMs = value;
  else if (name === ws.SO_RCVTIMEO) socket.receiveTimeoutMs = value;
  else if (socket.state === SocketState.listening) return fail(lpErrno, wsa.WSAEINVAL);
  else socket.conditionalAccept = value !== 0;
  return 0;
}

/** What TCP/IP has accepted and the switch must act on as well. */
function noteForwarded(socket: SwitchSocket, name: number, bytes: Uint8Array): void {
  const value = bytes.length >= INT_BYTES ? uint32(bytes) : 0;
  switch (name >>> 0) {
    case ws.SO_LINGER:
      // struct linger: two 16-bit numbers. [W2.13]
      socket.lingerOn = (value & 0xffff) !== 0;
      socket.lingerSeconds = value >>> 16;
      return;
    case ws.SO_DONTLINGER:
      if (value !== 0) socket.lingerOn = false;
      return;
    case ws.SO_OOBINLINE:
      socket.oobInline = value !== 0;
      if (socket.connection !== null) socket.connection.session.oobInline = value !== 0;
      return;
    default:
  }
}

function ownValue(core: SwitchCore, socket: SwitchSocket, name: number): Uint8Array | null {
  switch (name) {
    case ws.SO_SNDTIMEO:
      return int(socket.sendTimeoutMs);
    case ws.SO_RCVTIMEO:
      return int(socket.receiveTimeoutMs);
    case ws.SO_CONDITIONAL_ACCEPT:
      return int(socket.conditionalAccept ? 1 : 0);
    case ws.SO_CONNECT_TIME:
      return int(connectTime(core, socket));
    case ws.SO_ACCEPTCONN:
      return int(socket.state === SocketState.listening ? 1 : 0);
    case ws.SO_TYPE:
      return int(socket.type);
    case ws.SO_ERROR:
      // TCP/IP knows of its own errors; the switch of those of the SAN and of connects.
      return socket.pendingError === 0 && socket.connection === null
        ? null
        : int(socket.pendingError);
    default:
      return null;
  }
}

function store(options: StoredOption[], option: StoredOption): void {
  const same = options.findIndex(({ level, name }) => {
    return level === option.level && name === option.name;
  });
  if (same >= 0) options.splice(same, 1);
  options.push(option);
}

export function int(value: number): Uint8Array {
  return Uint8Array.of(value, value >>> 8, value >>> 16, value >>> 24);
}
