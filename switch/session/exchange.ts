// The exchange of messages: the negotiation, what each received message means and to whom, and what
// is sent next, control before data before updates. Knows neither requests nor actions of the shell
// beyond the messages themselves. Source: docs/session-protocol.md "Negotiation", "Credits";
// SESS-01 … SESS-05, XFER-05, XFER-06.

import type { Nanos } from '../../runtime/clock.js';
import { ActionKind } from './actions.js';
import type { Closing } from './close.js';
import type { SessionCore } from './core.js';
import type { Inbound } from './inbound.js';
import {
  emitNegotiation,
  FLAG_CUT,
  FLAG_URGENT,
  kindWord,
  type Message,
  MessageType,
  PROTOCOL_VERSION,
} from './messages.js';
import type { Outbound } from './outbound.js';
import type { Pulls } from './pulls.js';
import type { Sources } from './sources.js';
import type { Suspension } from './suspension.js';

export interface Parts {
  readonly outbound: Outbound;
  readonly inbound: Inbound;
  readonly sources: Sources;
  readonly pulls: Pulls;
}

export class Exchange {
  readonly #core: SessionCore;
  readonly #isConnector: boolean;
  readonly #closing: Closing;
  readonly #outbound: Outbound;
  readonly #inbound: Inbound;
  readonly #sources: Sources;
  readonly #pulls: Pulls;
  readonly #suspension: Suspension;
  /** When the negotiation must be complete. */
  deadline: Nanos = Infinity;

  constructor(
    core: SessionCore,
    isConnector: boolean,
    parts: Parts,
    closing: Closing,
    suspension: Suspension,
  ) {
    this.#core = core;
    this.#isConnector = isConnector;
    this.#closing = closing;
    this.#outbound = parts.outbound;
    this.#inbound = parts.inbound;
    this.#sources = parts.sources;
    this.#pulls = parts.pulls;
    this.#suspension = suspension;
  }

  /** SESS-02, SESS-03: every receive is posted before anything is said. */
  begin(): void {
    const core = this.#core;
    this.deadline = core.now + core.limits.negotiationNanosMax;
    for (let index = 0; index < core.receiveCount; index++) this.postReceive(index);
    if (this.#isConnector) this.#sendNegotiation(MessageType.hello, PROTOCOL_VERSION);
  }

  /** Takes a parsed message. Returns '' or what is wrong with it. */
  take(message: Message, from: Uint8Array): string {
    return this.#core.established ? this.#accept(message, from) : this.#negotiate(message);
  }

  /** The message has been taken out of its buffer: XFER-05, the buffer goes back at once. */
  consumed(message: Message, index: number): void {
    this.postReceive(index);
    if (message.type === MessageType.hello) {
      this.#sendNegotiation(MessageType.welcome, message.negotiation.version);
    }
    this.pump();
  }

  postReceive(index: number): void {
    if (index === 0 && this.#core.wantsReceives) this.#postMore();
    this.#core.actions.push(ActionKind.postReceive, index, 0);
    this.#core.credits.posted();
  }

  /** The rest of the receives, in the place where they stay: before the first. */
  #postMore(): void {
    const core = this.#core;
    const before = core.receiveCount;
    if (!core.haveReceivesLent()) return;
    for (let index = before; index < core.receiveCount; index++) this.postReceive(index);
  }

  #sendNegotiation(type: MessageType, version: number): void {
    const core = this.#core;
    const index = core.take();
    const { receiveCount, messageBytes, windowBytes, thresholdBytes } = core.limits;
    const { rdmaBytesMax, transferSlots } = core.limits;
    const length = emitNegotiation(core.sendWords[index] as Int32Array, {
      version,
      receiveCount,
      messageBytes,
      windowBytes,
      thresholdBytes,
      rdmaBytesMax,
      transferSlots,
      rdmaRead: core.rdmaRead,
      suspends: core.suspends,
    });
    core.post(index, length, kindWord(type, 0, 0, 0), 0);
    if (type === MessageType.welcome) this.#establish();
  }

