// The summary, `wsd bench` without the name of a test: which measures, against which floors and limits,
// at which sizes. Runs them interleaved with a second process and hands back a report.

import type { ConnectionPlan, Level } from './connection.js';
import type { HostPlan } from './host-plan.js';
import { waitModeFor } from './host-plan.js';
import { describeMachine } from './environment.js';
import { FUTEX_FLOOR, measureCopy, measureFloor, SPIN_FLOOR } from './floors.js';
import { interleave } from './measure.js';
import type { Measure, Sample } from './measure.js';
import type { PeerProcess } from './peer-process.js';
import type { BenchReport } from './report.js';
import { REPORT_VERSION } from './report.js';
import type { Description } from './results.js';
import { makeResults, warningsOf } from './results.js';
import * as tasks from './tasks.js';
import { measureTcpLatency, measureTcpStream } from './tcp.js';

export interface BenchSettings {
  readonly host: HostPlan;
  readonly peerHost: HostPlan;
  /** Bytes of a small message, a multiple of 4. */
  readonly bytes: number;
  /** Round trips of one latency sample. */
  readonly iterations: number;
  /** How often everything is measured; the medians count. */
  readonly pairs: number;
  /** Rounds before them that do not count. */
  readonly warmUps: number;
  /** Bytes of a large message, and how many make one sample. */
  readonly largeBytes: number;
  readonly largeCount: number;
  /** Round trips of the allocation measure. */
  readonly heapRoundTrips: number;
  readonly idleMillis: number;
}

/** The sizes of a full run and of one that takes seconds. */
export const FULL_SIZES = {
  bytes: 64,
  iterations: 100_000,
  pairs: 7,
  warmUps: 3,
  largeBytes: 1 << 20,
  largeCount: 1024,
  heapRoundTrips: 500_000,
  idleMillis: 2_000,
} as const;
export const QUICK_SIZES = {
  ...FULL_SIZES,
  iterations: 10_000,
  pairs: 3,
  warmUps: 0,
  largeCount: 32,
  heapRoundTrips: 5_000,
  idleMillis: 500,
} as const;

export interface BenchProgress {
  /** Called before each sample; throws to end the run. */
  step(name: string, pair: number): void;
}

/** Round trips between two readings of the clock. */
const BATCH = 500;
/** What wakes a sleeper for every message is two orders of magnitude slower: smaller by as much. */
const SLOW_SHARE = 50;
const HEAP_SEGMENTS = 20;
const HEAP_SEGMENTS_SLOW = 4;
/** Measures that neither change nor compare: once is enough. */
const ONCE = new Set(['heap.provider', 'heap.app', 'idle']);

type Described = Measure & Description;

/** Runs everything. Throws PeerFailure, PeerDied, WsaError, SystemError, and what `progress` throws. */
export async function runBench(
  peer: PeerProcess,
  settings: BenchSettings,
  progress: BenchProgress,
): Promise<BenchReport> {
  const startedAt = new Date().toISOString();
  const environment = describeMachine(true);
  const measures = [
    ...latencies(peer, settings),
    ...bandwidths(peer, settings),
    ...rest(peer, settings),
  ];
  const step = ({ name }: Measure, pair: number): void => progress.step(name, pair);
  const repeated = measures.filter(({ name }) => !ONCE.has(name));
  const single = measures.filter(({ name }) => ONCE.has(name));
  const samples = new Map<string, Sample[]>([
    ...(await interleave(repeated, { ...settings, extra: settings.pairs - 1, check: step })),
    ...(await interleave(single, { pairs: 1, check: step })),
  ]);
  const results = makeResults(measures, samples);
  const { host, bytes, iterations, pairs, largeBytes, largeCount } = settings;
  return {
    format: 'winsock-direct bench',
    version: REPORT_VERSION,
    startedAt,
    command: process.argv.slice(2),
    environment,
    parameters: {
      test: 'summary',
      engine: host.engine ?? 'auto',
      provider: host.provider ?? 'reference',
      pairs,
      plans: [],
      further: { bytes, iterations, largeBytes, largeCount },
    },
    results,
    warnings: warningsOf(results),
  };
}

function connection(settings: BenchSettings, level: Level, slotBytes: number): ConnectionPlan {
  return { level, host: settings.host, peerHost: settings.peerHost, slotBytes };
}

