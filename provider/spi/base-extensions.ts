// What a base provider offers beside the 30 slots: three functions fetched by GUID with
// SIO_GET_EXTENSION_FUNCTION_POINTER, like those of a SAN provider. Two are the provider's halves of
// WSASendMsg and WSARecvMsg; the third is what CancelIo, CancelIoEx and the end of a thread come down to
// on Windows, where the file system does it. Sources: W6, W8.3, W9.10, W2.16.

import type * as ws from './winsock2.js';

/** Not Microsoft's: cancelling goes through the file system there, and has no GUID. */
export const CANCELIO_GUID = '6d0c54a2-4f0e-4f57-9a57-2f7d1a0f3c61';

/**
 * Sends one message, described by lpMsg, on a datagram or raw socket. As WSPSendTo, but for
 * Control, which may choose the source address (in_pktinfo or in6_pktinfo). WSAMSG.dwFlags is
 * neither read nor written. dwFlags: MSG_DONTROUTE, MSG_PARTIAL, MSG_OOB, others WSAEOPNOTSUPP.
 * WSAEINVAL on a stream socket, on an unbound one, and for malformed Control. [W6]
 */
export type LPFN_WSPSENDMSG = (
  s: number,
  lpMsg: ws.WSAMSG | null,
  dwFlags: number,
  lpNumberOfBytesSent: ws.Ref<number> | null,
  lpOverlapped: ws.WSAOVERLAPPED | null,
  lpCompletionRoutine: ws.WSAOVERLAPPED_COMPLETION_ROUTINE | null,
  lpThreadId: ws.WSATHREADID | null,
  lpErrno: ws.Ref<number>,
) => number;

/**
 * Receives one message of a datagram or raw socket, others WSAEOPNOTSUPP. lpMsg stays the
 * provider's until completion; then namelen, Control.len and dwFlags (MSG_TRUNC, MSG_CTRUNC,
 * MSG_BCAST, MSG_MCAST) are written. In lpMsg.dwFlags only MSG_PEEK is legal. Data or Control that
 * does not fit is WSAEMSGSIZE, with the bytes that did. With a routine it always pends. [W8.3]
 */
export type LPFN_WSPRECVMSG = (
  s: number,
  lpMsg: ws.WSAMSG | null,
  lpdwNumberOfBytesRecvd: ws.Ref<number> | null,
  lpOverlapped: ws.WSAOVERLAPPED | null,
  lpCompletionRoutine: ws.WSAOVERLAPPED_COMPLETION_ROUTINE | null,
  lpThreadId: ws.WSATHREADID | null,
  lpErrno: ws.Ref<number>,
) => number;

/**
 * Ends pending operations with WSA_OPERATION_ABORTED, each told as its call asked for. `s`: of this
 * socket; INVALID_SOCKET: of all. `lpOverlapped`: the one with this structure; null: all.
 * `lpThreadId`: those that this thread started; null: of any. 0, or SOCKET_ERROR: WSAENOTSOCK,
 * ERROR_NOT_FOUND (nothing matched). [W9.10.2, W9.10.5]
 */
export type LPFN_WSPCANCELIO = (
  s: number,
  lpOverlapped: ws.WSAOVERLAPPED | null,
  lpThreadId: ws.WSATHREADID | null,
  lpErrno: ws.Ref<number>,
) => number;
