// Installed providers and running hosts: a host starts with what the catalog lists, follows it while it
// runs, and shares out its NIC.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import * as minimal from '../../examples/minimal-provider/provider.js';
import { Catalog, CatalogFile, CatalogFileError, openHost, tcpipProvider } from '../../index.js';
import * as spi from '../../provider/spi/index.js';
import { entryPoint } from '../../runtime/entry-point.js';
import * as fixture from './fixture.js';
import { A, B } from './fixture.js';

const MINIMAL_ID = 'a3a1a0f2-52d1-4f0b-9a2e-1f5f4c6f8d77';
const MODULE = new URL(
  `file://${entryPoint(import.meta.url, '../../examples/minimal-provider/provider.js')}`,
).href;

/** The catalog entry of the minimal provider, or of another id said to be in its module. */
function install(catalog: Catalog, providerId = MINIMAL_ID): void {
  const protocolInfo = spi.sanProtocolInfo({ providerId, name: 'minimal', qos: false });
  catalog.install({ module: MODULE, protocolInfo });
  catalog.setSanValue(`minimal ${providerId}`, spi.guidBytes(providerId));
}

function catalogOf(...ids: readonly string[]): Catalog {
  const catalog = new Catalog();
  for (const id of ids) install(catalog, id);
  return catalog;
}

function temporaryFile(): CatalogFile {
  const directory = mkdtempSync(path.join(tmpdir(), 'wsd-catalog-'));
  fixture.atEnd(() => {
    rmSync(directory, { recursive: true });
  });
  return new CatalogFile(path.join(directory, 'catalog.json'));
}

const TCP_ONLY = { providers: [tcpipProvider], engine: 'inline' } as const;

