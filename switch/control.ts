// Control codes: FIONBIO and what concerns a SAN stream are the switch's, everything else is
// TCP/IP's. Sources: ADDR-09, IOC-03, IOC-05, W10.1, W11.1 to W11.7, XFER-17.

import * as wsa from '../provider/spi/error-codes.js';
import type { ExtensionFunctionPointer } from '../provider/spi/ws2san.js';
import { isExtensionFunctionPointer } from '../provider/spi/ws2san.js';
import type { Ref, WSAOVERLAPPED } from '../provider/spi/winsock2.js';
import * as ws from '../provider/spi/winsock2.js';
import { fail } from '../provider/spi/ws2spi.js';
import { uint32 } from './companion.js';
import type { SwitchCore } from './core.js';
import { int } from './options.js';
import type { SwitchSocket } from './socket.js';

const INT_BYTES = 4;

export interface ControlCall {
  readonly code: number;
  readonly input: Uint8Array | null;
  readonly inputLength: number;
  readonly output: Uint8Array | ExtensionFunctionPointer | null;
  readonly outputLength: number;
  readonly lpcbBytesReturned: Ref<number> | null;
  readonly overlapped: WSAOVERLAPPED | null;
}

export function control(
  core: SwitchCore,
  socket: SwitchSocket,
  call: ControlCall,
  lpErrno: Ref<number>,
): number {
  if (call.lpcbBytesReturned === null) return fail(lpErrno, wsa.WSAEFAULT);
  switch (call.code >>> 0) {
    case ws.FIONBIO:
      return setMode(socket, call, lpErrno);
    case ws.SIO_GET_EXTENSION_FUNCTION_POINTER:
      // Extensions of TCP/IP would go round the switch: only its own are given out. [XFER-17]
      return fail(lpErrno, wsa.WSAEINVAL);
    case ws.SIO_BASE_HANDLE:
      return answer(core, call, socket.descriptor, lpErrno);
    case ws.FIONREAD:
      if (socket.connection === null) return forward(core, socket, call, lpErrno);
      return answer(core, call, socket.connection.session.readableBytes, lpErrno);
    case ws.SIOCATMARK: {
      if (socket.connection === null) return forward(core, socket, call, lpErrno);
      const unread = socket.connection.session.urgentMark >= 0;
      return answer(core, call, unread ? 0 : 1, lpErrno);
    }
    default:
      return forward(core, socket, call, lpErrno);
  }
}

function setMode(socket: SwitchSocket, call: ControlCall, lpErrno: Ref<number>): number {
  const { input, inputLength, lpcbBytesReturned } = call;
  if (input === null || inputLength < INT_BYTES || input.length < INT_BYTES) {
    return fail(lpErrno, wsa.WSAEFAULT);
  }
  const nonBlocking = uint32(input) !== 0;
  // W10.1: a selection is nonblocking for as long as it lasts.
  if (!nonBlocking && socket.selectedMask !== 0) return fail(lpErrno, wsa.WSAEINVAL);
  socket.nonBlocking = nonBlocking;
  if (lpcbBytesReturned !== null) lpcbBytesReturned.value = 0;
  return 0;
}

/** An answer of one integer, immediate in an overlapped call too. [W9.3] */
function answer(core: SwitchCore, call: ControlCall, value: number, lpErrno: Ref<number>): number {
  const { output, outputLength, lpcbBytesReturned, overlapped } = call;
  if (output === null || isExtensionFunctionPointer(output)) return fail(lpErrno, wsa.WSAEFAULT);
  if (outputLength < INT_BYTES || output.length < INT_BYTES) return fail(lpErrno, wsa.WSAEFAULT);
  output.set(int(value));
  if (lpcbBytesReturned !== null) lpcbBytesReturned.value = INT_BYTES;
  if (overlapped === null) return 0;
  overlapped.InternalHigh = 0;
  overlapped.Internal = 0;
  if (overlapped.hEvent !== 0) core.events.set(overlapped.hEvent);
  return 0;
}

function forward(
  core: SwitchCore,
  socket: SwitchSocket,
  call: ControlCall,
  lpErrno: Ref<number>,
): number {
  return core.tcp.lpWSPIoctl(
    socket.descriptor,
    call.code,
    call.input,
    call.inputLength,
    call.output,
    call.outputLength,
    call.lpcbBytesReturned,
    call.overlapped,
    null,
    core.apcs.threadId,
    lpErrno,
  );
}
