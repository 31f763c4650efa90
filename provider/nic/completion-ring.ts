// The engine's end of a completion queue: one writer, one reader, sequence words. It never overflows:
// the engine asks for room before it takes work, and leaves the work where it is when there is none.

import type { SharedView } from '../../native/shared-view.js';
import { Cqe } from './layout.js';
import { CQE_WORDS } from './limits.js';

export class CompletionRing {
  readonly #view: SharedView;
  readonly #ring: number;
  readonly #consumer: number;
  readonly #mask: number;
  #produced = 0;
  #limit: number;

  /** `ring` and `consumer` are word indexes into the view; `depth` is a power of two. */
  constructor(view: SharedView, ring: number, consumer: number, depth: number) {
    this.#view = view;
    this.#ring = ring;
    this.#consumer = consumer;
    this.#mask = depth - 1;
    this.#limit = depth;
  }

  /** Whether `count` completions fit. Looks at the reader's index only when they seem not to. */
  hasRoom(count: number): boolean {
    if (((this.#limit - this.#produced) | 0) >= count) return true;
    this.#limit = (this.#view.loadAcquire(this.#consumer) + this.#mask + 1) | 0;
    return ((this.#limit - this.#produced) | 0) >= count;
  }

  push(queuePair: number, id: number, opcode: number, status: number, length: number): void {
    const words = this.#view.words;
    const entry = this.#ring + (this.#produced & this.#mask) * CQE_WORDS;
    words[entry + Cqe.QUEUE_PAIR] = queuePair;
    words[entry + Cqe.ID] = id;
    words[entry + Cqe.CONTROL] = opcode | (status << 8);
    words[entry + Cqe.LENGTH] = length;
    this.#produced = (this.#produced + 1) | 0;
    this.#view.storeRelease(entry + Cqe.SEQUENCE, this.#produced);
  }
}
