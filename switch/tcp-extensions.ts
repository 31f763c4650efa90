// What TCP/IP offers beside its procedure table: its halves of WSASendMsg and WSARecvMsg, and the
// cancelling of operations. A base provider may lack them: each then fails with WSAEOPNOTSUPP.
// Sources: W6, W8.3, W9.10, docs/tcpip-provider.md.

import type {
  LPFN_WSPCANCELIO,
  LPFN_WSPRECVMSG,
  LPFN_WSPSENDMSG,
} from '../provider/spi/base-extensions.js';
import { CANCELIO_GUID } from '../provider/spi/base-extensions.js';
import type { FullProcTable } from '../provider/spi/base-provider.js';
import { WSAEOPNOTSUPP } from '../provider/spi/error-codes.js';
import { GUID_BYTES, guidBytes } from '../provider/spi/guid.js';
import type { ExtensionFunctionPointer } from '../provider/spi/ws2san.js';
import {
  EXTENSION_FUNCTION_POINTER_BYTES,
  WSAID_WSARECVMSG,
  WSAID_WSASENDMSG,
} from '../provider/spi/ws2san.js';
import type { Ref } from '../provider/spi/winsock2.js';
import {
  INVALID_SOCKET,
  ref,
  SIO_GET_EXTENSION_FUNCTION_POINTER,
} from '../provider/spi/winsock2.js';
import { fail } from '../provider/spi/ws2spi.js';

export interface TcpExtensions {
  readonly sendMessage: LPFN_WSPSENDMSG;
  readonly receiveMessage: LPFN_WSPRECVMSG;
  readonly cancel: LPFN_WSPCANCELIO;
}

/** Fetches them from a provider that has started. */
export function fetchTcpExtensions(tcp: FullProcTable): TcpExtensions {
  return {
    sendMessage: (fetch(tcp, WSAID_WSASENDMSG) ?? missing) as LPFN_WSPSENDMSG,
    receiveMessage: (fetch(tcp, WSAID_WSARECVMSG) ?? missing) as LPFN_WSPRECVMSG,
    cancel: (fetch(tcp, CANCELIO_GUID) ?? missing) as LPFN_WSPCANCELIO,
  };
}

function fetch(tcp: FullProcTable, id: string): ExtensionFunctionPointer['value'] {
  const box: ExtensionFunctionPointer = { value: null };
  const code = SIO_GET_EXTENSION_FUNCTION_POINTER;
  const room = EXTENSION_FUNCTION_POINTER_BYTES;
  const { lpWSPIoctl } = tcp;
  const input = guidBytes(id);
  lpWSPIoctl(INVALID_SOCKET, code, input, GUID_BYTES, box, room, ref(0), null, null, null, ref(0));
  return box.value;
}

/** lpErrno is the last parameter of all of them. */
function missing(...parameters: readonly unknown[]): number {
  return fail(parameters[parameters.length - 1] as Ref<number>, WSAEOPNOTSUPP);
}