function latencies(peer: PeerProcess, settings: BenchSettings): Described[] {
  const { bytes, iterations } = settings;
  const batch = Math.min(BATCH, iterations);
  const pingPong = {
    bytes,
    batch,
    batches: Math.ceil(iterations / batch),
    warmup: Math.ceil(iterations / 4),
  };
  const latency = (level: Level) => (): Promise<tasks.TransferReading> =>
    tasks.measureLatency(peer, { ...connection(settings, level, bytes), pingPong });
  return [
    {
      name: 'floor.spin',
      origin: 'floor',
      title: 'floor: C++ spinning on two words',
      unit: 'ns',
      better: 'less',
      run: () => measureFloor(peer, SPIN_FLOOR),
    },
    {
      name: 'provider.latency',
      origin: 'subject',
      title: `provider: WSPSend/WSPRecv ${bytes} B, half round trip`,
      unit: 'ns',
      better: 'less',
      floor: 'floor.spin',
      limit: { kind: 'at-most', ratio: 4 },
      run: latency('provider'),
    },
    {
      name: 'app.latency',
      origin: 'subject',
      title: `application: WSASend/WSARecv ${bytes} B, half round trip`,
      unit: 'ns',
      better: 'less',
      floor: 'floor.spin',
      limit: { kind: 'at-most', ratio: 8 },
      run: latency('app'),
    },
    {
      name: 'tcp.latency',
      origin: 'peer',
      title: `kernel TCP: node:net ${bytes} B, half round trip`,
      unit: 'ns',
      better: 'less',
      floor: 'floor.spin',
      run: () => measureTcpLatency(peer, { bytes, rounds: Math.ceil(iterations / SLOW_SHARE) }),
    },
    {
      name: 'floor.futex',
      origin: 'floor',
      title: 'floor: C++ sleeping on futexes',
      unit: 'ns',
      better: 'less',
      run: () => measureFloor(peer, FUTEX_FLOOR),
    },
  ];
}

function bandwidths(peer: PeerProcess, settings: BenchSettings): Described[] {
  const { largeBytes: bytes, largeCount: count } = settings;
  const plan = (level: Level): tasks.StreamPlan => ({
    ...connection(settings, level, bytes),
    bytes,
    count,
  });
  const size = `${bytes / 1024} KiB`;
  return [
    {
      name: 'floor.copy',
      origin: 'floor',
      title: `floor: memmove ${size}`,
      unit: 'GB/s',
      better: 'more',
      run: async () => measureCopy(peer.floors, bytes),
    },
    {
      name: 'provider.rdma-write',
      origin: 'subject',
      title: `provider: WSPRdmaWrite ${size}`,
      unit: 'GB/s',
      better: 'more',
      floor: 'floor.copy',
      limit: { kind: 'at-least', ratio: 0.9 },
      run: () => tasks.measureRdmaWrite(peer, plan('provider')),
    },
    {
      name: 'app.send',
      origin: 'subject',
      title: `application: WSASend ${size} into posted WSARecv`,
      unit: 'GB/s',
      better: 'more',
      floor: 'floor.copy',
      limit: { kind: 'at-least', ratio: 0.7 },
      run: () => tasks.measureStream(peer, plan('app')),
    },
    {
      name: 'tcp.stream',
      origin: 'peer',
      title: `kernel TCP: node:net ${size} writes`,
      unit: 'GB/s',
      better: 'more',
      floor: 'floor.copy',
      run: () => measureTcpStream(peer, { bytes, count }),
    },
  ];
}

function rest(peer: PeerProcess, settings: BenchSettings): Described[] {
  const { bytes, heapRoundTrips, idleMillis } = settings;
  // 'auto' takes workers only where they have cores of their own.
  const isSlow = settings.host.engine === 'worker' && waitModeFor('worker') === 'sleep';
  const segments = isSlow ? HEAP_SEGMENTS_SLOW : HEAP_SEGMENTS;
  const roundTripsPerSegment = Math.ceil(heapRoundTrips / segments / (isSlow ? SLOW_SHARE : 1));
  const heap = (level: Level) => (): Promise<{ value: number }> =>
    tasks.measureHeap(peer, {
      ...connection(settings, level, bytes),
      bytes,
      segments,
      roundTripsPerSegment,
    });
  return [
    {
      name: 'heap.provider',
      origin: 'subject',
      title: 'provider: heap growth per operation',
      unit: 'B',
      better: 'less',
      limit: { kind: 'at-most', value: 1 },
      run: heap('provider'),
    },
    {
      name: 'heap.app',
      origin: 'subject',
      title: 'application: heap growth per operation',
      unit: 'B',
      better: 'less',
      limit: { kind: 'at-most', value: 1 },
      run: heap('app'),
    },
    {
      name: 'idle',
      origin: 'subject',
      title: 'a connection at rest: CPU of a core',
      unit: '%',
      better: 'less',
      limit: { kind: 'at-most', value: 1 },
      run: () =>
        tasks.measureIdle(peer, {
          ...connection(settings, 'app', bytes),
          sleeps: true,
          millis: idleMillis,
        }),
    },
  ];
}
