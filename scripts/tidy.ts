// Repository rules that no other tool checks, each a function from a file to sentences about it.
// test/tidy.test.ts runs them over the repository and has a test for each rule.

import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';

export interface TextFile {
  /** Relative to the repository, with forward slashes. */
  readonly name: string;
  readonly text: string;
}

export interface Rule {
  readonly name: string;
  readonly appliesTo: RegExp;
  /** What is wrong with the file, one sentence each. */
  check(file: TextFile): string[];
}

const SOURCE = /\.(?:ts|mjs|cjs|js|cc|h)$/;
const GENERATED = /\.gen\.\w+$/;
const LINES_MAX = 500;

/** Files that may be longer than the limit, each with the reason. */
const LONG_FILES: Readonly<Record<string, string>> = {};

/** One sentence with a line number for every line that matches. */
function linesMatching(text: string, pattern: RegExp, complaint: string): string[] {
  return text
    .split('\n')
    .flatMap((line, index) => (pattern.test(line) ? [`line ${index + 1}: ${complaint}`] : []));
}

function lineRule(name: string, appliesTo: RegExp, pattern: RegExp, complaint: string): Rule {
  return { name, appliesTo, check: ({ text }) => linesMatching(text, pattern, complaint) };
}

export const RULES: readonly Rule[] = [
  {
    name: 'length',
    appliesTo: SOURCE,
    check({ name, text }) {
      if (GENERATED.test(name)) return [];
      const count = text.split('\n').length - 1;
      const isAllowed = name in LONG_FILES;
      if (count > LINES_MAX && !isAllowed) return [`${count} lines: split it by subject`];
      return count <= LINES_MAX && isAllowed ? ['is short now: take it off the list'] : [];
    },
  },
  {
    name: 'opening',
    appliesTo: SOURCE,
    check({ name, text }) {
      // A .cc file with a header of its own is introduced there.
      const ownHeader = `#include "${path.basename(name, '.cc')}.h"`;
      if (name.endsWith('.cc') && text.startsWith(ownHeader)) return [];
      const opening = text.split('\n').find((line) => !line.startsWith('#!')) ?? '';
      return /^\/[/*]/.test(opening) ? [] : ['does not open with a comment that says what it is'];
    },
  },
  lineRule(
    'unfinished',
    /./,
    /\b(?:TO(?:)DO|FIX(?:)ME|XX(?:)X)\b/,
    'unfinished work is not marked but done',
  ),
  lineRule(
    'machine path',
    /./,
    /(?<![\w.~-])\/(?:root|home|work)\/\w/,
    'names a folder of one machine',
  ),
  lineRule(
    'registry',
    /./,
    /\bregistry\.[a-z0-9-]+\.[a-z]{2,}|\bnpmjs\.(?:org|com)|^\s*"resolved":/,
    'names a package registry',
  ),
  lineRule(
    'focused test',
    /^test\/.*\.ts$/,
    /\b(?:it|test|describe|suite)\.(?:only|skip|todo)\b/,
    'every test runs, every time',
  ),
  lineRule(
    // One space after the slashes: an example inside a comment is indented further.
    'commented-out code',
    /\.(?:ts|mjs|cjs|js)$/,
    /^\s*\/\/ ?(?:(?:const|let|import|export|return|await|throw)\b.*;|(?:if|for|while) \(.*\{)$/,
    'code that is commented out',
  ),
];

/** Applies every rule to a file; each finding names the file. */
export function findingsIn(file: TextFile, rules: readonly Rule[] = RULES): string[] {
  return rules
    .filter((rule) => rule.appliesTo.test(file.name))
    .flatMap((rule) => rule.check(file).map((finding) => `${file.name}: ${finding}`));
}

const IGNORED_FOLDERS = new Set([
  'node_modules',
  'dist',
  'build',
  'coverage',
  '.git',
  '.setup',
  '.wsd',
]);
const TEXT =
  /(?:\.(?:ts|mjs|cjs|js|json|md|cc|h|gyp|yml|yaml|wsd|txt|sh)|\/run|LICENSE|\.\w+rc|\.gitignore)$/;

/** Every text file of the repository, generated and installed ones left out. */
export function textFilesUnder(root: string, folder = ''): TextFile[] {
  return readdirSync(path.join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const name = path.posix.join(folder, entry.name);
    if (entry.isDirectory()) {
      return IGNORED_FOLDERS.has(entry.name) ? [] : textFilesUnder(root, name);
    }
    if (!entry.isFile() || !TEXT.test(name)) return [];
    return [{ name, text: readFileSync(path.join(root, name), 'utf8') }];
  });
}
