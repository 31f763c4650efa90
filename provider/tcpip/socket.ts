// Creating, binding, naming and closing sockets. It must not know how data moves or what an event is.
// Sources: W3, W9.10.1, W12.3 to W12.5, W15.6; docs/decisions/0002-host-addresses.md.

import { errno } from '../../native/errors.js';
import { native } from '../../native/load.js';
import type { Nanos } from '../../runtime/clock.js';
import { milliseconds, seconds } from '../../runtime/clock.js';
import * as wsa from '../spi/errors.js';
import { sockaddrPort } from '../spi/sockaddr.js';
import { fail } from '../spi/ws2spi.js';
import type * as fn from '../spi/ws2spi.js';
import * as ws from '../spi/winsock2.js';
import { abortQueue } from './attempt.js';
import { readUint32 } from './bytes.js';
import { takeDuplicate } from './duplicate.js';
import { refuse } from './connect.js';
import { evaluate } from './events.js';
import { stopWatching, updateInterest } from './interest.js';
import { setFlag, writeInt } from './kernel-option.js';
import {
  answerName,
  isWildcard,
  kernelBindName,
  kernelLocalName,
  nameError,
  withPort,
} from './naming.js';
import { askForNetworkErrors } from './network-error.js';
import { failSocket, KernelSocket, MessageState } from './record.js';
import type { Context, SocketState } from './record.js';
import {
  LINUX,
  linuxFamily,
  sockaddrBytes,
  toLinuxSockaddr,
  wsaErrorOfErrno,
} from './translate.js';

// Create --------------------------------------------------------------------------------------------

interface Wanted {
  readonly family: number;
  readonly type: number;
  readonly protocol: number;
}

/** Fills in what the arguments leave open, or says what is wrong with them, type first. [W3.3] */
export function resolveSocketArguments(wanted: Wanted): Wanted | number {
  const { protocol } = wanted;
  if (wanted.type < 0 || wanted.type > ws.SOCK_RAW) return wsa.WSAESOCKTNOSUPPORT;
  const isKnownProtocol = protocol === ws.IPPROTO_TCP || protocol === ws.IPPROTO_UDP;
  if (wanted.family === ws.AF_UNSPEC && protocol === 0) return wsa.WSAEINVAL;
  const family = wanted.family === ws.AF_UNSPEC && isKnownProtocol ? ws.AF_INET : wanted.family;
  if (family !== ws.AF_INET && family !== ws.AF_INET6) return wsa.WSAEAFNOSUPPORT;
  const isDatagramProtocol = protocol === ws.IPPROTO_UDP;
  const impliedType = isDatagramProtocol ? ws.SOCK_DGRAM : ws.SOCK_STREAM;
  const type = wanted.type === 0 ? impliedType : wanted.type;
  if (type === ws.SOCK_STREAM && protocol !== 0 && protocol !== ws.IPPROTO_TCP) {
    return wsa.WSAEPROTONOSUPPORT;
  }
  if (type === ws.SOCK_DGRAM && protocol !== 0 && !isDatagramProtocol) {
    return wsa.WSAEPROTONOSUPPORT;
  }
  // What a raw socket carries is for the caller to say, and for the kernel to allow.
  if (type === ws.SOCK_RAW) {
    const isProtocol = protocol > 0 && protocol <= ws.IPPROTO_RAW;
    return isProtocol ? { family, type, protocol } : wsa.WSAEPROTONOSUPPORT;
  }
  const impliedProtocol = type === ws.SOCK_DGRAM ? ws.IPPROTO_UDP : ws.IPPROTO_TCP;
  return { family, type, protocol: protocol === 0 ? impliedProtocol : protocol };
}

/** IP's total of 65,535 bytes, less its own header over IPv4, less UDP's. [W4.9] */
const IP_BYTES_MAX = 65_535;
const IPV4_HEADER_BYTES = 20;
const UDP_HEADER_BYTES = 8;

function messageStateOf({ family, type }: Wanted): MessageState | null {
  if (type === ws.SOCK_STREAM) return null;
  const header = family === ws.AF_INET6 ? 0 : IPV4_HEADER_BYTES;
  return new MessageState(IP_BYTES_MAX - header - (type === ws.SOCK_DGRAM ? UDP_HEADER_BYTES : 0));
}

