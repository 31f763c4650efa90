// The sockets of one switch that it shares with other processes, and their turns: an agent of the loop
// only while there are any. Source: DUP-03.

import type { Nanos } from '../../runtime/clock.js';
import type { Agent, ProgressLoop } from '../../runtime/progress.js';

/** One socket that other processes have too. */
export interface Shared {
  readonly deadline: Nanos;
  /** Whether there was something to do in a turn. */
  turn(): number;
  /** WSACleanup could not wait any longer. */
  abandon(): void;
}

export class Shares implements Agent {
  readonly role = 'sharing';
  readonly #progress: ProgressLoop;
  readonly #shares = new Set<Shared>();

  constructor(progress: ProgressLoop) {
    this.#progress = progress;
  }

  get count(): number {
    return this.#shares.size;
  }

  all(): Shared[] {
    return [...this.#shares];
  }

  add(share: Shared): void {
    if (this.#shares.size === 0) this.#progress.add(this);
    this.#shares.add(share);
  }

  delete(share: Shared): void {
    if (this.#shares.delete(share) && this.#shares.size === 0) this.#progress.remove(this);
  }

  doWork(): number {
    let work = 0;
    for (const share of this.#shares) work += share.turn();
    return work;
  }

  deadline(): Nanos {
    let earliest = Infinity;
    for (const { deadline } of this.#shares) if (deadline < earliest) earliest = deadline;
    return earliest;
  }
}
