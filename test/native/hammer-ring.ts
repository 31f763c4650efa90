// The smallest ring of sequence words with one producer and one consumer, for the hammer test.
//
//   word 0    consumer parked     word 16   producer parked     word 32   messages consumed
//   word 64 … slots of four words: sequence (message number + 1, written last), then three of payload

import type { SharedBlock } from './two-sided.js';
import { LINE } from './two-sided.js';

const CONSUMER_PARKED = 0;
const PRODUCER_PARKED = LINE;
const CONSUMED = 2 * LINE;
const SLOTS = 4 * LINE;
const SLOT_COUNT = 64;
const SLOT_WORDS = 4;

export const HAMMER_BYTES = (SLOTS + SLOT_COUNT * SLOT_WORDS) * 4;

const payloadOf = (message: number): number => Math.imul(message, 0x9e3779b1);

const slotOf = (message: number): number => SLOTS + (message % SLOT_COUNT) * SLOT_WORDS;

export function produce(block: SharedBlock, count: number): void {
  for (let message = 0; message < count; message++) {
    block.sleepUntil(() => message - block.load(CONSUMED) < SLOT_COUNT, PRODUCER_PARKED);
    const slot = slotOf(message);
    const payload = payloadOf(message);
    block.store(slot + 1, payload);
    block.store(slot + 2, payload ^ message);
    block.store(slot + 3, ~payload);
    block.publish(slot, message + 1);
    block.wake(CONSUMER_PARKED);
  }
}

/** Returns how many messages came in order and whole. */
export function consume(block: SharedBlock, count: number): number {
  let sound = 0;
  for (let message = 0; message < count; message++) {
    const slot = slotOf(message);
    block.sleepUntil(() => block.load(slot) === message + 1, CONSUMER_PARKED);
    const payload = payloadOf(message);
    const isWhole =
      block.load(slot + 1) === payload &&
      block.load(slot + 2) === (payload ^ message) &&
      block.load(slot + 3) === ~payload;
    if (isWhole) sound++;
    block.publish(CONSUMED, message + 1);
    block.wake(PRODUCER_PARKED);
  }
  return sound;
}
