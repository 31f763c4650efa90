// The data calls with an address or control data, for datagram and raw sockets; on a stream the
// address means nothing. Contracts as in ws2spi-functions.ts and base-extensions.ts, with the last
// error in place of lpErrno. Sources: W5, W6, W8.2, W8.3.

import type {
  Ref,
  WSABUF,
  WSAMSG,
  WSAOVERLAPPED,
  WSAOVERLAPPED_COMPLETION_ROUTINE,
} from '../../provider/spi/winsock2.js';
import { SOCKET_ERROR } from '../../provider/spi/winsock2.js';
import type { ApiState } from './last-error.js';
import { OneBuffer } from './overlapped.js';

type Routine = WSAOVERLAPPED_COMPLETION_ROUTINE | null;
type Name = Uint8Array | null;

export interface MessageFunctions {
  /** Sends `len` bytes of `buf` to `to`; the number sent, or SOCKET_ERROR. [W5] */
  sendto(
    s: number,
    buf: Uint8Array | null,
    len: number,
    flags: number,
    to: Name,
    tolen: number,
  ): number;
  /** Receives a message and its sender; the number of bytes, or SOCKET_ERROR. [W8.2] */
  recvfrom(
    s: number,
    buf: Uint8Array | null,
    len: number,
    flags: number,
    from: Name,
    fromlen: Ref<number> | null,
  ): number;
  /** An unbound datagram socket is bound first. [W5.3] */
  WSASendTo(
    s: number,
    lpBuffers: readonly WSABUF[] | null,
    dwBufferCount: number,
    lpNumberOfBytesSent: Ref<number> | null,
    dwFlags: number,
    lpTo: Name,
    iTolen: number,
    lpOverlapped: WSAOVERLAPPED | null,
    lpCompletionRoutine: Routine,
  ): number;
  /** lpFrom and lpFromlen belong to the system until completion, and are written then. [W8.2.2] */
  WSARecvFrom(
    s: number,
    lpBuffers: readonly WSABUF[] | null,
    dwBufferCount: number,
    lpNumberOfBytesRecvd: Ref<number> | null,
    lpFlags: Ref<number> | null,
    lpFrom: Name,
    lpFromlen: Ref<number> | null,
    lpOverlapped: WSAOVERLAPPED | null,
    lpCompletionRoutine: Routine,
  ): number;
  /** WSAEINVAL on a stream socket. [W6.1] */
  readonly WSASendMsg: (
    Handle: number,
    lpMsg: WSAMSG | null,
    dwFlags: number,
    lpNumberOfBytesSent: Ref<number> | null,
    lpOverlapped: WSAOVERLAPPED | null,
    lpCompletionRoutine: Routine,
  ) => number;
  /** WSAEOPNOTSUPP on a stream socket; the message belongs to the system until completion. [W8.3] */
  readonly WSARecvMsg: (
    s: number,
    lpMsg: WSAMSG | null,
    lpdwNumberOfBytesRecvd: Ref<number> | null,
    lpOverlapped: WSAOVERLAPPED | null,
    lpCompletionRoutine: Routine,
  ) => number;
}

export function messageFunctions(state: ApiState): MessageFunctions {
  return { ...plainFunctions(state), ...vectorFunctions(state), ...controlFunctions(state) };
}

function plainFunctions(state: ApiState): Pick<MessageFunctions, 'sendto' | 'recvfrom'> {
  const { errno } = state;
  const { messages } = state.spi;
  return {
    sendto(s, buf, len, flags, to, tolen) {
      if (!state.isStarted()) return SOCKET_ERROR;
      const { array, bytes } = oneBuffer(buf, len);
      const result = messages.sendTo(s, array, 1, bytes, flags, to, tolen, null, null, errno);
      return result === 0 ? bytes.value : state.fail(errno.value);
    },
    recvfrom(s, buf, len, flags, from, fromlen) {
      if (!state.isStarted()) return SOCKET_ERROR;
      const one = oneBuffer(buf, len);
      const { array, bytes } = one;
      one.flags.value = flags;
      const result = messages.receiveFrom(
        s,
        array,
        1,
        bytes,
        one.flags,
        from,
        fromlen,
        null,
        null,
        errno,
      );
      return result === 0 ? bytes.value : state.fail(errno.value);
    },
  };
}

function vectorFunctions(state: ApiState): Pick<MessageFunctions, 'WSASendTo' | 'WSARecvFrom'> {
  const { errno } = state;
  const { messages } = state.spi;
  return {
    WSASendTo(s, buffers, count, bytes, flags, lpTo, iTolen, overlapped, routine) {
      if (!state.isStarted()) return SOCKET_ERROR;
      const result = messages.sendTo(
        s,
        buffers,
        count,
        bytes,
        flags,
        lpTo,
        iTolen,
        overlapped,
        routine,
        errno,
      );
      return state.pass(result, SOCKET_ERROR);
    },
    WSARecvFrom(s, buffers, count, bytes, flags, lpFrom, lpFromlen, overlapped, routine) {
      if (!state.isStarted()) return SOCKET_ERROR;
      const result = messages.receiveFrom(
        s,
        buffers,
        count,
        bytes,
        flags,
        lpFrom,
        lpFromlen,
        overlapped,
        routine,
        errno,
      );
      return state.pass(result, SOCKET_ERROR);
    },
  };
}

function controlFunctions(state: ApiState): Pick<MessageFunctions, 'WSASendMsg' | 'WSARecvMsg'> {
  const { errno } = state;
  const { messages } = state.spi;
  return {
    WSASendMsg(s, lpMsg, dwFlags, bytes, overlapped, routine) {
      if (!state.isStarted()) return SOCKET_ERROR;
      const result = messages.sendMessage(s, lpMsg, dwFlags, bytes, overlapped, routine, errno);
      // W6.5: the one function whose success is seen in the last error.
      if (result === 0) state.lastError = 0;
      return state.pass(result, SOCKET_ERROR);
    },
    WSARecvMsg(s, lpMsg, bytes, overlapped, routine) {
      if (!state.isStarted()) return SOCKET_ERROR;
      const result = messages.receiveMessage(s, lpMsg, bytes, overlapped, routine, errno);
      return state.pass(result, SOCKET_ERROR);
    },
  };
}

function oneBuffer(buf: Uint8Array | null, len: number): OneBuffer {
  const one = new OneBuffer();
  one.entry.buf = buf;
  one.entry.len = len;
  return one;
}
