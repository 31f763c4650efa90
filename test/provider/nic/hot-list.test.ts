// The list of polled queue pairs: it sheds who is idle, whoever leaves is armed, and nobody who still
// has something to do leaves. And what a step of the scheduler visits, counted.

import { describe, expect, it } from 'vitest';
import { SharedView } from '../../../native/shared-view.js';
import { native } from '../../../native/load.js';
import { QUEUE_PAIR_SLOTS, segmentHeader } from '../../../native/layout/segment.layout.js';
import { CompletionRing } from '../../../provider/nic/completion-ring.js';
import { EngineQueuePair, QueuePairState, Wait } from '../../../provider/nic/engine-queue-pair.js';
import { HotList } from '../../../provider/nic/hot-list.js';
import { STATE_ARMED } from '../../../provider/nic/layout.js';
import {
  ACTIVITY_TO_STAY,
  HOT_QUEUE_PAIRS,
  RINGS_BEFORE_HOT,
  STEPS_PER_SWEEP,
} from '../../../provider/nic/limits.js';
import { ringDoorbell } from '../../../provider/nic/peer-host.js';
import { Scheduler } from '../../../provider/nic/scheduler.js';
import { RETRY_FOREVER } from '../../../provider/nic/verbs.js';

const STATE_WORDS = 32;
const HEADER = 0;
const FIRST_STATE = segmentHeader.bytes / 4;
const PATIENT = {
  minRnrTimer: 0,
  rnrRetry: RETRY_FOREVER,
  ackTimeout: 0,
  retryCount: RETRY_FOREVER,
};

function makeQueuePairs(count: number) {
  const bytes = segmentHeader.bytes + QUEUE_PAIR_SLOTS * STATE_WORDS * 4;
  const view = new SharedView(new ArrayBuffer(bytes));
  const completions = new CompletionRing(view, 0, 0, 1);
  const queuePairs = Array.from({ length: count }, (_, slot) => {
    const at = {
      sendQueue: 0,
      sendDepth: 1,
      receiveQueue: 0,
      receiveDepth: 1,
      ring: 0,
      ownState: FIRST_STATE + slot * STATE_WORDS,
    };
    const made = new EngineQueuePair({
      slot,
      number: slot,
      completions,
      sequence: 1,
      patience: PATIENT,
      isTimed: false,
      ...at,
    });
    made.state = QueuePairState.RTS;
    view.storeRelease(made.ownState + STATE_ARMED, 1);
    return made;
  });
  const isArmed = (one: EngineQueuePair): boolean =>
    view.loadPlain(one.ownState + STATE_ARMED) !== 0;
  return { view, queuePairs, isArmed };
}

function make(turn: (queuePair: EngineQueuePair) => number = () => 0) {
  const made = makeQueuePairs(3 * HOT_QUEUE_PAIRS);
  return { ...made, list: new HotList(made.view, native, turn) };
}

