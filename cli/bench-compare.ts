// `wsd bench compare`: two reports, what changed, and whether that is more than noise and more than allowed.

import { readFileSync } from 'node:fs';
import { ZodError } from 'zod';
import { compareReports, comparisonTable } from '../bench/compare.js';
import type { BenchReport } from '../bench/report.js';
import { parseReport } from '../bench/report.js';
import { CommandFailure, formSentence, UsageError } from './errors.js';

export interface CompareArguments {
  /** Percent. */
  readonly limit: number;
}

/** Throws UsageError for what is no report, CommandFailure when something is worse than allowed. */
export function compareCommand(before: string, after: string, { limit }: CompareArguments): void {
  const changes = compareReports(readReport(before), readReport(after), limit / 100);
  process.stdout.write(`${comparisonTable(changes)}\n`);
  const worse = changes.filter(({ verdict }) => verdict === 'worse');
  if (worse.length > 0) {
    throw new CommandFailure(
      `worse by more than ${limit} %: ${worse.map(({ name }) => name).join(', ')}`,
    );
  }
}

function readReport(file: string): BenchReport {
  try {
    return parseReport(JSON.parse(readFileSync(file, 'utf8')));
  } catch (thrown) {
    const why = thrown instanceof ZodError ? formSentence(thrown) : String(thrown);
    throw new UsageError(`${file} is no report of this version: ${why}`, { cause: thrown });
  }
}
