// An event descriptor: how one thread of a process wakes another that waits in its reactor. The
// number of the descriptor may be handed to the other thread. It must not know what it announces.

import { check } from './errors.js';
import { native } from './load.js';

/** Readable (EPOLLIN) from `signal` until `clear`. `signal` may be called from any thread. */
export class EventSignal {
  readonly fd: number;
  #open = true;

  constructor() {
    this.fd = check(native.eventCreate(), 'eventfd');
  }

  signal(): void {
    check(native.eventSignal(this.fd), 'write');
  }

  clear(): void {
    check(native.eventClear(this.fd), 'read');
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    native.closeDescriptor(this.fd);
  }
}
