// How the clauses are read from the two specifications, shown on small pieces of both forms.

import { describe, expect, it } from 'vitest';
import { parseWinsockSpec, parseWsdSpec } from '../../scripts/clause-spec.js';
import { readClauses } from '../../scripts/clauses.js';

const kinds = (clauses: readonly { id: string; kind: string }[]): string[] =>
  clauses.map(({ id, kind }) => `${id} ${kind}`);

describe('wsd-spec.md', () => {
  it('states a clause with its requirement word on one line', () => {
    const clauses = parseWsdSpec(
      [
        '## 8. Flows',
        '- **CONN-01** [MUST] Looks up. (N)',
        '- **CONN-02** [SHOULD NOT] x',
        'CONN-03',
      ].join('\n'),
    );
    expect(clauses).toEqual([
      { id: 'CONN-01', kind: 'must', section: 'CONN', text: 'Looks up. (N)' },
      { id: 'CONN-02', kind: 'option', section: 'CONN', text: 'x' },
    ]);
  });

  it('is refused with an unknown requirement word', () => {
    expect(() => parseWsdSpec('- **CONN-01** [PERHAPS] x')).toThrow('PERHAPS');
  });
});

describe('winsock-spec.md', () => {
  it('numbers clauses on two or three levels, with or without a letter', () => {
    const text = '## 9. Model\n9.1 One [D]\n### 9.13 Two\n9.13.1 Three\n9.4a Four\n9 no clause\n';
    expect(kinds(parseWinsockSpec(text))).toEqual(['W9.1 must', 'W9.13.1 must', 'W9.4a must']);
  });

  it('counts a table under a numbered heading as one clause', () => {
    const text =
      '## 4. Send\n### 4.20 Errors [S1]\n\n| Code | When |\n|---|---|\n| 10093 | never |\n4.21 Next\n';
    expect(kinds(parseWinsockSpec(text))).toEqual(['W4.20 must', 'W4.21 must']);
  });

  it('does not count what is our own advice only: a clause, or a whole section', () => {
    const text =
      '## 4. Send\n4.1 One [I]\n4.2 Two [S1]\n   more [I]\n4.3 Three\n   [I]\n## 15. Hazards [I]\n15.1 x [N a]\n';
    expect(kinds(parseWinsockSpec(text))).toEqual([
      'W4.1 unsettled',
      'W4.2 must',
      'W4.3 unsettled',
      'W15.1 unsettled',
    ]);
  });

  it('does not count what section 16 lists, unless it lists a part only', () => {
    const text =
      '## 4. Send\n4.1 One\n4.2 Two\n## 16. Unknown\n16.1 This (4.1); that (end of 4.2 only).\n';
    expect(kinds(parseWinsockSpec(text))).toEqual(['W4.1 unsettled', 'W4.2 must']);
  });

  it('does not take a number at the start of a continued line for a clause of another section', () => {
    expect(kinds(parseWinsockSpec('## 2. Values\n2.1 One\n1.5 times as much\n'))).toEqual([
      'W2.1 must',
    ]);
  });
});

describe('the specifications as they are', () => {
  it('hold the clauses they should, each once and none left out', () => {
    const clauses = readClauses();
    const ids = clauses.map((clause) => clause.id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(
      clauses.filter((clause) => !clause.id.startsWith('W') || clause.id.includes('-')),
    ).toHaveLength(390);
    expect(ids).toEqual(
      expect.arrayContaining(['WSPSEND-21', 'W1.2', 'W4.20', 'W9.13.1', 'W14.4c']),
    );
    for (const section of new Set(clauses.map((clause) => clause.section))) {
      if (section.startsWith('W') && /\d/.test(section)) continue;
      const own = ids.filter((id) => id.startsWith(`${section}-`));
      expect(own.map((id) => Number(id.slice(section.length + 1)))).toEqual(
        own.map((_, index) => index + 1),
      );
    }
  });
});
