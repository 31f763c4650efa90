// WSPSocket with what WSPDuplicateSocket left: the new process goes on with a connection by making it
// again, towards the peer whatever its role was, and with a listener by asking for its requests; it
// blocks until that has succeeded or failed. Sources: SOCKET-04, DUP-12, DUP-14, DUP-15, DUP-18; docs/duplication.md.

import { seconds } from '../../runtime/clock.js';
import * as wsa from '../spi/error-codes.js';
import { attach, createQueuePair } from './connection.js';
import { introduction, Purpose } from './duplicate-identity.js';
import { RESUME_PORT } from './duplicate-peer.js';
import { takeWaiting } from './duplicate-listener.js';
import type { ConnectionRecord, ListenerRecord } from './duplicate-record.js';
import { decodeRecord } from './duplicate-record.js';
import { beginListening } from './listen.js';
import type { Errand } from './record.js';
import { SanSocket } from './record.js';
import { addSocket, wspCloseSocket } from './socket.js';
import type { SanState } from './state.js';
import { waitUntil } from './waiting.js';

/** The NIC's own limit for an answer is shorter; this is for one that says nothing. */
const RESUME_NANOS_MAX = seconds(10);

/**
 * The socket that goes on with the connection or listener left under `name`; or WSAEINVAL when none was
 * left for this process, WSAENOBUFS without a queue pair, WSAECONNRESET when the peer does not know the
 * connection any more or is gone, WSAENETDOWN when the NIC that a listener's requests come to is gone.
 * Whatever was left is taken, also by a failure after WSAEINVAL.
 */
export function takeOver(state: SanState, name: number): SanSocket | number {
  const left = state.environment.handover?.take(name) ?? null;
  const record = left === null ? null : decodeRecord(left);
  if (record === null) return wsa.WSAEINVAL;
  if (record.kind === 'listener') return takeListener(state, record);
  const queuePair = createQueuePair(state);
  if (queuePair === null) return wsa.WSAENOBUFS;
  const socket = addSocket(state);
  if (!(socket instanceof SanSocket)) {
    queuePair.destroy();
    return socket;
  }
  restore(socket, record);
  attach(state, socket, queuePair, { address: record.remoteAddress, port: record.remotePort });
  socket.peerAddress = record.peerAddress;
  const privateData = introduction(Purpose.RESUME, record.identity);
  queuePair.connect(record.peerAddress, RESUME_PORT, record.localPort, privateData);
  const deadline = state.environment.clock.now() + RESUME_NANOS_MAX;
  waitUntil(state, () => socket.state !== 'connecting', deadline);
  if (socket.state !== 'connected') {
    wspCloseSocket(state, socket.descriptor, state.errno);
    return wsa.WSAECONNRESET;
  }
  // FD_CONNECT was told in the life before.
  socket.connectOutcome = null;
  return socket;
}

/** The listener, once the NIC that requests come to sends them here. [DUP-14] */
function takeListener(state: SanState, record: ListenerRecord): SanSocket | number {
  const { identity, serviceAddress, holderAddress, backlog } = record;
  const here = state.nic.attributes.address;
  const socket = addSocket(state);
  if (!(socket instanceof SanSocket)) return socket;
  restore(socket, record);
  socket.backlog = backlog;
  const isHere = takeWaiting(state, socket, identity);
  let error = 0;
  if (!beginListening(state, socket, serviceAddress, isHere)) error = wsa.WSAENOBUFS;
  else if (!isHere) {
    // Who had it last has requests that wait. Its death is theirs; the owner of the address is needed.
    const isGranted = holderAddress === here || ask(state, holderAddress, identity);
    const isElsewhere = serviceAddress !== here && serviceAddress !== holderAddress;
    const reaches = isElsewhere ? ask(state, serviceAddress, identity) : isGranted;
    if (!reaches && serviceAddress !== here) error = wsa.WSAENETDOWN;
  }
  if (error === 0) return socket;
  wspCloseSocket(state, socket.descriptor, state.errno);
  return error;
}

/** Asks the provider at `address` to send the listener's requests here. Blocks; whether it does. */
function ask(state: SanState, address: number, identity: string): boolean {
  const queuePair = createQueuePair(state);
  if (queuePair === null) return false;
  const errand: Errand = { identity, isGranted: null };
  state.errands.set(queuePair.slot, errand);
  queuePair.connect(address, RESUME_PORT, 0, introduction(Purpose.LISTEN, identity));
  const deadline = state.environment.clock.now() + RESUME_NANOS_MAX;
  waitUntil(state, () => errand.isGranted !== null, deadline);
  state.errands.delete(queuePair.slot);
  queuePair.destroy();
  return errand.isGranted === true;
}

/** As the socket was in the old process, whichever address this host has. [DUP-15] */
function restore(socket: SanSocket, record: ConnectionRecord | ListenerRecord): void {
  socket.localAddress = record.localAddress;
  socket.localPort = record.localPort;
  socket.debug = record.debug;
  socket.identity = record.identity;
  socket.state = 'connecting';
}
