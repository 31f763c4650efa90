// One connection between the two processes at either level, from both sides. The side that answers
// listens, tells where, accepts, gets ready, and tells that; the side that starts follows.

import type { SwitchStatistics } from '../index.js';
import type { Endpoint, WaitMode } from './endpoint.js';
import { acceptOne, AppEndpoint, connectTo, listenOn, openApp } from './endpoint-app.js';
import {
  acceptRaw,
  connectRaw,
  listenRaw,
  ProviderEndpoint,
  RawProvider,
} from './endpoint-provider.js';
import type { HostPlan } from './host-plan.js';
import { waitModeFor } from './host-plan.js';
import { pinToSide, unpin } from './machine.js';
import type { TaskContext } from './peer.js';
import type { TaskCall } from './peer-process.js';

/** Below the switch, driving the provider; or above it, as an application. */
export type Level = 'provider' | 'app';

export interface ConnectionPlan {
  readonly level: Level;
  readonly host: HostPlan;
  readonly peerHost: HostPlan;
  readonly slotBytes: number;
  /** Sleeps whatever the cores allow: for measures of a thread at rest. */
  readonly sleeps?: boolean;
}

export interface Opened<E extends Endpoint = Endpoint> {
  readonly endpoint: E;
  readonly engine: 'inline' | 'worker';
  statistics(): SwitchStatistics | null;
}

/** What the answering side tells: first where it listens, then that it is ready. */
export interface Listening {
  readonly port: number;
}
export interface Ready {
  /** Provider level: the peer's exposed memory. */
  readonly descriptor: readonly number[] | null;
}

/** Ports below the switch are the provider's own. */
const RAW_PORT = 7000;

/** Opens the answering side; `prepare` posts its first receives before the peer may send. */
export async function answer<Prepared>(
  plan: ConnectionPlan,
  context: TaskContext,
  prepare: (endpoint: Endpoint) => Prepared,
): Promise<Opened & { readonly prepared: Prepared }> {
  const opened = await (plan.level === 'app' ? answerApp(plan, context) : answerRaw(plan, context));
  const { endpoint } = opened;
  try {
    const prepared = prepare(endpoint);
    const isRaw = endpoint instanceof ProviderEndpoint;
    const ready: Ready = { descriptor: isRaw ? Array.from(endpoint.descriptor) : null };
    await context.tell(ready);
    return { ...opened, prepared };
  } catch (thrown) {
    await endpoint.close();
    throw thrown;
  }
}

/** Opens the starting side; resolves when the other side is ready. */
export async function start(
  plan: ConnectionPlan,
  call: TaskCall<Listening | Ready, unknown>,
): Promise<Opened & { readonly ready: Ready }> {
  const { port } = (await call.told()) as Listening;
  const opened = await (plan.level === 'app' ? startApp(plan, port) : startRaw(plan, port));
  try {
    return { ...opened, ready: (await call.told()) as Ready };
  } catch (thrown) {
    await opened.endpoint.close();
    throw thrown;
  }
}

async function answerApp(plan: ConnectionPlan, context: TaskContext): Promise<Opened<AppEndpoint>> {
  unpin();
  const host = await openApp(plan.peerHost);
  try {
    const mode = settle(plan, host.engine, 1);
    const { listener, port } = listenOn(host);
    await context.tell({ port } satisfies Listening);
    const socket = await acceptOne(host, listener, context.signal);
    return appConnection(new AppEndpoint(host, socket, { slotBytes: plan.slotBytes, mode }));
  } catch (thrown) {
    await host.close();
    throw thrown;
  }
}

async function startApp(plan: ConnectionPlan, port: number): Promise<Opened<AppEndpoint>> {
  unpin();
  const host = await openApp(plan.host);
  try {
    const mode = settle(plan, host.engine, 0);
    const socket = connectTo(host, plan.peerHost.address, port);
    return appConnection(new AppEndpoint(host, socket, { slotBytes: plan.slotBytes, mode }));
  } catch (thrown) {
    await host.close();
    throw thrown;
  }
}

function appConnection(endpoint: AppEndpoint): Opened<AppEndpoint> {
  const { host } = endpoint;
  return { endpoint, engine: host.engine, statistics: () => host.statistics() };
}

async function answerRaw(
  plan: ConnectionPlan,
  context: TaskContext,
): Promise<Opened<ProviderEndpoint>> {
  unpin();
  const raw = await RawProvider.open(plan.peerHost);
  try {
    const mode = settle(plan, raw.environment.engine, 1);
    const listener = listenRaw(raw, RAW_PORT);
    await context.tell({ port: RAW_PORT } satisfies Listening);
    const socket = await acceptRaw(raw, listener, context.signal);
    return rawConnection(raw, socket, plan, mode);
  } catch (thrown) {
    await raw.close();
    throw thrown;
  }
}

async function startRaw(plan: ConnectionPlan, port: number): Promise<Opened<ProviderEndpoint>> {
  unpin();
  const raw = await RawProvider.open(plan.host);
  try {
    const mode = settle(plan, raw.environment.engine, 0);
    const socket = connectRaw(raw, plan.peerHost.address, port, port + 1);
    return rawConnection(raw, socket, plan, mode);
  } catch (thrown) {
    await raw.close();
    throw thrown;
  }
}

function rawConnection(
  raw: RawProvider,
  socket: number,
  plan: ConnectionPlan,
  mode: WaitMode,
): Opened<ProviderEndpoint> {
  const endpoint = new ProviderEndpoint(raw, socket, { slotBytes: plan.slotBytes, mode });
  return { endpoint, engine: raw.environment.engine, statistics: () => null };
}

/** A thread that spins gets a core; threads that share cores go where the scheduler puts them. */
function settle(plan: ConnectionPlan, engine: 'inline' | 'worker', side: 0 | 1): WaitMode {
  const mode = plan.sleeps === true ? 'sleep' : waitModeFor(engine);
  if (mode === 'spin' && engine === 'inline') pinToSide(side);
  return mode;
}
