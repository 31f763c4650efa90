// One loop per process of these tests: gives every NIC a turn until all waits are over, and sleeps, in
// the way of docs/shared-memory.md, when nothing moves. It must not know what is waited for.

import { seconds } from '../../../../runtime/clock.js';
import { Arena } from '../../../../native/arena.js';
import { registerForBarriers } from '../../../../native/futex.js';
import { native } from '../../../../native/load.js';
import type { EventLoopAttachment } from '../../../../native/reactor.js';
import { Reactor } from '../../../../native/reactor.js';
import type { Nic } from '../../../../provider/nic/nic.js';

/** A watchdog, not an expectation. */
const GIVE_UP = seconds(10);
const TURNS_BEFORE_SLEEP = 200;
const MEBIBYTE = 2 ** 20;

interface Wait {
  readonly what: string;
  readonly giveUpAt: number;
  /** Settles the promise and returns true once the condition holds. */
  readonly isOver: () => boolean;
  readonly fail: (reason: Error) => void;
}

/** Belongs to one thread. Every NIC opened on it is driven by whatever waits. */
export class ThreadLoop {
  readonly arena = new Arena(1024 * MEBIBYTE);
  readonly reactor = new Reactor();
  readonly #attachment: EventLoopAttachment;
  readonly #nics = new Set<Nic>();
  #waits: Wait[] = [];
  #isRunning = false;
  #wake: (() => void) | null = null;

  constructor() {
    registerForBarriers();
    this.#attachment = this.reactor.attachToEventLoop(() => {
      this.reactor.poll(0);
      this.#wake?.();
    });
    this.#attachment.unref();
  }

  add(nic: Nic): void {
    this.#nics.add(nic);
  }

  remove(nic: Nic): void {
    this.#nics.delete(nic);
  }

  /** One turn of everything. Returns the work done. */
  turn(): number {
    let work = this.reactor.poll(0);
    for (const nic of this.#nics) work += nic.progress();
    return work;
  }

  /** Drives until `probe` returns something; fails, saying `what`, when that takes suspiciously long. */
  until<T>(what: string, probe: () => T | null): Promise<T> {
    return this.#wait(what, native.now() + GIVE_UP, probe);
  }

  /** Drives until `isOver`, however long that takes. */
  lasting(isOver: () => boolean): Promise<true> {
    return this.#wait('the end', Infinity, () => (isOver() ? true : null));
  }

  /** Ends a sleep: something came from elsewhere. */
  wake(): void {
    this.#wake?.();
  }

  close(): void {
    this.#attachment.close();
    this.reactor.close();
  }

  #wait<T>(what: string, giveUpAt: number, probe: () => T | null): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const isOver = (): boolean => {
        const found = probe();
        if (found !== null) resolve(found);
        return found !== null;
      };
      this.#waits.push({ what, giveUpAt, isOver, fail: reject });
      this.wake();
      if (!this.#isRunning) void this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    let idle = 0;
    while (this.#waits.length > 0) {
      if (this.turn() + this.#settle() > 0) idle = 0;
      if (++idle < TURNS_BEFORE_SLEEP) {
        if (idle % 8 === 0) await immediate();
        else await Promise.resolve();
        continue;
      }
      await this.#sleep();
      idle = 0;
    }
    this.#isRunning = false;
  }

  /** Ends the waits whose condition holds, or that have lasted too long. Returns how many. */
  #settle(): number {
    const before = this.#waits;
    this.#waits = [];
    const remaining = before.filter((wait) => !wait.isOver());
    const now = native.now();
    const kept = remaining.filter((wait) => wait.giveUpAt > now);
    for (const wait of remaining) {
      if (wait.giveUpAt <= now) wait.fail(new Error(`gave up waiting for ${wait.what}`));
    }
    this.#waits = [...kept, ...this.#waits];
    return before.length - kept.length;
  }

  async #sleep(): Promise<void> {
    for (const nic of this.#nics) nic.port.arm();
    native.barrier();
    if (this.turn() + this.#settle() === 0) await this.#park();
    for (const nic of this.#nics) nic.port.disarm();
  }

  #park(): Promise<void> {
    let deadline = native.now() + GIVE_UP / 5;
    for (const nic of this.#nics) deadline = Math.min(deadline, nic.port.deadline());
    return new Promise((resolve) => {
      this.#attachment.ref();
      const millis = Math.max(0, Math.ceil((deadline - native.now()) / 1e6));
      const wake = (): void => {
        clearTimeout(timer);
        this.#wake = null;
        this.#attachment.unref();
        resolve();
      };
      const timer = setTimeout(wake, millis);
      this.#wake = wake;
    });
  }
}

export function immediate(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
