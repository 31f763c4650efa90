// The data calls of ws2_32.dll and the result of overlapped ones. Contracts as in ws2spi-functions.ts,
// with the last error in place of lpErrno. Those with addresses are messages.ts. Sources: W4, W8.1,
// W9.11.

import type {
  Ref,
  WSABUF,
  WSAOVERLAPPED,
  WSAOVERLAPPED_COMPLETION_ROUTINE,
} from '../../provider/spi/winsock2.js';
import { ref, SOCKET_ERROR } from '../../provider/spi/winsock2.js';
import type { ApiState } from './last-error.js';

type Routine = WSAOVERLAPPED_COMPLETION_ROUTINE | null;

export interface TransferFunctions {
  /** Sends `len` bytes of `buf`; the number sent, or SOCKET_ERROR. */
  send(s: number, buf: Uint8Array | null, len: number, flags: number): number;
  /** Receives up to `len` bytes; the number received, 0 at the end of the stream, or SOCKET_ERROR. */
  recv(s: number, buf: Uint8Array | null, len: number, flags: number): number;
  WSASend(
    s: number,
    lpBuffers: readonly WSABUF[] | null,
    dwBufferCount: number,
    lpNumberOfBytesSent: Ref<number> | null,
    dwFlags: number,
    lpOverlapped: WSAOVERLAPPED | null,
    lpCompletionRoutine: Routine,
  ): number;
  WSARecv(
    s: number,
    lpBuffers: readonly WSABUF[] | null,
    dwBufferCount: number,
    lpNumberOfBytesRecvd: Ref<number> | null,
    lpFlags: Ref<number> | null,
    lpOverlapped: WSAOVERLAPPED | null,
    lpCompletionRoutine: Routine,
  ): number;
  WSAGetOverlappedResult(
    s: number,
    lpOverlapped: WSAOVERLAPPED | null,
    lpcbTransfer: Ref<number> | null,
    fWait: boolean,
    lpdwFlags: Ref<number> | null,
  ): boolean;
}

/** The array of one buffer that send and recv make of their arguments. */
export class OneBuffer {
  readonly entry: WSABUF = { len: 0, buf: null };
  readonly array: readonly WSABUF[] = [this.entry];
  readonly bytes = ref(0);
  readonly flags = ref(0);
}

export function transferFunctions(state: ApiState): TransferFunctions {
  return { ...plainFunctions(state), ...vectorFunctions(state) };
}

/** The functions of one buffer, which are never overlapped. */
function plainFunctions(state: ApiState): Pick<TransferFunctions, 'send' | 'recv'> {
  const { errno } = state;
  const { transfers } = state.spi;
  // A blocking recv runs completion routines, which may call send or recv: one set per depth.
  const spare: OneBuffer[] = [];

  const send = (s: number, buf: Uint8Array | null, len: number, flags: number): number => {
    if (!state.isStarted()) return SOCKET_ERROR;
    const one = spare.pop() ?? new OneBuffer();
    one.entry.buf = buf;
    one.entry.len = len;
    const failed = transfers.send(s, one.array, 1, one.bytes, flags, null, null, errno) !== 0;
    one.entry.buf = null;
    spare.push(one);
    return failed ? state.fail(errno.value) : one.bytes.value;
  };

  return {
    send,
    recv(s, buf, len, flags) {
      if (!state.isStarted()) return SOCKET_ERROR;
      const one = spare.pop() ?? new OneBuffer();
      const { entry, array, bytes } = one;
      entry.buf = buf;
      entry.len = len;
      one.flags.value = flags;
      const failed = transfers.receive(s, array, 1, bytes, one.flags, null, null, errno) !== 0;
      entry.buf = null;
      spare.push(one);
      return failed ? state.fail(errno.value) : bytes.value;
    },
  };
}

type VectorFunctions = Omit<TransferFunctions, 'send' | 'recv'>;

function vectorFunctions(state: ApiState): VectorFunctions {
  const { spi, errno } = state;
  const { transfers, results } = spi;

  const WSASend: TransferFunctions['WSASend'] = (
    s,
    buffers,
    count,
    bytes,
    flags,
    overlapped,
    routine,
  ) => {
    if (
      flags === 0 &&
      count === 1 &&
      routine === null &&
      buffers !== null &&
      overlapped !== null &&
      transfers.sendAtOnce(s, buffers, overlapped)
    ) {
      if (bytes !== null) bytes.value = overlapped.InternalHigh;
      return 0;
    }
    if (!state.isStarted()) return SOCKET_ERROR;
    const failed =
      transfers.send(s, buffers, count, bytes, flags, overlapped, routine, errno) !== 0;
    return failed ? state.fail(errno.value) : 0;
  };

  return {
    WSASend,
    WSARecv(s, buffers, count, bytes, flags, overlapped, routine) {
      if (!state.isStarted()) return SOCKET_ERROR;
      const failed =
        transfers.receive(s, buffers, count, bytes, flags, overlapped, routine, errno) !== 0;
      return failed ? state.fail(errno.value) : 0;
    },
    WSAGetOverlappedResult(s, overlapped, bytes, fWait, flags) {
      if (
        overlapped !== null &&
        bytes !== null &&
        flags !== null &&
        results.poll(s, overlapped, fWait)
      ) {
        bytes.value = overlapped.InternalHigh;
        flags.value = overlapped.Offset;
        return true;
      }
      if (!state.isStarted()) return false;
      const done = spi.WSPGetOverlappedResult(s, overlapped, bytes, fWait, flags, errno);
      if (!done) state.lastError = errno.value;
      return done;
    },
  };
}
