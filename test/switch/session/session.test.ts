// What two sessions do with each other: negotiation, small and large data, order, registration
// failures. Model-based runs are model.test.ts; the end of a session is close.test.ts.

import { describe, expect, it } from 'vitest';
import {
  ActionKind,
  defaultSessionLimits,
  RequestFlag,
  RequestState,
  type SessionRequest,
} from '../../../switch/session/session.js';
import { ownBytes, pattern, smallLimits, WSA_OPERATION_ABORTED, WSAENOBUFS } from './end.js';
import { Pair } from './pair.js';

const large = 65_536;

/** Comparing long arrays element by element is slow; this is not. */
const same = (receive: SessionRequest) => (bytes: Uint8Array) =>
  Buffer.compare(ownBytes(receive), bytes) === 0;

describe('negotiation', () => {
  it('both sides post all receives before they speak, and the connector speaks first [SESS-01 SESS-02 SESS-03 W14.6]', () => {
    const pair = new Pair();
    pair.connect();
    const posts = new Array<number>(12).fill(ActionKind.postReceive);
    expect(pair.a.kinds).toEqual([...posts, ActionKind.sendMessage]);
    expect(pair.b.kinds).toEqual(posts);
    pair.drive();
    expect(pair.b.kinds.slice(12)).toEqual([
      ActionKind.postReceive,
      ActionKind.sendMessage,
      ActionKind.connectComplete,
    ]);
    pair.expectClean();
  });

  it('the connect of the connector completes with the answer, not with the connection [CONN-05]', () => {
    const pair = new Pair();
    pair.connect();
    expect(pair.a.session.isEstablished).toBe(false);
    pair.drive();
    expect(pair.a.kinds.at(-1)).not.toBe(ActionKind.abort);
    expect(pair.a.kinds).toContain(ActionKind.connectComplete);
  });

  it('the negotiation messages fit the 256 bytes that a provider holds [SESS-05]', () => {
    const pair = new Pair();
    pair.connect();
    expect(pair.a.inFlight.map((message) => message.bytes.length)).toEqual([60]);
  });

  it('sends made before the negotiation wait for it [CONN-05]', () => {
    const pair = new Pair();
    const request = pair.a.send(pattern(10, 1));
    pair.connect();
    expect(request.state).toBe(RequestState.queued);
    pair.drive();
    expect([request.state, request.bytes]).toEqual([RequestState.finished, 10]);
  });

  it('a peer that never answers is given up [SESS-01]', () => {
    const pair = new Pair();
    pair.a.act((session, now) => session.handleConnected(now));
    expect(pair.a.session.deadline).toBe(defaultSessionLimits.negotiationNanosMax);
    pair.a.act((session) => session.handleTimer(session.deadline));
    expect(pair.a.abortError).toBe(10060);
    expect(pair.a.session.deadline).toBe(Infinity);
  });

  it('a connection lost during negotiation is a negotiation refused [SESS-01]', () => {
    const pair = new Pair();
    pair.a.act((session, now) => session.handleConnected(now));
    pair.a.act((session, now) => session.handleDisconnect(10054, now));
    expect(pair.a.abortError).toBe(10053);
  });
});

