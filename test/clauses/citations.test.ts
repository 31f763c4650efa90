// Every clause that the tests of this repository cite exists, and so does every exception.

import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { citationProblems, stringsIn } from '../../scripts/clause-citations.js';
import { reportClauses } from '../../scripts/clause-report.js';
import { readClauses, readNotApplicable } from '../../scripts/clauses.js';
import { textFilesUnder } from '../../scripts/tidy.js';

const root = fileURLToPath(new URL('../..', import.meta.url));

it('no test cites a clause that does not exist', () => {
  const known = new Set(readClauses().map((clause) => clause.id));
  // The tests of this very check hold wrong citations on purpose.
  const sources = textFilesUnder(root, 'test').filter(
    ({ name }) => name.endsWith('.ts') && !name.startsWith('test/clauses/'),
  );
  expect(sources).not.toHaveLength(0);
  const problems = sources.flatMap(({ name, text }) =>
    stringsIn(text).flatMap((one) =>
      citationProblems(one, known).map((what) => `${name}: ${what}`),
    ),
  );
  expect(problems).toEqual([]);
});

it('every clause said not to apply exists and has a reason', () => {
  expect(reportClauses(readClauses(), [], readNotApplicable()).problems).toEqual([]);
});
