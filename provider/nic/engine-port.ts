// How the application side reaches its engine: in the same thread by a call, or in a worker thread by
// messages and a doorbell. The data path is the queues in memory in both cases.

import type { EngineCommand, EngineEvent } from './commands.js';
import type { NicEngine } from './engine.js';
import type { EngineQueuePair } from './engine-queue-pair.js';
import type { ShortWay } from './short-way.js';

export interface EnginePort {
  readonly kind: 'inline' | 'worker';
  /** Carries a command out. With a worker it waits until the engine has done so. */
  command(command: EngineCommand): void;
  /** Past the queues, where the engine is in this thread; and its half of the queue pair. */
  readonly shortWay: ShortWay | null;
  halfOf(slot: number): EngineQueuePair | null;
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
  readonly shortWay: ShortWay;
  readonly #events: EngineEvent[];

  /** `events` is where the engine's report function appends. */
  constructor(engine: NicEngine, events: EngineEvent[]) {
    this.#engine = engine;
    this.shortWay = engine.shortWay;
    this.#events = events;
  }

  command(command: EngineCommand): void {
    this.#engine.command(command);
  }

  halfOf(slot: number): EngineQueuePair {
    return this.#engine.halfOf(slot);
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
