// The clause-coverage table: every clause that some case is about, and what the cases say about it.

import type { CaseResult } from '../runner.js';
import type { ConformanceRun } from './run.js';
import { isBad } from './run.js';

export type ClauseState = 'kept' | 'broken' | 'not supported' | 'known failure';

export interface ClauseRow {
  readonly clause: string;
  readonly state: ClauseState;
  /** The cases that say so. */
  readonly cases: readonly string[];
}

/** One row for each clause, in the order of their names. A single bad case makes a clause broken. */
export function clauseRows(runs: readonly ConformanceRun[]): ClauseRow[] {
  const byClause = new Map<string, CaseResult[]>();
  for (const result of runs.flatMap(({ results }) => results)) {
    for (const clause of result.clauses) {
      byClause.set(clause, [...(byClause.get(clause) ?? []), result]);
    }
  }
  return [...byClause]
    .sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true }))
    .map(([clause, results]) => {
      const state = stateOf(results);
      return { clause, state, cases: [...new Set(casesFor(state, results).map(({ id }) => id))] };
    });
}

export function clauseTable(runs: readonly ConformanceRun[]): string {
  const rows = clauseRows(runs);
  const width = Math.max(...rows.map(({ clause }) => clause.length), 6);
  const lines = rows.map(({ clause, state, cases }) => {
    const shown = cases.length > 3 ? `${cases.slice(0, 3).join(', ')}, …` : cases.join(', ');
    return `${clause.padEnd(width)}  ${state.padEnd(13)}  ${cases.length}: ${shown}`;
  });
  const kept = rows.filter(({ state }) => state === 'kept').length;
  return `${[...lines, '', `${kept} of ${rows.length} clauses kept`].join('\n')}\n`;
}

function stateOf(results: readonly CaseResult[]): ClauseState {
  if (results.some(isBad)) return 'broken';
  if (results.some(({ verdict }) => verdict === 'expected-failure')) return 'known failure';
  return results.some(({ verdict }) => verdict === 'pass') ? 'kept' : 'not supported';
}

function casesFor(state: ClauseState, results: readonly CaseResult[]): readonly CaseResult[] {
  switch (state) {
    case 'broken':
      return results.filter(isBad);
    case 'known failure':
      return results.filter(({ verdict }) => verdict === 'expected-failure');
    case 'kept':
      return results.filter(({ verdict }) => verdict === 'pass');
    case 'not supported':
      return results;
  }
}
