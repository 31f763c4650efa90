// winsock-direct: Windows Sockets Direct, both sides of it. From top to bottom: switch/api (the
// Winsock functions), switch/ (companion sockets, routing, the session protocol), provider/spi (the
// contract), provider/san and provider/tcpip (service providers), provider/nic (the NIC they drive),
// native/ (shared memory and system calls). This file and host-environment.ts are the composition
// root: the only place that names concrete providers.

import { readSync } from 'node:fs';
import type { HostMemory, ServiceProvider } from './provider/spi/index.js';
import * as sanProvider from './provider/san/provider.js';
import * as tcpipProvider from './provider/tcpip/provider.js';
import type { Winsock } from './switch/api/wsa.js';
import { createWinsock } from './switch/api/wsa.js';
import type { Catalog } from './switch/catalog.js';
import type { SwitchStatistics } from './switch/statistics.js';
import { Switch } from './switch/switch.js';
import { openEnvironment } from './host-environment.js';
import type { HostEnvironment, HostUsage } from './host-environment.js';
import type { HostOptions } from './host-options.js';
import { HostProviders } from './host-providers.js';
import type { CatalogRefresh } from './host-providers.js';

/** A host on a fabric: an application's view of Windows Sockets. Belongs to the thread that opened it. */
export interface Host {
  /** Every Winsock function under its own name, and their promise twins under `promises`. */
  readonly winsock: Winsock;
  readonly address: string;
  readonly engine: 'inline' | 'worker';
  /** `bytes` of zeroed memory that transfers fastest; null when there is no more. */
  VirtualAlloc(bytes: number): Uint8Array | null;
  /** Frees what VirtualAlloc gave. False when `memory` does not begin such a block. */
  VirtualFree(memory: Uint8Array): boolean;
  /** Gives every host of this thread one turn. Returns how much was done; 0 means nothing to do. */
  progress(): number;
  /** The installed providers that this host knows of. */
  readonly catalog: Catalog;
  /**
   * Looks at the catalog now, which the host does by itself only when it has changed and the event
   * loop turns. Rejects with CatalogFileError, and everything is as it was.
   */
  refreshCatalog(): Promise<CatalogRefresh>;
  /** What connections have moved so far, and by which path. */
  statistics(): HostStatistics;
  /** What is in use below the switch; all zero after every socket was closed and all memory freed. */
  usage(): HostUsage;
  /** Closes what is open, waits a bounded while for data under way, and leaves the fabric. */
  close(): Promise<void>;
}

/**
 * Opens a host: its NIC on the fabric, its providers, the switch above them.
 *
 * Throws HostOptionsError for an option that cannot be; SystemError EADDRINUSE when a living host has
 * the address, ENOSPC when shared memory is full, EACCES when the fabric belongs to somebody else.
 */
export async function openHost(options: HostOptions): Promise<Host> {
  const host = await openEnvironment(options);
  try {
    return makeHost(options, host, await HostProviders.open(host, options));
  } catch (thrown) {
    await host.close();
    throw thrown;
  }
}

function makeHost(options: HostOptions, host: HostEnvironment, providers: HostProviders): Host {
  const { clock, random, logger, profile, processId } = host.environment;
  const theSwitch = new Switch({
    clock,
    random,
    progress: host.progress,
    memory: host.memory,
    logger,
    profile,
    hostAddress: host.address,
    processId,
    sharing: host.sharing,
    wakeup: host.wakeup,
    providerEnded: (id) => providers.ended(id),
    readFile,
  });
  providers.attach(theSwitch);
  switches.add(theSwitch);
  return {
    winsock: createWinsock({ theSwitch, providers: providers.list }),
    address: options.address,
    engine: host.engine,
    VirtualAlloc: (bytes) => host.memory.VirtualAlloc(bytes),
    VirtualFree: (memory) => {
      theSwitch.releaseMemory(memory);
      return host.memory.VirtualFree(memory);
    },
    catalog: providers.catalog,
    refreshCatalog: () => providers.refresh(),
    progress: () => host.progress.poll(),
    statistics: () => theSwitch.statistics(),
    usage: () => host.usage(),
    close: async () => {
      const loaded = providers.close();
      switches.delete(theSwitch);
      theSwitch.stop();
      await loaded;
      await host.close();
    },
  };
}

/** Those of this thread: its end cancels what it has started, before the hosts are given up. */
const switches = new Set<Switch>();

process.prependListener('exit', () => {
  for (const theSwitch of switches) theSwitch.endThread();
});

/** A handle is a file descriptor of this process. */
function readFile(handle: number, into: Uint8Array, position: number | null): number {
  try {
    return readSync(handle, into, 0, into.length, position);
  } catch {
    return -1;
  }
}

export { CatalogFile, CatalogFileError, defaultCatalogPath } from './host-catalog.js';
export type { CatalogRefresh } from './host-providers.js';
export { Catalog, CatalogError, SWITCH_PROVIDER_ID } from './switch/catalog.js';
export type { InstalledProvider, SanListValue } from './switch/catalog.js';
export { checkOptions, HostOptionsError } from './host-options.js';
export type { Hook, HostOptions, ProviderSource } from './host-options.js';
export { openEnvironment, SystemError } from './host-environment.js';
export type { HostEnvironment, HostProviderEnvironment, HostUsage } from './host-environment.js';
export { sanProvider, tcpipProvider };
/** Application bytes and messages by path; see SwitchStatistics. */
export type HostStatistics = SwitchStatistics;
export type { ServiceProvider, HostMemory, SwitchStatistics, Winsock };
