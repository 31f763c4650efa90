// Urgent data between two sessions: the last byte of a send with MSG_OOB, apart from the stream or, as
// SO_OOBINLINE asks, in it. How calls of Winsock see it is test/switch/urgent.test.ts.

import { describe, expect, it } from 'vitest';
import { ActionKind, RequestFlag, ResultFlag } from '../../../switch/session/session.js';
import { ownBytes, pattern } from './end.js';
import { Pair } from './pair.js';

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');
const bytesOf = (letters: string): Uint8Array => Uint8Array.from(Buffer.from(letters, 'latin1'));

function sendAll(pair: Pair, ...parts: readonly [string, number][]): void {
  for (const [letters, flags] of parts) pair.a.send(bytesOf(letters), flags);
  pair.drive();
}

describe('apart from the stream', () => {
  it('the last byte of an urgent send is kept in private storage; the rest is ordinary data [OOB-01 OOB-02 OOB-03 W14.9]', () => {
    const pair = Pair.connected();
    sendAll(pair, ['abc', 0], ['deU', RequestFlag.urgent], ['fg', 0]);
    const { session } = pair.b;
    expect(pair.b.kinds).toContain(ActionKind.urgent);
    expect([session.readableBytes, session.hasUrgent, session.urgentMark]).toEqual([7, true, 5]);
    expect(text(pair.b.read(20))).toBe('abcdefg');
    expect(session.urgentMark).toBe(0);
    expect([
      session.readUrgent(true),
      session.readUrgent(false),
      session.readUrgent(false),
    ]).toEqual([85, 85, -1]);
    expect([session.hasUrgent, session.urgentMark]).toEqual([false, -1]);
    pair.expectClean();
  });

  it('each byte of successive sends can be received by itself, in order [W8.1.13]', () => {
    const pair = Pair.connected();
    sendAll(pair, ['1', RequestFlag.urgent], ['x', 0], ['2', RequestFlag.urgent]);
    const { session } = pair.b;
    expect([49, 50, -1].map(() => session.readUrgent(false))).toEqual([49, 50, -1]);
    expect(text(pair.b.read(5))).toBe('x');
  });

  it('of more than are ever kept the newest stay, and the window is none the smaller [W8.1.13 XFER-06]', () => {
    const pair = Pair.connected();
    for (let index = 0; index < 100; index++) {
      pair.a.send(Uint8Array.of(index), RequestFlag.urgent);
      pair.drive();
    }
    const got = Array.from({ length: 64 }, () => pair.b.session.readUrgent(false));
    expect(got).toEqual(Array.from({ length: 64 }, (_, index) => 36 + index));
    expect(pair.b.session.hasUrgent).toBe(false);
    pair.expectClean();
  });

  it('a long urgent send has one urgent byte, its last, whatever the messages [OOB-01 XFER-15]', () => {
    const pair = Pair.connected();
    const data = pattern(10_000, 3);
    pair.a.send(data, RequestFlag.urgent);
    const receive = pair.b.receive(9_999, RequestFlag.waitAll);
    pair.drive();
    expect(Buffer.compare(ownBytes(receive), data.subarray(0, 9_999))).toBe(0);
    expect(pair.b.session.readUrgent(false)).toBe(data[9_999]);
    expect(pair.b.kinds.filter((kind) => kind === ActionKind.urgent)).toHaveLength(1);
  });
});

describe('in the stream', () => {
  const inline = (): Pair => {
    const pair = Pair.connected();
    pair.b.session.oobInline = true;
    return pair;
  };

  it('is read in its place, and no read mixes it with ordinary data [OOB-02 OOB-03 W8.1.13 XFER-15]', () => {
    const pair = inline();
    sendAll(pair, ['abc', 0], ['dU', RequestFlag.urgent], ['ef', 0]);
    const { session } = pair.b;
    expect([session.hasUrgent, session.readableBytes, session.urgentMark]).toEqual([false, 7, 4]);
    expect([20, 20, 20].map((length) => text(pair.b.read(length)))).toEqual(['abcd', 'U', 'ef']);
    expect(session.urgentMark).toBe(-1);
    expect(pair.b.kinds).not.toContain(ActionKind.urgent);
  });

  it('posted receives get it to themselves, said so by their flag, even one that waits for all [W8.1.13]', () => {
    const pair = inline();
    const receives = [RequestFlag.waitAll, 0, 0].map((flags) => pair.b.receive(5, flags));
    sendAll(pair, ['abcU', RequestFlag.urgent], ['de', 0]);
    expect(receives.map((one) => [text(ownBytes(one)), one.resultFlags])).toEqual([
      ['abc', 0],
      ['U', ResultFlag.urgent],
      ['de', 0],
    ]);
    pair.expectClean();
  });

  it('large data before and behind it keeps its place [XFER-15]', () => {
    const pair = inline();
    const data = pattern(50_000, 1);
    pair.a.send(data);
    pair.a.send(bytesOf('U'), RequestFlag.urgent);
    pair.a.send(data);
    const receives = [60_000, 10, 50_000].map((length) =>
      pair.b.receive(length, RequestFlag.waitAll),
    );
    pair.drive();
    expect(receives.map(({ bytes }) => bytes)).toEqual([50_000, 1, 50_000]);
    expect(Buffer.compare(ownBytes(receives[2] as never), data)).toBe(0);
    pair.expectClean();
  });
});
