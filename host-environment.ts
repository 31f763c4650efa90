// The lower half of the composition root: opens a NIC on a fabric and makes of it what a provider is
// handed. A host adds a switch on top (index.ts); provider engineers, the conformance kit and the
// benchmarks stop here and drive a provider by themselves.

import { availableParallelism } from 'node:os';
import { UnixChannels } from './native/control-channels.js';
import { SystemError } from './native/errors.js';
import { FabricDirectory } from './native/fabric-directory.js';
import { HandoverFiles } from './native/handover-files.js';
import { native } from './native/load.js';
import { HostThread } from './native/thread.js';
import { openNic } from './provider/nic/open-nic.js';
import type { NicDevice } from './provider/nic/device.js';
import type { Nic } from './provider/nic/nic.js';
import type { HostMemory as NicMemory } from './provider/nic/host-memory.js';
import { ipv4Number, PROFILES, whyNoProvider } from './provider/spi/index.js';
import type {
  CreateProvider,
  HostMemory,
  Logger,
  ProviderEnvironment,
  ServiceProvider,
} from './provider/spi/index.js';
import type { KernelSockets } from './provider/tcpip/provider.js';
import { assert } from './runtime/assert.js';
import { Prng } from './runtime/prng.js';
import type { Agent, ProgressLoop } from './runtime/progress.js';
import { HostAgents } from './host-agents.js';
import { checkOptions, HostOptionsError } from './host-options.js';
import type { Hook, HostOptions, ProviderSource } from './host-options.js';
import type { SharingServices } from './switch/sharing/channel.js';

/** Workers pay from this many cores on: two hosts of a connection, a thread and an engine each. */
const CORES_FOR_WORKERS = 4;

export type HostProviderEnvironment = ProviderEnvironment<NicDevice, KernelSockets>;

/** A host without a switch. Belongs to the thread that opened it. */
export interface HostEnvironment {
  /** What createProvider is called with. */
  readonly environment: HostProviderEnvironment;
  readonly engine: 'inline' | 'worker';
  readonly address: number;
  readonly memory: HostMemory;
  readonly progress: ProgressLoop;
  /** What a switch shares connections with other processes by. */
  readonly sharing: SharingServices;
  /** See HostThread.wakeup. */
  readonly wakeup: () => Promise<void>;
  /** What is in use now; all zero after everything was closed and freed. */
  usage(): HostUsage;
  /**
   * Calls createProvider of a module with `environment`, which is this one unless given, wrapped in
   * the hooks of the options if it is a SAN provider.
   */
  createProvider(
    source: ProviderSource,
    environment?: HostProviderEnvironment,
  ): Promise<ServiceProvider>;
  close(): Promise<void>;
}

export interface HostUsage {
  readonly queuePairs: number;
  readonly registrations: number;
  readonly memoryBlocks: number;
}

let thread: HostThread | null = null;
let openHosts = 0;
const abandonAtExit = new Set<() => void>();

process.on('exit', () => {
  for (const abandon of abandonAtExit) abandon();
});

/**
 * Opens the NIC of a host. Throws HostOptionsError; SystemError EADDRINUSE when a living host has the
 * address, ENOSPC when shared memory is full, EACCES when the fabric belongs to somebody else.
 */
export async function openEnvironment(options: HostOptions): Promise<HostEnvironment> {
  checkOptions(options);
  const address = ipv4Number(options.address);
  assert(address !== null, 'checkOptions has parsed the address');
  const logger = makeLogger(options);
  const engine = chooseEngine(options);
  const host = acquireThread();
  try {
    const opened = await openNic({
      arena: host.arena,
      native,
      reactor: host.reactor,
      clock: host.clock,
      fabric: options.fabric,
      address,
      engine,
      pin: options.pin ?? 'try',
      warn: logger.warn,
      ...(options.nic?.costModel === undefined ? {} : { costModel: options.nic.costModel }),
      ...(options.segmentBytes === undefined ? {} : { segmentBytes: options.segmentBytes }),
    });
    const abandon = (): void => {
      opened.abandon();
    };
    abandonAtExit.add(abandon);
    return makeEnvironment({ options, address, engine, logger, host, opened, abandon });
  } catch (thrown) {
    releaseThread();
    throw thrown;
  }
}

