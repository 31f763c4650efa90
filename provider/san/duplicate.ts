// WSPDuplicateSocket: the old process lets go of a connection or a listener so that another one can go on.
// Only what is needed to reconnect is left behind, in the host's handover store; the peer is told that
// its end is about to move. The new process is duplicate-target.ts, the peer duplicate-peer.ts; what is
// special about listeners is duplicate-listener.ts.
// Sources: DUP-11, DUP-14 to DUP-18, DUPSOCK; docs/duplication.md.

import { seconds } from '../../runtime/clock.js';
import { serviceKey } from '../nic/service.js';
import * as wsa from '../spi/error-codes.js';
import type { Ref, WSAPROTOCOL_INFO } from '../spi/winsock2.js';
import { fail } from '../spi/ws2spi.js';
import { newIdentity } from './duplicate-identity.js';
import { letListenerGo } from './duplicate-listener.js';
import type { HandoverRecord } from './duplicate-record.js';
import { encodeRecord } from './duplicate-record.js';
import { drive } from './progress.js';
import type { SanSocket } from './record.js';
import { endConnection } from './socket.js';
import type { SanState } from './state.js';
import { waitUntil } from './waiting.js';

/** How long the NIC may take to give receives back; it waits for nobody else with them. */
const FLUSH_NANOS_MAX = seconds(2);

/**
 * Hands a connection or a listener over to another process: dwProviderReserved names it there, and only
 * there. Ends pending receives with success and zero bytes before it returns. [DUP-11, DUP-14,
 * DUPSOCK-01]
 * WSAENOTSOCK; WSAENOTCONN for neither; WSAEINVAL for no process, while a send or an RDMA transfer is
 * pending or the peer is moving itself, and from inside the listener's condition function; WSAEOPNOTSUPP when this host or the peer's
 * provider cannot; WSAENOBUFS when nothing can be left behind. The connection goes on after an error.
 */
export function wspDuplicateSocket(
  state: SanState,
  s: number,
  dwProcessId: number,
  lpProtocolInfo: WSAPROTOCOL_INFO | null,
  lpErrno: Ref<number>,
): number {
  const socket = state.sockets.find(s);
  if (socket === null) return fail(lpErrno, wsa.WSAENOTSOCK);
  const { handover } = state.environment;
  if (handover === undefined) return fail(lpErrno, wsa.WSAEOPNOTSUPP);
  if (lpProtocolInfo === null) return fail(lpErrno, wsa.WSAEFAULT);
  if (!Number.isInteger(dwProcessId) || dwProcessId <= 0) return fail(lpErrno, wsa.WSAEINVAL);
  // What has ended is told first: it may be the last send, or the connection.
  drive(state);
  const record = describe(state, socket);
  if (typeof record === 'number') return fail(lpErrno, record);
  const name = handover.leave(dwProcessId, encodeRecord(record));
  if (name === null) return fail(lpErrno, wsa.WSAENOBUFS);
  letGo(state, socket, record);
  lpProtocolInfo.dwProviderReserved = name;
  return 0;
}

/** What the next process needs, or why there is no next process. */
function describe(state: SanState, socket: SanSocket): HandoverRecord | number {
  if (socket.state === 'listening') return describeListener(state, socket);
  if (socket.state !== 'connected') return wsa.WSAENOTCONN;
  const { identity, localAddress, localPort, remoteAddress, remotePort, peerAddress, debug } =
    socket;
  if (identity === null) return wsa.WSAEOPNOTSUPP;
  // A message that moves now would be lost between two queue pairs. [DUP-08]
  if (socket.sendsPosted > 0 || socket.parkedUntil !== null) return wsa.WSAEINVAL;
  const local = { localAddress, localPort, identity, debug };
  return { kind: 'connection', ...local, remoteAddress, remotePort, peerAddress };
}

function describeListener(state: SanState, socket: SanSocket): HandoverRecord | number {
  if (state.nic.redirect === undefined) return wsa.WSAEOPNOTSUPP;
  if (state.isRemoved) return wsa.WSAENETDOWN;
  // Its condition function runs now: the accept in progress is this one's. [DUP-14]
  if (socket.accepting > 0) return wsa.WSAEINVAL;
  const { localAddress, localPort, serviceAddress, backlog, debug } = socket;
  const identity = socket.identity ?? newIdentity();
  const holderAddress = state.nic.attributes.address;
  const local = { localAddress, localPort, identity, debug };
  return { kind: 'listener', ...local, serviceAddress, holderAddress, backlog };
}

/** From here on the descriptor is good for WSPCloseSocket only. [DUP-11, DUP-17] */
function letGo(state: SanState, socket: SanSocket, record: HandoverRecord): void {
  state.sockets.handOver(socket);
  socket.state = 'handed-over';
  if (record.kind === 'listener') {
    state.listeners.delete(serviceKey(record.serviceAddress, record.localPort));
    letListenerGo(state, socket, record.identity);
    return;
  }
  endConnection(state, socket, 'moving');
  drive(state);
  const deadline = state.environment.clock.now() + FLUSH_NANOS_MAX;
  waitUntil(state, () => socket.receivesPosted === 0 && state.finishedHead === null, deadline);
}
