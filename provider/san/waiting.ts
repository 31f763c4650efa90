// Waiting inside a call: only WSPGetOverlappedResult with fWait and the last WSPCleanup do it. Waits in
// the thread's loop where the environment hands out one that can wait: everything else on the thread
// moves on, and the thread sleeps when nothing does. Otherwise spins, with a bound.

import type { Nanos } from '../../runtime/clock.js';
import { drive } from './progress.js';
import type { SanState } from './state.js';

/** Idle turns of a wait that has no loop to wait in. */
const IDLE_TURNS_MAX = 1_000_000;

interface WaitingLoop {
  waitUntil(done: () => boolean, deadline?: Nanos): boolean;
}

/** Drives until `done()` or, at the latest, `deadline`. Returns what `done()` said last. */
export function waitUntil(state: SanState, done: () => boolean, deadline: Nanos): boolean {
  const loop: object = state.environment.progress;
  if (canWait(loop)) return loop.waitUntil(done, deadline);
  let idleTurns = 0;
  while (!done() && idleTurns < IDLE_TURNS_MAX) {
    idleTurns = drive(state) > 0 ? 0 : idleTurns + 1;
  }
  return done();
}

function canWait(loop: object): loop is WaitingLoop {
  return 'waitUntil' in loop && typeof loop.waitUntil === 'function';
}
