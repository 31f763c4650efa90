// One progress loop per thread. Whatever waits on this thread drives everything that lives on it, so
// a program that holds both ends of a connection never waits for itself; a wait gives the core back
// to the operating system when nothing can move.

import { AdaptiveSpin } from './adaptive-spin.js';
import type { Clock, Nanos } from './clock.js';
import { microseconds } from './clock.js';

/** Something that moves when it is given the thread: a NIC engine, a provider, the switch. */
export interface Agent {
  readonly role: string;
  /** Does what can be done without waiting. Returns how much that was; 0 means nothing to do. */
  doWork(): number;
  /**
   * The thread is about to sleep: arrange for a wake-up if anything arrives from now on. The loop
   * fences and calls doWork once more afterwards, so that what arrived in between is not missed.
   */
  arm?(): void;
  /** The thread is awake again; wake-ups are not needed for now. */
  disarm?(): void;
  /** The earliest time at which doWork must run although nothing arrives; Infinity for never. */
  deadline?(): Nanos;
  /**
   * Nothing urgent can arrive for it: what arrives although it is not armed may wait a millisecond.
   * An agent without arm() is so anyhow; one that has it is not, unless it says so.
   */
  isUnhurried?(): boolean;
}

/** How a thread sleeps. The real one waits in the kernel; a virtual one moves its clock. */
export interface Parker {
  /**
   * Makes the arming of every agent visible to every other process before anything that is read
   * afterwards (the consumer's half of the sleep protocol, docs/shared-memory.md).
   */
  fence(): void;
  /** Sleeps until woken or until `deadline`; Infinity waits for a wake-up only. */
  park(deadline: Nanos): void;
  /**
   * Sleeps likewise, but a millisecond at most and without anything armed: what a short wait for the
   * kernel needs, where all agents are unhurried. Whether it was woken. Absent: never done.
   */
  doze?(deadline: Nanos): boolean;
}

export interface IdleLimits {
  /** How long a wait spins, while it finds nothing to do, before the thread sleeps. */
  readonly spinNanos: Nanos;
}

export const defaultIdleLimits: IdleLimits = { spinNanos: microseconds(50) };

/** Spinning iterations between two looks at the clock: reading it costs more than an empty poll. */
const POLLS_PER_CLOCK_READ = 32;

export class ProgressLoop {
  readonly clock: Clock;
  #agents: readonly Agent[] = [];
  readonly #parker: Parker;
  readonly #limits: IdleLimits;
  readonly #kernelSpin = new AdaptiveSpin();
  /** Called whenever the agents are disarmed: whoever relied on their arming must arm again. */
  onAwake: (() => void) | null = null;
  /** Called when a turn has moved something: whoever sleeps in an event loop meanwhile may be done. */
  onWork: (() => void) | null = null;

  constructor(clock: Clock, parker: Parker, limits: IdleLimits = defaultIdleLimits) {
    this.clock = clock;
    this.#parker = parker;
    this.#limits = limits;
  }

  get agentCount(): number {
    return this.#agents.length;
  }

  add(agent: Agent): void {
    // A new array each time: an agent may come or go while poll() walks the old one.
    this.#agents = [...this.#agents, agent];
  }

  remove(agent: Agent): void {
    this.#agents = this.#agents.filter((other) => other !== agent);
  }

  /** Gives every agent one turn. Returns the work done; never waits. */
  poll(): number {
    const agents = this.#agents;
    let work = 0;
    for (let index = 0; index < agents.length; index++) work += (agents[index] as Agent).doWork();
    if (work !== 0 && this.onWork !== null) this.onWork();
    return work;
  }

  /**
   * Drives everything on this thread until `done()` holds or `deadline` passes: spins for the idle
   * limit, then sleeps. Returns what `done()` said last. `done` must be cheap and free of effects.
   * While all agents are unhurried only the kernel can end the wait: the spin is then what has helped
   * lately, unless it is 0.
   */
  waitUntil(
    done: () => boolean,
    deadline: Nanos = Infinity,
    spinNanos: Nanos = this.#limits.spinNanos,
  ): boolean {
    if (spinNanos === 0 || !this.mayDoze()) return this.waitSpinning(done, deadline, spinNanos);
    const spin = this.#kernelSpin.next();
    if (spin === 0) return this.waitSpinning(done, deadline, 0);
    const start = this.clock.now();
    const outcome = this.waitSpinning(done, deadline, spin);
    this.#kernelSpin.learn(spin, this.clock.now() - start);
    return outcome;
  }

  /** The earliest deadline of any agent; Infinity when none has one. */
  nextDeadline(): Nanos {
    let earliest = Infinity;
    for (const agent of this.#agents) {
      const deadline = agent.deadline?.() ?? Infinity;
      if (deadline < earliest) earliest = deadline;
    }
    return earliest;
  }

  /** Arms every agent and fences. Returns whether the thread may sleep: nothing slipped in. */
  prepareToSleep(): boolean {
    for (const agent of this.#agents) agent.arm?.();
    this.#parker.fence();
    return this.poll() === 0;
  }

  /** Ends what prepareToSleep began. */
  awake(): void {
    for (const agent of this.#agents) agent.disarm?.();
    this.onAwake?.();
  }

  private waitSpinning(done: () => boolean, deadline: Nanos, spinNanos: Nanos): boolean {
    let idleSince: Nanos = -1;
    let polls = 0;
    while (!done()) {
      if (spinNanos === 0) {
        // The look that comes before every sleep is enough.
        if (this.clock.now() < deadline) this.sleep(done, deadline);
        else {
          this.poll();
          return done();
        }
        continue;
      }
      if (this.poll() > 0) {
        idleSince = -1;
        // Work alone must not outlast the deadline of whoever waits.
        if (
          deadline !== Infinity &&
          ++polls % POLLS_PER_CLOCK_READ === 0 &&
          this.clock.now() >= deadline
        ) {
          return done();
        }
        continue;
      }
      if (++polls % POLLS_PER_CLOCK_READ !== 0 && idleSince >= 0) continue;
      const now = this.clock.now();
      if (now >= deadline) return done();
      if (idleSince < 0) idleSince = now;
      if (now - idleSince >= spinNanos) {
        this.sleep(done, deadline);
        idleSince = -1;
      }
    }
    return true;
  }

  private mayDoze(): boolean {
    if (this.#parker.doze === undefined) return false;
    const agents = this.#agents;
    for (let index = 0; index < agents.length; index++) {
      const agent = agents[index] as Agent;
      if (agent.arm !== undefined && agent.isUnhurried?.() !== true) return false;
    }
    return true;
  }

  /** A short sleep that arms nothing. Whether something happened, so that no longer one is needed. */
  private doze(done: () => boolean, deadline: Nanos): boolean {
    const parker = this.#parker;
    if (parker.doze === undefined || !this.mayDoze()) return false;
    return this.poll() > 0 || done() || parker.doze(Math.min(deadline, this.nextDeadline()));
  }

  private sleep(done: () => boolean, deadline: Nanos): void {
    if (this.doze(done, deadline)) return;
    if (this.prepareToSleep() && !done())
      this.#parker.park(Math.min(deadline, this.nextDeadline()));
    this.awake();
  }
}
