// The queue pairs that an engine polls without being asked. Every other one is armed: whoever
// publishes for it sees that and sets its ready bit. The list is short, so that a turn costs the same
// whether ten connections exist or ten thousand.

import type { NativeBinding } from '../../native/binding.js';
import type { SharedView } from '../../native/shared-view.js';
import type { EngineQueuePair } from './engine-queue-pair.js';
import { QueuePairState } from './engine-queue-pair.js';
import { STATE_ARMED } from './layout.js';
import { HOT_QUEUE_PAIRS } from './limits.js';

export class HotList {
  readonly #view: SharedView;
  readonly #native: NativeBinding;
  readonly #turn: (queuePair: EngineQueuePair) => number;
  /** Replaced, never changed, when one leaves: a walk under way goes on over the old list. */
  members: EngineQueuePair[] = [];

  constructor(
    view: SharedView,
    native: NativeBinding,
    turn: (queuePair: EngineQueuePair) => number,
  ) {
    this.#view = view;
    this.#native = native;
    this.#turn = turn;
  }

  get size(): number {
    return this.members.length;
  }

  add(qp: EngineQueuePair): void {
    if (qp.hot) return;
    if (this.members.length >= HOT_QUEUE_PAIRS) this.#coolHalf();
    this.#append(qp);
  }

  remove(qp: EngineQueuePair): void {
    if (!qp.hot) return;
    qp.hot = false;
    this.members = this.members.filter((other) => other !== qp);
  }

  arm(): void {
    for (const qp of this.members) this.#view.storeRelease(qp.ownState + STATE_ARMED, 1);
  }

  disarm(): void {
    for (const qp of this.members) this.#view.storeRelease(qp.ownState + STATE_ARMED, 0);
  }

  #append(qp: EngineQueuePair): void {
    qp.hot = true;
    this.members = [...this.members, qp];
    this.#view.storeRelease(qp.ownState + STATE_ARMED, 0);
  }

  /**
   * Arms the quiet ones of the older half and lets them go. One barrier serves all of them; what was
   * published before it without a doorbell is found by the last turn.
   */
  #coolHalf(): void {
    const half = HOT_QUEUE_PAIRS / 2;
    const cooled = this.members.filter((qp, index) => index < half && qp.isQuiet);
    for (const qp of cooled) {
      qp.hot = false;
      this.#view.storeRelease(qp.ownState + STATE_ARMED, 1);
    }
    this.members = this.members.filter((qp) => qp.hot);
    this.#native.barrier();
    for (const qp of cooled) {
      // A turn may leave something behind, and nobody rings for that again.
      if (this.#turn(qp) === 0 && qp.isQuiet) continue;
      if (qp.state === QueuePairState.READY) this.#append(qp);
    }
  }
}
