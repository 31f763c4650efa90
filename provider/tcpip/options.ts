// Socket options, as one table: where each lives and what form it has. It must not know control codes.
// Sources: W2.8, W2.9, GETOPT-01, GETOPT-02, SETOPT-01, OPT-08; layouts W2.13.

import { EPOLLHUP } from '../../native/reactor.js';
import { seconds } from '../../runtime/clock.js';
import * as wsa from '../spi/errors.js';
import { fail } from '../spi/ws2spi.js';
import type { LPWSPGETSOCKOPT, LPWSPSETSOCKOPT } from '../spi/ws2spi.js';
import * as ws from '../spi/winsock2.js';
import { readUint16, readUint32, writeUint16, writeUint32 } from './bytes.js';
import { readInt, takeSocketError, writeInt } from './kernel-option.js';
import type { Context, StoredOptions, KernelSocket } from './record.js';
import { streamError } from './stream-error.js';
import { LINUX } from './translate.js';

/** What SO_CONNECT_TIME says of a socket that is not connected. */
const NOT_CONNECTED = 0xffffffff;

interface OptionRule {
  /** The kind of socket that has it; missing: every kind. */
  readonly of?: 'stream' | 'message';
  /** A BOOL may also be read and written as one byte. */
  readonly form: 'bool' | 'dword';
  /** The value, or a negative errno. Missing: the option cannot be read. */
  read?(socket: KernelSocket, context: Context): number;
  /** 0 or a Winsock error. Missing: the option cannot be set. */
  write?(socket: KernelSocket, value: number): number;
}

function kernelRule(form: OptionRule['form'], level: number, option: number): OptionRule {
  return {
    form,
    read: (socket) => readInt(socket.fd, level, option),
    write: (socket, value) => (writeInt(socket.fd, level, option, value) < 0 ? wsa.WSAEINVAL : 0),
  };
}

type Keys<Value> = {
  [Key in keyof StoredOptions]: StoredOptions[Key] extends Value ? Key : never;
}[keyof StoredOptions];

function storedFlag(key: Keys<boolean>): OptionRule {
  return {
    form: 'bool',
    read: (socket) => (socket.options[key] ? 1 : 0),
    write: (socket, value) => {
      socket.options[key] = value !== 0;
      return 0;
    },
  };
}

function tcpRule(form: OptionRule['form'], option: number): OptionRule {
  return { ...kernelRule(form, LINUX.IPPROTO_TCP, option), of: 'stream' };
}

function storedNumber(key: 'groupPriority' | 'sendTimeoutMs' | 'receiveTimeoutMs'): OptionRule {
  return {
    form: 'dword',
    read: (socket) => socket.options[key],
    write: (socket, value) => {
      socket.options[key] = value;
      return 0;
    },
  };
}

/** The kernel doubles what it is given, for its own bookkeeping; the application sees its number. */
function bufferRule(key: 'sendBufferBytes' | 'receiveBufferBytes', option: number): OptionRule {
  return {
    form: 'dword',
    read: (socket) => socket.options[key] ?? readInt(socket.fd, LINUX.SOL_SOCKET, option) >>> 1,
    write: (socket, value) => {
      const bytes = Math.min(value, 0x7fffffff);
      if (writeInt(socket.fd, LINUX.SOL_SOCKET, option, bytes) < 0) return wsa.WSAENOBUFS;
      socket.options[key] = value;
      return 0;
    },
  };
}

/** Sharing a port and refusing to share it exclude each other, and are said before binding. */
function addressUseRule(
  key: 'reuseAddress' | 'exclusiveAddressUse',
  other: 'reuseAddress' | 'exclusiveAddressUse',
): OptionRule {
  return {
    ...storedFlag(key),
    write: (socket, value) => {
      const isOn = value !== 0;
      if (isOn && (socket.options[other] || socket.localName !== null)) return wsa.WSAEINVAL;
      socket.options[key] = isOn;
      const isShared = socket.options.reuseAddress ? 1 : 0;
      writeInt(socket.fd, LINUX.SOL_SOCKET, LINUX.SO_REUSEADDR, isShared);
      return 0;
    },
  };
}

