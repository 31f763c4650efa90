// Giving up: single operations, and all of them at close(). What has left cannot be taken back, so a
// stream that misses something is cut: its peer learns that this is not the end that was meant.

import { describe, expect, it } from 'vitest';
import { WSAECONNABORTED, WSAETIMEDOUT } from '../../../provider/spi/error-codes.js';
import {
  RequestFlag,
  RequestState,
  type Session,
  type SessionRequest,
} from '../../../switch/session/session.js';
import { ownBytes, pattern, smallLimits } from './end.js';
import { Pair } from './pair.js';
import { WSA_OPERATION_ABORTED, WSAECONNRESET, WSAENOBUFS } from './end.js';

const large = 50_000;
const outcome = ({ state, error, bytes }: SessionRequest): unknown[] => [state, error, bytes];
const cancelSend = (pair: Pair, send: SessionRequest): boolean => {
  let found = false;
  pair.a.act((session, now) => {
    found = session.cancelSend(send, now);
  });
  return found;
};
const stopped = { limits: { ...smallLimits, windowBytes: 256, messageBytes: 256 } };

describe('a send that is given up', () => {
  it('before any of it has left goes without a trace, and the stream goes on [BLK-04]', () => {
    const pair = Pair.connected({ a: stopped, b: stopped });
    const sends = [1, 2, 3].map((seed) => pair.a.send(pattern(200, seed)));
    pair.drive();
    const [first, second, third] = sends as [SessionRequest, SessionRequest, SessionRequest];
    expect(outcome(first)).toEqual([RequestState.finished, 0, 200]);
    expect(third.assigned).toBe(0);
    expect(cancelSend(pair, third)).toBe(true);
    expect(outcome(third)).toEqual([RequestState.finished, WSA_OPERATION_ABORTED, 0]);
    pair.a.send(pattern(10, 4));
    const receive = pair.b.receive(410, RequestFlag.waitAll);
    pair.drive();
    const whole = Buffer.concat([pattern(200, 1), pattern(200, 2), pattern(10, 4)]);
    expect(Buffer.compare(ownBytes(receive), whole)).toBe(0);
    expect(second.error).toBe(0);
    expect(cancelSend(pair, second)).toBe(false);
    pair.expectClean();
  });

  it('while its memory waits to be announced takes its registration back [BLK-04 XFER-13]', () => {
    const pair = Pair.connected({ a: { limits: smallLimits }, b: { limits: smallLimits } });
    const sends = [1, 2, 3].map((seed) => pair.a.send(pattern(5_000, seed)));
    pair.drive();
    const last = sends[2] as SessionRequest;
    expect(last.assigned).toBe(0);
    expect(cancelSend(pair, last)).toBe(true);
    expect(outcome(last)).toEqual([RequestState.finished, WSA_OPERATION_ABORTED, 0]);
    const receive = pair.b.receive(10_000, RequestFlag.waitAll);
    pair.drive();
    expect(receive.bytes).toBe(10_000);
    pair.expectClean();
  });

  it.each([true, false])(
    'after it was announced ends when the peer has said so; the stream is cut there, peer reads %s [BLK-05 W9.10.1]',
    (rdmaRead) => {
      const pair = Pair.connected({ b: { rdmaRead } });
      pair.a.send(pattern(10, 1));
      const send = pair.a.send(pattern(large, 2));
      const behind = pair.a.send(pattern(20, 3));
      pair.drive();
      expect(pair.a.session.sendRefusal).toBe(0);
      expect(cancelSend(pair, send)).toBe(true);
      // A nonblocking send is told so as well: there will never be room for it.
      expect([pair.a.session.sendRefusal, pair.a.session.sendSpace]).toEqual([WSAECONNABORTED, 0]);
      expect([send.state, behind.error]).toEqual([RequestState.queued, 0]);
      pair.drive();
      expect([send.state, send.error]).toEqual([RequestState.finished, WSA_OPERATION_ABORTED]);
      const refused = pair.a.send(pattern(1, 1));
      expect(refused.error).toBe(WSAECONNABORTED);
      const [got, end] = [pair.b.receive(1000), pair.b.receive(10)];
      pair.drive();
      // The initial portion was part of the announcement; what was sent behind is behind the cut.
      expect([got.bytes, got.error, end.bytes, end.error]).toEqual([266, 0, 0, WSAECONNRESET]);
      expect([pair.b.session.isAtEnd, pair.b.session.endError]).toEqual([true, WSAECONNRESET]);
      pair.expectClean();
    },
  );

  it('takes the registration of the next one back, which is refused behind the cut [BLK-04 XFER-13]', () => {
    const pair = Pair.connected({ a: { limits: smallLimits }, b: { limits: smallLimits } });
    const first = pair.a.send(pattern(5_000, 1));
    while (first.assigned === 0) expect(pair.step()).toBe(true);
    // Whatever may be sent now is on its way: the next one is registered, and cannot be announced.
    pair.a.send(pattern(60, 2));
    const second = pair.a.send(pattern(5_000, 5));
    const registered = pair.a.registered.size;
    expect([registered, second.assigned]).toEqual([2, 0]);
    expect(cancelSend(pair, first)).toBe(true);
    expect(outcome(second)).toEqual([RequestState.finished, WSAECONNABORTED, 0]);
    expect(pair.a.registered.size).toBe(registered - 1);
    // The request is its owner's again: what becomes of the connection does not touch it.
    const before = second.next;
    const receive = pair.a.receive(10);
    pair.a.act((session, now) => {
      session.abort(WSAECONNRESET, now);
    });
    expect([second.next, receive.error]).toEqual([before, WSAECONNRESET]);
    pair.drive();
    pair.expectClean();
  });

  it.each([true, false])(
    'while RDMA is at work ends after it, and what it moved arrives, peer reads %s [BLK-05]',
    (rdmaRead) => {
      const pair = Pair.connected({ b: { rdmaRead } });
      const send = pair.a.send(pattern(large, 2));
      const receive = pair.b.receive(large);
      while (pair.a.calls.size + pair.b.calls.size === 0) expect(pair.step()).toBe(true);
      expect(cancelSend(pair, send)).toBe(true);
      expect(send.state).toBe(RequestState.queued);
      pair.drive();
      expect([send.error, receive.error, receive.bytes]).toEqual([WSA_OPERATION_ABORTED, 0, large]);
      pair.expectClean();
    },
  );

  it('is waited for only so long when the peer does not move: the connection goes [BLK-05 W14.10]', () => {
    const pair = Pair.connected();
    const send = pair.a.send(pattern(large, 2));
    cancelSend(pair, send);
    const { deadline } = pair.a.session;
    expect(deadline).toBeLessThan(Infinity);
    pair.a.act((session) => {
      session.handleTimer(deadline);
    });
    expect(outcome(send)).toEqual([RequestState.finished, WSA_OPERATION_ABORTED, 0]);
    expect(pair.a.session.error).toBe(WSAECONNABORTED);
    pair.drive();
    pair.expectClean();
  });
});