describe('small data', () => {
  it('a lone small send leaves at once in one message of header and data, and completes [XFER-02 XFER-03 APP-03]', () => {
    const pair = Pair.connected();
    const receive = pair.b.receive(100);
    const bytes = pattern(64, 1);
    const send = pair.a.send(bytes);
    expect([send.state, send.bytes]).toEqual([RequestState.finished, 64]);
    expect(pair.a.inFlight.map((message) => message.bytes.length)).toEqual([84]);
    pair.drive();
    expect(ownBytes(receive)).toEqual(bytes);
    pair.expectClean();
  });

  it('data that nobody asked for is stored and its receive posted again at once [XFER-05 W14.6]', () => {
    const pair = Pair.connected();
    pair.a.send(pattern(64, 1));
    pair.drive();
    expect(pair.b.posted.length).toBe(12);
    expect(pair.b.session.readableBytes).toBe(64);
    expect(pair.b.read(100, true)).toEqual(pattern(64, 1));
    expect(pair.b.read(10)).toEqual(pattern(64, 1).subarray(0, 10));
    expect(ownBytes(pair.b.receive(100))).toEqual(pattern(64, 1).subarray(10));
    pair.expectClean();
  });

  it('message boundaries are invisible to receives that wait for all [XFER-15]', () => {
    const pair = Pair.connected();
    const receive = pair.b.receive(100, RequestFlag.waitAll, 33);
    for (let sent = 0; sent < 100; sent += 20)
      pair.a.send(pattern(100, 7).subarray(sent, sent + 20));
    pair.drive();
    expect(ownBytes(receive)).toEqual(pattern(100, 7));
  });

  it('a send of exactly the threshold goes by message, of one more by RDMA [XFER-07 W14.7]', () => {
    const pair = Pair.connected();
    pair.b.receive(5000, RequestFlag.waitAll);
    pair.a.send(pattern(4096, 1));
    pair.drive();
    expect(pair.a.session.statistics.bytesOutByRdma).toBe(0);
    pair.a.send(pattern(4097, 1));
    pair.b.receive(5000);
    pair.drive();
    expect(pair.a.session.statistics.bytesOutByRdma).toBe(4097 - 256);
    pair.expectClean();
  });

  it('sends beyond the credits wait, are joined, and lose nothing [XFER-06]', () => {
    const pair = Pair.connected();
    const sends = Array.from({ length: 100 }, (_, index) => pair.a.send(pattern(10, index)));
    expect(pair.a.inFlight.length).toBeLessThan(12);
    pair.drive();
    expect(sends.every((send) => send.state === RequestState.finished)).toBe(true);
    expect(pair.a.session.statistics.messagesOut).toBeLessThan(30);
    expect(pair.b.read(2000).length).toBe(1000);
    pair.drive();
    pair.expectClean();
  });

  it('a receiver that does not read stops the sender at its window, not at its receives [XFER-05 XFER-06]', () => {
    const pair = Pair.connected({ a: { limits: smallLimits }, b: { limits: smallLimits } });
    const sends = Array.from({ length: 20 }, (_, index) => pair.a.send(pattern(200, index)));
    pair.drive();
    expect(pair.b.session.readableBytes).toBe(512);
    expect(pair.b.posted.length).toBe(4);
    expect(pair.a.session.sendSpace).toBe(0);
    for (let reads = 0; reads < 60; reads++) {
      pair.b.read(100);
      pair.drive();
    }
    expect(sends.every((send) => send.bytes === 200)).toBe(true);
    pair.expectClean();
  });
});

describe.each([
  { variant: 'A', rdmaRead: true },
  { variant: 'B', rdmaRead: false },
])('large data, variant $variant', ({ variant, rdmaRead }) => {
  // The capability of the receiver decides; the sender's is the opposite, to show it.
  const connected = (): Pair => Pair.connected({ a: { rdmaRead: !rdmaRead }, b: { rdmaRead } });
  const kind = variant === 'A' ? ActionKind.rdmaRead : ActionKind.rdmaWrite;

  it('bytes move between the applications’ buffers and the send completes after the receive [XFER-08 XFER-09 XFER-10 XFER-11]', () => {
    const pair = connected();
    const receive = pair.b.receive(large);
    const send = pair.a.send(pattern(large, 5));
    expect(send.state).toBe(RequestState.queued);
    pair.drive();
    expect(pattern(large, 5)).toSatisfy(same(receive));
    expect([send.state, send.bytes]).toEqual([RequestState.finished, large]);
    expect((variant === 'A' ? pair.b : pair.a).kinds).toContain(kind);
    expect((variant === 'A' ? pair.a : pair.b).kinds).not.toContain(kind);
    expect(pair.b.session.statistics.bytesInByRdma).toBe(large - 256);
    pair.expectClean();
  });

  it('one announcement fills several receives, and one receive takes several announcements [XFER-15 XFER-16]', () => {
    const pair = connected();
    const receives = [10_000, 1, 30_000, 200_000].map((length) =>
      pair.b.receive(length, RequestFlag.waitAll),
    );
    for (let index = 0; index < 3; index++) pair.a.send(pattern(80_000, index));
    pair.drive();
    pair.a.send(pattern(1, 3));
    pair.drive();
    const sent = Buffer.concat([0, 1, 2].map((index) => pattern(80_000, index)));
    const got = Buffer.concat(receives.map(ownBytes));
    expect(got.equals(Buffer.concat([sent, pattern(1, 3)]).subarray(0, got.length))).toBe(true);
    expect(receives.map((receive) => receive.bytes)).toEqual([10_000, 1, 30_000, 200_000]);
    pair.expectClean();
  });

  it('a reader that never posts gets large data through the staging buffer [XFER-15]', () => {
    const pair = connected();
    pair.a.send(pattern(200_000, 9));
    pair.drive();
    pair.b.act((session, now) => session.wantReadable(now));
    const got: Uint8Array[] = [];
    for (pair.drive(); pair.b.session.isReadable; pair.drive()) got.push(pair.b.read(7000));
    expect(Buffer.concat(got).equals(pattern(200_000, 9))).toBe(true);
    pair.expectClean();
  });

  it('a receive posted while a piece is on its way to the staging buffer gets that piece first [XFER-15]', () => {
    const pair = connected();
    pair.a.send(pattern(100_000, 9));
    pair.drive();
    // The initial portion is what lies before it; reading that starts the fetch.
    expect(pair.b.read(256).length).toBe(256);
    const receive = pair.b.receive(100_000 - 256, RequestFlag.waitAll);
    pair.drive();
    expect(pattern(100_000, 9).subarray(256)).toSatisfy(same(receive));
    pair.expectClean();
  });

  it('small sends behind a large one arrive behind it [XFER-15 XFER-18]', () => {
    const pair = connected();
    pair.a.send(pattern(10, 1));
    pair.a.send(pattern(large, 2));
    pair.a.send(pattern(10, 3));
    const receive = pair.b.receive(20 + large, RequestFlag.waitAll);
    pair.drive();
    const expected = Buffer.concat([pattern(10, 1), pattern(large, 2), pattern(10, 3)]);
    expect(expected.equals(ownBytes(receive))).toBe(true);
    pair.expectClean();
  });

  it('a transfer longer than SO_MAX_RDMA_SIZE is split [RDMA-06]', () => {
    const limits = { ...defaultSessionLimits, rdmaBytesMax: 10_000 };
    const pair = Pair.connected({ a: { limits, rdmaRead: !rdmaRead }, b: { limits, rdmaRead } });
    const receive = pair.b.receive(large);
    pair.a.send(pattern(large, 4));
    pair.drive();
    expect(pattern(large, 4)).toSatisfy(same(receive));
    const calls = [...pair.a.kinds, ...pair.b.kinds].filter((one) => one === kind);
    expect(calls.length).toBe(Math.ceil((large - 256) / 10_000));
    pair.expectClean();
  });

  it('a receive cancelled while RDMA is at work ends after it [BLK-05]', () => {
    const pair = connected();
    const receive = pair.b.receive(2 * large, RequestFlag.waitAll);
    pair.a.send(pattern(large, 4));
    while (pair.a.calls.size + pair.b.calls.size === 0) expect(pair.step()).toBe(true);
    pair.b.act((session, now) => expect(session.cancelReceive(receive, now)).toBe(true));
    expect(receive.state).toBe(RequestState.queued);
    pair.drive();
    expect([receive.state, receive.error, receive.bytes]).toEqual([2, WSA_OPERATION_ABORTED, 0]);
    pair.expectClean();
  });

  it('after a loss each request ends once, and not before the RDMA call on its memory [CLOSE-02]', () => {
    const pair = connected();
    const receive = pair.b.receive(large);
    const send = pair.a.send(pattern(large, 4));
    const caller = variant === 'A' ? pair.b : pair.a;
    const request = variant === 'A' ? receive : send;
    while (caller.calls.size === 0) expect(pair.step()).toBe(true);
    caller.act((session, now) => session.abort(10053, now));
    expect(request.state).toBe(RequestState.queued);
    pair.drive();
    expect(request.error).toBe(10053);
    const other = variant === 'A' ? send : receive;
    expect([other.state, other.error]).toEqual([RequestState.finished, 10054]);
    pair.expectClean();
  });
});

