// A session that is made quiet and goes on in another process: two sessions and a transport, the moving
// end replaced by a new session with its state. What is being shown: docs/session-protocol.md
// "Suspension". Randomized: a failure prints fast-check's seed and path.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ActionKind, RequestFlag, type SessionRequest } from '../../../switch/session/session.js';
import { type End, ownBytes, pattern, smallLimits, WSAENOBUFS } from './end.js';
import { Pair } from './pair.js';

const WSAETIMEDOUT = 10060;
const LARGE = 4_000;

function pairOf(options: { seed?: number; a?: object; b?: object; rdmaRead?: boolean } = {}): Pair {
  const common = { limits: smallLimits, suspends: true, rdmaRead: options.rdmaRead ?? true };
  return Pair.connected({
    seed: options.seed ?? 1,
    a: { ...common, ...options.a },
    b: { ...common, ...options.b },
  });
}

/** Asks for quiet and waits for it. */
function quiet(pair: Pair, end: End): End {
  end.act((session, now) => session.moving.suspend(now));
  pair.drive();
  expect(end.isQuiet).toBe(true);
  return end;
}

/** All that is left to read, until nothing comes any more. */
function readAll(pair: Pair, end: End): Uint8Array {
  const parts: Uint8Array[] = [];
  for (;;) {
    const part = end.read(1 << 20);
    pair.drive();
    if (part.length === 0 && end.session.readableBytes === 0) return Buffer.concat(parts);
    parts.push(part);
  }
}

const isFinished = (end: End, request: SessionRequest): boolean => end.completed.includes(request);

