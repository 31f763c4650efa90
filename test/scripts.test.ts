// Timeline scripts, each a test: the sequences of the design guide's figures, call by call, and what happens
// when something goes wrong. The language: docs/simulation.md. A script's first lines name its clauses.

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { runWsd } from './cli/wsd-process.js';
import { Mismatch, parseScript, runScript, ScriptError } from './scripts/index.js';
import { SimMachine } from './sim/index.js';

const folder = fileURLToPath(new URL('./scripts/', import.meta.url));
const START_UP = 'a app WSAStartup() = ok\na spi WSPSocket = ok';

async function play(text: string, name: string): Promise<void> {
  const machine = new SimMachine();
  try {
    await runScript(machine, parseScript(text, name));
  } finally {
    machine.close();
  }
}

describe('timeline scripts', () => {
  const names = readdirSync(folder).filter((name) => name.endsWith('.wsd'));
  it.each(names.map((name) => [name, clausesOf(name)]))('%s comes as it says %s', async (name) => {
    await play(readFileSync(path.join(folder, name), 'utf8'), name);
  });

  it.each([
    ['a app socket(s) = WSAEINVAL', 's:1: expected WSAEINVAL, but came ok'],
    [
      `${START_UP}\na spi WSPListen = ok`,
      's:3: expected spi WSPListen = ok, but came up   WPUCreate',
    ],
    [START_UP, 's:2: expected the end, but host 0 did up   WPUCreateSocketHandle = ok'],
    ['a app fly() = ok', 's:1: expected ok, but came there is no call fly'],
    ['a up WPUSetEvent = ok', 's:1: expected this, but nothing moves'],
    ['world cost=infiniband-hdr\n+5us a app socket(s) = ok\n+1ns a end w = 3', 's:3: expected 3'],
  ])('%j is found out, with its place', async (text, message) => {
    await expect(play(text, 's')).rejects.toThrow(Mismatch);
    await expect(play(text, 's')).rejects.toThrow(message);
  });

  it.each([
    ['', 's:1: there is no script in it'],
    ['a app socket(s)', 's:1: call(…) = result'],
    ['# one\na sings', 's:2: there is no "sings"'],
    ['nonsense', 's:1: "nonsense" is no line of a script'],
    ['c app socket(s) = ok', 's:1: no such host'],
    ['\nworld cost=free\na ...', 's:2: cost'],
  ])('%j is no script', (text, message) => {
    expect(() => parseScript(text, 's')).toThrow(ScriptError);
    expect(() => parseScript(text, 's')).toThrow(message);
  });
});

describe('wsd script', () => {
  it('ends with 0, 1 or 2: as it says, otherwise, no script', async () => {
    const scratch = mkdtempSync(path.join(tmpdir(), 'wsd-script-'));
    try {
      const file = (name: string, text: string): string => {
        writeFileSync(path.join(scratch, name), text);
        return path.join(scratch, name);
      };
      const good = await runWsd(['script', file('good', 'a app socket(s) = ok\na ...')]);
      expect([good.code, good.stderr]).toEqual([0, '']);
      const bad = await runWsd(['script', file('bad', START_UP)]);
      expect([bad.code, bad.stderr]).toEqual([1, expect.stringContaining('bad:2: expected')]);
      const none = await runWsd(['script', file('none', 'a')]);
      expect([none.code, none.stderr]).toEqual([2, expect.stringContaining('none:1:')]);
      const learned = await runWsd(['script', '--learn', file('learn', 'a app WSAStartup() = ok')]);
      expect(learned.stdout).toContain('a spi  WSPIoctl = ok x8');
    } finally {
      rmSync(scratch, { recursive: true });
    }
  });
});

/** The clauses that the head of a script names. */
function clausesOf(name: string): string {
  const head = readFileSync(path.join(folder, name), 'utf8').split('\n\n')[0] ?? '';
  const clauses = [...head.matchAll(/\[([A-Z][A-Z0-9 -]+)\]/g)].flatMap(([, list = '']) =>
    list.split(' '),
  );
  return clauses.length === 0 ? '' : `[${clauses.join(' ')}]`;
}
