// wsd provider: install, remove and list, as a user calls it.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { entryPoint } from '../../runtime/entry-point.js';
import { runWsd } from './wsd-process.js';
import type { Ended } from './wsd-process.js';

const MODULE = entryPoint(import.meta.url, '../../examples/minimal-provider/provider.js');
const ID = 'a3a1a0f2-52d1-4f0b-9a2e-1f5f4c6f8d77';
let directory = '';

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'wsd-cli-catalog-'));
});

afterEach(() => {
  rmSync(directory, { recursive: true });
});

const catalog = (): string => path.join(directory, 'catalog.json');
const provider = (...args: readonly string[]): Promise<Ended> =>
  runWsd(['provider', ...args], { WSD_CATALOG: catalog() });

describe('wsd provider', () => {
  it('installs the provider of a module, lists it, and removes it [INST-04 INST-05 INST-06]', async () => {
    const installed = await provider('install', MODULE, '--name', 'My SAN');
    expect(installed.stderr).toBe('');
    expect(installed.stdout).toContain(ID);
    const { stdout } = await provider('list', '--json', '--all');
    const listed = JSON.parse(stdout) as {
      providers: { module: string; tcpOnSan: boolean; protocolInfo: { dwProviderFlags: number } }[];
      protocols: { szProtocol: string }[];
    };
    expect(listed.providers).toMatchObject([
      { tcpOnSan: true, protocolInfo: { dwProviderFlags: 4, ProviderId: ID } },
    ]);
    expect(listed.providers[0]?.module).toMatch(/^file:.*minimal-provider\/provider\.js$/);
    expect(listed.protocols.at(-1)?.szProtocol).toContain('minimal');
    expect((await provider('remove', ID)).stdout).toContain('removed winsock-direct minimal');
    const absent = await provider('remove', ID);
    expect([absent.code, absent.stderr]).toEqual([1, expect.stringContaining(ID)]);
  });

  it('is used by hosts of the same user afterwards [INST-08]', async () => {
    expect((await provider('install', MODULE)).code).toBe(0);
    const script = `
      import { openHost } from ${JSON.stringify(entryPoint(import.meta.url, '../../index.js'))};
      const host = await openHost({ fabric: 'cli-catalog-' + process.pid, address: '127.77.0.1' });
      console.log(host.catalog.sanProviders().map((one) => one.protocolInfo.ProviderId).join());
      await host.close();
    `;
    const { spawnSync } = await import('node:child_process');
    const ran = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
      encoding: 'utf8',
      env: { ...process.env, WSD_CATALOG: catalog() },
      timeout: 25_000,
    });
    expect([ran.stdout, ran.stderr]).toEqual([`${ID}\n`, '']);
  });

  it('says what is wrong with a module, as a mistake of usage, and with a broken catalog, which stays', async () => {
    const file = path.join(directory, 'no-provider.mjs');
    writeFileSync(file, 'export const nothing = 1;\n');
    const none = await provider('install', file);
    expect([none.code, none.stderr]).toEqual([2, expect.stringContaining('createProvider')]);
    writeFileSync(catalog(), 'nonsense');
    const broken = await provider('list');
    expect([broken.code, broken.stderr]).toEqual([1, expect.stringContaining(catalog())]);
    expect(readFileSync(catalog(), 'utf8')).toBe('nonsense');
  });
});
