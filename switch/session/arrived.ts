// What has arrived of the byte stream and nobody has taken yet: staged bytes at its very head, then stored
// ones with announced transfers in their places among them, and the marks of urgent bytes. Knows no posted
// receives. Source: docs/session-protocol.md "Window", "Large data"; XFER-15, OOB-02.

import { copyBytes } from './copy.js';
import type { SessionCore } from './core.js';
import { advance, contiguous } from './core.js';
import type { Announcement, Pulls } from './pulls.js';
import type { SessionRequest } from './request.js';
import { Store } from './store.js';
import type { ArrivedState } from './state.js';
import { TransferQueue } from './transfer-queue.js';
import { UrgentBytes } from './urgent.js';

export class Arrived {
  readonly #core: SessionCore;
  readonly #pulls: Pulls;
  readonly store: Store;
  /** Announcements with unassigned bytes. */
  readonly waiting: TransferQueue;
  /** The places of urgent bytes that are in the store. */
  readonly #marks = new UrgentBytes();
  /** Bytes in the staging buffer. */
  #stagedAt = 0;
  #stagedEnd = 0;
  /** Nothing is given out: a pull fills the staging buffer, or the session is suspended. */
  isWithheld = false;

  constructor(core: SessionCore, pulls: Pulls) {
    this.#core = core;
    this.#pulls = pulls;
    this.store = new Store(core.limits.windowBytes);
    this.waiting = new TransferQueue(core.limits.transferSlots);
  }

  get isEmpty(): boolean {
    return (
      this.store.length === 0 &&
      this.waiting.count === 0 &&
      !this.isWithheld &&
      this.#stagedAt === this.#stagedEnd
    );
  }

  get stagedBytes(): number {
    return this.#stagedEnd - this.#stagedAt;
  }

  get readableBytes(): number {
    if (this.isWithheld) return 0;
    const staged = this.stagedBytes;
    const next = this.nextAnnouncement();
    if (staged > 0 && next !== null && next.assigned > 0) return staged;
    return staged + this.#storedBefore(next);
  }

  /** Of these, the bytes that one receive may take: ordinary and urgent ones are not mixed. */
  get readableRun(): number {
    if (this.#marks.count === 0) return this.readableBytes;
    if (this.isWithheld) return 0;
    const staged = this.stagedBytes;
    if (this.isAtMark && staged > 0) return staged;
    const next = this.nextAnnouncement();
    if (staged > 0 && next !== null && next.assigned > 0) return staged;
    return staged + this.storedRun(next);
  }

  /** The next byte of the store is urgent. */
  get isAtMark(): boolean {
    return this.#marks.count > 0 && this.#marks.place === this.store.taken;
  }

  /** Stored bytes before the oldest of `bytes`, or of the marked ones without any; -1: there is none. */
  distanceTo(bytes: UrgentBytes): number {
    const { count, place } = bytes.count > 0 ? bytes : this.#marks;
    return count === 0 ? -1 : Math.max(0, (place - this.store.taken) | 0);
  }

  nextAnnouncement(): Announcement | null {
    if (this.waiting.count === 0) return null;
    return this.#pulls.announcements[this.waiting.oldest] as Announcement;
  }

  #storedBefore(next: Announcement | null): number {
    const length = this.store.length;
    if (next === null || length === 0) return length;
    return length - ((this.store.total - next.storedBefore) | 0);
  }

