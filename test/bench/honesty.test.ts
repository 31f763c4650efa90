// What a figure must not hide: a peak that nobody moved, a connection that went another way, messages that
// are not what the name of the test says, an error that is only the echo of another one.

import { afterAll, describe, expect, it } from 'vitest';
import { likelierCause } from '../../bench/blame.js';
import { StreamClock } from '../../bench/cases/stream-clock.js';
import { StreamEnded } from '../../bench/endpoint.js';
import type { HostPlan } from '../../bench/host-plan.js';
import { DeadlineError } from '../../bench/measure.js';
import { PeerDied, PeerFailure } from '../../bench/peer-protocol.js';
import { PeerThread } from '../../bench/peer-thread.js';
import { limitsOf, makePlan, sequenceOf } from '../../bench/plan.js';
import type { BenchReport } from '../../bench/report.js';
import type { BenchRequest } from '../../bench/run.js';
import { runTest } from '../../bench/run.js';
import { Slices } from '../../bench/slices.js';
import * as spi from '../../provider/spi/index.js';

const fabric = `honesty-test-${process.pid}`;
const host: HostPlan = { fabric, address: '127.77.0.1', engine: 'inline' };
const peerHost: HostPlan = { ...host, address: '127.77.0.2' };

const peer = new PeerThread();
afterAll(() => peer.stop());

type Asked = Pick<BenchRequest, 'test'> & Partial<Omit<BenchRequest, 'common'>>;

function run(asked: Asked, common: Partial<BenchRequest['common']>): Promise<BenchReport> {
  const request: BenchRequest = {
    sizes: [64],
    connections: [1],
    ...{ pairs: 1, warmUps: 0, extra: 0, floors: false, peers: [] },
    ...asked,
    common: { host, peerHost, level: 'app', mode: 'sleep', iterations: 6, warmUp: 2, ...common },
  };
  return runTest(peer, request, { step: () => undefined });
}

describe('the peak of a stream', () => {
  it('is that of a whole slice, not of a moment in which outcomes had piled up', () => {
    const plan = makePlan({ test: 'bw', level: 'provider', host, peerHost, bytes: 1000 });
    let nanos = 1e9;
    const clock = new StreamClock(plan, sequenceOf(plan), {
      ...{ slices: new Slices({ total: () => 0, close: () => undefined }), chunk: 10, count: 0 },
      time: () => nanos,
    });
    const stamps = [
      [1e6, 100],
      // 50 of them in a moment.
      [1e6 + 10, 150],
      [2e6, 200],
      [4e6, 300],
      // The last slice is none: it ends before its time.
      [4e6 + 10, 340],
    ] as const;
    for (const [at, count] of stamps) {
      nanos = 1e9 + at;
      clock.stamp(0, count);
    }
    clock.finish(340);
    expect(clock.measured('', 1).peak).toBeCloseTo(200_000 / 2e6);
  });
});

describe('a report', () => {
  it('says that connections above the switch went over TCP/IP', async () => {
    const other = { ...host, address: '127.78.0.2' };
    const { warnings } = await run({ test: 'lat' }, { peerHost: other });
    expect(warnings).toContain(
      'app.lat.send.64: 1 of 1 connections went over TCP/IP, not over the SAN',
    );
    expect((await run({ test: 'lat' }, {})).warnings.join()).not.toContain('TCP/IP');
  });

  it('says that there were fewer round trips than connections', async () => {
    const { warnings } = await run({ test: 'scale', connections: [1, 8] }, { level: 'provider' });
    expect(warnings).toContain('scale: 6 round trips use 6 of 8 connections');
  });

  it('compares as many small and large messages in turn as one after the other', async () => {
    const { results } = await run(
      { test: 'pattern', sizes: [256] },
      { pattern: 'large-after-small', mode: 'sleep' },
    );
    const moved = results.map(({ operations }) => operations);
    expect(moved).toEqual([128, 128]);
  });
});

it('a plan below the switch asks no more of a provider than its profile takes', () => {
  for (const profile of ['documented', 'real-switch', 'hostile'] as const) {
    const sides = { host: { ...host, profile }, peerHost, bytes: 64, test: 'bw' } as const;
    const { depth, receiveDepth } = limitsOf(profile, 'send');
    const plan = makePlan({ ...sides, level: 'provider' });
    expect([plan.depth, plan.receiveDepth]).toEqual([Math.min(32, depth), Math.min(32, depth)]);
    expect(plan.receiveDepth).toBeLessThanOrEqual(receiveDepth);
    expect(makePlan({ ...sides, level: 'app' }).depth).toBe(32);
  }
});

describe('of two errors', () => {
  const failing = (error: Error) => ({ result: () => Promise.reject(error) });
  const failure = (name: string, code: number | null): PeerFailure =>
    new PeerFailure({ name, message: 'other', code, stack: null });
  const losses = [
    new DeadlineError('a receive'),
    new StreamEnded('early'),
    new spi.WsaError(spi.WSAECONNRESET, { call: 'WSPRecv' }),
  ];

  it('the other side’s is told where this one is its echo', async () => {
    for (const other of [failure('Interrupted', null), new PeerDied(1, 'SIGKILL')]) {
      for (const own of losses) expect(await likelierCause(own, failing(other))).toBe(other);
    }
  });

  it('this side’s is told where it says more, or where the other is an echo as well', async () => {
    const own = new spi.WsaError(spi.WSAENOBUFS, { call: 'WSPSend' });
    expect(await likelierCause(own, failing(failure('Interrupted', null)))).toBe(own);
    for (const lost of losses) {
      const echo = failure('WsaError', spi.WSAECONNRESET);
      expect(await likelierCause(lost, failing(echo))).toBe(lost);
      expect(await likelierCause(lost, { result: () => Promise.resolve(null) })).toBe(lost);
      expect(await likelierCause(lost, null)).toBe(lost);
    }
  });
});
