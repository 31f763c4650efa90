// A turn of the event loop within work that would otherwise never let go of the thread: signals arrive
// there.

/** Lets the event loop have a turn, then throws the reason of `signal` if it is aborted. */
export async function breathe(signal: AbortSignal): Promise<void> {
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  signal.throwIfAborted();
}

const BREATH_NANOS = 50e6;

/** When the next turn is due, by the caller's clock. Without a signal nobody waits for one. */
export class Breather {
  readonly #signal: AbortSignal | null;
  #last = 0;

  constructor(signal: AbortSignal | null) {
    this.#signal = signal;
  }

  isDue(at: number): boolean {
    if (this.#last === 0) this.#last = at;
    return this.#signal !== null && at - this.#last >= BREATH_NANOS;
  }

  /** Throws the reason of the signal when it is aborted. */
  async breathe(at: number): Promise<void> {
    this.#last = at;
    if (this.#signal !== null) await breathe(this.#signal);
  }
}
