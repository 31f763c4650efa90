// The receiving half of the byte stream: posted receives, the private store for what nobody has
// asked for yet, and announced transfers in their places. Moves each byte once where a receive is
// posted. Source: docs/session-protocol.md "Window", "Small data", "Large data"; XFER-05, XFER-15,
// OOB-02.

import { WSA_OPERATION_ABORTED, WSAESHUTDOWN } from '../../provider/spi/error-codes.js';
import { copyBytes } from './copy.js';
import type { SessionCore } from './core.js';
import { adopt, advance, contiguous } from './core.js';
import type { Message } from './messages.js';
import type { Announcement, Pulls } from './pulls.js';
import { RequestFlag, RequestQueue, ResultFlag, type SessionRequest } from './request.js';
import { Store } from './store.js';

export class Inbound {
  readonly #core: SessionCore;
  readonly #pulls: Pulls;
  readonly #store: Store;
  /** Receives that may still get data; only the head has any. */
  readonly #posted = new RequestQueue();
  /** Receives that get no more, in order, waiting for their pulls. */
  readonly #sealed = new RequestQueue();
  /** Announcements with unassigned bytes, in stream order: a ring of transfer numbers. */
  readonly #waiting: Int32Array;
  #waitingHead = 0;
  #waitingCount = 0;
  /** Bytes in the staging buffer: at the very head of the stream. */
  #stagedAt = 0;
  #stagedEnd = 0;
  #stagingPull = false;
  #discarding = false;
  #refusal = 0;
  finReceived = false;

  constructor(core: SessionCore, pulls: Pulls) {
    this.#core = core;
    this.#pulls = pulls;
    this.#store = new Store(core.limits.windowBytes);
    this.#waiting = new Int32Array(core.limits.transferSlots);
    pulls.onPulled = (request, bytes) => {
      this.#handlePulled(request, bytes);
    };
  }

