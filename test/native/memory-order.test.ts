// Memory order between two processes: a hammered ring with every message accounted for, and litmus
// tests whose forbidden outcome must never show. The allowed outcomes are in the tables.

import { describe, expect, it } from 'vitest';
import { seconds } from '../../runtime/clock.js';
import { Prng } from '../../runtime/prng.js';
import { native } from '../../native/load.js';
import { HAMMER_BYTES, produce } from './hammer-ring.js';
import { ownedBlock, startChild } from './helpers.js';
import { LITMUS_BYTES, produceForSleeper, writeMessages } from './litmus.js';

const MESSAGES = 200_000;
const SEED = 20_260_102;

describe('two processes', () => {
  it('pass every message of a ring of sequence words, whole and in order, sleeping whenever idle', async () => {
    const { block, args } = ownedBlock(HAMMER_BYTES);
    const child = startChild('two-sided', ['consume', ...args, String(MESSAGES)]);
    expect(await child.line()).toBe('ready');
    produce(block, MESSAGES);
    expect(await child.line()).toBe(String(MESSAGES));
    expect(await child.ended).toBe(0);
  });

  it('see the data of a message once they see its sequence word', async () => {
    const { block, args } = ownedBlock(LITMUS_BYTES);
    const child = startChild('two-sided', ['messages', ...args, '0']);
    expect(await child.line()).toBe('ready');
    child.send('go');
    // One second of turns, so that the child, which needs the event loop's line, is under way.
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    writeMessages(block, native.now() + seconds(1));
    const outcomes = new Map(JSON.parse(await child.line()) as [string, number][]);
    const allowed = ['data of this message', 'newer data'];
    expect([...outcomes.keys()].filter((outcome) => !allowed.includes(outcome))).toEqual([]);
    expect(await child.ended).toBe(0);
  });

  it('never both miss each other in the sleep protocol', async () => {
    const { block, args } = ownedBlock(LITMUS_BYTES);
    const child = startChild('two-sided', ['sleeper', ...args, String(SEED + 1)]);
    expect(await child.line()).toBe('ready');
    const outcomes = produceForSleeper(block, new Prng(SEED), native.now() + seconds(2));
    const allowed = ['both see', 'producer wakes', 'sleeper sees'];
    expect([...outcomes.keys()].filter((outcome) => !allowed.includes(outcome))).toEqual([]);
    expect([...outcomes.values()].reduce((sum, one) => sum + one, 0)).toBeGreaterThan(0);
    expect(await child.line()).toBe('done');
    expect(await child.ended).toBe(0);
  });
});
