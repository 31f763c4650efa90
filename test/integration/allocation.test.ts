// Small messages allocate nothing on the JavaScript heap and leave nothing behind, neither below the
// switch nor above it.

import { expect, it } from 'vitest';
import { Child } from './child.js';
import { newFabric } from './fixture.js';

const MESSAGES = 200_000;
/** 64 bytes per thousand messages of a round: less than an object in any of them. */
const ROUND_BYTES_MAX = 1_280;
/** The smallest object that V8 makes: one for every fourth message would be found. */
const OBJECT_BYTES_MIN = 16;

it.each(['provider', 'switch'])(
  'the %s path keeps no memory of the messages it has carried',
  async (path) => {
    const plan = { fabric: newFabric(), path, messages: MESSAGES, roundBytesMax: ROUND_BYTES_MAX };
    const child = new Child('allocation', plan, {
      nodeArguments: ['--expose-gc', '--max-semi-space-size=64'],
    });
    const { grown, messagesPerRound, allocatedPerMessage } = await child.said<{
      grown: number[];
      messagesPerRound: number;
      allocatedPerMessage: number;
    }>();
    expect(await child.ended).toBe(0);
    console.log(
      `${path}: heap growth per ${messagesPerRound} messages: ${grown.join(', ')} B; ` +
        `${allocatedPerMessage.toFixed(1)} B allocated per message`,
    );
    expect(grown.length * messagesPerRound).toBeGreaterThanOrEqual(MESSAGES);
    expect(Math.min(...grown.map(Math.abs))).toBeLessThanOrEqual(ROUND_BYTES_MAX);
    expect(allocatedPerMessage).toBeLessThan(OBJECT_BYTES_MIN / 4);
  },
);
