// The engine's end of a completion queue: one writer, one reader, sequence words. It never overflows:
// the engine asks for room before it takes work, and leaves the work where it is when there is none
// (docs/decisions/0005-a-full-completion-queue.md).

import type { SharedView } from '../../native/shared-view.js';
import type { CompletionEvents } from './completion-events.js';
import { CQ_CONSUMED, CQ_HELD, Cqe } from './layout.js';
import { CQE_WORDS } from './limits.js';

export class CompletionRing {
  /** Null until the queue is armed for the first time. */
  events: CompletionEvents | null = null;
  readonly #view: SharedView;
  readonly #ring: number;
  readonly #control: number;
  readonly #mask: number;
  #produced = 0;
  #limit: number;

  /** `ring` and `control` are word indexes into the view; `depth` is a power of two. */
  constructor(view: SharedView, ring: number, control: number, depth: number) {
    this.#view = view;
    this.#ring = ring;
    this.#control = control;
    this.#mask = depth - 1;
    this.#limit = depth;
  }

  /** Whether `count` completions fit. Looks at the reader's index only when they seem not to. */
  hasRoom(count: number): boolean {
    if (((this.#limit - this.#produced) | 0) >= count) return true;
    const view = this.#view;
    this.#limit = (view.loadAcquire(this.#control + CQ_CONSUMED) + this.#mask + 1) | 0;
    const fits = ((this.#limit - this.#produced) | 0) >= count;
    // Whoever makes room is asked to wake the engine.
    view.storeRelease(this.#control + CQ_HELD, fits ? 0 : 1);
    return fits;
  }

  push(queuePair: number, id: number, opcode: number, status: number, length: number): void {
    const words = this.#view.words;
    const entry = this.#ring + (this.#produced & this.#mask) * CQE_WORDS;
    words[entry + Cqe.QUEUE_PAIR] = queuePair;
    words[entry + Cqe.ID] = id;
    words[entry + Cqe.CONTROL] = opcode | (status << 8);
    words[entry + Cqe.LENGTH] = length;
    this.#produced = (this.#produced + 1) | 0;
    if (this.events === null) {
      this.#view.storeRelease(entry + Cqe.SEQUENCE, this.#produced);
      return;
    }
    this.#view.exchange(entry + Cqe.SEQUENCE, this.#produced);
    this.events.pushed(status);
  }
}
