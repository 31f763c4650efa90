// Turns the progress loop of a test process from its event loop: for waits under a watchdog, and in
// between, because an inline engine has to answer its peer whether or not anybody waits here. Sleeps
// when nothing moves.

import type { HostEnvironment } from '../../../index.js';

/** A watchdog, not an expectation. */
const GIVE_UP_NANOS = 20n * 1_000_000_000n;

export class Pump {
  readonly #host: HostEnvironment;
  #isStopped = false;

  constructor(host: HostEnvironment) {
    this.#host = host;
    void this.#run();
  }

  /** The first answer of `probe` that is not null. Rejects when that takes suspiciously long. */
  async until<T>(what: string, probe: () => T | null): Promise<T> {
    const giveUpAt = process.hrtime.bigint() + GIVE_UP_NANOS;
    for (;;) {
      this.#host.progress.poll();
      const found = probe();
      if (found !== null) return found;
      if (process.hrtime.bigint() > giveUpAt) throw new Error(`gave up waiting for ${what}`);
      await immediate();
    }
  }

  stop(): void {
    this.#isStopped = true;
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      if (this.#host.progress.poll() > 0) await immediate();
      else await this.#host.wakeup();
    }
  }
}

function immediate(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
