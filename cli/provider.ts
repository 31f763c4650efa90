// wsd provider: installs, removes and lists the SAN providers that hosts of this user start besides the
// reference provider. What may be installed is the catalog's business (docs/catalog.md).
// Sources: INST-03 to INST-06.

import { CatalogError, CatalogFile, CatalogFileError, openEnvironment } from '../index.js';
import type { Catalog, InstalledProvider } from '../index.js';
import { guidBytes, sanProtocolInfo } from '../provider/spi/index.js';
import type { ServiceProvider } from '../provider/spi/index.js';
import { CommandFailure, UsageError } from './errors.js';
import { providerModule } from './host-arguments.js';

export interface ProviderArguments {
  readonly catalog?: string;
}

/** Throws UsageError for what is no provider module, CommandFailure for what the catalog refuses. */
export async function installProvider(
  name: string,
  options: ProviderArguments & { readonly name?: string },
): Promise<void> {
  const module = await providerModule(name);
  const { capabilities, name: title, providerId } = await createProvider(module);
  if (capabilities.kind !== 'san') {
    throw new UsageError(`provider module ${name} is not a SAN provider`);
  }
  const protocolInfo = sanProtocolInfo({ name: title, providerId, qos: capabilities.qos });
  const file = new CatalogFile(options.catalog);
  await change(file, (catalog) => {
    catalog.install({ module, protocolInfo });
    catalog.setSanValue(options.name ?? title, guidBytes(providerId));
  });
  print(`installed ${title}`, `  id      ${providerId}`, `  module  ${module}`);
}

/** Throws CommandFailure when there is no such provider. */
export async function removeProvider(name: string, options: ProviderArguments): Promise<void> {
  const file = new CatalogFile(options.catalog);
  const removed: InstalledProvider[] = [];
  await change(file, (catalog) => {
    removed.push(catalog.remove(idOf(catalog, name)));
  });
  for (const { protocolInfo } of removed) print(`removed ${protocolInfo.szProtocol}`);
}

/** Prints what is installed; every entry of the catalog with `all`. */
export function listProviders(
  options: ProviderArguments & { readonly json: boolean; readonly all: boolean },
): void {
  const file = new CatalogFile(options.catalog);
  const catalog = guarded(() => file.read());
  const san = new Set(catalog.sanProviders());
  if (options.json) {
    const providers = catalog.installed.map((one) => ({ ...one, tcpOnSan: san.has(one) }));
    const protocols = options.all ? { protocols: catalog.enumProtocols() } : {};
    print(JSON.stringify({ catalog: file.path, providers, ...protocols }, null, 2));
    return;
  }
  print(`catalog ${file.path}`);
  if (options.all) {
    for (const { szProtocol, ProviderId } of catalog.enumProtocols()) {
      print(`${ProviderId}  ${szProtocol}`);
    }
    return;
  }
  if (catalog.installed.length === 0) print('no provider is installed');
  for (const provider of catalog.installed) {
    const { ProviderId, szProtocol } = provider.protocolInfo;
    const use = san.has(provider) ? '' : '  (not on the list "TCP on SAN")';
    print(`${ProviderId}  ${szProtocol}${use}`, `  ${provider.module}`);
  }
}

/** A provider as the module makes it, on a host of its own that nobody sees. */
async function createProvider(module: string): Promise<ServiceProvider> {
  const fabric = `install-${process.pid}`;
  const host = await openEnvironment({ fabric, address: '127.77.0.1', engine: 'inline' });
  try {
    return await host.createProvider(module);
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    throw new UsageError(`provider module ${module} makes no provider: ${why}`, { cause: thrown });
  } finally {
    await host.close();
  }
}

/** By id, by name, or by module. */
function idOf(catalog: Catalog, name: string): string {
  const found = catalog.installed.find(
    ({ module, protocolInfo }) => protocolInfo.szProtocol === name || module === name,
  );
  return found?.protocolInfo.ProviderId ?? name;
}

async function change(file: CatalogFile, act: (catalog: Catalog) => void): Promise<void> {
  try {
    await file.update(act);
  } catch (thrown) {
    throw failure(thrown);
  }
}

function guarded<T>(act: () => T): T {
  try {
    return act();
  } catch (thrown) {
    throw failure(thrown);
  }
}

function failure(thrown: unknown): unknown {
  const isOurs = thrown instanceof CatalogError || thrown instanceof CatalogFileError;
  return isOurs ? new CommandFailure(thrown.message, { cause: thrown }) : thrown;
}

function print(...lines: readonly string[]): void {
  process.stdout.write(`${lines.join('\n')}\n`);
}
