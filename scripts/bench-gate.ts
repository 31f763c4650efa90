// Holds the hot path to its limits: runs the command of each line of bench/gate.ts in processes of its own,
// so that one line's code is not shaped by another's, and fails when the median ratio of several pairs
// misses. `npm run bench:gate -- lat scale` runs the lines that have a check with one of the words in its
// name. Prints a table for docs/performance.md. Ctrl-C ends the measurement under way and shows what there
// is so far.

import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { GateCheck, GateLine, GateOutcome, Verdict } from '../bench/gate.js';
import { GATE, gateTable, judge, outcomeOf } from '../bench/gate.js';
import type { BenchReport } from '../bench/report.js';
import { parseReport } from '../bench/report.js';

const program = fileURLToPath(new URL('../dist/cli/wsd.js', import.meta.url));
const PAIRS = '7';
/** A line that was disturbed is run again, so often at most, and only while there is time. */
const TRIES = 3;
const PATIENCE_MS = 300_000;
/** Nothing was missed, but something could not be judged. */
const INCONCLUSIVE = 3;
/** What a shell says of a program that SIGINT has ended. */
const INTERRUPTED = 130;

const VERDICTS = ['within', 'beyond', 'disturbed', 'absent', 'failed'] as const;

const words = process.argv.slice(2);
const isWanted = ({ name }: GateCheck): boolean =>
  words.length === 0 || words.some((word) => name.includes(word));
const lines = GATE.map(({ command, checks }) => ({ command, checks: checks.filter(isWanted) }));
const wanted = lines.filter(({ checks }) => checks.length > 0);
const outcomes = new Map<GateLine, readonly GateOutcome[]>();
let current: ChildProcess | null = null;
let isCut = false;
let environment: BenchReport['environment'] | null = null;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    isCut = true;
    current?.kill('SIGTERM');
  });
}

const begin = performance.now();
for (let attempt = 0; attempt < TRIES; attempt++) {
  for (const line of wanted.filter(isUnsettled)) {
    if (wasCut() || (attempt > 0 && performance.now() - begin > PATIENCE_MS)) break;
    await run(line);
  }
}
finish([...outcomes.values()].flat());

/** A function, because the compiler does not see what a signal changes. */
function wasCut(): boolean {
  return isCut;
}

/** Those that were disturbed come again when all others have had their turn: the neighbours may be gone. */
function isUnsettled(line: GateLine): boolean {
  return outcomes.get(line)?.some(({ verdict }) => verdict === 'disturbed') ?? true;
}

async function run(line: GateLine): Promise<void> {
  const report = await bench(line.command);
  if (wasCut()) return;
  const found =
    report === null ? line.checks.map((check) => outcomeOf(check, 'failed')) : judge(line, report);
  environment ??= report?.environment ?? null;
  outcomes.set(line, found);
  process.stderr.write(`wsd bench ${line.command.join(' ')} --pairs ${PAIRS}\n`);
  for (const { check, ratio, verdict } of found) {
    process.stderr.write(`  ${verdict}: ${check.name} ${ratio?.toFixed(3) ?? ''}\n`);
  }
}

/** The report, or null when the command has failed, which it has said itself. */
async function bench(command: readonly string[]): Promise<BenchReport | null> {
  const args = [program, 'bench', ...command, '--pairs', PAIRS, '--json'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  current = child;
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (piece: string) => (text += piece));
  const [code] = (await once(child, 'close')) as [number | null];
  current = null;
  return code === 0 ? parseReport(JSON.parse(text)) : null;
}

function finish(found: readonly GateOutcome[]): void {
  const count = (verdict: Verdict): number => found.filter((one) => one.verdict === verdict).length;
  const counts = VERDICTS.map((verdict) => `${count(verdict)} ${verdict}`);
  counts.push(`${wanted.flatMap(({ checks }) => checks).length - found.length} not run`);
  if (environment !== null) {
    const { cpu, cores, kernel, node } = environment;
    process.stdout.write(`${cpu}, ${cores} cores, Linux ${kernel}, Node ${node}; `);
  }
  const seconds = ((performance.now() - begin) / 1000).toFixed(0);
  process.stdout.write(`medians of ${PAIRS} pairs, ${seconds} s.\n\n${gateTable(found)}\n\n`);
  process.stdout.write(`${counts.join(', ')}\n`);
  if (count('beyond') + count('failed') > 0 || wanted.length === 0) process.exitCode = 1;
  else if (wasCut()) process.exitCode = INTERRUPTED;
  else if (count('disturbed') > 0) process.exitCode = INCONCLUSIVE;
}
