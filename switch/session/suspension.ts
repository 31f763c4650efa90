// The handshake that makes both sides of a session quiet, so that the process at one end of it can be
// another one afterwards. The initiator ends what it has begun, asks (SUSPEND), and is quiet when the
// peer says SUSPENDED; the new controller, or the old one if nothing came of it, says RESUME. Knows no
// processes. Source: docs/session-protocol.md "Suspension"; DUP-08, DUP-09, DUP-13, ERR-02.

import type { Nanos } from '../../runtime/clock.js';
import { ActionKind } from './actions.js';
import type { SessionCore } from './core.js';
import type { Parts } from './exchange.js';
import { MessageType } from './messages.js';

/** The value of core.suspension. */
const State = {
  none: 0,
  /** Initiator: what has begun goes on to its end. */
  draining: 1,
  /** Initiator: SUSPEND is on its way. */
  asked: 2,
  /** Initiator: both sides are quiet. */
  quiet: 3,
  /** RESUME waits for a credit. */
  resuming: 4,
  /** Peer: SUSPENDED is due once its own calls have ended. */
  answering: 5,
  /** Peer: waits for RESUME. */
  suspended: 6,
} as const;

export class Suspension {
  readonly #core: SessionCore;
  readonly #isConnector: boolean;
  readonly #parts: Parts;
  /** The peer's suspension came first; ours is begun anew behind it. */
  #isWanted = false;
  #deadline: Nanos = Infinity;

  constructor(core: SessionCore, isConnector: boolean, parts: Parts) {
    this.#core = core;
    this.#isConnector = isConnector;
    this.#parts = parts;
  }

  /** Nothing leaves but what the handshake itself calls for. */
  get isSilent(): boolean {
    return this.#core.suspension > State.draining;
  }

  get isQuiet(): boolean {
    return this.#core.suspension === State.quiet;
  }

  get deadline(): Nanos {
    return this.#core.over ? Infinity : this.#deadline;
  }

  /** DUP-08: ends what has begun, then asks. Ends with a quiet action. */
  begin(): void {
    this.#isWanted = true;
    if (this.#core.suspension !== State.none) return;
    this.#core.suspension = State.draining;
    this.#core.actions.push(ActionKind.hold, 0, 0);
  }

  /** The shell knows the time, which it may not have known when the peer's request came. */
  startClock(): void {
    const { suspension, now, limits } = this.#core;
    const isPeer = suspension === State.answering || suspension === State.suspended;
    if (isPeer) this.#deadline = now + limits.resumeNanosMax;
  }

  /** The suspension is over as far as this side is concerned: RESUME, and everything goes on. */
  resume(): void {
    const core = this.#core;
    this.#isWanted = false;
    if (core.suspension === State.draining) this.#release();
    else if (core.suspension === State.quiet) core.suspension = State.resuming;
  }

  /** This session is the new controller's, and goes on where the old one was quiet. */
  load(): void {
    this.#core.suspension = State.quiet;
    this.#parts.inbound.hold();
  }

  handleSuspend(): string {
    const core = this.#core;
    if (!core.agreed.suspends) return 'SUSPEND where it was not agreed';
    const { sources, pulls } = this.#parts;
    switch (core.suspension) {
      case State.asked:
        // Both have asked: the connector's counts, and the acceptor asks again behind it.
        if (this.#isConnector) return '';
        break;
      case State.none:
        core.actions.push(ActionKind.hold, 0, 0);
        break;
      case State.draining:
        break;
      default:
        return 'SUSPEND twice';
    }
    if (pulls.activeCount > 0 || pulls.announcedCount > 0) return 'SUSPEND before the end of data';
    this.#parts.inbound.hold();
    core.suspension = State.answering;
    if (sources.activeWriteCount > 0) return 'SUSPEND with writes under way';
    return '';
  }

  handleSuspended(): string {
    const core = this.#core;
    if (core.suspension !== State.asked) return 'SUSPENDED unasked';
    core.suspension = State.quiet;
    this.#deadline = Infinity;
    this.#parts.pulls.suspend();
    core.actions.push(ActionKind.quiet, 0, 0);
    return '';
  }

  handleResume(): string {
    if (this.#core.suspension !== State.suspended) return 'RESUME without SUSPENDED';
    this.#release();
    return '';
  }

  /** Takes the next step if it can be taken. Whether nothing else may leave. */
  advance(): boolean {
    const core = this.#core;
    const { sources } = this.#parts;
    const maySpeak = core.credits.maySendControl && core.hasFreeBuffer() && !core.over;
    switch (core.suspension) {
      case State.draining:
        if (!maySpeak || !this.#isDrained) return false;
        this.#parts.inbound.hold();
        core.suspension = State.asked;
        this.#deadline = core.now + core.limits.suspendNanosMax;
        core.postBare(MessageType.suspend);
        return true;
      case State.answering:
        // DUP-09: every send of ours has ended, so that none is overtaken by the connection's move.
        if (!maySpeak || sources.isRegistering || !this.#hasSent) return true;
        sources.suspend();
        core.suspension = State.suspended;
        core.postBare(MessageType.suspended);
        return true;
      case State.resuming:
        if (!maySpeak) return true;
        core.postBare(MessageType.resume);
        this.#release();
        return this.isSilent;
      default:
        return true;
    }
  }

  #release(): void {
    const core = this.#core;
    const wasSuspended = core.suspension === State.suspended;
    core.suspension = State.none;
    this.#deadline = Infinity;
    if (wasSuspended) this.#parts.sources.renew();
    core.actions.push(ActionKind.release, 0, 0);
    this.#parts.inbound.release();
    if (this.#isWanted) this.begin();
  }

  get #hasSent(): boolean {
    return this.#core.hasAllSends;
  }

  /** DUP-08: no send, no RDMA, no receive of the application is under way, and nothing is owed. */
  get #isDrained(): boolean {
    const { inbound, outbound, pulls, sources } = this.#parts;
    return (
      this.#hasSent &&
      !this.#core.controlWaits &&
      outbound.isEmpty &&
      !inbound.hasRequests &&
      pulls.activeCount === 0 &&
      sources.activeCount === 0 &&
      sources.activeWriteCount === 0
    );
  }
}