/** Reading clears it; a broken connection stays broken. */
function takeError(socket: KernelSocket, context: Context): number {
  const known = socket.pendingError;
  socket.pendingError = 0;
  if (known !== 0 || socket.state !== 'connected') return known;
  const number = takeSocketError(socket.fd);
  if (number === 0) return 0;
  socket.failure = streamError(socket, number);
  context.onReady(socket, EPOLLHUP);
  return socket.failure;
}

function secondsConnected(socket: KernelSocket, context: Context): number {
  if (socket.state !== 'connected') return NOT_CONNECTED;
  return Math.floor((context.clock.now() - socket.connectedAt) / seconds(1));
}

/** The kernel is asked by an option of its own whether a broadcast may leave. [W5.6] */
const broadcastRule: OptionRule = {
  form: 'bool',
  of: 'message',
  read: (socket) => (socket.message?.isBroadcastAllowed === true ? 1 : 0),
  write: (socket, value) => {
    if (socket.message !== null) socket.message.isBroadcastAllowed = value !== 0;
    writeInt(socket.fd, LINUX.SOL_SOCKET, LINUX.SO_BROADCAST, value === 0 ? 0 : 1);
    return 0;
  },
};

/** The destination of every message that comes, as control data. [W8.3.5] */
const packetInfoRule: OptionRule = {
  form: 'bool',
  of: 'message',
  read: (socket) => (socket.message?.wantsPacketInfo === true ? 1 : 0),
  write: (socket, value) => {
    if (socket.message !== null) socket.message.wantsPacketInfo = value !== 0;
    return 0;
  },
};

/** The kernel lets it be changed before the socket is bound only. */
const ipv6OnlyRule: OptionRule = {
  ...kernelRule('bool', LINUX.IPPROTO_IPV6, LINUX.IPV6_V6ONLY),
  write: (socket, value) => {
    const isOn = value !== 0;
    const result = writeInt(socket.fd, LINUX.IPPROTO_IPV6, LINUX.IPV6_V6ONLY, isOn ? 1 : 0);
    if (result < 0) return wsa.WSAEINVAL;
    socket.options.isIpv6Only = isOn;
    return 0;
  },
};

/** A number that comes with every message when it is asked for. */
function messageRule(level: number, option: number): OptionRule {
  return { ...kernelRule('bool', level, option), of: 'message' };
}

const acceptedAndIgnored: OptionRule = { form: 'dword', write: () => 0 };

