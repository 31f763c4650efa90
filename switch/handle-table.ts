// The switch's handles for the sockets of SAN providers: what WPUCreateSocketHandle gives out and
// every later upcall names. Descriptors are the providers' business and never appear here.
// Sources: COMP-06, COMP-07, UPC-03 to UPC-06, DUP-17.

import type { DWORD_PTR, WSAOVERLAPPED } from '../provider/spi/winsock2.js';

/** Whoever owns a SAN socket: told that a pending operation on it has ended. Only takes note. */
export interface CompletionSink {
  operationCompleted(overlapped: WSAOVERLAPPED): void;
}

export interface SocketHandle {
  readonly handle: number;
  readonly context: DWORD_PTR;
  /** null until the switch knows what the socket is for. */
  sink: CompletionSink | null;
}

interface Expectation {
  entry: SocketHandle | null;
}

const FIRST_HANDLE = 0x2000_0000;
const SLOT_BITS = 16;
const SLOT_COUNT = 1 << SLOT_BITS;
/** How often a slot is given out under a new handle before a handle value comes back. */
const GENERATIONS = 1024;

export class HandleTable {
  readonly #slots: (SocketHandle | null)[] = [];
  readonly #generations: number[] = [];
  readonly #free: number[] = [];
  #count = 0;
  #newest: SocketHandle | null = null;
  /** Who waits for the next handle, for a call that may make others meanwhile. */
  readonly #expecting: Expectation[] = [];

  get count(): number {
    return this.#count;
  }

  /** A new handle, or null when there are too many sockets. */
  create(context: DWORD_PTR): SocketHandle | null {
    const slot = this.#free.pop() ?? this.#slots.length;
    if (slot >= SLOT_COUNT) return null;
    const generation = ((this.#generations[slot] ?? -1) + 1) % GENERATIONS;
    this.#generations[slot] = generation;
    const handle = FIRST_HANDLE + (generation * SLOT_COUNT + slot) * 4;
    const entry: SocketHandle = { handle, context, sink: null };
    this.#slots[slot] = entry;
    this.#count++;
    this.#newest = entry;
    for (const waiting of this.#expecting.splice(0)) waiting.entry = entry;
    return entry;
  }

  /** The entry of a live handle; null for any other number. */
  find(handle: number): SocketHandle | null {
    const entry = this.#slots[((handle - FIRST_HANDLE) >> 2) & (SLOT_COUNT - 1)];
    return entry !== undefined && entry !== null && entry.handle === handle ? entry : null;
  }

  close(handle: number): boolean {
    const entry = this.find(handle);
    if (entry === null) return false;
    const slot = ((handle - FIRST_HANDLE) >> 2) & (SLOT_COUNT - 1);
    this.#slots[slot] = null;
    this.#free.push(slot);
    this.#count--;
    if (this.#newest === entry) this.#newest = null;
    return true;
  }

  /** The first handle that is made from now on, whatever is made after it. */
  expect(): { taken(): SocketHandle | null } {
    const waiting: Expectation = { entry: null };
    this.#expecting.push(waiting);
    return {
      taken: () => {
        const at = this.#expecting.indexOf(waiting);
        if (at >= 0) this.#expecting.splice(at, 1);
        return waiting.entry;
      },
    };
  }

  /** Forgets which handle was made last; called before a WSPSocket or WSPAccept. */
  forgetNewest(): void {
    this.#newest = null;
  }

  /** The handle made since forgetNewest: that of the socket which the call returned. */
  takeNewest(): SocketHandle | null {
    const entry = this.#newest;
    this.#newest = null;
    return entry;
  }
}
