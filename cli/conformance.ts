// `wsd conformance [module]`: which cases run against which provider and how it is told. The cases are
// test/conformance, the process they run in is conformance-child.ts. Exit codes: 0 everything passes, 1
// something does not, 2 the command line or the module cannot be.

import { readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { sweepFabrics } from '../bench/machine.js';
import type { ProfileName } from '../provider/spi/index.js';
import type { ConformanceCase, ConformanceRun } from '../test/conformance/index.js';
import {
  ALL_CASES,
  caseId,
  clauseTable,
  isBad,
  jsonReport,
  junitReport,
  summaryOf,
  tapReport,
  terminalReport,
} from '../test/conformance/index.js';
import { superviseRun } from './conformance-supervisor.js';
import { CommandFailure, UsageError } from './errors.js';

export const REPORTERS = ['terminal', 'json', 'junit', 'tap'] as const;

export interface ConformanceArguments {
  readonly engine: 'inline' | 'worker' | 'both';
  readonly profile: ProfileName;
  readonly group?: string;
  readonly case?: string;
  readonly seed: number;
  readonly verify: boolean;
  readonly reporter: (typeof REPORTERS)[number];
  readonly out?: string;
  readonly clauses: boolean;
  readonly list: boolean;
  /** A JSON file: case ids and why they are known to fail. */
  readonly expect?: string;
  /** Seconds for one case. */
  readonly timeout: number;
}

const REPORT: Readonly<
  Record<ConformanceArguments['reporter'], (runs: readonly ConformanceRun[]) => string>
> = { terminal: terminalReport, json: jsonReport, junit: junitReport, tap: tapReport };

/** How long a wait inside of a case may find nothing, as a part of what the case may take. */
const PATIENCE_PART = 0.05;

/** Throws UsageError, CommandFailure when something does not pass, and Interrupted. */
export async function conformanceCommand(
  module: string | undefined,
  options: ConformanceArguments,
  signal: AbortSignal,
): Promise<void> {
  const cases = chosenCases(options);
  if (options.list) {
    return put(options, cases.map((one) => `${caseId(one)}  ${one.title}\n`).join(''));
  }
  const expectedFailures = readExpectations(options.expect);
  const engines = options.engine === 'both' ? (['inline', 'worker'] as const) : [options.engine];
  const runs: ConformanceRun[] = [];
  try {
    for (const engine of engines) {
      const { profile, seed, verify, timeout } = options;
      const deadlineMs = timeout * 1000;
      const plan = {
        module: module === undefined ? null : specifierOf(module),
        engine,
        profile,
        seed,
        verify,
        patience: deadlineMs * PATIENCE_PART,
        expectedFailures,
        cases: cases.map(caseId),
      };
      const { provider, results } = await superviseRun(plan, { deadlineMs, signal });
      runs.push({ provider, engine, profile, seed, results });
    }
  } finally {
    // What a process that was killed has left.
    sweepFabrics();
  }
  put(options, options.clauses ? clauseTable(runs) : REPORT[options.reporter](runs));
  const bad = runs.filter(({ results }) => results.some(isBad));
  if (bad.length > 0) throw new CommandFailure(bad.map(summaryOf).join('; '));
}

function chosenCases({ group, case: name }: ConformanceArguments): readonly ConformanceCase[] {
  const groups = [...new Set(ALL_CASES.map((one) => one.group))];
  if (group !== undefined && !groups.includes(group)) {
    throw new UsageError(`there is no group ${group}; there are ${groups.join(', ')}`);
  }
  const chosen = ALL_CASES.filter(
    (one) =>
      (group === undefined || one.group === group) &&
      (name === undefined || one.name === name || caseId(one) === name),
  );
  if (chosen.length === 0) throw new UsageError(`there is no case ${name ?? ''}; see --list`);
  return chosen;
}

function readExpectations(file: string | undefined): Record<string, string> {
  if (file === undefined) return {};
  let expectations: unknown;
  try {
    expectations = JSON.parse(readFileSync(file, 'utf8'));
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    throw new UsageError(`${file} cannot be read: ${why}`, { cause: thrown });
  }
  const entries = Object.entries(Object(expectations) as Record<string, unknown>);
  const known = new Set(ALL_CASES.map(caseId));
  for (const [id, reason] of entries) {
    if (!known.has(id)) throw new UsageError(`${file} names ${id}, which is no case; see --list`);
    if (typeof reason !== 'string' || reason === '') {
      throw new UsageError(`${file} says no reason for ${id}`);
    }
  }
  return Object.fromEntries(entries) as Record<string, string>;
}

/** A path is one from here; anything else is a package. It is loaded by the child, never here. */
function specifierOf(module: string): string {
  const isPath = /^\.{0,2}\//.test(module) || statSync(module, { throwIfNoEntry: false })?.isFile();
  return isPath === true ? pathToFileURL(path.resolve(module)).href : module;
}

function put({ out }: ConformanceArguments, text: string): void {
  if (out === undefined) process.stdout.write(text);
  else writeFileSync(out, text);
}
