// The limits that the hot path is held to, and the commands that measure them: ratios to floors and peers
// of the same run, since figures of one machine say nothing on another. Pure data and arithmetic; who runs
// the commands is scripts/bench-gate.ts.

import type { BenchReport, Limit, Result } from './report.js';
import { formatValue } from './report-text.js';
import { isTrusted, isWithin } from './results.js';

export interface GateCheck {
  readonly name: string;
  /** Beginning of the name of what the result is held against; null: the ratio of the result itself. */
  readonly against: string | null;
  readonly limit: Limit & { readonly ratio: number };
  /** What would be good; missing it fails nothing. */
  readonly goal?: number;
}

/** One command, in processes of its own, and what is read from its report. */
export interface GateLine {
  /** What follows `wsd bench`. */
  readonly command: readonly string[];
  readonly checks: readonly GateCheck[];
}

export type Verdict = 'within' | 'beyond' | 'disturbed' | 'absent' | 'failed';

export interface GateOutcome {
  readonly check: GateCheck;
  /** The figure, that of what it is held against, and their ratio; null: not installed, or not run. */
  readonly figure: string | null;
  readonly other: string | null;
  readonly ratio: number | null;
  readonly calmPairs: number;
  readonly pairs: number;
  readonly verdict: Verdict;
}

/** By time, so that a machine that others use does not make it endless. */
const LATENCY = ['-s', '64', '--stamp-every', '500', '-D', '0.25', '--completion', 'poll'];
const POLLED = ['--completion', 'poll'];
const POLLED_APP = ['--layer', 'app', ...POLLED];
const MANY = ['--connections', '1,1000', '-n', '8000', '--stamp-every', '500'];

const atMost = (ratio: number): GateCheck['limit'] => ({ kind: 'at-most', ratio });
const atLeast = (ratio: number): GateCheck['limit'] => ({ kind: 'at-least', ratio });

export const GATE: readonly GateLine[] = [
  {
    command: ['lat', 'send', ...LATENCY, '--floors', '--peers', 'ucx'],
    checks: [
      {
        ...{ name: 'provider lat send 64 B to the spin floor', against: 'floor.spin' },
        ...{ limit: atMost(3.4), goal: 2.5 },
      },
      {
        ...{ name: "provider lat send 64 B to UCX's tag_lat", against: 'ucx.latency' },
        limit: atMost(1),
      },
    ],
  },
  {
    command: [
      'lat',
      'send',
      ...LATENCY,
      '--layer',
      'app',
      '--floors',
      '--peers',
      'ucx,libfabric,tcp',
    ],
    checks: [
      {
        ...{ name: 'app lat send 64 B to the spin floor', against: 'floor.spin' },
        limit: atMost(6),
      },
      {
        ...{ name: "app lat send 64 B to libfabric's fi_pingpong", against: 'libfabric.latency' },
        limit: atMost(1),
      },
      {
        ...{ name: 'app lat send 64 B polled to node:net over TCP', against: 'tcp.latency' },
        limit: atMost(1 / 30),
      },
    ],
  },
  {
    command: ['lat', 'write', ...LATENCY, '--floors'],
    checks: [
      {
        ...{ name: 'provider lat write 64 B, looked at in memory, to the spin floor' },
        ...{ against: 'floor.spin', limit: atMost(2.5) },
      },
    ],
  },
  {
    command: ['rate', 'send', '-s', '64', '-D', '0.25', ...POLLED, '--peers', 'ucx'],
    checks: [
      {
        ...{ name: "provider rate send 64 B to UCX's tag_bw", against: 'ucx.rate' },
        ...{ limit: atLeast(0.5), goal: 1 },
      },
    ],
  },
  ...(['write', 'read'] as const).map((operation) => ({
    command: ['bw', operation, '-s', '1M', ...POLLED, '--floors', '--peers', 'ucx,libfabric'],
    checks: [
      {
        ...{ name: `provider bw ${operation} 1 MiB to memmove`, against: 'floor.copy' },
        limit: atLeast(0.95),
      },
      ...['ucx', 'libfabric'].map((against) => ({
        ...{ name: `provider bw ${operation} 1 MiB to ${against}`, against },
        limit: atLeast(1),
      })),
    ],
  })),
  {
    command: ['bw', 'send', '-s', '64K', ...POLLED, '--peers', 'ucx,libfabric,tcp,unix'],
    checks: ['ucx', 'libfabric', 'tcp', 'unix'].map((against) => ({
      ...{ name: `provider bw send 64 KiB to ${against}`, against },
      limit: atLeast(1),
    })),
  },
  {
    command: ['bw', 'send', '-s', '1M', '-n', '2048', '--floors', ...POLLED_APP],
    checks: [
      {
        ...{ name: 'app bw send 1 MiB to memmove', against: 'floor.copy' },
        limit: atLeast(0.85),
      },
    ],
  },
  {
    command: ['bw', 'send', '-s', '1M', '--buffers', 'buffer', '--floors', ...POLLED_APP],
    checks: [
      {
        ...{ name: 'app bw send 1 MiB of ordinary Buffers to memmove', against: 'floor.copy' },
        limit: atLeast(0.6),
      },
      {
        ...{ name: "app bw send 1 MiB of ordinary Buffers to the kernel's own copy" },
        ...{ against: 'floor.reach', limit: atLeast(0.85) },
      },
    ],
  },
  {
    command: ['lat', 'send', '-s', '64', '-n', '4000', '--layer', 'app', '-e', '--peers', 'tcp'],
    checks: [
      {
        ...{ name: 'app lat send 64 B by event to node:net over TCP', against: 'tcp.latency' },
        limit: atMost(1),
      },
    ],
  },
  {
    command: ['scale', ...MANY, ...POLLED],
    checks: [
      {
        ...{ name: 'provider lat over 1,000 connections to one', against: null },
        limit: atMost(1.3),
      },
    ],
  },
  {
    command: ['scale', ...MANY, ...POLLED_APP],
    checks: [{ name: 'app lat over 1,000 connections to one', against: null, limit: atMost(1.5) }],
  },
];