describe('a send whose second part was refused', () => {
  it.each([
    [
      'cancelled',
      (session: Session, now: number, it: SessionRequest) => session.cancelSend(it, now),
    ],
    ['closed', (session: Session, now: number) => session.close(now)],
    ['lost', (session: Session, now: number) => session.handleDisconnect(WSAECONNRESET, now)],
  ] as const)(
    'says so, and how much of it went, also when it is %s before the first has ended [XFER-13 W9.3 W9.10.1]',
    (_how, end) => {
      let registrations = 0;
      const a = {
        get registrationFailureEvery() {
          return registrations++ === 0 ? 0 : 1;
        },
      };
      const pair = Pair.connected({ a });
      const whole = pattern(2 * large, 1);
      const receive = pair.b.receive(2 * large);
      const send = pair.a.send(whole, 0, large);
      while (receive.state !== RequestState.finished && pair.step());
      expect(send.state).toBe(RequestState.queued);
      pair.a.act((session, now) => end(session, now, send));
      pair.drive();
      expect(outcome(send)).toEqual([RequestState.finished, WSAENOBUFS, large]);
      expect(Buffer.compare(ownBytes(receive), whole.subarray(0, large))).toBe(0);
    },
  );
});

describe('close()', () => {
  it('gives up sends that the application has not been told of, and cuts the stream [W9.10.1 CLOSE-02]', () => {
    const pair = Pair.connected();
    const small = pair.a.send(pattern(100, 1));
    const sends = [2, 3, 4].map((seed) => pair.a.send(pattern(large, seed)));
    pair.drive();
    pair.a.act((session, now) => {
      session.close(now);
    });
    pair.drive();
    expect(small.error).toBe(0);
    expect(sends.map(({ error }) => error)).toEqual(sends.map(() => WSA_OPERATION_ABORTED));
    expect(pair.b.read(1000).length).toBe(356);
    const end = pair.b.receive(10);
    expect([end.error, end.bytes]).toEqual([WSAECONNRESET, 0]);
    pair.b.act((session, now) => {
      session.close(now);
    });
    pair.drive();
    expect([pair.a.session.error, pair.b.session.error]).toEqual([0, 0]);
    pair.expectClean();
  });

  it('after shutdownSend still cuts what the peer has not fetched [W9.10.1 SHUT-01]', () => {
    const pair = Pair.connected();
    const send = pair.a.send(pattern(large, 1));
    pair.a.act((session, now) => {
      session.shutdownSend(now);
    });
    pair.drive();
    expect(send.state).toBe(RequestState.queued);
    pair.a.act((session, now) => {
      session.close(now);
    });
    pair.drive();
    expect(send.error).toBe(WSA_OPERATION_ABORTED);
    expect([pair.b.receive(1000).bytes, pair.b.receive(10).error]).toEqual([256, WSAECONNRESET]);
    pair.expectClean();
  });

  it('delivers what is the switch’s own, however long the peer takes it piece by piece [W12.4]', () => {
    const pair = Pair.connected({ a: stopped, b: stopped });
    pair.a.send(pattern(3_000, 1), RequestFlag.accepted | RequestFlag.byMessage);
    pair.a.act((session, now) => {
      session.close(now);
    });
    let got = 0;
    for (let count = 1; count > 0; got += count) {
      pair.drive();
      // Each step of the peer begins the wait anew.
      pair.now += smallLimits.closeNanosMax / 5;
      expect(pair.a.session.deadline).toBeGreaterThan(pair.now);
      count = pair.b.read(100).length;
    }
    expect(got).toBe(3_000);
    expect(pair.now).toBeGreaterThan(smallLimits.drainNanosMax);
    expect(pair.b.session.endError).toBe(0);
  });

  it('gives a peer up that leaves it unread for too long [W12.4 W12.5]', () => {
    const pair = Pair.connected({ a: stopped, b: stopped });
    pair.a.send(pattern(3_000, 1), RequestFlag.accepted | RequestFlag.byMessage);
    pair.a.act((session, now) => {
      session.close(now);
    });
    pair.drive();
    const { deadline } = pair.a.session;
    expect(deadline - pair.now).toBeLessThanOrEqual(smallLimits.drainNanosMax);
    pair.a.act((session) => {
      session.handleTimer(deadline);
    });
    expect([pair.a.session.isOver, pair.a.session.error]).toEqual([true, WSAETIMEDOUT]);
    pair.drive();
    pair.expectClean();
  });
});
