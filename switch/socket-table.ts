// The application's sockets by handle. Most calls name one that was named before, so those are
// remembered by the low bits of their handles. Source: COMP-01, W3.6.

import type { SwitchSocket } from './socket.js';

/** A power of two: handles are multiples of 4. */
const RECENT_COUNT = 1024;
const RECENT_MASK = RECENT_COUNT - 1;

export class SocketTable {
  private readonly sockets = new Map<number, SwitchSocket>();
  private readonly recent: (SwitchSocket | null)[];

  constructor() {
    this.recent = new Array<SwitchSocket | null>(RECENT_COUNT).fill(null);
  }

  get count(): number {
    return this.sockets.size;
  }

  find(handle: number): SwitchSocket | null {
    const recent = this.recent[(handle >> 2) & RECENT_MASK] as SwitchSocket | null;
    return recent !== null && recent.handle === handle ? recent : this.search(handle);
  }

  private search(handle: number): SwitchSocket | null {
    const socket = this.sockets.get(handle);
    if (socket === undefined) return null;
    // Remembered by its first handle only: the others may end before it, and it before them.
    if (socket.handle === handle) this.recent[(handle >> 2) & RECENT_MASK] = socket;
    return socket;
  }

  private forget(socket: SwitchSocket): void {
    const place = (socket.handle >> 2) & RECENT_MASK;
    if (this.recent[place] === socket) this.recent[place] = null;
  }

  add(socket: SwitchSocket): void {
    this.sockets.set(socket.handle, socket);
  }

  /** Another handle of a socket that is there. [W3.7] */
  addHandle(handle: number, socket: SwitchSocket): void {
    this.sockets.set(handle, socket);
    socket.moreHandles.push(handle);
    socket.openHandles++;
  }

  /** Ends one handle of a socket that has others; false: it is the last one, and nothing happened. */
  dropHandle(handle: number, socket: SwitchSocket): boolean {
    if (socket.openHandles === 1) return false;
    this.sockets.delete(handle);
    const at = socket.moreHandles.indexOf(handle);
    if (at >= 0) socket.moreHandles.splice(at, 1);
    socket.openHandles--;
    this.forget(socket);
    return true;
  }

  remove(socket: SwitchSocket): void {
    this.sockets.delete(socket.handle);
    for (const handle of socket.moreHandles) this.sockets.delete(handle);
    socket.openHandles = 0;
    this.forget(socket);
  }

  all(): SwitchSocket[] {
    return [...new Set(this.sockets.values())];
  }
}
