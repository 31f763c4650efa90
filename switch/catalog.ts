// The catalog of Winsock providers: what WSCInstallProvider, WSCDeinstallProvider and WSCEnumProtocols
// work on, and the list "TCP on SAN" that makes a provider one of the switch's. Data and rules only;
// where it is kept is the host's affair. Sources: INST-01 to INST-08, INST-13 to INST-15.

import { guidBytes, guidText, GUID_BYTES } from '../provider/spi/guid.js';
import { emptyProtocolInfo, tcpProtocolInfo } from '../provider/spi/protocol-info.js';
import type { WSAPROTOCOL_INFO } from '../provider/spi/winsock2.js';
import * as ws from '../provider/spi/winsock2.js';
import { installedProtocols } from './protocols.js';

/** What the catalog refuses: the entry breaks a rule, or is not there. The message says which. */
export class CatalogError extends Error {
  override readonly name = 'CatalogError';
}

/** An installed provider: its catalog entry, and the module that WSPStartupEx is loaded from. */
export interface InstalledProvider {
  readonly module: string;
  readonly protocolInfo: WSAPROTOCOL_INFO;
}

/** A value of "TCP on SAN": any name, and the 16 bytes of a provider id. [INST-05, INST-06] */
export interface SanListValue {
  readonly name: string;
  readonly data: Uint8Array;
}

/** The id of the switch itself, which is no provider to install. */
export const SWITCH_PROVIDER_ID = '3f0b6a52-7c1d-4c0e-8d52-60d1a5f3b7e1';

export class Catalog {
  #installed: readonly InstalledProvider[];
  #sanList: readonly SanListValue[];
  readonly #watchers = new Set<() => void>();

  constructor(installed: readonly InstalledProvider[] = [], sanList: readonly SanListValue[] = []) {
    for (const provider of installed) checkEntry(provider);
    this.#installed = installed;
    this.#sanList = sanList;
  }

  get installed(): readonly InstalledProvider[] {
    return this.#installed;
  }

  get sanList(): readonly SanListValue[] {
    return this.#sanList;
  }

  /**
   * WSCInstallProvider. Throws CatalogError for an entry that no SAN provider has, or whose id is
   * installed already. [INST-02 to INST-04, INST-13]
   */
  install(provider: InstalledProvider): void {
    checkEntry(provider);
    const { ProviderId, szProtocol } = provider.protocolInfo;
    if (this.find(ProviderId) !== null) {
      throw new CatalogError(`${szProtocol} (${ProviderId}) is installed already`);
    }
    this.#installed = [...this.#installed, provider];
    this.#changed();
  }

  /** WSCDeinstallProvider, and the values of "TCP on SAN" with its id. Throws CatalogError. */
  remove(providerId: string): InstalledProvider {
    const leaving = this.find(providerId);
    if (leaving === null) throw new CatalogError(`no provider ${providerId} is installed`);
    this.#installed = this.#installed.filter((provider) => provider !== leaving);
    this.#sanList = this.#sanList.filter(({ data }) => !isSameId(guidText(data), providerId));
    this.#changed();
    return leaving;
  }

  /** Sets a value of "TCP on SAN". The name is the vendor's choice. [INST-05, INST-06] */
  setSanValue(name: string, data: Uint8Array): void {
    if (name === '') throw new CatalogError('a value of "TCP on SAN" has a name');
    if (data.length !== GUID_BYTES) {
      throw new CatalogError(`${name}: a provider id has ${GUID_BYTES} bytes, not ${data.length}`);
    }
    const others = this.#sanList.filter((value) => value.name !== name);
    this.#sanList = [...others, { name, data: data.slice() }];
    this.#changed();
  }

