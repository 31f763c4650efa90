// The catalog's file: where it is, what becomes of a broken one, and that two processes which change it
// at the same time lose nothing.

import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CatalogFile, CatalogFileError, defaultCatalogPath } from '../../host-catalog.js';
import * as spi from '../../provider/spi/index.js';
import type { Catalog } from '../../switch/catalog.js';

const kept = { ...process.env };
let directory = '';

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'wsd-catalog-'));
});

afterEach(() => {
  rmSync(directory, { recursive: true });
  process.env = { ...kept };
});

const fileIn = (...parts: readonly string[]): CatalogFile =>
  new CatalogFile(path.join(directory, ...parts, 'catalog.json'));

const idOf = (index: number): string =>
  `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`;

function install(index: number): (catalog: Catalog) => void {
  return (catalog) => {
    const providerId = idOf(index);
    const protocolInfo = spi.sanProtocolInfo({ providerId, name: `SAN ${index}`, qos: false });
    catalog.install({ module: `file:///san-${index}.js`, protocolInfo });
    catalog.setSanValue(`SAN ${index}`, spi.guidBytes(providerId));
  };
}

/** Lets the event loop turn until it holds; the test's own time is the watchdog. */
async function until(done: () => boolean): Promise<void> {
  while (!done()) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

describe('the file of the catalog', () => {
  it('is WSD_CATALOG, or in the configuration directory of the user', () => {
    process.env['WSD_CATALOG'] = 'relative.json';
    expect(defaultCatalogPath()).toBe(path.resolve('relative.json'));
    delete process.env['WSD_CATALOG'];
    process.env['XDG_CONFIG_HOME'] = directory;
    expect(defaultCatalogPath()).toBe(path.join(directory, 'winsock-direct', 'catalog.json'));
    process.env['XDG_CONFIG_HOME'] = 'not absolute';
    process.env['HOME'] = directory;
    expect(defaultCatalogPath()).toBe(
      path.join(directory, '.config', 'winsock-direct', 'catalog.json'),
    );
  });

  it('need not be there, and comes with the first change, for its user alone [INST-04 INST-05]', async () => {
    const file = fileIn('a', 'b');
    expect(file.read().installed).toEqual([]);
    await file.update(install(1));
    expect(statSync(file.path).mode & 0o777).toBe(0o600);
    const read = file.read();
    expect(read.sanProviders().map(({ protocolInfo }) => protocolInfo.ProviderId)).toEqual([
      idOf(1),
    ]);
    // REG_BINARY: the bytes of the structure in memory.
    const text = readFileSync(file.path, 'utf8');
    expect(text).toContain('"SAN 1": "00000000000000408000000000000001"');
    expect(readdirSync(path.dirname(file.path))).toEqual(['catalog.json']);
  });

  const broken: [string, string][] = [
    ['cut short', '{ "format": "winsock-direct cat'],
    ['of another format', '{ "format": "something else" }'],
    ['of a later version', '{ "format": "winsock-direct catalog", "version": 2 }'],
    ['empty', ''],
  ];
  it.each(broken)(
    'is left as it is when it is %s, and named with the reason',
    async (_what, text) => {
      const file = fileIn();
      writeFileSync(file.path, text);
      expect(() => file.read()).toThrow(CatalogFileError);
      expect(() => file.read()).toThrow(file.path);
      await expect(file.update(install(1))).rejects.toThrow(CatalogFileError);
      expect(readFileSync(file.path, 'utf8')).toBe(text);
    },
  );

  it('is refused with an entry that breaks a rule [INST-03]', async () => {
    const file = fileIn();
    await file.update(install(1));
    const text = readFileSync(file.path, 'utf8');
    writeFileSync(file.path, text.replace('"dwProviderFlags": 4', '"dwProviderFlags": 0'));
    expect(() => file.read()).toThrow('PFL_HIDDEN');
  });

  it('stays as it was when the change throws or the directory cannot be written', async () => {
    const file = fileIn();
    await file.update(install(1));
    const text = readFileSync(file.path, 'utf8');
    await expect(file.update(install(1))).rejects.toThrow('installed already');
    expect(readFileSync(file.path, 'utf8')).toBe(text);
    const blocked = new CatalogFile(path.join(file.path, 'below-a-file', 'catalog.json'));
    await expect(blocked.update(install(2))).rejects.toThrow(CatalogFileError);
    expect(existsSync(blocked.path)).toBe(false);
  });

  it('keeps every change of many that are made at once', async () => {
    const file = fileIn();
    const indexes = Array.from({ length: 12 }, (_, index) => index);
    // Each through an object of its own, as processes do it.
    await Promise.all(indexes.map((index) => fileIn().update(install(index))));
    const ids = file.read().installed.map(({ protocolInfo }) => protocolInfo.ProviderId);
    expect(ids.sort()).toEqual(indexes.map(idOf));
  });

  it('tells a watcher of changes, also when its directory comes later [INST-07]', async () => {
    const file = fileIn('later');
    const told = new Set<string>();
    const end = file.watch(() => {
      if (existsSync(file.path)) told.add('first');
    });
    mkdirSync(path.dirname(file.path));
    await file.update(install(1));
    await until(() => told.has('first'));
    const other = file.watch(() => told.add('second'));
    await file.update(install(2));
    await until(() => told.has('second'));
    end();
    other();
  });
});
