// The short ways of a session, sendSmall and receiveSmall: what they take, what they leave to the long
// way, and that the stream is the same. The model runs (model.test.ts) go them too.

import { expect, it } from 'vitest';
import { RequestFlag, RequestState } from '../../../switch/session/session.js';
import { ownBytes, pattern } from './end.js';
import { Pair } from './pair.js';

const SMALL = 64;
/** More than there are credits for. */
const MANY = 40;

it('a small send is one message, taken whole by the receive that waits for it [XFER-05]', () => {
  const pair = Pair.connected();
  const receive = pair.b.receive(SMALL);
  const bytes = pattern(SMALL, 1);
  pair.a.send(bytes);
  pair.drive();
  expect([pair.a.shortSends, pair.b.shortReceives]).toEqual([1, 1]);
  expect([receive.state, receive.bytes]).toEqual([RequestState.finished, SMALL]);
  expect(ownBytes(receive)).toEqual(bytes);
  pair.finish();
  pair.expectClean();
});

it('small sends beyond the credits wait behind each other and arrive in order [XFER-06 XFER-15]', () => {
  const pair = Pair.connected();
  const sent = Array.from({ length: MANY }, (_, index) => pattern(SMALL, index));
  for (const bytes of sent) pair.a.send(bytes);
  expect(pair.a.shortSends).toBeLessThan(MANY);
  const receives = sent.map(() => pair.b.receive(SMALL, RequestFlag.waitAll));
  pair.drive();
  expect(receives.map((receive) => Buffer.from(ownBytes(receive)))).toEqual(
    sent.map((bytes) => Buffer.from(bytes)),
  );
  pair.finish();
  pair.expectClean();
});

it('what nobody waits for, or what a receive takes in part, goes the long way [XFER-05]', () => {
  const pair = Pair.connected();
  const first = pattern(SMALL, 1);
  pair.a.send(first);
  pair.drive();
  // It is stored: a receive posted now finds it, and the next message is not to overtake the rest.
  const half = pair.b.receive(SMALL / 2);
  const second = pattern(SMALL, 2);
  pair.a.send(second);
  const rest = pair.b.receive(SMALL + SMALL / 2, RequestFlag.waitAll);
  pair.drive();
  expect(pair.b.shortReceives).toBe(0);
  const all = Buffer.concat([ownBytes(half), ownBytes(rest)]);
  expect(all.equals(Buffer.concat([first, second]))).toBe(true);
  pair.finish();
  pair.expectClean();
});

it('after the end of the stream nothing small is sent any more', () => {
  const pair = Pair.connected();
  pair.a.act((session, now) => {
    session.shutdownSend(now);
  });
  expect(pair.a.session.shortWay.send(pattern(SMALL, 1), SMALL)).toBe(-1);
  pair.drive();
  pair.finish();
  pair.expectClean();
});

it('buffers that wait to be posted again keep back credits and nothing else [XFER-05 XFER-06]', () => {
  const pair = Pair.connected({ b: { spentMax: Infinity } });
  const { receiveCount } = pair.b.limits;
  const before = pair.a.session.creditsAvailable;
  const sent = Array.from({ length: receiveCount / 2 }, (_, index) => pattern(SMALL, index));
  const receives = sent.map(() => pair.b.receive(SMALL));
  for (const bytes of sent) pair.a.send(bytes);
  pair.drive();
  expect(receives.map(ownBytes)).toEqual(sent);
  expect(pair.b.spent.length).toBe(sent.length);
  expect(pair.b.session.receivesPosted.now).toBe(receiveCount - sent.length);
  // A message of this side grants only what is posted.
  pair.a.receive(SMALL);
  pair.b.send(pattern(SMALL, 0));
  pair.drive();
  expect(pair.a.session.creditsAvailable).toBe(before - sent.length);
  // Posted again they are half of all, which an update says by itself.
  pair.b.repost();
  pair.drive();
  expect(pair.b.session.receivesPosted.now).toBe(receiveCount);
  expect(pair.a.session.creditsAvailable).toBeGreaterThanOrEqual(before);
  pair.finish();
  pair.expectClean();
});

it('whatever takes the long way closes the short ways until the shell has done what it came to', () => {
  const pair = Pair.connected();
  const { session } = pair.a;
  const index = session.shortWay.send(pattern(SMALL, 1), SMALL);
  expect(index).toBeGreaterThanOrEqual(0);
  expect(session.shortWay.sent(index)).toBe(true);
  session.wantReadable(pair.now);
  expect(session.shortWay.send(pattern(SMALL, 1), SMALL)).toBe(-1);
  session.shortWay.settle(false);
  expect(session.shortWay.send(pattern(SMALL, 1), SMALL)).toBe(-1);
  session.shortWay.settle(true);
  expect(session.shortWay.send(pattern(SMALL, 1), SMALL)).toBeGreaterThanOrEqual(0);
});
