// Completion events: the engine's side of an armed completion queue, with moderation. Present only
// for queues that were ever armed. Verbs: ibv_req_notify_cq, and cq_count and cq_period of
// ibv_modify_cq.

import type { SharedView } from '../../native/shared-view.js';
import type { Clock, Nanos } from '../../runtime/clock.js';
import { WcStatus } from './verbs.js';

export class CompletionEvents {
  readonly #view: SharedView;
  readonly #armed: number;
  readonly #clock: Clock;
  readonly #fire: () => void;
  /** The arming that was answered last. */
  #answered = 0;
  #countMin = 1;
  #periodMax: Nanos = 0;
  #pending = 0;
  /** When pending completions are reported although there are too few; Infinity for none. */
  dueAt: Nanos = Infinity;

  /** `armed` is the word index of the queue's arming; `fire` reports one event. */
  constructor(view: SharedView, armed: number, clock: Clock, fire: () => void) {
    this.#view = view;
    this.#armed = armed;
    this.#clock = clock;
    this.#fire = fire;
  }

  moderate(countMin: number, periodMax: Nanos): void {
    this.#countMin = countMin;
    this.#periodMax = periodMax;
  }

  /** A completion was pushed, with a full fence: the arming is looked at after the entry is there. */
  pushed(status: number): void {
    const armed = this.#view.loadAcquire(this.#armed);
    // A failure counts as solicited, or whoever waits for the next message would wait for ever.
    if ((armed & 1) === 0 || status !== WcStatus.SUCCESS) this.#count(armed);
  }

  /** The completion that was pushed last answers a request with the SOLICITED flag. */
  solicited(): void {
    const armed = this.#view.loadAcquire(this.#armed);
    if ((armed & 1) !== 0) this.#count(armed);
  }

  /** The period of moderation has passed. */
  expire(now: Nanos): void {
    if (now >= this.dueAt) this.#answer(this.#view.loadAcquire(this.#armed));
  }

  #count(armed: number): void {
    if (armed >>> 1 === this.#answered) return;
    this.#pending++;
    if (this.#pending >= this.#countMin) this.#answer(armed);
    else if (this.dueAt === Infinity) this.dueAt = this.#clock.now() + this.#periodMax;
  }

  #answer(armed: number): void {
    this.#answered = armed >>> 1;
    this.#pending = 0;
    this.dueAt = Infinity;
    this.#fire();
  }
}
