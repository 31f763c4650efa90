// One turn of the provider: lets the NIC work, takes its events and completions, tells the outcomes.
// Reached from the thread's progress loop and from WSPGetOverlappedResult, also from inside an upcall.

import { handleConnectionEvent } from './connect.js';
import { deliver, harvest } from './completion.js';
import { queuePairDestroyed } from './socket.js';
import type { SanSocket } from './record.js';
import type { SanState } from './state.js';

/** Returns the work done. Makes upcalls. */
export function drive(state: SanState): number {
  return state.nic.progress() + drainEvents(state) + harvest(state) + deliver(state);
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
    if (event.type === 'destroyed') queuePairDestroyed(state, event.queuePair);
    else handleConnectionEvent(state, event);
  }
  return count;
}
