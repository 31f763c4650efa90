// Control codes. Each is a function from the call's buffers to an outcome; how the outcome reaches an
// overlapped caller is one place at the end. It must not know socket options.
// Sources: W2.10, W9.10.3, W9.13.5, W10.1, W11; IOC-02, IOC-03.

import { MESSAGE_WORDS } from '../../native/binding.js';
import { native } from '../../native/load.js';
import { answerAddressList } from '../spi/address-list.js';
import * as wsa from '../spi/errors.js';
import { isExtensionFunctionPointer } from '../spi/extension-pointer.js';
import { sockaddrIn, sockaddrIn6 } from '../spi/sockaddr.js';
import { fail } from '../spi/ws2spi.js';
import type { LPWSPIOCTL } from '../spi/ws2spi.js';
import * as ws from '../spi/winsock2.js';
import { abortQueue } from './attempt.js';
import { readUint32, writeUint32 } from './bytes.js';
import { createExtensionAnswer } from './extensions.js';
import { readinessOf, updateInterest } from './interest.js';
import { setFlag, writeInt } from './kernel-option.js';
import { beginIndication, indicate, indicationOf, markPending, Operation } from './operation.js';
import type { Indication } from './operation.js';
import { nameError, sourceName } from './naming.js';
import type { Context, KernelSocket } from './record.js';
import { EPOLLPRI, LINUX } from './translate.js';

interface Buffers {
  readonly input: Uint8Array;
  readonly output: Uint8Array;
  readonly lpcb: ws.Ref<number>;
}

/** 0, or the error. A handler writes `lpcb` itself when its answer has bytes. */
type Handler = (context: Context, socket: KernelSocket, buffers: Buffers) => number;

const DWORD_BYTES = 4;
/** The kernel's limit of keep-alive times. */
const KEEPALIVE_SECONDS_MAX = 32_767;
const HANDLE_BYTES = 8;
const EMPTY = new Uint8Array(0);
/** More messages than a receive buffer of the largest size can hold. */
const PEEKS_MAX = 1 << 20;
const peekResult = new Int32Array(MESSAGE_WORDS);
const BROADCAST_NAME = sockaddrIn(ws.INADDR_BROADCAST, 0);

function answerDword({ output, lpcb }: Buffers, value: number): number {
  if (output.length < DWORD_BYTES) return wsa.WSAEFAULT;
  writeUint32(output, value);
  lpcb.value = DWORD_BYTES;
  return 0;
}

/** A blocking mode is refused while a selection is active. [W10.1] */
function setNonblocking(_context: Context, socket: KernelSocket, { input, lpcb }: Buffers): number {
  if (input.length < DWORD_BYTES) return wsa.WSAEFAULT;
  const isOn = readUint32(input) !== 0;
  if (!isOn && socket.selection.isActive) return wsa.WSAEINVAL;
  socket.isNonblocking = isOn;
  lpcb.value = 0;
  return 0;
}

function bytesReadable(_context: Context, socket: KernelSocket, buffers: Buffers): number {
  const bytes = socket.message === null ? native.socketReadable(socket.fd) : queuedBytes(socket);
  return answerDword(buffers, Math.max(0, bytes));
}

/**
 * Of a datagram socket, the bytes of all messages: the kernel tells the first one's, so the queue is
 * walked with peeks that move on. [W11.5]
 */
function queuedBytes({ fd }: KernelSocket): number {
  if (writeInt(fd, LINUX.SOL_SOCKET, LINUX.SO_PEEK_OFF, 0) < 0) return native.socketReadable(fd);
  const flags = LINUX.MSG_PEEK | LINUX.MSG_TRUNC;
  let total = 0;
  for (let count = 0; count < PEEKS_MAX; count++) {
    const bytes = native.socketReceiveMessage(fd, [], [], 0, flags, null, null, peekResult);
    if (bytes < 0) break;
    total += bytes;
  }
  writeInt(fd, LINUX.SOL_SOCKET, LINUX.SO_PEEK_OFF, -1);
  return total;
}

/** TRUE when no urgent data waits. */
function atMark(_context: Context, socket: KernelSocket, buffers: Buffers): number {
  const isUrgent = (readinessOf(socket.fd, EPOLLPRI) & EPOLLPRI) !== 0;
  return answerDword(buffers, isUrgent ? 0 : 1);
}

