// The host's end of an engine in a worker thread.

import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import type { MessagePort } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { assert } from '../../runtime/assert.js';
import { entryPoint } from '../../runtime/entry-point.js';
import type { Arena } from '../../native/arena.js';
import { EventSignal } from '../../native/event-signal.js';
import { waitOnWord } from '../../native/futex.js';
import { PARKED_FUTEX, PARKED_NO, segmentHeader } from '../../native/layout/segment.layout.js';
import { native } from '../../native/load.js';
import type { Reactor, WatchToken } from '../../native/reactor.js';
import { EPOLLIN } from '../../native/reactor.js';
import type { Segment } from '../../native/segment.js';
import type { EngineCommand, EngineEvent } from './commands.js';
import type { CostModel } from './cost-model.js';
import type { EnginePort } from './engine-port.js';
import { STATE_ARMED } from './layout.js';
import type { WorkerTask } from './worker-layout.js';
import {
  COMMANDS_DONE,
  COMMANDS_POSTED,
  EVENTS_POSTED,
  HOST_PARKED,
  workerControl,
} from './worker-layout.js';

const ENGINE_PARKED = segmentHeader.word('engineParked');

/** How often a command looks for its answer before its thread sleeps for it. */
const SPINS_BEFORE_SLEEP = 20_000;
/** A worker that takes longer than this for one command is dead. */
const COMMAND_NANOS_MAX = 5_000_000_000;

export interface WorkerPortOptions {
  readonly arena: Arena;
  readonly reactor: Reactor;
  readonly publicSegment: Segment;
  readonly privateSegment: Segment;
  readonly fabric: string;
  readonly base: string | null;
  readonly pipePath: string;
  readonly bounce: { readonly address: number; readonly bytes: number };
  readonly spinNanos: number;
  readonly costs: CostModel | null;
  /** Sets the ready bit of a slot of this host. */
  readonly ringOwnDoorbell: (slot: number) => void;
  /** Writes to the host's own pipe, where the engine sleeps. */
  readonly wakeEngine: () => void;
  /** Called when nothing of the worker is left. */
  readonly ended: () => void;
}

export class WorkerPort implements EnginePort {
  readonly kind = 'worker';
  readonly shortWay = null;
  readonly #options: WorkerPortOptions;
  readonly #port: MessagePort;
  readonly #pool: Piscina;
  readonly #task: Promise<unknown>;
  readonly #signal: EventSignal;
  readonly #signalToken: WatchToken;
  readonly #control: number;
  readonly #header: number;
  #commands = 0;
  #events = 0;
  #failure: unknown = null;

  private constructor(options: WorkerPortOptions) {
    const { privateSegment, publicSegment, reactor } = options;
    this.#options = options;
    const control = privateSegment.allocate(workerControl.bytes);
    assert(control !== null, 'a fresh private segment has room for the control words');
    this.#control = privateSegment.word(control);
    this.#header = publicSegment.word(0);
    this.#signal = new EventSignal();
    this.#signalToken = reactor.watch(this.#signal.fd, EPOLLIN, () => {
      this.#signal.clear();
    });
    const channel = new MessageChannel();
    this.#port = channel.port1;
    this.#port.unref();
    this.#pool = new Piscina({
      filename: entryPoint(import.meta.url, './nic-worker.js'),
      minThreads: 1,
      maxThreads: 1,
      // The task never yields to the worker's event loop, so nothing is gained by waiting for more.
      atomics: 'disabled',
    });
    const task: WorkerTask = {
      port: channel.port2,
      fabric: options.fabric,
      base: options.base,
      publicPath: publicSegment.path,
      privatePath: privateSegment.path,
      pipePath: options.pipePath,
      hostSignal: this.#signal.fd,
      bounce: options.bounce,
      control,
      spinNanos: options.spinNanos,
      costs: options.costs,
    };
    this.#task = this.#pool
      .run(task, { transferList: [channel.port2] })
      .catch((thrown: unknown) => {
        this.#failure = thrown;
      });
  }

  /** Starts the worker and waits until its engine is ready. */
  static async start(options: WorkerPortOptions): Promise<WorkerPort> {
    const port = new WorkerPort(options);
    port.#port.ref();
    const ready = new Promise<void>((resolve) => {
      port.#port.once('message', () => {
        resolve();
      });
    });
    await Promise.race([ready, port.#task]);
    if (port.#failure !== null) {
      await port.#end();
      throw new Error('the NIC worker did not start', { cause: port.#failure });
    }
    port.#port.unref();
    return port;
  }

  command(command: EngineCommand): void {
    const { arena } = this.#options;
    const view = arena.view;
    this.#port.postMessage(command);
    this.#commands = (this.#commands + 1) | 0;
    view.exchange(this.#control + COMMANDS_POSTED, this.#commands);
    this.#wakeIfParked();
    const done = this.#control + COMMANDS_DONE;
    for (let spin = 0; spin < SPINS_BEFORE_SLEEP; spin++) {
      if (view.loadAcquire(done) === this.#commands) return;
    }
    // Each wait ends by itself after a while, so that a dead worker is noticed here and nowhere else.
    const giveUp = native.now() + COMMAND_NANOS_MAX;
    for (;;) {
      const seen = view.loadAcquire(done);
      if (seen === this.#commands) return;
      if (this.#failure !== null || native.now() > giveUp) {
        throw new Error('the NIC worker does not answer', { cause: this.#failure });
      }
      waitOnWord(arena, done, seen, COMMAND_NANOS_MAX);
    }
  }

  halfOf(): null {
    return null;
  }

  sendPosted(slot: number, stateWord: number): void {
    this.#ringIfArmed(slot, stateWord);
  }

  receivePosted(slot: number, stateWord: number): void {
    this.#ringIfArmed(slot, stateWord);
  }

  roomMade(): void {
    this.#wakeIfParked();
  }

  drainEvents(handle: (event: EngineEvent) => void): number {
    const posted = this.#options.arena.view.loadAcquire(this.#control + EVENTS_POSTED);
    let drained = 0;
    while (this.#events !== posted) {
      const received = receiveMessageOnPort(this.#port);
      if (received === undefined) break;
      this.#events = (this.#events + 1) | 0;
      drained++;
      handle(received.message as EngineEvent);
    }
    return drained;
  }

  progressOf(): number {
    return 0;
  }

  doWork(): number {
    return 0;
  }

  arm(): void {
    this.#options.arena.view.exchange(this.#control + HOST_PARKED, PARKED_FUTEX);
  }

  disarm(): void {
    this.#options.arena.view.storeRelease(this.#control + HOST_PARKED, PARKED_NO);
  }

  deadline(): number {
    return Infinity;
  }

  async close(): Promise<void> {
    if (this.#failure === null) this.command({ type: 'close' });
    await this.#task;
    await this.#end();
  }

  async #end(): Promise<void> {
    this.#options.reactor.unwatch(this.#signalToken);
    this.#signal.close();
    this.#port.close();
    await this.#pool.destroy();
    this.#options.ended();
  }

  #wakeIfParked(): void {
    const parked = this.#options.arena.view.loadAcquire(this.#header + ENGINE_PARKED);
    if (parked !== PARKED_NO) this.#options.wakeEngine();
  }

  #ringIfArmed(slot: number, stateWord: number): void {
    if (this.#options.arena.view.loadAcquire(stateWord + STATE_ARMED) === 0) return;
    this.#options.ringOwnDoorbell(slot);
  }
}