/**
 * Has the kernel tell where every message was sent to: WSARecvMsg knows a broadcast by it, of those too
 * that came before it was called. [W8.3.1]
 */
function askForDestinations({ fd, family, message }: KernelSocket): void {
  if (message === null) return;
  writeInt(fd, LINUX.IPPROTO_IP, LINUX.IP_PKTINFO, 1);
  if (family === ws.AF_INET6) writeInt(fd, LINUX.IPPROTO_IPV6, LINUX.IPV6_RECVPKTINFO, 1);
}

/** Where an argument is FROM_PROTOCOL_INFO, the catalog entry has its value. */
function wantedFrom(wanted: Wanted, info: ws.WSAPROTOCOL_INFO | null): Wanted {
  const pick = (value: number, known: number | undefined): number =>
    value === ws.FROM_PROTOCOL_INFO ? (known ?? value) : value;
  return {
    family: pick(wanted.family, info?.iAddressFamily),
    type: pick(wanted.type, info?.iSocketType),
    protocol: pick(wanted.protocol, info?.iProtocol),
  };
}

function createSocket(context: Context): fn.LPWSPSOCKET {
  return (af, type, protocol, lpProtocolInfo, _g, dwFlags, lpErrno) => {
    const { table } = context;
    if (table.startupCount === 0) return failSocket(lpErrno, wsa.WSANOTINITIALISED);
    const duplicate = lpProtocolInfo?.dwProviderReserved ?? 0;
    if (duplicate !== 0) {
      const taken = takeDuplicate(context, duplicate, messageStateOf);
      return typeof taken === 'number' ? failSocket(lpErrno, taken) : taken.handle;
    }
    const wanted = wantedFrom({ family: af, type, protocol }, lpProtocolInfo);
    const resolved = resolveSocketArguments(wanted);
    if (typeof resolved === 'number') return failSocket(lpErrno, resolved);
    const { family, type: kind, protocol: spoken } = resolved;
    // Types and protocols have the same numbers on both sides.
    const fd = native.socketCreate(linuxFamily(family), kind, spoken);
    if (fd < 0) return failSocket(lpErrno, wsaErrorOfErrno(fd));
    if (family === ws.AF_INET6) writeInt(fd, LINUX.IPPROTO_IPV6, LINUX.IPV6_V6ONLY, 1);
    const isOverlapped = (dwFlags & ws.WSA_FLAG_OVERLAPPED) !== 0;
    // Not by spreading, of which V8 learns nothing here: that costs as much as the rest of the call.
    const handle = table.newHandle();
    const identity = { handle, fd, family, type: kind, protocol: spoken, isOverlapped };
    const socket = new KernelSocket(identity, messageStateOf(resolved));
    askForNetworkErrors(socket);
    askForDestinations(socket);
    table.add(socket);
    return socket.handle;
  };
}

// Bind and names ------------------------------------------------------------------------------------

/**
 * Binds in the kernel. A port that only remnants of closed connections hold is free on Windows; the
 * kernel gives it out with SO_REUSEADDR, which would also share it with the living, so the option is
 * on for the second attempt alone.
 */
function bindKernel(socket: KernelSocket, name: Uint8Array): number {
  const { options, fd } = socket;
  const first = native.socketBind(fd, name, name.length);
  const isFinal = options.exclusiveAddressUse || socket.message !== null;
  if (first !== -errno.EADDRINUSE || isFinal) return first;
  setFlag(fd, LINUX.SO_REUSEADDR, true);
  const second = native.socketBind(fd, name, name.length);
  setFlag(fd, LINUX.SO_REUSEADDR, options.reuseAddress);
  return second;
}

