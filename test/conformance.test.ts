// The conformance kit on the reference provider: every case is a test here, so that its clauses count.
// Then the kit itself: mutants that it must catch, modules that must not take it down, reports.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { environmentFixture } from '../cli/conformance-fixture.js';
import { createProvider } from '../provider/san/provider.js';
import { entryPoint } from '../runtime/entry-point.js';
import { runWsd } from './cli/wsd-process.js';
import type { CaseResult, ConformanceCase } from './conformance/index.js';
import {
  ALL_CASES,
  caseId,
  clauseRows,
  clauseTable,
  ConformanceFailure,
  junitReport,
  runCases,
  tapReport,
  terminalReport,
} from './conformance/index.js';
import { rowOf } from './conformance/self/mutant.js';
import { MUTANTS, runMutant } from './conformance/self/mutants.js';
import { switchMutants } from './conformance/self/switch-mutants.js';

const SEED = 1;
/** Slices; see FixtureOptions. */
const PATIENCE = 2000;

const reference = await environmentFixture({
  source: { createProvider },
  engine: 'inline',
  profile: 'documented',
  seed: SEED,
  patience: PATIENCE,
});

describe('the reference provider', () => {
  const results = new Map<string, CaseResult>();
  beforeAll(async () => {
    for await (const result of runCases(reference, ALL_CASES, { seed: SEED })) {
      results.set(result.id, result);
    }
  });

  for (const one of ALL_CASES) {
    const missing = one.unless?.(reference.capabilities, reference.profile) ?? null;
    const cited = one.clauses.length === 0 ? '' : ` [${one.clauses.join(' ')}]`;
    const title = missing === null ? `${one.title}${cited}` : `${one.title}: not with ${missing}`;
    it(title, () => {
      const result = results.get(caseId(one));
      const { verdict, expected, actual, history } = result ?? {};
      const shown = { verdict, expected, actual, history };
      const wanted = missing === null ? 'pass' : 'unsupported';
      expect(shown).toEqual({ verdict: wanted, expected: '', actual: '', history: [] });
    });
  }

  it('has a case name and a group for every case, and no two alike', () => {
    const ids = ALL_CASES.map(caseId);
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ids) expect(id).toMatch(/^[a-z-]+\/[\w-]+$/);
  });
});

describe('the minimal provider', () => {
  it('fails no case over either engine, with the verifier around it', async () => {
    const minimal = entryPoint(import.meta.url, '../examples/minimal-provider/provider.js');
    const { code, stdout } = await runWsd(['conformance', minimal, '--engine', 'both', '--verify']);
    expect(stdout).toMatch(/engine inline.* \d{3} passed, 0 failed/);
    expect(stdout).toMatch(/engine worker.* \d{3} passed, 0 failed/);
    expect(code).toBe(0);
  });
});

describe('mutants', () => {
  it.each(MUTANTS)('the kit catches the mutant $name', async (mutant) => {
    const { cases = [], stops = [], under = [] } = mutant.caughtBy;
    expect(cases.length + stops.length).toBeGreaterThan(0);
    const caught = await runMutant(mutant, [...cases, ...under]);
    expect(caught.cases).toEqual(expect.arrayContaining([...cases]));
    expect(caught.stops).toEqual(expect.arrayContaining([...stops]));
  });

  it('has more than twenty of them, each with a source and a name of its own', () => {
    expect(new Set(MUTANTS.map(({ name }) => name)).size).toBe(MUTANTS.length);
    expect(MUTANTS.length).toBeGreaterThan(20);
    for (const { source } of MUTANTS) expect(source).not.toBe('');
  });
});

describe('a case that fails', () => {
  it('shows what it has done itself, and nothing of the cases before it', async () => {
    const parts = { group: 'self', clauses: [], title: '' };
    const cases: ConformanceCase[] = [
      { ...parts, name: 'good', run: (context) => void context.left.bound(context.port()) },
      {
        ...parts,
        name: 'bad',
        run: ({ left }) => {
          left.socket();
          throw new ConformanceFailure('it', 'right', 'wrong');
        },
      },
    ];
    const history: string[] = [];
    for await (const result of runCases(reference, cases, { seed: SEED })) {
      history.push(...result.history);
    }
    expect(history.filter((line) => line.includes('WSPSocket'))).toHaveLength(1);
    expect(history.filter((line) => line.includes('WSPBind'))).toEqual([]);
  });
});

