// The progress loop as the providers of one host see it: what they add ends with the host at the latest.
// A provider whose WSPCleanup never came would otherwise go on turning a NIC that is closed, and its
// memory may be the next host's by then. It knows no provider. Source: CLEANUP-02, CLEANUP-04.

import type { ProgressRegistry } from './provider/spi/index.js';
import type { Nanos } from './runtime/clock.js';
import type { Agent, ProgressLoop } from './runtime/progress.js';

/** Belongs to the thread of `loop`. */
export class HostAgents implements ProgressRegistry {
  readonly #loop: ProgressLoop;
  readonly #agents = new Set<Agent>();

  constructor(loop: ProgressLoop) {
    this.#loop = loop;
  }

  add(agent: Agent): void {
    this.#agents.add(agent);
    this.#loop.add(agent);
  }

  remove(agent: Agent): void {
    this.#agents.delete(agent);
    this.#loop.remove(agent);
  }

  /** For a provider that waits inside a call; see ProgressLoop.waitUntil. */
  waitUntil(done: () => boolean, deadline?: Nanos): boolean {
    return this.#loop.waitUntil(done, deadline);
  }

  /** Removes whatever is left; how many that were. */
  end(): number {
    const count = this.#agents.size;
    for (const agent of this.#agents) this.remove(agent);
    return count;
  }
}