function createBind(context: Context): fn.LPWSPBIND {
  return (s, name, namelen, lpErrno) => {
    const socket = context.table.find(s, lpErrno);
    if (socket === null) return ws.SOCKET_ERROR;
    const invalid = nameError(name, namelen, socket.family);
    if (invalid !== 0 || name === null) return fail(lpErrno, invalid);
    if (socket.localName !== null) return fail(lpErrno, wsa.WSAEINVAL);
    const { hostAddress } = context.kernel;
    const kernelName = kernelBindName(hostAddress, name, socket.isDualStack);
    if (kernelName === null) return fail(lpErrno, wsa.WSAEADDRNOTAVAIL);
    const result = bindKernel(socket, toLinuxSockaddr(kernelName));
    if (result < 0) return fail(lpErrno, wsaErrorOfErrno(result));
    const port = sockaddrPort(kernelLocalName(socket.fd) ?? name);
    const asked = isWildcard(name) ? name : kernelName;
    socket.localName = withPort(asked.slice(0, sockaddrBytes(socket.family)), port);
    if (socket.message !== null) evaluate(context, socket);
    return 0;
  };
}

function createNameFunctions(context: Context): {
  getSockName: fn.LPWSPGETSOCKNAME;
  getPeerName: fn.LPWSPGETPEERNAME;
} {
  const answer = (
    stored: Uint8Array | null,
    missing: number,
    parameters: Parameters<fn.LPWSPGETSOCKNAME>,
  ): number => {
    const [, name, namelen, lpErrno] = parameters;
    if (stored === null) return fail(lpErrno, missing);
    const error = answerName(stored, name, namelen);
    return error === 0 ? 0 : fail(lpErrno, error);
  };
  return {
    getSockName(...parameters) {
      const socket = context.table.find(parameters[0], parameters[3]);
      if (socket === null) return ws.SOCKET_ERROR;
      return answer(socket.localName, wsa.WSAEINVAL, parameters);
    },
    getPeerName(...parameters) {
      const socket = context.table.find(parameters[0], parameters[3]);
      if (socket === null) return ws.SOCKET_ERROR;
      const peer = socket.state === 'connected' ? socket.peerName : null;
      return answer(peer, wsa.WSAENOTCONN, parameters);
    },
  };
}

// Close ---------------------------------------------------------------------------------------------

/** struct tcp_info: packets sent and not acknowledged, bytes not sent yet. */
const TCP_INFO_BYTES = 256;
const UNACKNOWLEDGED_OFFSET = 24;
const NOT_SENT_OFFSET = 144;

/** How often a lingering close looks whether its data is out: the kernel does not tell. */
const LINGER_LOOK: Nanos = milliseconds(1);

function hasUnsentData(socket: KernelSocket): boolean {
  const info = new Uint8Array(TCP_INFO_BYTES);
  const length = native.socketGetOption(socket.fd, LINUX.IPPROTO_TCP, LINUX.TCP_INFO, info);
  if (length < NOT_SENT_OFFSET + 4) return false;
  return readUint32(info, UNACKNOWLEDGED_OFFSET) + readUint32(info, NOT_SENT_OFFSET) > 0;
}

type CloseMode = 'graceful' | 'hard';

/**
 * How a socket is to be closed by its linger option; null: not now, its data is not out and it may not
 * block. A blocking one waits here. [W12.5]
 */
function closeModeOf(context: Context, socket: KernelSocket): CloseMode | null {
  const { lingerOn, lingerSeconds } = socket.options;
  if (!lingerOn || socket.state !== 'connected') return 'graceful';
  if (lingerSeconds === 0) return 'hard';
  const { clock, blocking } = context;
  const deadline = clock.now() + seconds(lingerSeconds);
  while (socket.failure === 0 && hasUnsentData(socket)) {
    if (socket.isNonblocking) return null;
    const now = clock.now();
    if (now >= deadline) return 'hard';
    blocking.wait(() => false, Math.min(deadline, now + LINGER_LOOK));
  }
  return 'graceful';
}

const DISCARD_BYTES = 65_536;
/** A peer that sends more than this without looking is reset, as every TCP would do in the end. */
const DISCARD_BYTES_MAX = 8 * 1024 * 1024;

/**
 * The kernel resets a connection that is closed with unread data, and its peer loses what it has not
 * read yet; Windows ends it gracefully. So what is there is read and dropped. [W15.6]
 */
function discardUnread(fd: number): void {
  if (native.socketReadable(fd) <= 0) return;
  const buffer = [new Uint8Array(DISCARD_BYTES)];
  const lengths = [DISCARD_BYTES];
  for (let total = 0; total < DISCARD_BYTES_MAX; ) {
    const taken = native.socketReceive(fd, buffer, lengths, 1, 0);
    if (taken <= 0) return;
    total += taken;
  }
}

