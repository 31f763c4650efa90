// What the parts of one session share: message buffers, credits, the action queue, finished
// requests, what was negotiated, and the control messages that wait for a credit. Decides nothing
// about data. Source: docs/session-protocol.md "Message layout", "Credits"; XFER-02, XFER-04,
// XFER-06, BLK-05.

import { WSA_OPERATION_ABORTED, WSAENOBUFS } from '../../provider/spi/error-codes.js';
import { assert } from '../../runtime/assert.js';
import type { Nanos } from '../../runtime/clock.js';
import { ActionKind, ActionQueue } from './actions.js';
import { Credits } from './credits.js';
import type { SessionLimits } from './limits.js';
import { HEADER_BYTES } from './limits.js';
import type { MessageType, Negotiation } from './messages.js';
import { emitCounters, emitHeader, kindWord } from './messages.js';
import { RequestQueue, RequestState, type SessionRequest } from './request.js';

const NO_BYTES = new Uint8Array(0);

export interface SessionStatistics {
  messagesOut: number;
  messagesIn: number;
  bytesOutByMessage: number;
  bytesInByMessage: number;
  bytesOutByRdma: number;
  bytesInByRdma: number;
}

/** What both halves of the negotiation come to. */
export interface Agreement {
  /** The most bytes of a message that we may send. */
  messageBytes: number;
  thresholdBytes: number;
  rdmaBytesMax: number;
  transferSlots: number;
  /** The most payload of one message that is not announced. */
  smallBytes: number;
  /** The peer pulls what we announce (variant A). */
  peerPulls: boolean;
  /** Both sides can be suspended. */
  suspends: boolean;
}

export class SessionCore {
  readonly limits: SessionLimits;
  readonly rdmaRead: boolean;
  readonly suspends: boolean;
  readonly credits: Credits;
  readonly actions: ActionQueue;
  readonly finished = new RequestQueue();
  readonly statistics: SessionStatistics = {
    messagesOut: 0,
    messagesIn: 0,
    bytesOutByMessage: 0,
    bytesInByMessage: 0,
    bytesOutByRdma: 0,
    bytesInByRdma: 0,
  };
  readonly agreed: Agreement;
  readonly sendBuffers: readonly Uint8Array[];
  readonly sendWords: readonly Int32Array[];
  /** Empty until needStaging() has had it lent. */
  stagingBuffer: Uint8Array = NO_BYTES;
  private readonly lendStaging: () => Uint8Array;
  private readonly lendSends: () => boolean;
  private readonly lendReceives: () => boolean;
  /** Receives that are kept posted. */
  receiveCount: number;
  /** There are more, which nobody has asked for. */
  mayWantReceives: boolean;
  /** They are asked for: posted when the first one's turn comes, since all are posted in turn. */
  wantsReceives = false;
  private readonly free: Int32Array;
  private freeCount = 0;
  /** Send buffers that there will be, once those that can be lent are asked for. */
  private sendCountMax: number;
  private sendCount = 0;
  now: Nanos = 0;
  established = false;
  /** No more messages: finished, failed or not yet connected. */
  over = false;
  error = 0;
  /** The short ways are open, each until any long way is taken: ShortWay.settle. */
  sendIsClear = false;
  receiveIsClear = false;
  /** Called by a part that cannot go on. */
  fail: (error: number) => void = () => undefined;

  // Control messages that wait for a credit or a buffer; one bit per slot.
  doneMask = 0;
  targetMask = 0;
  writtenMask = 0;
  renewMask = 0;
  finAckWanted = false;
  byeWanted = false;
  /** Not 0 while a suspension is under way; what it means is suspension.ts's affair. */
  suspension = 0;

  /** Steps that our stream has made: a close that drains it is bounded by standing still. */
  sendProgress = 0;
  /** Requests given up that have not ended, and when the newest was. */
  private cancelledCount = 0;
  private cancelledAt: Nanos = 0;

