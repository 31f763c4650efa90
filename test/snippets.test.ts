// Code in the documents equals the code that is run; and how the tool that sees to it works.

import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { refreshed, regionOf, staleDocuments } from '../scripts/snippets.js';

const file = 'before();\n  // #region one\n  first();\n\n    second();\n  // #endregion one\n';
const block = (marker: string, code: string): string =>
  `Text\n${marker}\n\`\`\`ts\n${code}\`\`\`\nMore\n`;

describe('snippets', () => {
  it('in the documents of the repository are fresh', () => {
    expect(staleDocuments(fileURLToPath(new URL('..', import.meta.url)), false)).toEqual([]);
  });

  it('take a whole file, or a region of it without its indentation', () => {
    const whole = '<!-- snippet: a.ts -->';
    const region = '<!-- snippet: a.ts#one -->';
    expect(refreshed(block(whole, 'old\n'), () => file)).toBe(block(whole, file));
    expect(refreshed(block(region, ''), () => file)).toBe(
      block(region, 'first();\n\n  second();\n'),
    );
  });

  it('leave other code blocks alone', () => {
    const text = block('A sentence.', 'code\n');
    expect(refreshed(text, () => file)).toBe(text);
  });

  it('are refused when the region or the code block is missing', () => {
    expect(() => regionOf(file, 'two', 'a.ts')).toThrow('a.ts has no region two');
    expect(() => refreshed('<!-- snippet: a.ts -->\nText\n', () => file)).toThrow('fenced');
  });
});