/** How the report of a line's command stands to the line's limits. */
export function judge({ checks }: GateLine, report: BenchReport): GateOutcome[] {
  return checks.map((check) => judgeOne(check, report));
}

/** What is said of checks whose command did not run through. */
export function outcomeOf(check: GateCheck, verdict: 'failed' | 'absent'): GateOutcome {
  return { check, figure: null, other: null, ratio: null, calmPairs: 0, pairs: 0, verdict };
}

function judgeOne(check: GateCheck, report: BenchReport): GateOutcome {
  const { against, limit } = check;
  const subjects = report.results.filter(({ origin }) => origin === 'subject');
  const subject = against === null ? subjects.find(({ ratio }) => ratio !== null) : subjects[0];
  const found = subject === undefined ? undefined : ratioOf(subject, against, report);
  const other = report.results.find(({ name }) => name === found?.name);
  if (subject === undefined || found === undefined || other === undefined) {
    return outcomeOf(check, 'absent');
  }
  const { ratio, calmPairs, pairs } = found;
  const isJudged = isTrusted(calmPairs, pairs);
  const verdict = isWithin(limit, ratio) ? 'within' : 'beyond';
  return {
    ...{ check, ratio, calmPairs, pairs },
    figure: textOf(subject),
    other: textOf(other),
    verdict: isJudged ? verdict : 'disturbed',
  };
}

type Found = Result['against'][number];

function ratioOf(subject: Result, against: string | null, report: BenchReport): Found | undefined {
  if (against !== null) return subject.against.find(({ name }) => name.startsWith(against));
  const { floor, ratio } = subject;
  const other = report.results.find(({ name }) => name === floor);
  if (other === undefined || ratio === null) return undefined;
  const calmPairs = subject.samples.filter(
    ({ disturbances }, at) =>
      disturbances.length === 0 && other.samples[at]?.disturbances.length === 0,
  ).length;
  return { name: other.name, ratio, pairs: subject.samples.length, calmPairs };
}

function textOf({ value, unit }: Result): string | null {
  return value === null ? null : formatValue(value, unit);
}

/** The outcomes as a table for docs/performance.md. */
export function gateTable(outcomes: readonly GateOutcome[]): string {
  const rows = outcomes.map(({ check, figure, other, ratio, calmPairs, pairs, verdict }) => [
    check.name,
    figure ?? '',
    other ?? '',
    ratio === null ? '' : ratioText(ratio),
    limitText(check),
    pairs === 0 ? '' : `${calmPairs} of ${pairs}`,
    verdict,
  ]);
  const head = ['measure', 'figure', 'beside it', 'ratio', 'limit', 'undisturbed pairs', 'verdict'];
  const lines = [head, head.map(() => '---'), ...rows];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function limitText({ limit, goal }: GateCheck): string {
  const bound = `${limit.kind === 'at-most' ? '≤' : '≥'} ${ratioText(limit.ratio)}`;
  return goal === undefined ? bound : `${bound} (goal ${ratioText(goal)})`;
}

function ratioText(ratio: number): string {
  return ratio >= 0.1 ? ratio.toFixed(2) : ratio.toPrecision(2);
}
