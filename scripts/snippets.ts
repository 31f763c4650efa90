// Keeps the code in the documents equal to the code that is run. A marker before a fenced block names
// the file, and a region of it if wanted: `<!-- snippet: examples/minimal.ts#connect -->`. In the file
// a region stands between `// #region connect` and `// #endregion connect`.
//
//   npm run snippets            writes the blocks anew
//   npm run snippets -- --check says which are stale (exit code 1)

import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { textFilesUnder } from './tidy.js';

const SNIPPET = /^(<!-- snippet: (\S+?)(?:#(\S+))? -->\n+```\w*\n)([\s\S]*?)(^```$)/gm;
const MARKER = /^<!-- snippet: /gm;

/** The document with every snippet block replaced by what `read` gives for its file. */
export function refreshed(markdown: string, read: (file: string) => string): string {
  let count = 0;
  const fresh = markdown.replace(
    SNIPPET,
    (_block, opening: string, file: string, region: string | undefined, _old, closing: string) => {
      count++;
      const text = read(file);
      return `${opening}${region === undefined ? text : regionOf(text, region, file)}${closing}`;
    },
  );
  const markers = markdown.match(MARKER)?.length ?? 0;
  if (markers !== count) throw new Error('a snippet marker is not followed by a fenced code block');
  return fresh;
}

/** The lines between a region's markers, without the indentation they share. */
export function regionOf(text: string, region: string, file: string): string {
  const lines = text.split('\n');
  const edge = (word: string): number =>
    lines.findIndex((line) => line.trim() === `// #${word} ${region}`);
  const [start, end] = [edge('region'), edge('endregion')];
  if (start < 0 || end < start) throw new Error(`${file} has no region ${region}`);
  const body = lines.slice(start + 1, end);
  const indents = body.filter((line) => line.trim() !== '').map((line) => line.search(/\S/));
  const shared = Math.min(...indents, Infinity);
  return body.map((line) => `${line.slice(shared)}\n`).join('');
}

/** The names of the documents whose snippets differ from their files; rewrites them when asked to. */
export function staleDocuments(root: string, isWriting: boolean): string[] {
  const read = (file: string): string => readFileSync(`${root}/${file}`, 'utf8');
  const documents = textFilesUnder(root).filter(({ name }) => name.endsWith('.md'));
  return documents.flatMap(({ name, text }) => {
    const fresh = refreshed(text, read);
    if (fresh === text) return [];
    if (isWriting) writeFileSync(`${root}/${name}`, fresh);
    return [name];
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const isCheck = process.argv.includes('--check');
  const stale = staleDocuments(fileURLToPath(new URL('..', import.meta.url)), !isCheck);
  for (const name of stale)
    process.stdout.write(`${name}: ${isCheck ? 'stale (npm run snippets)' : 'written'}\n`);
  process.exitCode = isCheck && stale.length > 0 ? 1 : 0;
}
