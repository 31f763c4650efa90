// Makes a SAN connection the one that carries an application's socket, from its connect or accept
// until it ends. Sources: COMP-02, COMP-12, ARCH-08.

import type { Connection } from './connection.js';
import type { ConnectionWatcher } from './connection-watcher.js';
import type { SwitchCore } from './core.js';
import { evaluate } from './network-events.js';
import type { SwitchSocket } from './socket.js';
import { SocketState } from './socket.js';

/** From now on `connection` carries `socket`, and its news are the socket's. */
export function carry(core: SwitchCore, socket: SwitchSocket, connection: Connection): void {
  socket.connection = connection;
  connection.session.oobInline = socket.oobInline;
  socket.state = SocketState.connected;
  socket.isBound = true;
  socket.connectedAt = core.environment.clock.now();
  connection.watcher = new Carrier(core, socket);
  core.statistics.sanConnected();
}

class Carrier implements ConnectionWatcher {
  readonly #core: SwitchCore;
  readonly #socket: SwitchSocket;
  #evaluating = false;

  constructor(core: SwitchCore, socket: SwitchSocket) {
    this.#core = core;
    this.#socket = socket;
  }

  established(): void {
    // It was, before anything could be carried.
  }

  changed(): void {
    // Nobody selected anything: conditions are looked at when somebody does.
    if (this.#socket.selectedMask === 0 || this.#evaluating) return;
    this.#evaluating = true;
    evaluate(this.#core, this.#socket);
    this.#evaluating = false;
  }

  ended(_connection: Connection, error: number): void {
    if (error !== 0) this.#socket.pendingError = error;
    this.changed();
  }
}
