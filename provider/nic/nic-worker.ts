// The engine in a thread of its own: one long-running Piscina task per host, which stands in for the
// hardware. It spins while there is work, then sleeps on its epoll instance; peers wake it through the
// host's pipe, as they would wake an inline engine.

import { receiveMessageOnPort } from 'node:worker_threads';
import { MonotonicClock } from '../../runtime/clock.js';
import { Arena } from '../../native/arena.js';
import { FabricDirectory } from '../../native/fabric-directory.js';
import { registerForBarriers, wakeWord } from '../../native/futex.js';
import { native } from '../../native/load.js';
import { Reactor } from '../../native/reactor.js';
import { Segment } from '../../native/segment.js';
import { OwnerPipe } from '../../native/wake-pipe.js';
import type { EngineCommand, EngineEvent } from './commands.js';
import { NicEngine } from './engine.js';
import type { WorkerTask } from './worker-layout.js';
import { COMMANDS_DONE, COMMANDS_POSTED, EVENTS_POSTED, HOST_PARKED } from './worker-layout.js';

/** Idle turns between two looks at the kernel: control frames and deaths may wait that long. */
const TURNS_PER_POLL = 64;
/** Sleeping ends by itself after this, so that the thread can be terminated with its process. */
const SLEEP_NANOS_MAX = 100_000_000;

export default function runEngine(task: WorkerTask): void {
  const worker = new EngineWorker(task);
  try {
    worker.run();
  } finally {
    worker.close();
  }
}

class EngineWorker {
  readonly #task: WorkerTask;
  readonly #arena = new Arena();
  readonly #clock = new MonotonicClock(() => native.now());
  readonly #reactor = new Reactor();
  readonly #public: Segment;
  readonly #private: Segment;
  readonly #pipe: OwnerPipe;
  readonly #engine: NicEngine;
  readonly #control: number;
  readonly #hostParked: number;
  #commands = 0;
  #events = 0;
  #isRunning = true;

  constructor(task: WorkerTask) {
    this.#task = task;
    this.#public = Segment.open(this.#arena, task.publicPath);
    this.#private = Segment.open(this.#arena, task.privatePath);
    this.#pipe = OwnerPipe.attach(task.pipePath);
    this.#control = this.#private.word(task.control);
    this.#hostParked = this.#control + HOST_PARKED;
    const directory = new FabricDirectory(
      task.fabric,
      task.base === null ? {} : { base: task.base },
    );
    this.#engine = new NicEngine({
      arena: this.#arena,
      native,
      directory,
      clock: this.#clock,
      reactor: this.#reactor,
      pipe: this.#pipe,
      publicSegment: this.#public,
      privateSegment: this.#private,
      bounce: task.bounce,
      hasBarrier: registerForBarriers(),
      isApart: true,
      costs: task.costs,
      report: (event) => {
        this.#report(event);
      },
    });
    task.port.postMessage({ type: 'ready' });
  }

  run(): void {
    let idleTurns = 0;
    let idleSince = 0;
    while (this.#isRunning) {
      const work = this.#doWork();
      if (work > 0) {
        idleTurns = 0;
        this.#tellHost();
        continue;
      }
      if (++idleTurns % TURNS_PER_POLL !== 0) continue;
      if (this.#reactor.poll(0) > 0) {
        // A frame or a death may have become an event, which is no work of the engine's turns.
        this.#tellHost();
        continue;
      }
      const now = this.#clock.now();
      if (idleTurns === TURNS_PER_POLL) idleSince = now;
      if (now - idleSince < this.#task.spinNanos) continue;
      this.#sleep();
      idleTurns = 0;
    }
  }

  close(): void {
    this.#engine.close();
    this.#reactor.close();
    this.#pipe.close();
    this.#private.close();
    this.#public.close();
    this.#task.port.close();
  }

  #doWork(): number {
    return this.#engine.doWork() + this.#takeCommands();
  }

  #sleep(): void {
    this.#engine.arm();
    native.barrier();
    if (this.#doWork() === 0) {
      const now = this.#clock.now();
      const limit = Math.min(SLEEP_NANOS_MAX, Math.max(0, this.#engine.deadline() - now));
      this.#reactor.poll(limit);
    }
    this.#engine.disarm();
    this.#tellHost();
  }

  #takeCommands(): number {
    const view = this.#arena.view;
    const posted = view.loadAcquire(this.#control + COMMANDS_POSTED);
    if (posted === this.#commands) return 0;
    let taken = 0;
    while (this.#commands !== posted) {
      const received = receiveMessageOnPort(this.#task.port);
      if (received === undefined) break;
      const command = received.message as EngineCommand;
      if (command.type === 'close') this.#isRunning = false;
      else this.#engine.command(command);
      this.#commands = (this.#commands + 1) | 0;
      taken++;
    }
    view.exchange(this.#control + COMMANDS_DONE, this.#commands);
    wakeWord(this.#arena, this.#control + COMMANDS_DONE);
    return taken;
  }

  #report(event: EngineEvent): void {
    this.#task.port.postMessage(event);
    this.#events = (this.#events + 1) | 0;
    this.#arena.view.storeRelease(this.#control + EVENTS_POSTED, this.#events);
  }

  /** Completions and events are in memory; a host that sleeps learns of them by its descriptor. */
  #tellHost(): void {
    if (this.#arena.view.loadAcquire(this.#hostParked) !== 0)
      native.eventSignal(this.#task.hostSignal);
  }
}
