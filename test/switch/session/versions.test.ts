// Sessions of the current version against one end that speaks an older one: which is played by a session
// of today whose half of the negotiation is rewritten to what the older version would have said.

import { describe, expect, it } from 'vitest';
import { RequestFlag } from '../../../switch/session/session.js';
import { type End, pattern } from './end.js';
import { Pair } from './pair.js';

const WSAECONNABORTED = 10053;
const VERSION_BYTE = 24;
const CAPABILITIES_BYTE = 52;
const CAPABILITY_READ = 1;

const ENDS = [
  ['connector', (pair: Pair) => ({ old: pair.a, other: pair.b })],
  ['acceptor', (pair: Pair) => ({ old: pair.b, other: pair.a })],
] as const;

/** The half of the negotiation that is on its way from `end`, after the steps that it takes. */
function halfOf(pair: Pair, end: End): DataView {
  while (end.inFlight.length === 0) expect(pair.step()).toBe(true);
  const { bytes } = end.inFlight[0] as { bytes: Uint8Array };
  return new DataView(bytes.buffer, bytes.byteOffset);
}

function rewrite(half: DataView, version: number): void {
  half.setInt32(VERSION_BYTE, version, true);
  half.setInt32(CAPABILITIES_BYTE, CAPABILITY_READ, true);
}

function opened(): Pair {
  const both = { suspends: true };
  const pair = new Pair({ a: both, b: both });
  pair.connect();
  return pair;
}

describe.each(ENDS)('an old %s', (role, ends) => {
  it('of version 2 is served without suspension [SESS-01 SESS-05]', () => {
    const pair = opened();
    const { old, other } = ends(pair);
    rewrite(halfOf(pair, old), 2);
    if (role === 'connector') {
      // It would take no other version, and no capability that it does not know.
      const answer = halfOf(pair, other);
      const told = [VERSION_BYTE, CAPABILITIES_BYTE].map((at) => answer.getInt32(at, true));
      expect(told).toEqual([2, CAPABILITY_READ]);
    }
    pair.drive();
    expect([other.session.isEstablished, other.session.moving.isPossible]).toEqual([true, false]);
    const sent = pair.a.send(pattern(50_000, 1));
    const received = pair.b.receive(50_000, RequestFlag.waitAll);
    pair.drive();
    expect([sent.bytes, received.bytes]).toEqual([50_000, 50_000]);
  });

  it('of version 1 is refused, and both sides know [SESS-01]', () => {
    const pair = opened();
    const { old, other } = ends(pair);
    rewrite(halfOf(pair, old), 1);
    pair.drive();
    expect(other.session.fault).toBe('another version');
    expect([other.abortError, old.session.isOver]).toEqual([WSAECONNABORTED, true]);
  });
});
