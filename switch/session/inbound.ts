// The receiving half of the byte stream: posted receives, the private store for what nobody has
// asked for yet, and announced transfers in their places. Moves each byte once where a receive is
// posted. Source: docs/session-protocol.md "Window", "Small data", "Large data"; XFER-05, XFER-15,
// OOB-02, W8.1.13.

import { WSAECONNRESET, WSAESHUTDOWN } from '../../provider/spi/error-codes.js';
import { copyBytes } from './copy.js';
import type { SessionCore } from './core.js';
import { adopt, advance, contiguous } from './core.js';
import type { Message } from './messages.js';
import type { Announcement, Pulls } from './pulls.js';
import { RequestFlag, RequestQueue, ResultFlag, type SessionRequest } from './request.js';
import { Store } from './store.js';
import type { InboundState } from './state.js';
import { TransferQueue } from './transfer-queue.js';
import { UrgentBytes } from './urgent.js';
import { UrgentReceives } from './urgent-receives.js';

export class Inbound {
  readonly #core: SessionCore;
  readonly #pulls: Pulls;
  readonly #store: Store;
  /** Receives that may still get data; only the head has any. */
  readonly posted = new RequestQueue();
  /** Receives that get no more, in order, waiting for their pulls. */
  readonly #sealed = new RequestQueue();
  /** Announcements with unassigned bytes. */
  readonly #waiting: TransferQueue;
  /** Bytes in the staging buffer: at the very head of the stream. */
  #stagedAt = 0;
  #stagedEnd = 0;
  /** Nothing is given out: a pull fills the staging buffer, or the session is suspended. */
  #isWithheld = false;
  #discarding = false;
  #refusal = 0;
  finReceived = false;
  /** The peer has ended its stream before its time. */
  isCut = false;
  /** SO_OOBINLINE: urgent bytes that arrive from now on are part of the stream. */
  oobInline = false;
  /** Urgent bytes apart from the stream, and the places of those that are in the store. */
  readonly #urgent: UrgentReceives;
  readonly #marks = new UrgentBytes();

  constructor(core: SessionCore, pulls: Pulls) {
    this.#core = core;
    this.#pulls = pulls;
    this.#urgent = new UrgentReceives(core);
    this.#store = new Store(core.limits.windowBytes);
    this.#waiting = new TransferQueue(core.limits.transferSlots);
    pulls.onPulled = (request, bytes) => {
      this.#handlePulled(request, bytes);
    };
  }

