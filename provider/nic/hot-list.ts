// The queue pairs that an engine polls without being asked. Every other one is armed: whoever
// publishes for it sees that and rings its doorbell. The list is short and sheds who is idle, so that
// a step costs the same whether ten connections exist or ten thousand.

import type { Nanos } from '../../runtime/clock.js';
import type { NativeBinding } from '../../native/binding.js';
import type { SharedView } from '../../native/shared-view.js';
import type { EngineQueuePair } from './engine-queue-pair.js';
import { QueuePairState } from './engine-queue-pair.js';
import { STATE_ARMED } from './layout.js';
import { ACTIVITY_TO_STAY, HOT_QUEUE_PAIRS } from './limits.js';

export class HotList {
  readonly #view: SharedView;
  readonly #native: NativeBinding;
  readonly #turn: (queuePair: EngineQueuePair) => number;
  /** Replaced, never changed, when one leaves: a walk under way goes on over the old list. */
  members: readonly EngineQueuePair[] = [];

  constructor(
    view: SharedView,
    native: NativeBinding,
    turn: (queuePair: EngineQueuePair) => number,
  ) {
    this.#view = view;
    this.#native = native;
    this.#turn = turn;
  }

  /** Polls it from now on, however many there are: it waits for what nobody rings for. */
  add(qp: EngineQueuePair): void {
    if (qp.hot) return;
    qp.hot = true;
    qp.activity = ACTIVITY_TO_STAY;
    this.members = [...this.members, qp];
    this.#view.storeRelease(qp.ownState + STATE_ARMED, 0);
  }

  /** Polls it from now on if there is a place. */
  offer(qp: EngineQueuePair): void {
    if (this.members.length < HOT_QUEUE_PAIRS) this.add(qp);
  }

  remove(qp: EngineQueuePair): void {
    if (!qp.hot) return;
    qp.hot = false;
    this.members = this.members.filter((other) => other !== qp);
  }

  /** Before a sleep. With a full fence each: nobody else provides one where there is no membarrier. */
  arm(): void {
    for (const qp of this.members) this.#view.exchange(qp.ownState + STATE_ARMED, 1);
  }

  disarm(): void {
    for (const qp of this.members) this.#view.storeRelease(qp.ownState + STATE_ARMED, 0);
  }

  /** The earliest time at which a member has something to do that nothing announces. */
  nextDue(): Nanos {
    let earliest = Infinity;
    for (const qp of this.members) earliest = Math.min(earliest, qp.nextDue);
    return earliest;
  }

  /**
   * Arms those that did little since the last call, and lets them go; all of them at most when the
   * list is overfull. One barrier serves all; what was published before it without a doorbell is found
   * by the last turn.
   */
  shed(): void {
    // Few of them cost less than a doorbell would.
    if (this.members.length <= HOT_QUEUE_PAIRS / 2) return;
    const isCrowded = this.members.length > HOT_QUEUE_PAIRS;
    const shed = this.members.filter(
      (qp) => qp.isQuiet && (isCrowded || qp.activity < ACTIVITY_TO_STAY),
    );
    for (const qp of this.members) qp.activity = 0;
    if (shed.length === 0) return;
    for (const qp of shed) {
      qp.hot = false;
      this.#view.exchange(qp.ownState + STATE_ARMED, 1);
    }
    this.members = this.members.filter((qp) => qp.hot);
    this.#native.barrier();
    for (const qp of shed) {
      // A turn may leave something behind, and nobody rings for that again.
      if (this.#turn(qp) === 0 && qp.isQuiet) continue;
      if (qp.state === QueuePairState.RTS) this.add(qp);
    }
  }
}
