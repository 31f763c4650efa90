// Every benchmark at the smallest size, with a real second process: the payload arrives, the report is
// whole and of its stated form, and nothing is left. How fast anything was is no test's business.

import { existsSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { QUICK_SIZES, runBench } from '../../bench/bench.js';
import type { HostPlan } from '../../bench/host-plan.js';
import { PeerProcess } from '../../bench/peer-process.js';
import { PeerDied, PeerFailure } from '../../bench/peer-protocol.js';
import { parseReport, reportJson, reportTable } from '../../bench/report.js';
import { measureFloor, measureReach } from '../../bench/floors.js';
import * as tasks from '../../bench/tasks.js';

const host: HostPlan = {
  fabric: `bench-test-${process.pid}`,
  address: '127.77.0.1',
  engine: 'inline',
};
const peerHost: HostPlan = { ...host, address: '127.77.0.2' };

/** What a stream sends before it is timed. */
const WARM = tasks.WARM_MESSAGES;

let peer: PeerProcess;
beforeEach(() => {
  peer = new PeerProcess();
});
afterEach(async () => {
  await peer.stop();
  expect(existsSync(`/dev/shm/wsd-${process.getuid?.() ?? 0}-${host.fabric}`)).toBe(false);
});

describe('the benchmarks', () => {
  it('all run and make one report', async () => {
    const sizes = {
      iterations: 100,
      pairs: 1,
      largeCount: 8,
      heapRoundTrips: 200,
      idleMillis: 10,
    };
    const settings = { ...QUICK_SIZES, ...sizes, host, peerHost };
    const steps: string[] = [];
    const report = await runBench(peer, settings, {
      step: (name, pair) => steps.push(`${name} ${pair}`),
    });
    expect(report.results.map(({ name, samples }) => [name, samples.length])).toEqual([
      ['floor.spin', 1],
      ['provider.latency', 1],
      ['app.latency', 1],
      ['tcp.latency', 1],
      ['floor.futex', 1],
      ['floor.copy', 1],
      ['provider.rdma-write', 1],
      ['app.send', 1],
      ['tcp.stream', 1],
      ['heap.provider', 1],
      ['heap.app', 1],
      ['idle', 1],
    ]);
    for (const { samples } of report.results) {
      for (const { value } of samples) expect(value).toBeGreaterThanOrEqual(0);
    }
    expect(steps.slice(0, 2)).toEqual(['floor.spin 0', 'provider.latency 0']);
    expect(report.environment.clockNanos).toBeGreaterThan(0);
    expect(parseReport(JSON.parse(reportJson(report)))).toEqual(report);
    expect(reportTable(report)).toContain('application: WSASend/WSARecv 64 B');
  });

  it('move large messages above the switch by RDMA and small ones in messages', async () => {
    const plan = { level: 'app', host, peerHost, slotBytes: 1 << 20 } as const;
    const large = await tasks.measureStream(peer, { ...plan, bytes: 1 << 20, count: 10 });
    expect(large.statistics).toMatchObject({ sanConnections: 1, tcpConnections: 0 });
    const { rdmaBytesSent = 0, messageBytesSent = 0 } = large.statistics ?? {};
    expect(rdmaBytesSent + messageBytesSent).toBe((WARM + 10) << 20);
    // A request may carry the beginning of its data.
    expect(rdmaBytesSent).toBeGreaterThan((WARM + 9) << 20);
    const small = await tasks.measureStream(peer, { ...plan, bytes: 64, count: 100 });
    expect(small.statistics).toMatchObject({
      messageBytesSent: 64 * (WARM + 100),
      rdmaBytesSent: 0,
    });
  });
});

describe('the second process', () => {
  it('tells a failure of its own as one, and goes on', async () => {
    const wrong = { ...peerHost, address: '10.0.0.1' };
    const plan = {
      level: 'app',
      host,
      peerHost: wrong,
      slotBytes: 64,
      bytes: 64,
      count: 1,
    } as const;
    const failed = tasks.measureStream(peer, plan);
    await expect(failed).rejects.toThrow(PeerFailure);
    await expect(failed).rejects.toThrow('127.0.0.0/8');
    const floor = await measureFloor(peer, { kind: 'spin', rounds: 10, bursts: 2 });
    expect(floor.value).toBeGreaterThan(0);
  });

  it('copy out of the other process by the kernel alone, as a floor for ordinary memory', async () => {
    const reach = await measureReach(peer, 4096, 4);
    expect(reach.value).toBeGreaterThan(0);
  });

  it('fails whatever waits for it when it is killed', async () => {
    const call = peer.start<null, null>('tcp-sink', { bytes: 1, count: 1 });
    await call.told();
    process.kill(peer.pid, 'SIGKILL');
    await expect(call.result()).rejects.toThrow(PeerDied);
    expect(() => peer.start('floor', null)).not.toThrow();
    await expect(peer.start('floor', null).told()).rejects.toThrow('SIGKILL');
  });
});
