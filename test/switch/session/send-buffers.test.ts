// The send buffers of a session: few at first, the rest when they are first needed, and what becomes of a
// session that does not get them. The model runs (model.test.ts) have them lent too.

import { expect, it } from 'vitest';
import { RequestFlag } from '../../../switch/session/session.js';
import { ownBytes, pattern } from './end.js';
import { Pair } from './pair.js';

const SMALL = 64;
const MANY = 40;

function sendMany(pair: Pair): void {
  const sent = Array.from({ length: MANY }, (_, index) => pattern(SMALL, index));
  for (const bytes of sent) pair.a.send(bytes);
  const receives = sent.map(() => pair.b.receive(SMALL, RequestFlag.waitAll));
  pair.drive();
  expect(receives.map((receive) => Buffer.from(ownBytes(receive)))).toEqual(
    sent.map((bytes) => Buffer.from(bytes)),
  );
}

it('the rest of the send buffers are asked for once, when the first are all on their way [XFER-04]', () => {
  const pair = Pair.connected();
  const before = pair.a.timesAskedForSends;
  for (let turn = 0; turn < 5; turn++) {
    pair.a.send(pattern(SMALL, turn));
    pair.b.receive(SMALL);
    pair.drive();
  }
  expect(pair.a.timesAskedForSends).toBe(before);
  sendMany(pair);
  expect(pair.a.timesAskedForSends).toBe(1);
  pair.finish();
  pair.expectClean();
});

it('a session that gets no more send buffers goes on with those it has [XFER-04 XFER-06]', () => {
  const pair = Pair.connected({ a: { lendsSends: false }, b: { lendsSends: false } });
  sendMany(pair);
  expect(pair.a.timesAskedForSends).toBe(1);
  pair.finish();
  pair.expectClean();
});