/** Only in a profile that has it. Queued sends end with 995; what the kernel has is on its way. [W9.10.3] */
function flush(context: Context, socket: KernelSocket, { lpcb }: Buffers): number {
  abortQueue(context, socket.sends, wsa.WSA_OPERATION_ABORTED);
  updateInterest(context, socket);
  lpcb.value = 0;
  return 0;
}

function listAddresses(context: Context, socket: KernelSocket, buffers: Buffers): number {
  const lpErrno = { value: 0 };
  const { hostAddress } = context.kernel;
  const ipv4 = sockaddrIn(hostAddress ?? ws.INADDR_LOOPBACK, 0);
  const own = socket.family === ws.AF_INET6 ? sockaddrIn6('::1', 0) : ipv4;
  answerAddressList([own], buffers.output, buffers.output.length, buffers.lpcb, lpErrno);
  return lpErrno.value;
}

/** struct tcp_keepalive: on, then the idle time and the interval in milliseconds. */
const KEEPALIVE_BYTES = 12;

/** The kernel counts whole seconds, at least one. */
function setKeepalive(_context: Context, socket: KernelSocket, buffers: Buffers): number {
  const { input, lpcb } = buffers;
  if (socket.message !== null) return wsa.WSAENOPROTOOPT;
  if (input.length < KEEPALIVE_BYTES) return wsa.WSAEFAULT;
  const isOn = readUint32(input) !== 0;
  const secondsAt = (offset: number): number =>
    Math.min(KEEPALIVE_SECONDS_MAX, Math.max(1, Math.ceil(readUint32(input, offset) / 1000)));
  const { fd } = socket;
  if (isOn) {
    writeInt(fd, LINUX.IPPROTO_TCP, LINUX.TCP_KEEPIDLE, secondsAt(4));
    writeInt(fd, LINUX.IPPROTO_TCP, LINUX.TCP_KEEPINTVL, secondsAt(8));
  }
  setFlag(fd, LINUX.SO_KEEPALIVE, isOn);
  lpcb.value = 0;
  return 0;
}

/** Whether an earlier datagram that found no port is told of at all. [W5.7] */
function setConnectionReset(_context: Context, socket: KernelSocket, buffers: Buffers): number {
  const { message } = socket;
  if (message === null || socket.type !== ws.SOCK_DGRAM) return wsa.WSAEINVAL;
  if (buffers.input.length < 1) return wsa.WSAEFAULT;
  message.tellsUnreachable = buffers.input.some((byte, index) => index < DWORD_BYTES && byte !== 0);
  if (!message.tellsUnreachable) message.networkError = 0;
  buffers.lpcb.value = 0;
  return 0;
}

/** The address that reaches every host of a network: of IPv4 alone. */
function broadcastAddress(_context: Context, socket: KernelSocket, buffers: Buffers): number {
  const { output, lpcb } = buffers;
  if (socket.message === null || socket.family !== ws.AF_INET) return wsa.WSAEOPNOTSUPP;
  lpcb.value = BROADCAST_NAME.length;
  if (output.length < BROADCAST_NAME.length) return wsa.WSAEFAULT;
  output.set(BROADCAST_NAME);
  return 0;
}

/** The local address that would be used towards the given one. */
function routeTo(context: Context, socket: KernelSocket, { input, output, lpcb }: Buffers): number {
  const invalid = nameError(input, input.length, socket.family);
  if (invalid !== 0) return invalid;
  const answer = sourceName(context.kernel.hostAddress ?? ws.INADDR_LOOPBACK, input);
  lpcb.value = answer.length;
  if (output.length < answer.length) return wsa.WSAEFAULT;
  output.set(answer);
  return 0;
}

/** The provider is not layered: its handle is the base handle. */
function baseHandle(_context: Context, socket: KernelSocket, { output, lpcb }: Buffers): number {
  if (output.length < HANDLE_BYTES) return wsa.WSAEFAULT;
  output.fill(0, 0, HANDLE_BYTES);
  writeUint32(output, socket.handle);
  lpcb.value = HANDLE_BYTES;
  return 0;
}

const HANDLERS: ReadonlyMap<number, Handler> = new Map([
  [ws.FIONBIO, setNonblocking],
  [ws.FIONREAD, bytesReadable],
  [ws.SIOCATMARK, atMark],
  [ws.SIO_FLUSH, flush],
  [ws.SIO_ADDRESS_LIST_QUERY, listAddresses],
  [ws.SIO_ROUTING_INTERFACE_QUERY, routeTo],
  [ws.SIO_BASE_HANDLE, baseHandle],
  [ws.SIO_KEEPALIVE_VALS, setKeepalive],
  [ws.SIO_UDP_CONNRESET, setConnectionReset],
  [ws.SIO_GET_BROADCAST_ADDRESS, broadcastAddress],
]);

