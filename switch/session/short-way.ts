// The short ways of a session at ease: a small send that is one message, and a message of plain data that
// the oldest receive takes as a whole. Each does all of it in its call, past queues and actions, or nothing:
// then the long way does it. What stands in the way for longer than one message is in two flags of the core,
// which every long way withdraws (SessionCore.enter) and settle() decides anew; credits, window, buffers and
// the oldest receive are looked at each time. Source: docs/session-protocol.md "The short ways"; XFER-05.

import { packBytes, unpackBytes } from './copy.js';
import { adopt, type Agreement, type SessionCore, type SessionStatistics } from './core.js';
import type { Credits } from './credits.js';
import type { Exchange } from './exchange.js';
import type { Inbound } from './inbound.js';
import { HEADER_BYTES as HEADER } from './limits.js';
import { HeaderWord, kindWord, MessageType } from './messages.js';
import type { Outbound } from './outbound.js';
import type { RequestBuffer, RequestQueue, SessionRequest } from './request.js';
import { RequestFlag, RequestState } from './request.js';

// V8 checks an import, and loads a field of it, at every use; a constant of the module costs nothing.
const HEADER_BYTES = HEADER;
const WORD_KIND = HeaderWord.KIND;
const WORD_SEQUENCE = HeaderWord.SEQUENCE;
const WORD_GRANTED = HeaderWord.GRANTED;
const WORD_WINDOW = HeaderWord.WINDOW;
const WORD_PAYLOAD = HeaderWord.PAYLOAD;
/** Where the payload of plain data begins. */
const PAYLOAD_WORD = HEADER_BYTES / 4;
/** A peer that has said so much goes on, most likely. */
const FEW_MESSAGES = 8;
const DATA_KIND = kindWord(MessageType.data, 0, 0, 0);

export class ShortWay {
  private readonly core: SessionCore;
  private readonly credits: Credits;
  private readonly agreed: Agreement;
  private readonly statistics: SessionStatistics;
  private readonly posted: RequestQueue;
  private readonly outbound: Outbound;
  private readonly inbound: Inbound;
  private readonly exchange: Exchange;
  private readonly sendBuffers: readonly Uint8Array[];
  private readonly sendWords: readonly Int32Array[];
  private readonly receiveBuffers: readonly Uint8Array[];
  private readonly receiveWords: readonly Int32Array[];

  constructor(
    core: SessionCore,
    parts: { readonly outbound: Outbound; readonly inbound: Inbound; readonly exchange: Exchange },
    memory: {
      readonly receiveBuffers: readonly Uint8Array[];
      readonly receiveWords: readonly Int32Array[];
    },
  ) {
    this.core = core;
    this.credits = core.credits;
    this.agreed = core.agreed;
    this.statistics = core.statistics;
    this.posted = parts.inbound.posted;
    this.outbound = parts.outbound;
    this.inbound = parts.inbound;
    this.exchange = parts.exchange;
    this.sendBuffers = core.sendBuffers;
    this.sendWords = core.sendWords;
    this.receiveBuffers = memory.receiveBuffers;
    this.receiveWords = memory.receiveWords;
  }

  /**
   * The shell has carried out all that was asked for: short ways are open again where the session is at
   * ease, unless the shell has reasons against it.
   */
  settle(isOpen: boolean): void {
    const core = this.core;
    core.sendIsClear =
      isOpen && core.isIdle && core.finished.head === null && this.outbound.isClear;
    core.receiveIsClear = core.sendIsClear && this.inbound.isClear && !core.wantsReceives;
  }

  /**
   * Puts the first `length` bytes of `buffer` into a send buffer, which the shell sends next
   * (`HEADER_BYTES + length` bytes of it), as if for an action; returns its index. -1: Session.send then.
   */
  send(buffer: Uint8Array, length: number): number {
    const core = this.core;
    const credits = this.credits;
    if (
      !core.sendIsClear ||
      length > this.agreed.smallBytes ||
      !core.hasFreeBuffer() ||
      !credits.maySend(length)
    ) {
      return -1;
    }
    const index = core.take();
    const words = this.sendWords[index] as Int32Array;
    packBytes(buffer, length, this.sendBuffers[index] as Uint8Array, words, PAYLOAD_WORD);
    words[WORD_KIND] = DATA_KIND;
    words[WORD_PAYLOAD] = length;
    words[WORD_SEQUENCE] = credits.sent(length);
    words[WORD_GRANTED] = credits.grantedTotal;
    words[WORD_WINDOW] = credits.windowTotal;
    core.sendProgress++;
    this.statistics.messagesOut++;
    this.statistics.bytesOutByMessage += length;
    return index;
  }

  /** Its WSPSend has ended well and nobody waits for the buffer. False: Session.handleSendComplete then. */
  sent(index: number): boolean {
    if (!this.core.sendIsClear) return false;
    this.core.giveBack(index);
    return true;
  }

  /** Posts a receive that finds nothing to take yet. False: Session.receive then. */
  post(request: SessionRequest): boolean {
    if (!this.core.receiveIsClear || !request.hasRoom) return false;
    adopt(request, false);
    this.posted.push(request);
    return true;
  }

  /**
   * Receive buffer `index` holds a message of `length` bytes: returns the receive that has finished with
   * it, and is the caller's again. The buffer is the shell's until it has posted it again, in the order of
   * these calls and before any handleReceive, and says so with reposted(). null: handleReceive then.
   */
  receive(index: number, length: number): SessionRequest | null {
    const request = this.posted.head;
    if (!this.core.receiveIsClear || request === null) return null;
    const words = this.receiveWords[index] as Int32Array;
    const payload = words[WORD_PAYLOAD] as number;
    if (
      words[WORD_KIND] !== DATA_KIND ||
      payload <= 0 ||
      payload !== length - HEADER_BYTES ||
      length > 4 * words.length ||
      request.bufferCount === 0 ||
      request.assigned > 0 ||
      (payload !== request.total && (request.flags & RequestFlag.waitAll) !== 0)
    ) {
      return null;
    }
    const { buf, len } = request.buffers[0] as RequestBuffer;
    if (payload > len) return null;
    const credits = this.credits;
    const sequence = words[WORD_SEQUENCE] as number;
    const granted = words[WORD_GRANTED] as number;
    const window = words[WORD_WINDOW] as number;
    if (credits.accept(sequence, granted, window, payload) !== '') return null;
    unpackBytes(this.receiveBuffers[index] as Uint8Array, words, PAYLOAD_WORD, buf, payload);
    credits.freed(payload);
    this.statistics.messagesIn++;
    this.statistics.bytesInByMessage += payload;
    this.posted.shift();
    request.bytes = payload;
    request.state = RequestState.finished;
    return request;
  }

  /** The shell has posted a buffer again that receive() left to it. */
  reposted(): void {
    const { core, credits } = this;
    credits.posted();
    if (core.mayWantReceives && this.statistics.messagesIn >= FEW_MESSAGES) {
      core.wantReceives();
      // The long way is the one that posts them.
      core.receiveIsClear = false;
    }
    if (!credits.updateDue) return;
    core.withdraw();
    this.exchange.pump();
  }
}
