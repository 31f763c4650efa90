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
import { fail, WSS_OPERATION_IN_PROGRESS } from '../spi/ws2spi.js';
import { postError } from './errors.js';
import { abandon, bytesOf, notConnectedError, post, use } from './posting.js';
import { recycle, storeOutcome } from './completion.js';
import type { Operation, SanSocket } from './record.js';
import type { RegisteredBuffers } from './registered-buffers.js';
import type { Registration } from './registration.js';
import type { SanState } from './state.js';

const MAX_OFFSET = 0x7fffffff;

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
  if (dwBufferCount === 1 && injected(state, socket, lpBuffers, lpOverlapped)) {
    return fail(lpErrno, wsa.WSA_IO_PENDING);
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

/**
 * The short way of the commonest send: a few bytes of one buffer, with nothing before them, and an
 * outcome that is polled for. It has ended when the call returns, and is as pending as any other.
 * False: nothing was done, and the long way says why, if anything is wrong. [OVL-05, WSPSEND-06]
 */
function injected(
  state: SanState,
  socket: SanSocket,
  buffers: readonly WSABUF[] | null,
  overlapped: WSAOVERLAPPED,
): boolean {
  const { queuePair } = socket;
  if (
    (overlapped.hEvent & 1) === 0 ||
    socket.sendsPosted !== 0 ||
    state.finishedHead !== null ||
    queuePair === null ||
    buffers === null
  ) {
    return false;
  }
  const buffer = buffers[0];
  if (buffer === undefined) return false;
  const { len, buf } = buffer;
  if (buf === null || !(len > 0) || len > state.injectBytesMax) return false;
  const found = socket.registrations.readable.find(buf, len, state.nic);
  // An address that is no offset of the segment is far beyond this.
  if (found === null || found.address > MAX_OFFSET) return false;
  const { localKey } = found.registration as Registration;
  if (!queuePair.inject(found.address | 0, len, localKey)) return false;
  storeOutcome(overlapped, len, 0, 0);
  overlapped.Internal = 0;
  return true;
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
  if (dwBufferCount === 1 && postedAtOnce(state, socket, lpBuffers, lpOverlapped)) {
    return fail(lpErrno, wsa.WSA_IO_PENDING);
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
 * The short way of the commonest receive: one buffer in the segment, and no outcome at once. False:
 * nothing was done, and the long way says why, if anything is wrong.
 */
function postedAtOnce(
  state: SanState,
  socket: SanSocket,
  buffers: readonly WSABUF[] | null,
  overlapped: WSAOVERLAPPED,
): boolean {
  const { queuePair } = socket;
  if (queuePair === null || buffers === null || state.completesAtOnce) return false;
  const buffer = buffers[0];
  if (buffer === undefined || socket.receivesPosted >= state.receivesMax) return false;
  const { len, buf } = buffer;
  if (buf === null || !(len > 0)) return false;
  const found = socket.registrations.writable.find(buf, len, state.nic);
  if (found === null || found.address > MAX_OFFSET) return false;
  const registration = found.registration as Registration;
  const operation = socket.takeOperation();
  const address = found.address | 0;
  const { localKey } = registration;
  if (queuePair.postReceiveAt(operation.index, address, len, localKey) !== PostResult.OK) {
    recycle(operation);
    return false;
  }
  operation.isReceive = true;
  operation.flags = 0;
  operation.keepOne(address, len);
  operation.registrations[0] = registration;
  operation.registrationCount = 1;
  operation.overlapped = overlapped;
  registration.busy++;
  socket.receivesPosted++;
  socket.unfinished++;
  overlapped.InternalHigh = 0;
  overlapped.Internal = WSS_OPERATION_IN_PROGRESS;
  return true;
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
