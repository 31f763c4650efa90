// The short ways of a session, sendSmall and receiveSmall: what they take, what they leave to the long
// way, and that the stream is the same. The model runs (model.test.ts) go them too.

import { expect, it } from 'vitest';
import { RequestFlag, RequestState } from '../../../switch/session/session.js';
import { ownBytes, Pair, pattern } from './pair.js';

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