  constructor(
    limits: SessionLimits,
    rdmaRead: boolean,
    suspends: boolean,
    memory: {
      sendBuffers: readonly Uint8Array[];
      sendWords: readonly Int32Array[];
      lendStaging: () => Uint8Array;
      lendSends: () => boolean;
      lendReceives: () => boolean;
    },
  ) {
    this.limits = limits;
    this.sendCountMax = limits.sendCount;
    this.rdmaRead = rdmaRead;
    this.suspends = suspends;
    this.receiveCount = limits.firstReceiveCount;
    this.mayWantReceives = limits.firstReceiveCount < limits.receiveCount;
    this.credits = new Credits(limits.firstReceiveCount, limits.windowBytes);
    this.sendBuffers = memory.sendBuffers;
    this.sendWords = memory.sendWords;
    this.lendStaging = memory.lendStaging;
    this.lendSends = memory.lendSends;
    this.lendReceives = memory.lendReceives;
    this.free = new Int32Array(limits.sendCount);
    this.addSends(0, limits.firstSendCount);
    // Per receive one posting, and one urgent mark for what was in it; per send buffer one message;
    // per slot of the three kinds an end, a registration and a call; what happens once.
    const perReceive = 2 * limits.receiveCount;
    const perSlot = 3 * 3 * limits.transferSlots;
    this.actions = new ActionQueue(perReceive + limits.sendCount + perSlot + 11);
    this.agreed = {
      messageBytes: limits.messageBytes,
      thresholdBytes: limits.thresholdBytes,
      rdmaBytesMax: limits.rdmaBytesMax,
      transferSlots: limits.transferSlots,
      smallBytes: 0,
      peerPulls: false,
      suspends: false,
    };
  }

  /** A long way begins, at `now`: whatever the short ways rely on may change. */
  enter(now: Nanos): void {
    this.now = now;
    this.withdraw();
  }

  /** Closes the short ways until the shell has carried out what comes now. */
  withdraw(): void {
    this.sendIsClear = false;
    this.receiveIsClear = false;
  }

  agree(peer: Negotiation): void {
    const { limits, agreed } = this;
    agreed.messageBytes = Math.min(limits.messageBytes, peer.messageBytes & ~3);
    agreed.thresholdBytes = Math.max(limits.thresholdBytes, peer.thresholdBytes);
    agreed.rdmaBytesMax = Math.min(limits.rdmaBytesMax, peer.rdmaBytesMax);
    agreed.transferSlots = Math.min(limits.transferSlots, peer.transferSlots);
    agreed.smallBytes = Math.min(agreed.thresholdBytes, agreed.messageBytes - HEADER_BYTES);
    agreed.peerPulls = peer.rdmaRead;
    agreed.suspends = this.suspends && peer.suspends;
  }

  /** Send buffers that may be taken, those included that will be lent. */
  get freeBuffers(): number {
    return this.freeCount + this.sendCountMax - this.sendCount;
  }

  /** No message is on its way. */
  get hasAllSends(): boolean {
    return this.freeCount === this.sendCount;
  }

  /** Whether a send buffer may be taken. Has the rest of them lent when they are first needed. */
  hasFreeBuffer(): boolean {
    this.haveLent(1);
    return this.freeCount > 0;
  }

  /** Has the rest of the send buffers lent, if so many cannot be taken without: freeBuffers is exact then. */
  haveLent(count: number): void {
    if (this.freeCount >= count || this.sendCount === this.sendCountMax) return;
    if (this.lendSends()) this.addSends(this.sendCount, this.sendCountMax);
    this.sendCountMax = this.sendCount;
  }

  /** The peer has more to say than a few messages. */
  wantReceives(): void {
    this.wantsReceives = this.mayWantReceives;
  }

  /** Has the rest of the receives lent; once. False: there is no memory for them. */
  haveReceivesLent(): boolean {
    this.wantsReceives = false;
    this.mayWantReceives = false;
    if (!this.lendReceives()) return false;
    this.receiveCount = this.limits.receiveCount;
    this.credits.keep(this.receiveCount);
    return true;
  }

  private addSends(first: number, end: number): void {
    this.sendCount = end;
    for (let index = first; index < end; index++) this.free[this.freeCount++] = index;
    assert(
      this.sendBuffers.length >= end && this.sendWords.length >= end,
      'as many send buffers as the limits say',
    );
  }

  /** Something is to be said that is no data, or nothing may be said. */
  get controlWanted(): boolean {
    return (
      (this.doneMask | this.targetMask | this.writtenMask | this.renewMask | this.suspension) !==
        0 ||
      this.finAckWanted ||
      this.byeWanted
    );
  }

  /** A control message waits for a credit or a buffer. */
  get controlWaits(): boolean {
    const masks = this.doneMask | this.targetMask | this.writtenMask | this.renewMask;
    return masks !== 0 || this.finAckWanted || this.byeWanted;
  }

  /** Messages may be sent, and nothing waits to go first. */
  get isIdle(): boolean {
    return this.established && !this.over && this.actions.isEmpty && !this.controlWanted;
  }

  /** Has the staging buffer lent when it is first needed. */
  needStaging(): void {
    if (this.stagingBuffer.length === 0) this.stagingBuffer = this.lendStaging();
    assert(this.stagingBuffer.length > 0, 'a staging buffer has room');
  }

  /** Takes a send buffer; the caller has checked hasFreeBuffer(). */
  take(): number {
    assert(this.freeCount > 0, 'a send buffer is free');
    this.freeCount--;
    return this.free[this.freeCount] as number;
  }

