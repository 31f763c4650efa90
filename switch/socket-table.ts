// The application's sockets by handle. Consecutive calls name the same socket nearly always, so
// the last one is remembered. Source: COMP-01, W3.6.

import type { SwitchSocket } from './socket.js';

export class SocketTable {
  readonly #sockets = new Map<number, SwitchSocket>();
  #last: SwitchSocket | null = null;

  get count(): number {
    return this.#sockets.size;
  }

  find(handle: number): SwitchSocket | null {
    const last = this.#last;
    if (last !== null && last.handle === handle) return last;
    const socket = this.#sockets.get(handle);
    if (socket === undefined) return null;
    this.#last = socket;
    return socket;
  }

  add(socket: SwitchSocket): void {
    this.#sockets.set(socket.handle, socket);
    this.#last = socket;
  }

  remove(socket: SwitchSocket): void {
    this.#sockets.delete(socket.handle);
    if (this.#last === socket) this.#last = null;
  }

  all(): SwitchSocket[] {
    return [...this.#sockets.values()];
  }
}
