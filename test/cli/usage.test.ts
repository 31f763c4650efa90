// How commands end: exit code 2 for a mistake in the command line, 1 for a failure, one sentence on
// standard error, no stack.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openHost } from '../../index.js';
import { fabricExists, ownFabric, runWsd } from './wsd-process.js';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'wsd-cli-'));
  writeFileSync(path.join(folder, 'empty'), '');
  writeFileSync(path.join(folder, 'small'), 'a few bytes');
  writeFileSync(path.join(folder, 'no-provider.mjs'), 'export const other = 1;\n');
});
afterAll(() => rmSync(folder, { recursive: true }));

const mistakes: readonly (readonly [string, readonly string[], string])[] = [
  ['an unknown command', ['transmogrify'], 'transmogrify'],
  ['an unknown option', ['demo', '--bogus'], '--bogus'],
  ['an engine that does not exist', ['demo', '--engine', 'warp'], 'warp'],
  ['a number that is none', ['bench', '--pairs', 'many'], 'many'],
  ['a message size that is no multiple of 4', ['bench', '--size', '63'], '63'],
  ['too little memory', ['demo', '--memory', '1'], '48 MiB'],
  ['a file that is not there', ['demo', '/nonexistent/file'], '/nonexistent/file'],
  ['a folder in place of a file', ['demo', '/'], 'not a file'],
  ['an empty file', ['demo', 'FOLDER/empty'], 'is empty'],
  ['a provider module that is not there', ['demo', '--provider', './no-such.mjs'], 'no-such.mjs'],
  [
    'a module that is no provider',
    ['demo', '--provider', 'FOLDER/no-provider.mjs'],
    'createProvider',
  ],
  ['two hosts of one address', ['demo', '--peer-address', '127.77.0.1'], '127.77.0.1'],
  ['an odd fabric name', ['demo', '--fabric', 'a/b', 'FOLDER/small'], 'a/b'],
  ['an address outside 127.0.0.0/8', ['demo', '--address', '10.0.0.1', 'FOLDER/small'], '10.0.0.1'],
];

describe('the command line', () => {
  it.each(mistakes)('refuses %s with exit code 2 and one sentence', async (_, args, named) => {
    const { code, stderr } = await runWsd(args.map((one) => one.replace('FOLDER', folder)));
    expect(stderr).toContain(named);
    expect(stderr).not.toMatch(/^\s+at /m);
    expect(code).toBe(2);
  });

  it('shows its help with exit code 0', async () => {
    const { code, stdout } = await runWsd(['demo', '--help']);
    expect(stdout).toContain('--engine');
    expect(code).toBe(0);
  });

  it('shows the stack of an error when WSD_DEBUG is 1', async () => {
    const { stderr } = await runWsd(['demo', '/nonexistent/file'], { WSD_DEBUG: '1' });
    expect(stderr).toMatch(/^\s+at /m);
  });
});

describe('a run', () => {
  it('fails with exit code 1 when a living host has the address', async () => {
    const fabric = ownFabric();
    const host = await openHost({ fabric, address: '127.77.0.1' });
    try {
      const small = path.join(folder, 'small');
      const { code, stderr } = await runWsd(['demo', '--fabric', fabric, '--no-table', small]);
      expect(stderr).toContain('in use by a living host');
      expect(stderr).not.toMatch(/^\s+at /m);
      expect(code).toBe(1);
    } finally {
      await host.close();
    }
    expect(fabricExists(fabric)).toBe(false);
  });
});
