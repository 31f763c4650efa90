// How a SAN connection leaves this process: its socket is closed, or handed over to another process; then
// the wait for calls that the provider has not ended, whose memory nobody may use before. Nothing here is
// in the way of data. Sources: CLOSE-01 to CLOSE-07, DUP-08, DUP-11.

import type { WSAPROTOCOL_INFO } from '../provider/spi/winsock2.js';
import type { Nanos } from '../runtime/clock.js';
import { seconds } from '../runtime/clock.js';
import type { Companion } from './companion.js';
import type { ConnectionCalls } from './connection-calls.js';
import type { ConnectionMemory } from './connection-memory.js';
import type { SwitchCore } from './core.js';
import type { Receiving } from './receiving.js';
import type { Session } from './session/session.js';

/** How long a provider may take to end its calls after WSPCloseSocket before they count as ended. */
const ABANDON_NANOS = seconds(2);

/** The rest of the connection. */
export interface DepartingShell {
  readonly companion: Companion;
  readonly session: Session;
  now(): Nanos;
  /** Deadlines may be near: turns look at the time. */
  watchTime(): void;
  drain(): void;
}

export class Departure {
  readonly #core: SwitchCore;
  readonly #calls: ConnectionCalls;
  readonly #receiving: Receiving;
  readonly #memory: ConnectionMemory;
  readonly #shell: DepartingShell;
  #abandonAt: Nanos = Infinity;

  constructor(
    core: SwitchCore,
    parts: {
      readonly calls: ConnectionCalls;
      readonly receiving: Receiving;
      readonly memory: ConnectionMemory;
    },
    shell: DepartingShell,
  ) {
    this.#core = core;
    this.#calls = parts.calls;
    this.#receiving = parts.receiving;
    this.#memory = parts.memory;
    this.#shell = shell;
  }

  /** When calls that the provider has not ended count as ended. */
  get deadline(): Nanos {
    return this.#abandonAt;
  }

  /** Ends what has begun and makes both sides quiet: onQuiet. Nothing new may be begun. [DUP-08] */
  suspend(): void {
    // What the other process goes on with counts every receive as posted.
    this.#receiving.payDebts();
    this.#shell.watchTime();
    this.#shell.session.moving.suspend(this.#shell.now());
    this.#shell.drain();
  }

  resume(): void {
    this.#shell.session.moving.resume(this.#shell.now());
    this.#shell.drain();
  }

  /** See ConnectionCalls.handOver: on success this end of the connection is no more. */
  handOver(processId: number, info: WSAPROTOCOL_INFO): number {
    const error = this.#calls.handOver(processId, info);
    if (error !== 0) return error;
    this.#shell.session.moving.leave();
    this.#shell.watchTime();
    this.#abandonAt = this.#core.environment.clock.now() + ABANDON_NANOS;
    return 0;
  }

  /** Closes the SAN socket, which is open. */
  close(): void {
    this.#shell.watchTime();
    this.#calls.close(this.#core.profile.callsAfterClose);
    this.#abandonAt = this.#core.environment.clock.now() + ABANDON_NANOS;
  }

  /** Closed: whether the provider has ended all calls, so that the memory was given back. Once. */
  end(): boolean {
    this.#receiving.dropReceived();
    const late = this.#core.environment.clock.now() >= this.#abandonAt;
    const isInUse = !this.#calls.isIdle;
    if (isInUse && !late) return false;
    if (isInUse) {
      this.#calls.abandon();
      this.#shell.drain();
    }
    const { companion, session } = this.#shell;
    this.#core.statistics.sessionEnded(session.statistics);
    companion.release();
    this.#core.memory.giveBack(this.#memory, isInUse);
    return true;
  }
}