describe('a suspended session', () => {
  it('goes on in another process with what was not read, its credits and its place in the stream [DUP-12 DUP-13]', () => {
    const pair = pairOf();
    const bytes = pattern(400, 7);
    pair.b.send(bytes.slice(0, 150));
    pair.drive();
    expect(pair.a.read(40)).toEqual(bytes.slice(0, 40));
    const old = quiet(pair, pair.a);
    const next = pair.move(old);
    pair.drive();
    expect(pair.b.session.moving.isSuspended).toBe(false);
    pair.b.send(bytes.slice(150));
    pair.drive();
    expect(readAll(pair, next)).toEqual(Buffer.from(bytes.slice(40)));
    const back = next.send(bytes);
    pair.drive();
    expect(readAll(pair, pair.b)).toEqual(Buffer.from(bytes));
    expect(isFinished(next, back)).toBe(true);
    pair.expectClean();
    pair.finish();
    expect([next.abortError, pair.b.abortError]).toEqual([0, 0]);
  });

  it('ends its own sends and receives before it asks, and nothing new leaves afterwards [DUP-03 DUP-08]', () => {
    const pair = pairOf();
    const sent = pair.a.send(pattern(LARGE, 3));
    const posted = pair.a.receive(10);
    pair.a.act((session, now) => session.moving.suspend(now));
    pair.drive();
    expect([pair.a.isQuiet, isFinished(pair.a, sent)]).toEqual([false, false]);
    const received = pair.b.receive(LARGE, RequestFlag.waitAll);
    pair.drive();
    expect([isFinished(pair.a, sent), isFinished(pair.b, received)]).toEqual([true, true]);
    expect(pair.a.isQuiet).toBe(false);
    pair.b.send(pattern(10, 5));
    pair.drive();
    expect([isFinished(pair.a, posted), pair.a.isQuiet]).toEqual([true, true]);
    const messages = pair.a.session.statistics.messagesOut;
    pair.a.send(pattern(10, 6));
    pair.drive();
    expect(pair.a.session.statistics.messagesOut).toBe(messages);
  });

  it('has the peer hold its sends and receives, with every receive of the session posted, until it is resumed [DUP-09 DUP-10]', () => {
    const pair = pairOf();
    pair.a.send(pattern(20, 1));
    pair.drive();
    quiet(pair, pair.a);
    const { b } = pair;
    const sent = [b.send(pattern(10, 2)), b.send(pattern(LARGE, 3))];
    expect(b.read(100).length).toBe(0);
    const received = b.receive(100);
    pair.drive();
    expect(sent.map((one) => isFinished(b, one))).toEqual([false, false]);
    expect([isFinished(b, received), b.session.sendSpace, b.session.isReadable]).toEqual([
      false,
      0,
      false,
    ]);
    expect(b.posted.length).toBe(smallLimits.receiveCount);
    const next = pair.move(pair.a);
    pair.drive();
    expect(ownBytes(received)).toEqual(pattern(20, 1));
    const both = readAll(pair, next);
    expect(both).toEqual(Buffer.concat([pattern(10, 2), pattern(LARGE, 3)]));
    expect(sent.map((one) => isFinished(b, one))).toEqual([true, true]);
    pair.expectClean();
  });

  it.each([true, false])(
    'keeps the place of large data that nobody has asked for, and has it registered anew (peer reads: %s) [DUP-09 XFER-15]',
    (rdmaRead) => {
      const pair = pairOf({ rdmaRead });
      const bytes = pattern(2 * LARGE + 30, 9);
      const sends = [
        pair.b.send(bytes.slice(0, LARGE)),
        pair.b.send(bytes.slice(LARGE, LARGE + 30)),
        pair.b.send(bytes.slice(LARGE + 30)),
      ];
      pair.drive();
      const first = pair.a.receive(1000, RequestFlag.waitAll);
      pair.drive();
      expect(isFinished(pair.a, first)).toBe(true);
      // move() checks that nothing is registered at either end.
      const next = pair.move(quiet(pair, pair.a));
      const rest = next.receive(bytes.length - 1000, RequestFlag.waitAll);
      pair.drive();
      expect(Buffer.concat([ownBytes(first), ownBytes(rest)])).toEqual(Buffer.from(bytes));
      expect(sends.every((one) => isFinished(pair.b, one))).toBe(true);
      pair.expectClean();
    },
  );

  it('takes staged, urgent and ended data along [DUP-13 OOB-02]', () => {
    const pair = pairOf();
    pair.b.send(pattern(LARGE, 4));
    pair.b.send(Uint8Array.of(1, 2, 3), RequestFlag.urgent);
    pair.b.act((session, now) => session.shutdownSend(now));
    pair.drive();
    pair.a.read(1);
    pair.drive();
    const begun = pair.a.read(20);
    const next = pair.move(quiet(pair, pair.a));
    const rest = readAll(pair, next);
    const whole = Buffer.concat([pattern(LARGE, 4), Uint8Array.of(1, 2)]);
    expect(begun.length).toBeGreaterThan(0);
    expect(
      Buffer.concat([begun, rest]).equals(
        whole.subarray(whole.length - begun.length - rest.length),
      ),
    ).toBe(true);
    expect([next.session.readUrgent(false), next.session.isAtEnd]).toEqual([3, true]);
    pair.finish();
    expect([next.abortError, pair.b.abortError, pair.b.session.isOver]).toEqual([0, 0, true]);
  });

  it('is resumed where it is when nobody takes it, and can be suspended again [DUP-05 ERR-02]', () => {
    const pair = pairOf();
    pair.b.send(pattern(LARGE, 1));
    pair.drive();
    for (let times = 0; times < 3; times++) {
      quiet(pair, pair.a);
      pair.a.isQuiet = false;
      pair.a.act((session, now) => session.moving.resume(now));
      pair.drive();
    }
    expect(readAll(pair, pair.a)).toEqual(Buffer.from(pattern(LARGE, 1)));
    pair.expectClean();
  });

  it('moves at both ends, the connector first, when both ask at once [DUP-03]', () => {
    const pair = pairOf();
    const { a, b } = pair;
    for (const end of [a, b]) end.act((session, now) => session.moving.suspend(now));
    pair.drive();
    expect([a.isQuiet, b.isQuiet]).toEqual([true, false]);
    const nextA = pair.move(a);
    pair.drive();
    expect(b.isQuiet).toBe(true);
    const nextB = pair.move(b);
    pair.drive();
    nextA.send(pattern(LARGE, 2));
    pair.drive();
    expect(readAll(pair, nextB)).toEqual(Buffer.from(pattern(LARGE, 2)));
    pair.expectClean();
  });

  it('fails with WSAETIMEDOUT at whichever side waits in vain [ERR-02]', () => {
    const asking = pairOf();
    asking.b.connected = false;
    asking.a.act((session, now) => session.moving.suspend(now));
    const late = asking.now + smallLimits.suspendNanosMax;
    expect(asking.a.session.deadline).toBeLessThanOrEqual(late);
    asking.a.act((session) => session.handleTimer(late));
    expect(asking.a.abortError).toBe(WSAETIMEDOUT);

    const waiting = pairOf();
    quiet(waiting, waiting.a);
    const { deadline } = waiting.b.session;
    expect(deadline).toBeLessThanOrEqual(waiting.now + smallLimits.resumeNanosMax);
    waiting.b.act((session) => session.handleTimer(deadline));
    expect(waiting.b.abortError).toBe(WSAETIMEDOUT);
  });

  it('fails with WSAENOBUFS when what was announced cannot be registered anew [ERR-02 XFER-13]', () => {
    const pair = pairOf();
    pair.b.send(pattern(LARGE, 1));
    pair.drive();
    quiet(pair, pair.a);
    Object.assign(pair.b.options, { registrationFailureEvery: 1 });
    pair.move(pair.a);
    pair.drive();
    expect(pair.b.abortError).toBe(WSAENOBUFS);
  });

  it('is not possible where one side does not know how [DUP-06]', () => {
    const pair = pairOf({ b: { suspends: false } });
    expect([pair.a, pair.b].map(({ session }) => session.moving.isPossible)).toEqual([
      false,
      false,
    ]);
  });
});

