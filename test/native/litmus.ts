// Two litmus shapes, each side as a function over the same block. Every outcome is counted.
//
// Message passing:  one side stores data, then the sequence word; the other loads them in reverse.
// Sleep protocol:   the producer stores the slot, then looks at the flag; the sleeper arms the flag
//                   (with its barrier), then looks at the slot. That neither sees the other is the one
//                   outcome that would lose a wake-up.

import { native } from '../../native/load.js';
import type { Prng } from '../../runtime/prng.js';
import type { SharedBlock } from './two-sided.js';
import { LINE } from './two-sided.js';

const ROUND = 0;
const ANSWERED = LINE;
const FIRST = 2 * LINE; // data, or the slot
const SECOND = 3 * LINE; // the sequence word, or the flag
const SEEN = 4 * LINE; // what the child saw in this round
export const LITMUS_BYTES = 5 * LINE * 4;

/** The round number that ends a run. */
const STOP = 0x7fffffff;

export type Outcomes = Map<string, number>;

function count(outcomes: Outcomes, outcome: string): void {
  outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
}

/** Some work of random length, so that the sides meet in every order. */
function wobble(prng: Prng): number {
  let sum = 0;
  for (let left = prng.below(60); left > 0; left--) sum += left;
  return sum;
}

/** Writes data and sequence as fast as it can, until `deadline`. */
export function writeMessages(block: SharedBlock, deadline: number): void {
  for (let value = 1; value < STOP; value++) {
    block.store(FIRST, value);
    block.store(SECOND, value);
    if (value % 256 === 0 && native.now() > deadline) break;
  }
  block.store(ROUND, STOP);
}

export function readMessages(block: SharedBlock): Outcomes {
  const outcomes: Outcomes = new Map();
  while (block.load(ROUND) !== STOP) {
    const sequence = block.load(SECOND);
    const data = block.load(FIRST);
    count(
      outcomes,
      data === sequence ? 'data of this message' : data > sequence ? 'newer data' : 'OLDER DATA',
    );
  }
  return outcomes;
}

/** The producer's side, which also counts, until `deadline`. */
export function produceForSleeper(block: SharedBlock, prng: Prng, deadline: number): Outcomes {
  const outcomes: Outcomes = new Map();
  for (let round = 1; native.now() < deadline; round++) {
    block.store(ROUND, round);
    wobble(prng);
    block.publish(FIRST, round);
    const sawFlag = block.load(SECOND) === round;
    block.await(ANSWERED, round);
    const sawSlot = block.load(SEEN) === round;
    count(
      outcomes,
      sawFlag
        ? sawSlot
          ? 'both see'
          : 'producer wakes'
        : sawSlot
          ? 'sleeper sees'
          : 'NEITHER SEES',
    );
  }
  block.store(ROUND, STOP);
  return outcomes;
}

export function sleepForProducer(block: SharedBlock, prng: Prng): void {
  for (let round = 1; ; round++) {
    block.await(ROUND, round);
    if (block.load(ROUND) === STOP) return;
    wobble(prng);
    block.arm(SECOND, round);
    block.store(SEEN, block.load(FIRST));
    block.publish(ANSWERED, round);
  }
}
