// The session protocol of two switches above SAN service providers, sans-I/O: events in (handle…),
// commands (send, receive, …), actions out (pollAction), finished requests out (pollCompletion). No
// sockets, timers, clocks, providers; time is an argument. One Session per connected SAN socket.
// Guide: docs/session-protocol.md. Source: wsd-spec sections 8, 9, 11.
//
// The shell's duty after any event or command: pollAction until false, carrying each action out in
// turn, and only then pollCompletion until null, since an action may be what revokes the memory of
// a finished request. handleRegistered may be called from within that loop.

import {
  WSA_OPERATION_ABORTED,
  WSAECONNABORTED,
  WSAECONNRESET,
  WSAESHUTDOWN,
  WSAETIMEDOUT,
} from '../../provider/spi/error-codes.js';
import { assert } from '../../runtime/assert.js';
import type { Nanos } from '../../runtime/clock.js';
import { ActionKind, type SessionAction } from './actions.js';
import { assemble, type SessionOptions } from './assembly.js';
import type { Closing } from './close.js';
import type { SessionCore, SessionStatistics } from './core.js';
import type { Exchange } from './exchange.js';
import type { Inbound } from './inbound.js';
import { Message, parse } from './messages.js';
import { Moving } from './moving.js';
import type { Outbound } from './outbound.js';
import type { Pulls } from './pulls.js';
import type { SessionRequest } from './request.js';
import type { ShortWay } from './short-way.js';
import type { Sources } from './sources.js';
import type { Suspension } from './suspension.js';

export type { SessionOptions } from './assembly.js';
export { Access, ActionKind, SessionAction, STAGING_REGISTRATION } from './actions.js';
export { wordsOf, type SessionStatistics } from './core.js';
export { defaultSessionLimits, HEADER_BYTES, type SessionLimits } from './limits.js';
export { RequestFlag, RequestState, ResultFlag, SessionRequest } from './request.js';

export class Session {
  /** What the shell tries before send, receive, handleReceive and handleSendComplete. */
  readonly shortWay: ShortWay;
  readonly #core: SessionCore;
  readonly #receiveBuffers: readonly Uint8Array[];
  readonly #receiveWords: readonly Int32Array[];
  readonly #message = new Message();
  readonly #sources: Sources;
  readonly #pulls: Pulls;
  readonly #outbound: Outbound;
  readonly #inbound: Inbound;
  readonly #closing: Closing;
  readonly #exchange: Exchange;
  readonly #suspension: Suspension;
  /** From process to process. */
  readonly moving: Moving;
  #fault = '';

