// How the switch blocks: by driving the thread's progress loop until a condition holds. Providers
// are never asked to block, nor to cancel. Sources: BLK-01 to BLK-03, W8.1.16, W9.9.1, W9.9.2.

import type { Nanos } from '../runtime/clock.js';
import { milliseconds } from '../runtime/clock.js';
import type { AppRequest } from './app-request.js';
import type { SwitchCore } from './core.js';

/** When a wait of `timeoutMs` that starts now ends; 0 is for ever, as in SO_RCVTIMEO. */
export function deadlineAfter(core: SwitchCore, timeoutMs: number): Nanos {
  return timeoutMs === 0 ? Infinity : core.environment.clock.now() + milliseconds(timeoutMs);
}

/** Waits without running APCs. Whether `done` holds. */
export function wait(core: SwitchCore, done: () => boolean, deadline: Nanos): boolean {
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
  const { progress } = core.environment;
  for (;;) {
    if (!progress.waitUntil(awake, deadline)) return done();
    if (done()) return true;
    core.apcs.run();
  }
}

/** A nonblocking call finds nothing: whatever can move on this thread moves once. */
export function nudge(core: SwitchCore): void {
  core.environment.progress.poll();
}
