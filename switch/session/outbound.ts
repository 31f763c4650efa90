// The sending half of the byte stream: the queue of sends, what goes by message and what by RDMA,
// and the end of the stream behind it. Order is the order of messages. Knows nothing of receiving.
// Source: docs/session-protocol.md "Small data", "Large data"; XFER-03, XFER-07, XFER-08, XFER-15,
// XFER-16, BLK-04, BLK-05, W9.10.1.

import { WSAECONNABORTED, WSAESHUTDOWN } from '../../provider/spi/error-codes.js';
import { copyBytes } from './copy.js';
import type { SessionCore } from './core.js';
import { adopt, advance, contiguous } from './core.js';
import { DATA_RESERVE, HEADER_BYTES } from './limits.js';
import { FLAG_CUT, FLAG_URGENT, kindWord, MessageType } from './messages.js';
import { RequestFlag, RequestQueue, RequestState, type SessionRequest } from './request.js';
import type { Sources } from './sources.js';
import type { OutboundState } from './state.js';

const DATA_KIND = kindWord(MessageType.data, 0, 0, 0);
const URGENT_KIND = kindWord(MessageType.data, FLAG_URGENT, 0, 0);

export class Outbound {
  readonly #core: SessionCore;
  readonly #sources: Sources;
  /** Sends that have bytes left to assign; all but the head are untouched. */
  readonly #queue = new RequestQueue();
  finWanted = false;
  finSent = false;
  /** Something that was sent in part, or promised by a close, will not follow. */
  #isCut = false;
  #cutSent = false;

  constructor(core: SessionCore, sources: Sources) {
    this.#core = core;
    this.#sources = sources;
  }

  send(request: SessionRequest): void {
    adopt(request, true);
    const { refusal } = this;
    if (refusal === 0) this.#queue.push(request);
    else this.#core.finish(request, refusal);
  }

  /** See Session.sendRefusal. */
  get refusal(): number {
    const { over, error } = this.#core;
    if (error !== 0) return error;
    if (!over && !this.finWanted) return 0;
    return this.#isCut ? WSAECONNABORTED : WSAESHUTDOWN;
  }

  /** See Session.sendSpace. */
  get space(): number {
    const { credits, agreed, established, freeBuffers } = this.#core;
    if (!established || this.finWanted || this.#queue.head !== null || !credits.maySendData)
      return 0;
    const messages = Math.min(credits.available - DATA_RESERVE, freeBuffers);
    return Math.min(messages * (agreed.messageBytes - HEADER_BYTES), credits.windowLeft);
  }

  /** See Session.sendSpaceFor. */
  spaceFor(length: number): number {
    const { agreed, established } = this.#core;
    if (established) this.#core.haveLent(Math.ceil(length / (agreed.messageBytes - HEADER_BYTES)));
    return this.space;
  }

  /** Nothing waits to be sent, and more may come: ShortWay. */
  get isClear(): boolean {
    return this.#queue.head === null && !this.finWanted;
  }

  /** Sends all that credits, window, buffers and slots allow. */
  pump(): void {
    const core = this.#core;
    let head = this.#queue.head;
    while (head !== null) {
      if (this.#isLarge(head)) {
        if (!this.#sources.announce(head)) return;
        this.#afterAssignment(head);
      } else if (head.assigned === head.total) {
        this.#afterAssignment(head);
      } else if (
        !core.credits.maySendData ||
        !core.hasFreeBuffer() ||
        core.credits.windowLeft === 0
      ) {
        return;
      } else {
        this.#sendSmall(head);
      }
      head = this.#queue.head;
    }
    const isSaid = this.finSent && (this.#cutSent || !this.#isCut);
    if (this.finWanted && !isSaid && core.credits.maySendData && core.hasFreeBuffer()) {
      this.finSent = true;
      this.#cutSent = this.#isCut;
      const flags = this.#isCut ? FLAG_CUT : 0;
      core.post(core.take(), HEADER_BYTES, kindWord(MessageType.fin, flags, 0, 0), 0);
    }
  }

  /**
   * Gives a send up. Nothing of one that has not begun leaves any more; one that has begun cannot
   * be taken back, so the stream is cut behind it. False when it has all left or is not ours.
   */
  cancel(request: SessionRequest): boolean {
    if (request.state !== RequestState.queued || !request.isSend) return false;
    const isBegun = request.assigned > 0;
    this.#giveUp(request);
    if (isBegun) this.#cut(WSAECONNABORTED);
    return true;
  }

  /**
   * Gives every send up but those whose memory is ours, which go on; the stream is cut where the
   * first one is missing.
   */
  abandon(): void {
    let from: SessionRequest | null = this.#queue.head;
    while (from !== null && (from.flags & RequestFlag.accepted) !== 0) from = from.next;
    let isMissing = from !== null;
    for (let next = from; next !== null; next = from) {
      from = next.next;
      this.#giveUp(next);
    }
    this.#sources.forEachRequest((request) => {
      if ((request.flags & RequestFlag.accepted) !== 0) return;
      this.#core.cancel(request);
      isMissing = true;
    });
    if (isMissing) this.#isCut = true;
  }

  #giveUp(request: SessionRequest): void {
    this.#core.cancel(request);
    if (this.#queue.head === request) this.#sources.withdraw();
    this.#queue.remove(request);
    request.sealed = true;
    this.sourceEnded(request);
  }

  /** The stream ends here: what waits behind has nowhere to go. */
  #cut(error: number): void {
    this.#isCut = true;
    this.finWanted = true;
    // What the head has registered already would outlive it, and hold on to a request that is reused.
    this.#sources.withdraw();
    for (let next = this.#queue.shift(); next !== null; next = this.#queue.shift()) {
      next.error = error;
      next.sealed = true;
      this.sourceEnded(next);
    }
  }

