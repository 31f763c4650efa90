// What the ping-pongs of scripts/measure-sockets.ts have in common: a way to exchange messages with an
// echo in another process, and a batch of round trips timed on it. It must not know any way in detail.

import { native } from '../../native/load.js';

export const BYTES = 64;
const BATCH = 100;

/** What a batch of round trips costs, in nanoseconds each. */
export interface Cost {
  /** The median of groups of 100, and the best of them. */
  readonly median: number;
  readonly best: number;
}

/** A connected pair: this process measures, a child answers. */
export interface Way {
  /** Exchanges `trips` messages, one after another. */
  run(trips: number): Promise<Cost>;
  close(): void;
}

export function median(values: readonly number[]): number {
  return [...values].sort((one, other) => one - other)[values.length >> 1] ?? NaN;
}

/** The times of groups of trips, noted as they end. */
export class Groups {
  readonly #nanos: number[] = [];
  #count = 0;
  #start = native.now();

  /** A trip has ended; how many have. */
  trip(): number {
    if (++this.#count % BATCH === 0) {
      const now = native.now();
      this.#nanos.push((now - this.#start) / BATCH);
      this.#start = now;
    }
    return this.#count;
  }

  cost(): Cost {
    return { median: median(this.#nanos), best: Math.min(...this.#nanos) };
  }
}

/** A way whose trips block the thread. */
export function blockingWay(trip: () => void, close: () => void): Way {
  return {
    run: (trips) => {
      const groups = new Groups();
      for (let count = 0; count < trips; count++) {
        trip();
        groups.trip();
      }
      return Promise.resolve(groups.cost());
    },
    close,
  };
}
