// The page of a report: pictures, every result in a table, where and how it was measured, warnings first.
// One file, no script, nothing loaded from anywhere. It must not know how the pictures are drawn.

import type { Picture } from './pictures.js';
import type { BenchReport, Result } from './report.js';
import { formatValue, header } from './report-text.js';

const STYLE = `
body { font: 15px/1.45 system-ui, sans-serif; color: #000; background: #fff; margin: 1.5rem auto; max-width: 46rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2.2rem; } code { font-size: .9em; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; } th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid #999; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; white-space: normal; min-width: 12rem; }
.wide { overflow-x: auto; } figure { margin: 1rem 0; } figure svg { display: block; width: 100%; min-width: 36rem; max-width: 42.5rem; height: auto; }
figcaption { margin-top: .5rem; } .warnings { border-left: 4px solid #000; padding: .2rem .8rem; margin: .8rem 0; }
.warnings ul { margin: .3rem 0; padding-left: 1.1rem; }
@media print { body { font-size: 11pt; max-width: none; margin: 0; } figure, tr { break-inside: avoid; } h2 { break-after: avoid; } .wide { overflow: visible; } figure svg { min-width: 0; } }`;

export function page(report: BenchReport, pictures: readonly Picture[]): string {
  const { parameters, startedAt, warnings, command } = report;
  const title = `winsock-direct bench: ${parameters.test}`;
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escape(title)}</title><style>${STYLE}</style></head>
<body>
<h1>${escape(title)}</h1>
<p>${header(report).map(escape).join('<br>')}<br>${escape(startedAt)}: <code>wsd ${escape(command.join(' '))}</code></p>
${warned(warnings)}
${pictures.map(figure).join('\n')}
<h2>All results</h2>
${table(report.results)}
</body>
</html>
`;
}

/** What was left out and does not count is said, and does not stand before everything else. */
function warned(warnings: readonly string[]): string {
  const isSmall = (warning: string): boolean => warning.endsWith('left out');
  const [small, great] = [warnings.filter(isSmall), warnings.filter((one) => !isSmall(one))];
  const list = (some: readonly string[]): string =>
    `<ul>${some.map((one) => `<li>${escape(one)}</li>`).join('')}</ul>`;
  const shown = great.length === 0 ? '' : `<div class="warnings">${list(great)}</div>`;
  if (small.length === 0) return shown;
  const what = `${small.length} ${small.length === 1 ? 'result' : 'results'} without what was disturbed`;
  return `${shown}<details><summary>${what}</summary>${list(small)}</details>`;
}

function figure({ name, title, caption, svg }: Picture): string {
  return `<section id="${escape(name)}"><h2>${escape(title)}</h2><figure><div class="wide" role="img" aria-label="${escape(title)}">${svg}</div><figcaption>${escape(caption)}</figcaption></figure></section>`;
}

function table(results: readonly Result[]): string {
  const rows = results.map((one) => [
    one.title,
    one.absent ?? formatValue(one.value ?? Number.NaN, one.unit),
    one.noise === null ? '' : `±${(100 * one.noise).toFixed(1)} %`,
    one.ratio === null ? '' : `${one.ratio.toFixed(2)}x ${one.floor ?? ''}`,
    `${one.disturbedCount} of ${one.samples.length}`,
  ]);
  const cells = (tag: 'td' | 'th', row: readonly string[]): string =>
    `<tr>${row.map((cell) => `<${tag}>${escape(cell)}</${tag}>`).join('')}</tr>`;
  const head = cells('th', ['', 'median', 'spread', 'to floor', 'disturbed']);
  return `<div class="wide"><table><thead>${head}</thead><tbody>${rows.map((row) => cells('td', row)).join('')}</tbody></table></div>`;
}

function escape(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
