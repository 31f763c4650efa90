// How the switch blocks: by driving the thread's progress loop until a condition holds. Providers
// are never asked to block, nor to cancel: in a process of Winsock 1.x, where a blocking call can be
// cancelled, it is the switch's own wait that ends. Sources: BLK-01 to BLK-03, W3.5, W4.20, W8.1.16,
// W9.9.1, W9.9.2.

import type { Nanos } from '../runtime/clock.js';
import { milliseconds } from '../runtime/clock.js';
import type { AppRequest } from './app-request.js';
import type { SwitchCore } from './core.js';

/** The blocking calls of a thread, as Winsock 1.x sees them; without effect in a 2.x process. */
export class BlockingCalls {
  /** The process has asked for Winsock 1.x. */
  isVersion1 = false;
  /** Waits under way; a completion routine may start one inside another. */
  depth = 0;
  /** Called over and over by whoever waits, until it returns false. */
  hook: (() => boolean) | null = null;
  /** WSACancelBlockingCall: the innermost wait is to end. */
  isCancelled = false;
  /** A wait has ended so: its call fails with WSAEINTR, whatever it says. */
  isInterrupted = false;
}

/** When a wait of `timeoutMs` that starts now ends; 0 is for ever, as in SO_RCVTIMEO. */
export function deadlineAfter(core: SwitchCore, timeoutMs: number): Nanos {
  return timeoutMs === 0 ? Infinity : core.environment.clock.now() + milliseconds(timeoutMs);
}

/** Waits without running APCs. Whether `done` holds: not after the deadline, nor when cancelled. */
export function wait(core: SwitchCore, done: () => boolean, deadline: Nanos): boolean {
  if (core.blocking.isVersion1) return waitCancellably(core, done, deadline);
  return core.environment.progress.waitUntil(done, deadline);
}

/** Waits as a blocking receive does: queued APCs run meanwhile. [W8.1.16] */
export function waitAlertably(core: SwitchCore, done: () => boolean, deadline: Nanos): boolean {
  const { apcs } = core;
  return waitInterruptibly(core, done, () => done() || apcs.isRunnable, deadline);
}

/** The same for a request, whose conditions exist already: the usual receive allocates nothing. */
export function waitForReceive(core: SwitchCore, request: AppRequest, deadline: Nanos): boolean {
  return waitInterruptibly(core, request.isDone, request.isDoneOrInterrupted, deadline);
}

function waitInterruptibly(
  core: SwitchCore,
  done: () => boolean,
  awake: () => boolean,
  deadline: Nanos,
): boolean {
  for (;;) {
    if (!wait(core, awake, deadline)) return done();
    if (done()) return true;
    runRoutines(core);
  }
}

/** Runs what is queued, with the blocking call that waits still counting as one. [W4.20] */
function runRoutines(core: SwitchCore): void {
  const { blocking, apcs } = core;
  blocking.depth++;
  try {
    apcs.run();
  } finally {
    blocking.depth--;
  }
}

function waitCancellably(core: SwitchCore, done: () => boolean, deadline: Nanos): boolean {
  const { blocking } = core;
  let hook = blocking.hook;
  blocking.depth++;
  try {
    core.environment.progress.waitUntil(() => {
      if (done() || blocking.isCancelled) return true;
      if (hook !== null && !hook()) hook = null;
      return blocking.isCancelled;
    }, deadline);
  } finally {
    blocking.depth--;
  }
  const isDone = done();
  if (blocking.isCancelled && !isDone) blocking.isInterrupted = true;
  blocking.isCancelled = false;
  return isDone;
}

/** A nonblocking call finds nothing: whatever can move on this thread moves once. How much that was. */
export function nudge(core: SwitchCore): number {
  return core.environment.progress.poll();
}
