// The thread's progress loop over the kernel: who is woken, and how it sleeps while nothing is urgent.

import { describe, expect, it } from 'vitest';
import { native } from '../../native/load.js';
import { EPOLLIN } from '../../native/reactor.js';
import { HostThread } from '../../native/thread.js';

/** An agent that has one thing to do whenever `work` is raised, and counts how it is armed. */
class Worker {
  readonly role = 'worker';
  work = 0;
  armings = 0;
  isIdle = true;

  doWork(): number {
    const done = this.work;
    this.work = 0;
    return done;
  }

  arm(): void {
    this.armings++;
  }

  isUnhurried(): boolean {
    return this.isIdle;
  }
}

async function onThread(
  body: (thread: HostThread, worker: Worker) => Promise<void>,
): Promise<void> {
  const thread = new HostThread();
  const worker = new Worker();
  thread.progress.add(worker);
  try {
    await body(thread, worker);
  } finally {
    thread.release();
    thread.reactor.close();
  }
}

/** Runs a body with a descriptor that is ready once it is signalled. */
function withEvent(thread: HostThread, body: (fd: number, isSeen: () => boolean) => void): void {
  const fd = native.eventCreate();
  let isSeen = false;
  const token = thread.reactor.watch(fd, EPOLLIN, () => {
    native.eventClear(fd);
    isSeen = true;
  });
  body(fd, () => isSeen);
  thread.reactor.unwatch(token);
  native.closeDescriptor(fd);
}

describe('a thread of hosts', () => {
  it('work that one driver does wakes all who wait in the event loop', () =>
    onThread(async (thread, worker) => {
      const woken = [thread.wakeup(), thread.wakeup()];
      worker.work = 1;
      // Nothing of this reaches the kernel: the waiters hear of it from the turn itself.
      expect(thread.progress.poll()).toBe(1);
      await Promise.all(woken);
      expect(thread.progress.onWork).toBe(null);
    }));

  it('a wait for the kernel arms nobody while all are quiet', () =>
    onThread((thread, worker) => {
      withEvent(thread, (fd, isSeen) => {
        native.eventSignal(fd);
        expect(thread.progress.waitUntil(isSeen, Infinity, 0)).toBe(true);
      });
      expect(worker.armings).toBe(0);
      return Promise.resolve();
    }));

  it('a wait arms everybody as soon as somebody is not quiet, or it takes longer', () =>
    onThread((thread, worker) => {
      const { clock, progress } = thread;
      worker.isIdle = false;
      withEvent(thread, (fd, isSeen) => {
        native.eventSignal(fd);
        expect(progress.waitUntil(isSeen, Infinity, 0)).toBe(true);
      });
      expect(worker.armings).toBe(1);
      worker.isIdle = true;
      expect(progress.waitUntil(() => false, clock.now() + 20_000_000, 0)).toBe(false);
      expect(worker.armings).toBeGreaterThan(1);
      return Promise.resolve();
    }));
});
