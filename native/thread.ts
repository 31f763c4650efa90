// What all hosts of one thread share: the arena, the reactor, and the progress loop that any wait on
// this thread drives; and how that loop sleeps, in the kernel or in the event loop.

import { callAfter, MonotonicClock } from '../runtime/clock.js';
import type { Clock, Nanos } from '../runtime/clock.js';
import type { Agent, IdleLimits, Parker } from '../runtime/progress.js';
import { defaultIdleLimits, ProgressLoop } from '../runtime/progress.js';
import { Arena } from './arena.js';
import { registerForBarriers, sleeperBarrier } from './futex.js';
import { native } from './load.js';
import type { EventLoopAttachment } from './reactor.js';
import { Reactor } from './reactor.js';

/** Turns of the loop between two looks at the kernel: an empty look costs as much as several turns. */
const TURNS_PER_POLL = 64;
/** A sleeper that made no barrier cannot trust to be woken, and looks again this often. */
const UNFENCED_SLEEP = 1_000_000;

export class HostThread {
  readonly arena = new Arena();
  readonly reactor = new Reactor();
  readonly clock: Clock = new MonotonicClock(() => native.now());
  readonly progress: ProgressLoop;
  readonly #hasBarrier = registerForBarriers();
  readonly #waiters: (() => void)[] = [];
  #attachment: EventLoopAttachment | null = null;
  #cancelTimer: (() => void) | null = null;

  constructor(limits: IdleLimits = defaultIdleLimits) {
    const parker: Parker = {
      fence: () => {
        if (this.#hasBarrier) sleeperBarrier();
      },
      park: (deadline) => {
        this.#park(deadline, this.#hasBarrier ? Infinity : UNFENCED_SLEEP);
      },
      doze: (deadline) => this.#park(deadline, UNFENCED_SLEEP) > 0,
    };
    this.progress = new ProgressLoop(this.clock, parker, limits);
    this.progress.add(new ReactorAgent(this.reactor));
    this.progress.onAwake = () => {
      this.#resolveWaiters();
    };
  }

  /**
   * Resolves when something on this thread may have moved or an agent's deadline has come. The
   * caller looks, and calls again; while it waits, the event loop serves everything else.
   */
  readonly wakeup = (): Promise<void> =>
    new Promise((resolve) => {
      this.#waiters.push(resolve);
      if (this.#waiters.length > 1) return;
      if (this.progress.prepareToSleep()) this.#waitInEventLoop();
      else this.progress.awake();
    });

  /** Lets go of the event loop, when the last host of the thread has closed. */
  release(): void {
    this.#stopWaiting();
    this.#attachment?.close();
    this.#attachment = null;
    this.#resolveWaiters();
  }

  #park(deadline: Nanos, limit: Nanos): number {
    const left = deadline === Infinity ? Infinity : Math.max(0, deadline - this.clock.now());
    return this.reactor.poll(Math.min(left, limit));
  }

  #waitInEventLoop(): void {
    // What another driver of this thread moves is no news to the kernel, but to those who wait here.
    this.progress.onWork = () => {
      this.progress.awake();
    };
    const wake = (): void => {
      this.reactor.poll(0);
      this.progress.awake();
    };
    this.#attachment ??= this.reactor.attachToEventLoop(() => {
      wake();
    });
    this.#attachment.ref();
    const deadline = this.progress.nextDeadline();
    const limit = this.#hasBarrier ? Infinity : UNFENCED_SLEEP;
    const nanos = Math.min(deadline === Infinity ? Infinity : deadline - this.clock.now(), limit);
    if (nanos !== Infinity) this.#cancelTimer = callAfter(nanos, wake);
  }

  #stopWaiting(): void {
    this.#attachment?.unref();
    this.#cancelTimer?.();
    this.#cancelTimer = null;
  }

  #resolveWaiters(): void {
    if (this.#waiters.length === 0) return;
    this.progress.onWork = null;
    this.#stopWaiting();
    for (const resolve of this.#waiters.splice(0)) resolve();
  }
}

/** Dispatches readiness of descriptors, seldom enough not to slow a spinning thread down. */
class ReactorAgent implements Agent {
  readonly role = 'reactor';
  readonly #reactor: Reactor;
  #turns = 0;
  /** Whether the last look found something: then the next one probably does, too. */
  #isBusy = false;

  constructor(reactor: Reactor) {
    this.#reactor = reactor;
  }

  doWork(): number {
    if (!this.#isBusy && ++this.#turns % TURNS_PER_POLL !== 0) return 0;
    const handled = this.#reactor.poll(0);
    this.#isBusy = handled > 0;
    return handled;
  }
}
