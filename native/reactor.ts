// Readiness of descriptors, dispatched to handlers: one epoll instance per thread. A thread waits
// in it, or has its event loop watch it. It must not know what the descriptors are.
// Level-triggered: a handler that leaves something unread is called again.

import { check, SystemError } from './errors.js';
import { EPOLL_RECORD_WORDS } from './binding.js';
import { native } from './load.js';

export const EPOLLIN = 0x001;
export const EPOLLOUT = 0x004;
/** Always reported, asked for or not; alone, it watches a peer's pipe for the owner's death. */
export const EPOLLERR = 0x008;
export const EPOLLHUP = 0x010;
export const EPOLLRDHUP = 0x2000;

/** Reports taken from the kernel at a time. */
const RECORD_COUNT = 64;

/**
 * A token is a slot index and how often that slot was used, so that a stale report is recognised.
 */
const SLOT_BITS = 16;
const SLOT_MASK = 2 ** SLOT_BITS - 1;

export type ReadinessHandler = (events: number) => void;

/**
 * Names one watched descriptor of a reactor. Never reused while a report of it can be under way.
 */
export type WatchToken = number;

interface Slot {
  token: WatchToken;
  fd: number;
  handler: ReadinessHandler | null;
}

/** How an event loop is told of a reactor's readiness. */
export interface EventLoopAttachment {
  /** Whether this attachment keeps the event loop (so the process) alive. Initially it does. */
  ref(): void;
  unref(): void;
  close(): void;
}

/** Belongs to one thread. */
export class Reactor {
  /** The epoll instance: readable when a watched descriptor is ready. */
  readonly fd: number;
  readonly #slots: Slot[] = [];
  readonly #freeSlots: number[] = [];
  /** One array of reports per level of nesting: a handler may poll. */
  readonly #records: Int32Array[] = [];
  #depth = 0;
  #open = true;

  constructor() {
    this.fd = check(native.epollCreate(), 'epoll_create1');
  }

  get watchCount(): number {
    return this.#slots.length - this.#freeSlots.length;
  }

  /** Calls `handler` with the EPOLL* bits whenever the descriptor is ready for `events` (not 0). */
  watch(fd: number, events: number, handler: ReadinessHandler): WatchToken {
    const index = this.#freeSlots.pop() ?? this.addSlot();
    const slot = this.#slots[index] as Slot;
    const result = native.epollControl(this.fd, fd, events, slot.token);
    if (result < 0) this.#freeSlots.push(index);
    check(result, 'epoll_ctl', `descriptor ${fd}`);
    slot.fd = fd;
    slot.handler = handler;
    return slot.token;
  }

  /** Waits for other events (not 0) from now on. */
  change(token: WatchToken, events: number): void {
    const slot = this.slotOf(token);
    check(
      native.epollControl(this.fd, slot.fd, events, token),
      'epoll_ctl',
      `descriptor ${slot.fd}`,
    );
  }

  /**
   * Forgets a descriptor; call it before closing that. Its handler is not called any more, not
   * even in a dispatch under way.
   */
  unwatch(token: WatchToken): void {
    const slot = this.slotOf(token);
    slot.handler = null;
    const index = token & SLOT_MASK;
    slot.token = ((((token >>> SLOT_BITS) + 1) << SLOT_BITS) | index) >>> 0;
    this.#freeSlots.push(index);
    check(native.epollControl(this.fd, slot.fd, 0, 0), 'epoll_ctl', `descriptor ${slot.fd}`);
  }

  /**
   * Waits up to `timeoutNanos` (0: not at all, Infinity: until something is ready) and dispatches
   * what is ready. Returns how many handlers it called; 0 also when a signal ended the wait.
   */
  poll(timeoutNanos: number): number {
    const records = (this.#records[this.#depth] ??= new Int32Array(
      RECORD_COUNT * EPOLL_RECORD_WORDS,
    ));
    const count = check(native.epollWait(this.fd, records, timeoutNanos), 'epoll_wait');
    if (count === 0) return 0;
    this.#depth++;
    try {
      return this.dispatch(records, count);
    } finally {
      this.#depth--;
    }
  }

  /** Has the event loop call `callback` whenever something is ready; the callback calls poll(0). */
  attachToEventLoop(callback: () => void): EventLoopAttachment {
    const watcher = native.watch(this.fd, callback);
    if (typeof watcher === 'number') throw new SystemError(-watcher, 'uv_poll_init');
    watcher.start();
    return watcher;
  }

  /**
   * Closes the epoll instance; attachments are closed before. The watched descriptors stay open.
   */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    native.closeDescriptor(this.fd);
  }

  private dispatch(records: Int32Array, count: number): number {
    let called = 0;
    for (let at = 0; at < count; at++) {
      const token = (records[at * EPOLL_RECORD_WORDS] as number) >>> 0;
      const slot = this.#slots[token & SLOT_MASK];
      if (slot === undefined || slot.token !== token || slot.handler === null) continue;
      called++;
      slot.handler(records[at * EPOLL_RECORD_WORDS + 1] as number);
    }
    return called;
  }

  private addSlot(): number {
    const index = this.#slots.length;
    if (index > SLOT_MASK)
      throw new RangeError(`a reactor watches at most ${SLOT_MASK + 1} descriptors`);
    this.#slots.push({ token: index, fd: -1, handler: null });
    return index;
  }

  private slotOf(token: WatchToken): Slot {
    const slot = this.#slots[token & SLOT_MASK];
    if (slot === undefined || slot.token !== token || slot.handler === null) {
      throw new RangeError(`token ${token} names no watched descriptor`);
    }
    return slot;
  }
}
