// What reports are made from: the runs of one command. Plain data.

import type { CaseResult, Verdict } from '../runner.js';

/** The cases of one engine. */
export interface ConformanceRun {
  readonly provider: string;
  readonly engine: string;
  readonly profile: string;
  readonly seed: number;
  readonly results: readonly CaseResult[];
}

/** Verdicts that make a run fail. */
const BAD: ReadonlySet<Verdict> = new Set<Verdict>(['fail', 'unexpected-pass']);

export function isBad({ verdict }: CaseResult): boolean {
  return BAD.has(verdict);
}

export type Tally = Readonly<Record<Verdict, number>>;

export function tallyOf(results: readonly CaseResult[]): Tally {
  const tally = { pass: 0, fail: 0, unsupported: 0, 'expected-failure': 0, 'unexpected-pass': 0 };
  for (const { verdict } of results) tally[verdict]++;
  return tally;
}

/** One line: what came of a run. */
export function summaryOf(run: ConformanceRun): string {
  const { pass, fail, unsupported, ...expected } = tallyOf(run.results);
  const counts = [
    `${pass} passed`,
    `${fail} failed`,
    `${unsupported} not supported`,
    `${expected['expected-failure']} expected failures`,
    `${expected['unexpected-pass']} unexpected passes`,
  ];
  return `${run.provider}, engine ${run.engine}, profile ${run.profile}: ${counts.join(', ')}`;
}

/** What a person needs to know of a case that went wrong: clauses, expected, came, what led there. */
export function detailsOf(result: CaseResult): string[] {
  const { verdict, clauses, expected, actual, reason, history } = result;
  const cited = clauses.length === 0 ? 'none' : clauses.join(' ');
  if (verdict === 'unexpected-pass') {
    return [`clauses   ${cited}`, `expected  a failure: ${reason}`, 'came      success'];
  }
  const lines = [`clauses   ${cited}`, `expected  ${expected}`, `came      ${actual}`];
  return history.length === 0 ? lines : [...lines, 'the last calls and upcalls:', ...history];
}
