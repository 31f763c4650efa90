// How test results are matched with clauses, and what counts as a wrong citation.

import { describe, expect, it } from 'vitest';
import { citationProblems, citationsIn, stringsIn } from '../../scripts/clause-citations.js';
import { reportClauses, summaryLine } from '../../scripts/clause-report.js';
import type { TestOutcome } from '../../scripts/clause-report.js';
import type { Clause } from '../../scripts/clause-spec.js';

const clause = (id: string, kind: Clause['kind'] = 'must'): Clause => ({
  id,
  kind,
  section: 'CONN',
  text: 'x',
});
const test = (title: string, state = 'passed'): TestOutcome => ({
  file: 'a.test.ts',
  title,
  state,
});

describe('citations', () => {
  it('are the words of a bracket that holds clauses', () => {
    expect(citationsIn('connects [CONN-01 W4.6, W9.13.1] twice [W14.4a]')).toEqual({
      clauses: ['CONN-01', 'W4.6', 'W9.13.1', 'W14.4a'],
      malformed: [],
    });
  });

  it('are not other words in brackets', () => {
    expect(citationsIn('fills [1, 2] for [AF_INET] and [UTF-8]')).toEqual({
      clauses: [],
      malformed: [],
    });
  });

  it('are wrong as a range, as an unknown clause, and beside other words', () => {
    const known = new Set(['CONN-01']);
    expect(citationProblems('x [CONN-01]', known)).toEqual([]);
    expect(citationProblems('x [CONN-01..03]', known)).toHaveLength(1);
    expect(citationProblems('x [CONN-99]', known)).toEqual(['CONN-99 is not in the specification']);
    expect(citationProblems('x [CONN-01 and more]', known)).toHaveLength(2);
  });

  it('are looked for in every string of a source, templates included', () => {
    const source = "it('a [X]', () => { f(`b ${c} d`, \"e\", N[1]); }); // 'no'";
    expect(stringsIn(source)).toEqual(['a [X]', 'b ', ' d', 'e']);
  });
});

describe('the report', () => {
  const clauses = [clause('CONN-01'), clause('CONN-02', 'fact'), clause('CONN-03', 'option')];
  const states = (tests: TestOutcome[], exceptions: Record<string, string> = {}): string[] =>
    reportClauses(clauses, tests, exceptions).entries.map((entry) => entry.state);

  it('counts a clause as shown by a test that ran and passed, and by no other', () => {
    expect(states([test('x [CONN-01]'), test('y [CONN-02]', 'skipped')])).toEqual([
      'shown',
      'missing',
      'uncounted',
    ]);
  });

  it('lets one failing test outweigh those that pass', () => {
    expect(states([test('x [CONN-01]'), test('y [CONN-01]', 'failed')])[0]).toBe('failing');
  });

  it('sets aside what cannot apply, and complains about a wrong exception', () => {
    expect(states([], { 'CONN-01': 'no kernel' })[0]).toBe('not-applicable');
    const { problems } = reportClauses(clauses, [test('x [CONN-01]')], {
      'CONN-01': 'no kernel',
      'CONN-02': ' ',
      'CONN-09': 'no kernel',
    });
    expect(problems).toHaveLength(3);
  });

  it('names the test with a wrong citation', () => {
    expect(reportClauses(clauses, [test('x [CONN-77]')], {}).problems).toEqual([
      'a.test.ts: "x [CONN-77]": CONN-77 is not in the specification',
    ]);
  });

  it('sums up in one line', () => {
    const { entries } = reportClauses(clauses, [test('x [CONN-01]')], {});
    expect(summaryLine(entries.slice(0, 2))).toBe('2 clauses: 1 shown, 1 without a test');
  });
});