  #establish(): void {
    this.#core.established = true;
    this.deadline = Infinity;
    this.#core.actions.push(ActionKind.connectComplete, 0, 0);
  }

  #negotiate(message: Message): string {
    if (message.type !== (this.#isConnector ? MessageType.welcome : MessageType.hello)) {
      return 'not the negotiation';
    }
    const { credits } = this.#core;
    const peer = message.negotiation;
    credits.negotiated(peer.receiveCount, peer.windowBytes);
    const wrong = credits.accept(message.sequence, message.granted, message.window, 0);
    if (wrong !== '') return wrong;
    this.#core.agree(peer);
    if (this.#isConnector) this.#establish();
    return '';
  }

  #accept(message: Message, from: Uint8Array): string {
    const { sequence, granted, window, payloadLength } = message;
    const wrong = this.#core.credits.accept(sequence, granted, window, payloadLength);
    if (wrong !== '') return wrong;
    switch (message.type) {
      case MessageType.data:
        if (this.#inbound.finReceived) return 'data after FIN';
        this.#inbound.handleData(message, from);
        if (message.flags === FLAG_URGENT && this.#inbound.hasUrgent) {
          this.#core.actions.push(ActionKind.urgent, 0, 0);
        }
        return '';
      case MessageType.announce:
        if (this.#inbound.finReceived) return 'announcement after FIN';
        return this.#inbound.handleAnnounce(message, from);
      case MessageType.fin:
        return this.#closing.handleFin(message.flags === FLAG_CUT);
      case MessageType.target:
        return this.#sources.handleTarget(message, from);
      case MessageType.written:
        return this.#pulls.handleWritten(message.pull);
      case MessageType.done:
        return this.#sources.handleDone(message.transfer);
      case MessageType.finAck:
        return this.#closing.handleFinAck();
      case MessageType.bye:
        return this.#closing.handleBye();
      case MessageType.update:
        return '';
      case MessageType.suspend:
        return this.#suspension.handleSuspend();
      case MessageType.suspended:
        return this.#suspension.handleSuspended();
      case MessageType.resume:
        return this.#suspension.handleResume();
      case MessageType.renew:
        return this.#pulls.handleRenew(message, from) || this.#filled();
      default:
        return 'negotiation after the negotiation';
    }
  }

  /** What waited for a renewed announcement goes on. */
  #filled(): string {
    this.#inbound.fill();
    return '';
  }

  /** Sends whatever the state now calls for, as far as credits and buffers go. */
  pump(): void {
    const core = this.#core;
    if (!core.established || core.over) return;
    if (this.#inbound.finReceived || this.#outbound.finSent || this.#closing.isBounded) {
      this.#closing.evaluate();
    }
    if (core.controlWanted && this.#pumpControl()) return;
    this.#outbound.pump();
    if (core.credits.updateDue && core.hasFreeBuffer() && !core.over) {
      core.postBare(MessageType.update);
      // There was nothing else to say: the peer speaks more than it is spoken to.
      core.wantReceives();
    }
  }

  /** What goes before data. Whether nothing else may be said. */
  #pumpControl(): boolean {
    const core = this.#core;
    if (this.#suspension.isSilent) return this.#suspension.advance();
    while (!core.over && core.controlWaits && core.credits.maySendControl && core.hasFreeBuffer()) {
      if (core.doneMask !== 0) {
        const transfer = lowestBit(core.doneMask);
        core.doneMask &= ~(1 << transfer);
        core.postBare(MessageType.done, transfer);
      } else if (core.writtenMask !== 0) {
        const pull = lowestBit(core.writtenMask);
        core.writtenMask &= ~(1 << pull);
        this.#sources.writtenSent(pull);
        core.postBare(MessageType.written, 0, pull);
      } else if (core.targetMask !== 0) {
        const pull = lowestBit(core.targetMask);
        core.targetMask &= ~(1 << pull);
        this.#pulls.sendTarget(pull);
      } else if (core.renewMask !== 0) {
        const transfer = lowestBit(core.renewMask);
        core.renewMask &= ~(1 << transfer);
        this.#sources.sendRenew(transfer);
      } else if (core.finAckWanted) {
        // Behind every DONE: the acknowledgement covers them.
        core.finAckWanted = false;
        core.postBare(MessageType.finAck);
        this.#closing.finAckWasSent();
      } else {
        core.byeWanted = false;
        core.postBare(MessageType.bye);
      }
    }
    return core.suspension !== 0 && this.#suspension.advance();
  }
}

function lowestBit(mask: number): number {
  return 31 - Math.clz32(mask & -mask);
}
