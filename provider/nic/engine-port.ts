// How the application side reaches its engine: in the same thread by a call, or in a worker thread by
// messages and a doorbell. The data path is the queues in memory in both cases.

import type { EngineCommand, EngineEvent } from './commands.js';
import type { NicEngine } from './engine.js';
import type { ShortWay } from './short-way.js';
import type { WorkCompletion, WorkRequest } from './verbs.js';

export interface EnginePort {
  readonly kind: 'inline' | 'worker';
  /** Carries a command out. With a worker it waits until the engine has done so. */
  command(command: EngineCommand): void;
  /**
   * Hands a small SEND to the engine without the send queue. False, with nothing done, when it must
   * go through the queue. The queue is empty.
   */
  sendDirect(slot: number, request: WorkRequest): boolean;
  /** The same without a completion: QueuePair.inject. */
  inject(slot: number, address: number, length: number, localKey: number): boolean;
  /** QueuePair.takeArrival, but for the count of receives. */
  takeArrival(slot: number, completion: WorkCompletion): boolean;
  /** The send queue of `slot` has a new entry. */
  sendPosted(slot: number, stateWord: number): void;
  /** The receive queue of `slot` has a new entry. */
  receivePosted(slot: number, stateWord: number): void;
  /** There is room in a completion queue for which work was held back. */
  roomMade(): void;
  /** Events since the last call, in order, handed to `handle`. Returns how many. */
  drainEvents(handle: (event: EngineEvent) => void): number;
  /** Lets an inline engine work on one queue pair. */
  progressOf(slot: number): number;
  /** Lets an inline engine work; a worker works by itself. */
  doWork(): number;
  arm(): void;
  disarm(): void;
  deadline(): number;
  /** Ends the engine. Resolves when nothing of it runs any more. */
  close(): Promise<void>;
}

/** The engine on the caller's thread. */
export class InlinePort implements EnginePort {
  readonly kind = 'inline';
  readonly #engine: NicEngine;
  readonly #shortWay: ShortWay;
  readonly #events: EngineEvent[];

  /** `events` is where the engine's report function appends. */
  constructor(engine: NicEngine, events: EngineEvent[]) {
    this.#engine = engine;
    this.#shortWay = engine.shortWay;
    this.#events = events;
  }

  command(command: EngineCommand): void {
    this.#engine.command(command);
  }

  sendDirect(slot: number, request: WorkRequest): boolean {
    return this.#shortWay.sendDirect(slot, request);
  }

  inject(slot: number, address: number, length: number, localKey: number): boolean {
    return this.#shortWay.inject(slot, address, length, localKey);
  }

  takeArrival(slot: number, completion: WorkCompletion): boolean {
    return this.#shortWay.takeArrival(slot, completion);
  }

  sendPosted(slot: number): void {
    this.#engine.kick(slot);
  }

  receivePosted(slot: number): void {
    this.#engine.receivePosted(slot);
  }

  roomMade(): void {
    // The next turn finds it.
  }

  drainEvents(handle: (event: EngineEvent) => void): number {
    if (this.#events.length === 0) return 0;
    const events = this.#events.splice(0);
    for (const event of events) handle(event);
    return events.length;
  }

  progressOf(slot: number): number {
    return this.#engine.progressOf(slot);
  }

  doWork(): number {
    return this.#engine.doWork();
  }

  arm(): void {
    this.#engine.arm();
  }

  disarm(): void {
    this.#engine.disarm();
  }

  deadline(): number {
    return this.#engine.deadline();
  }

  /** The process ends, as far as peers can see: none of them is told. */
  abandon(): void {
    this.#engine.abandon();
  }

  close(): Promise<void> {
    this.#engine.close();
    return Promise.resolve();
  }
}