  /** Stored bytes before the announcement `next`, up to where a receive has to stop for urgent data. */
  storedRun(next: Announcement | null): number {
    const stored = this.#storedBefore(next);
    if (this.#marks.count === 0) return stored;
    const before = (this.#marks.place - this.store.taken) | 0;
    return Math.min(stored, before === 0 ? 1 : before);
  }

  // Taking -------------------------------------------------------------------------------------

  /** See Session.readStored. */
  read(into: Uint8Array, offset: number, length: number, peek: boolean): number {
    const wanted = Math.min(length, this.readableRun);
    const staged = Math.min(wanted, this.stagedBytes);
    copyBytes(this.#core.stagingBuffer, this.#stagedAt, into, offset, staged);
    this.store.copyOut(into, offset + staged, wanted - staged);
    if (!peek) {
      this.#stagedAt += staged;
      this.#dropStored(wanted - staged);
    }
    return wanted;
  }

  /** Staged bytes into the place where `request` goes on. */
  fillFromStaging(request: SessionRequest): void {
    const bytes = Math.min(contiguous(request), this.stagedBytes);
    const entry = request.buffers[request.cursorBuffer] as { buf: Uint8Array };
    copyBytes(this.#core.stagingBuffer, this.#stagedAt, entry.buf, request.cursorOffset, bytes);
    this.#stagedAt += bytes;
    advance(request, bytes);
  }

  /** Up to `stored` stored bytes into the place where `request` goes on. */
  fillFromStore(request: SessionRequest, stored: number): void {
    const bytes = Math.min(contiguous(request), stored);
    const entry = request.buffers[request.cursorBuffer] as { buf: Uint8Array };
    this.store.copyOut(entry.buf, request.cursorOffset, bytes);
    this.#dropStored(bytes);
    advance(request, bytes);
  }

  #dropStored(bytes: number): void {
    if (bytes === 0) return;
    this.store.drop(bytes);
    this.#core.credits.freed(bytes);
    while (this.#marks.count > 0 && ((this.#marks.place - this.store.taken) | 0) < 0) {
      this.#marks.drop();
    }
  }

  // Arriving and going -------------------------------------------------------------------------

  /** An urgent byte that is part of the stream. */
  appendUrgent(from: Uint8Array, offset: number): void {
    // Past the ring's bound the oldest mark is forgotten; its byte is then like any other.
    this.#marks.add(0, this.store.total);
    this.store.append(from, offset, 1);
  }

  /** A pull is about to fill the staging buffer, which is empty. */
  beginStaging(): void {
    this.isWithheld = true;
    this.#stagedAt = 0;
    this.#stagedEnd = 0;
  }

  /** It has, with so many bytes. */
  staged(bytes: number): void {
    this.isWithheld = false;
    this.#stagedEnd = bytes;
    this.#stagedAt = 0;
  }

  /** The stream ends at the first byte that is neither here nor on its way into our memory. */
  truncate(): void {
    const next = this.nextAnnouncement();
    if (next === null) return;
    const behind = this.store.length - this.#storedBefore(next);
    this.store.dropNewest(behind);
    this.#core.credits.freed(behind);
    this.#dropAllWaiting();
  }

  /** Nobody will take it. */
  discard(): void {
    this.#dropStored(this.store.length);
    this.#stagedAt = this.#stagedEnd;
    this.#dropAllWaiting();
  }

  #dropAllWaiting(): void {
    while (this.waiting.count > 0) {
      this.#pulls.discard(this.waiting.oldest);
      this.waiting.drop();
    }
  }

  // Suspension [DUP-08 … DUP-10, DUP-13] --------------------------------------------------------

  save(): ArrivedState {
    return {
      stored: this.store.copy(),
      storedTotal: this.store.total,
      staged: this.#core.stagingBuffer.slice(this.#stagedAt, this.#stagedEnd),
      waiting: this.waiting.save(),
      marks: this.#marks.save(),
    };
  }

  /** Into a new session; false: there is no memory for it. */
  load(state: ArrivedState): boolean {
    this.store.load(state.stored, state.storedTotal);
    if (state.staged.length > 0) {
      this.#core.needStaging();
      if (state.staged.length > this.#core.stagingBuffer.length) return false;
      this.#core.stagingBuffer.set(state.staged);
      this.#stagedEnd = state.staged.length;
    }
    for (const transfer of state.waiting) this.waiting.push(transfer);
    this.#marks.load(state.marks);
    return true;
  }
}
