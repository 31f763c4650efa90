// Holds the hot path to its limits: runs the command of each line of bench/gate.ts in processes of its own,
// so that one line's code is not shaped by another's, and fails when the median ratio of several pairs
// misses. `npm run bench:gate -- lat scale` runs the lines whose names have one of the words. Ctrl-C ends
// the measurement under way and shows what there is so far.

import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { GateLine, GateOutcome } from '../bench/gate.js';
import { GATE, judge } from '../bench/gate.js';
import { parseReport } from '../bench/report.js';
import { columns } from '../bench/report-text.js';

const program = fileURLToPath(new URL('../dist/cli/wsd.js', import.meta.url));
const PAIRS = '7';
/** A line that was disturbed is run again, so often at most. */
const TRIES = 3;
/** Nothing was missed, but something could not be judged. */
const INCONCLUSIVE = 3;
/** What a shell says of a program that SIGINT has ended. */
const INTERRUPTED = 130;

const VERDICTS = ['within', 'beyond', 'disturbed', 'absent', 'failed'] as const;

const words = process.argv.slice(2);
const lines = GATE.filter(
  ({ name }) => words.length === 0 || words.some((word) => name.includes(word)),
);
const outcomes: GateOutcome[] = [];
let current: ChildProcess | null = null;
let isCut = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    isCut = true;
    current?.kill('SIGTERM');
  });
}

for (const line of lines) {
  const outcome = await run(line);
  if (outcome === null) break;
  outcomes.push(outcome);
  process.stdout.write(`${describe(line, outcome)}\n`);
}
process.stdout.write(
  `\n${columns([['', 'ratio', 'limit', 'noise', ''], ...outcomes.map(row)]).join('\n')}\n`,
);
const count = (verdict: GateOutcome['verdict']): number =>
  outcomes.filter((one) => one.verdict === verdict).length;
const counts = VERDICTS.map((verdict) => `${count(verdict)} ${verdict}`);
counts.push(`${lines.length - outcomes.length} not run`);
process.stdout.write(`${counts.join(', ')}\n`);
if (count('beyond') + count('failed') > 0 || lines.length === 0) process.exitCode = 1;
else if (wasCut()) process.exitCode = INTERRUPTED;
else if (count('disturbed') > 0) process.exitCode = INCONCLUSIVE;

/** A function, because the compiler does not see what a signal changes. */
function wasCut(): boolean {
  return isCut;
}

/** Null when it was cut. */
async function run(line: GateLine): Promise<GateOutcome | null> {
  let outcome: GateOutcome = { name: line.name, ratio: null, noise: null, verdict: 'disturbed' };
  for (let attempt = 0; attempt < TRIES && outcome.verdict === 'disturbed'; attempt++) {
    if (wasCut()) return null;
    const report = await bench(line.command);
    if (wasCut()) return null;
    if (report === null) return { ...outcome, verdict: 'failed' };
    outcome = judge(line, parseReport(JSON.parse(report)));
  }
  return outcome;
}

/** The report, or null when the command has failed, which it has said itself. */
async function bench(command: readonly string[]): Promise<string | null> {
  const args = [program, 'bench', ...command, '--pairs', PAIRS, '--json'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  current = child;
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (piece: string) => (text += piece));
  const [code] = (await once(child, 'close')) as [number | null];
  current = null;
  return code === 0 ? text : null;
}

function describe({ command }: GateLine, { name, verdict }: GateOutcome): string {
  return `${verdict}: ${name}   (wsd bench ${command.join(' ')} --pairs ${PAIRS})`;
}

function row({ name, ratio, noise, verdict }: GateOutcome, at: number): string[] {
  const limit = lines[at]?.limit;
  const sign = limit?.kind === 'at-most' ? '<=' : '>=';
  return [
    name,
    ratio === null ? '' : `${ratio.toFixed(3)}x`,
    `${sign} ${limit?.ratio.toFixed(3) ?? ''}x`,
    noise === null ? '' : `${(100 * noise).toFixed(0)} %`,
    verdict,
  ];
}