  /** Throws AssertionError when limits or memory do not fit each other. */
  constructor(options: SessionOptions) {
    const parts = assemble(options);
    this.#core = parts.core;
    this.#core.fail = (error) => {
      this.#fail(error);
    };
    this.#receiveBuffers = options.receiveBuffers;
    this.#receiveWords = options.receiveWords;
    this.#sources = parts.sources;
    this.#pulls = parts.pulls;
    this.#outbound = parts.outbound;
    this.#inbound = parts.inbound;
    this.#closing = parts.closing;
    this.#exchange = parts.exchange;
    this.shortWay = parts.shortWay;
    this.#suspension = parts.suspension;
    this.moving = new Moving(parts);
  }

  get statistics(): Readonly<SessionStatistics> {
    return this.#core.statistics;
  }

  /**
   * Slots that actions name: 0 … slotCount - 1. Each holds at most one registration and one RDMA
   * call.
   */
  get slotCount(): number {
    return 3 * this.#core.limits.transferSlots;
  }

  /** The negotiation was completed; also true afterwards. */
  get isEstablished(): boolean {
    return this.#core.established;
  }

  /** disconnect or abort has been asked for: nothing more will be. */
  get isOver(): boolean {
    return this.#core.over;
  }

  /** 0, or the error with which the session failed. */
  get error(): number {
    return this.#core.error;
  }

  /** What was wrong with the peer's message, for a trace; '' if nothing was. */
  get fault(): string {
    return this.#fault;
  }

  /** Bytes that readStored can give at once. */
  get readableBytes(): number {
    return this.#inbound.readableBytes;
  }

  /**
   * A read would not wait: bytes, the end, or failure. Large data counts once it is in the staging
   * buffer: whoever waits for readability calls wantReadable first.
   */
  get isReadable(): boolean {
    return this.#core.error !== 0 || this.#inbound.readableBytes > 0 || this.#inbound.ended;
  }

  /** The peer's end of stream is the next thing to read. */
  get isAtEnd(): boolean {
    return this.#inbound.ended;
  }

  /** What every send from now on fails with; 0: none has to. */
  get sendRefusal(): number {
    return this.#outbound.refusal;
  }

  /** Bytes that a send would put into messages at once; 0: a nonblocking send would block, or fail. */
  get sendSpace(): number {
    return this.#core.over ? 0 : this.#outbound.space;
  }

  /** The same for a send of `length` bytes that is about to come, and counts on nothing that may fail. */
  sendSpaceFor(length: number): number {
    return this.#core.over ? 0 : this.#outbound.spaceFor(length);
  }

  /** The peer's end of stream has arrived behind all of its data (which may not have been read). */
  get peerHasShutdown(): boolean {
    return this.#closing.peerHasShutdown;
  }

  /** The peer has acknowledged our end of stream, and so all of our data (SO_LINGER). */
  get sendFinished(): boolean {
    return this.#closing.sendFinished;
  }

  /** Stored bytes before the oldest unread urgent byte, in line or not; -1: there is none. */
  get urgentMark(): number {
    return this.#inbound.urgentMark;
  }

  /** An urgent byte waits to be read apart from the stream, by readUrgent. */
  get hasUrgent(): boolean {
    return this.#inbound.hasUrgent;
  }

  /** SO_OOBINLINE: whether urgent bytes that arrive from now on are part of the stream. */
  set oobInline(inline: boolean) {
    this.#inbound.oobInline = inline;
  }

  /** What the end of the peer's stream means: 0, or WSAECONNRESET where it was cut. */
  get endError(): number {
    return this.#inbound.isCut ? WSAECONNRESET : 0;
  }

  /** Bytes that one receive may take at once: ordinary and urgent ones are never mixed. */
  get readableRun(): number {
    return this.#inbound.readableRun;
  }

  /** When handleTimer must be called; Infinity for never. */
  get deadline(): Nanos {
    const closing = Math.min(this.#closing.deadline, this.#core.cancelDeadline);
    const handshakes = Math.min(this.#exchange.deadline, this.#suspension.deadline);
    return Math.min(handshakes, closing);
  }

  /** Transfers, pulls and writes that have not ended: 0 in a session at rest. */
  get outstandingTransfers(): number {
    const ours = this.#sources.activeCount + this.#sources.activeWriteCount;
    return ours + this.#pulls.activeCount + this.#pulls.announcedCount;
  }

  /** Messages that may be sent, of any class; for tests and traces. */
  get creditsAvailable(): number {
    return this.#core.credits.available;
  }

  /** Receives that are posted, and how many of them the peer has not been told of. For checks. */
  get receivesPosted(): { readonly now: number; readonly unsaid: number } {
    const { postedNow, unsaid } = this.#core.credits;
    return { now: postedNow, unsaid };
  }

  /** The SAN connection is up: posts all receives, and the connector speaks (SESS-02, SESS-03). */
  handleConnected(now: Nanos): void {
    this.#core.enter(now);
    this.#exchange.begin();
  }

  /** Receive buffer `index` holds a message of `length` bytes. Ignored once the session is over. */
  handleReceive(index: number, length: number, now: Nanos): void {
    const core = this.#core;
    if (core.over) return;
    core.enter(now);
    const words = this.#receiveWords[index];
    const from = this.#receiveBuffers[index];
    assert(words !== undefined && from !== undefined, 'a receive buffer of this session');
    const message = this.#message;
    core.statistics.messagesIn++;
    let wrong = parse(words, length, message);
    if (wrong === '') wrong = this.#exchange.take(message, from);
    if (wrong !== '') {
      this.#fault = wrong;
      this.#fail(WSAECONNABORTED);
    }
    if (!core.over) this.#exchange.consumed(message, index);
  }

  /** The WSPSend of send buffer `index` has ended. */
  handleSendComplete(index: number, error: number, now: Nanos): void {
    this.#core.enter(now);
    this.#core.giveBack(index);
    if (error === 0) this.#exchange.pump();
    // The peer may close on BYE before it is known here that BYE has arrived.
    else if (this.#closing.isFinished) this.#closing.end();
    else this.#fail(error);
  }

  /**
   * The RDMA call of `slot` has ended. After abort every call begun must still be reported, or the
   * requests whose memory it uses never finish.
   */
  handleTransferComplete(slot: number, error: number, now: Nanos): void {
    const slots = this.#core.limits.transferSlots;
    this.#core.enter(now);
    if (slot >= 2 * slots) this.#sources.handleWriteComplete(slot - 2 * slots, error);
    else this.#pulls.handleReadComplete(slot - slots, error);
    this.#exchange.pump();
  }

  /**
   * Answers a register action. `descriptor` holds `descriptorLength` bytes, which are copied; null
   * with 0 for Access.local. A descriptor longer than 64 bytes counts as a failure.
   */
  handleRegistered(
    slot: number,
    descriptor: Uint8Array | null,
    descriptorLength: number,
    error: number,
    now: Nanos,
  ): void {
    if (this.#core.over) return;
    const slots = this.#core.limits.transferSlots;
    this.#core.enter(now);
    if (slot < slots) this.#sources.handleRegistered(slot, descriptor, descriptorLength, error);
    else this.#pulls.handleRegistered(slot - slots, descriptor, descriptorLength, error);
    this.#exchange.pump();
  }

  /**
   * The connection is lost. Expected once both streams are known to have arrived; else a failure.
   */
  handleDisconnect(error: number, now: Nanos): void {
    this.#core.enter(now);
    if (this.#closing.isFinished) this.#closing.end();
    else this.#fail(this.#core.established ? error : WSAECONNABORTED);
  }

  handleTimer(now: Nanos): void {
    this.#core.enter(now);
    if (now < this.deadline) return;
    // BLK-05: RDMA on a request that was given up takes too long.
    if (now >= this.#core.cancelDeadline) this.#fail(WSAECONNABORTED);
    else if (this.#closing.isFinished) this.#closing.end();
    else this.#fail(WSAETIMEDOUT);
  }

  /** Queues a send; it may finish at once. After shutdownSend: WSAESHUTDOWN. */
  send(request: SessionRequest, now: Nanos): void {
    this.#core.enter(now);
    this.#outbound.send(request);
    this.#exchange.pump();
  }

  /** Posts a receive; it may finish at once. */
  receive(request: SessionRequest, now: Nanos): void {
    this.#core.enter(now);
    this.#inbound.receive(request);
    this.#exchange.pump();
  }

  /**
   * Cancels a posted receive: it finishes with WSA_OPERATION_ABORTED, after any RDMA into it has
   * ended, and data it had taken is lost (BLK-04, BLK-05). False when no more data could reach it.
   */
  cancelReceive(request: SessionRequest, now: Nanos): boolean {
    this.#core.enter(now);
    const found = this.#inbound.cancel(request);
    this.#exchange.pump();
    return found;
  }

  /**
   * Cancels a send: it finishes with WSA_OPERATION_ABORTED, after RDMA on its memory has ended. One
   * that has left in part cuts the stream: the peer gets what left, then WSAECONNRESET, and sends
   * behind it fail with WSAECONNABORTED. False when all of it has left. [BLK-04, BLK-05]
   */
  cancelSend(request: SessionRequest, now: Nanos): boolean {
    this.#core.enter(now);
    const found = this.#outbound.cancel(request);
    this.#exchange.pump();
    return found;
  }

  /** The oldest urgent byte apart from the stream, taken unless `peek`; -1: there is none. */
  readUrgent(peek: boolean): number {
    return this.#inbound.urgentByte(peek);
  }

  /**
   * Copies up to `length` readable bytes to `offset` of `into`; returns how many. 0: the end if
   * isAtEnd, otherwise nothing is there yet. Large data is then being fetched, and isReadable tells
   * when it has come. Gives nothing while receives are posted: they come first.
   */
  readStored(into: Uint8Array, offset: number, length: number, peek: boolean, now: Nanos): number {
    if (this.#core.error !== 0) return 0;
    this.#core.enter(now);
    const count = this.#inbound.read(into, offset, length, peek);
    if (!peek || count === 0) this.wantReadable(now);
    return count;
  }

  /** Starts fetching large data into the staging buffer if that is what a reader would wait for. */
  wantReadable(now: Nanos): void {
    this.#core.enter(now);
    if (!this.#core.over) this.#inbound.stage();
    this.#exchange.pump();
  }

  /** The stream ends after all sends so far; later ones fail with WSAESHUTDOWN. */
  shutdownSend(now: Nanos): void {
    this.#core.enter(now);
    this.#outbound.finWanted = true;
    this.#exchange.pump();
  }

  /** Receives, posted or later, fail with WSAESHUTDOWN; what arrives is thrown away. */
  shutdownReceive(now: Nanos): void {
    this.#discard(WSAESHUTDOWN, now);
  }

  /**
   * The graceful end: what the application has been told is sent still goes out, then the end of the
   * stream. Other sends, and posted receives, finish with WSA_OPERATION_ABORTED; a send among them cuts
   * the stream. Ends with a disconnect action; or with abort (WSAETIMEDOUT) when our stream stands still
   * for limits.drainNanosMax, or the peer's end does not come within limits.closeNanosMax of its
   * acknowledgement of ours. [W9.10.1, W12.4]
   */
  close(now: Nanos): void {
    if (!this.#core.established) {
      this.abort(WSA_OPERATION_ABORTED, now);
      return;
    }
    this.#core.enter(now);
    this.#outbound.abandon();
    this.#outbound.finWanted = true;
    this.#closing.bound();
    this.#discard(WSA_OPERATION_ABORTED, now);
  }

  /** At once: outstanding requests finish with `error`, and an abort action closes the socket. */
  abort(error: number, now: Nanos): void {
    this.#core.enter(now);
    this.#fail(error);
  }

  /** Whether pollAction or pollCompletion has something. */
  get hasWork(): boolean {
    return !this.#core.actions.isEmpty || this.#core.finished.head !== null;
  }

  /** Fills `action` with the next thing to do. False, and kind none, when there is nothing. */
  pollAction(action: SessionAction): boolean {
    if (!this.#core.actions.shift(action)) {
      action.kind = ActionKind.none;
      return false;
    }
    const slots = this.#core.limits.transferSlots;
    switch (action.kind) {
      case ActionKind.register:
        if (action.slot < slots) this.#sources.fillRegister(action.slot, action);
        else this.#pulls.fillRegister(action.slot - slots, action);
        break;
      case ActionKind.rdmaRead:
        this.#pulls.fillRead(action.slot - slots, action);
        break;
      case ActionKind.rdmaWrite:
        this.#sources.fillWrite(action.slot - 2 * slots, action);
        break;
      case ActionKind.abort:
        action.error = action.length;
        break;
      default:
        break;
    }
    return true;
  }

  /** A request that has finished, or null. The caller owns it again. */
  pollCompletion(): SessionRequest | null {
    return this.#core.finished.shift();
  }

  #discard(posted: number, now: Nanos): void {
    this.#core.enter(now);
    if (!this.#core.over && !this.#inbound.isDiscarding)
      this.#inbound.discard(posted, WSAESHUTDOWN);
    this.#exchange.pump();
  }

  #fail(error: number): void {
    const core = this.#core;
    if (core.over) return;
    core.over = true;
    core.error = error;
    this.#exchange.deadline = Infinity;
    core.actions.clear();
    core.actions.push(ActionKind.abort, 0, error);
    this.#outbound.failAll(error);
    this.#sources.failAll(error);
    this.#pulls.failAll();
    this.#inbound.failAll(error);
  }
}