  giveBack(index: number): void {
    assert(this.freeCount < this.sendCount, 'no more send buffers come back than there are');
    this.free[this.freeCount] = index;
    this.freeCount++;
  }

  /** Completes the header of send buffer `index` and asks for it to be sent. */
  post(index: number, length: number, kind: number, payload: number): void {
    this.stamp(index, kind, payload);
    this.actions.push(ActionKind.sendMessage, index, length);
  }

  /** Completes the header of send buffer `index`, which is sent next. */
  stamp(index: number, kind: number, payload: number): void {
    const words = this.sendWords[index] as Int32Array;
    const sequence = this.credits.sent(payload);
    emitHeader(words, kind, payload);
    emitCounters(words, sequence, this.credits.grantedTotal, this.credits.windowTotal);
    this.statistics.messagesOut++;
    this.statistics.bytesOutByMessage += payload;
  }

  /** Sends a message that is only a header. */
  postBare(type: MessageType, transfer = 0, pull = 0): void {
    this.post(this.take(), HEADER_BYTES, kindWord(type, 0, transfer, pull), 0);
  }

  /** `request` is given up: it ends with WSA_OPERATION_ABORTED, RDMA or not, before a deadline. */
  cancel(request: SessionRequest): void {
    request.error = WSA_OPERATION_ABORTED;
    if (request.cancelled) return;
    request.cancelled = true;
    this.cancelledCount++;
    this.cancelledAt = this.now;
  }

  /** When RDMA on a request that was given up has taken too long. [BLK-05] */
  get cancelDeadline(): Nanos {
    if (this.cancelledCount === 0 || this.over) return Infinity;
    return this.cancelledAt + this.limits.cancelNanosMax;
  }

  /** Hands a request back; exactly once for each. */
  finish(request: SessionRequest, error: number): void {
    assert(request.state === RequestState.queued, 'a request finishes once');
    assert(request.calls === 0, 'no RDMA call is at work on a finished request');
    request.state = RequestState.finished;
    request.error = error;
    if (request.isRefused) {
      request.error = WSAENOBUFS;
      request.bytes = request.assigned;
    }
    if (request.cancelled) {
      request.cancelled = false;
      this.cancelledCount--;
    }
    this.finished.push(request);
  }

  /**
   * Finishes a request of a failed session; one that an RDMA call of ours still works on waits for
   * the end of that call (callEnded). Harmless for a request that has finished.
   */
  finishFailed(request: SessionRequest, error: number): void {
    if (request.state !== RequestState.queued) return;
    if (request.error === 0) request.error = error;
    request.bytes = 0;
    if (request.calls === 0) this.finish(request, request.error);
  }

  /** An RDMA call on `request` has ended after the session failed. */
  callEnded(request: SessionRequest): void {
    if (request.calls === 0) this.finishFailed(request, this.error);
  }
}

/** The words of one message buffer of at least `messageBytes`; made once for each buffer. */
export function wordsOf(buffer: Uint8Array, messageBytes: number): Int32Array {
  assert(buffer.length >= messageBytes, 'a message buffer is as long as the limits say');
  assert(buffer.byteOffset % 4 === 0, 'a message buffer starts at a word');
  return new Int32Array(buffer.buffer, buffer.byteOffset, messageBytes / 4);
}

/** Starts the session's ownership of a request. */
export function adopt(request: SessionRequest, isSend: boolean): void {
  assert(request.state !== RequestState.queued, 'a request is handed over once');
  request.state = RequestState.queued;
  request.isSend = isSend;
  request.error = 0;
  request.bytes = 0;
  request.resultFlags = 0;
  request.assigned = 0;
  request.cursorBuffer = 0;
  request.cursorOffset = 0;
  request.transfers = 0;
  request.calls = 0;
  request.sealed = false;
  request.isRefused = false;
  request.cancelled = false;
  let total = 0;
  for (let index = 0; index < request.bufferCount; index++) {
    total += (request.buffers[index] as { len: number }).len;
  }
  request.total = total;
}

/**
 * Bytes from the cursor to the end of its buffer, past empty buffers; 0 only when none are left.
 */
export function contiguous(request: SessionRequest): number {
  while (request.cursorBuffer < request.bufferCount) {
    const left =
      (request.buffers[request.cursorBuffer] as { len: number }).len - request.cursorOffset;
    if (left > 0) return left;
    request.cursorBuffer++;
    request.cursorOffset = 0;
  }
  return 0;
}

/** Moves the cursor over bytes of its current buffer. */
export function advance(request: SessionRequest, bytes: number): void {
  request.cursorOffset += bytes;
  request.assigned += bytes;
}