const SOCKET_LEVEL: ReadonlyMap<number, OptionRule> = new Map([
  [ws.SO_DEBUG, storedFlag('isDebugging')],
  [
    ws.SO_ACCEPTCONN,
    { form: 'bool', read: (s: KernelSocket) => (s.state === 'listening' ? 1 : 0) },
  ],
  [ws.SO_REUSEADDR, addressUseRule('reuseAddress', 'exclusiveAddressUse')],
  [ws.SO_EXCLUSIVEADDRUSE, addressUseRule('exclusiveAddressUse', 'reuseAddress')],
  [ws.SO_KEEPALIVE, { ...kernelRule('bool', LINUX.SOL_SOCKET, LINUX.SO_KEEPALIVE), of: 'stream' }],
  [ws.SO_DONTROUTE, kernelRule('bool', LINUX.SOL_SOCKET, LINUX.SO_DONTROUTE)],
  [
    ws.SO_OOBINLINE,
    {
      form: 'bool',
      of: 'stream',
      read: (socket) => (socket.options.outOfBandInline ? 1 : 0),
      write: (socket, value) => {
        socket.options.outOfBandInline = value !== 0;
        writeInt(socket.fd, LINUX.SOL_SOCKET, LINUX.SO_OOBINLINE, value === 0 ? 0 : 1);
        return 0;
      },
    },
  ],
  [
    ws.SO_DONTLINGER,
    {
      form: 'bool',
      of: 'stream',
      read: (socket) => (socket.options.lingerOn ? 0 : 1),
      write: (socket, value) => {
        socket.options.lingerOn = value === 0;
        return 0;
      },
    },
  ],
  [ws.SO_SNDBUF, bufferRule('sendBufferBytes', LINUX.SO_SNDBUF)],
  [ws.SO_RCVBUF, bufferRule('receiveBufferBytes', LINUX.SO_RCVBUF)],
  [ws.SO_SNDTIMEO, storedNumber('sendTimeoutMs')],
  [ws.SO_RCVTIMEO, storedNumber('receiveTimeoutMs')],
  [ws.SO_ERROR, { form: 'dword', read: takeError }],
  [ws.SO_TYPE, { form: 'dword', read: (socket) => socket.type }],
  [ws.SO_MAX_MSG_SIZE, { form: 'dword', of: 'message', read: (s) => s.message?.bytesMax ?? -1 }],
  [ws.SO_BROADCAST, broadcastRule],
  [ws.SO_GROUP_ID, { form: 'dword', read: () => 0 }],
  [ws.SO_GROUP_PRIORITY, storedNumber('groupPriority')],
  [ws.SO_CONDITIONAL_ACCEPT, storedFlag('conditionalAccept')],
  [ws.SO_UPDATE_ACCEPT_CONTEXT, acceptedAndIgnored],
  [ws.SO_UPDATE_CONNECT_CONTEXT, acceptedAndIgnored],
  [ws.SO_CONNECT_TIME, { form: 'dword', read: secondsConnected }],
] satisfies readonly (readonly [number, OptionRule])[]);

const LEVELS: ReadonlyMap<number, ReadonlyMap<number, OptionRule>> = new Map([
  [ws.SOL_SOCKET, SOCKET_LEVEL],
  [
    ws.IPPROTO_TCP,
    new Map([
      [ws.TCP_NODELAY, tcpRule('bool', LINUX.TCP_NODELAY)],
      [ws.TCP_KEEPIDLE, tcpRule('dword', LINUX.TCP_KEEPIDLE)],
      [ws.TCP_KEEPINTVL, tcpRule('dword', LINUX.TCP_KEEPINTVL)],
      [ws.TCP_KEEPCNT, tcpRule('dword', LINUX.TCP_KEEPCNT)],
    ]),
  ],
  [
    ws.IPPROTO_IP,
    new Map([
      [ws.IP_TOS, kernelRule('dword', LINUX.IPPROTO_IP, LINUX.IP_TOS)],
      [ws.IP_TTL, kernelRule('dword', LINUX.IPPROTO_IP, LINUX.IP_TTL)],
      [ws.IP_PKTINFO, packetInfoRule],
      [ws.IP_RECVTTL, messageRule(LINUX.IPPROTO_IP, LINUX.IP_RECVTTL)],
      [ws.IP_RECVTOS, messageRule(LINUX.IPPROTO_IP, LINUX.IP_RECVTOS)],
    ]),
  ],
  [
    ws.IPPROTO_IPV6,
    new Map([
      [ws.IPV6_V6ONLY, ipv6OnlyRule],
      [ws.IPV6_PKTINFO, packetInfoRule],
      [ws.IPV6_HOPLIMIT, messageRule(LINUX.IPPROTO_IPV6, LINUX.IPV6_RECVHOPLIMIT)],
      [ws.IPV6_RECVTCLASS, messageRule(LINUX.IPPROTO_IPV6, LINUX.IPV6_RECVTCLASS)],
    ]),
  ],
]);

const DWORD_BYTES = 4;
const LINGER_BYTES = 4;

