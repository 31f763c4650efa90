// Regions of the NIC from registration to release, and the cache between the two: what memory.ts and
// rdma-memory.ts have in common. The cache gives way before anybody is told that there is no room.
// Sources: CACHE-01 to -06, CACHECB-01 to -03, MEM-08, CLOSE-02;
// docs/decisions/0011-registration-cache.md.

import type { MemoryRegion } from '../nic/device.js';
import * as wsa from '../spi/error-codes.js';
import type { Ref } from '../spi/winsock2.js';
import { MEM_READ, MEM_READWRITE, MEM_WRITE } from '../spi/ws2san.js';
import { fail } from '../spi/ws2spi.js';
import { registrationError } from './errors.js';
import type { Exposure } from './exposures.js';
import type { SanSocket } from './record.js';
import type { Registration } from './registration.js';
import type { SanState } from './state.js';

/** A region of the first `length` bytes, for the socket's connection; or the error. */
export function registerRegion(
  state: SanState,
  socket: SanSocket,
  buffer: Uint8Array,
  length: number,
  access: number,
): MemoryRegion | number {
  const { cache, nic } = state;
  if (socket.queuePair === null) return wsa.WSAENOTCONN;
  for (;;) {
    const region = nic.registerMemory(socket.queuePair, buffer, length, access);
    if (typeof region === 'object') return region;
    const oldest = region === 'no-resources' && cache !== null ? cache.oldest : null;
    if (oldest === null) return registrationError(region);
    releaseRegistration(state, oldest);
  }
}

/** A record of a new region, which the cache knows the place of. */
export function addRegistration(
  state: SanState,
  socket: SanSocket,
  memory: { readonly buffer: Uint8Array; readonly dwFlags: number },
  region: MemoryRegion,
): Registration {
  const registration = socket.registrations.add(memory.buffer, memory.dwFlags, region);
  state.cache?.add(registration, state.environment.memory.addressOf(memory.buffer));
  return registration;
}

/** Nobody has it registered any more: it stays pinned for the next time, if it may. [CACHE-01] */
export function retire(state: SanState, registration: Registration): void {
  const { cache } = state;
  if (cache === null) {
    releaseRegistration(state, registration);
    return;
  }
  cache.keep(registration);
  for (let victim = cache.victim(); victim !== null; victim = cache.victim()) {
    releaseRegistration(state, victim);
  }
}

/** Unpins it, whoever has it registered. */
export function releaseRegistration(state: SanState, registration: Registration): void {
  state.cache?.remove(registration);
  registration.owner.remove(registration);
  state.nic.deregisterMemory(registration.region);
}

/** Why memory cannot be registered on a socket; 0 if nothing speaks against it. [REGMEM-04] */
export function registrationRefusal(
  socket: SanSocket | null,
  buffer: Uint8Array | null,
  length: number,
  flags: number,
): number {
  if (socket === null) return wsa.WSAENOTSOCK;
  if (flags !== MEM_READ && flags !== MEM_WRITE && flags !== MEM_READWRITE) return wsa.WSAEINVAL;
  if (buffer === null || !(length > 0) || length > buffer.length) return wsa.WSAEFAULT;
  return socket.state === 'connected' ? 0 : wsa.WSAENOTCONN;
}

/**
 * The connection is over: releases what no operation uses, cached memory included. The rest goes
 * with its operation. [MEM-08, CLOSE-02, CACHE-05]
 */
export function releaseIdleMemory(state: SanState, socket: SanSocket): void {
  for (const exposure of socket.exposures.all()) releaseExposure(state, socket, exposure);
  for (const registration of socket.registrations.all()) {
    if (registration.busy === 0) releaseRegistration(state, registration);
  }
}

/** After this the peer reaches the memory no more, and it is pinned no longer. [DEREGRDMA-02, MEM-05] */
export function releaseExposure(state: SanState, socket: SanSocket, exposure: Exposure): void {
  socket.exposures.remove(exposure);
  state.exposures.delete(exposure);
  const { record, region } = exposure;
  if (record.isGone) state.nic.deregisterMemory(region);
  else releaseRegistration(state, record);
}

/** After this the peer reaches the memory no more; it stays pinned for the next time, if it may. [CACHE-06] */
export function concealExposure(state: SanState, socket: SanSocket, exposure: Exposure): void {
  const { record, region } = exposure;
  const isOver = socket.state !== 'connected' || exposure.isRevoked;
  if (state.cache === null || record.isGone || isOver || !record.isIntact) {
    releaseExposure(state, socket, exposure);
    return;
  }
  socket.exposures.remove(exposure);
  state.exposures.delete(exposure);
  state.nic.concealMemory(region);
  record.isExposed = false;
  retire(state, record);
}

/**
 * The range is about to be unmapped: nothing cached that has one byte of it stays, and no peer reaches
 * it any more, whoever has exposed it. WSAEFAULT when somebody has such memory registered still; the
 * cached rest is dropped all the same. [CACHECB-01 to -03, CACHE-04]
 */
export function wspMemoryRegistrationCacheCallback(
  state: SanState,
  lpvAddress: number,
  Size: number,
  lpErrno: Ref<number>,
): number {
  if (!(lpvAddress > 0) || !(Size > 0)) return fail(lpErrno, wsa.WSAEINVAL);
  revokeExposures(state, lpvAddress, lpvAddress + Size);
  let isHeld = false;
  for (const registration of state.cache?.touching(lpvAddress, lpvAddress + Size) ?? []) {
    if (registration.references > 0) isHeld = true;
    else releaseRegistration(state, registration);
  }
  return isHeld ? fail(lpErrno, wsa.WSAEFAULT) : 0;
}

/** A peer must not write into what is somebody else's next. [DEREGRDMA-02, MEM-05] */
function revokeExposures(state: SanState, from: number, to: number): void {
  const { memory } = state.environment;
  for (const exposure of state.exposures) {
    const address = memory.addressOf(exposure.buffer);
    if (address >= to || address + exposure.region.length <= from) continue;
    exposure.isRevoked = true;
    state.nic.deregisterMemory(exposure.region);
  }
}
