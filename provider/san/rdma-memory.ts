// WSPRegisterRdmaMemory and WSPDeregisterRdmaMemory: memory that the peer of one socket may reach, as
// long as it is exposed and the connection lives. The pin outlives the exposure; the peer's access
// does not. Sources: REGRDMA, DEREGRDMA, MEM-03 to MEM-06, CACHE-06, CACHE-07.

import { Access } from '../nic/verbs.js';
import * as wsa from '../spi/error-codes.js';
import type { Ref } from '../spi/winsock2.js';
import { MEM_READ, MEM_WRITE } from '../spi/ws2san.js';
import { fail } from '../spi/ws2spi.js';
import { describeRegion, DESCRIPTOR_BYTES } from './descriptor.js';
import { Exposure } from './exposures.js';
import {
  addRegistration,
  concealExposure,
  registerRegion,
  registrationRefusal,
} from './pinned-memory.js';
import type { SanSocket } from './record.js';
import type { SanState } from './state.js';

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
  const problem = registrationRefusal(socket, lpBuffer, dwBufferLength, dwFlags);
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
  if (exposure.references > 0) return 0;
  concealExposure(state, socket, exposure);
  return 0;
}

function expose(
  state: SanState,
  socket: SanSocket,
  memory: { readonly buffer: Uint8Array; readonly length: number; readonly dwFlags: number },
): Exposure | number {
  const { buffer, length, dwFlags } = memory;
  const address = state.nic.addressOf(buffer);
  if (state.profile.repeatedRegistration === 'counted') {
    const same = socket.registrations.exposed(address, buffer, length, dwFlags);
    if (same !== null) {
      same.references++;
      return same;
    }
  }
  const exposure =
    exposeAgain(state, socket.registrations.concealed(address, buffer, length, dwFlags)) ??
    exposeFirst(state, socket, memory);
  if (typeof exposure === 'number') return exposure;
  describeRegion(exposure.descriptor, exposure.region, state.random);
  socket.exposures.add(exposure);
  state.exposures.add(exposure);
  return exposure;
}

/** What is still registered with the NIC only gets another remote key. [CACHE-07] */
function exposeAgain(state: SanState, exposure: Exposure | null): Exposure | null {
  if (exposure === null || !state.nic.exposeMemory(exposure.region)) return null;
  state.cache?.takeOut(exposure.record);
  exposure.record.isExposed = true;
  exposure.references = 1;
  return exposure;
}

function exposeFirst(
  state: SanState,
  socket: SanSocket,
  memory: { readonly buffer: Uint8Array; readonly length: number; readonly dwFlags: number },
): Exposure | number {
  const { buffer, length, dwFlags } = memory;
  // Verbs want local writing wherever the peer may write.
  let access = 0;
  if ((dwFlags & MEM_READ) !== 0) access |= Access.REMOTE_READ;
  if ((dwFlags & MEM_WRITE) !== 0) access |= Access.REMOTE_WRITE | Access.LOCAL_WRITE;
  const region = registerRegion(state, socket, buffer, length, access);
  if (typeof region === 'number') return region;
  const record = addRegistration(state, socket, memory, region);
  record.isExposed = true;
  record.exposure = new Exposure(buffer, region, record);
  return record.exposure;
}
