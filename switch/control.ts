// Control codes: FIONBIO, extension functions and what concerns a SAN stream are the switch's,
// everything else is TCP/IP's. Either way the outcome of an overlapped call is told as that of any
// operation. Sources: ADDR-09, IOC-03, IOC-05, W9.10.3, W9.13.5, W10.1, W11.1 to W11.7, XFER-17.

import * as wsa from '../provider/spi/error-codes.js';
import { GUID_BYTES } from '../provider/spi/guid.js';
import {
  EXTENSION_FUNCTION_POINTER_BYTES,
  isExtensionFunctionPointer,
} from '../provider/spi/ws2san.js';
import type {
  Ref,
  WSAOVERLAPPED,
  WSAOVERLAPPED_COMPLETION_ROUTINE,
} from '../provider/spi/winsock2.js';
import * as ws from '../provider/spi/winsock2.js';
import { fail, WSS_OPERATION_IN_PROGRESS } from '../provider/spi/ws2spi.js';
import { wait } from './blocking.js';
import { CallMode } from './call-mode.js';
import { cancelRequests } from './cancel.js';
import { uint32 } from './companion.js';
import type { SwitchCore } from './core.js';
import { int } from './options.js';
import { outcomeOf } from './overlapped-result.js';
import type { SwitchSocket } from './socket.js';
import type { ControlBuffers, TcpCall } from './tcp-call.js';
import { TcpFunction } from './tcp-call.js';
import type { TcpTransfers } from './tcp-transfer.js';

const INT_BYTES = 4;

export interface ControlCall extends ControlBuffers {
  readonly lpcbBytesReturned: Ref<number>;
  readonly overlapped: WSAOVERLAPPED | null;
  readonly routine: WSAOVERLAPPED_COMPLETION_ROUTINE | null;
}

/** WSPIoctl of the switch; the caller has looked at lpcbBytesReturned. */
export function control(
  core: SwitchCore,
  tcp: TcpTransfers,
  socket: SwitchSocket,
  call: ControlCall,
  lpErrno: Ref<number>,
): number {
  if (call.routine !== null && socket.port !== null) return fail(lpErrno, wsa.WSAEINVAL);
  const outcome = own(core, socket, call);
  const error =
    outcome === null ? forward(core, tcp, socket, call) : indicated(core, socket, call, outcome);
  return error === 0 ? 0 : fail(lpErrno, error);
}

/** What the switch answers itself: 0 or the error; null: it is TCP/IP's. */
function own(core: SwitchCore, socket: SwitchSocket, call: ControlCall): number | null {
  const { connection, share } = socket;
  switch (call.code >>> 0) {
    case ws.FIONBIO:
      return setMode(socket, call);
    case ws.SIO_GET_EXTENSION_FUNCTION_POINTER:
      return giveExtension(core, call);
    case ws.SIO_BASE_HANDLE:
      return answer(call, socket.handle);
    case ws.FIONREAD:
      if (connection !== null) return answer(call, connection.session.readableBytes);
      // What another process controls is asked for, and is not there yet. [DUP-04]
      share?.look();
      return share === null ? null : answer(call, 0);
    case ws.SIOCATMARK:
      if (connection === null) {
        share?.look();
        return share === null ? null : answer(call, 1);
      }
      return answer(call, connection.session.urgentMark >= 0 ? 0 : 1);
    case ws.SIO_FLUSH:
      if (connection === null || !core.profile.flushSupported) return null;
      cancelRequests(core, socket, (request) => request.isSend);
      call.lpcbBytesReturned.value = 0;
      return 0;
    default:
      return null;
  }
}

function setMode(socket: SwitchSocket, call: ControlCall): number {
  const { input, inputLength } = call;
  if (input === null || inputLength < INT_BYTES || input.length < INT_BYTES) return wsa.WSAEFAULT;
  const nonBlocking = uint32(input) !== 0;
  // W10.1: a selection is nonblocking for as long as it lasts.
  if (!nonBlocking && socket.selectedMask !== 0) return wsa.WSAEINVAL;
  socket.nonBlocking = nonBlocking;
  call.lpcbBytesReturned.value = 0;
  return 0;
}

/** Extensions of TCP/IP would go round the switch: only its own are given out. [XFER-17, W11.4] */
function giveExtension(core: SwitchCore, call: ControlCall): number {
  const { input, inputLength, output, outputLength } = call;
  if (input === null || inputLength < GUID_BYTES || input.length < GUID_BYTES) return wsa.WSAEFAULT;
  if (!isExtensionFunctionPointer(output) || outputLength < EXTENSION_FUNCTION_POINTER_BYTES) {
    return wsa.WSAEFAULT;
  }
  const found = core.extensions.find(input);
  if (found === null) return wsa.WSAEINVAL;
  output.value = found;
  call.lpcbBytesReturned.value = EXTENSION_FUNCTION_POINTER_BYTES;
  return 0;
}

/** An answer of one integer. */
function answer(call: ControlCall, value: number): number {
  const { output, outputLength } = call;
  if (output === null || isExtensionFunctionPointer(output)) return wsa.WSAEFAULT;
  if (outputLength < INT_BYTES || output.length < INT_BYTES) return wsa.WSAEFAULT;
  output.set(int(value));
  call.lpcbBytesReturned.value = INT_BYTES;
  return 0;
}

/**
 * The end of an overlapped call that the switch has answered: success is indicated, with a count of
 * 0, and a failure never. [W9.3, W9.13.5]
 */
function indicated(
  core: SwitchCore,
  socket: SwitchSocket,
  call: ControlCall,
  error: number,
): number {
  const { overlapped, routine } = call;
  if (error !== 0 || overlapped === null || !socket.overlappedCapable) return error;
  const { requests } = core;
  const request = requests.take(socket, true);
  requests.begin(request, overlapped, routine);
  requests.complete(request, 0, 0, 0);
  return requests.endCall(request);
}

function forward(
  core: SwitchCore,
  tcp: TcpTransfers,
  socket: SwitchSocket,
  call: ControlCall,
): number {
  const { overlapped, routine } = call;
  if (overlapped !== null && socket.overlappedCapable) {
    return tcp.run(socket, asked(tcp, call), CallMode.overlapped, overlapped, routine);
  }
  const error = tcp.runOnce(socket, asked(tcp, call));
  if (error !== wsa.WSAEWOULDBLOCK || socket.nonBlocking) return error;
  // Codes that wait for a change: TCP/IP is nonblocking, so the switch waits. The tag keeps the
  // operation, which is nobody's, from a completion port.
  const own = ws.createOverlapped(1);
  const started = tcp.run(socket, asked(tcp, call), CallMode.overlapped, own, null);
  if (started !== wsa.WSA_IO_PENDING) return started;
  wait(core, () => own.Internal !== WSS_OPERATION_IN_PROGRESS, Infinity);
  return outcomeOf(own);
}

function asked(tcp: TcpTransfers, call: ControlCall): TcpCall {
  const made = tcp.take(TcpFunction.control);
  made.control = call;
  return made;
}
