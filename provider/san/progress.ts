// One turn of the provider: lets the NIC work, takes its events and completions, tells the outcomes.
// Reached from the thread's progress loop and from WSPGetOverlappedResult, also from inside an upcall.

import type { NicEvent } from '../nic/device.js';
import { connectionLost, deliver, harvest } from './completion.js';
import { connectEnded } from './connect.js';
import { errandEnded } from './duplicate-listener.js';
import { driveParked, peerMoves } from './duplicate-peer.js';
import { connectError, disconnectError } from './errors.js';
import { queueRequest, withdrawRequest } from './listen.js';
import { deviceRemoved } from './removal.js';
import { queuePairDestroyed } from './socket.js';
import type { SanSocket } from './record.js';
import type { SanState } from './state.js';

/** Returns the work done. Makes upcalls. */
export function drive(state: SanState): number {
  const work = state.nic.progress() + drainEvents(state) + harvest(state) + deliver(state);
  return state.parked.size === 0 ? work : work + driveParked(state) + deliver(state);
}

/**
 * The same for one socket's connection, for less: enough where its operation is about to finish.
 * Other connections and events wait for drive().
 */
export function driveOne(state: SanState, socket: SanSocket): void {
  socket.queuePair?.progress();
  harvest(state);
  deliver(state);
}

/**
 * Events before completions, so that the reason for flushed operations is usually known; a queue
 * pair's last event comes after its last completion, in the next turn.
 */
function drainEvents(state: SanState): number {
  const { nic } = state;
  let count = 0;
  for (let event = nic.pollEvent(); event !== null; event = nic.pollEvent()) {
    count++;
    handleEvent(state, event);
  }
  return count;
}

function handleEvent(state: SanState, event: NicEvent): void {
  switch (event.type) {
    case 'connect-request':
      return queueRequest(state, event);
    case 'request-withdrawn':
      return withdrawRequest(state, event.port, event.requestId);
    case 'established':
      if (errandEnded(state, event)) return;
      return connectEnded(state, state.byQueuePair[event.queuePair], 0, event);
    case 'connect-failed':
      if (errandEnded(state, event)) return;
      return connectEnded(state, state.byQueuePair[event.queuePair], connectError(event.reason));
    case 'disconnected': {
      const socket = state.byQueuePair[event.queuePair];
      if (socket === undefined) return;
      if (event.reason === 'peer-moving') peerMoves(state, socket);
      else connectionLost(state, socket, disconnectError(event.reason));
      return;
    }
    case 'destroyed':
      return queuePairDestroyed(state, event.queuePair);
    case 'device-removed':
      return deviceRemoved(state);
    case 'completion-event':
      // The completion queue is polled, and never armed.
      return;
  }
}
