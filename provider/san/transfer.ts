// WSPSend, WSPRecv, WSPRdmaWrite, WSPRdmaRead: from buffers to one work request. Nothing is allocated,
// nothing is kept of the caller's arrays, and no upcall is made from here. Outcomes: completion.ts.
// Sources: WSPSEND, WSPRECV, RDMA, OVL-01 to OVL-03, OVL-16, IMPL-01 to IMPL-03.

import { Opcode, PostResult, SendFlag } from '../nic/verbs.js';
import * as wsa from '../spi/error-codes.js';
import type {
  Ref,
  WSABUF,
  WSAOVERLAPPED,
  WSAOVERLAPPED_COMPLETION_ROUTINE,
  WSATHREADID,
} from '../spi/winsock2.js';
import type { WSABUFEX } from '../spi/ws2san.js';
import { MEM_READ, MEM_WRITE } from '../spi/ws2san.js';
import { fail, WSS_OPERATION_IN_PROGRESS } from '../spi/ws2spi.js';
import { harvest, recycle, releaseMemory, storeOutcome, takeOutOfFinished } from './completion.js';
import { addressOf, DESCRIPTOR_BYTES, lengthOf, remoteKeyOf } from './descriptor.js';
import type { Operation, SanSocket } from './record.js';
import type { Registered, Registration } from './registrations.js';
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
  state.request.opcode = Opcode.RECV;
  state.request.flags = 0;
  return post(state, operation, lpOverlapped, lpNumberOfBytesRecvd, lpFlags, lpErrno);
}

/**
 * WSPRdmaWrite moves local buffers into the peer's memory, WSPRdmaRead the peer's memory into local
 * buffers: one call, two directions. [RDMA-01 to -10]
 */
export function wspRdma(
  state: SanState,
  opcode: typeof Opcode.RDMA_WRITE | typeof Opcode.RDMA_READ,
  s: number,
  lpBuffers: readonly WSABUFEX[] | null,
  dwBufferCount: number,
  lpTargetBufferDescriptor: Uint8Array | null,
  dwTargetDescriptorLength: number,
  dwTargetBufferOffset: number,
  lpdwNumberOfBytes: Ref<number> | null,
  dwFlags: number,
  lpOverlapped: WSAOVERLAPPED | null,
  lpCompletionRoutine: Routine,
  _lpThreadId: WSATHREADID | null,
  lpErrno: Ref<number>,
): number {
  const socket = state.sockets.find(s);
  if (socket === null) return fail(lpErrno, wsa.WSAENOTSOCK);
  if (socket.state !== 'connected') return fail(lpErrno, notConnectedError(socket));
  if (lpOverlapped === null || lpCompletionRoutine !== null) return fail(lpErrno, wsa.WSAEINVAL);
  const isRead = opcode === Opcode.RDMA_READ;
  const operation = socket.takeOperation();
  const error =
    describeEx(state, operation, lpBuffers, dwBufferCount, isRead ? MEM_WRITE : MEM_READ) ||
    aim(state, lpTargetBufferDescriptor, dwTargetDescriptorLength, dwTargetBufferOffset);
  if (error !== 0) return abandon(state, operation, lpErrno, error);
  operation.isReceive = false;
  operation.isRead = isRead;
  operation.flags = dwFlags;
  state.request.opcode = opcode;
  state.request.flags = 0;
  return post(state, operation, lpOverlapped, lpdwNumberOfBytes, null, lpErrno);
}

