// The application's end of a completion queue.

import { assert } from '../../runtime/assert.js';
import type { Nanos } from '../../runtime/clock.js';
import type { SharedView } from '../../native/shared-view.js';
import type { CompletionNotification, CompletionQueue } from './device.js';
import { CQ_ARMED, CQ_CONSUMED, CQ_HELD, Cqe } from './layout.js';
import { CQ_INDEX_INTERVAL, CQE_WORDS } from './limits.js';
import type { WorkCompletion } from './verbs.js';

/** What a completion queue asks of its device. */
export interface CompletionQueueHost {
  /** A completion was handed out. */
  taken(completion: WorkCompletion): void;
  /** There is room again, and the engine had none. */
  roomMade(): void;
  enableEvents(completionQueue: number): void;
  moderate(completionQueue: number, countMin: number, periodMax: Nanos): void;
}

export class SharedCompletionQueue implements CompletionQueue, CompletionNotification {
  readonly index: number;
  readonly notification = this;
  readonly #view: SharedView;
  readonly #ring: number;
  readonly #control: number;
  readonly #mask: number;
  readonly #indexMask: number;
  readonly #host: CompletionQueueHost;
  #consumed = 0;
  #armings = 0;

  /** `ring` and `control` are word indexes. */
  constructor(options: {
    index: number;
    view: SharedView;
    ring: number;
    control: number;
    depth: number;
    host: CompletionQueueHost;
  }) {
    this.index = options.index;
    this.#view = options.view;
    this.#ring = options.ring;
    this.#control = options.control;
    this.#mask = options.depth - 1;
    // At half its depth at the latest, or a small queue would look full for ever.
    this.#indexMask = Math.max(1, Math.min(CQ_INDEX_INTERVAL, options.depth / 2)) - 1;
    this.#host = options.host;
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
      view.storeRelease(this.#control + CQ_CONSUMED, this.#consumed);
      if (words[this.#control + CQ_HELD] !== 0) this.#host.roomMade();
    }
    this.#host.taken(completion);
    return true;
  }

  arm(kind: 'next' | 'solicited'): void {
    if (this.#armings === 0) this.#host.enableEvents(this.index);
    // Never 0, which is what the engine has answered before the first one.
    this.#armings = (this.#armings + 1) % 2 ** 30 || 1;
    const isSolicited = kind === 'solicited' ? 1 : 0;
    // A full fence: whoever polls after this sees every completion that will raise no event.
    this.#view.exchange(this.#control + CQ_ARMED, (this.#armings << 1) | isSolicited);
  }

  moderate(limits: { readonly countMin: number; readonly periodMax: Nanos }): void {
    const { countMin, periodMax } = limits;
    assert(countMin >= 1 && periodMax >= 0, 'moderation takes a count from 1 and a period from 0');
    if (this.#armings === 0) this.#host.enableEvents(this.index);
    this.#host.moderate(this.index, countMin, periodMax);
  }
}
