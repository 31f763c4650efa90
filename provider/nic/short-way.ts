// The short ways of an inline engine, by queue pair slot: one small message out or in by one call, past
// the queues that otherwise stand between the application's half and the engine. Each does the whole
// of it or nothing, and the long way says what is wrong. Conditions: requester.ts, responder.ts.

import type { EngineQueuePair } from './engine-queue-pair.js';
import type { Requester } from './requester.js';
import type { Responder } from './responder.js';
import type { WorkCompletion, WorkRequest } from './verbs.js';

export class ShortWay {
  readonly #queuePairs: readonly (EngineQueuePair | undefined)[];
  readonly #requester: Requester;
  readonly #responder: Responder;

  constructor(
    queuePairs: readonly (EngineQueuePair | undefined)[],
    requester: Requester,
    responder: Responder,
  ) {
    this.#queuePairs = queuePairs;
    this.#requester = requester;
    this.#responder = responder;
  }

  /** Takes a small SEND straight from the request; its completion is in the queue then. */
  sendDirect(slot: number, request: WorkRequest): boolean {
    const qp = this.#queuePairs[slot];
    return qp !== undefined && this.#requester.sendDirect(qp, request);
  }

  /** QueuePair.inject. */
  inject(slot: number, address: number, length: number, localKey: number): boolean {
    const qp = this.#queuePairs[slot];
    return qp !== undefined && this.#requester.inject(qp, address, length, localKey, 0);
  }

  /** QueuePair.takeArrival. */
  takeArrival(slot: number, completion: WorkCompletion): boolean {
    const qp = this.#queuePairs[slot];
    return qp !== undefined && this.#responder.takeArrival(qp, completion);
  }
}
