// The receives of a session: few at first, the rest when the peer has more to say, and what becomes of a
// session that does not get them. That they are posted in turn all the while is checked by end.ts; the model
// runs (model.test.ts) have them lent too.

import { expect, it } from 'vitest';
import { RequestFlag } from '../../../switch/session/session.js';
import { type EndOptions, ownBytes, pattern, smallLimits } from './end.js';
import { Pair } from './pair.js';

const SMALL = 64;
const MANY = 40;
const limits = { ...smallLimits, receiveCount: 16, firstReceiveCount: 4 };

function connected(options: EndOptions = {}): Pair {
  return Pair.connected({ a: { limits, ...options }, b: { limits, ...options } });
}

/** One message there and one back. */
function turn(pair: Pair, index: number): void {
  pair.b.receive(SMALL);
  pair.a.send(pattern(SMALL, index));
  pair.drive();
  pair.a.receive(SMALL);
  pair.b.send(pattern(SMALL, index));
  pair.drive();
}

function sendMany(pair: Pair): void {
  const sent = Array.from({ length: MANY }, (_, index) => pattern(SMALL, index));
  const receives = sent.map(() => pair.b.receive(SMALL, RequestFlag.waitAll));
  for (const bytes of sent) pair.a.send(bytes);
  pair.drive();
  expect(receives.map((receive) => Buffer.from(ownBytes(receive)))).toEqual(
    sent.map((bytes) => Buffer.from(bytes)),
  );
}

it('a connection that carries a question and its answer has its first receives posted and no others [SESS-02 SESS-03 XFER-04]', () => {
  const pair = connected();
  expect(pair.a.posted.length).toBe(limits.firstReceiveCount);
  turn(pair, 0);
  turn(pair, 1);
  expect([pair.a, pair.b].map((end) => end.timesAskedForReceives)).toEqual([0, 0]);
  expect(pair.b.posted.length).toBe(limits.firstReceiveCount);
  pair.finish();
  pair.expectClean();
});

it('the rest of the receives are posted once a peer sends more than it is sent [XFER-04 XFER-06]', () => {
  const pair = connected();
  sendMany(pair);
  expect([pair.a, pair.b].map((end) => end.timesAskedForReceives)).toEqual([0, 1]);
  expect(pair.b.posted.length).toBe(limits.receiveCount);
  pair.finish();
  pair.expectClean();
});

it('the rest of the receives are posted once a peer has said a lot, though it was answered each time [XFER-04]', () => {
  const pair = connected();
  for (let index = 0; index < MANY; index++) turn(pair, index);
  expect([pair.a, pair.b].map((end) => end.timesAskedForReceives)).toEqual([1, 1]);
  expect(pair.a.posted.length).toBe(limits.receiveCount);
  pair.finish();
  pair.expectClean();
});

it('a session that gets no more receives goes on with those it has [XFER-04 XFER-06]', () => {
  const pair = connected({ lendsReceives: false });
  sendMany(pair);
  expect(pair.b.timesAskedForReceives).toBe(1);
  expect(pair.b.posted.length).toBe(limits.firstReceiveCount);
  pair.finish();
  pair.expectClean();
});
