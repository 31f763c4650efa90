// How a queue pair ends: its connection first, then what is posted to it, then its memory. Each step is
// reported once, and the last waits for the peer's word that it has let go. Source: docs/nic.md.

import type { NativeBinding } from '../../native/binding.js';
import type { EngineEvent } from './commands.js';
import type { EngineCore } from './engine-core.js';
import type { EngineQueuePair } from './engine-queue-pair.js';
import { QueuePairState } from './engine-queue-pair.js';
import { withdrawAll } from './exposed-regions.js';
import { STATE_ARMED, STATE_CLOSED } from './layout.js';
import { removeAllKeys } from './region-keys.js';
import type { Requester } from './requester.js';
import type { Responder } from './responder.js';
import type { Scheduler } from './scheduler.js';
import type { DisconnectReason } from './verbs.js';

export interface QueuePairEndHost {
  readonly core: EngineCore;
  /** For the barrier against whoever posts; null where that is the engine's own thread. */
  readonly native: NativeBinding | null;
  readonly requester: Requester;
  readonly responder: Responder;
  readonly scheduler: Scheduler;
  /** By slot. */
  readonly queuePairs: (EngineQueuePair | undefined)[];
  report(event: EngineEvent): void;
  /** Tells the peer. The release of the queue pair follows, maybe later. */
  disconnect(queuePair: EngineQueuePair, isMoving: boolean): void;
}

export class QueuePairEnd {
  readonly #host: QueuePairEndHost;
  /** Queue pairs whose flush could not finish at once. */
  readonly #flushing = new Set<EngineQueuePair>();
  /** Asked for in every turn. */
  isFlushing = false;

  constructor(host: QueuePairEndHost) {
    this.#host = host;
  }

  /** Its owner gives the queue pair up; 'destroyed' and 'released' follow. */
  destroy(qp: EngineQueuePair, isMoving = false): void {
    const wasConnected = qp.state === QueuePairState.RTS;
    qp.state = QueuePairState.CLOSING;
    this.#host.scheduler.remove(qp);
    removeAllKeys(this.#host.core.regions, qp);
    this.#revoke(qp);
    if (!wasConnected) qp.peerReleased ||= qp.peer === null;
    this.#host.disconnect(qp, isMoving);
    this.flush(qp);
  }

  /** The connection is over; its owner keeps the queue pair, and what is posted completes flushed. */
  end(qp: EngineQueuePair, reason: DisconnectReason): void {
    if (qp.state === QueuePairState.CLOSING) return;
    qp.state = QueuePairState.ERR;
    this.#host.scheduler.remove(qp);
    this.#revoke(qp);
    this.flush(qp);
    if (qp.disconnectReported) return;
    qp.disconnectReported = true;
    this.#host.report({ type: 'disconnected', queuePair: qp.slot, reason });
  }

  /** Completes what is posted; what has to wait for room in the completion queue is tried again. */
  flush(qp: EngineQueuePair): void {
    // Both, always: a receive must not wait for a send that waits for the peer.
    const sends = this.#host.requester.flush(qp);
    // A send that is complete was received, although its receive comes after the end.
    const mayArrive = qp.isLastChance && qp.state === QueuePairState.ERR;
    const receives =
      (!mayArrive || this.#host.responder.drain(qp)) && this.#host.responder.flush(qp);
    if (!sends || !receives) {
      this.#flushing.add(qp);
      this.isFlushing = true;
      return;
    }
    this.#flushing.delete(qp);
    if (qp.state !== QueuePairState.CLOSING || qp.destroyedReported) return;
    qp.destroyedReported = true;
    this.#host.report({ type: 'destroyed', queuePair: qp.slot });
    this.#reportRelease(qp);
  }

  retryFlushes(): void {
    for (const qp of this.#flushing) this.flush(qp);
    this.isFlushing = this.#flushing.size > 0;
  }

  /** Neither side touches the other's memory any more. */
  released(qp: EngineQueuePair): void {
    qp.peerReleased = true;
    this.#reportRelease(qp);
  }

  /** From here on the peer may not use what it was told of our memory. A full fence: see executeRead. */
  #revoke(qp: EngineQueuePair): void {
    if (qp.isRevoked) return;
    qp.isRevoked = true;
    const { view } = this.#host.core;
    view.exchange(qp.ownState + STATE_CLOSED, 1);
    // Whoever posts from now on rings, because nobody polls any more; what was posted before this
    // barrier is seen by the flush that follows.
    view.exchange(qp.ownState + STATE_ARMED, 1);
    this.#host.native?.barrier();
    withdrawAll(this.#host.core, qp);
    qp.joint?.revoke(null);
  }

  #reportRelease(qp: EngineQueuePair): void {
    if (!qp.destroyedReported || !qp.peerReleased) return;
    if (this.#host.queuePairs[qp.slot] !== qp) return;
    this.#host.queuePairs[qp.slot] = undefined;
    this.#host.report({ type: 'released', queuePair: qp.slot });
  }
}
