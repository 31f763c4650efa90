// A peer that claims for ever to be in the middle of an access: it holds its owner up once, for a bounded
// time, and has lost its connection then.

import { expect, it } from 'vitest';
import { STATE_ACCESSING, STATE_ADOPTED } from '../../../provider/nic/layout.js';
import { expectEvent, INLINE, Pair, registered } from './harness/pair.js';
import { Sides, stateWordOf } from './harness/sides.js';

it('an endless access costs the peer its connection, and the owner no second wait [DEREGRDMA-02]', async () => {
  const pair = await Pair.open(INLINE);
  const sides = await Sides.open(pair);
  const { near, far } = pair;
  const more = await registered(far, sides.connection.far, { bytes: 64 });
  const state = stateWordOf(near, sides.connection.near);
  sides.words[state + STATE_ADOPTED] = sides.far.region.remoteKey | 0;
  sides.words[state + STATE_ACCESSING] = sides.far.region.remoteKey | 0;
  await far.deregister(sides.far.region.id);
  expect(await expectEvent(far, 'disconnected')).toMatchObject({ reason: 'error' });
  // Taken off the list with the connection: nothing left to wait for.
  sides.words[state + STATE_ACCESSING] = more.region.remoteKey | 0;
  await far.deregister(more.region.id);
  await expectEvent(near, 'disconnected');
  await sides.close();
  await far.release(more.block.id);
  await pair.close();
});