  get readableBytes(): number {
    const staged = this.#stagedEnd - this.#stagedAt;
    if (this.#stagingPull) return 0;
    const next = this.#nextAnnouncement();
    if (staged > 0 && next !== null && next.assigned > 0) return staged;
    return staged + this.#storedBefore(next);
  }

  get ended(): boolean {
    return (
      this.finReceived && this.readableBytes === 0 && this.#waitingCount === 0 && !this.#stagingPull
    );
  }

  get isDiscarding(): boolean {
    return this.#discarding;
  }

  get hasRequests(): boolean {
    return this.#posted.head !== null || this.#sealed.head !== null;
  }

  /** Readable bytes up to and including the newest urgent ones; -1 when all have been read. */
  get urgentMark(): number {
    return this.#store.urgentDistance;
  }

  receive(request: SessionRequest): void {
    adopt(request, false);
    if (this.#refusal !== 0 || this.#core.error !== 0) {
      this.#core.finish(request, this.#core.error === 0 ? this.#refusal : this.#core.error);
      return;
    }
    this.#posted.push(request);
    this.fill();
  }

  cancel(request: SessionRequest): boolean {
    if (!this.#posted.remove(request)) return false;
    // BLK-04: without RDMA the request fails at once; BLK-05: with it, once that has ended.
    request.error = WSA_OPERATION_ABORTED;
    this.#seal(request);
    this.fill();
    return true;
  }

  handleData(message: Message, from: Uint8Array): void {
    this.#take(from, message.payloadOffset, message.payloadLength, message.flags !== 0);
    this.fill();
  }

  /** Takes an announcement and its initial portion. Returns '' or what is wrong with it. */
  handleAnnounce(message: Message, from: Uint8Array): string {
    this.#take(from, message.payloadOffset, message.payloadLength, false);
    const wrong = this.#pulls.announced(message, from, this.#store.total);
    if (wrong !== '') return wrong;
    if (this.#discarding) {
      this.#pulls.discard(message.transfer);
      return '';
    }
    const tail = (this.#waitingHead + this.#waitingCount) % this.#waiting.length;
    this.#waiting[tail] = message.transfer;
    this.#waitingCount++;
    this.fill();
    return '';
  }

  handleFin(): void {
    this.finReceived = true;
    this.fill();
  }

  /** See Session.readStored. */
  read(into: Uint8Array, offset: number, length: number, peek: boolean): number {
    if (this.#posted.head !== null || this.#stagingPull) return 0;
    const wanted = Math.min(length, this.readableBytes);
    const staged = Math.min(wanted, this.#stagedEnd - this.#stagedAt);
    copyBytes(this.#core.stagingBuffer, this.#stagedAt, into, offset, staged);
    this.#store.copyOut(into, offset + staged, wanted - staged);
    if (!peek) {
      this.#stagedAt += staged;
      this.#store.drop(wanted - staged);
      this.#core.credits.freed(wanted - staged);
    }
    return wanted;
  }

  /** Fetches large data for readers, if it comes next and nothing else is to be read. */
  stage(): void {
    const next = this.#nextAnnouncement();
    if (next === null || this.#posted.head !== null || this.#stagingPull) return;
    if (this.readableBytes > 0 || this.#pulls.activeCount > 0) return;
    const length = Math.min(next.rest - next.assigned, this.#core.limits.stagingBytes);
    this.#stagingPull = true;
    this.#stagedAt = 0;
    this.#stagedEnd = 0;
    this.#startPull(next, length, { request: null, buffer: this.#core.stagingBuffer, offset: 0 });
  }

  /** From now on nothing is wanted: posted receives end with `posted`, later ones with `later`. */
  discard(posted: number, later: number): void {
    this.#refusal = later;
    this.#discarding = true;
    for (let head = this.#posted.shift(); head !== null; head = this.#posted.shift()) {
      head.error = posted;
      this.#seal(head);
    }
    this.#core.credits.freed(this.#store.length);
    this.#store.drop(this.#store.length);
    this.#stagedAt = this.#stagedEnd;
    while (this.#waitingCount > 0) {
      this.#pulls.discard(this.#waiting[this.#waitingHead] as number);
      this.#dropWaiting();
    }
  }

  failAll(error: number): void {
    for (const queue of [this.#sealed, this.#posted]) {
      for (let request = queue.shift(); request !== null; request = queue.shift()) {
        request.bytes = 0;
        this.#core.finishFailed(request, error);
      }
    }
    this.#refusal = error === 0 ? WSAESHUTDOWN : error;
  }

  /** Matches posted receives with what is there, in order, as far as it goes. */
  fill(): void {
    for (let request = this.#posted.head; request !== null; request = this.#posted.head) {
      if (this.#stagingPull) return;
      const next = this.#nextAnnouncement();
      if (request.assigned < request.total) {
        if (this.#stagedAt < this.#stagedEnd) {
          this.#fillFromStaging(request);
          continue;
        }
        const stored = this.#storedBefore(next);
        if (stored > 0) {
          this.#fillFromStore(request, stored);
          continue;
        }
        if (next !== null) {
          if (!this.#pulls.hasFreeSlot) return;
          const length = Math.min(contiguous(request), next.rest - next.assigned);
          this.#pullInto(request, next, length);
          continue;
        }
      }
      if (!this.#isSatisfied(request)) return;
      this.#posted.shift();
      this.#seal(request);
    }
  }

  /** Nothing more is there for `request` now: does it end all the same? */
  #isSatisfied(request: SessionRequest): boolean {
    if (this.finReceived && this.#waitingCount === 0 && this.#store.length === 0) return true;
    if (request.total === 0) return this.readableBytes > 0 || this.#waitingCount > 0;
    if (request.assigned === request.total) return true;
    return request.assigned > 0 && (request.flags & RequestFlag.waitAll) === 0;
  }

  /** Payload of a message: to the posted receive if nothing comes before it, else to the store. */
  #take(from: Uint8Array, offset: number, length: number, urgent: boolean): void {
    this.#core.statistics.bytesInByMessage += length;
    if (this.#discarding) {
      this.#core.credits.freed(length);
      return;
    }
    let taken = 0;
    const direct =
      this.#store.length === 0 &&
      this.#waitingCount === 0 &&
      !this.#stagingPull &&
      this.#stagedAt === this.#stagedEnd;
    while (direct && taken < length) {
      const request = this.#posted.head;
      if (request === null || request.total === 0) break;
      const bytes = Math.min(length - taken, contiguous(request));
      if (bytes > 0) {
        const entry = request.buffers[request.cursorBuffer] as { buf: Uint8Array };
        copyBytes(from, offset + taken, entry.buf, request.cursorOffset, bytes);
        advance(request, bytes);
        taken += bytes;
        if (urgent) request.resultFlags |= ResultFlag.urgent;
      }
      if (request.assigned === request.total) {
        this.#posted.shift();
        this.#seal(request);
      }
    }
    this.#core.credits.freed(taken);
    if (taken < length) this.#store.append(from, offset + taken, length - taken, urgent);
  }

  #fillFromStaging(request: SessionRequest): void {
    const bytes = Math.min(contiguous(request), this.#stagedEnd - this.#stagedAt);
    const entry = request.buffers[request.cursorBuffer] as { buf: Uint8Array };
    copyBytes(this.#core.stagingBuffer, this.#stagedAt, entry.buf, request.cursorOffset, bytes);
    this.#stagedAt += bytes;
    advance(request, bytes);
  }

  #fillFromStore(request: SessionRequest, stored: number): void {
    const bytes = Math.min(contiguous(request), stored);
    const entry = request.buffers[request.cursorBuffer] as { buf: Uint8Array };
    if (this.#store.urgentDistance >= 0) request.resultFlags |= ResultFlag.urgent;
    this.#store.copyOut(entry.buf, request.cursorOffset, bytes);
    this.#store.drop(bytes);
    this.#core.credits.freed(bytes);
    advance(request, bytes);
  }

  #pullInto(request: SessionRequest, next: Announcement, length: number): void {
    const entry = request.buffers[request.cursorBuffer] as { buf: Uint8Array };
    const into = { request, buffer: entry.buf, offset: request.cursorOffset };
    request.transfers++;
    advance(request, length);
    this.#startPull(next, length, into);
  }

  #startPull(
    next: Announcement,
    length: number,
    into: { request: SessionRequest | null; buffer: Uint8Array; offset: number },
  ): void {
    const transfer = this.#waiting[this.#waitingHead] as number;
    this.#pulls.start(transfer, length, into);
    if (next.assigned === next.rest) this.#dropWaiting();
  }

  #handlePulled(request: SessionRequest | null, bytes: number): void {
    if (request === null) {
      this.#stagingPull = false;
      this.#stagedEnd = this.#discarding ? 0 : bytes;
      this.#stagedAt = 0;
    } else {
      request.transfers--;
      this.#flushSealed();
    }
    this.fill();
  }

  #seal(request: SessionRequest): void {
    request.sealed = true;
    if (this.#sealed.head === null && request.transfers === 0) this.#complete(request);
    else this.#sealed.push(request);
  }

  #flushSealed(): void {
    for (let head = this.#sealed.head; head?.transfers === 0; head = this.#sealed.head) {
      this.#sealed.shift();
      this.#complete(head);
    }
  }

  #complete(request: SessionRequest): void {
    request.bytes = request.error === 0 ? request.assigned : 0;
    this.#core.finish(request, request.error);
  }

  #nextAnnouncement(): Announcement | null {
    if (this.#waitingCount === 0) return null;
    return this.#pulls.announcements[this.#waiting[this.#waitingHead] as number] as Announcement;
  }

  #storedBefore(next: Announcement | null): number {
    const length = this.#store.length;
    if (next === null || length === 0) return length;
    return length - ((this.#store.total - next.storedBefore) | 0);
  }

  #dropWaiting(): void {
    this.#waitingHead = (this.#waitingHead + 1) % this.#waiting.length;
    this.#waitingCount--;
  }
}
