// The list of polled queue pairs: it stays short, whoever leaves is armed, and nobody who still has
// something to do leaves.

import { expect, it } from 'vitest';
import { SharedView } from '../../../native/shared-view.js';
import { native } from '../../../native/load.js';
import { CompletionRing } from '../../../provider/nic/completion-ring.js';
import { EngineQueuePair, QueuePairState } from '../../../provider/nic/engine-queue-pair.js';
import { HotList } from '../../../provider/nic/hot-list.js';
import { STATE_ARMED } from '../../../provider/nic/layout.js';
import { HOT_QUEUE_PAIRS } from '../../../provider/nic/limits.js';

const STATE_WORDS = 32;

function make(turn: (queuePair: EngineQueuePair) => number = () => 0) {
  const view = new SharedView(new ArrayBuffer(1024 * STATE_WORDS * 4));
  const list = new HotList(view, native, turn);
  const completions = new CompletionRing(view, 0, 0, 1);
  const queuePairs = Array.from({ length: 3 * HOT_QUEUE_PAIRS }, (_, slot) => {
    const at = {
      sendQueue: 0,
      sendDepth: 1,
      receiveQueue: 0,
      receiveDepth: 1,
      ring: 0,
      ownState: slot * STATE_WORDS,
    };
    const made = new EngineQueuePair({ slot, number: slot, completions, sequence: 1, ...at });
    made.state = QueuePairState.READY;
    return made;
  });
  const isArmed = (one: EngineQueuePair): boolean =>
    view.loadPlain(one.ownState + STATE_ARMED) !== 0;
  return { list, queuePairs, isArmed };
}

it('stays short; who is not polled is armed, who is polled is not', () => {
  const { list, queuePairs, isArmed } = make();
  for (const one of queuePairs) list.add(one);
  expect(list.size).toBeLessThanOrEqual(HOT_QUEUE_PAIRS);
  for (const one of queuePairs) expect(isArmed(one)).toBe(!one.hot);
  list.arm();
  expect(queuePairs.every(isArmed)).toBe(true);
  list.disarm();
  for (const one of queuePairs) expect(isArmed(one)).toBe(!one.hot);
});

it('keeps a queue pair that waits for something', () => {
  const { list, queuePairs } = make();
  const waiting = queuePairs.slice(0, HOT_QUEUE_PAIRS / 2);
  for (const one of waiting) one.isBlocked = true;
  for (const one of queuePairs) list.add(one);
  expect(waiting.every((one) => one.hot)).toBe(true);
});

it('a queue pair whose last turn found work, or left some, is polled again', () => {
  const found = new Set([1, 5]);
  const left = new Set([2, 6]);
  const { list, queuePairs, isArmed } = make((one) => {
    if (left.has(one.slot)) one.isBlocked = true;
    return found.has(one.slot) ? 1 : 0;
  });
  for (const one of queuePairs.slice(0, HOT_QUEUE_PAIRS + 1)) list.add(one);
  for (const one of queuePairs.slice(0, 8)) {
    expect([one.slot, one.hot]).toEqual([one.slot, found.has(one.slot) || left.has(one.slot)]);
    expect(isArmed(one)).toBe(!one.hot);
  }
});

it('removing and adding twice changes nothing more', () => {
  const { list, queuePairs } = make();
  const [first] = queuePairs;
  if (first === undefined) throw new Error('no queue pair');
  list.add(first);
  list.add(first);
  expect(list.size).toBe(1);
  list.remove(first);
  list.remove(first);
  expect(list.size).toBe(0);
});
