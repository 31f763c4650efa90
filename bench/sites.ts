// One side of the measurements at one layer: an open host that listens, accepts, connects, and makes
// endpoints. The same three things at the NIC, below the switch, and above it.

import type { Host, HostEnvironment, SwitchStatistics } from '../index.js';
import { openEnvironment } from '../index.js';
import { ipv4Number } from '../provider/spi/index.js';
import type { Endpoint, EndpointOptions } from './endpoint.js';
import { PATIENCE_NANOS } from './endpoint.js';
import { Acceptor, AppEndpoint, connectTo, listenOn, openApp } from './endpoint-app.js';
import { NicEndpoint, NicFailure } from './endpoint-nic.js';
import type { NicConnection } from './endpoint-nic.js';
import { ProviderEndpoint } from './endpoint-provider.js';
import type { HostPlan } from './host-plan.js';
import { hostOptions } from './host-plan.js';
import { now } from './machine.js';
import { breathe } from './breath.js';
import { Deadline, DeadlineError } from './measure.js';
import { acceptRaw, connectRaw, listenRaw, RawProvider } from './raw-provider.js';

/** The NIC itself; below the switch, driving the provider; or above it, as an application. */
export type Level = 'nic' | 'provider' | 'app';

export type SlotOptions = Omit<EndpointOptions, 'ownsHost'>;

/** Belongs to the thread that opened it. */
export interface Site {
  readonly engine: 'inline' | 'worker';
  /** Starts listening; the port to connect to. */
  listen(backlog: number): number;
  /** Takes the next connection, with an eye on `signal`. */
  accept(options: SlotOptions, signal: AbortSignal): Promise<Endpoint>;
  connect(address: string, port: number, options: SlotOptions): Endpoint;
  statistics(): SwitchStatistics | null;
  /** Closes the host; its endpoints are closed before. */
  close(): Promise<void>;
}

/** Throws as openHost does, and WsaError. */
export async function openSite(level: Level, plan: HostPlan): Promise<Site> {
  switch (level) {
    case 'app':
      return new AppSite(await openApp(plan));
    case 'provider':
      return new ProviderSite(await RawProvider.open(plan));
    case 'nic':
      return new NicSite(await openEnvironment(hostOptions(plan)));
  }
}

class AppSite implements Site {
  readonly #host: Host;
  #acceptor: Acceptor | null = null;

  constructor(host: Host) {
    this.#host = host;
  }

  get engine(): 'inline' | 'worker' {
    return this.#host.engine;
  }