describe('the polled queue pairs', () => {
  it('are few; who is not polled is armed, who is polled is not', () => {
    const { list, queuePairs, isArmed } = make();
    for (const one of queuePairs) list.offer(one);
    expect(list.members.length).toBe(HOT_QUEUE_PAIRS);
    for (const one of queuePairs) expect(isArmed(one)).toBe(!one.hot);
    list.arm();
    expect(queuePairs.every(isArmed)).toBe(true);
    list.disarm();
    for (const one of queuePairs) expect(isArmed(one)).toBe(!one.hot);
  });

  it('lose those that did little between two sweeps, armed', () => {
    const { list, queuePairs, isArmed } = make();
    for (const one of queuePairs) list.offer(one);
    list.shed();
    expect(list.members.length).toBe(HOT_QUEUE_PAIRS);
    for (const one of list.members.slice(0, 2)) one.activity = ACTIVITY_TO_STAY;
    list.shed();
    expect(list.members.map((one) => one.slot)).toEqual([0, 1]);
    for (const one of queuePairs) expect(isArmed(one)).toBe(!one.hot);
  });

  it('are more than there are places for while they wait for what nobody rings for', () => {
    const { list, queuePairs } = make();
    for (const one of queuePairs) {
      one.wait = [Wait.ROOM, Wait.TIME][one.slot % 2] ?? Wait.NONE;
      list.add(one);
    }
    list.shed();
    list.shed();
    expect(list.members.length).toBe(queuePairs.length);
    // A receive is announced by whoever posts it.
    for (const one of queuePairs) one.wait = Wait.RECEIVE;
    list.shed();
    expect(list.members.length).toBe(0);
  });

  it('keep one whose last turn found work, or left some', () => {
    const found = new Set([1, 5]);
    const left = new Set([2, 6]);
    const { list, queuePairs, isArmed } = make((one) => {
      if (left.has(one.slot)) one.isHeld = true;
      return found.has(one.slot) ? 1 : 0;
    });
    for (const one of queuePairs) list.offer(one);
    list.shed();
    list.shed();
    for (const one of queuePairs) {
      expect([one.slot, one.hot]).toEqual([one.slot, found.has(one.slot) || left.has(one.slot)]);
      expect(isArmed(one)).toBe(!one.hot);
    }
  });

  it('are the same after adding and removing one twice', () => {
    const { list, queuePairs } = make();
    const [first] = queuePairs;
    if (first === undefined) throw new Error('no queue pair');
    list.add(first);
    list.add(first);
    expect(list.members.length).toBe(1);
    list.remove(first);
    list.remove(first);
    expect(list.members.length).toBe(0);
  });
});

/** A scheduler over idle queue pairs that counts its visits. `busy` find one piece of work each. */
function makeScheduler(count: number, busy: ReadonlySet<number> = new Set()) {
  const made = makeQueuePairs(count);
  const counts = { visits: 0 };
  const scheduler = new Scheduler({
    view: made.view,
    native,
    header: HEADER,
    queuePairs: made.queuePairs,
    turn: (one) => {
      counts.visits++;
      const work = busy.has(one.slot) ? 1 : 0;
      if (work > 0) one.activity++;
      return work;
    },
    flush: () => undefined,
  });
  const visits = (steps: number): number => {
    counts.visits = 0;
    for (let step = 0; step < steps; step++) scheduler.step();
    return counts.visits;
  };
  return { ...made, scheduler, visits };
}

describe('a step of the engine', () => {
  it('visits as many queue pairs with a thousand connections as with one', () => {
    const visitsWith = (count: number): number => {
      const { scheduler, queuePairs, visits } = makeScheduler(count, new Set([0]));
      for (const one of queuePairs) scheduler.offer(one);
      visits(3 * STEPS_PER_SWEEP);
      return visits(1000);
    };
    expect([visitsWith(1), visitsWith(1000), visitsWith(4000)]).toEqual([1000, 1000, 1000]);
  });

  it('visits who was rung for, once, and one that is rung for often without being asked', () => {
    const { view, queuePairs, visits } = makeScheduler(1000, new Set([777]));
    expect(visits(10)).toBe(0);
    for (let ring = 1; ring < RINGS_BEFORE_HOT; ring++) {
      ringDoorbell(view, HEADER, 777);
      expect(visits(10)).toBe(1);
    }
    ringDoorbell(view, HEADER, 777);
    expect([visits(10), queuePairs[777]?.hot]).toEqual([10, true]);
  });

  it('visits nobody for a stray bit of a slot that is not in use', () => {
    const { view, visits } = makeScheduler(10);
    ringDoorbell(view, HEADER, QUEUE_PAIR_SLOTS - 1);
    expect(visits(10)).toBe(0);
  });

  it('a rescue visits everyone who is not polled', () => {
    const { scheduler, queuePairs, visits } = makeScheduler(100, new Set([5]));
    for (const one of queuePairs) scheduler.offer(one);
    visits(1);
    expect(scheduler.rescue()).toBe(0);
    expect(queuePairs.filter((one) => one.hot).length).toBe(HOT_QUEUE_PAIRS);
  });
});
