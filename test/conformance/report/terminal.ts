// The report for people: group by group what passed, and everything about what did not.

import type { CaseResult } from '../runner.js';
import type { ConformanceRun } from './run.js';
import { detailsOf, isBad, summaryOf, tallyOf } from './run.js';

export function terminalReport(runs: readonly ConformanceRun[]): string {
  return `${runs.flatMap((run) => [...runLines(run), '']).join('\n')}\n`;
}

function runLines(run: ConformanceRun): string[] {
  const groups = new Map<string, CaseResult[]>();
  for (const result of run.results) {
    const group = groups.get(result.group) ?? [];
    groups.set(result.group, [...group, result]);
  }
  const width = Math.max(...[...groups.keys()].map((name) => name.length), 0);
  const lines = [...groups].flatMap(([name, results]) => {
    const { pass, unsupported } = tallyOf(results);
    const missing = unsupported === 0 ? '' : `, ${unsupported} not supported`;
    return [
      `${name.padEnd(width)}  ${pass} of ${results.length - unsupported}${missing}`,
      ...results.filter(isBad).flatMap(failureLines),
    ];
  });
  return [...lines, '', summaryOf(run)];
}

function failureLines(result: CaseResult): string[] {
  const { id, title, verdict } = result;
  const what = verdict === 'fail' ? 'FAILED' : 'UNEXPECTED PASS';
  return [`  ${what} ${id}: ${title}`, ...detailsOf(result).map((line) => `    ${line}`)];
}
