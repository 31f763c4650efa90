// Event objects: manual-reset flags under handles that are multiples of 4, so that `handle | 1` is
// the suppression tag. Shared by the upcalls, the application's functions and the switch itself,
// whose own events tell an observer instead of being waited for. Knows no socket. Sources: W9.12,
// W9.13, UPC-08, OVL-05.

/** Called when an event is signalled, from wherever that happens: it may only take note. */
export interface EventObserver {
  eventSignalled(handle: number): void;
}

/** Far above any descriptor, so that an event is never taken for a socket. [W3.6] */
const FIRST_HANDLE = 0x4000_0000;
export const EVENT_COUNT_MAX = 65_536;

/** Events that are closed after it before an index comes to be used again, while there are others. */
const STALE_COUNT = 1024;

const CLOSED = 0;
const NONSIGNALLED = 1;
const SIGNALLED = 2;

export class EventTable {
  readonly #states: number[] = [];
  readonly #observers: (EventObserver | null)[] = [];
  /** Freed indexes, oldest first, from #oldestFree on: a stale handle stays invalid for a while. */
  readonly #free: number[] = [];
  #oldestFree = 0;
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** A nonsignalled manual-reset event; 0 when EVENT_COUNT_MAX exist. */
  create(observer: EventObserver | null = null): number {
    const freeCount = this.#free.length - this.#oldestFree;
    const isFull = this.#states.length === EVENT_COUNT_MAX;
    if (isFull && freeCount === 0) return 0;
    const index = isFull || freeCount > STALE_COUNT ? this.#reuse() : this.#states.length;
    this.#states[index] = NONSIGNALLED;
    this.#observers[index] = observer;
    this.#count++;
    return FIRST_HANDLE + index * 4;
  }

  #reuse(): number {
    const index = this.#free[this.#oldestFree] as number;
    this.#oldestFree++;
    // Taking one out at a time would move all the others each time.
    if (this.#oldestFree === STALE_COUNT) {
      this.#free.splice(0, this.#oldestFree);
      this.#oldestFree = 0;
    }
    return index;
  }

  /** Signals the event; the two low bits of the handle are ignored. False: no such event. */
  set(handle: number): boolean {
    const index = (handle - FIRST_HANDLE) >> 2;
    if (!this.#isOpen(index)) return false;
    this.#states[index] = SIGNALLED;
    const observer = this.#observers[index];
    if (observer !== null && observer !== undefined) observer.eventSignalled(handle);
    return true;
  }

  reset(handle: number): boolean {
    const index = (handle - FIRST_HANDLE) >> 2;
    if (!this.#isOpen(index)) return false;
    this.#states[index] = NONSIGNALLED;
    return true;
  }

  close(handle: number): boolean {
    const index = (handle - FIRST_HANDLE) >> 2;
    if (!this.#isOpen(index)) return false;
    this.#states[index] = CLOSED;
    this.#observers[index] = null;
    this.#free.push(index);
    this.#count--;
    return true;
  }

  isEvent(handle: number): boolean {
    return this.#isOpen((handle - FIRST_HANDLE) >> 2);
  }

  isSignalled(handle: number): boolean {
    return this.#states[(handle - FIRST_HANDLE) >> 2] === SIGNALLED;
  }

  #isOpen(index: number): boolean {
    return index >= 0 && index < this.#states.length && this.#states[index] !== CLOSED;
  }
}
