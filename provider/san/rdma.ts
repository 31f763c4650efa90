// WSPRdmaWrite and WSPRdmaRead: between local buffers, named by the handles of their registrations, and
// a range of the peer's memory, named by a descriptor. Sources: RDMA, OVL-01 to OVL-03, MEM-06.

import { Opcode } from '../nic/verbs.js';
import * as wsa from '../spi/error-codes.js';
import type {
  Ref,
  WSAOVERLAPPED,
  WSAOVERLAPPED_COMPLETION_ROUTINE,
  WSATHREADID,
} from '../spi/winsock2.js';
import type { WSABUFEX } from '../spi/ws2san.js';
import { MEM_READ, MEM_WRITE } from '../spi/ws2san.js';
import { fail } from '../spi/ws2spi.js';
import { addressOf, DESCRIPTOR_BYTES, lengthOf, remoteKeyOf } from './descriptor.js';
import { abandon, bytesOf, notConnectedError, post, use } from './posting.js';
import { injectedRdma } from './rdma-short-way.js';
import type { Operation } from './record.js';
import type { SanState } from './state.js';

type Routine = WSAOVERLAPPED_COMPLETION_ROUTINE | null;

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
  if (
    dwBufferCount === 1 &&
    injectedRdma(
      state,
      socket,
      isRead,
      lpBuffers,
      lpTargetBufferDescriptor,
      dwTargetDescriptorLength,
      dwTargetBufferOffset,
      dwFlags,
      lpOverlapped,
    )
  ) {
    return fail(lpErrno, wsa.WSA_IO_PENDING);
  }
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
  const total = bytesOf(request);
  if (total > state.maxRdmaBytes) return wsa.WSAEINVAL;
  if (!(offset >= 0) || offset + total > lengthOf(descriptor)) return wsa.WSAEINVAL;
  request.remoteAddress = addressOf(descriptor) + offset;
  request.remoteKey = remoteKeyOf(descriptor);
  return 0;
}
