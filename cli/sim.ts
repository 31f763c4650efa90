// `wsd sim`: whole systems under a virtual clock, one seed after the other, spread over threads. What a run
// is and what must hold in it is test/sim. Exit codes: 0 all runs are well, 1 some are not, 2 the command
// line or the script cannot be.

import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { Piscina } from 'piscina';
import type { BatchResult, Plan, RunResult, SeedFailure } from '../test/sim/index.js';
import {
  makePlan,
  parsePlan,
  PlanError,
  printPlan,
  runPlan,
  shortest,
  SimMachine,
  simWorker,
} from '../test/sim/index.js';
import { CommandFailure, Interrupted, UsageError } from './errors.js';

export interface SimArguments {
  readonly seed: number;
  readonly runs: number;
  readonly jobs?: number;
  /** A file for the trace of a single run. */
  readonly trace?: string;
  /** A file with a plan to run in place of a seed's. */
  readonly script?: string;
}

const SEEDS_PER_BATCH = 50;
/** How many failures are made short. */
const SHORTENED_MAX = 3;

/** Throws UsageError, CommandFailure when a run fails, and Interrupted. */
export async function simCommand(options: SimArguments, signal: AbortSignal): Promise<void> {
  const { seed, runs, trace, script } = options;
  if (script !== undefined) return runOne(readPlan(script), `--script ${script}`, trace);
  if (trace !== undefined && runs !== 1) {
    throw new UsageError('--trace is of a single run: say --runs 1');
  }
  if (runs === 1) return runOne(makePlan(seed), replayOf(seed), trace);
  await runMany(options, signal);
}

async function runOne(plan: Plan, replay: string, trace: string | undefined): Promise<void> {
  const machine = new SimMachine();
  let result: RunResult;
  try {
    result = await runPlan(machine, plan, { keepsText: trace !== undefined });
  } finally {
    machine.close();
  }
  if (trace !== undefined) writeFileSync(trace, `${result.text}\n`);
  const { failure, digest, spiCalls, elapsed } = result;
  const seconds = (elapsed / 1e9).toFixed(6);
  print(`${spiCalls} SPI calls in ${seconds} s of virtual time, digest ${digest}`);
  if (failure === null) return;
  print(failure);
  await printShort(plan);
  throw new CommandFailure(`it fails; replay: wsd sim ${replay}`);
}

async function runMany(options: SimArguments, signal: AbortSignal): Promise<void> {
  const { seed, runs } = options;
  const jobs = options.jobs ?? availableParallelism();
  const started = process.hrtime.bigint();
  const results = await spread({ seed, runs, jobs }, signal);
  const seconds = Number(process.hrtime.bigint() - started) / 1e9;
  const calls = results.reduce((sum, { spiCalls }) => sum + spiCalls, 0);
  const digest = createHash('sha256');
  for (const { digests } of results) for (const one of digests) digest.update(one);
  print(`${runs} runs from seed ${seed}, digest ${digest.digest('hex').slice(0, 16)}`);
  const perMinute = Math.round((runs / seconds) * 60);
  const perCore = Math.round(calls / seconds / jobs);
  print(`${perMinute} runs a minute, ${perCore} SPI calls a second and thread (${jobs} threads)`);
  const failures = results.flatMap((result) => result.failures);
  if (failures.length === 0) return;
  await printFailures(failures);
  throw new CommandFailure(`${failures.length} of ${runs} runs fail`);
}

/** The results of all batches, in the order of their seeds. */
async function spread(
  { seed, runs, jobs }: { seed: number; runs: number; jobs: number },
  signal: AbortSignal,
): Promise<BatchResult[]> {
  const pool = new Piscina({ filename: simWorker, minThreads: jobs, maxThreads: jobs });
  // What runs is cut off: an interrupted simulation has nothing to tell.
  signal.addEventListener('abort', () => void pool.destroy(), { once: true });
  const tasks: Promise<BatchResult>[] = [];
  for (let first = seed; first < seed + runs; first += SEEDS_PER_BATCH) {
    const count = Math.min(SEEDS_PER_BATCH, seed + runs - first);
    tasks.push(pool.run({ first, count }) as Promise<BatchResult>);
  }
  try {
    return await Promise.all(tasks);
  } catch (thrown) {
    throw signal.reason instanceof Interrupted ? signal.reason : thrown;
  } finally {
    await pool.destroy();
  }
}

async function printFailures(failures: readonly SeedFailure[]): Promise<void> {
  for (const [index, { seed, failure }] of failures.entries()) {
    print(`seed ${seed}: ${failure}`);
    print(`  replay: wsd sim ${replayOf(seed)}`);
    if (index < SHORTENED_MAX) await printShort(makePlan(seed));
  }
}

async function printShort(plan: Plan): Promise<void> {
  const short = await shortest(plan);
  if (short !== null) print(`# the same in short, for wsd sim --script\n${printPlan(short)}`);
}

function readPlan(file: string): Plan {
  try {
    return parsePlan(readFileSync(file, 'utf8'), file);
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    const message = thrown instanceof PlanError ? why : `${file} cannot be read: ${why}`;
    throw new UsageError(message, { cause: thrown });
  }
}

function replayOf(seed: number): string {
  return `--seed ${seed} --runs 1`;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
