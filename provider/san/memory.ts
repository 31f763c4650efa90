// WSPRegisterMemory, WSPDeregisterMemory, WSPRegisterRdmaMemory, WSPDeregisterRdmaMemory: the NIC's
// registrations under the names that the switch uses. Nothing stays registered after deregistration:
// there is no cache. Sources: REGMEM, DEREGMEM, REGRDMA, DEREGRDMA, MEM-01 to MEM-09.

import type { MemoryRegion } from '../nic/device.js';
import { Access } from '../nic/verbs.js';
import * as wsa from '../spi/error-codes.js';
import type { Ref } from '../spi/winsock2.js';
import { MEM_READ, MEM_READWRITE, MEM_WRITE } from '../spi/ws2san.js';
import { fail } from '../spi/ws2spi.js';
import { createDescriptor, DESCRIPTOR_BYTES } from './descriptor.js';
import { Exposure } from './exposures.js';
import type { SanSocket } from './record.js';
import type { Registration } from './registrations.js';
import type { SanState } from './state.js';

/** The handle of a registration of the socket, or 0. [REGMEM-01 to -05] */
export function wspRegisterMemory(
  state: SanState,
  s: number,
  lpBuffer: Uint8Array | null,
  dwBufferLength: number,
  dwFlags: number,
  lpErrno: Ref<number>,
): number {
  const socket = state.sockets.find(s);
  const problem = refusal(socket, lpBuffer, dwBufferLength, dwFlags);
  if (socket === null || lpBuffer === null || problem !== 0) return noHandle(lpErrno, problem);
  const address = state.nic.addressOf(lpBuffer);
  const { registrations } = socket;
  const same = registrations.same(address, lpBuffer, dwBufferLength, dwFlags);
  if (same !== null) {
    same.references++;
    return same.serial;
  }
  const access = (dwFlags & MEM_WRITE) !== 0 ? Access.LOCAL_WRITE : 0;
  const region = register(state, socket, lpBuffer, dwBufferLength, access);
  if (typeof region === 'number') return noHandle(lpErrno, region);
  return registrations.add(lpBuffer, dwFlags, region).serial;
}

/** Ends one registration; the last one really. [DEREGMEM-01, DEREGMEM-02] */
export function wspDeregisterMemory(
  state: SanState,
  s: number,
  handle: number,
  lpErrno: Ref<number>,
): number {
  const socket = state.sockets.find(s);
  if (socket === null) return fail(lpErrno, wsa.WSAENOTSOCK);
  const registration = socket.registrations.byHandle(handle);
  if (registration === null) return fail(lpErrno, wsa.WSAEINVAL);
  const isLast = registration.references === 1;
  if (isLast && registration.busy > 0) return fail(lpErrno, wsa.WSAEINVAL);
  registration.references--;
  if (isLast) releaseRegistration(state, socket, registration);
  return 0;
}

/** Exposes memory to the peer and stores its descriptor. [REGRDMA-01 to -07] */
export function wspRegisterRdmaMemory(
  state: SanState,
  s: number,
  lpBuffer: Uint8Array | null,
  dwBufferLength: number,
  dwFlags: number,
  lpRdmaBufferDescriptor: Uint8Array | null,
  lpdwDescriptorLength: Ref<number>,
  lpErrno: Ref<number>,
): number {
  const socket = state.sockets.find(s);
  if (socket === null) return fail(lpErrno, wsa.WSAENOTSOCK);
  const room = Math.min(lpdwDescriptorLength.value, lpRdmaBufferDescriptor?.length ?? 0);
  if (lpRdmaBufferDescriptor === null || room < DESCRIPTOR_BYTES) {
    // The switch's probe; it comes with no buffer worth looking at. [REGRDMA-04]
    lpdwDescriptorLength.value = DESCRIPTOR_BYTES;
    return fail(lpErrno, wsa.WSAEFAULT);
  }
  const problem = refusal(socket, lpBuffer, dwBufferLength, dwFlags);
  if (lpBuffer === null || problem !== 0) return fail(lpErrno, problem);
  const exposure = expose(state, socket, { buffer: lpBuffer, length: dwBufferLength, dwFlags });
  if (typeof exposure === 'number') return fail(lpErrno, exposure);
  lpRdmaBufferDescriptor.set(exposure.descriptor);
  lpdwDescriptorLength.value = DESCRIPTOR_BYTES;
  return 0;
}