  /** XFER-13: the memory of the send at the head could not be registered. */
  registrationFailed(request: SessionRequest): void {
    // The application has been told that it is sent: it goes in messages then.
    if ((request.flags & RequestFlag.accepted) !== 0) {
      request.flags |= RequestFlag.byMessage;
      return;
    }
    this.#queue.remove(request);
    request.sealed = true;
    request.isRefused = true;
    this.sourceEnded(request);
  }

  /** A transfer of `request` has ended, or it has none. */
  sourceEnded(request: SessionRequest): void {
    if (!request.sealed || request.transfers > 0) return;
    request.bytes = request.assigned;
    this.#core.finish(request, request.error);
  }

  /** Nothing waits to be sent but the end of the stream. */
  get isEmpty(): boolean {
    return this.#queue.head === null;
  }

  save(): OutboundState {
    const { finWanted, finSent } = this;
    return { finWanted, finSent, isCut: this.#isCut, cutSent: this.#cutSent };
  }

  load(state: OutboundState): void {
    this.finWanted = state.finWanted;
    this.finSent = state.finSent;
    this.#isCut = state.isCut;
    this.#cutSent = state.cutSent;
  }

  failAll(error: number): void {
    for (let request = this.#queue.shift(); request !== null; request = this.#queue.shift()) {
      this.#core.finishFailed(request, error);
    }
  }

  #isLarge(request: SessionRequest): boolean {
    if ((request.flags & (RequestFlag.urgent | RequestFlag.byMessage)) !== 0) return false;
    return contiguous(request) > this.#core.agreed.thresholdBytes;
  }

  /** One message, filled from the head and, since they have waited anyway, the sends behind it. */
  #sendSmall(first: SessionRequest): void {
    const core = this.#core;
    const index = core.take();
    const target = core.sendBuffers[index] as Uint8Array;
    const urgent = (first.flags & RequestFlag.urgent) !== 0;
    const room = Math.min(core.agreed.messageBytes - HEADER_BYTES, core.credits.windowLeft);
    let filled = 0;
    let marked = false;
    let request: SessionRequest | null = first;
    while (request !== null && filled < room) {
      // A long part that follows short ones is announced, not cut.
      const part = this.#isLarge(request) ? 0 : contiguous(request);
      if (part === 0 && request.assigned < request.total) break;
      const bytes = Math.min(part, room - filled);
      if (bytes > 0) {
        const entry = request.buffers[request.cursorBuffer] as { buf: Uint8Array };
        copyBytes(entry.buf, request.cursorOffset, target, HEADER_BYTES + filled, bytes);
        advance(request, bytes);
        filled += bytes;
      }
      if (request.assigned < request.total) continue;
      marked = urgent;
      this.#afterAssignment(request);
      request = this.#queue.head;
      // Urgent data has messages of its own: the flag is about their last byte, as in TCP.
      if (urgent || (request !== null && (request.flags & RequestFlag.urgent) !== 0)) break;
    }
    core.sendProgress++;
    core.post(index, HEADER_BYTES + filled, marked ? URGENT_KIND : DATA_KIND, filled);
  }

  /** Takes the head off the queue once all of it has been assigned. */
  #afterAssignment(head: SessionRequest): void {
    if (head.assigned < head.total) return;
    this.#queue.shift();
    head.sealed = true;
    this.sourceEnded(head);
  }
}
