// FD_CONNECT and FD_ACCEPT: the record of what happened, the selection, and the event that tells. No
// other network event exists below the switch. Sources: EVT-01 to EVT-10, UPC-08, wsd-spec 19.19.

import * as wsa from '../spi/error-codes.js';
import type { Ref, WSANETWORKEVENTS } from '../spi/winsock2.js';
import { FD_ACCEPT, FD_ACCEPT_BIT, FD_CONNECT, FD_CONNECT_BIT } from '../spi/winsock2.js';
import { fail } from '../spi/ws2spi.js';
import type { SanSocket } from './record.js';
import type { SanState } from './state.js';

/** Replaces the selection; what holds already is signalled at once. [EVT-08, EVT-10] */
export function wspEventSelect(
  state: SanState,
  s: number,
  hEventObject: number,
  lNetworkEvents: number,
  lpErrno: Ref<number>,
): number {
  const socket = state.sockets.find(s);
  if (socket === null) return fail(lpErrno, wsa.WSAENOTSOCK);
  const isForeign = (lNetworkEvents & ~(FD_CONNECT | FD_ACCEPT)) !== 0;
  if (isForeign || (lNetworkEvents !== 0 && hEventObject === 0))
    return fail(lpErrno, wsa.WSAEINVAL);
  socket.hEvent = lNetworkEvents === 0 ? 0 : hEventObject;
  socket.eventMask = lNetworkEvents;
  socket.networkEvents.lNetworkEvents = 0;
  if (socket.connectOutcome !== null) recordConnect(state, socket, socket.connectOutcome);
  if (socket.requests.length > 0) recordAccept(state, socket);
  if (state.isRemoved && socket.state === 'listening') recordAcceptFailure(state, socket);
  return 0;
}

/** Copies, clears and resets as one step: nothing is changed if it fails. [EVT-06, EVT-07] */
export function wspEnumNetworkEvents(
  state: SanState,
  s: number,
  hEventObject: number,
  lpNetworkEvents: WSANETWORKEVENTS | null,
  lpErrno: Ref<number>,
): number {
  const socket = state.sockets.find(s);
  if (socket === null) return fail(lpErrno, wsa.WSAENOTSOCK);
  if (lpNetworkEvents === null) return fail(lpErrno, wsa.WSAEINVAL);
  if (hEventObject !== 0 && state.upcalls?.lpWPUResetEvent(hEventObject, state.errno) === false) {
    return fail(lpErrno, wsa.WSAEINVAL);
  }
  const { lNetworkEvents, iErrorCode } = socket.networkEvents;
  lpNetworkEvents.lNetworkEvents = lNetworkEvents;
  for (const bit of [FD_ACCEPT_BIT, FD_CONNECT_BIT]) {
    if ((lNetworkEvents & (1 << bit)) !== 0) lpNetworkEvents.iErrorCode[bit] = iErrorCode[bit] ?? 0;
  }
  if ((lNetworkEvents & FD_CONNECT) !== 0) socket.connectOutcome = null;
  socket.networkEvents.lNetworkEvents = 0;
  return 0;
}

/** The connect ended with `error`. [CONNECT-03] */
export function recordConnect(state: SanState, socket: SanSocket, error: number): void {
  socket.connectOutcome = error;
  record(state, socket, FD_CONNECT_BIT, error);
}

/** There is a request to accept. */
export function recordAccept(state: SanState, socket: SanSocket): void {
  record(state, socket, FD_ACCEPT_BIT, 0);
}

/** There will be nothing to accept: the NIC is gone. [EVT-09] */
export function recordAcceptFailure(state: SanState, socket: SanSocket): void {
  record(state, socket, FD_ACCEPT_BIT, wsa.WSAENETDOWN);
}

/** What WSPAccept does before it succeeds, so that the next request signals again. [ACCEPT-06] */
export function resetAccept(state: SanState, socket: SanSocket): void {
  if ((socket.eventMask & FD_ACCEPT) === 0) return;
  socket.networkEvents.lNetworkEvents &= ~FD_ACCEPT;
  state.upcalls?.lpWPUResetEvent(socket.hEvent, state.errno);
}

function record(state: SanState, socket: SanSocket, bit: number, error: number): void {
  if ((socket.eventMask & (1 << bit)) === 0) return;
  socket.networkEvents.lNetworkEvents |= 1 << bit;
  socket.networkEvents.iErrorCode[bit] = error;
  if (state.upcalls?.lpWPUSetEvent(socket.hEvent, state.errno) === false) {
    state.logger.warn('the event of a selection cannot be set', { error: state.errno.value });
  }
}
