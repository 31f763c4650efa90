// The receiving side of a connection's shell: takes the messages that have come, the short way where the
// session is at ease, and posts their buffers again when nobody waits for this side. Sources: XFER-05,
// OVL-14; docs/decisions/0085-put-off.md.

import type { AppRequest, RequestPool } from './app-request.js';
import type { ConnectionCalls } from './connection-calls.js';
import { lossError } from './connection-calls.js';
import type { Session } from './session/session.js';
import type { ShortWay } from './session/short-way.js';

/** The rest of the connection. */
export interface ReceivingShell {
  /** The SAN connection is lost, but that has not been told yet. */
  readonly isLossHeld: boolean;
  /** A receive has failed, or found a message that goes the long way. */
  receiveEnded(index: number, error: number, bytes: number): void;
  /** A receive of the application has got its data, and nothing else has happened. */
  received(): void;
  /** Something is to be done in the next turn. */
  queue(): void;
  lost(error: number): void;
  drain(): void;
}

/** Receives that may wait to be posted again: few of the peer's credits, so that it never notices. */
const SPENT_MAX = 4;

export class Receiving {
  readonly #calls: ConnectionCalls;
  readonly #session: Session;
  readonly #shortWay: ShortWay;
  readonly #requests: RequestPool;
  readonly #shell: ReceivingShell;
  readonly #spentMax: number;

  constructor(
    calls: ConnectionCalls,
    session: Session,
    requests: RequestPool,
    receiveCount: number,
    shell: ReceivingShell,
  ) {
    this.#calls = calls;
    this.#session = session;
    this.#shortWay = session.shortWay;
    this.#requests = requests;
    this.#shell = shell;
    this.#spentMax = Math.min(SPENT_MAX, receiveCount >> 2);
  }

  /** Somebody polls for the next message: takes it if it is there, and does nothing else. */
  poll(): void {
    if (this.#calls.askReceive()) this.#take();
  }

  /** Takes all receives that have ended, in order. Returns how many. */
  takeAll(): number {
    let work = 0;
    while (this.#calls.hasReceived) {
      this.#take();
      work++;
    }
    return work;
  }

  /** Posts again what was put off. Returns how many receives. */
  payDebts(): number {
    const calls = this.#calls;
    if (calls.spentCount === 0) return 0;
    let work = 0;
    while (calls.spentCount > 0 && !this.#session.isOver && !this.#shell.isLossHeld) {
      const error = calls.repost();
      if (error === 0) this.#shortWay.reposted();
      else this.#shell.lost(lossError(error));
      work++;
    }
    if (this.#session.hasWork || this.#shell.isLossHeld) this.#shell.drain();
    return work;
  }

  #take(): void {
    const calls = this.#calls;
    const index = calls.takeReceived();
    const { endedError, endedBytes } = calls;
    const received = endedError === 0 ? this.#shortWay.receive(index, endedBytes) : null;
    if (received === null) {
      // Buffers are posted in turn, and the session is about to ask for this one.
      if (endedError === 0) this.payDebts();
      this.#shell.receiveEnded(index, endedError, endedBytes);
      return;
    }
    this.#requests.complete(received.owner as AppRequest, 0, received.bytes, 0);
    calls.spentCount++;
    if (calls.spentCount >= this.#spentMax) this.payDebts();
    else this.#shell.queue();
    this.#shell.received();
  }
}