/** Ends one exposure; after the last the peer reaches the memory no more. [DEREGRDMA-01, -02] */
export function wspDeregisterRdmaMemory(
  state: SanState,
  s: number,
  lpRdmaBufferDescriptor: Uint8Array | null,
  dwDescriptorLength: number,
  lpErrno: Ref<number>,
): number {
  const socket = state.sockets.find(s);
  if (socket === null) return fail(lpErrno, wsa.WSAENOTSOCK);
  const exposure = socket.exposures.find(lpRdmaBufferDescriptor, dwDescriptorLength);
  if (exposure === null) return fail(lpErrno, wsa.WSAEINVAL);
  exposure.references--;
  if (exposure.references === 0) releaseExposure(state, socket, exposure);
  return 0;
}

export function releaseRegistration(
  state: SanState,
  socket: SanSocket,
  registration: Registration,
): void {
  socket.registrations.remove(registration);
  state.nic.deregisterMemory(registration.region);
}

/** Releases what no operation uses; the rest goes with its operation. [MEM-08, CLOSE-02] */
export function releaseIdleMemory(state: SanState, socket: SanSocket): void {
  for (const exposure of socket.exposures.all()) releaseExposure(state, socket, exposure);
  for (const registration of socket.registrations.all()) {
    if (registration.busy === 0) releaseRegistration(state, socket, registration);
  }
}

function releaseExposure(state: SanState, socket: SanSocket, exposure: Exposure): void {
  socket.exposures.remove(exposure);
  state.nic.deregisterMemory(exposure.region);
}

function expose(
  state: SanState,
  socket: SanSocket,
  memory: { readonly buffer: Uint8Array; readonly length: number; readonly dwFlags: number },
): Exposure | number {
  const { buffer, length, dwFlags } = memory;
  const same = socket.exposures.same(state.nic.addressOf(buffer), buffer, length, dwFlags);
  if (same !== null) {
    same.references++;
    return same;
  }
  // Verbs want local writing wherever the peer may write.
  let access = 0;
  if ((dwFlags & MEM_READ) !== 0) access |= Access.REMOTE_READ;
  if ((dwFlags & MEM_WRITE) !== 0) access |= Access.REMOTE_WRITE | Access.LOCAL_WRITE;
  const region = register(state, socket, buffer, length, access);
  if (typeof region === 'number') return region;
  const exposure = new Exposure(buffer, dwFlags, region, createDescriptor(region, state.random));
  socket.exposures.add(exposure);
  return exposure;
}

/** Why memory cannot be registered on a socket; 0 if nothing speaks against it. [REGMEM-04] */
function refusal(
  socket: SanSocket | null,
  buffer: Uint8Array | null,
  length: number,
  flags: number,
): number {
  if (socket === null) return wsa.WSAENOTSOCK;
  if (flags !== MEM_READ && flags !== MEM_WRITE && flags !== MEM_READWRITE) return wsa.WSAEINVAL;
  if (buffer === null || !(length > 0) || length > buffer.byteLength) return wsa.WSAEFAULT;
  return socket.state === 'connected' ? 0 : wsa.WSAENOTCONN;
}

function register(
  state: SanState,
  socket: SanSocket,
  buffer: Uint8Array,
  length: number,
  access: number,
): MemoryRegion | number {
  if (socket.queuePair === null) return wsa.WSAENOTCONN;
  const region = state.nic.registerMemory(socket.queuePair, buffer, length, access);
  switch (region) {
    case 'invalid-buffer':
      return wsa.WSAEFAULT;
    case 'no-resources':
      return wsa.WSAENOBUFS;
    case 'invalid-queue-pair':
      return wsa.WSAENOTCONN;
    default:
      return region;
  }
}

function noHandle(lpErrno: Ref<number>, error: number): number {
  lpErrno.value = error;
  return 0;
}