function makeEnvironment(parts: {
  options: HostOptions;
  address: number;
  engine: 'inline' | 'worker';
  logger: Logger;
  host: HostThread;
  opened: { nic: Nic; memory: NicMemory; close(): Promise<void> };
  abandon: () => void;
}): HostEnvironment {
  const { options, address, engine, logger, host, opened, abandon } = parts;
  const { nic } = opened;
  const memory = watchedMemory(opened.memory, options.hooks ?? []);
  const agents = new HostAgents(host.progress);
  const handover = new HandoverFiles({
    directory: new FabricDirectory(options.fabric).path,
    address: options.address,
    processId: process.pid,
  });
  const environment: HostProviderEnvironment = {
    clock: host.clock,
    random: new Prng(options.seed ?? native.now() >>> 0),
    progress: agents,
    memory,
    logger,
    profile: PROFILES[options.profile ?? 'documented'],
    nic,
    sockets: { reactor: host.reactor, hostAddress: address, blocking: host.progress },
    handover,
    processId: process.pid,
  };
  const agent = nicAgent(nic, engine);
  host.progress.add(agent);
  let isOpen = true;
  return {
    environment,
    engine,
    address,
    memory,
    progress: host.progress,
    sharing: { handover, channels: new UnixChannels(host.reactor) },
    wakeup: host.wakeup,
    usage: () => ({
      queuePairs: nic.queuePairCount,
      registrations: nic.registrationCount,
      memoryBlocks: opened.memory.blockCount,
    }),
    createProvider: (source, given) => createProvider(source, given ?? environment, options),
    close: async () => {
      if (!isOpen) return;
      isOpen = false;
      // First, because closing may wait, and others turn the loop meanwhile.
      const left = agents.end();
      if (left > 0) logger.info(`host ${options.address} closed before WSPCleanup: ${left} agents`);
      host.progress.remove(agent);
      await opened.close();
      abandonAtExit.delete(abandon);
      releaseThread();
    },
  };
}

/**
 * A provider drives the NIC (NicDevice.progress); this makes it sleep and wake with the thread, and
 * drives it where no provider does, so that what was closed is let go of by both sides.
 */
function nicAgent(nic: Nic, engine: 'inline' | 'worker'): Agent {
  let turns = 0;
  return {
    role: 'nic',
    doWork: (): number => {
      const work = nic.turns === turns ? nic.progress() : 0;
      turns = nic.turns;
      return work;
    },
    arm: (): void => {
      nic.port.arm();
    },
    disarm: (): void => {
      nic.port.disarm();
    },
    deadline: (): number => nic.port.deadline(),
    isUnhurried: (): boolean => engine === 'inline' && nic.queuePairCount === 0,
  };
}

/** The same memory, with the hooks told before any of it is given back. */
function watchedMemory(memory: HostMemory, hooks: readonly Hook[]): HostMemory {
  const watchers = hooks.flatMap(({ memoryFreed }) => memoryFreed ?? []);
  if (watchers.length === 0) return memory;
  return {
    VirtualAlloc: (bytes) => memory.VirtualAlloc(bytes),
    VirtualFree: (block) => {
      for (const memoryFreed of watchers) memoryFreed(block);
      return memory.VirtualFree(block);
    },
    addressOf: (buffer) => memory.addressOf(buffer),
  };
}

async function createProvider(
  source: ProviderSource,
  environment: HostProviderEnvironment,
  options: HostOptions,
): Promise<ServiceProvider> {
  const module = typeof source === 'string' ? await loadModule(source) : source;
  const create = module.createProvider as CreateProvider<NicDevice, KernelSockets>;
  const provider = create(environment);
  const why = whyNoProvider(provider);
  if (why !== null) throw new HostOptionsError(`createProvider returns ${why}`);
  if (provider.capabilities.kind !== 'san') return provider;
  return (options.hooks ?? []).reduce((inner, hook) => hook(inner, environment), provider);
}

async function loadModule(name: string): Promise<{ readonly createProvider: unknown }> {
  let loaded: unknown;
  try {
    loaded = await import(name);
  } catch (thrown) {
    throw new HostOptionsError(
      `provider module ${JSON.stringify(name)} cannot be loaded: ${String(thrown)}`,
      {
        cause: thrown,
      },
    );
  }
  const module = loaded as { readonly createProvider?: unknown };
  if (typeof module.createProvider !== 'function') {
    throw new HostOptionsError(
      `provider module ${JSON.stringify(name)} exports no function createProvider`,
    );
  }
  return { createProvider: module.createProvider };
}

function chooseEngine(options: HostOptions): 'inline' | 'worker' {
  const engine = options.engine ?? 'auto';
  if (engine !== 'auto') return engine;
  return availableParallelism() >= CORES_FOR_WORKERS ? 'worker' : 'inline';
}

function makeLogger(options: HostOptions): Logger {
  const log =
    options.log ??
    ((level: string, message: string): void => {
      if (level === 'warn' || level === 'error')
        process.stderr.write(`winsock-direct: ${message}\n`);
    });
  const at =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (message: string): void => {
      log(level, message);
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

function acquireThread(): HostThread {
  thread ??= new HostThread();
  openHosts += 1;
  return thread;
}

function releaseThread(): void {
  openHosts -= 1;
  if (openHosts === 0) thread?.release();
}

export { SystemError };