function closeKernel(socket: KernelSocket, mode: CloseMode, state: SocketState): void {
  const { fd } = socket;
  if (socket.isShared) {
    // Neither its data nor its end are for this process alone to dispose of. [W3.7]
    native.closeDescriptor(fd);
    return;
  }
  if (mode === 'hard') {
    refuse({ fd, peerName: new Uint8Array(0), localName: new Uint8Array(0) });
    return;
  }
  const isStream = socket.message === null;
  if (isStream && socket.peerName !== null) discardUnread(fd);
  // What is left of the connection must not keep its port from the next listener. One that never was
  // TCP's leaves nothing.
  const mayRemain = isStream && state !== 'open';
  if (mayRemain && !socket.options.exclusiveAddressUse) setFlag(fd, LINUX.SO_REUSEADDR, true);
  native.closeDescriptor(fd);
}

/** A socket whose last data is out, or cannot get out, is gone. Called on readiness. [W12.4] */
export function finishDraining(context: Context, socket: KernelSocket): void {
  if (socket.sends.length > 0) return;
  context.table.draining.delete(socket);
  const { state } = socket;
  socket.state = 'closed';
  stopWatching(context, socket);
  closeKernel(socket, 'graceful', state);
}

/** Ends a socket for the application; its kernel socket too, unless it still owes data. */
function closeSocket(context: Context, socket: KernelSocket, mode: CloseMode): void {
  context.table.remove(socket);
  socket.selection.mask = 0;
  const sends = socket.sends.splice(0);
  const owed = mode === 'hard' || socket.failure !== 0 ? [] : sends.filter((one) => one.isCopied);
  if (owed.length > 0) {
    socket.sends.push(...owed);
    socket.state = 'draining';
    context.table.draining.add(socket);
    updateInterest(context, socket);
  } else {
    const { state } = socket;
    socket.state = 'closed';
    stopWatching(context, socket);
    if (socket.deferred.length > 0) {
      for (const connection of socket.deferred.splice(0)) refuse(connection);
    }
    closeKernel(socket, mode, state);
  }
  // Memory first, then the word of it. [W14.12]
  const cancelled = sends.filter((one) => !one.isCopied);
  abortQueue(context, cancelled, wsa.WSA_OPERATION_ABORTED);
  const isStream = socket.message === null;
  const receiveError = isStream ? context.profile.closedReceiveError : wsa.WSA_OPERATION_ABORTED;
  abortQueue(context, socket.urgentReceives, receiveError);
  abortQueue(context, socket.receives, receiveError);
  abortQueue(context, socket.controls, wsa.WSA_OPERATION_ABORTED);
}

function createClose(context: Context): fn.LPWSPCLOSESOCKET {
  return (s, lpErrno) => {
    const socket = context.table.find(s, lpErrno);
    if (socket === null) return ws.SOCKET_ERROR;
    const mode = closeModeOf(context, socket);
    if (mode === null) return fail(lpErrno, wsa.WSAEWOULDBLOCK);
    // Closed by someone else while it lingered.
    if (context.table.find(s, lpErrno) !== socket) return ws.SOCKET_ERROR;
    closeSocket(context, socket, mode);
    return 0;
  };
}

/** The last WSPCleanup: every socket is closed, whatever it still owes. [CLEANUP-01, CLEANUP-02] */
export function closeAllSockets(context: Context): void {
  for (const socket of context.table.all()) {
    const isAbortive = socket.options.lingerOn && socket.options.lingerSeconds === 0;
    closeSocket(context, socket, isAbortive ? 'hard' : 'graceful');
  }
  for (const socket of context.table.draining) {
    socket.sends.length = 0;
    finishDraining(context, socket);
  }
}

export interface SocketFunctions {
  create: fn.LPWSPSOCKET;
  bind: fn.LPWSPBIND;
  getSockName: fn.LPWSPGETSOCKNAME;
  getPeerName: fn.LPWSPGETPEERNAME;
  close: fn.LPWSPCLOSESOCKET;
}

export function createSocketFunctions(context: Context): SocketFunctions {
  return {
    create: createSocket(context),
    bind: createBind(context),
    ...createNameFunctions(context),
    close: createClose(context),
  };
}