/** Codes that answer when something changes, which nothing here ever does: they wait for the close. */
const CHANGE_CODES: ReadonlySet<number> = new Set([
  ws.SIO_ADDRESS_LIST_CHANGE,
  ws.SIO_ROUTING_INTERFACE_CHANGE,
]);

/** Waits as long as the socket lives: the addresses of a host are fixed. */
function awaitChange(
  context: Context,
  socket: KernelSocket,
  indication: Indication | null,
): number {
  const operation = new Operation();
  operation.indication = indication;
  if (indication !== null) {
    beginIndication(context.upcalls, indication);
    markPending(indication);
    socket.controls.push(operation);
    return wsa.WSA_IO_PENDING;
  }
  if (socket.isNonblocking) return wsa.WSAEWOULDBLOCK;
  socket.controls.push(operation);
  context.blocking.wait(() => operation.isDone);
  const index = socket.controls.indexOf(operation);
  if (index >= 0) socket.controls.splice(index, 1);
  return wsa.WSAEINTR;
}

/**
 * No handler: a synchronous caller is told; an overlapped one gets an operation that has failed by the
 * time it looks. [W11.3]
 */
function refuseCode(context: Context, lpcb: ws.Ref<number>, indication: Indication | null): number {
  if (indication === null) {
    lpcb.value = 0;
    return wsa.WSAEOPNOTSUPP;
  }
  beginIndication(context.upcalls, indication);
  indicate(context.upcalls, indication, wsa.WSAEOPNOTSUPP, 0);
  return wsa.WSA_IO_PENDING;
}

/** An overlapped call that was answered inside it; its own byte count stays 0. [W9.13.5] */
function answered(context: Context, indication: Indication): number {
  if (indication.overlapped === null) return 0;
  beginIndication(context.upcalls, indication);
  indicate(context.upcalls, indication, 0, 0);
  return 0;
}

export function createIoctl(context: Context): LPWSPIOCTL {
  const giveExtension = createExtensionAnswer(context);
  return (s, code, input, cbIn, output, cbOut, lpcb, overlapped, routine, thread, lpErrno) => {
    if (code === ws.SIO_GET_EXTENSION_FUNCTION_POINTER) {
      if (lpcb === null) return fail(lpErrno, wsa.WSAEFAULT);
      const request = { input, inputLength: cbIn, output, outputLength: cbOut, lpcb };
      const refused = giveExtension(request);
      if (refused !== 0) return fail(lpErrno, refused);
      return answered(context, indicationOf(overlapped, routine, thread));
    }
    const socket = context.table.find(s, lpErrno);
    if (socket === null) return ws.SOCKET_ERROR;
    if (lpcb === null) return fail(lpErrno, wsa.WSAEFAULT);
    if (isExtensionFunctionPointer(output)) return fail(lpErrno, wsa.WSAEFAULT);
    const isOverlapped = socket.isOverlapped && overlapped !== null;
    const indication = isOverlapped ? indicationOf(overlapped, routine, thread) : null;
    const isHomeless = isOverlapped && routine !== null && thread === null;
    if (isHomeless) return fail(lpErrno, wsa.WSAEFAULT);
    if (CHANGE_CODES.has(code)) return fail(lpErrno, awaitChange(context, socket, indication));
    const handler = HANDLERS.get(code);
    const isRefused = code === ws.SIO_FLUSH && !context.profile.flushSupported;
    if (handler === undefined || isRefused) {
      return fail(lpErrno, refuseCode(context, lpcb, indication));
    }
    if (indication !== null) beginIndication(context.upcalls, indication);
    const error = handler(context, socket, {
      input: input?.subarray(0, Math.max(0, cbIn)) ?? EMPTY,
      output: output?.subarray(0, Math.max(0, cbOut)) ?? EMPTY,
      lpcb,
    });
    if (error !== 0) return fail(lpErrno, error);
    // The count goes out through lpcb alone; the operation's own stays 0. [W9.13.5]
    if (indication !== null) indicate(context.upcalls, indication, 0, 0);
    return 0;
  };
}