describe('a host', () => {
  it('starts what the catalog lists, which then drives the NIC in place of the reference provider [INIT-01 INST-08 ARCH-10]', async () => {
    const options = { catalog: catalogOf(MINIMAL_ID) };
    const { a, b, atA, atB } = await fixture.openPair({ a: options, b: options });
    const big = Buffer.alloc(200_000, 7);
    const sent = a.winsock.promises.send(atA, big, big.length, 0);
    const got = Buffer.alloc(big.length);
    for (let at = 0; at < got.length; ) {
      const rest = got.subarray(at);
      at += await b.winsock.promises.recv(atB, rest, rest.length, 0);
    }
    await sent;
    expect(got.equals(big)).toBe(true);
    expect(a.statistics()).toMatchObject({ sanConnections: 1, tcpConnections: 0 });
    expect(a.catalog.installed).toHaveLength(1);
    for (const [host, socket] of [
      [a, atA],
      [b, atB],
    ] as const) {
      host.winsock.closesocket(socket);
    }
    await fixture.closeClean(a, b);
  });

  it('starts a provider that is installed while it runs, and its wildcard listeners listen on it [INST-07 INST-09 INST-10 INST-11]', async () => {
    const fabric = fixture.newFabric();
    const file = temporaryFile();
    const b = await fixture.open({ fabric, address: B, ...TCP_ONLY, catalog: file.path });
    const { winsock } = b;
    const listener = fixture.newSocket(b);
    const any = spi.sockaddrIn('0.0.0.0', 0);
    fixture.must(winsock, 'bind', winsock.bind(listener, any, any.length));
    fixture.must(winsock, 'listen', winsock.listen(listener, 5));
    winsock.getsockname(listener, any, spi.ref(any.length));
    const a = await fixture.open({
      fabric,
      address: A,
      engine: 'inline',
      providers: [minimal, tcpipProvider],
    });
    await file.update((catalog) => {
      install(catalog);
    });
    await fixture.until(() => b.catalog.installed.length === 1, 'word of the installation');
    expect(await b.refreshCatalog()).toEqual({ added: [], removed: [], failed: [] });
    const atA = fixture.connect(a, B, spi.sockaddrPort(any));
    const atB = fixture.must(winsock, 'accept', winsock.accept(listener, null, null));
    expect(fixture.carry({ host: a, socket: atA }, { host: b, socket: atB }, 'hello')).toBe(
      'hello',
    );
    expect(b.statistics()).toMatchObject({ sanConnections: 1, tcpConnections: 0 });
    a.winsock.closesocket(atA);
    for (const socket of [atB, listener]) winsock.closesocket(socket);
    await fixture.closeClean(a, b);
  });

  it('keeps connections over a provider that is removed, and connects by TCP/IP from then on [INST-07 COMP-12]', async () => {
    const catalog = catalogOf(MINIMAL_ID);
    const { a, b, atA, atB } = await fixture.openPair({
      a: { ...TCP_ONLY, catalog },
      b: { engine: 'inline', providers: [minimal, tcpipProvider] },
    });
    catalog.remove(MINIMAL_ID);
    expect((await a.refreshCatalog()).failed).toEqual([]);
    const [here, there] = [
      { host: a, socket: atA },
      { host: b, socket: atB },
    ];
    expect(fixture.carry(here, there, 'still here')).toBe('still here');
    const { listener, port } = fixture.listen(b);
    const second = fixture.connect(a, B, port);
    expect(a.statistics()).toMatchObject({ sanConnections: 1, tcpConnections: 1 });
    for (const socket of [atA, second]) a.winsock.closesocket(socket);
    for (const socket of [atB, listener]) b.winsock.closesocket(socket);
    await fixture.until(() => {
      a.progress();
      return a.usage().queuePairs === 0;
    }, 'the end of the connection');
    // The NIC is free for the next.
    install(catalog);
    await a.refreshCatalog();
    const third = fixture.listen(b);
    const again = fixture.connect(a, B, third.port);
    expect(a.statistics().sanConnections).toBe(2);
    a.winsock.closesocket(again);
    b.winsock.closesocket(third.listener);
    await fixture.closeClean(a, b);
  });

  it('leaves out what cannot be, says so, and works without [INIT-01 STARTUP-02]', async () => {
    const log: string[] = [];
    const other = '11111111-2222-4333-8444-555555555555';
    const catalog = catalogOf(other);
    const gone = '99999999-2222-4333-8444-555555555555';
    const protocolInfo = spi.sanProtocolInfo({ providerId: gone, name: 'gone', qos: false });
    catalog.install({ module: 'file:///nowhere/provider.js', protocolInfo });
    catalog.setSanValue('gone', spi.guidBytes(gone));
    const { a, b, atA, atB } = await fixture.openPair({
      a: { catalog, log: (_level, message) => log.push(message) },
    });
    expect(log.find((line) => line.includes(other))).toContain('is not the SAN provider');
    expect(log.find((line) => line.includes(gone))).toContain('cannot be loaded');
    expect(a.statistics().sanConnections).toBe(1);
    expect((await a.refreshCatalog()).failed.map(({ providerId }) => providerId)).toEqual([
      other,
      gone,
    ]);
    // The NIC has its driver; another is told, and the connection does not notice.
    install(catalog);
    const { failed } = await a.refreshCatalog();
    expect(failed.map(({ providerId }) => providerId)).toContain(MINIMAL_ID);
    expect(fixture.carry({ host: a, socket: atA }, { host: b, socket: atB }, 'on')).toBe('on');
    a.winsock.closesocket(atA);
    b.winsock.closesocket(atB);
    await fixture.closeClean(a, b);
  });

  it('is not opened over a broken catalog, and a running one keeps what it has', async () => {
    const file = temporaryFile();
    const fabric = fixture.newFabric();
    const a = await fixture.open({ fabric, address: A, engine: 'inline', catalog: file.path });
    writeFileSync(file.path, 'nonsense');
    await expect(a.refreshCatalog()).rejects.toThrow(CatalogFileError);
    const more = { fabric, address: B, engine: 'inline', catalog: file.path } as const;
    await expect(openHost(more)).rejects.toThrow(file.path);
    await expect(openHost({ ...more, catalog: '' })).rejects.toThrow('catalog');
    await fixture.closeClean(a);
  });
});