describe('docs/mutants.md', () => {
  const text = readFileSync(new URL('../docs/mutants.md', import.meta.url), 'utf8');
  const all = [...MUTANTS, ...switchMutants];

  it('has a row for each mutant with its source and who catches it, and no other', () => {
    const rows = text.split('\n').filter((line) => /^\| `[a-z-]+` \|/.test(line));
    expect(rows).toEqual(all.map(rowOf));
  });

  it('names for every defect of the field provider a mutant that there is', () => {
    const [, field = ''] = text.split('## What the field evidence says');
    const names = new Set(all.map(({ name }) => name));
    const cited = [...field.matchAll(/`([a-z]+(?:-[a-z]+)+)`/g)].map(([, name = '']) => name);
    expect(cited.length).toBeGreaterThan(30);
    expect(cited.filter((name) => !names.has(name))).toEqual([]);
    for (let defect = 1; defect <= 9; defect++) expect(field).toMatch(`| 0.3, ${defect} |`);
  });
});

describe('expected failures', () => {
  const id = 'the-fixture-itself/identity';
  const chosen = ALL_CASES.filter((one) => caseId(one) === id);

  it('a pass that was expected to fail is an unexpected pass', async () => {
    const fixture = { ...reference, expectedFailures: { [id]: 'a defect that is known' } };
    for await (const { verdict, reason } of runCases(fixture, chosen, { seed: SEED })) {
      expect([verdict, reason]).toEqual(['unexpected-pass', 'a defect that is known']);
    }
  });

  it('a failure that was expected is no failure, and a fixture that makes no pair is one', async () => {
    const makePair = (): Promise<never> => Promise.reject(new Error('no pair today'));
    const failing = { ...reference, makePair };
    for await (const { verdict, actual } of runCases(failing, chosen, { seed: SEED })) {
      expect(verdict).toBe('fail');
      expect(actual).toContain('no pair today');
    }
    const expected = { ...failing, expectedFailures: { [id]: 'there are none' } };
    for await (const { verdict } of runCases(expected, chosen, { seed: SEED })) {
      expect(verdict).toBe('expected-failure');
    }
  });
});

describe('wsd conformance', () => {
  const module = entryPoint(import.meta.url, './conformance/self/children/misbehaving.js');
  const LISTENING = 'calls-in-every-state/WSPListen-bound';
  const only = ['--case', LISTENING];

  it('says for each engine how many cases passed, with the verifier around the provider', async () => {
    const group = ['--group', 'closing-a-san-socket'];
    const args = ['conformance', '--engine', 'both', '--verify', ...group];
    const { code, stdout, stderr } = await runWsd(args);
    expect(stderr).toBe('');
    expect(stdout).toMatch(/engine inline.* 6 passed, 0 failed/);
    expect(stdout).toMatch(/engine worker.* 6 passed, 0 failed/);
    expect(code).toBe(0);
  });

  const verdicts: readonly (readonly [how: string, said: string])[] = [
    ['ends', 'the process of the provider ended: exit code 7'],
    ['hangs', 'it hangs'],
    ['returns-nothing', 'undefined'],
    ['start-hangs', 'it hangs'],
    ['start-throws', 'throws when it is started'],
    ['start-fills-nothing', 'null'],
  ];
  it.each(verdicts)(
    'gives a verdict on a provider that %s, and exits with 1',
    async (how, said) => {
      const json = ['--reporter', 'json', '--timeout', '3'];
      const { code, stdout } = await runWsd(['conformance', module, ...only, ...json], {
        MISBEHAVIOUR: how,
      });
      const { passed, runs } = JSON.parse(stdout) as {
        passed: boolean;
        runs: { results: CaseResult[] }[];
      };
      expect(passed).toBe(false);
      const [result] = runs[0]?.results ?? [];
      expect(result?.actual).toContain(said);
      expect(result?.clauses).toContain('LISTEN-02');
      expect(code).toBe(1);
    },
  );

  const unloadable: readonly (readonly [how: string, said: string])[] = [
    ['throws-at-load', 'throws when it is loaded'],
    ['hangs-at-load', 'it hangs'],
    ['ends-at-load', 'exit code 7'],
    ['exports-nonsense', 'exports no function createProvider'],
    ['makes-a-promise', 'createProvider returns a promise'],
  ];
  it.each(unloadable)('exits with 2 for a module that %s', async (how, said) => {
    const args = ['conformance', module, ...only, '--timeout', '3'];
    const { code, stderr } = await runWsd(args, { MISBEHAVIOUR: how });
    expect(stderr).toContain('cannot be loaded');
    expect(stderr).toContain(said);
    expect(code).toBe(2);
  });

  it('gives a verdict on each transfer of a provider that never completes one', async () => {
    const group = ['--group', 'transferring-data-on-a-san', '--timeout', '1'];
    const { code, stdout } = await runWsd(['conformance', module, ...group, '--reporter', 'json'], {
      MISBEHAVIOUR: 'never-completes',
    });
    const { runs } = JSON.parse(stdout) as { runs: { results: CaseResult[] }[] };
    const results = runs[0]?.results ?? [];
    expect(results.length).toBeGreaterThan(5);
    expect(results.filter(({ verdict }) => verdict === 'fail').length).toBeGreaterThan(5);
    expect(results.some(({ actual }) => actual === 'it never happens')).toBe(true);
    expect(code).toBe(1);
  });

  it('shows what led to a failure, and takes it when the failure is expected', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'wsd-kit-'));
    try {
      const wrong = { MISBEHAVIOUR: 'nonsense' };
      const { stdout, code } = await runWsd(['conformance', module, ...only], wrong);
      expect(stdout).toMatch(/FAILED calls-in-every-state\/WSPListen-bound/);
      expect(stdout).toMatch(/WSPBind\(s=\d+, name=16 bytes, namelen=16\) -> ok/);
      expect(code).toBe(1);
      const file = path.join(folder, 'expected.json');
      writeFileSync(file, JSON.stringify({ [LISTENING]: 'known' }));
      const args = ['conformance', module, ...only, '--expect', file];
      expect((await runWsd(args, wrong)).code).toBe(0);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('refuses a group that does not exist with exit code 2', async () => {
    const { code, stderr } = await runWsd(['conformance', '--group', 'bogus']);
    expect(stderr).toContain('bogus');
    expect(code).toBe(2);
  });
});

