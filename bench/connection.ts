// The connections of one measurement between the two sides, at any layer. The side that answers listens,
// tells where, accepts, gets ready, and tells that; the side that starts follows. They tell each other
// what RDMA needs to know.

import type { SwitchStatistics } from '../index.js';
import { Breather } from './breath.js';
import type { Endpoint, SlotMemory, WaitMode } from './endpoint.js';
import type { HostPlan } from './host-plan.js';
import { waitModeFor } from './host-plan.js';
import { now, pinToSide, unpin } from './machine.js';
import { threadName } from './noise.js';
import type { TaskContext } from './peer.js';
import type { TaskCall } from './peer-protocol.js';
import type { Level, Site, SlotOptions } from './sites.js';
import { openSite } from './sites.js';

export type { Level };

export interface ConnectionPlan {
  readonly level: Level;
  readonly host: HostPlan;
  readonly peerHost: HostPlan;
  readonly slotBytes: number;
  readonly slotCount?: number;
  readonly memory?: SlotMemory;
  /** Connections between the two; default 1. */
  readonly connections?: number;
  /** How outcomes are learned; default: spinning if the cores allow it, asleep otherwise. */
  readonly mode?: WaitMode;
  /** Default true: each side gets a core of its own, worker engines apart. */
  readonly pins?: boolean;
  /** Sleeps whatever the cores allow: for measures of a thread at rest. */
  readonly sleeps?: boolean;
}

/** Owns the endpoints and their host. */
export interface Opened {
  readonly endpoint: Endpoint;
  readonly endpoints: readonly Endpoint[];
  readonly engine: 'inline' | 'worker';
  /** The threads of both sides, this one first; see noise.ts. */
  readonly threads: readonly string[];
  /** Whether they spin: who sleeps waits for its core after every wake-up, which is what that costs. */
  readonly spins: boolean;
  statistics(): SwitchStatistics | null;
  close(): Promise<void>;
}

/** What the sides tell each other before the first message. */
export interface Listening {
  readonly port: number;
}
export interface Ready {
  /** The memory of each connection, for the other side's RDMA. */
  readonly descriptors: readonly (readonly number[])[];
  readonly thread: string;
}

/** Opens the answering side; `prepare` posts its first receives before the peer may send. */
export async function answer<Prepared>(
  plan: ConnectionPlan,
  context: TaskContext,
  prepare: (endpoints: readonly Endpoint[]) => Prepared,
): Promise<Opened & { readonly prepared: Prepared }> {
  const site = await openHere(plan, plan.peerHost);
  const endpoints: Endpoint[] = [];
  try {
    const options = slotOptions(plan, site, 1);
    const count = plan.connections ?? 1;
    const port = site.listen(Math.min(count, BACKLOG_MAX));
    await context.tell({ port } satisfies Listening);
    for (let at = 0; at < count; at++) endpoints.push(await site.accept(options, context.signal));
    const prepared = prepare(endpoints);
    await context.tell(readyOf(endpoints));
    const other = (await context.hear()) as Ready;
    aim(endpoints, other);
    return { ...makeOpened(site, endpoints, { options, other }), prepared };
  } catch (thrown) {
    await closeAll(site, endpoints);
    throw thrown;
  }
}

/**
 * Opens the starting side; resolves when the other side is ready. `arrange` runs before the other side
 * may reach this one's memory. Throws the reason of `signal`.
 */
export async function start(
  plan: ConnectionPlan,
  call: TaskCall<Listening | Ready, unknown>,
  signal: AbortSignal | null = null,
  arrange: (endpoints: readonly Endpoint[]) => void = () => undefined,
): Promise<Opened> {
  const { port } = (await call.told()) as Listening;
  const site = await openHere(plan, plan.host);
  const endpoints: Endpoint[] = [];
  try {
    const options = slotOptions(plan, site, 0);
    const count = plan.connections ?? 1;
    const breather = new Breather(signal);
    for (let at = 0; at < count; at++) {
      endpoints.push(site.connect(plan.peerHost.address, port, options));
      if (breather.isDue(now())) await breather.breathe(now());
    }
    const other = (await call.told()) as Ready;
    aim(endpoints, other);
    arrange(endpoints);
    call.note(readyOf(endpoints));
    return makeOpened(site, endpoints, { options, other });
  } catch (thrown) {
    // The other side waits for it; it then finds the connection closed.
    call.note({ descriptors: [], thread: '' } satisfies Ready);
    await closeAll(site, endpoints);
    throw thrown;
  }
}

const BACKLOG_MAX = 128;

async function openHere(plan: ConnectionPlan, host: HostPlan): Promise<Site> {
  // Threads that the host starts must not inherit the pin of the measurement before.
  unpin();
  return openSite(plan.level, host);
}

function slotOptions(plan: ConnectionPlan, site: Site, side: 0 | 1): SlotOptions {
  const { slotBytes, slotCount, memory } = plan;
  const mode = plan.sleeps === true ? 'sleep' : (plan.mode ?? waitModeFor(site.engine));
  // The threads of a worker engine need cores of their own.
  if (site.engine === 'inline' && plan.sleeps !== true && plan.pins !== false) pinToSide(side);
  return {
    slotBytes,
    mode,
    ...(slotCount === undefined ? {} : { slotCount }),
    ...(memory === undefined ? {} : { memory }),
  };
}

function readyOf(endpoints: readonly Endpoint[]): Ready {
  return { descriptors: endpoints.map(({ descriptor }) => descriptor), thread: threadName() };
}

function aim(endpoints: readonly Endpoint[], { descriptors }: Ready): void {
  for (const [at, endpoint] of endpoints.entries()) {
    const descriptor = descriptors[at] ?? [];
    if (descriptor.length > 0) endpoint.aim(descriptor);
  }
}

function makeOpened(
  site: Site,
  endpoints: readonly Endpoint[],
  { options, other }: { readonly options: SlotOptions; readonly other: Ready },
): Opened {
  const [endpoint] = endpoints;
  if (endpoint === undefined) throw new TypeError('a measurement needs a connection');
  return {
    endpoint,
    endpoints,
    engine: site.engine,
    threads: [threadName(), other.thread],
    spins: options.mode === 'spin',
    statistics: () => site.statistics(),
    close: () => closeAll(site, endpoints),
  };
}

async function closeAll(site: Site, endpoints: readonly Endpoint[]): Promise<void> {
  try {
    for (const endpoint of endpoints) await endpoint.close();
  } finally {
    await site.close();
    unpin();
  }
}
