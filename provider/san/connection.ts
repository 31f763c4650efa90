// What both ends of a connection have in common: a queue pair for a socket. Sources: CONNECT-12,
// ACCEPT-04, IMPL-01.

import type { QueuePair } from '../nic/device.js';
import type { SanSocket } from './record.js';
import { connectionKey } from './record.js';
import type { SanState } from './state.js';

/** As deep as the profile says; null when the NIC has none left. */
export function createQueuePair(state: SanState): QueuePair | null {
  const { sendQueueDepth, receiveQueueDepth } = state.profile;
  return state.nic.createQueuePair({
    completionQueue: state.completionQueue,
    ...(sendQueueDepth === null ? {} : { sendDepth: powerOfTwoFrom(sendQueueDepth) }),
    ...(receiveQueueDepth === null ? {} : { receiveDepth: powerOfTwoFrom(receiveQueueDepth) }),
  });
}

/** The socket's connection is, or will be, that of the queue pair. */
export function attach(
  state: SanState,
  socket: SanSocket,
  queuePair: QueuePair,
  remote: { readonly address: number; readonly port: number },
): void {
  socket.attach(queuePair);
  socket.peerAddress = remote.address;
  socket.remoteAddress = remote.address;
  socket.remotePort = remote.port;
  state.byQueuePair[queuePair.slot] = socket;
  state.connections.add(connectionKey(socket.localPort, remote.address, remote.port));
}

/** Both providers know what the connection is called, so it can be handed over. [DUP-15] */
export function nameConnection(state: SanState, socket: SanSocket, identity: string): void {
  socket.identity = identity;
  state.identities.set(identity, socket);
}

function powerOfTwoFrom(count: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(count, 1)));
}
