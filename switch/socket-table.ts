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
    // Remembered by its first handle only: the others may end before it, and it before them.
    if (socket.handle === handle) this.#last = socket;
    return socket;
  }

  add(socket: SwitchSocket): void {
    this.#sockets.set(socket.handle, socket);
    this.#last = socket;
  }

  /** Another handle of a socket that is there. [W3.7] */
  addHandle(handle: number, socket: SwitchSocket): void {
    this.#sockets.set(handle, socket);
    socket.moreHandles.push(handle);
    socket.openHandles++;
  }

  /** Ends one handle of a socket that has others; false: it is the last one, and nothing happened. */
  dropHandle(handle: number, socket: SwitchSocket): boolean {
    if (socket.openHandles === 1) return false;
    this.#sockets.delete(handle);
    const at = socket.moreHandles.indexOf(handle);
    if (at >= 0) socket.moreHandles.splice(at, 1);
    socket.openHandles--;
    if (this.#last === socket) this.#last = null;
    return true;
  }

  remove(socket: SwitchSocket): void {
    this.#sockets.delete(socket.handle);
    for (const handle of socket.moreHandles) this.#sockets.delete(handle);
    socket.openHandles = 0;
    if (this.#last === socket) this.#last = null;
  }

  all(): SwitchSocket[] {
    return [...new Set(this.#sockets.values())];
  }
}
