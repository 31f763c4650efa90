// Puts clauses and test results together: which clauses are shown by a test that passed, which have
// none, which cannot apply. Pure; scripts/clauses.ts reads the files and prints.

import { citationProblems, citationsIn } from './clause-citations.js';
import type { Clause } from './clause-spec.js';

export interface TestOutcome {
  readonly file: string;
  readonly title: string;
  /** As vitest has it: passed, failed, skipped, pending. */
  readonly state: string;
}

/** `failing` wins over `shown`: a clause with one test that fails is not kept. */
export type ClauseState = 'shown' | 'failing' | 'missing' | 'not-applicable' | 'uncounted';

export interface ClauseEntry extends Clause {
  readonly state: ClauseState;
  readonly tests: readonly TestOutcome[];
  /** Why it cannot apply, when it cannot. */
  readonly reason?: string;
}

export interface ClauseReport {
  readonly entries: readonly ClauseEntry[];
  /** Citations and exceptions that are wrong, one sentence each. */
  readonly problems: readonly string[];
}

/** Whether a test has to show the clause, unless it cannot apply. */
export const isRequired = (clause: Clause): boolean =>
  clause.kind === 'must' || clause.kind === 'fact';

export function reportClauses(
  clauses: readonly Clause[],
  tests: readonly TestOutcome[],
  notApplicable: Readonly<Record<string, string>>,
): ClauseReport {
  const known = new Set(clauses.map((clause) => clause.id));
  const citing = new Map<string, TestOutcome[]>();
  const problems: string[] = [];
  for (const test of tests) {
    for (const problem of citationProblems(test.title, known)) {
      problems.push(`${test.file}: "${test.title}": ${problem}`);
    }
    for (const id of new Set(citationsIn(test.title).clauses)) {
      citing.set(id, [...(citing.get(id) ?? []), test]);
    }
  }
  const entries = clauses.map((clause) =>
    entryOf(clause, citing.get(clause.id) ?? [], notApplicable[clause.id]),
  );
  return { entries, problems: [...problems, ...exceptionProblems(entries, notApplicable)] };
}

function entryOf(clause: Clause, tests: TestOutcome[], reason: string | undefined): ClauseEntry {
  const hasState = (state: string): boolean => tests.some((test) => test.state === state);
  let state: ClauseState = 'missing';
  if (hasState('failed')) state = 'failing';
  else if (hasState('passed')) state = 'shown';
  else if (reason !== undefined) state = 'not-applicable';
  else if (!isRequired(clause)) state = 'uncounted';
  return { ...clause, state, tests, ...(reason === undefined ? {} : { reason }) };
}

function exceptionProblems(
  entries: readonly ClauseEntry[],
  notApplicable: Readonly<Record<string, string>>,
): string[] {
  const byId = new Map(entries.map((entry) => [entry.id, entry]));
  return Object.entries(notApplicable).flatMap(([id, reason]) => {
    const entry = byId.get(id);
    if (entry === undefined) return [`not-applicable.json: ${id} is not in the specification`];
    if (reason.trim() === '') return [`not-applicable.json: ${id} has no reason`];
    if (entry.state === 'shown') return [`not-applicable.json: ${id} is shown by a test after all`];
    return [];
  });
}

/** How many entries there are of each state. */
export function countStates(
  entries: readonly ClauseEntry[],
): Readonly<Record<ClauseState, number>> {
  const counts = { shown: 0, failing: 0, missing: 0, 'not-applicable': 0, uncounted: 0 };
  for (const entry of entries) counts[entry.state]++;
  return counts;
}

/** `12 clauses: 9 shown, 1 failing, 2 without a test`, zero counts left out. */
export function summaryLine(entries: readonly ClauseEntry[]): string {
  const counts = countStates(entries);
  const parts = [
    `${counts.shown} shown`,
    ...(counts.failing > 0 ? [`${counts.failing} failing`] : []),
    ...(counts['not-applicable'] > 0 ? [`${counts['not-applicable']} not applicable`] : []),
    ...(counts.missing > 0 ? [`${counts.missing} without a test`] : []),
  ];
  return `${entries.length} ${entries.length === 1 ? 'clause' : 'clauses'}: ${parts.join(', ')}`;
}