describe('reports', () => {
  const failed: CaseResult = {
    id: 'a/b',
    group: 'a',
    title: 'one & two',
    clauses: ['LISTEN-02'],
    verdict: 'fail',
    reason: '',
    expected: 'WSPListen: success',
    actual: 'WSAEINVAL',
    history: ['a: WSPBind(s=1) -> ok'],
  };
  const missing: CaseResult = { ...failed, id: 'a/c', verdict: 'unsupported', reason: 'no cache' };
  const run = { provider: 'p', engine: 'inline', profile: 'documented', seed: 1 };
  const runs = [{ ...run, results: [failed, missing] }];

  it('TAP and JUnit tell clause, expected, what came and what led there', () => {
    for (const text of [tapReport(runs), junitReport(runs), terminalReport(runs)]) {
      for (const part of ['LISTEN-02', 'WSPListen: success', 'WSAEINVAL', 'WSPBind(s=1)']) {
        expect(text).toContain(part);
      }
    }
    expect(tapReport(runs)).toMatch(/^ {4}not ok 1 - a\/b: one & two$/m);
    expect(tapReport(runs)).toMatch(/^ {4}ok 2 - a\/c: one & two # SKIP no cache$/m);
    expect(junitReport(runs)).toContain('tests="2" failures="1" skipped="1"');
    expect(junitReport(runs)).toContain('one &amp; two');
  });

  it('the table of clauses has a line for each clause with its cases', () => {
    expect(clauseTable(runs)).toMatch(/^LISTEN-02 +broken +1: a\/b$/m);
  });
});

describe('the clause table', () => {
  const result: CaseResult = {
    id: 'a/b',
    group: 'a',
    title: '',
    clauses: ['SEND-1', 'RECV-1'],
    verdict: 'pass',
    reason: '',
    expected: '',
    actual: '',
    history: [],
  };
  const run = { provider: '', engine: '', profile: '', seed: 0 };

  it('calls a clause broken when one of its cases fails, and kept when the others pass', () => {
    const bad: CaseResult = { ...result, id: 'a/c', clauses: ['RECV-1'], verdict: 'fail' };
    expect(clauseRows([{ ...run, results: [result, bad] }])).toEqual([
      { clause: 'RECV-1', state: 'broken', cases: ['a/c'] },
      { clause: 'SEND-1', state: 'kept', cases: ['a/b'] },
    ]);
  });
});