  listen(backlog: number): number {
    const { listener, port } = listenOn(this.#host, backlog);
    this.#acceptor = new Acceptor(this.#host, listener);
    return port;
  }

  async accept(options: SlotOptions, signal: AbortSignal): Promise<Endpoint> {
    if (this.#acceptor === null) throw new TypeError('nobody listens');
    return this.#endpoint(await this.#acceptor.next(signal), options);
  }

  connect(address: string, port: number, options: SlotOptions): Endpoint {
    return this.#endpoint(connectTo(this.#host, address, port), options);
  }

  statistics(): SwitchStatistics {
    return this.#host.statistics();
  }

  async close(): Promise<void> {
    this.#acceptor?.close();
    await this.#host.close();
  }

  #endpoint(socket: number, options: SlotOptions): Endpoint {
    return new AppEndpoint(this.#host, socket, { ...options, ownsHost: false });
  }
}

/** Ports below the switch are the provider's own: the listener's, and above it one per connection. */
const RAW_PORT = 7000;
const RAW_LOCAL_PORT_FIRST = 10_000;

class ProviderSite implements Site {
  readonly #raw: RawProvider;
  #listener = 0;
  #localPort = RAW_LOCAL_PORT_FIRST;

  constructor(raw: RawProvider) {
    this.#raw = raw;
  }

  get engine(): 'inline' | 'worker' {
    return this.#raw.environment.engine;
  }

  listen(backlog: number): number {
    this.#listener = listenRaw(this.#raw, RAW_PORT, backlog);
    return RAW_PORT;
  }

  async accept(options: SlotOptions, signal: AbortSignal): Promise<Endpoint> {
    return this.#endpoint(await acceptRaw(this.#raw, this.#listener, signal), options);
  }

  connect(address: string, port: number, options: SlotOptions): Endpoint {
    const socket = connectRaw(this.#raw, address, port, this.#localPort++);
    return this.#endpoint(socket, options);
  }

  statistics(): null {
    return null;
  }

  async close(): Promise<void> {
    await this.#raw.close();
  }

  #endpoint(socket: number, options: SlotOptions): Endpoint {
    return new ProviderEndpoint(this.#raw, socket, { ...options, ownsHost: false });
  }
}

/** Completions that a connection may have waiting: two for each slot. */
const COMPLETIONS_PER_SLOT = 2;
const COMPLETIONS_MIN = 64;
const NO_PRIVATE_DATA = new Uint8Array();
const SLICE_NANOS = 20e6;

class NicSite implements Site {
  readonly #host: HostEnvironment;
  #localPort = RAW_LOCAL_PORT_FIRST;
  readonly #requests: number[] = [];
  readonly #established = new Set<number>();
  #failure: string | null = null;

  constructor(host: HostEnvironment) {
    this.#host = host;
  }

  get engine(): 'inline' | 'worker' {
    return this.#host.engine;
  }

  listen(): number {
    if (!this.#host.environment.nic.listen(RAW_PORT)) throw new Error('the port is taken');
    return RAW_PORT;
  }

  async accept(options: SlotOptions, signal: AbortSignal): Promise<Endpoint> {
    const { progress } = this.#host;
    const deadline = new Deadline(PATIENCE_NANOS, 'the connection request');
    const hasRequest = (): boolean => this.#look() && this.#requests.length > 0;
    while (!progress.waitUntil(hasRequest, now() + SLICE_NANOS)) {
      await breathe(signal);
      deadline.check();
    }
    const connection = makeNicConnection(this.#host, options);
    connection.queuePair.accept(this.#requests.shift() ?? 0, NO_PRIVATE_DATA);
    return this.#endpoint(connection, options);
  }

  connect(address: string, port: number, options: SlotOptions): Endpoint {
    const connection = makeNicConnection(this.#host, options);
    const to = ipv4Number(address) ?? 0;
    connection.queuePair.connect(to, port, this.#localPort++, NO_PRIVATE_DATA);
    return this.#endpoint(connection, options);
  }

  statistics(): null {
    return null;
  }

  async close(): Promise<void> {
    await this.#host.close();
  }

  /** Waits until the connection stands. */
  #endpoint(connection: NicConnection, options: SlotOptions): Endpoint {
    const { slot } = connection.queuePair;
    const isReady = (): boolean => this.#look() && this.#established.delete(slot);
    if (!this.#host.progress.waitUntil(isReady, now() + PATIENCE_NANOS)) {
      throw new DeadlineError('the connection');
    }
    return new NicEndpoint(connection, { ...options, ownsHost: false });
  }

  /** Takes the NIC's events; always true. Throws when a connection was refused. */
  #look(): true {
    const { nic } = this.#host.environment;
    for (let event = nic.pollEvent(); event !== null; event = nic.pollEvent()) {
      if (event.type === 'connect-request') this.#requests.push(event.requestId);
      else if (event.type === 'established') this.#established.add(event.queuePair);
      else if (event.type === 'connect-failed') this.#failure = event.reason;
    }
    if (this.#failure !== null) throw new NicFailure(`no connection: ${this.#failure}`);
    return true;
  }
}

/** A queue pair that is not connected yet, with queues as long as the slots ask for. */
export function makeNicConnection(host: HostEnvironment, options: SlotOptions): NicConnection {
  const { nic } = host.environment;
  const slots = options.slotCount ?? 0;
  const depth = Math.max(COMPLETIONS_MIN, powerOfTwo(slots * COMPLETIONS_PER_SLOT));
  const completionQueue = nic.createCompletionQueue(depth);
  const queueDepth = Math.max(COMPLETIONS_MIN, powerOfTwo(slots));
  const queuePair = nic.createQueuePair({
    completionQueue,
    sendDepth: queueDepth,
    receiveDepth: queueDepth,
  });
  if (queuePair === null) throw new Error('the NIC has no queue pair or no memory left');
  return { host, queuePair, completionQueue };
}

function powerOfTwo(atLeast: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, atLeast)));
}
