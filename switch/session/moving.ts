// What a session offers to those who move it from process to process: making it quiet, taking its
// state, going on with it elsewhere. The handshake is suspension.ts. Source: docs/session-protocol.md
// "Suspension"; DUP-08 … DUP-13.

import type { Nanos } from '../../runtime/clock.js';
import { ActionKind } from './actions.js';
import type { Assembly } from './assembly.js';
import { loadState, saveState, type SessionState } from './state.js';

export class Moving {
  readonly #parts: Assembly;

  constructor(parts: Assembly) {
    this.#parts = parts;
  }

  /** Both sides can be suspended. */
  get isPossible(): boolean {
    return this.#parts.core.agreed.suspends;
  }

  /** Nothing moves: new requests wait, readers find nothing. [DUP-10] */
  get isSuspended(): boolean {
    return this.#parts.suspension.isSilent;
  }

  /** Both sides are quiet, after suspend(): the state can be told. */
  get isQuiet(): boolean {
    return this.#parts.suspension.isQuiet;
  }

  /**
   * Ends what has begun, then makes both sides quiet; ends with a quiet action, or with an abort.
   * The caller hands nothing new over meanwhile. [DUP-08]
   */
  suspend(now: Nanos): void {
    const { core, suspension, exchange } = this.#parts;
    core.enter(now);
    if (core.over) return;
    suspension.begin();
    exchange.pump();
  }

  /** Answers a hold action: from now on time is exact. */
  handleHeld(now: Nanos): void {
    this.#parts.core.enter(now);
    this.#parts.suspension.startClock();
  }

  /** Ends a suspension that this side has begun, or that load() goes on with. [DUP-13] */
  resume(now: Nanos): void {
    const { core, suspension, exchange } = this.#parts;
    core.enter(now);
    if (core.over) return;
    suspension.resume();
    exchange.pump();
  }

  /** What the session is, while it is quiet. */
  save(): SessionState {
    return saveState(this.#parts);
  }

  /**
   * Another session goes on with what save() has told: this one is over, without an action. Nothing of
   * the application is under way.
   */
  leave(): void {
    const { core } = this.#parts;
    core.over = true;
    core.withdraw();
    core.actions.clear();
  }

  /**
   * In place of handleConnected(): posts all receives and goes on from `state`, quiet until resume().
   * False, and not to be used: there is no memory for it. [DUP-12]
   */
  load(state: SessionState, now: Nanos): boolean {
    const { core } = this.#parts;
    core.enter(now);
    if (!loadState(this.#parts, state)) return false;
    // As many as were posted there, all of them with the peer's credits.
    if (core.credits.postedNow > core.receiveCount && !core.haveReceivesLent()) return false;
    for (let index = 0; index < core.receiveCount; index++) {
      core.actions.push(ActionKind.postReceive, index, 0);
    }
    core.actions.push(ActionKind.hold, 0, 0);
    return true;
  }
}
