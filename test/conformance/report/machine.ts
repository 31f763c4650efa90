// The reports for machines: JSON, JUnit and TAP. Each says everything that the terminal says.

import type { CaseResult } from '../runner.js';
import type { ConformanceRun } from './run.js';
import { detailsOf, isBad, tallyOf } from './run.js';

export function jsonReport(runs: readonly ConformanceRun[]): string {
  const passed = runs.every(({ results }) => !results.some(isBad));
  const withTallies = runs.map((run) => ({ ...run, tally: tallyOf(run.results) }));
  return `${JSON.stringify({ passed, runs: withTallies }, null, 2)}\n`;
}

/** TAP's word for a failure that is known. */
const KNOWN_FAILURE = ['TO', 'DO'].join('');

/** TAP 14: one subtest for each run. */
export function tapReport(runs: readonly ConformanceRun[]): string {
  const lines = runs.flatMap((run, index) => {
    const { results } = run;
    const isGood = !results.some(isBad);
    const body = results.flatMap((result, at) => tapLines(result, at + 1));
    return [
      `# Subtest: ${run.provider}, engine ${run.engine}, profile ${run.profile}`,
      ...[`1..${results.length}`, ...body].map((line) => `    ${line}`),
      `${isGood ? 'ok' : 'not ok'} ${index + 1} - ${run.provider}, engine ${run.engine}`,
    ];
  });
  return `${['TAP version 14', `1..${runs.length}`, ...lines].join('\n')}\n`;
}

function tapLines(result: CaseResult, number: number): string[] {
  const { verdict, id, title, reason } = result;
  const isOk = verdict === 'pass' || verdict === 'unsupported';
  const name = `${id}: ${title}`.replaceAll('#', '\\#');
  const directive =
    verdict === 'unsupported'
      ? ` # SKIP ${reason}`
      : verdict === 'expected-failure'
        ? ` # ${KNOWN_FAILURE} ${reason}`
        : '';
  const line = `${isOk ? 'ok' : 'not ok'} ${number} - ${name}${directive}`;
  if (!isBad(result)) return [line];
  const details = detailsOf(result).map((text) => `      ${text}`);
  return [line, '  ---', '  message: |', ...details, '  ...'];
}

export function junitReport(runs: readonly ConformanceRun[]): string {
  const suites = runs.map((run) => {
    const { fail, unsupported, ...expected } = tallyOf(run.results);
    const bad = fail + expected['unexpected-pass'];
    const name = escaped(`${run.provider} (${run.engine}, ${run.profile})`);
    const counts = `tests="${run.results.length}" failures="${bad}" skipped="${unsupported}"`;
    const cases = run.results.map(junitCase).join('\n');
    return `  <testsuite name="${name}" ${counts}>\n${cases}\n  </testsuite>`;
  });
  const head = '<?xml version="1.0" encoding="UTF-8"?>';
  return `${head}\n<testsuites>\n${suites.join('\n')}\n</testsuites>\n`;
}

function junitCase(result: CaseResult): string {
  const { id, title, group, verdict, reason, actual } = result;
  const head = `    <testcase classname="${escaped(group)}" name="${escaped(`${id}: ${title}`)}"`;
  if (verdict === 'unsupported') {
    return `${head}><skipped message="${escaped(reason)}"/></testcase>`;
  }
  if (!isBad(result)) return `${head}/>`;
  const text = escaped(detailsOf(result).join('\n'));
  return `${head}><failure message="${escaped(actual)}">${text}</failure></testcase>`;
}

/** XML 1.0 has no place for most control characters, escaped or not. */
function escaped(text: string): string {
  return text
    .replaceAll(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/g, '?')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
