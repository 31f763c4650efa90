// The receiving half of the byte stream: posted receives, matched in order with what arrives or has
// arrived. Moves each byte once where a receive is posted. Source: docs/session-protocol.md "Window",
// "Small data", "Large data"; XFER-05, XFER-15, OOB-02, W8.1.13.

import { WSAECONNRESET, WSAESHUTDOWN } from '../../provider/spi/error-codes.js';
import { Arrived } from './arrived.js';
import { copyBytes } from './copy.js';
import type { SessionCore } from './core.js';
import { adopt, advance, contiguous } from './core.js';
import type { Message } from './messages.js';
import type { Announcement, Pulls } from './pulls.js';
import { RequestFlag, RequestQueue, ResultFlag, type SessionRequest } from './request.js';
import type { InboundState } from './state.js';
import { UrgentReceives } from './urgent-receives.js';

export class Inbound {
  readonly #core: SessionCore;
  readonly #pulls: Pulls;
  readonly #arrived: Arrived;
  /** Receives that may still get data; only the head has any. */
  readonly posted = new RequestQueue();
  /** Receives that get no more, in order, waiting for their pulls. */
  readonly #sealed = new RequestQueue();
  #discarding = false;
  #refusal = 0;
  finReceived = false;
  /** The peer has ended its stream before its time. */
  isCut = false;
  /** SO_OOBINLINE: urgent bytes that arrive from now on are part of the stream. */
  oobInline = false;
  /** Urgent bytes apart from the stream. */
  readonly #urgent: UrgentReceives;

  constructor(core: SessionCore, pulls: Pulls) {
    this.#core = core;
    this.#pulls = pulls;
    this.#urgent = new UrgentReceives(core);
    this.#arrived = new Arrived(core, pulls);
    pulls.onPulled = (request, bytes) => {
      this.#handlePulled(request, bytes);
    };
  }

  get readableBytes(): number {
    return this.#arrived.readableBytes;
  }

  /** Of these, the bytes that one receive may take: ordinary and urgent ones are not mixed. */
  get readableRun(): number {
    return this.#arrived.readableRun;
  }

  get ended(): boolean {
    const { waiting, isWithheld } = this.#arrived;
    return this.finReceived && this.readableBytes === 0 && waiting.count === 0 && !isWithheld;
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
    return this.#arrived.distanceTo(this.#urgent.bytes);
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
    return this.#arrived.isEmpty && !this.finReceived;
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
    const wrong = this.#pulls.announced(message, from, this.#arrived.store.total);
    if (wrong !== '') return wrong;
    if (this.#discarding) {
      this.#pulls.discard(message.transfer);
      return '';
    }
    this.#arrived.waiting.push(message.transfer);
    this.fill();
    return '';
  }

  /** The end; `cut`: what the peer has not handed over by now will not come. */
  handleFin(cut: boolean): void {
    const isLate = this.finReceived;
    this.finReceived = true;
    if (cut) {
      const isShort = this.#arrived.waiting.count > 0;
      this.#arrived.truncate();
      this.isCut = isShort || !isLate;
    }
    this.#urgent.endAll(this.#endError);
    this.fill();
  }

  /** See Session.readStored. */
  read(into: Uint8Array, offset: number, length: number, peek: boolean): number {
    if (this.posted.head !== null || this.#arrived.isWithheld) return 0;
    return this.#arrived.read(into, offset, length, peek);
  }

  /** Fetches large data for readers, if it comes next and nothing else is to be read. */
  stage(): void {
    const next = this.#arrived.nextAnnouncement();
    if (next === null || this.posted.head !== null || this.#arrived.isWithheld) return;
    if (this.readableBytes > 0 || this.#pulls.activeCount > 0 || !next.isReady) return;
    this.#core.needStaging();
    const length = Math.min(next.rest - next.assigned, this.#core.stagingBuffer.length);
    this.#arrived.beginStaging();
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
    this.#urgent.endAll(posted);
    this.#urgent.bytes.clear();
    this.#arrived.discard();
  }

  // Suspension [DUP-08 … DUP-10, DUP-13] --------------------------------------------------------

  /** Receives wait and readers find nothing, whatever has arrived. No pull is under way. */
  hold(): void {
    this.#arrived.isWithheld = true;
  }

  release(): void {
    this.#arrived.isWithheld = false;
    this.fill();
  }

  /** What the next controller goes on with; nothing is posted. */
  save(): InboundState {
    return {
      ...this.#arrived.save(),
      urgent: this.#urgent.bytes.save(),
      discarding: this.#discarding,
      refusal: this.#refusal,
      finReceived: this.finReceived,
      isCut: this.isCut,
    };
  }

  /** Into a new session; false: there is no memory for it. */
  load(state: InboundState): boolean {
    if (!this.#arrived.load(state)) return false;
    this.#urgent.bytes.load(state.urgent);
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
    const arrived = this.#arrived;
    for (let request = this.posted.head; request !== null; request = this.posted.head) {
      if (arrived.isWithheld) return;
      const next = arrived.nextAnnouncement();
      if (request.assigned < request.total) {
        if (arrived.stagedBytes > 0) {
          arrived.fillFromStaging(request);
          continue;
        }
        const stored = arrived.storedRun(next);
        if (stored > 0) {
          if (arrived.isAtMark && this.#endsBeforeMark(request)) continue;
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
    const { store, waiting } = this.#arrived;
    if (this.finReceived && waiting.count === 0 && store.length === 0) return true;
    if (request.total === 0) return this.readableBytes > 0 || waiting.count > 0;
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
    if (taken < length) this.#arrived.store.append(from, offset + taken, length - taken);
  }

  /** The last byte is urgent: apart from the stream, or a receive to itself in it. [W8.1.13] */
  #takeUrgent(from: Uint8Array, offset: number, length: number): void {
    const last = offset + length - 1;
    if (length > 1) this.#take(from, offset, length - 1);
    if (this.#discarding || !this.oobInline) {
      if (!this.#discarding) this.#urgent.add(from[last] as number, this.#arrived.store.total);
      this.#core.statistics.bytesInByMessage++;
      this.#core.credits.freed(1);
      return;
    }
    this.#core.statistics.bytesInByMessage++;
    this.#arrived.appendUrgent(from, last);
  }

  /** A receive that has ordinary bytes gets no urgent one: never both in one call. */
  #endsBeforeMark(request: SessionRequest): boolean {
    if (request.assigned === 0) return false;
    this.posted.shift();
    this.#seal(request);
    return true;
  }

  #fillFromStore(request: SessionRequest, stored: number): void {
    const urgent = this.#arrived.isAtMark;
    this.#arrived.fillFromStore(request, stored);
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
    const { waiting } = this.#arrived;
    this.#pulls.start(waiting.oldest, length, into);
    if (next.assigned === next.rest) waiting.drop();
  }

  #handlePulled(request: SessionRequest | null, bytes: number): void {
    if (request === null) {
      this.#arrived.staged(this.#discarding ? 0 : bytes);
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
}
