// Control codes. Each is a function from the call's buffers to an outcome; how the outcome reaches an
// overlapped caller is one place at the end. It must not know socket options.
// Sources: W2.10, W9.10.3, W9.13.5, W10.1, W11; IOC-02, IOC-03.

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
import { readinessOf, updateInterest } from './interest.js';
import { beginIndication, indicate, indicationOf, markPending, Operation } from './operation.js';
import type { Indication } from './operation.js';
import { nameError, sourceName } from './naming.js';
import type { Context, TcpSocket } from './record.js';
import { EPOLLPRI } from './translate.js';

interface Buffers {
  readonly input: Uint8Array;
  readonly output: Uint8Array;
  readonly lpcb: ws.Ref<number>;
}

/** 0, or the error. A handler writes `lpcb` itself when its answer has bytes. */
type Handler = (context: Context, socket: TcpSocket, buffers: Buffers) => number;

const DWORD_BYTES = 4;
const HANDLE_BYTES = 8;
const EMPTY = new Uint8Array(0);

function answerDword({ output, lpcb }: Buffers, value: number): number {
  if (output.length < DWORD_BYTES) return wsa.WSAEFAULT;
  writeUint32(output, value);
  lpcb.value = DWORD_BYTES;
  return 0;
}

/** A blocking mode is refused while a selection is active. [W10.1] */
function setNonblocking(_context: Context, socket: TcpSocket, { input, lpcb }: Buffers): number {
  if (input.length < DWORD_BYTES) return wsa.WSAEFAULT;
  const isOn = readUint32(input) !== 0;
  if (!isOn && socket.selection.isActive) return wsa.WSAEINVAL;
  socket.isNonblocking = isOn;
  lpcb.value = 0;
  return 0;
}

function bytesReadable(_context: Context, socket: TcpSocket, buffers: Buffers): number {
  return answerDword(buffers, Math.max(0, native.socketReadable(socket.fd)));
}

/** TRUE when no urgent data waits. */
function atMark(_context: Context, socket: TcpSocket, buffers: Buffers): number {
  const isUrgent = (readinessOf(socket.fd, EPOLLPRI) & EPOLLPRI) !== 0;
  return answerDword(buffers, isUrgent ? 0 : 1);
}

/** Only in a profile that has it. Queued sends end with 995; what the kernel has is on its way. [W9.10.3] */
function flush(context: Context, socket: TcpSocket, { lpcb }: Buffers): number {
  abortQueue(context, socket.sends, wsa.WSA_OPERATION_ABORTED);
  updateInterest(context, socket);
  lpcb.value = 0;
  return 0;
}

function listAddresses(context: Context, socket: TcpSocket, buffers: Buffers): number {
  const lpErrno = { value: 0 };
  const { hostAddress } = context.kernel;
  const ipv4 = sockaddrIn(hostAddress ?? ws.INADDR_LOOPBACK, 0);
  const own = socket.family === ws.AF_INET6 ? sockaddrIn6('::1', 0) : ipv4;
  answerAddressList([own], buffers.output, buffers.output.length, buffers.lpcb, lpErrno);
  return lpErrno.value;
}

/** The local address that would be used towards the given one. */
function routeTo(context: Context, socket: TcpSocket, { input, output, lpcb }: Buffers): number {
  const invalid = nameError(input, input.length, socket.family);
  if (invalid !== 0) return invalid;
  const answer = sourceName(context.kernel.hostAddress ?? ws.INADDR_LOOPBACK, input);
  lpcb.value = answer.length;
  if (output.length < answer.length) return wsa.WSAEFAULT;
  output.set(answer);
  return 0;
}

/** The provider is not layered: its handle is the base handle. */
function baseHandle(_context: Context, socket: TcpSocket, { output, lpcb }: Buffers): number {
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
]);

/** Codes that answer when something changes, which nothing here ever does: they wait for the close. */
const CHANGE_CODES: ReadonlySet<number> = new Set([
  ws.SIO_ADDRESS_LIST_CHANGE,
  ws.SIO_ROUTING_INTERFACE_CHANGE,
]);

/** Waits as long as the socket lives: the addresses of a host are fixed. */
function awaitChange(context: Context, socket: TcpSocket, indication: Indication | null): number {
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
  context.kernel.blocking.waitUntil(() => operation.isDone);
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

export function createIoctl(context: Context): LPWSPIOCTL {
  return (s, code, input, cbIn, output, cbOut, lpcb, overlapped, routine, thread, lpErrno) => {
    const socket = context.table.find(s, lpErrno);
    if (socket === null) return ws.SOCKET_ERROR;
    if (lpcb === null) return fail(lpErrno, wsa.WSAEFAULT);
    // This provider has no extension functions, so no GUID is known. [W11.4]
    if (code === ws.SIO_GET_EXTENSION_FUNCTION_POINTER) return fail(lpErrno, wsa.WSAEINVAL);
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
