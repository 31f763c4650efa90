// The progress loop of a simulated world: which agent of which host has the next turn follows from a
// seed, time passes only when nothing else can happen, and a host can be held still like a process that
// the system does not run. It must not know what the agents are. Source: docs/simulation.md.

import { seconds, VirtualClock } from '../../runtime/clock.js';
import type { Nanos } from '../../runtime/clock.js';
import type { Prng } from '../../runtime/prng.js';
import type { Agent } from '../../runtime/progress.js';
import { ProgressLoop } from '../../runtime/progress.js';

/** Turns without work after which nothing comes without a deadline. */
const QUIET_TURNS = 300;
/** Work in one instant after which somebody must be working for nothing. */
const BUSY_TURNS_MAX = 200_000;
/** Bits of a choice, of which one in eight has none: the agents' are below and above. */
const SYSTEM_TURN = 0x700000;
const START: Nanos = seconds(1);

/** Nothing in the world can ever move again, or something moves for ever without effect. */
export class StuckError extends Error {
  override readonly name = 'StuckError';
}

/** What lives and is held still together: a host. */
export class Group {
  readonly name: string;
  /** Its agents have no turns before this time. */
  stillUntil: Nanos = 0;

  constructor(name: string) {
    this.name = name;
  }
}

interface Member {
  readonly agent: Agent;
  readonly group: Group | null;
}

export class SimLoop extends ProgressLoop {
  override readonly clock: VirtualClock;
  #members: readonly Member[] = [];
  /** Whose code runs: agents that are added belong to it. */
  #group: Group | null = null;
  readonly #random: Prng;
  #busyTurns = 0;
  #system: Agent | null = null;

  constructor(random: Prng) {
    const clock = new VirtualClock(START);
    const parker = {
      fence: () => undefined,
      park: (deadline: Nanos): void => {
        // What the seed has left out may be what a wait is for.
        if (this.pollAll() > 0) return;
        if (!this.advance(deadline, deadline !== Infinity))
          throw new StuckError('a wait for what can never come');
      },
    };
    super(clock, parker, { spinNanos: 0 });
    this.clock = clock;
    this.#random = random;
  }

  /** Runs something of one host. */
  as<T>(group: Group, run: () => T): T {
    const before = this.#group;
    this.#group = group;
    try {
      return run();
    } finally {
      this.#group = before;
    }
  }

  override add(agent: Agent): void {
    super.add(agent);
    this.#members = [...this.#members, { agent, group: this.#group }];
  }

  override remove(agent: Agent): void {
    super.remove(agent);
    this.#members = this.#members.filter((member) => member.agent !== agent);
  }

  /** An agent of nobody's that costs a system call: it has a turn now and then, and whenever all have. */
  addSystem(agent: Agent): void {
    this.#system = agent;
  }

  /** Ends everything of a group at once. */
  drop(group: Group): void {
    for (const { agent, group: owner } of this.#members) if (owner === group) this.remove(agent);
  }

  /** Gives some agents a turn, in an order and with gaps that the seed chooses. */
  override poll(): number {
    const members = this.#members;
    const choice = this.#random.uint32();
    const count = members.length;
    let work = (choice & SYSTEM_TURN) === 0 ? (this.#system?.doWork() ?? 0) : 0;
    for (let turn = 0, at = (choice >>> 24) % Math.max(1, count); turn < count; turn++) {
      if (((choice >>> turn) & 1) === 0) work += this.#turn(members[at] as Member);
      at = at + 1 === count ? 0 : at + 1;
    }
    return work;
  }

  /** Gives every agent a turn. 0: nothing moves in this instant unless a deadline has come. */
  pollAll(): number {
    const work = (this.#system?.doWork() ?? 0) + this.#turnAll();
    if (work === 0) this.#busyTurns = 0;
    else if (++this.#busyTurns > BUSY_TURNS_MAX) throw new StuckError('endless work for nothing');
    return work;
  }

  /**
   * Lets time pass to the next deadline, or to `limit` when that comes first and `reaches` says so. Call
   * it when nothing moves. False: there is no such time, and nothing will ever move by itself.
   */
  advance(limit: Nanos, reaches = false): boolean {
    const now = this.clock.now();
    // Some look at their timers only every so many turns.
    for (let turns = 0; turns < QUIET_TURNS && this.nextDeadline() <= now; turns++) {
      if (this.#turnAll() > 0) return true;
    }
    // A deadline that is over and changes nothing waits for somebody else's.
    const next = this.#earliest(now);
    if (next === Infinity && !reaches) return this.#isAnythingLeft();
    this.clock.advanceTo(Math.min(limit, next));
    this.#busyTurns = 0;
    return true;
  }

  override nextDeadline(): Nanos {
    return this.#earliest(-1);
  }

  #isAnythingLeft(): boolean {
    for (let turns = 0; turns < QUIET_TURNS; turns++) if (this.#turnAll() > 0) return true;
    return false;
  }

  /** The earliest deadline after a time. */
  #earliest(after: Nanos): Nanos {
    const now = this.clock.now();
    let earliest = Infinity;
    for (const { agent, group } of this.#members) {
      const still = group?.stillUntil ?? 0;
      // Who is held still may have work of which nobody knows.
      const deadline = still > now ? still : (agent.deadline?.() ?? Infinity);
      if (deadline > after && deadline < earliest) earliest = deadline;
    }
    return earliest;
  }

  #turnAll(): number {
    let work = 0;
    for (const member of this.#members) work += this.#turn(member);
    return work;
  }

  #turn({ agent, group }: Member): number {
    if (group !== null && group.stillUntil > this.clock.now()) return 0;
    const before = this.#group;
    this.#group = group;
    try {
      return agent.doWork();
    } finally {
      this.#group = before;
    }
  }
}
