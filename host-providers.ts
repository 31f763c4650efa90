// Which providers a host has: those of its options, or the reference SAN provider and what the catalog
// lists; and how they follow the catalog while the host runs. Part of the composition root: it knows
// modules, the NIC they share out among themselves, and the switch. Sources: INIT-01, INST-07 to
// INST-09, ARCH-10; docs/decisions/0034-one-driver-for-a-nic.md.

import type { ServiceProvider } from './provider/spi/index.js';
import * as sanProvider from './provider/san/provider.js';
import * as tcpipProvider from './provider/tcpip/provider.js';
import type { InstalledProvider } from './switch/catalog.js';
import { Catalog } from './switch/catalog.js';
import type { Switch } from './switch/switch.js';
import { CatalogFile, defaultCatalogPath } from './host-catalog.js';
import type { HostEnvironment, HostProviderEnvironment } from './host-environment.js';
import type { HostOptions, ProviderSource } from './host-options.js';

/** What a look at the catalog has changed, by provider id. */
export interface CatalogRefresh {
  /** Created, and in use if Winsock is started. */
  readonly added: readonly string[];
  /** Nothing new goes to them. */
  readonly removed: readonly string[];
  /** Listed and not usable, with the reason. */
  readonly failed: readonly { readonly providerId: string; readonly reason: string }[];
}

export class HostProviders {
  readonly catalog: Catalog;
  /** What Winsock starts: kept up to date. */
  readonly list: ServiceProvider[] = [];
  readonly #host: HostEnvironment;
  readonly #file: CatalogFile | null;
  readonly #nic: NicClaim;
  readonly #fromCatalog = new Map<string, ServiceProvider>();
  readonly #ends: (() => void)[] = [];
  #switch: Switch | null = null;
  #refreshing: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  private constructor(host: HostEnvironment, catalog: Catalog, file: CatalogFile | null) {
    this.#host = host;
    this.catalog = catalog;
    this.#file = file;
    this.#nic = new NicClaim(host.environment);
  }

  /** Throws CatalogFileError, HostOptionsError and what createProvider of an option throws. */
  static async open(host: HostEnvironment, options: HostOptions): Promise<HostProviders> {
    const place = options.catalog ?? (options.providers === undefined ? undefined : false);
    const isFile = typeof place === 'string' || place === undefined;
    const file = isFile ? new CatalogFile(place ?? defaultCatalogPath()) : null;
    const given = place instanceof Catalog ? place : new Catalog();
    const providers = new HostProviders(host, given, file);
    if (file !== null) providers.catalog.replace(file.read());
    for (const source of options.providers ?? []) await providers.#create(source);
    await providers.#follow();
    // What is installed for the NIC drives it; the reference provider drives what nobody else does.
    if (options.providers === undefined) {
      if (!providers.#nic.isTaken) await providers.#create(sanProvider);
      await providers.#create(tcpipProvider);
    }
    return providers;
  }

  /** From now on changes of the catalog reach the running switch. */
  attach(theSwitch: Switch): void {
    this.#switch = theSwitch;
    const changed = (): void => {
      this.refresh().catch((thrown: unknown) => {
        this.#host.environment.logger.error(String(thrown));
      });
    };
    if (this.#file !== null) this.#ends.push(this.#file.watch(changed));
    this.#ends.push(this.catalog.onChange(changed));
  }

  /** Looks at the catalog now. Rejects with CatalogFileError, with everything as it was. */
  refresh(): Promise<CatalogRefresh> {
    const next = this.#refreshing.then(async () => {
      if (this.#isClosed) return { added: [], removed: [], failed: [] };
      if (this.#file !== null) this.catalog.replace(this.#file.read());
      return this.#follow();
    });
    // One after the other: a failure of one is its caller's.
    this.#refreshing = next.catch(() => undefined);
    return next;
  }

  /** The switch has ended a provider. */
  ended(providerId: string): void {
    if (!this.list.some((provider) => provider.providerId === providerId)) {
      this.#nic.release(providerId);
    }
  }

  /** Settles when nothing is being loaded any more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const end of this.#ends.splice(0)) end();
    await this.#refreshing;
  }

  async #create(source: ProviderSource): Promise<ServiceProvider> {
    const provider = await this.#nic.lend((environment) =>
      this.#host.createProvider(source, environment),
    );
    this.list.push(provider);
    return provider;
  }

  async #follow(): Promise<CatalogRefresh> {
    const wanted = this.catalog.sanProviders();
    const removed = this.#dropAllBut(wanted);
    const added: string[] = [];
    const failed: { providerId: string; reason: string }[] = [];
    for (const entry of wanted) {
      const id = normal(entry);
      if (this.list.some(({ providerId }) => providerId.toLowerCase() === id)) continue;
      const reason = await this.#load(id, entry.module);
      if (reason === null) added.push(id);
      else failed.push({ providerId: id, reason });
    }
    return { added, removed, failed };
  }

  /** Loads one that is listed; null, or why it is left out. */
  async #load(id: string, module: string): Promise<string | null> {
    const { logger } = this.#host.environment;
    let provider: ServiceProvider;
    try {
      provider = await this.#create(module);
    } catch (thrown) {
      const reason = thrown instanceof Error ? thrown.message : String(thrown);
      logger.warn(`installed provider ${id} left out: ${reason}`);
      return reason;
    }
    const isItself =
      provider.providerId.toLowerCase() === id && provider.capabilities.kind === 'san';
    if (!isItself) {
      this.#forget(provider);
      const reason = `module ${module} is not the SAN provider that was installed from it`;
      logger.warn(`installed provider ${id} left out: ${reason}`);
      return reason;
    }
    this.#fromCatalog.set(id, provider);
    const theSwitch = this.#switch;
    if (theSwitch === null || !theSwitch.isRunning || theSwitch.addProvider(provider)) return null;
    this.#fromCatalog.delete(id);
    this.#forget(provider);
    return 'it did not start: see the log';
  }

  #dropAllBut(wanted: readonly InstalledProvider[]): string[] {
    const kept = new Set(wanted.map(normal));
    const leaving = [...this.#fromCatalog].filter(([id]) => !kept.has(id));
    for (const [id, provider] of leaving) {
      this.#fromCatalog.delete(id);
      const isInUse = this.#switch?.isRunning === true;
      const index = this.list.indexOf(provider);
      if (index >= 0) this.list.splice(index, 1);
      // Not in use, so nobody will say that it has ended.
      if (!isInUse || this.#switch?.removeProvider(provider.providerId) !== true) {
        this.#nic.release(provider.providerId);
      }
    }
    return leaving.map(([id]) => id);
  }

  #forget(provider: ServiceProvider): void {
    const index = this.list.indexOf(provider);
    if (index >= 0) this.list.splice(index, 1);
    this.#nic.release(provider.providerId);
  }
}