describe('cancelling', () => {
  it('a receive that waits for more of what messages carry ends at once, its data discarded [BLK-04]', () => {
    const pair = Pair.connected();
    const receive = pair.b.receive(100, RequestFlag.waitAll);
    pair.a.send(pattern(10, 1));
    pair.drive();
    pair.b.act((session, now) => expect(session.cancelReceive(receive, now)).toBe(true));
    expect([receive.error, receive.bytes]).toEqual([WSA_OPERATION_ABORTED, 0]);
    pair.b.act((session, now) => expect(session.cancelReceive(receive, now)).toBe(false));
    pair.expectClean();
  });
});

describe('registration failures', () => {
  it.each([true, false])(
    'a send whose memory cannot be registered ends with WSAENOBUFS and the stream goes on, peer reads %s [XFER-13]',
    (rdmaRead) => {
      const pair = Pair.connected({ a: { registrationFailureEvery: 1 }, b: { rdmaRead } });
      const send = pair.a.send(pattern(large, 1));
      expect([send.state, send.error, send.bytes]).toEqual([RequestState.finished, WSAENOBUFS, 0]);
      pair.a.send(pattern(10, 2));
      pair.drive();
      expect(pair.b.read(100)).toEqual(pattern(10, 2));
      pair.expectClean();
    },
  );

  it.each([true, false])(
    'a receive whose memory cannot be registered gets its data through the staging buffer, it reads %s [XFER-15]',
    (rdmaRead) => {
      const pair = Pair.connected({ b: { registrationFailureEvery: 1, rdmaRead } });
      const receives = [pair.b.receive(100_000), pair.b.receive(200_000)];
      const sends = [pattern(100_000, 1), pattern(150_000, 2)];
      for (const bytes of sends) pair.a.send(bytes);
      pair.drive();
      expect(
        receives.map((receive) => Buffer.compare(ownBytes(receive), sends.shift() as Uint8Array)),
      ).toEqual([0, 0]);
      pair.expectClean();
    },
  );
});
