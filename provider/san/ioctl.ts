// WSPIoctl: how the switch finds the extension functions and learns which addresses are ours. There are
// no other control codes: the rest is TCP/IP's business. Sources: IOCTL, IOC, EXT-01 to EXT-03, INIT-11.

import { answerAddressList } from '../spi/address-list.js';
import { answerExtension } from '../spi/answer-extension.js';
import * as wsa from '../spi/error-codes.js';
import { sockaddrIn } from '../spi/sockaddr.js';
import type {
  Ref,
  WSAOVERLAPPED,
  WSAOVERLAPPED_COMPLETION_ROUTINE,
  WSATHREADID,
} from '../spi/winsock2.js';
import * as ws from '../spi/winsock2.js';
import { ref } from '../spi/winsock2.js';
import type { ExtensionFunctionPointer, SanExtensions } from '../spi/ws2san.js';
import { isExtensionFunctionPointer } from '../spi/ws2san.js';
import { fail } from '../spi/ws2spi.js';
import { storeOutcome } from './completion.js';
import type { SanState } from './state.js';

/** Finds extension functions and lists addresses. [IOCTL-01 to -04, IOC-01, IOC-02] */
export function wspIoctl(
  state: SanState,
  extensions: SanExtensions,
  s: number,
  dwIoControlCode: number,
  lpvInBuffer: Uint8Array | null,
  cbInBuffer: number,
  lpvOutBuffer: Uint8Array | ExtensionFunctionPointer | null,
  cbOutBuffer: number,
  lpcbBytesReturned: Ref<number> | null,
  lpOverlapped: WSAOVERLAPPED | null,
  lpCompletionRoutine: WSAOVERLAPPED_COMPLETION_ROUTINE | null,
  _lpThreadId: WSATHREADID | null,
  lpErrno: Ref<number>,
): number {
  // No thread is ever interrupted with a routine. [OVL-02, IOCTL-02]
  if (lpCompletionRoutine !== null) return fail(lpErrno, wsa.WSAEINVAL);
  const bytes = lpcbBytesReturned ?? ref(0);
  const input = { code: dwIoControlCode, buffer: lpvInBuffer, length: cbInBuffer };
  const error = control(state, extensions, s, input, lpvOutBuffer, cbOutBuffer, bytes, lpErrno);
  // An overlapped call is over when it returns, and WSPGetOverlappedResult can say so. [GOR-01]
  if (error === 0 && lpOverlapped !== null) {
    storeOutcome(lpOverlapped, bytes.value, 0, 0);
    lpOverlapped.Internal = 0;
  }
  return error;
}

function control(
  state: SanState,
  extensions: SanExtensions,
  s: number,
  input: {
    readonly code: number;
    readonly buffer: Uint8Array | null;
    readonly length: number;
  },
  lpvOutBuffer: Uint8Array | ExtensionFunctionPointer | null,
  cbOutBuffer: number,
  lpcbBytesReturned: Ref<number>,
  lpErrno: Ref<number>,
): number {
  const { code, buffer, length } = input;
  if (code === ws.SIO_GET_EXTENSION_FUNCTION_POINTER) {
    // The socket is not looked at: it may be none. [INIT-11]
    const pointer = [lpvOutBuffer, cbOutBuffer, lpcbBytesReturned, lpErrno] as const;
    return answerExtension(extensions, buffer, length, ...pointer);
  }
  if (state.sockets.find(s) === null) return fail(lpErrno, wsa.WSAENOTSOCK);
  if (code !== ws.SIO_ADDRESS_LIST_QUERY) return fail(lpErrno, wsa.WSAEOPNOTSUPP);
  if (isExtensionFunctionPointer(lpvOutBuffer)) return fail(lpErrno, wsa.WSAEFAULT);
  // A NIC that was taken out has none. [ADDR-06, ADDR-07]
  const addresses = state.isRemoved ? [] : [sockaddrIn(state.nic.attributes.address, 0)];
  return answerAddressList(addresses, lpvOutBuffer, cbOutBuffer, lpcbBytesReturned, lpErrno);
}
