// A NIC on a thread that never spins: between any two messages it arms, fences, and sleeps in its
// reactor, as docs/shared-memory.md says. Blocks its thread while it waits.

import { MonotonicClock, seconds } from '../../../../runtime/clock.js';
import { ProgressLoop } from '../../../../runtime/progress.js';
import { Arena } from '../../../../native/arena.js';
import { sleeperBarrier } from '../../../../native/futex.js';
import { native } from '../../../../native/load.js';
import { Reactor } from '../../../../native/reactor.js';
import type { CompletionQueue, NicEvent, QueuePair } from '../../../../provider/nic/device.js';
import type { OpenedNic } from '../../../../provider/nic/open-nic.js';
import { openNic } from '../../../../provider/nic/open-nic.js';
import { Opcode, WcStatus, WorkCompletion, WorkRequest } from '../../../../provider/nic/verbs.js';
import type { EndOptions } from './end.js';

const GIVE_UP = seconds(15);

export class Sleeper {
  readonly opened: OpenedNic;
  readonly completions: CompletionQueue;
  /** How often the thread slept. */
  sleeps = 0;
  readonly #clock = new MonotonicClock(() => native.now());
  readonly #loop: ProgressLoop;
  readonly #reactor: Reactor;
  readonly #completion = new WorkCompletion();
  readonly #request = new WorkRequest();
  #received = 0;
  #receivedFrom = 0;

  private constructor(opened: OpenedNic, reactor: Reactor) {
    this.opened = opened;
    this.#reactor = reactor;
    const { nic } = opened;
    this.completions = nic.createCompletionQueue(1024);
    const park = (deadline: number): void => {
      this.sleeps++;
      reactor.poll(Math.max(0, deadline - native.now()));
    };
    this.#loop = new ProgressLoop(this.#clock, { fence: sleeperBarrier, park }, { spinNanos: 0 });
    this.#loop.add({
      role: 'nic',
      doWork: () => reactor.poll(0) + nic.progress(),
      arm: () => {
        nic.port.arm();
      },
      disarm: () => {
        nic.port.disarm();
      },
      deadline: () => nic.port.deadline(),
    });
  }

  static async open(options: EndOptions): Promise<Sleeper> {
    const reactor = new Reactor();
    const opened = await openNic({
      ...options,
      arena: new Arena(1024 * 2 ** 20),
      native,
      reactor,
      clock: new MonotonicClock(() => native.now()),
      pin: 'off',
      spinNanos: 0,
      segmentBytes: 32 * 2 ** 20,
      warn: () => undefined,
    });
    return new Sleeper(opened, reactor);
  }

  queuePair(): QueuePair {
    const made = this.opened.nic.createQueuePair({
      completionQueue: this.completions,
      sendDepth: 16,
      receiveDepth: 16,
    });
    if (made === null) throw new Error('no queue pair is left');
    return made;
  }

  event(): NicEvent {
    let found: NicEvent | null = null;
    this.#until('an event', () => (found ??= this.opened.nic.pollEvent()) !== null);
    if (found === null) throw new Error('no event');
    return found;
  }

  /** Posts an empty receive, or an empty message. */
  post(kind: 'send' | 'receive', queuePair: QueuePair): void {
    this.#request.opcode = Opcode.SEND;
    const result =
      kind === 'send' ? queuePair.postSend(this.#request) : queuePair.postReceive(this.#request);
    if (result !== 0) throw new Error(`not posted: ${result}`);
  }

  /** Waits for the next message and returns the slot of its queue pair. */
  message(): number {
    const before = this.#received;
    this.#until('a message', () => {
      while (this.#received === before && this.completions.poll(this.#completion)) this.#take();
      return this.#received > before;
    });
    return this.#receivedFrom;
  }

  async close(): Promise<void> {
    await this.opened.close();
    this.#reactor.close();
  }

  #take(): void {
    const { status, opcode, queuePair } = this.#completion;
    if (status !== WcStatus.SUCCESS) throw new Error(`completed with status ${status}`);
    if (opcode !== Opcode.RECV) return;
    this.#received++;
    this.#receivedFrom = queuePair;
  }

  #until(what: string, done: () => boolean): void {
    if (this.#loop.waitUntil(done, native.now() + GIVE_UP)) return;
    throw new Error(
      `gave up waiting for ${what}, after ${this.#received} messages and ${this.sleeps} sleeps`,
    );
  }
}
