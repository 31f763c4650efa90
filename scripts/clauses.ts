// Tells which clauses of docs/spec/ are shown by a test that ran and passed, and which are not, from
// the results that `npm test` keeps. A wrong citation is an error (exit code 1); a missing test is not.
//
//   npm run clauses [-- --missing] [--section CONN] [--json]

import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { isRequired, reportClauses, summaryLine } from './clause-report.js';
import type { ClauseEntry, TestOutcome } from './clause-report.js';
import { parseWinsockSpec, parseWsdSpec } from './clause-spec.js';
import type { Clause } from './clause-spec.js';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Every clause of both specifications. */
export function readClauses(): Clause[] {
  const text = (name: string): string => readFileSync(`${root}docs/spec/${name}`, 'utf8');
  return [...parseWsdSpec(text('wsd-spec.md')), ...parseWinsockSpec(text('winsock-spec.md'))];
}

/** Clauses that cannot apply, each with the reason. */
export function readNotApplicable(): Record<string, string> {
  const file = `${root}docs/clauses/not-applicable.json`;
  return JSON.parse(readFileSync(file, 'utf8')) as Record<string, string>;
}

interface StoredResults {
  readonly files: Readonly<Record<string, readonly { title: string; state: string }[]>>;
}

function readOutcomes(): TestOutcome[] {
  const file = `${root}.setup/test-results.json`;
  if (!existsSync(file)) return [];
  const { files } = JSON.parse(readFileSync(file, 'utf8')) as StoredResults;
  return Object.entries(files).flatMap(([name, tests]) =>
    tests.map(({ title, state }) => ({ file: name, title, state })),
  );
}

function main(): number {
  const { values } = parseArgs({
    options: {
      missing: { type: 'boolean', default: false },
      section: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const tests = readOutcomes();
  const { entries, problems } = reportClauses(readClauses(), tests, readNotApplicable());
  const sections = new Set(entries.map((entry) => entry.section));
  const chosen = values.section?.toUpperCase();
  if (chosen !== undefined && !sections.has(chosen)) {
    process.stderr.write(`There is no section ${chosen}; there are ${[...sections].join(', ')}.\n`);
    return 1;
  }
  const shown = entries.filter((entry) => chosen === undefined || entry.section === chosen);
  const output = values.json
    ? `${JSON.stringify({ clauses: shown, problems }, null, 2)}\n`
    : printed(shown, tests, values.missing);
  process.stdout.write(output);
  for (const problem of problems) process.stderr.write(`error: ${problem}\n`);
  return problems.length > 0 ? 1 : 0;
}

const WORD = { must: 'MUST', fact: 'FACT', option: 'SHOULD/MAY', unsettled: 'UNKNOWN' } as const;
const TEXT_LENGTH_MAX = 78;

function printed(
  entries: readonly ClauseEntry[],
  tests: readonly TestOutcome[],
  missingOnly: boolean,
): string {
  const required = entries.filter(isRequired);
  const options = entries.filter((entry) => entry.kind === 'option');
  const lines: string[] = [];
  for (const section of new Set(required.map((entry) => entry.section))) {
    const own = required.filter((entry) => entry.section === section);
    const open = own.filter((entry) => entry.state === 'missing' || entry.state === 'failing');
    if (missingOnly && open.length === 0) continue;
    lines.push(`${section}: ${summaryLine(own)}`);
    const shownIds = own.filter((entry) => entry.state === 'shown').map((entry) => entry.id);
    if (!missingOnly && shownIds.length > 0) lines.push(`  shown: ${shownIds.join(' ')}`);
    for (const entry of open) {
      const failing = entry.state === 'failing' ? 'FAILING ' : '';
      lines.push(`  ${failing}${entry.id} [${WORD[entry.kind]}] ${shortened(entry.text)}`);
    }
  }
  const optionsShown = options.filter((entry) => entry.state === 'shown').length;
  const passed = tests.filter((test) => test.state === 'passed').length;
  lines.push(
    `Total: ${summaryLine(required)}; besides ${optionsShown} of ${options.length} SHOULD and MAY.`,
    tests.length === 0
      ? 'No test results yet: run npm test first.'
      : `From ${passed} tests that passed, of ${tests.length}, in the latest run of each test file.`,
  );
  return `${lines.join('\n')}\n`;
}

function shortened(text: string): string {
  return text.length <= TEXT_LENGTH_MAX ? text : `${text.slice(0, TEXT_LENGTH_MAX - 1)}…`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = main();