  get readableBytes(): number {
    const staged = this.#stagedEnd - this.#stagedAt;
    if (this.#isWithheld) return 0;
    const next = this.#nextAnnouncement();
    if (staged > 0 && next !== null && next.assigned > 0) return staged;
    return staged + this.#storedBefore(next);
  }

  /** Of these, the bytes that one receive may take: ordinary and urgent ones are not mixed. */
  get readableRun(): number {
    if (this.#marks.count === 0) return this.readableBytes;
    if (this.#isWithheld) return 0;
    const staged = this.#stagedEnd - this.#stagedAt;
    if (this.#isAtMark && staged > 0) return staged;
    const next = this.#nextAnnouncement();
    if (staged > 0 && next !== null && next.assigned > 0) return staged;
    return staged + this.#storedRun(next);
  }

  get ended(): boolean {
    return (
      this.finReceived && this.readableBytes === 0 && this.#waiting.count === 0 && !this.#isWithheld
    );
  }

  /** See Session.endError. */
  get #endError(): number {
    return this.isCut ? WSAECONNRESET : 0;
  }

  get isDiscarding(): boolean {
    return this.#discarding;
  }

  get hasRequests(): boolean {
    return this.posted.head !== null || this.#sealed.head !== null || !this.#urgent.isEmpty;
  }

  /** An urgent byte waits to be read apart from the stream. */
  get hasUrgent(): boolean {
    return this.#urgent.bytes.count > 0;
  }

  /** Stored bytes before the oldest urgent one that is unread; -1 when there is none. */
  get urgentMark(): number {
    const { count, place } = this.hasUrgent ? this.#urgent.bytes : this.#marks;
    return count === 0 ? -1 : Math.max(0, (place - this.#store.taken) | 0);
  }

  /** Takes or shows the oldest urgent byte that is apart from the stream; -1 when there is none. */
  urgentByte(peek: boolean): number {
    if (!this.hasUrgent) return -1;
    const { bytes } = this.#urgent;
    const { byte } = bytes;
    if (!peek) bytes.drop();
    return byte;
  }

  receive(request: SessionRequest): void {
    adopt(request, false);
    if (this.#refusal !== 0 || this.#core.error !== 0) {
      this.#core.finish(request, this.#core.error === 0 ? this.#refusal : this.#core.error);
      return;
    }
    if ((request.flags & RequestFlag.urgent) !== 0) {
      this.#urgent.post(request);
      if (this.finReceived) this.#urgent.endAll(this.#endError);
      return;
    }
    this.posted.push(request);
    if (!this.#isEmpty || request.total === 0) this.fill();
  }

  cancel(request: SessionRequest): boolean {
    const isUrgent = this.#urgent.remove(request);
    if (!isUrgent && !this.posted.remove(request)) return false;
    // BLK-04: without RDMA the request fails at once; BLK-05: with it, once that has ended.
    this.#core.cancel(request);
    if (isUrgent) this.#core.finish(request, request.error);
    else this.#seal(request);
    this.fill();
    return true;
  }

  /** No receive waits for its turn, and what arrives goes into the oldest posted one: ShortWay. */
  get isClear(): boolean {
    return this.#sealed.head === null && this.#isEmpty && !this.#discarding;
  }

  /** Nothing has arrived that was not taken, and more may come. */
  get #isEmpty(): boolean {
    return (
      this.#store.length === 0 &&
      this.#waiting.count === 0 &&
      !this.#isWithheld &&
      this.#stagedAt === this.#stagedEnd &&
      !this.finReceived
    );
  }

  handleData(message: Message, from: Uint8Array): void {
    const { payloadOffset, payloadLength } = message;
    if (message.flags === 0) this.#take(from, payloadOffset, payloadLength);
    else this.#takeUrgent(from, payloadOffset, payloadLength);
    this.fill();
  }

  /** Takes an announcement and its initial portion. Returns '' or what is wrong with it. */
  handleAnnounce(message: Message, from: Uint8Array): string {
    this.#take(from, message.payloadOffset, message.payloadLength);
    const wrong = this.#pulls.announced(message, from, this.#store.total);
    if (wrong !== '') return wrong;
    if (this.#discarding) {
      this.#pulls.discard(message.transfer);
      return '';
    }
    this.#waiting.push(message.transfer);
    this.fill();
    return '';
  }

  /** The end; `cut`: what the peer has not handed over by now will not come. */
  handleFin(cut: boolean): void {
    const isLate = this.finReceived;
    this.finReceived = true;
    if (cut) {
      const isShort = this.#waiting.count > 0;
      this.#truncate();
      this.isCut = isShort || !isLate;
    }
    this.#urgent.endAll(this.#endError);
    this.fill();
  }

  /** See Session.readStored. */
  read(into: Uint8Array, offset: number, length: number, peek: boolean): number {
    if (this.posted.head !== null || this.#isWithheld) return 0;
    const wanted = Math.min(length, this.readableRun);
    const staged = Math.min(wanted, this.#stagedEnd - this.#stagedAt);
    copyBytes(this.#core.stagingBuffer, this.#stagedAt, into, offset, staged);
    this.#store.copyOut(into, offset + staged, wanted - staged);
    if (!peek) {
      this.#stagedAt += staged;
      this.#dropStored(wanted - staged);
    }
    return wanted;
  }

  /** Fetches large data for readers, if it comes next and nothing else is to be read. */
  stage(): void {
    const next = this.#nextAnnouncement();
    if (next === null || this.posted.head !== null || this.#isWithheld) return;
    if (this.readableBytes > 0 || this.#pulls.activeCount > 0 || !next.isReady) return;
    this.#core.needStaging();
    const length = Math.min(next.rest - next.assigned, this.#core.stagingBuffer.length);
    this.#isWithheld = true;
    this.#stagedAt = 0;
    this.#stagedEnd = 0;
    this.#startPull(next, length, { request: null, buffer: this.#core.stagingBuffer, offset: 0 });
  }

  /** From now on nothing is wanted: posted receives end with `posted`, later ones with `later`. */
  discard(posted: number, later: number): void {
    this.#refusal = later;
    this.#discarding = true;
    for (let head = this.posted.shift(); head !== null; head = this.posted.shift()) {
      head.error = posted;
      this.#seal(head);
    }
    this.#dropStored(this.#store.length);
    this.#urgent.endAll(posted);
    this.#urgent.bytes.clear();
    this.#stagedAt = this.#stagedEnd;
    this.#dropAllWaiting();
  }

  // Suspension [DUP-08 … DUP-10, DUP-13] --------------------------------------------------------

  /** Receives wait and readers find nothing, whatever has arrived. No pull is under way. */
  hold(): void {
    this.#isWithheld = true;
  }

  release(): void {
    this.#isWithheld = false;
    this.fill();
  }

  /** What the next controller goes on with; nothing is posted. */
  save(): InboundState {
    return {
      stored: this.#store.copy(),
      storedTotal: this.#store.total,
      staged: this.#core.stagingBuffer.slice(this.#stagedAt, this.#stagedEnd),
      waiting: this.#waiting.save(),
      urgent: this.#urgent.bytes.save(),
      marks: this.#marks.save(),
      discarding: this.#discarding,
      refusal: this.#refusal,
      finReceived: this.finReceived,
      isCut: this.isCut,
    };
  }

  /** Into a new session; false: there is no memory for it. */
  load(state: InboundState): boolean {
    this.#store.load(state.stored, state.storedTotal);
    if (state.staged.length > 0) {
      this.#core.needStaging();
      if (state.staged.length > this.#core.stagingBuffer.length) return false;
      this.#core.stagingBuffer.set(state.staged);
      this.#stagedEnd = state.staged.length;
    }
    for (const transfer of state.waiting) this.#waiting.push(transfer);
    this.#urgent.bytes.load(state.urgent);
    this.#marks.load(state.marks);
    this.#discarding = state.discarding;
    this.#refusal = state.refusal;
    this.finReceived = state.finReceived;
    this.isCut = state.isCut;
    return true;
  }

  failAll(error: number): void {
    for (const queue of [this.#sealed, this.posted]) {
      for (let request = queue.shift(); request !== null; request = queue.shift()) {
        request.bytes = 0;
        this.#core.finishFailed(request, error);
      }
    }
    this.#urgent.endAll(error);
    this.#refusal = error === 0 ? WSAESHUTDOWN : error;
  }

  /** Matches posted receives with what is there, in order, as far as it goes. */
  fill(): void {
    for (let request = this.posted.head; request !== null; request = this.posted.head) {
      if (this.#isWithheld) return;
      const next = this.#nextAnnouncement();
      if (request.assigned < request.total) {
        if (this.#stagedAt < this.#stagedEnd) {
          this.#fillFromStaging(request);
          continue;
        }
        const stored = this.#storedRun(next);
        if (stored > 0) {
          if (this.#isAtMark && this.#endsBeforeMark(request)) continue;
          this.#fillFromStore(request, stored);
          continue;
        }
        if (next !== null) {
          if (!this.#pulls.mayStart(next)) return;
          const length = Math.min(contiguous(request), next.rest - next.assigned);
          this.#pullInto(request, next, length);
          continue;
        }
      }
      if (!this.#isSatisfied(request)) return;
      this.posted.shift();
      this.#seal(request);
    }
  }

  /** Nothing more is there for `request` now: does it end all the same? */
  #isSatisfied(request: SessionRequest): boolean {
    if (this.finReceived && this.#waiting.count === 0 && this.#store.length === 0) return true;
    if (request.total === 0) return this.readableBytes > 0 || this.#waiting.count > 0;
    if (request.assigned === request.total) return true;
    return request.assigned > 0 && (request.flags & RequestFlag.waitAll) === 0;
  }

  /** Payload of a message: to the posted receive if nothing comes before it, else to the store. */
  #take(from: Uint8Array, offset: number, length: number): void {
    this.#core.statistics.bytesInByMessage += length;
    if (this.#discarding) {
      this.#core.credits.freed(length);
      return;
    }
    let taken = 0;
    const direct = this.#isEmpty;
    while (direct && taken < length) {
      const request = this.posted.head;
      if (request === null || request.total === 0) break;
      const bytes = Math.min(length - taken, contiguous(request));
      if (bytes > 0) {
        const entry = request.buffers[request.cursorBuffer] as { buf: Uint8Array };
        copyBytes(from, offset + taken, entry.buf, request.cursorOffset, bytes);
        advance(request, bytes);
        taken += bytes;
      }
      if (request.assigned === request.total) {
        this.posted.shift();
        this.#seal(request);
      }
    }
    this.#core.credits.freed(taken);
    if (taken < length) this.#store.append(from, offset + taken, length - taken);
  }

  /** The last byte is urgent: apart from the stream, or a receive to itself in it. [W8.1.13] */
  #takeUrgent(from: Uint8Array, offset: number, length: number): void {
    const last = offset + length - 1;
    if (length > 1) this.#take(from, offset, length - 1);
    if (this.#discarding || !this.oobInline) {
      if (!this.#discarding) this.#urgent.add(from[last] as number, this.#store.total);
      this.#core.statistics.bytesInByMessage++;
      this.#core.credits.freed(1);
      return;
    }
    // Past the ring's bound the oldest mark is forgotten; its byte is then like any other.
    this.#marks.add(0, this.#store.total);
    this.#core.statistics.bytesInByMessage++;
    this.#store.append(from, last, 1);
  }

  /** The stream ends at the first byte that is neither here nor on its way into our memory. */
  #truncate(): void {
    const next = this.#nextAnnouncement();
    if (next === null) return;
    const behind = this.#store.length - this.#storedBefore(next);
    this.#store.dropNewest(behind);
    this.#core.credits.freed(behind);
    this.#dropAllWaiting();
  }

  #dropStored(bytes: number): void {
    if (bytes === 0) return;
    this.#store.drop(bytes);
    this.#core.credits.freed(bytes);
    while (this.#marks.count > 0 && ((this.#marks.place - this.#store.taken) | 0) < 0) {
      this.#marks.drop();
    }
  }

  /** The next byte of the store is urgent. */
  get #isAtMark(): boolean {
    return this.#marks.count > 0 && this.#marks.place === this.#store.taken;
  }

  /** A receive that has ordinary bytes gets no urgent one: never both in one call. */
  #endsBeforeMark(request: SessionRequest): boolean {
    if (request.assigned === 0) return false;
    this.posted.shift();
    this.#seal(request);
    return true;
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
    const urgent = this.#isAtMark;
    this.#store.copyOut(entry.buf, request.cursorOffset, bytes);
    this.#dropStored(bytes);
    advance(request, bytes);
    if (!urgent) return;
    request.resultFlags |= ResultFlag.urgent;
    this.posted.shift();
    this.#seal(request);
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
    const transfer = this.#waiting.oldest;
    this.#pulls.start(transfer, length, into);
    if (next.assigned === next.rest) this.#waiting.drop();
  }

  #handlePulled(request: SessionRequest | null, bytes: number): void {
    if (request === null) {
      this.#isWithheld = false;
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
    const isEmpty = request.assigned === 0 && request.total > 0;
    if (this.isCut && isEmpty && request.error === 0) request.error = WSAECONNRESET;
    request.bytes = request.error === 0 ? request.assigned : 0;
    this.#core.finish(request, request.error);
  }

  #nextAnnouncement(): Announcement | null {
    if (this.#waiting.count === 0) return null;
    return this.#pulls.announcements[this.#waiting.oldest] as Announcement;
  }

  #storedBefore(next: Announcement | null): number {
    const length = this.#store.length;
    if (next === null || length === 0) return length;
    return length - ((this.#store.total - next.storedBefore) | 0);
  }

  /** The same, up to where a receive has to stop for urgent data. */
  #storedRun(next: Announcement | null): number {
    const stored = this.#storedBefore(next);
    if (this.#marks.count === 0) return stored;
    const before = (this.#marks.place - this.#store.taken) | 0;
    return Math.min(stored, before === 0 ? 1 : before);
  }

  #dropAllWaiting(): void {
    while (this.#waiting.count > 0) {
      this.#pulls.discard(this.#waiting.oldest);
      this.#waiting.drop();
    }
  }
}
