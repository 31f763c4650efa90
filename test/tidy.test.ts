// The repository's own rules, run over every file of it, and a test of each rule.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { findingsIn, textFilesUnder } from '../scripts/tidy.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const TIDY = '// What it is.\n';

const findings = (name: string, text: string): string[] => findingsIn({ name, text });

describe('the repository', () => {
  const files = textFilesUnder(root);

  it('is really looked at', () => {
    const names = files.map((file) => file.name);
    expect(names).toEqual(
      expect.arrayContaining(['package-lock.json', '.ci/run', 'LICENSE', 'test/tidy.test.ts']),
    );
    expect(names.filter((name) => name.startsWith('node_modules/'))).toEqual([]);
  });

  it('keeps its rules', () => {
    expect(files.flatMap((file) => findingsIn(file))).toEqual([]);
  });
});

describe('the lock file', () => {
  interface Locked {
    readonly version?: string;
    readonly optionalDependencies?: Readonly<Record<string, string>>;
  }

  it('names every optional package of every platform, without which npm ci refuses it', () => {
    const text = readFileSync(`${root}package-lock.json`, 'utf8');
    const { packages } = JSON.parse(text) as { packages: Readonly<Record<string, Locked>> };
    const wanted = Object.values(packages).flatMap((one) =>
      Object.keys(one.optionalDependencies ?? {}),
    );
    expect(wanted).not.toHaveLength(0);
    const places = Object.keys(packages);
    const missing = wanted.filter(
      (name) => !places.some((place) => place.endsWith(`node_modules/${name}`)),
    );
    expect(missing).toEqual([]);
  });

  it('agrees with package.json, where every version is one version', () => {
    const { dependencies, devDependencies } = JSON.parse(
      readFileSync(`${root}package.json`, 'utf8'),
    ) as Record<'dependencies' | 'devDependencies', Readonly<Record<string, string>>>;
    const { packages } = JSON.parse(readFileSync(`${root}package-lock.json`, 'utf8')) as {
      packages: Readonly<Record<string, Locked>>;
    };
    for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies })) {
      expect([name, packages[`node_modules/${name}`]?.version]).toEqual([name, version]);
    }
  });
});

describe('the rules', () => {
  it('have nothing against a tidy file', () => {
    expect(findings('switch/a.ts', `${TIDY}export const a = 1;\n`)).toEqual([]);
  });

  it('limit the length of a source file, generated ones apart', () => {
    const long = TIDY + 'x();\n'.repeat(500);
    expect(findings('switch/a.ts', long)).toEqual(['switch/a.ts: 501 lines: split it by subject']);
    expect(findings('native/src/layout.gen.h', long)).toEqual([]);
    expect(findings('docs/a.md', long)).toEqual([]);
  });

  it('want a comment at the top, after a first line for the shell', () => {
    expect(findings('a.ts', 'export {};\n')).toHaveLength(1);
    expect(findings('a.mjs', `#!/usr/bin/env node\n${TIDY}`)).toEqual([]);
    expect(findings('a.cc', '/* What it is. */\n')).toEqual([]);
    expect(findings('native/src/a.cc', '#include "a.h"\n')).toEqual([]);
    expect(findings('native/src/a.cc', '#include "b.h"\n')).toHaveLength(1);
  });

  it('refuse marks of unfinished work', () => {
    for (const word of ['TO' + 'DO', 'FIX' + 'ME']) {
      expect(findings('docs/a.md', `One\n${word}: two\n`)).toEqual([
        'docs/a.md: line 2: unfinished work is not marked but done',
      ]);
    }
  });

  it('refuse the folders of one machine', () => {
    for (const folder of ['root', 'home', 'work']) {
      expect(findings('docs/a.md', `See /${folder}/x.\n`)).toHaveLength(1);
    }
    expect(findings('docs/a.md', 'See provider/work/x and https://a.example/home/x.\n')).toEqual(
      [],
    );
  });

  it('refuse names of package registries', () => {
    expect(findings('package-lock.json', '  "resolved": "https://a.example/x.tgz"\n')).toHaveLength(
      1,
    );
    expect(findings('.npmrc', ['registry', 'example', 'com'].join('.'))).toHaveLength(1);
    expect(findings('.npmrc', 'omit-lockfile-registry-resolved=true\n')).toEqual([]);
  });

  it('refuse tests that are focused, left out or announced', () => {
    for (const word of ['only', 'skip', 'todo']) {
      expect(findings('test/a.test.ts', `${TIDY}it.${word}('x');\n`)).toHaveLength(1);
    }
  });

  it('refuse code that is commented out, and know it from prose and from examples', () => {
    expect(findings('a.ts', `${TIDY}// const a = 1;\n  //return a;\n// if (a) {\n`)).toHaveLength(
      3,
    );
    expect(findings('a.ts', `${TIDY}//   const a = 1;\n// let it be.\n`)).toEqual([]);
  });
});
