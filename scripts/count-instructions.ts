// Counts what a message of 64 bytes takes: instructions, and misses of a cache of 32 KiB and of one of
// 1 MiB behind it, both simulated. Both ends of a connection run on one thread (bench/one-thread.ts) under
// valgrind's callgrind, which is switched on for the messages alone: the same every time, whatever else the
// machine does. Needs valgrind; run it as
//   nice -n 19 npx tsx scripts/count-instructions.ts [nic|provider|app …]
// With --profile it says in place of that where V8's profiler finds the time to go, by folder.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { LEVELS } from '../bench/plan.js';
import { columns } from '../bench/report.js';
import type { Level } from '../bench/sites.js';

interface Count {
  readonly level: Level;
  readonly way: 'lat' | 'rate';
  readonly connections: number;
}

/** Messages that are counted. Switching the counting on and off is counted by a run without any. */
const COUNTED = 32_000;
const CACHES = ['--D1=32768,8,64', '--LL=1048576,8,64'];
const FAR_CONNECTIONS = 1_000;

const program = fileURLToPath(new URL('./count-messages.mjs', import.meta.url));
const wanted = process.argv.slice(2).filter((word) => word !== '--profile');
const levels = LEVELS.filter((level) => wanted.length === 0 || wanted.includes(level));

function count(): void {
  const counts = levels.flatMap((level): Count[] => [
    { level, way: 'lat', connections: 1 },
    { level, way: 'rate', connections: 1 },
    ...(level === 'nic' ? [] : ([{ level, way: 'lat', connections: FAR_CONNECTIONS }] as const)),
  ]);
  const rows = [['message of 64 bytes', 'instructions', 'data > 32K', 'code > 32K', 'data > 1M']];
  for (const one of counts) {
    const [none, all] = [eventsOf(one, 0), eventsOf(one, COUNTED)];
    const each = (...names: readonly string[]): number =>
      names.reduce((sum, name) => sum + (all.get(name) ?? 0) - (none.get(name) ?? 0), 0) / COUNTED;
    rows.push([
      `${one.level} ${one.way}, ${one.connections} connection${one.connections === 1 ? '' : 's'}`,
      each('Ir').toFixed(0),
      each('D1mr', 'D1mw').toFixed(1),
      each('I1mr').toFixed(1),
      each('DLmr', 'DLmw').toFixed(1),
    ]);
    process.stderr.write(`${rows.at(-1)?.join('  ') ?? ''}\n`);
  }
  process.stdout.write(`${columns(rows).join('\n')}\n`);
}

/** What callgrind says at the end of a run. Throws when it is not installed, or the run fails. */
function eventsOf({ level, way, connections }: Count, messages: number): Map<string, number> {
  const folder = mkdtempSync(path.join(tmpdir(), 'wsd-count-'));
  const out = path.join(folder, 'out');
  try {
    execFileSync(
      'valgrind',
      [
        ...['--tool=callgrind', '--smc-check=all-non-file', '--cache-sim=yes', ...CACHES],
        ...['--instr-atstart=no', `--callgrind-out-file=${out}`],
        // Compilers and collectors of their own threads would come and go as the scheduler likes.
        ...[process.execPath, '--single-threaded', program, level, way],
        ...[String(messages), String(connections)],
      ],
      { stdio: ['ignore', 'inherit', 'pipe'], env: { ...process.env, WSD_COUNT: '1' } },
    );
    const text = readFileSync(out, 'utf8');
    const names = (/^events: (.*)$/m.exec(text)?.[1] ?? '').split(' ');
    const sums = (/^totals: (.*)$/m.exec(text)?.[1] ?? '').split(' ').map(Number);
    return new Map(names.map((name, at) => [name, sums[at] ?? 0]));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

// Where the time goes ----------------------------------------------------------------------------

interface Profile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string };
    readonly children?: readonly number[];
  }[];
  readonly samples: readonly number[];
}

const PROFILED = 2_000_000;
const SHARE_MIN = 0.01;

/** The shares of folders in the samples of V8's profiler, whose samples know what was inlined. */
function profile(level: Level): void {
  const folder = mkdtempSync(path.join(tmpdir(), 'wsd-profile-'));
  try {
    execFileSync(process.execPath, [
      ...['--cpu-prof', `--cpu-prof-dir=${folder}`],
      ...[program, level, 'lat', String(PROFILED), '1'],
    ]);
    const [file = ''] = readdirSync(folder);
    const { nodes, samples } = JSON.parse(readFileSync(path.join(folder, file), 'utf8')) as Profile;
    const placeOf = new Map(nodes.map((node) => [node.id, place(node.callFrame)]));
    const isMeasured = below(nodes, 'measured');
    const [first, last] = [samples.findIndex(isMeasured), samples.findLastIndex(isMeasured)];
    const shares = new Map<string, number>();
    for (const id of samples.slice(first, last + 1)) {
      const where = placeOf.get(id) ?? '';
      shares.set(where, (shares.get(where) ?? 0) + 1 / (last + 1 - first));
    }
    const rows = [...shares]
      .filter(([, share]) => share >= SHARE_MIN)
      .sort(([, a], [, b]) => b - a)
      .map(([where, share]) => [where, `${(100 * share).toFixed(0)} %`]);
    process.stdout.write(`${columns([[`${level} lat`, 'of the time'], ...rows]).join('\n')}\n\n`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Whether a node is of the function with this name, or of what it calls. */
function below(nodes: Profile['nodes'], name: string): (id: number) => boolean {
  const childrenOf = new Map(nodes.map(({ id, children = [] }) => [id, children]));
  const found = new Set<number>();
  const add = (id: number): void => {
    found.add(id);
    for (const child of childrenOf.get(id) ?? []) add(child);
  };
  for (const { id, callFrame } of nodes) if (callFrame.functionName === name) add(id);
  return (id) => found.has(id);
}

function place({ functionName, url }: Profile['nodes'][number]['callFrame']): string {
  const [, own] = url.split('/dist/');
  if (own !== undefined) return path.dirname(own);
  return functionName.startsWith('(') ? functionName : 'Node and the addon';
}

if (process.argv.includes('--profile')) for (const level of levels) profile(level);
else count();
