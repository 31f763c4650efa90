// The end of a session: half-close, graceful close, loss, and what is thrown away.

import { describe, expect, it } from 'vitest';
import { MessageType } from '../../../switch/session/messages.js';
import { ActionKind, RequestFlag, RequestState } from '../../../switch/session/session.js';
import { ownBytes, pattern, WSA_OPERATION_ABORTED, WSAECONNRESET } from './end.js';
import { Pair } from './pair.js';

const WSAESHUTDOWN = 10058;

describe('half-close', () => {
  it('the peer reads all data, then 0, and the other direction goes on [SHUT-01 SHUT-02]', () => {
    const pair = Pair.connected();
    pair.a.send(pattern(10, 1));
    pair.a.act((session, now) => session.shutdownSend(now));
    pair.drive();
    expect(pair.b.session.peerHasShutdown).toBe(true);
    expect(ownBytes(pair.b.receive(100))).toEqual(pattern(10, 1));
    const end = pair.b.receive(100);
    expect([end.state, end.error, end.bytes]).toEqual([RequestState.finished, 0, 0]);
    pair.b.send(pattern(20, 2));
    pair.drive();
    expect(pair.a.read(100)).toEqual(pattern(20, 2));
    pair.expectClean();
  });

  it('a send after the end of the stream fails with WSAESHUTDOWN, and nothing reaches the provider [SHUT-01]', () => {
    const pair = Pair.connected();
    pair.a.act((session, now) => session.shutdownSend(now));
    expect(pair.a.send(pattern(1, 1)).error).toBe(WSAESHUTDOWN);
    expect(pair.a.kinds).not.toContain(ActionKind.disconnect);
  });

  it('the end waits behind large data that nobody has read yet [SHUT-01 XFER-15]', () => {
    const pair = Pair.connected();
    pair.a.send(pattern(50_000, 1));
    pair.a.act((session, now) => session.shutdownSend(now));
    pair.drive();
    expect([pair.b.session.peerHasShutdown, pair.a.session.sendFinished]).toEqual([false, false]);
    const receives = [pair.b.receive(50_000), pair.b.receive(1)];
    pair.drive();
    expect(receives.map((receive) => receive.bytes)).toEqual([50_000, 0]);
    expect([pair.b.session.peerHasShutdown, pair.a.session.sendFinished]).toEqual([true, true]);
    pair.expectClean();
  });

  it('after shutdownReceive posted and later receives fail and what arrives is thrown away [SHUT-01]', () => {
    const pair = Pair.connected();
    const posted = pair.b.receive(10);
    pair.b.act((session, now) => session.shutdownReceive(now));
    const sends = [pair.a.send(pattern(50_000, 1)), pair.a.send(pattern(500, 2))];
    pair.drive();
    expect([posted.error, pair.b.receive(10).error]).toEqual([WSAESHUTDOWN, WSAESHUTDOWN]);
    expect(sends.map((send) => send.bytes)).toEqual([50_000, 500]);
    expect(pair.b.session.readableBytes).toBe(0);
    pair.expectClean();
  });
});

describe('close', () => {
  it('a BYE that fails because the peer has closed upon its arrival is no failure [SHUT-02 CLOSE-01]', () => {
    const pair = Pair.connected();
    const transmit = pair.transmit.bind(pair);
    pair.transmit = (from, index, bytes): void => {
      transmit(from, index, bytes);
      if (bytes?.[0] !== MessageType.bye) return;
      // It arrives; its WSPSend is told of the connection's end, not of that.
      from.inFlight.pop();
      from.session.handleSendComplete(index, WSAECONNRESET, pair.now);
    };
    pair.a.act((session, now) => session.close(now));
    pair.b.act((session, now) => session.close(now));
    pair.drive();
    expect([pair.a.session.error, pair.a.session.isOver]).toEqual([0, true]);
    expect(pair.a.kinds).not.toContain(ActionKind.abort);
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])(
    'although a close loses messages on their way, both sides end without error, seed %i [SHUT-02 CLOSE-01]',
    (seed) => {
      const pair = Pair.connected({ seed });
      const receive = pair.b.receive(50_000);
      pair.a.send(pattern(50_000, 1));
      pair.finish();
      expect(receive.bytes).toBe(50_000);
      expect([pair.a.session.isOver, pair.b.session.isOver]).toEqual([true, true]);
      expect([pair.a.session.error, pair.b.session.error]).toEqual([0, 0]);
      expect([pair.a, pair.b].map((end) => end.kinds.at(-1))).toEqual(
        new Array(2).fill(ActionKind.disconnect),
      );
      pair.expectClean();
    },
  );

  it('close() delivers what was sent before it and throws away what arrives [SHUT-02]', () => {
    const pair = Pair.connected();
    const posted = pair.a.receive(10);
    pair.b.send(pattern(50_000, 4));
    pair.a.send(pattern(30_000, 1), RequestFlag.accepted);
    pair.a.act((session, now) => session.close(now));
    expect(posted.error).toBe(WSA_OPERATION_ABORTED);
    const receive = pair.b.receive(30_000);
    pair.drive();
    expect(receive.bytes).toBe(30_000);
    pair.b.act((session, now) => session.close(now));
    pair.drive();
    expect([pair.a.session.error, pair.b.session.error]).toEqual([0, 0]);
    expect([pair.a.session.isOver, pair.b.session.isOver]).toEqual([true, true]);
    pair.expectClean();
  });

  it('a peer that never ends its stream is waited for only so long [SHUT-02]', () => {
    const pair = Pair.connected();
    pair.a.act((session, now) => session.close(now));
    pair.drive();
    expect(pair.a.session.deadline).toBeLessThan(Infinity);
    pair.a.act((session) => session.handleTimer(session.deadline));
    expect(pair.a.session.isOver).toBe(true);
    pair.drive();
    expect(pair.b.session.error).toBe(WSAECONNRESET);
    pair.expectClean();
  });

  it('an abort ends every request of either side once, with the error of that side [CLOSE-01 CLOSE-02]', () => {
    const pair = Pair.connected();
    const requests = [pair.a.receive(10), pair.a.receive(10), pair.a.send(pattern(20_000, 1))];
    const peers = [pair.b.send(pattern(20_000, 2), 4), pair.b.send(pattern(70_000, 2))];
    pair.a.act((session, now) => session.abort(WSA_OPERATION_ABORTED, now));
    pair.drive();
    expect(requests.map((request) => request.error)).toEqual([995, 995, 995]);
    expect(peers.map((request) => request.error)).toContain(WSAECONNRESET);
    expect(pair.b.receive(1).error).toBe(WSAECONNRESET);
    expect(pair.a.completed.length).toBe(3);
    pair.expectClean();
  });
});
