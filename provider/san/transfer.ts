// WSPSend and WSPRecv: from buffers to one work request. Nothing is allocated, nothing is kept of the
// caller's arrays, and no upcall is made from here. Outcomes: completion.ts.
// Sources: WSPSEND, WSPRECV, OVL-01 to OVL-03, IMPL-03.

import { Opcode, PostResult, SendFlag } from '../nic/verbs.js';
import * as wsa from '../spi/error-codes.js';
import type {
  Ref,
  WSABUF,
  WSAOVERLAPPED,
  WSAOVERLAPPED_COMPLETION_ROUTINE,
  WSATHREADID,
} from '../spi/winsock2.js';
import { fail } from '../spi/ws2spi.js';
import { postError } from './errors.js';
import { abandon, bytesOf, notConnectedError, post, use } from './posting.js';
import type { Operation } from './record.js';
import type { RegisteredBuffers } from './registered-buffers.js';
import type { Registration } from './registration.js';
import type { SanState } from './state.js';

type Routine = WSAOVERLAPPED_COMPLETION_ROUTINE | null;

/** Sends the buffers as one message. [WSPSEND-01 to -21] */
export function wspSend(
  state: SanState,
  s: number,
  lpBuffers: readonly WSABUF[] | null,
  dwBufferCount: number,
  lpNumberOfBytesSent: Ref<number> | null,
  dwFlags: number,
  lpOverlapped: WSAOVERLAPPED | null,
  lpCompletionRoutine: Routine,
  _lpThreadId: WSATHREADID | null,
  lpErrno: Ref<number>,
): number {
  const socket = state.sockets.find(s);
  if (socket === null) return fail(lpErrno, wsa.WSAENOTSOCK);
  if (socket.state !== 'connected') return fail(lpErrno, notConnectedError(socket));
  if (dwFlags !== 0 || lpOverlapped === null || lpCompletionRoutine !== null) {
    return fail(lpErrno, wsa.WSAEINVAL);
  }
  const operation = socket.takeOperation();
  const { readable } = socket.registrations;
  const error = describe(state, operation, lpBuffers, dwBufferCount, readable);
  if (error !== 0) return abandon(state, operation, lpErrno, error);
  if (state.limitsMessages && bytesOf(state.request) > state.maxMessageBytes) {
    return abandon(state, operation, lpErrno, postError(state.profile, PostResult.TOO_LONG));
  }
  operation.isReceive = false;
  operation.flags = 0;
  const { request } = state;
  request.opcode = Opcode.SEND;
  // It says that the reads before it are done, so they must be. [RDMA-09]
  request.flags = socket.readsPosted > 0 ? SendFlag.FENCE : 0;
  return post(state, operation, lpOverlapped, lpNumberOfBytesSent, null, lpErrno);
}

/** Posts the buffers for one message. [WSPRECV-01 to -08] */
export function wspRecv(
  state: SanState,
  s: number,
  lpBuffers: readonly WSABUF[] | null,
  dwBufferCount: number,
  lpNumberOfBytesRecvd: Ref<number> | null,
  lpFlags: Ref<number> | null,
  lpOverlapped: WSAOVERLAPPED | null,
  lpCompletionRoutine: Routine,
  _lpThreadId: WSATHREADID | null,
  lpErrno: Ref<number>,
): number {
  const socket = state.sockets.find(s);
  if (socket === null) return fail(lpErrno, wsa.WSAENOTSOCK);
  if (socket.state !== 'connected') return fail(lpErrno, notConnectedError(socket));
  const hasFlags = lpFlags !== null && lpFlags.value !== 0;
  if (hasFlags || lpOverlapped === null || lpCompletionRoutine !== null) {
    return fail(lpErrno, wsa.WSAEINVAL);
  }
  const operation = socket.takeOperation();
  const { writable } = socket.registrations;
  const error = describe(state, operation, lpBuffers, dwBufferCount, writable);
  if (error !== 0) return abandon(state, operation, lpErrno, error);
  operation.isReceive = true;
  operation.flags = 0;
  operation.keep(state.request);
  state.request.opcode = Opcode.RECV;
  state.request.flags = 0;
  return post(state, operation, lpOverlapped, lpNumberOfBytesRecvd, lpFlags, lpErrno);
}

/**
 * Puts the buffers into the work request, each found by its address; 0, or the error. Buffers
 * without bytes are left out. [WSPSEND-02, WSPSEND-03, IMPL-03]
 */
function describe(
  state: SanState,
  operation: Operation,
  buffers: readonly WSABUF[] | null,
  count: number,
  registered: RegisteredBuffers,
): number {
  if (count > 0 && (buffers === null || buffers.length < count)) return wsa.WSAEFAULT;
  const { maxSge, nic, request } = state;
  request.sgeCount = 0;
  for (let index = 0; index < count; index++) {
    const { len, buf } = (buffers as readonly WSABUF[])[index] as WSABUF;
    if (len === 0) continue;
    if (buf === null || !(len > 0)) return wsa.WSAEFAULT;
    if (request.sgeCount === maxSge) return wsa.WSAEINVAL;
    const found = registered.find(buf, len, nic);
    if (found === null) return wsa.WSAEFAULT;
    use(state, operation, found.registration as Registration, found.address, len);
  }
  return 0;
}