/** Why a socket that is not connected takes no transfer. [WSPSEND-19, CLOSE-07] */
function notConnectedError(socket: SanSocket): number {
  if (socket.connectionError !== 0) return socket.connectionError;
  return socket.state === 'created' ? wsa.WSAEINVAL : wsa.WSAENOTCONN;
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
  registered: Registered,
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

/** The same for buffers that carry the handle of their registration. [RDMA-02, RDMA-04] */
function describeEx(
  state: SanState,
  operation: Operation,
  buffers: readonly WSABUFEX[] | null,
  count: number,
  right: number,
): number {
  if (!(count > 0)) return wsa.WSAEINVAL;
  if (buffers === null || buffers.length < count) return wsa.WSAEFAULT;
  const { maxSge, nic, request } = state;
  const { registrations } = operation.socket;
  request.sgeCount = 0;
  for (let index = 0; index < count; index++) {
    const { len, buf, handle } = buffers[index] as WSABUFEX;
    const registration = registrations.byHandle(handle);
    if (registration === null) return wsa.WSAEINVAL;
    if (len === 0) continue;
    if (request.sgeCount === maxSge) return wsa.WSAEINVAL;
    const isBuffer = buf !== null && len > 0 && len <= buf.length;
    if (!isBuffer || !registration.isIntact) return wsa.WSAEFAULT;
    const address = nic.addressOf(buf);
    const isInside = address >= registration.address && address + len <= registration.end;
    // A right that the registration lacks counts as no registration. [MEM-06]
    if (!isInside || (registration.flags & right) === 0) return wsa.WSAEFAULT;
    use(state, operation, registration, address, len);
  }
  return 0;
}

function use(
  state: SanState,
  operation: Operation,
  registration: Registration,
  address: number,
  length: number,
): void {
  const { request } = state;
  request.setSge(request.sgeCount, address, length, registration.region.localKey);
  request.sgeCount++;
  registration.busy++;
  operation.registrations[operation.registrationCount++] = registration;
}

/**
 * Points the work request at the peer's memory. A range that leaves it is refused here, where it
 * costs nothing; whether the memory is still exposed is the peer's NIC to say. [RDMA-03, RDMA-10]
 */
function aim(
  state: SanState,
  descriptor: Uint8Array | null,
  descriptorLength: number,
  offset: number,
): number {
  if (descriptor === null) return wsa.WSAEFAULT;
  if (descriptorLength !== DESCRIPTOR_BYTES || descriptor.length < DESCRIPTOR_BYTES) {
    return wsa.WSAEINVAL;
  }
  const { request } = state;
  let total = 0;
  for (let index = 0; index < request.sgeCount; index++) total += request.lengths[index] ?? 0;
  if (!(offset >= 0) || offset + total > lengthOf(descriptor)) return wsa.WSAEINVAL;
  request.remoteAddress = addressOf(descriptor) + offset;
  request.remoteKey = remoteKeyOf(descriptor);
  return 0;
}

/** Hands the work request over. From here on the outcome comes by completion. [OVL-03, OVL-16] */
function post(
  state: SanState,
  operation: Operation,
  overlapped: WSAOVERLAPPED,
  transferred: Ref<number> | null,
  flags: Ref<number> | null,
  lpErrno: Ref<number>,
): number {
  const { request } = state;
  const { socket, isReceive, isRead } = operation;
  const { queuePair } = socket;
  if (queuePair === null) return abandon(state, operation, lpErrno, wsa.WSAENOTCONN);
  request.id = operation.index;
  const isFull = isReceive
    ? socket.receivesPosted >= state.receivesMax
    : socket.sendsPosted >= state.sendsMax;
  if (isFull) {
    return abandon(state, operation, lpErrno, state.profile.sendQueueFullError);
  }
  const result = isReceive ? queuePair.postReceive(request) : queuePair.postSend(request);
  if (result !== PostResult.OK) {
    return abandon(state, operation, lpErrno, postError(state, result));
  }
  if (isReceive) socket.receivesPosted++;
  else socket.sendsPosted++;
  if (isRead) socket.readsPosted++;
  socket.unfinished++;
  operation.overlapped = overlapped;
  overlapped.InternalHigh = 0;
  overlapped.Internal = WSS_OPERATION_IN_PROGRESS;
  if (state.completesAtOnce && completedAtOnce(state, operation, overlapped)) {
    if (transferred !== null) transferred.value = overlapped.InternalHigh;
    if (flags !== null) flags.value = overlapped.Offset;
    return 0;
  }
  return fail(lpErrno, wsa.WSA_IO_PENDING);
}

/** Nothing was started: everything is as before the call. [OVL-16] */
function abandon(
  state: SanState,
  operation: Operation,
  lpErrno: Ref<number>,
  error: number,
): number {
  releaseMemory(state, operation);
  recycle(operation);
  return fail(lpErrno, error);
}

function postError(state: SanState, result: PostResult): number {
  switch (result) {
    // Not WSAEWOULDBLOCK, which no transfer ever returns. [WSPSEND-13, WSPSEND-20]
    case PostResult.QUEUE_FULL:
      return state.profile.sendQueueFullError;
    // Over the length that SO_MAX_MSG_SIZE or SO_MAX_RDMA_SIZE tells. [WSPSEND-10, RDMA-06]
    case PostResult.TOO_LONG:
      return wsa.WSAEINVAL;
    default:
      return wsa.WSAENOTCONN;
  }
}

/**
 * Whether the operation is done already, and well. It is then complete: its WSAOVERLAPPED is filled
 * in and nobody is notified. Others that are done too wait for their own delivery. [WSPSEND-06]
 */
function completedAtOnce(
  state: SanState,
  operation: Operation,
  overlapped: WSAOVERLAPPED,
): boolean {
  state.nic.progress();
  harvest(state);
  if (!isFinished(state, operation) || operation.error !== 0) return false;
  takeOutOfFinished(state, operation);
  storeOutcome(overlapped, operation.bytes, 0, operation.flags);
  overlapped.Internal = 0;
  operation.socket.unfinished--;
  recycle(operation);
  return true;
}

function isFinished(state: SanState, operation: Operation): boolean {
  for (let at = state.finishedHead; at !== null; at = at.next) if (at === operation) return true;
  return false;
}