  /** The installed provider with this id, or null. */
  find(providerId: string): InstalledProvider | null {
    const found = this.#installed.find(({ protocolInfo }) =>
      isSameId(protocolInfo.ProviderId, providerId),
    );
    return found ?? null;
  }

  /** Those the switch looks at: installed, and on the list. [INST-05, INST-08] */
  sanProviders(): InstalledProvider[] {
    const listed = this.#sanList.map(({ data }) => guidText(data));
    return this.#installed.filter(({ protocolInfo }) =>
      listed.some((id) => isSameId(id, protocolInfo.ProviderId)),
    );
  }

  /**
   * WSCEnumProtocols: every entry, hidden ones too, in order. The switch comes before TCP/IP, so that
   * it is what an application gets that asks for TCP. [INST-01, INST-08]
   */
  enumProtocols(): WSAPROTOCOL_INFO[] {
    const tcp = tcpProtocolInfo();
    const base = installedProtocols(tcp);
    const next = Math.max(...base.map(({ dwCatalogEntryId }) => dwCatalogEntryId)) + 1;
    const others = this.#installed.map(({ protocolInfo }, index) => {
      return { ...protocolInfo, dwCatalogEntryId: next + index };
    });
    return [switchProtocolInfo(tcp), ...base, ...others];
  }

  /** What WSAEnumProtocols shows of them: no hidden entry. [INST-03] */
  visibleProtocols(): WSAPROTOCOL_INFO[] {
    return this.enumProtocols().filter(
      ({ dwProviderFlags }) => (dwProviderFlags & ws.PFL_HIDDEN) === 0,
    );
  }

  /** WSAProviderConfigChange: `changed` is called after every change until the result is. [INST-07] */
  onChange(changed: () => void): () => void {
    this.#watchers.add(changed);
    return () => this.#watchers.delete(changed);
  }

  /** Takes over another catalog's content, such as what has been read anew from its file. */
  replace(other: Catalog): void {
    if (this.#isSame(other)) return;
    this.#installed = other.installed;
    this.#sanList = other.sanList;
    this.#changed();
  }

  #isSame(other: Catalog): boolean {
    const text = ({ installed, sanList }: Catalog): string =>
      JSON.stringify([installed, sanList.map(({ name, data }) => [name, guidText(data)])]);
    return text(this) === text(other);
  }

  #changed(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }
}

/** The switch: layered over TCP/IP, with the same characteristics. [INST-01] */
function switchProtocolInfo(tcp: WSAPROTOCOL_INFO): WSAPROTOCOL_INFO {
  const dwCatalogEntryId = tcp.dwCatalogEntryId - 1;
  const chain = new Array<number>(ws.MAX_PROTOCOL_CHAIN).fill(0);
  chain[0] = dwCatalogEntryId;
  chain[1] = tcp.dwCatalogEntryId;
  return {
    ...emptyProtocolInfo(),
    ...tcp,
    ProviderId: SWITCH_PROVIDER_ID,
    dwCatalogEntryId,
    ProtocolChain: { ChainLen: 2, ChainEntries: chain },
    szProtocol: 'TCP/IP through the Windows Sockets switch',
  };
}

function checkEntry({ module, protocolInfo }: InstalledProvider): void {
  const complaint = complaintAbout(protocolInfo);
  const { szProtocol, ProviderId } = protocolInfo;
  if (module === '') throw new CatalogError(`${szProtocol}: a provider has a module`);
  if (complaint !== null) throw new CatalogError(`${szProtocol} (${ProviderId}): ${complaint}`);
}

/** What keeps an entry from being that of a SAN provider under the switch; null: nothing. */
function complaintAbout(info: WSAPROTOCOL_INFO): string | null {
  try {
    guidBytes(info.ProviderId);
  } catch {
    return 'the provider id is not a GUID';
  }
  const reserved = [SWITCH_PROVIDER_ID, tcpProtocolInfo().ProviderId];
  if (reserved.some((id) => isSameId(id, info.ProviderId))) return 'the provider id is taken';
  if ((info.dwProviderFlags & ws.PFL_HIDDEN) === 0) return 'PFL_HIDDEN is not set';
  if ((info.dwServiceFlags1 & ws.XP1_CONNECTIONLESS) !== 0) return 'XP1_CONNECTIONLESS is set';
  if (info.ProtocolChain.ChainLen !== ws.BASE_PROTOCOL) return 'it is no base provider';
  const { iAddressFamily, iSocketType, iProtocol } = info;
  const isTcp =
    iAddressFamily === ws.AF_INET && iSocketType === ws.SOCK_STREAM && iProtocol === ws.IPPROTO_TCP;
  return isTcp ? null : 'it is not for TCP streams over IPv4';
}

/** GUID text may be in either case, with or without braces. */
function isSameId(one: string | null, other: string): boolean {
  return one !== null && normalId(one) === normalId(other);
}

function normalId(id: string): string {
  return id.replace(/^\{(.*)\}$/, '$1').toLowerCase();
}
