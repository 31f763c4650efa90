// The end of a session by agreement: FIN and FIN_ACK in both directions, then BYE from the
// connector, upon which the acceptor closes. The provider can only close abortively, so nobody
// closes while a message that the peer needs may be on its way. Source: docs/session-protocol.md
// "Half-close, close, abort"; SHUT-01, SHUT-02, CLOSE-01.

import type { Nanos } from '../../runtime/clock.js';
import { ActionKind } from './actions.js';
import type { SessionCore } from './core.js';
import type { Parts } from './exchange.js';
import type { ClosingState } from './state.js';

export class Closing {
  readonly #core: SessionCore;
  readonly #isConnector: boolean;
  readonly #parts: Parts;
  #finAckAsked = false;
  #finAckSent = false;
  #finAckReceived = false;
  #byeAsked = false;
  #byeReceived = false;
  #cutReceived = false;
  /** close() has been called: the peer's end is waited for only so long. */
  #bounded = false;
  #seenProgress = 0;
  #deadline: Nanos = Infinity;

  constructor(core: SessionCore, isConnector: boolean, parts: Parts) {
    this.#core = core;
    this.#isConnector = isConnector;
    this.#parts = parts;
  }

  /** The peer's stream is here to its end, RDMA included. */
  get peerHasShutdown(): boolean {
    return this.#finAckAsked;
  }

  /** The peer has all of our stream. */
  get sendFinished(): boolean {
    return this.#finAckReceived;
  }

  /** Both streams have arrived, and this side knows it: losing the connection now is no loss. */
  get isFinished(): boolean {
    return this.#finAckReceived && this.#finAckSent;
  }

  /** When the end is no longer waited for; Infinity for never. */
  get deadline(): Nanos {
    return this.#core.over ? Infinity : this.#deadline;
  }

  get isBounded(): boolean {
    return this.#bounded;
  }

  bound(): void {
    this.#bounded = true;
  }

  /** Returns '' or what is wrong with the message. */
  handleFin(cut: boolean): string {
    const { inbound } = this.#parts;
    if (inbound.finReceived && (!cut || this.#cutReceived)) return 'FIN twice';
    this.#cutReceived = cut;
    inbound.handleFin(cut);
    return '';
  }

  handleFinAck(): string {
    if (!this.#parts.outbound.finSent) return 'FIN_ACK without FIN';
    if (this.#finAckReceived) return 'FIN_ACK twice';
    if (this.#parts.sources.activeCount > 0) return 'FIN_ACK before DONE';
    this.#finAckReceived = true;
    this.#core.sendProgress++;
    return '';
  }

  handleBye(): string {
    if (this.#isConnector) return 'BYE at the connector';
    if (!this.isFinished) return 'BYE before the end';
    if (this.#byeReceived) return 'BYE twice';
    this.#byeReceived = true;
    return '';
  }

  save(): ClosingState {
    return {
      finAckAsked: this.#finAckAsked,
      finAckSent: this.#finAckSent,
      finAckReceived: this.#finAckReceived,
      byeAsked: this.#byeAsked,
      cutReceived: this.#cutReceived,
    };
  }

  load(state: ClosingState): void {
    this.#finAckAsked = state.finAckAsked;
    this.#finAckSent = state.finAckSent;
    this.#finAckReceived = state.finAckReceived;
    this.#byeAsked = state.byeAsked;
    this.#cutReceived = state.cutReceived;
  }

  /** FIN_ACK leaves. */
  finAckWasSent(): void {
    this.#finAckSent = true;
    this.evaluate();
  }

  /** Asks for what the state of both streams now calls for. */
  evaluate(): void {
    const { inbound, pulls } = this.#parts;
    const core = this.#core;
    if (inbound.finReceived && pulls.announcedCount === 0 && !this.#finAckAsked) {
      this.#finAckAsked = true;
      core.finAckWanted = true;
      core.actions.push(ActionKind.peerShutdown, 0, 0);
    }
    if (this.isFinished && this.#isConnector && !this.#byeAsked) {
      this.#byeAsked = true;
      core.byeWanted = true;
    }
    if (this.#byeReceived) this.end();
    if (this.#bounded || this.isFinished) this.#postpone();
  }

  /** Each step of our stream begins the wait anew; behind its end there is only the peer's. */
  #postpone(): void {
    const { sendProgress, now, limits } = this.#core;
    if (this.#deadline !== Infinity && sendProgress === this.#seenProgress) return;
    this.#seenProgress = sendProgress;
    const { closeNanosMax, drainNanosMax } = limits;
    this.#deadline = now + (this.#finAckReceived ? closeNanosMax : drainNanosMax);
  }

  /** The graceful end. */
  end(): void {
    if (this.#core.over) return;
    this.#core.over = true;
    this.#core.actions.push(ActionKind.disconnect, 0, 0);
  }
}
