// The short ways of a session at ease: a small send that is one message, and a message of plain data that
// the oldest receive takes as a whole. Each does all of it in its call, past queues and actions, or nothing:
// then the long way does it. What stands in the way for longer than one message is in two flags of the core,
// which every long way withdraws (SessionCore.enter) and settle() decides anew; credits, window, buffers and
// the oldest receive are looked at each time. Source: docs/session-protocol.md "The short ways"; XFER-05.

import { packBytes, unpackBytes } from './copy.js';
import { adopt, type SessionCore } from './core.js';
import type { Exchange } from './exchange.js';
import type { Inbound } from './inbound.js';
import { HEADER_BYTES } from './limits.js';
import { Counter, kindWord, MessageType, plainPayload } from './messages.js';
import type { Outbound } from './outbound.js';
import type { RequestBuffer, SessionRequest } from './request.js';
import { RequestFlag, RequestState } from './request.js';

/** Where the payload of plain data begins. */
const PAYLOAD_WORD = HEADER_BYTES / 4;
const DATA_KIND = kindWord(MessageType.data, 0, 0, 0);

export class ShortWay {
  readonly #core: SessionCore;
  readonly #outbound: Outbound;
  readonly #inbound: Inbound;
  readonly #exchange: Exchange;
  readonly #receiveBuffers: readonly Uint8Array[];
  readonly #receiveWords: readonly Int32Array[];

  constructor(
    core: SessionCore,
    parts: { readonly outbound: Outbound; readonly inbound: Inbound; readonly exchange: Exchange },
    memory: {
      readonly receiveBuffers: readonly Uint8Array[];
      readonly receiveWords: readonly Int32Array[];
    },
  ) {
    this.#core = core;
    this.#outbound = parts.outbound;
    this.#inbound = parts.inbound;
    this.#exchange = parts.exchange;
    this.#receiveBuffers = memory.receiveBuffers;
    this.#receiveWords = memory.receiveWords;
  }

  /**
   * The shell has carried out all that was asked for: short ways are open again where the session is at
   * ease, unless the shell has reasons against it.
   */
  settle(isOpen: boolean): void {
    const core = this.#core;
    core.sendIsClear =
      isOpen && core.isIdle && core.finished.head === null && this.#outbound.isClear;
    core.receiveIsClear = core.sendIsClear && this.#inbound.isClear;
  }

  /**
   * Puts the first `length` bytes of `buffer` into a send buffer, which the shell sends next
   * (`HEADER_BYTES + length` bytes of it), as if for an action; returns its index. -1: Session.send then.
   */
  send(buffer: Uint8Array, length: number): number {
    const core = this.#core;
    if (
      !core.sendIsClear ||
      length > core.agreed.smallBytes ||
      !core.hasFreeBuffer() ||
      !core.credits.maySend(length)
    ) {
      return -1;
    }
    const index = core.take();
    const words = core.sendWords[index] as Int32Array;
    packBytes(buffer, length, core.sendBuffers[index] as Uint8Array, words, PAYLOAD_WORD);
    core.sendProgress++;
    core.stamp(index, DATA_KIND, length);
    return index;
  }

  /** Its WSPSend has ended well and nobody waits for the buffer. False: Session.handleSendComplete then. */
  sent(index: number): boolean {
    if (!this.#core.sendIsClear) return false;
    this.#core.giveBack(index);
    return true;
  }

  /** Posts a receive that finds nothing to take yet. False: Session.receive then. */
  post(request: SessionRequest): boolean {
    if (!this.#core.receiveIsClear || !request.hasRoom) return false;
    adopt(request, false);
    this.#inbound.posted.push(request);
    return true;
  }

  /**
   * Receive buffer `index` holds a message of `length` bytes: returns the receive that has finished with
   * it, and is the caller's again. The buffer is the shell's until it has posted it again, in the order of
   * these calls and before any handleReceive, and says so with reposted(). null: handleReceive then.
   */
  receive(index: number, length: number): SessionRequest | null {
    const core = this.#core;
    const request = this.#inbound.posted.head;
    if (!core.receiveIsClear || request === null) return null;
    const words = this.#receiveWords[index] as Int32Array;
    const payload = plainPayload(words, length);
    if (payload === 0 || !takesWhole(request, payload)) return null;
    const { sequence, granted, window } = Counter;
    const wrong = core.credits.accept(
      words[sequence] as number,
      words[granted] as number,
      words[window] as number,
      payload,
    );
    if (wrong !== '') return null;
    const { buf } = request.buffers[0] as RequestBuffer;
    unpackBytes(this.#receiveBuffers[index] as Uint8Array, words, PAYLOAD_WORD, buf, payload);
    core.credits.freed(payload);
    core.statistics.messagesIn++;
    core.statistics.bytesInByMessage += payload;
    this.#inbound.posted.shift();
    request.bytes = payload;
    request.state = RequestState.finished;
    return request;
  }

  /** The shell has posted a buffer again that receive() left to it. */
  reposted(): void {
    const { credits } = this.#core;
    credits.posted();
    if (!credits.updateDue) return;
    this.#core.withdraw();
    this.#exchange.pump();
  }
}

/** Whether a receive that has nothing yet takes so much payload as a whole, and then ends. */
function takesWhole(request: SessionRequest, payload: number): boolean {
  if (request.bufferCount === 0 || request.assigned > 0) return false;
  if (payload > (request.buffers[0] as RequestBuffer).len) return false;
  return payload === request.total || (request.flags & RequestFlag.waitAll) === 0;
}
