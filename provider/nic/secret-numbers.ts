// 32-bit numbers that nobody can guess: keys, queue pair numbers, comm ids, first sequence numbers.
// Drawn from the system's generator in bulk, because one call of it costs a microsecond. It must not
// know what a number is for. Source: docs/nic.md, "Trust".

import { randomFillSync } from 'node:crypto';

const DRAWN_AT_ONCE = 1024;

export class SecretNumbers {
  #numbers = new Uint32Array(0);
  #used = 0;

  /** The next one: 0 … 2^32 - 1. */
  next(): number {
    if (this.#used === this.#numbers.length) {
      this.#numbers = randomFillSync(new Uint32Array(DRAWN_AT_ONCE));
      this.#used = 0;
    }
    return this.#numbers[this.#used++] as number;
  }
}
