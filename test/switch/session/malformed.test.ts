// Messages that no session sends. Each must end the session that gets it with WSAECONNABORTED, its
// requests with that error, and nothing else.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { kindWord, MessageType, PROTOCOL_VERSION } from '../../../switch/session/messages.js';
import { RequestState } from '../../../switch/session/session.js';
import { type End, pattern } from './end.js';
import { Pair } from './pair.js';

const WSAECONNABORTED = 10053;

/** A message from the other end with right counters, as far as the case does not say otherwise. */
function message(
  end: End,
  type: number,
  fields: {
    words?: number[];
    tail?: number;
    payload?: number;
    kind?: number;
    sequence?: number;
    granted?: number;
    window?: number;
  } = {},
): Uint8Array {
  const body = fields.words ?? [];
  const bytes = new Uint8Array(20 + body.length * 4 + (fields.tail ?? 0));
  const view = new DataView(bytes.buffer);
  const { messagesIn } = end.session.statistics;
  const { messagesOut } = end.session.statistics;
  view.setUint32(0, fields.kind ?? kindWord(type as never, 0, 0, 0), true);
  view.setInt32(4, fields.sequence ?? messagesIn, true);
  view.setInt32(8, fields.granted ?? end.peer.limits.receiveCount + messagesOut, true);
  view.setInt32(12, fields.window ?? end.peer.limits.windowBytes, true);
  view.setInt32(16, fields.payload ?? 0, true);
  body.forEach((word, index) => view.setInt32(20 + index * 4, word, true));
  return bytes;
}

type Case = [string, (end: End) => Uint8Array];
const kind = (type: number, flags = 0, transfer = 0, pull = 0): number =>
  kindWord(type as never, flags, transfer, pull);
const T = MessageType;

// The receiver here can RDMA-read; the sender under test pushes nothing.
const CASES: Case[] = [
  ['shorter than a header', () => new Uint8Array(19)],
  ['an unknown type', (end) => message(end, 12)],
  ['type 0', (end) => message(end, 0)],
  ['a reserved flag', (end) => message(end, T.update, { kind: kind(T.update, 2) })],
  [
    'a reserved flag in data',
    (end) => message(end, T.data, { kind: kind(T.data, 2), payload: 4, tail: 4 }),
  ],
  ['an unused transfer', (end) => message(end, T.update, { kind: kind(T.update, 0, 1) })],
  ['an unused pull', (end) => message(end, T.update, { kind: kind(T.update, 0, 0, 1) })],
  ['a sequence out of order', (end) => message(end, T.update, { sequence: 7 })],
  ['credits taken back', (end) => message(end, T.update, { granted: 0 })],
  ['more credits than receives', (end) => message(end, T.update, { granted: 1000 })],
  ['a window taken back', (end) => message(end, T.update, { window: 10 })],
  ['a window too wide', (end) => message(end, T.update, { window: 1 << 20 })],
  ['data without payload', (end) => message(end, T.data)],
  ['data that claims more than there is', (end) => message(end, T.data, { payload: 100, tail: 4 })],
  ['payload in an update', (end) => message(end, T.update, { payload: 4, tail: 4 })],
  ['a negotiation after the negotiation', (end) => message(end, T.hello)],
  ['an announcement cut short', (end) => message(end, T.announce, { words: [5] })],
  ['an announcement of nothing', (end) => message(end, T.announce, { words: [0, 8], tail: 8 })],
  ['an announcement of too much', (end) => message(end, T.announce, { words: [-1, 8], tail: 8 })],
  ['an announcement for another variant', (end) => message(end, T.announce, { words: [5000, 0] })],
  ['a descriptor too long', (end) => message(end, T.announce, { words: [5000, 65], tail: 65 })],
  [
    'a transfer outside the slots',
    (end) => message(end, T.announce, { kind: kind(T.announce, 0, 8), words: [5000, 8], tail: 8 }),
  ],
  ['a target for no transfer', (end) => message(end, T.target, { words: [0, 100, 8], tail: 8 })],
  ['a target of nothing', (end) => message(end, T.target, { words: [0, 0, 8], tail: 8 })],
  ['a target without descriptor', (end) => message(end, T.target, { words: [0, 100, 0] })],
  ['a write that nobody waits for', (end) => message(end, T.written)],
  [
    'a write for a pull outside the slots',
    (end) => message(end, T.written, { kind: kind(T.written, 0, 0, 15) }),
  ],
  [
    'a transfer done that was never announced',
    (end) => message(end, T.done, { kind: kind(T.done, 0, 3) }),
  ],
  ['an acknowledgement of no end', (end) => message(end, T.finAck)],
  ['BYE before the end', (end) => message(end, T.bye)],
];

function deliver(end: End, bytes: Uint8Array): void {
  end.deliver({ bytes, from: end.peer, index: 0 });
}

describe('a malformed message', () => {
  it.each(CASES)('%s ends this session with WSAECONNABORTED [XFER-06]', (_name, make) => {
    const pair = Pair.connected();
    const requests = [pair.b.receive(10), pair.b.send(pattern(50_000, 1))];
    deliver(pair.b, make(pair.b));
    expect(pair.b.session.fault).not.toBe('');
    expect(pair.b.abortError).toBe(WSAECONNABORTED);
    expect(requests.map((request) => request.error)).toEqual([WSAECONNABORTED, WSAECONNABORTED]);
    pair.drive();
    pair.expectClean();
  });

  it.each([
    ['data', (end: End) => message(end, T.data, { payload: 4, tail: 4 })],
    ['an announcement', (end: End) => message(end, T.announce, { words: [5000, 8], tail: 8 })],
    ['a second end', (end: End) => message(end, T.fin)],
  ] as Case[])('%s behind the end of the stream is one [SHUT-01]', (_name, make) => {
    const pair = Pair.connected();
    deliver(pair.b, message(pair.b, T.fin));
    expect(pair.b.session.peerHasShutdown).toBe(true);
    deliver(pair.b, make(pair.b));
    expect(pair.b.abortError).toBe(WSAECONNABORTED);
  });

  it('of another version ends the negotiation for both sides [SESS-01]', () => {
    const pair = new Pair();
    pair.connect();
    const hello = pair.a.inFlight[0]?.bytes as Uint8Array;
    new DataView(hello.buffer).setInt32(24, PROTOCOL_VERSION + 1, true);
    pair.drive();
    expect([pair.a.abortError, pair.b.abortError]).toEqual([WSAECONNABORTED, WSAECONNABORTED]);
    expect(pair.b.session.fault).toBe('another version');
  });

  it('made of random changes to a real one never throws, and ends a session only that way [XFER-06]', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(110), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        fc.constantFrom(0, 10, 5000),
        fc.boolean(),
        (changes, length, rdmaRead) => {
          const pair = Pair.connected({ b: { rdmaRead } });
          const receive = pair.b.receive(10_000);
          pair.a.send(pattern(length, 1));
          if (length === 0) pair.a.act((session, now) => session.shutdownSend(now));
          const bytes = pair.a.inFlight.shift()?.bytes as Uint8Array;
          for (const [at, value] of changes) bytes[at % bytes.length] = value;
          deliver(pair.b, bytes);
          expect([0, WSAECONNABORTED]).toContain(pair.b.abortError);
          if (pair.b.abortError !== 0) expect(receive.state).toBe(RequestState.finished);
        },
      ),
      { numRuns: 400, seed: 31 },
    );
  });
});
