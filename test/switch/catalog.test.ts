// The catalog: what may be installed, what an application and the switch see of it, and how the switch
// follows it.

import { describe, expect, it } from 'vitest';
import * as spi from '../../provider/spi/index.js';
import { Catalog, CatalogError, SWITCH_PROVIDER_ID } from '../../switch/catalog.js';

const ID = '11111111-2222-3333-4444-555555555555';
const INFO = spi.sanProtocolInfo({ providerId: ID, name: 'A SAN', qos: false });
const MODULE = 'file:///san.js';

function installed(more: Partial<spi.WSAPROTOCOL_INFO> = {}): Catalog {
  const catalog = new Catalog();
  catalog.install({ module: MODULE, protocolInfo: { ...INFO, ...more } });
  return catalog;
}

describe('the catalog', () => {
  it('has the switch before TCP/IP with the same characteristics, layered over it, as the first visible entry [INST-01 ARCH-05]', () => {
    const [first, second] = new Catalog().visibleProtocols();
    expect(first?.ProviderId).toBe(SWITCH_PROVIDER_ID);
    expect(second?.ProviderId).toBe(spi.TCPIP_PROVIDER_ID);
    expect(first?.ProtocolChain.ChainLen).toBe(2);
    expect(first?.ProtocolChain.ChainEntries[1]).toBe(second?.dwCatalogEntryId);
    const { dwServiceFlags1, iAddressFamily, iSocketType, iProtocol } = spi.tcpProtocolInfo();
    expect(first).toMatchObject({ dwServiceFlags1, iAddressFamily, iSocketType, iProtocol });
  });

  it('holds a SAN provider as a hidden base provider, message-oriented and reliable [INST-02 INST-03 INST-15 DATA-04 DATA-05]', () => {
    const catalog = installed();
    expect(catalog.visibleProtocols().map(({ ProviderId }) => ProviderId)).not.toContain(ID);
    const entry = catalog.enumProtocols().find(({ ProviderId }) => ProviderId === ID);
    expect(entry).toMatchObject({
      dwProviderFlags: 4,
      dwServiceFlags1: 2 | 4 | 8 | 0x20,
      iVersion: 2,
      iAddressFamily: spi.AF_INET,
      iMaxSockAddr: 16,
      iSocketType: spi.SOCK_STREAM,
      iProtocol: spi.IPPROTO_TCP,
      dwMessageSize: 0xffff_ffff,
    });
    expect(entry?.ProtocolChain.ChainLen).toBe(1);
    const numbers = catalog.enumProtocols().map(({ dwCatalogEntryId }) => dwCatalogEntryId);
    expect(new Set(numbers).size).toBe(numbers.length);
  });

  const refused: [string, Partial<spi.WSAPROTOCOL_INFO>][] = [
    ['PFL_HIDDEN', { dwProviderFlags: 0 }],
    ['XP1_CONNECTIONLESS', { dwServiceFlags1: INFO.dwServiceFlags1 | spi.XP1_CONNECTIONLESS }],
    ['base provider', { ProtocolChain: { ChainLen: 2, ChainEntries: [1, 2, 0, 0, 0, 0, 0] } }],
    ['GUID', { ProviderId: 'nonsense' }],
    ['taken', { ProviderId: spi.TCPIP_PROVIDER_ID.toUpperCase() }],
    ['TCP streams', { iSocketType: spi.SOCK_DGRAM }],
  ];
  it.each(refused)('refuses an entry for its %s [INST-02 INST-03 INST-04 INST-13]', (why, more) => {
    expect(() => installed(more)).toThrow(CatalogError);
    expect(() => installed(more)).toThrow(why);
  });

  it('says QoS only of a provider that has it [INST-14]', () => {
    const flags = (qos: boolean): number =>
      spi.sanProtocolInfo({ providerId: ID, name: 'x', qos }).dwServiceFlags1;
    expect(flags(true) & 0x2000).toBe(0x2000);
    expect(flags(false) & 0x2000).toBe(0);
  });

  it('shows the switch a provider only once its id, 16 raw bytes under any name, is on the list "TCP on SAN" [INST-05 INST-06 INST-08]', () => {
    const catalog = installed();
    expect(catalog.sanProviders()).toEqual([]);
    expect(() => {
      catalog.setSanValue('short', new Uint8Array(15));
    }).toThrow(CatalogError);
    catalog.setSanValue('any name', spi.guidBytes(ID));
    expect(catalog.sanProviders().map(({ module }) => module)).toEqual([MODULE]);
    // The value alone is nothing either.
    catalog.remove(`{${ID.toUpperCase()}}`);
    catalog.setSanValue('any name', spi.guidBytes(ID));
    expect(catalog.sanProviders()).toEqual([]);
  });

  it('installs an id once, and removes what is there [INST-04]', () => {
    const catalog = installed();
    expect(() => {
      catalog.install({ module: MODULE, protocolInfo: INFO });
    }).toThrow('installed already');
    expect(catalog.remove(ID).module).toBe(MODULE);
    expect(() => catalog.remove(ID)).toThrow(CatalogError);
  });

  it('tells whoever watches of every change, and of nothing else [INST-07]', () => {
    const catalog = installed();
    let changes = 0;
    const end = catalog.onChange(() => changes++);
    catalog.setSanValue('x', spi.guidBytes(ID));
    expect(changes).toBe(1);
    catalog.replace(new Catalog(catalog.installed, catalog.sanList));
    expect(changes).toBe(1);
    catalog.replace(new Catalog());
    expect(changes).toBe(2);
    end();
    catalog.replace(installed());
    expect(changes).toBe(2);
  });
});