it('a stream is whole and in order however often either end moves, whatever is under way [DUP-03 DUP-05 DUP-13 XFER-15]', () => {
  const step = fc.oneof(
    fc.record({
      kind: fc.constant('send'),
      end: fc.nat(1),
      bytes: fc.integer({ min: 1, max: 3000 }),
    }),
    fc.record({
      kind: fc.constant('read'),
      end: fc.nat(1),
      bytes: fc.integer({ min: 1, max: 3000 }),
    }),
    fc.record({
      kind: fc.constant('receive'),
      end: fc.nat(1),
      bytes: fc.integer({ min: 1, max: 3000 }),
    }),
    fc.record({ kind: fc.constant('run'), end: fc.nat(1), bytes: fc.integer({ min: 1, max: 60 }) }),
    fc.record({ kind: fc.constant('move'), end: fc.nat(1), bytes: fc.constant(0) }),
  );
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1 << 30 }),
      fc.boolean(),
      fc.array(step, { minLength: 1, maxLength: 60 }),
      (seed, rdmaRead, steps) => {
        const pair = pairOf({ seed, rdmaRead });
        const wanted = new Set<'a' | 'b'>();
        const streams = { a: [] as Uint8Array[], b: [] as Uint8Array[] };
        const got = { a: [] as Uint8Array[], b: [] as Uint8Array[] };
        const open = { a: [] as SessionRequest[], b: [] as SessionRequest[] };
        const collect = (name: 'a' | 'b'): void => {
          while (open[name][0] !== undefined && pair[name].completed.includes(open[name][0])) {
            got[name].push(ownBytes(open[name].shift() as SessionRequest));
          }
        };
        const moveReady = (): void => {
          for (const name of ['a', 'b'] as const) {
            const end = pair[name];
            if (!end.isQuiet || end.inFlight.length > 0 || end.peer.inFlight.length > 0) continue;
            collect(name);
            pair.move(end);
            wanted.delete(name);
          }
        };
        for (const { kind, end, bytes } of steps) {
          const name = end === 0 ? 'a' : 'b';
          const free = !wanted.has(name);
          if (kind === 'send' && free) {
            const data = pattern(bytes, streams[name].length + 1);
            streams[name].push(data);
            pair[name].send(data);
          } else if (kind === 'read' && free && open[name].length === 0) {
            got[name].push(pair[name].read(bytes));
          } else if (kind === 'receive' && free) {
            open[name].push(pair[name].receive(bytes));
          } else if (kind === 'move' && free && !wanted.has(name === 'a' ? 'b' : 'a')) {
            wanted.add(name);
            pair[name].act((session, now) => session.moving.suspend(now));
          } else if (kind === 'run') {
            for (let count = 0; count < bytes && pair.step(); count++) moveReady();
          }
          collect(name);
        }
        // Everything that was asked for comes to its end: both sides read until nothing is left.
        for (let idle = 0; idle < 3; ) {
          const before = got.a.length + got.b.length;
          while (pair.step()) moveReady();
          moveReady();
          for (const name of ['a', 'b'] as const) {
            collect(name);
            const free = !wanted.has(name);
            if (free && open[name].length === 0) {
              const part = pair[name].read(1 << 16);
              if (part.length > 0) got[name].push(part);
            } else if (open[name].length > 0) {
              // Somebody waits for bytes: they come from the other side, if it can.
              const other = name === 'a' ? 'b' : 'a';
              if (!wanted.has(other)) {
                const data = pattern(500, streams[other].length + 1);
                streams[other].push(data);
                pair[other].send(data);
              }
            }
          }
          const isStill = got.a.length + got.b.length === before && wanted.size === 0;
          idle = isStill && open.a.length + open.b.length === 0 ? idle + 1 : 0;
          if (wanted.size > 0 && !pair.step() && open.a.length + open.b.length === 0) {
            // A suspension that waits for the peer's reader: it has read above.
            idle = 0;
          }
        }
        expect(Buffer.concat(got.a).equals(Buffer.concat(streams.b))).toBe(true);
        expect(Buffer.concat(got.b).equals(Buffer.concat(streams.a))).toBe(true);
        pair.expectClean();
        expect([pair.a.abortError, pair.b.abortError]).toEqual([0, 0]);
      },
    ),
    { numRuns: 60 },
  );
});

it('every step of the handshake is an action of the shell in its turn [DUP-08]', () => {
  const pair = pairOf();
  const before = pair.a.kinds.length;
  quiet(pair, pair.a);
  const kinds = pair.a.kinds.slice(before);
  expect(kinds).toEqual([
    ActionKind.hold,
    ActionKind.sendMessage,
    ActionKind.quiet,
    ActionKind.postReceive,
  ]);
});
