// Every test of the benchmark at smoke size, with a real second side: what arrived is what was sent, by the
// hash of its counters, on every layer and by every way to learn of an outcome. How fast anything was is no
// test's business.

import { existsSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import type { CaseReading } from '../../bench/cases/case.js';
import { measureCase } from '../../bench/cases/index.js';
import type { HostPlan } from '../../bench/host-plan.js';
import { Digest } from '../../bench/payload.js';
import { PeerProcess } from '../../bench/peer-process.js';
import { PeerThread } from '../../bench/peer-thread.js';
import type { TaskStarter } from '../../bench/peer-protocol.js';
import type { CasePlan } from '../../bench/plan.js';
import { makePlan, PATTERNS } from '../../bench/plan.js';

const host: HostPlan = {
  fabric: `cases-test-${process.pid}`,
  address: '127.77.0.1',
  engine: 'inline',
};
const peerHost: HostPlan = { ...host, address: '127.77.0.2' };
const STOP = 0xffffffff;

/** What both sides must have seen: counters from 0 on, and the last message of all. */
function hashOf(count: number, from = 0, last: readonly number[] = [STOP]): string {
  const digest = new Digest();
  for (let index = from; index < count; index++) digest.add(index);
  for (const counter of last) digest.add(counter);
  return digest.value;
}

const NOTHING = new Digest().value;

/** One for all of them: it goes on after each, and starting it takes longer than any. */
const peer = new PeerProcess();
afterAll(async () => {
  await peer.stop();
  expect(existsSync(`/dev/shm/wsd-${process.getuid?.() ?? 0}-${host.fabric}`)).toBe(false);
});

type Given = Partial<CasePlan> & Pick<CasePlan, 'test' | 'level'>;

function measure(given: Given, other: TaskStarter = peer): Promise<CaseReading> {
  const usual = { host, peerHost, bytes: 64, iterations: 20, warmUp: 4, mode: 'sleep' } as const;
  return measureCase(other, makePlan({ ...usual, ...given }));
}

describe('lat', () => {
  it('sends and answers every message, on every layer', async () => {
    for (const level of ['nic', 'provider', 'app'] as const) {
      const found = await measure({ test: 'lat', level });
      expect([found.digest, found.answerDigest]).toEqual([hashOf(24), hashOf(24)]);
      expect([found.operations, found.times?.count]).toEqual([20, 20]);
    }
  });

  it.each(['spin', 'sleep', 'routine', 'port', 'promise'] as const)(
    'learns of outcomes above the switch by %s',
    async (mode) => {
      const found = await measure({ test: 'lat', level: 'app', mode });
      expect([found.digest, found.answerDigest]).toEqual([hashOf(24), hashOf(24)]);
    },
  );

  it('learns of outcomes below the switch by polling, events and promises', async () => {
    for (const mode of ['spin', 'promise'] as const) {
      for (const level of ['nic', 'provider'] as const) {
        const found = await measure({ test: 'lat', level, mode });
        expect([found.digest, found.answerDigest]).toEqual([hashOf(24), hashOf(24)]);
      }
    }
  });

  it('by writes finds each of them in memory, by reads what the other side has put there', async () => {
    for (const level of ['nic', 'provider'] as const) {
      const write = await measure({ test: 'lat', level, operation: 'write', bytes: 256 });
      expect([write.digest, write.answerDigest]).toEqual([hashOf(25, 1), hashOf(25, 1)]);
      const read = await measure({ test: 'lat', level, operation: 'read' });
      const zeros = hashOf(0, 0, new Array<number>(24).fill(0));
      expect([read.digest, read.answerDigest]).toEqual([zeros, NOTHING]);
    }
  });

  it('over many connections in turn is scale', async () => {
    for (const level of ['nic', 'provider', 'app'] as const) {
      const found = await measure({ test: 'scale', level, connections: 7 });
      expect([found.digest, found.answerDigest]).toEqual([hashOf(24), hashOf(24)]);
    }
  });

  it('between two threads of one process, and with ordinary memory, is the same', async () => {
    const thread = new PeerThread();
    try {
      for (const level of ['provider', 'app'] as const) {
        const given = { test: 'lat', level, memory: 'buffer', bytes: 9000 } as const;
        const found = await measure(given, thread);
        expect([found.digest, found.answerDigest]).toEqual([hashOf(24), hashOf(24)]);
      }
    } finally {
      await thread.stop();
    }
  });

  it('lasts as long as it is told, with what lies at both ends not counted', async () => {
    const duration = { nanos: 60e6, marginNanos: 15e6 };
    const found = await measure({ test: 'lat', level: 'provider', duration });
    expect(found.operations).toBeGreaterThan(0);
    // A machine that held both sides up all the time leaves one stretch, which is all there is.
    if (found.operations > 1) expect(found.nanos).toBeLessThanOrEqual(30e6);
    expect(found.digest).toBe(found.answerDigest);
  });
});

it('a measurement that lasts ends soon after it is no longer wanted, and the other side goes on', async () => {
  for (const test of ['lat', 'bw'] as const) {
    const end = new AbortController();
    const duration = { nanos: 600e9, marginNanos: 0 };
    const usual = { host, peerHost, bytes: 64, mode: 'spin' } as const;
    const plan = makePlan({ ...usual, test, level: 'provider', duration });
    const running = measureCase(peer, plan, end.signal);
    setTimeout(() => end.abort(new Error('enough')), 100);
    await expect(running).rejects.toThrow('enough');
  }
  expect((await measure({ test: 'lat', level: 'provider' })).operations).toBe(20);
});

describe('bw and rate', () => {
  const stream = { iterations: 60, warmUp: 20 } as const;

  it.each([1, 3, 64, 5000, 100_000])('carry messages of %i bytes whole', async (bytes) => {
    for (const level of ['nic', 'provider', 'app'] as const) {
      const found = await measure({ test: 'bw', level, bytes, verify: 'full', ...stream });
      const last = bytes >= 4 ? STOP : 2 ** (8 * bytes) - 1;
      expect([found.answerDigest, found.operations]).toEqual([hashOf(79, 0, [last]), 60]);
      expect(found.bytes).toBe(60 * bytes);
    }
  });

  it('by writes leave the last message in every slot, and by reads find every slot', async () => {
    for (const level of ['nic', 'provider'] as const) {
      const shape = { depth: 4, slotCount: 8, bytes: 4096, ...stream };
      const write = await measure({ test: 'bw', level, operation: 'write', ...shape });
      expect(write.answerDigest).toBe(hashOf(80, 72, []));
      const read = await measure({ test: 'bw', level, operation: 'read', ...shape });
      expect(read.digest).toBe(
        hashOf(
          0,
          0,
          Array.from({ length: 80 }, (_, index) => index % 8),
        ),
      );
    }
  });

  it('go both ways at a time, over several connections', async () => {
    const shape = { bidirectional: true, connections: 3, bytes: 2000, ...stream };
    for (const level of ['provider', 'app'] as const) {
      const found = await measure({ test: 'bw', level, ...shape });
      expect(found.operations).toBe(120);
      expect(found.answerDigest).not.toBe(NOTHING);
    }
    for (const operation of ['write', 'read'] as const) {
      const found = await measure({ test: 'bw', level: 'provider', operation, ...shape });
      expect(found.operations).toBe(120);
    }
  });

  it('by promises are the same', async () => {
    const found = await measure({ test: 'bw', level: 'app', mode: 'promise', ...stream });
    expect(found.answerDigest).toBe(hashOf(79));
  });

  it('of mixed sizes are taken in the order of the seed', async () => {
    const mix: [number, number][] = [
      [64, 5],
      [4096, 2],
      [50_000, 1],
    ];
    const found = await measure({ test: 'mixed', level: 'app', bytes: 50_000, mix, ...stream });
    expect(found.answerDigest).toBe(hashOf(79));
  });

  it('in the patterns that the shipped switch was slow at are whole all the same', async () => {
    for (const pattern of PATTERNS) {
      for (const plain of [true, false]) {
        const shape = { pattern, plain, bytes: 8192, ...stream };
        const found = await measure({ test: 'pattern', level: 'app', ...shape });
        expect(found.answerDigest).toBe(hashOf(79));
      }
    }
  });
});

describe('the others', () => {
  it('register memory and give it back, known to the cache and not, of both kinds', async () => {
    for (const level of ['nic', 'provider'] as const) {
      for (const memory of ['virtual', 'buffer'] as const) {
        const found = await measure({ test: 'reg', level, memory, cached: memory === 'buffer' });
        expect(found.times?.count).toBe(20);
        expect(found.details['deregister']).toBeGreaterThanOrEqual(0);
      }
    }
  });

  it('make connections on every layer', async () => {
    for (const level of ['nic', 'provider', 'app'] as const) {
      const found = await measure({ test: 'conn', level, iterations: 3, warmUp: 1 });
      expect([found.times?.count, found.digest, found.answerDigest]).toEqual([3, '3', '3']);
    }
  });

  it('work with the engine in a worker thread', async () => {
    const engine = 'worker';
    const sides = { host: { ...host, engine }, peerHost: { ...peerHost, engine } } as const;
    const found = await measure({ test: 'lat', level: 'provider', ...sides });
    expect([found.engine, found.digest]).toEqual(['worker', hashOf(24)]);
  });
});
