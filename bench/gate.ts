// The limits that the hot path is held to, each with the command that measures it: ratios to floors and
// peers of the same run, since figures of one machine say nothing on another. Pure data and arithmetic; who
// runs the commands is scripts/bench-gate.ts.

import type { BenchReport, Limit, Result } from './report.js';

export interface GateLine {
  readonly name: string;
  /** What follows `wsd bench`. */
  readonly command: readonly string[];
  /** Beginning of the name of what it is held against; null: the ratio of the result itself. */
  readonly against: string | null;
  readonly limit: Limit & { readonly ratio: number };
}

export interface GateOutcome {
  readonly name: string;
  /** Null: what it is held against is not installed, or has not run. */
  readonly ratio: number | null;
  readonly noise: number | null;
  readonly verdict: 'within' | 'beyond' | 'disturbed' | 'absent' | 'failed';
}

/** By time, so that a machine that others use does not make it endless. */
const LATENCY = ['--floors', '--stamp-every', '500', '-D', '0.5', '--completion', 'poll'];
const POLLED_APP = ['--layer', 'app', '--completion', 'poll'];

const atMost = (ratio: number): GateLine['limit'] => ({ kind: 'at-most', ratio });
const atLeast = (ratio: number): GateLine['limit'] => ({ kind: 'at-least', ratio });

export const GATE: readonly GateLine[] = [
  {
    name: 'provider lat send 64 B to the spin floor',
    command: ['lat', 'send', '-s', '64', ...LATENCY],
    against: 'floor.spin',
    limit: atMost(3.4),
  },
  {
    name: 'app lat send 64 B to the spin floor',
    command: ['lat', 'send', '-s', '64', ...LATENCY, '--layer', 'app'],
    against: 'floor.spin',
    limit: atMost(6),
  },
  {
    name: 'provider lat write 64 B, looked at in memory, to the spin floor',
    command: ['lat', 'write', '-s', '64', ...LATENCY],
    against: 'floor.spin',
    limit: atMost(2.5),
  },
  {
    name: "provider rate send 64 B to UCX's tag_bw",
    command: ['rate', 'send', '-s', '64', '-D', '0.5', '--completion', 'poll', '--peers', 'ucx'],
    against: 'ucx.rate',
    limit: atLeast(0.5),
  },
  ...(['write', 'read'] as const).map((operation) => ({
    name: `provider bw ${operation} 1 MiB to memmove`,
    command: ['bw', operation, '-s', '1M', '--completion', 'poll', '--floors'],
    against: 'floor.copy',
    limit: atLeast(0.95),
  })),
  ...['tcp', 'unix', 'port', 'ucx', 'libfabric', 'iperf3'].map((peer) => ({
    name: `provider bw send 64 KiB to ${peer}`,
    command: ['bw', 'send', '-s', '64K', '--completion', 'poll', '--peers', peer],
    against: peer,
    limit: atLeast(1),
  })),
  {
    name: 'app bw send 1 MiB to memmove',
    command: ['bw', 'send', '-s', '1M', '-n', '4096', '--floors', ...POLLED_APP],
    against: 'floor.copy',
    limit: atLeast(0.85),
  },
  {
    name: 'app lat send 64 B by event to node:net over TCP',
    command: [
      'lat',
      'send',
      '-s',
      '64',
      '--layer',
      'app',
      '--completion',
      'event',
      '--peers',
      'tcp',
    ],
    against: 'tcp.latency',
    limit: atMost(1),
  },
  {
    name: 'app lat send 64 B polled to node:net over TCP',
    command: ['lat', 'send', '-s', '64', '--stamp-every', '500', ...POLLED_APP, '--peers', 'tcp'],
    against: 'tcp.latency',
    limit: atMost(1 / 30),
  },
  {
    name: 'app bw send 1 MiB of ordinary Buffers to memmove',
    command: ['bw', 'send', '-s', '1M', '--buffers', 'buffer', '--floors', ...POLLED_APP],
    against: 'floor.copy',
    limit: atLeast(0.6),
  },
  {
    name: 'provider lat over 1,000 connections to one',
    command: ['scale', '--connections', '1,1000', '--completion', 'poll', '--stamp-every', '500'],
    against: null,
    limit: atMost(1.3),
  },
  {
    name: 'app lat over 1,000 connections to one',
    command: ['scale', '--connections', '1,1000', '--stamp-every', '500', ...POLLED_APP],
    against: null,
    limit: atMost(1.5),
  },
];

/** How the report of a line's command stands to the line's limit. */
export function judge(line: GateLine, report: BenchReport): GateOutcome {
  const { name, against, limit } = line;
  const subjects = report.results.filter(({ origin }) => origin === 'subject');
  const subject = against === null ? subjects.find(({ ratio }) => ratio !== null) : subjects[0];
  const other = report.results.find((one) => one.name === (referenceOf(subject, against) ?? ''));
  const ratio =
    against === null
      ? subject?.ratio
      : subject?.against.find((one) => one.name === other?.name)?.ratio;
  if (subject === undefined || ratio === undefined || ratio === null) {
    return { name, ratio: null, noise: null, verdict: 'absent' };
  }
  const isWithin = limit.kind === 'at-most' ? ratio <= limit.ratio : ratio >= limit.ratio;
  const noise = Math.hypot(subject.noise ?? 0, other?.noise ?? 0);
  // A miss counts only of figures that are to be trusted.
  const isTrusted = isMostlyCalm(subject) && (other === undefined || isMostlyCalm(other));
  return { name, ratio, noise, verdict: isWithin ? 'within' : isTrusted ? 'beyond' : 'disturbed' };
}

function referenceOf(subject: Result | undefined, against: string | null): string | null {
  if (against === null) return subject?.floor ?? null;
  return subject?.against.find(({ name }) => name.startsWith(against))?.name ?? null;
}

function isMostlyCalm({ samples, disturbedCount }: Result): boolean {
  return disturbedCount * 2 <= samples.length;
}
