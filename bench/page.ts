// The page of a report: pictures, every result in a table, where and how it was measured, warnings first.
// One file, no script, nothing loaded from anywhere. It must not know how the pictures are drawn.

import type { Picture } from './pictures.js';
import type { BenchReport, Result } from './report.js';
import { formatValue, header } from './report-text.js';

const STYLE = `
body { font: 15px/1.45 system-ui, sans-serif; color: #000; background: #fff; margin: 2rem auto; max-width: 56rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; width: 100%; } th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid #999; }
th:first-child, td:first-child { text-align: left; } figure { margin: 1rem 0; } figure svg { max-width: 100%; height: auto; }
.warning { border-left: 4px solid #000; padding: .2rem .8rem; margin: .4rem 0; } code { font-size: .9em; }
@media print { figure { break-inside: avoid; } }`;

export function page(report: BenchReport, pictures: readonly Picture[]): string {
  const { parameters, startedAt, warnings, command } = report;
  const title = `winsock-direct bench: ${parameters.test}`;
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escape(title)}</title><style>${STYLE}</style></head>
<body>
<h1>${escape(title)}</h1>
<p>${header(report).map(escape).join('<br>')}<br>${escape(startedAt)}: <code>wsd ${escape(command.join(' '))}</code></p>
${warnings.map((warning) => `<p class="warning">${escape(warning)}</p>`).join('\n')}
${pictures.map(figure).join('\n')}
<h2>All results</h2>
${table(report.results)}
</body>
</html>
`;
}

function figure({ name, title, caption, svg }: Picture): string {
  return `<section id="${escape(name)}"><h2>${escape(title)}</h2><figure role="img" aria-label="${escape(title)}">${svg}<figcaption>${escape(caption)}</figcaption></figure></section>`;
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
  return `<table><thead>${head}</thead><tbody>${rows.map((row) => cells('td', row)).join('')}</tbody></table>`;
}

function escape(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