function ruleOf(socket: KernelSocket, level: number, option: number): OptionRule | number {
  const rules = LEVELS.get(level);
  if (rules === undefined) return wsa.WSAEINVAL;
  const rule = rules.get(option);
  const kind = socket.message === null ? 'stream' : 'message';
  if (rule === undefined || (rule.of ?? kind) !== kind) return wsa.WSAENOPROTOOPT;
  return rule;
}

/** SO_LINGER is the one option that is a structure: two 16-bit numbers. [W2.13] */
function readLinger(socket: KernelSocket, optval: Uint8Array, room: number): number {
  if (room < LINGER_BYTES) return 0;
  writeUint16(optval, socket.options.lingerOn ? 1 : 0);
  writeUint16(optval, socket.options.lingerSeconds, 2);
  return LINGER_BYTES;
}

function writeLinger(socket: KernelSocket, optval: Uint8Array, length: number): number {
  if (length < LINGER_BYTES) return wsa.WSAEFAULT;
  socket.options.lingerOn = readUint16(optval) !== 0;
  socket.options.lingerSeconds = readUint16(optval, 2);
  return 0;
}

function isLinger(socket: KernelSocket, level: number, option: number): boolean {
  return socket.message === null && level === ws.SOL_SOCKET && option === ws.SO_LINGER;
}

function createGetSockOpt(context: Context): LPWSPGETSOCKOPT {
  return (s, level, optname, optval, optlen, lpErrno) => {
    const socket = context.table.find(s, lpErrno);
    if (socket === null) return ws.SOCKET_ERROR;
    if (optval === null || optlen === null) return fail(lpErrno, wsa.WSAEFAULT);
    const room = Math.min(optlen.value, optval.length);
    if (isLinger(socket, level, optname)) {
      const length = readLinger(socket, optval, room);
      if (length === 0) return fail(lpErrno, wsa.WSAEFAULT);
      optlen.value = length;
      return 0;
    }
    const rule = ruleOf(socket, level, optname);
    if (typeof rule === 'number') return fail(lpErrno, rule);
    if (rule.read === undefined) return fail(lpErrno, wsa.WSAENOPROTOOPT);
    if (!(room >= (rule.form === 'bool' ? 1 : DWORD_BYTES))) return fail(lpErrno, wsa.WSAEFAULT);
    const value = rule.read(socket, context);
    if (value < 0) return fail(lpErrno, wsa.WSAENOPROTOOPT);
    if (room < DWORD_BYTES) optval[0] = value === 0 ? 0 : 1;
    else writeUint32(optval, value);
    optlen.value = room < DWORD_BYTES ? 1 : DWORD_BYTES;
    return 0;
  };
}

function createSetSockOpt(context: Context): LPWSPSETSOCKOPT {
  return (s, level, optname, optval, optlen, lpErrno) => {
    const socket = context.table.find(s, lpErrno);
    if (socket === null) return ws.SOCKET_ERROR;
    if (optval === null) return fail(lpErrno, wsa.WSAEFAULT);
    const length = Math.min(optlen, optval.length);
    if (isLinger(socket, level, optname)) {
      const error = writeLinger(socket, optval, length);
      return error === 0 ? 0 : fail(lpErrno, error);
    }
    const rule = ruleOf(socket, level, optname);
    if (typeof rule === 'number') return fail(lpErrno, rule);
    if (rule.write === undefined) return fail(lpErrno, wsa.WSAENOPROTOOPT);
    if (!(length >= (rule.form === 'bool' ? 1 : DWORD_BYTES))) {
      return fail(lpErrno, wsa.WSAEFAULT);
    }
    const isShort = length < DWORD_BYTES;
    const value = isShort ? (optval[0] ?? 0) : readUint32(optval);
    const error = rule.write(socket, value);
    return error === 0 ? 0 : fail(lpErrno, error);
  };
}

export function createOptionFunctions(context: Context): {
  getSockOpt: LPWSPGETSOCKOPT;
  setSockOpt: LPWSPSETSOCKOPT;
} {
  return { getSockOpt: createGetSockOpt(context), setSockOpt: createSetSockOpt(context) };
}
