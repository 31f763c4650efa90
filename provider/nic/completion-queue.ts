// The application's end of a completion queue.

import type { SharedView } from '../../native/shared-view.js';
import type { CompletionQueue } from './device.js';
import { Cqe } from './layout.js';
import { CQ_INDEX_INTERVAL, CQE_WORDS } from './limits.js';
import type { WorkCompletion } from './verbs.js';

export class SharedCompletionQueue implements CompletionQueue {
  readonly index: number;
  readonly #view: SharedView;
  readonly #ring: number;
  readonly #consumer: number;
  readonly #mask: number;
  readonly #indexMask: number;
  readonly #taken: (completion: WorkCompletion) => void;
  #consumed = 0;

  /** `ring` and `consumer` are word indexes; `taken` is told of every completion handed out. */
  constructor(options: {
    index: number;
    view: SharedView;
    ring: number;
    consumer: number;
    depth: number;
    taken: (completion: WorkCompletion) => void;
  }) {
    this.index = options.index;
    this.#view = options.view;
    this.#ring = options.ring;
    this.#consumer = options.consumer;
    this.#mask = options.depth - 1;
    // At half its depth at the latest, or a small queue would look full for ever.
    this.#indexMask = Math.max(1, Math.min(CQ_INDEX_INTERVAL, options.depth / 2)) - 1;
    this.#taken = options.taken;
  }

  poll(completion: WorkCompletion): boolean {
    const view = this.#view;
    const words = view.words;
    const entry = this.#ring + (this.#consumed & this.#mask) * CQE_WORDS;
    if (view.loadAcquire(entry + Cqe.SEQUENCE) !== ((this.#consumed + 1) | 0)) return false;
    const control = words[entry + Cqe.CONTROL] as number;
    completion.queuePair = words[entry + Cqe.QUEUE_PAIR] as number;
    completion.id = (words[entry + Cqe.ID] as number) >>> 0;
    completion.opcode = control & 0xff;
    completion.status = control >>> 8;
    completion.byteLength = (words[entry + Cqe.LENGTH] as number) >>> 0;
    this.#consumed = (this.#consumed + 1) | 0;
    if ((this.#consumed & this.#indexMask) === 0) {
      view.storeRelease(this.#consumer, this.#consumed);
    }
    this.#taken(completion);
    return true;
  }
}
