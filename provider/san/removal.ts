// The NIC is taken out while sockets are open: listeners and connections that wait for their peer learn
// it here; connections and attempts learn it from the NIC's own events. The provider stays loaded, so that
// the switch can close what it has. Sources: ERR-04, ADDR-06, ADDR-08, EVT-09;
// docs/decisions/0061-a-nic-that-is-taken-out.md.

import * as wsa from '../spi/error-codes.js';
import { connectionLost } from './completion.js';
import { forgetAllMoved } from './duplicate-listener.js';
import { forgetParking } from './duplicate-peer.js';
import { recordAcceptFailure } from './events.js';
import type { SanState } from './state.js';

/** From here on nothing is accepted, and the address is nobody's. */
export function deviceRemoved(state: SanState): void {
  state.isRemoved = true;
  state.pendingRequests.clear();
  for (const listener of state.listeners.values()) {
    for (const request of listener.requests) request.withdrawn = true;
    listener.requests = [];
    recordAcceptFailure(state, listener);
  }
  forgetAllMoved(state);
  for (const socket of state.parked) {
    forgetParking(state, socket);
    connectionLost(state, socket, wsa.WSAECONNABORTED);
  }
}
