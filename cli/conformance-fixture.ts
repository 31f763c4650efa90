// Makes pairs of hosts for the conformance kit out of the composition root: the environments of one
// fabric in this thread, the provider on all, hooks around it. It must not know any case.

import type { HostEnvironment, ProviderSource } from '../index.js';
import { openEnvironment } from '../index.js';
import { trace } from '../provider/hooks/index.js';
import type { ProviderHook } from '../provider/hooks/index.js';
import type { Profile, ServiceProvider } from '../provider/spi/index.js';
import { PROFILES } from '../provider/spi/index.js';
import type { ProfileName } from '../provider/spi/index.js';
import type {
  ConformanceHost,
  ConformancePair,
  ProviderFixture,
} from '../test/conformance/index.js';

export interface FixtureOptions {
  readonly source: ProviderSource;
  readonly engine: 'inline' | 'worker';
  readonly profile: ProfileName;
  readonly seed: number;
  /** How many slices of a millisecond, or more on a busy machine, a wait may find nothing. */
  readonly patience: number;
  readonly expectedFailures?: Readonly<Record<string, string>>;
  /** What stands around the provider of a side, the first one innermost. Default: a trace. */
  readonly observe?: (side: SideName) => Observers;
}

/** Hooks, and how the kit reads them. */
export interface Observers {
  readonly hooks: readonly ProviderHook[];
  readonly history: () => readonly string[];
  readonly forgetHistory?: () => void;
  readonly violations: () => readonly string[];
}

const SEGMENT_BYTES = 32 * 1024 * 1024;

/** The longest sleep of a wait: a provider may move without anything that wakes the thread. */
const SLICE_NANOS = 1_000_000;

/** The hosts of a pair. */
export type SideName = 'a' | 'b' | 'target';

const ADDRESSES = { a: '127.78.0.1', b: '127.78.0.2', target: '127.78.0.3' } as const;

let fabricCount = 0;

/** Opens the provider once, to learn what it declares. Throws what it throws. */
export async function environmentFixture(options: FixtureOptions): Promise<ProviderFixture> {
  const probe = await openSide(options, `conformance-${process.pid}-${fabricCount++}`, 'a');
  const { name, capabilities } = probe.provider;
  await probe.host.close();
  const profile: Profile = PROFILES[options.profile];
  return {
    name,
    capabilities,
    profile,
    expectedFailures: options.expectedFailures ?? {},
    makePair: () => makePair(options),
  };
}

async function makePair(options: FixtureOptions): Promise<ConformancePair> {
  const fabric = `conformance-${process.pid}-${fabricCount++}`;
  const a = await openSide(options, fabric, 'a');
  const opened = [a];
  const stop = async (): Promise<void> => {
    for (const { host } of opened) await host.close();
  };
  const open = async (side: SideName): Promise<OpenSide> => {
    const one = await openSide(options, fabric, side).catch(async (thrown: unknown) => {
      await stop();
      throw thrown;
    });
    opened.push(one);
    return one;
  };
  const b = await open('b');
  const { duplicate } = a.provider.capabilities;
  const target = duplicate ? { target: conformanceHost(await open('target')) } : {};
  const { progress, environment } = a.host;
  return {
    a: conformanceHost(a),
    b: conformanceHost(b),
    ...target,
    drive: (done) => {
      // Counted, not timed: on a busy machine a slice is longer, and what is slow is not missing.
      for (let slice = 0; slice < options.patience; slice++) {
        if (progress.waitUntil(done, environment.clock.now() + SLICE_NANOS)) return true;
      }
      return done();
    },
    stop,
  };
}

interface OpenSide {
  readonly host: HostEnvironment;
  readonly provider: ServiceProvider;
  readonly observers: Observers;
  readonly address: string;
}

async function openSide(
  options: FixtureOptions,
  fabric: string,
  side: SideName,
): Promise<OpenSide> {
  const address = ADDRESSES[side];
  const { engine, profile, seed } = options;
  const observers = (options.observe ?? traced)(side);
  const host = await openEnvironment({
    fabric,
    address,
    engine,
    profile,
    seed,
    segmentBytes: SEGMENT_BYTES,
    hooks: observers.hooks,
    log: () => undefined,
  });
  try {
    return { host, address, observers, provider: await host.createProvider(options.source) };
  } catch (thrown) {
    await host.close();
    throw thrown;
  }
}

function conformanceHost({ host, provider, observers, address }: OpenSide): ConformanceHost {
  const { history, forgetHistory = (): void => undefined, violations } = observers;
  const usage = (): Record<string, number> => ({ ...host.usage() });
  const { processId } = host.environment;
  return {
    provider,
    address,
    processId,
    memory: host.memory,
    history,
    forgetHistory,
    violations,
    usage,
  };
}

function traced(): Observers {
  const tracer = trace();
  const { lines: history, clear: forgetHistory } = tracer;
  return { hooks: [tracer], history, forgetHistory, violations: () => [] };
}
