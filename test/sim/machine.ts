// The machine that simulated hosts run on: shared memory in a scratch directory, a loop of its own per
// run. One per process, for many runs after each other.

import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { Arena } from '../../native/arena.js';
import { Reactor } from '../../native/reactor.js';

const ARENA_BYTES = 2 ** 31;

/** An arena goes only when the collector finds it: one serves all machines of a thread, as many as there are. */
let arenaOfThread: Arena | null = null;

/** Scratch for runs. Closed by whoever made it. */
export class SimMachine {
  readonly arena = (arenaOfThread ??= new Arena(ARENA_BYTES));
  readonly base = mkdtempSync('/dev/shm/wsd-sim-');

  /** A reactor for one run, which closes it. */
  reactor(): Reactor {
    return new Reactor();
  }

  /** What hosts have left behind; removed. */
  sweep(): string[] {
    // The usual case, after every run.
    if (readdirSync(this.base).length === 0) return [];
    const left = readdirSync(this.base, { recursive: true }).map(String).sort();
    for (const name of readdirSync(this.base)) {
      rmSync(`${this.base}/${name}`, { recursive: true, force: true });
    }
    return left;
  }

  close(): void {
    rmSync(this.base, { recursive: true, force: true });
  }
}
