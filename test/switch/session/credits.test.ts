// The two counts on their own, and the limits that their argument rests on.

import { describe, expect, it } from 'vitest';
import { Prng } from '../../../runtime/prng.js';
import { Credits } from '../../../switch/session/credits.js';
import { checkLimits, creditTrigger, outstandingCallsMax } from '../../../switch/session/limits.js';
import { defaultSessionLimits } from '../../../switch/session/session.js';
import { Store } from '../../../switch/session/store.js';
import { pattern } from './end.js';

function connected(receives: number): [Credits, Credits] {
  const pair: [Credits, Credits] = [new Credits(receives, 1000), new Credits(receives, 1000)];
  for (const one of pair) {
    for (let count = 0; count < receives; count++) one.posted();
    one.negotiated(receives, 1000);
  }
  pass(pair[0], pair[1]);
  pass(pair[1], pair[0]);
  return pair;
}

/** A message from one side to the other, consumed and its receive posted again. */
function pass(from: Credits, to: Credits, payload = 0): void {
  const sequence = from.sent(payload);
  expect(to.accept(sequence, from.grantedTotal, from.windowTotal, payload)).toBe('');
  to.freed(payload);
  to.posted();
}

describe('credits', () => {
  it('data stops before control does, and control before the update [XFER-06]', () => {
    const [a] = connected(4);
    const classes: boolean[][] = [];
    for (let left = a.available; left > 0; left--) {
      classes.push([a.maySendData, a.maySendControl]);
      a.sent(0);
    }
    expect(classes.slice(-3)).toEqual([
      [true, true],
      [false, true],
      [false, false],
    ]);
  });

  it('an update alone never causes another [XFER-06]', () => {
    for (let receives = 4; receives <= 64; receives++) {
      expect(creditTrigger(receives)).toBeGreaterThanOrEqual(2);
      const [a, b] = connected(receives);
      while (!b.updateDue) pass(a, b);
      pass(b, a);
      expect([a.updateDue && !b.updateDue, b.updateDue]).toEqual([a.updateDue, false]);
      if (a.updateDue) pass(a, b);
      expect([a.updateDue, b.updateDue]).toEqual([false, false]);
    }
  });

  it('whatever either side sends within its class, one of them can always go on [XFER-06]', () => {
    for (let seed = 0; seed < 300; seed++) {
      const prng = new Prng(seed);
      const sides = connected(prng.between(4, 9));
      for (let turn = 0; turn < 200; turn++) {
        const index = prng.below(2);
        const [from, to] = [sides[index] as Credits, sides[1 - index] as Credits];
        if (from.maySendControl) pass(from, to);
        else if (from.updateDue) pass(from, to);
        const free = sides.some((side) => side.maySendControl || side.updateDue);
        expect(free, `seed ${seed}, turn ${turn}`).toBe(true);
      }
    }
  });

  it('payload beyond the stated window is refused, and what was freed is stated again [XFER-06]', () => {
    const [a, b] = connected(8);
    const sequence = a.sent(1001);
    expect(b.accept(sequence, a.grantedTotal, a.windowTotal, 1001)).toBe(
      'payload beyond the window',
    );
    const [c, d] = connected(8);
    pass(c, d, 600);
    expect([c.windowLeft, d.updateDue]).toEqual([400, true]);
    pass(d, c);
    expect([c.windowLeft, d.updateDue]).toEqual([1000, false]);
  });

  it('totals run over 2^32 without a gap [XFER-06]', () => {
    const [a, b] = connected(4);
    const huge = new Credits(4, 2 ** 30);
    const sink = new Credits(4, 2 ** 30);
    for (const one of [huge, sink]) {
      for (let count = 0; count < 4; count++) one.posted();
      one.negotiated(4, 2 ** 30);
    }
    for (let round = 0; round < 9; round++) {
      pass(huge, sink, 2 ** 29);
      pass(sink, huge);
    }
    expect([a.available, b.available].every((left) => left > 0)).toBe(true);
    expect(huge.windowLeft).toBe(2 ** 30);
  });
});

describe('limits', () => {
  it('the defaults bear out the relations, and fit a provider queue of some thirty entries [SESS-08 XFER-07]', () => {
    checkLimits(defaultSessionLimits);
    expect(outstandingCallsMax(defaultSessionLimits)).toBe(28);
  });

  it.each([
    { receiveCount: 3 },
    { sendCount: 0 },
    { messageBytes: 252 },
    { messageBytes: 257 },
    { windowBytes: 4000 },
    { stagingBytes: 0 },
    { transferSlots: 17 },
    { rdmaBytesMax: 0 },
  ])('%j is refused: an argument of the protocol would not hold [SESS-04]', (change) => {
    expect(() => {
      checkLimits({ ...defaultSessionLimits, ...change });
    }).toThrow();
  });
});

describe('the store', () => {
  it('gives back what was put in, in order, around its end [XFER-05 XFER-15]', () => {
    const store = new Store(100);
    const prng = new Prng(5);
    const source = pattern(5000, 5);
    let put = 0;
    let got = 0;
    while (got < source.length) {
      const room = Math.min(prng.below(60), 100 - store.length, source.length - put);
      store.append(source, put, room);
      put += room;
      const take = Math.min(prng.below(60), store.length);
      const into = new Uint8Array(take);
      store.copyOut(into, 0, take);
      store.drop(take);
      expect(Buffer.compare(into, source.subarray(got, got + take))).toBe(0);
      got += take;
    }
  });
});
