// The tests, from a fresh clone: sets up, runs vitest with the arguments given, keeps the name and
// state of every test for `npm run clauses`, and ends with one plain line that a program can read.
// `--long` as the first argument runs the long tests (*.long.test.ts) instead of the others.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { root, setup } from './setup.mjs';

const isLong = process.argv[2] === '--long';
const args = process.argv.slice(isLong ? 3 : 2);
/** A watchdog over the whole run, not an expectation. */
const LIMIT_MINUTES = isLong ? 120 : 20;

await setup();

const folder = path.join(root, '.setup');
const report = path.join(folder, `test-run-${process.pid}.json`);
fs.mkdirSync(folder, { recursive: true });

const vitest = path.join(root, 'node_modules/vitest/vitest.mjs');
const reporter = path.join(root, 'scripts/test-reporter.mjs');
const hasReporter = args.some((arg) => arg.startsWith('--reporter'));
const reporters = [...(hasReporter ? [] : ['--reporter=default']), `--reporter=${reporter}`];
const env = { ...process.env, WSD_TEST_REPORT: report, ...(isLong ? { WSD_LONG_TESTS: '1' } : {}) };
const status = await runVitest([vitest, 'run', ...args, ...reporters]);

const run = takeReport();
if (run !== null) remember(run);
const { passed, failed, skipped } = run?.counts ?? { passed: 0, failed: 1, skipped: 0 };
const isGood = status === 0 && failed === 0 && passed > 0;
process.stdout.write(
  `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`,
);
process.exitCode = isGood ? 0 : status || 1;

/** Runs vitest in a process group of its own, and ends all of it when it takes far too long. */
async function runVitest(argv) {
  const child = spawn(process.execPath, argv, { cwd: root, stdio: 'inherit', env, detached: true });
  const end = (signal) => process.kill(-child.pid, signal);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => end(signal));
  const watchdog = setTimeout(() => {
    process.stderr.write(`the tests have not ended after ${LIMIT_MINUTES} minutes: given up\n`);
    end('SIGKILL');
  }, LIMIT_MINUTES * 60_000);
  const [code] = await once(child, 'exit');
  clearTimeout(watchdog);
  return code;
}

function takeReport() {
  if (!fs.existsSync(report)) return null;
  const run = JSON.parse(fs.readFileSync(report, 'utf8'));
  fs.rmSync(report);
  return run;
}

/** A run of some files replaces what is known of those; a run of everything replaces everything. */
function remember(run) {
  // Chosen by name (-t), the tests not chosen count as skipped: that says nothing about them.
  if (run.isChosenByName) return;
  const file = path.join(folder, 'test-results.json');
  const isWhole = args.length === 0 && !isLong;
  const known =
    isWhole || !fs.existsSync(file) ? {} : JSON.parse(fs.readFileSync(file, 'utf8')).files;
  const files = Object.fromEntries(
    Object.entries({ ...known, ...run.files }).filter(([name]) =>
      fs.existsSync(path.join(root, name)),
    ),
  );
  fs.writeFileSync(`${file}.${process.pid}`, `${JSON.stringify({ files }, null, 1)}\n`);
  fs.renameSync(`${file}.${process.pid}`, file);
}
