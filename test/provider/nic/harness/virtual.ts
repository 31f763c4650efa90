// Two connected ends on one virtual clock, in one thread: time passes only when nothing else can happen,
// and then exactly to the next deadline. It must not know what is tested.

import { expect } from 'vitest';
import type { Nanos } from '../../../../runtime/clock.js';
import { VirtualClock } from '../../../../runtime/clock.js';
import type { CostModel, CostModelName } from '../../../../provider/nic/cost-model.js';
import type { Block, Completion, QueueOptions, Region } from './end.js';
import { LocalEnd } from './end.js';
import { expectEvent, FAR, Machine, NEAR, registered } from './pair.js';

/** Turns without work after which nothing happens before the next deadline. */
const QUIET_TURNS = 600;
const DEADLINES_MAX = 1000;
const START: Nanos = 1_000_000_007;

/** One end, its queue pair, and memory registered for it. */
export interface Side {
  readonly end: LocalEnd;
  readonly slot: number;
  readonly block: Block;
  readonly region: Region;
}

export interface Timed extends Completion {
  /** When it became visible. */
  readonly at: Nanos;
}

export class VirtualPair {
  readonly clock: VirtualClock;
  readonly machine: Machine;
  readonly near: Side;
  readonly far: Side;

  private constructor(clock: VirtualClock, machine: Machine, near: Side, far: Side) {
    this.clock = clock;
    this.machine = machine;
    this.near = near;
    this.far = far;
  }

  static async open(
    options: {
      costModel?: CostModelName | CostModel;
      near?: QueueOptions;
      far?: QueueOptions;
      bytes?: number;
    } = {},
  ): Promise<VirtualPair> {
    const { near = {}, far = {}, bytes = 2 ** 20, ...model } = options;
    const clock = new VirtualClock(START);
    const machine = new Machine();
    const open = (address: number): Promise<LocalEnd> =>
      LocalEnd.open(machine.loop, { ...machine.options(address), ...model }, clock);
    const [nearEnd, farEnd] = [await open(NEAR), await open(FAR)];
    await farEnd.listen(80);
    const nearSlot = await nearEnd.queuePair(near);
    await nearEnd.connect(nearSlot, FAR, 80);
    const { requestId } = await expectEvent(farEnd, 'connect-request');
    const farSlot = await farEnd.queuePair(far);
    await farEnd.accept(farSlot, requestId);
    await expectEvent(farEnd, 'established');
    await expectEvent(nearEnd, 'established');
    const pair = new VirtualPair(
      clock,
      machine,
      { end: nearEnd, slot: nearSlot, ...(await registered(nearEnd, nearSlot, { bytes })) },
      { end: farEnd, slot: farSlot, ...(await registered(farEnd, farSlot, { bytes })) },
    );
    // What registering cost is over, and the handshake.
    pair.quiesce();
    clock.advance(1e9);
    return pair;
  }

  /** Runs at the present time until nothing moves. */
  quiesce(): void {
    for (let idle = 0; idle < QUIET_TURNS; ) idle = this.machine.loop.turn() > 0 ? 0 : idle + 1;
  }

  /** Lets time pass to the next deadline of either NIC. False when there is none. */
  advance(): boolean {
    const deadline = this.nextDeadline();
    if (deadline === Infinity) return false;
    this.clock.advanceTo(deadline);
    return true;
  }

  nextDeadline(): Nanos {
    const deadlines = [this.near, this.far].map(({ end }) => end.opened.nic.port.deadline());
    return Math.min(...deadlines);
  }

  /** Runs until `side` has `count` completions, and says when each became visible. */
  async completions(side: Side, count: number): Promise<Timed[]> {
    const found: Timed[] = [];
    for (let deadlines = 0; deadlines < DEADLINES_MAX; deadlines++) {
      this.quiesce();
      const at = this.clock.now();
      for (const one of await side.end.completionsNow(side.slot)) found.push({ ...one, at });
      if (found.length >= count || !this.advance()) break;
    }
    expect(found.length).toBe(count);
    return found;
  }

  async close(): Promise<void> {
    for (const { end } of [this.near, this.far]) await end.close();
    expect(this.machine.files()).toEqual([]);
    this.machine.close();
  }
}
