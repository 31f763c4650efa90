// WSPRegisterMemory and WSPDeregisterMemory: local memory for messages and for the near end of RDMA.
// What is deregistered stays pinned for a while (pinned-memory.ts). Memory for the peer is
// rdma-memory.ts. Sources: REGMEM, DEREGMEM, MEM-01 to MEM-03, MEM-06 to MEM-09, CACHE-03.

import { Access } from '../nic/verbs.js';
import * as wsa from '../spi/error-codes.js';
import type { Ref } from '../spi/winsock2.js';
import { MEM_WRITE } from '../spi/ws2san.js';
import { fail } from '../spi/ws2spi.js';
import {
  addRegistration,
  registerRegion,
  registrationRefusal,
  releaseRegistration,
  retire,
} from './pinned-memory.js';
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
  const problem = registrationRefusal(socket, lpBuffer, dwBufferLength, dwFlags);
  if (socket === null || lpBuffer === null || problem !== 0) return noHandle(lpErrno, problem);
  const { registrations } = socket;
  const address = state.nic.addressOf(lpBuffer);
  let registration = registrations.same(address, lpBuffer, dwBufferLength, dwFlags);
  if (registration === null) {
    const access = (dwFlags & MEM_WRITE) !== 0 ? Access.LOCAL_WRITE : 0;
    const region = registerRegion(state, socket, lpBuffer, dwBufferLength, access);
    if (typeof region === 'number') return noHandle(lpErrno, region);
    registration = addRegistration(state, socket, { buffer: lpBuffer, dwFlags }, region);
  } else if (registration.references === 0) {
    state.cache?.takeOut(registration);
  }
  registrations.take(registration);
  return registration.serial;
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
  if (registration.references === 1 && registration.busy > 0) return fail(lpErrno, wsa.WSAEINVAL);
  if (!socket.registrations.drop(registration)) return 0;
  // The buffer of a dead connection will not be asked for again.
  if (socket.state === 'connected') retire(state, registration);
  else releaseRegistration(state, registration);
  return 0;
}

function noHandle(lpErrno: Ref<number>, error: number): number {
  lpErrno.value = error;
  return 0;
}