/** Two providers on one NIC would take each other's events: the first that looks at it has it. */
class NicClaim {
  readonly #environment: HostProviderEnvironment;
  #owner: object | null = null;
  #ownerId = '';

  constructor(environment: HostProviderEnvironment) {
    this.#environment = environment;
  }

  get isTaken(): boolean {
    return this.#owner !== null;
  }

  /** Has `create` make a provider in an environment whose NIC is there for the first to look. */
  async lend(
    create: (environment: HostProviderEnvironment) => Promise<ServiceProvider>,
  ): Promise<ServiceProvider> {
    const self = {};
    const { nic } = this.#environment;
    const look = (): typeof nic | null => {
      this.#owner ??= self;
      return this.#owner === self ? nic : null;
    };
    const environment = Object.defineProperty({ ...this.#environment }, 'nic', { get: look });
    try {
      const provider = await create(environment);
      if (this.#owner === self) this.#ownerId = provider.providerId;
      return provider;
    } catch (thrown) {
      if (this.#owner === self) this.#owner = null;
      throw thrown;
    }
  }

  release(providerId: string): void {
    if (this.#ownerId !== providerId) return;
    this.#owner = null;
    this.#ownerId = '';
  }
}

function normal({ protocolInfo }: InstalledProvider): string {
  return protocolInfo.ProviderId.replace(/^\{(.*)\}$/, '$1').toLowerCase();
}
