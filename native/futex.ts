// Sleeping on a word of shared memory. It must not know what the word means, nor when to sleep; the
// order of store, barrier and look is the sleep protocol of docs/shared-memory.md.

import type { Arena } from './arena.js';
import { check, errno } from './errors.js';
import { native } from './load.js';

/** Why a wait ended; 'changed' means that the word did not hold the expected value. */
export type WaitOutcome = 'woken' | 'changed' | 'timed-out' | 'interrupted';

/**
 * Sleeps while the word at `index` of the arena holds `expected`, at most `timeoutNanos`
 * (Infinity: for ever).
 */
export function waitOnWord(
  arena: Arena,
  index: number,
  expected: number,
  timeoutNanos: number,
): WaitOutcome {
  const result = native.futexWait(arena.address + index * 4, expected, timeoutNanos);
  if (result === -errno.EAGAIN) return 'changed';
  if (result === -errno.ETIMEDOUT) return 'timed-out';
  if (result === -errno.EINTR) return 'interrupted';
  check(result, 'futex', `waiting on word ${index}`);
  return 'woken';
}

/**
 * Wakes up to `count` sleepers, in every process that maps the word. Returns how many there were.
 */
export function wakeWord(arena: Arena, index: number, count = 1): number {
  return check(native.futexWake(arena.address + index * 4, count), 'futex', `waking word ${index}`);
}

let isRegistered: boolean | undefined;

/**
 * Lets `sleeperBarrier` of any process reach the threads of this one. Returns false where the
 * kernel has no membarrier: then producers must publish with `exchange`. Call it before sharing
 * memory.
 */
export function registerForBarriers(): boolean {
  isRegistered ??= native.barrierRegister() === 0;
  return isRegistered;
}

/**
 * The sleeper's fence, on every core that runs a registered process. Throws SystemError (ENOSYS).
 */
export function sleeperBarrier(): void {
  check(native.barrier(), 'membarrier');
}
