// Both ends of connections on one thread, at any layer: nothing waits for anybody, so that a number of
// messages takes the same instructions every time. For counting them, not for timing: what two cores do to
// each other is not in it. scripts/count-instructions.ts does the counting.

import type { HostEnvironment } from '../index.js';
import { openEnvironment } from '../index.js';

import * as spi from '../provider/spi/index.js';
import type { Endpoint, EndpointOptions } from './endpoint.js';
import { PATIENCE_NANOS } from './endpoint.js';
import { AppEndpoint, connectTo, listenOn, must, openApp } from './endpoint-app.js';
import { NicEndpoint } from './endpoint-nic.js';
import { ProviderEndpoint } from './endpoint-provider.js';
import type { HostPlan } from './host-plan.js';
import { hostOptions } from './host-plan.js';
import { now } from './machine.js';
import { DeadlineError } from './measure.js';
import { Payload } from './payload.js';
import { connectRaw, listenRaw, RawProvider } from './raw-provider.js';
import type { Level } from './sites.js';
import { makeNicConnection } from './sites.js';

const PORT = 7000;
const LOCAL_PORT = 10_000;
const BACKLOG = 16;

/** The ends of some connections, each beside its other one. */
export interface Pairs {
  readonly near: readonly Endpoint[];
  readonly far: readonly Endpoint[];
  close(): Promise<void>;
}

/** Two hosts with inline engines, and how connections between them come about. */
interface Hosts {
  connect(options: EndpointOptions): readonly [Endpoint, Endpoint];
  close(): Promise<void>;
}

/** Throws as openHost does, and what connecting throws. */
export async function openPairs(
  level: Level,
  fabric: string,
  { connections, ...options }: EndpointOptions & { readonly connections: number },
): Promise<Pairs> {
  const here: HostPlan = { fabric, address: '127.77.0.1', engine: 'inline', segmentBytes: SEGMENT };
  const hosts = await OPENERS[level](here, { ...here, address: '127.77.0.2' });
  const made = Array.from({ length: connections }, () =>
    hosts.connect({ ...options, ownsHost: false }),
  );
  const [near, far] = [made.map(([one]) => one), made.map(([, other]) => other)];
  return {
    near,
    far,
    close: async () => {
      for (const endpoint of [...near, ...far]) await endpoint.close();
      await hosts.close();
    },
  };
}

/** Room for a thousand connections. */
const SEGMENT = 512 << 20;

type Opener = (here: HostPlan, there: HostPlan) => Promise<Hosts>;

const OPENERS: Readonly<Record<Level, Opener>> = {
  nic: async (here, there) => {
    const near = await openEnvironment(hostOptions(here));
    const far = await openEnvironment(hostOptions(there));
    far.environment.nic.listen(PORT);
    let localPort = LOCAL_PORT;
    return {
      connect: (options) => connectNics([near, far], localPort++, options),
      close: async () => {
        await near.close();
        await far.close();
      },
    };
  },

  provider: async (here, there) => {
    const [near, far] = [await RawProvider.open(here), await RawProvider.open(there)];
    const listener = listenRaw(far, PORT, BACKLOG);
    let localPort = LOCAL_PORT;
    return {
      connect: (options) => {
        let accepted: number = spi.INVALID_SOCKET;
        const { table } = far;
        const acceptor = {
          role: 'acceptor',
          doWork: (): number => {
            if (accepted !== spi.INVALID_SOCKET) return 0;
            const accept = (): number => spi.CF_ACCEPT;
            accepted = table.lpWSPAccept(listener, null, null, accept, null, spi.ref(0));
            return accepted === spi.INVALID_SOCKET ? 0 : 1;
          },
        };
        far.environment.progress.add(acceptor);
        const connected = connectRaw(near, there.address, PORT, localPort++);
        far.environment.progress.remove(acceptor);
        return [
          new ProviderEndpoint(near, connected, options),
          new ProviderEndpoint(far, accepted, options),
        ];
      },
      close: async () => {
        await near.close();
        await far.close();
      },
    };
  },

  app: async (here, there) => {
    const [near, far] = [await openApp(here), await openApp(there)];
    const { listener, port } = listenOn(far, BACKLOG);
    return {
      connect: (options) => {
        const connected = connectTo(near, there.address, port);
        const accepted = must(far.winsock, 'accept', far.winsock.accept(listener, null, null));
        return [new AppEndpoint(near, connected, options), new AppEndpoint(far, accepted, options)];
      },
      close: async () => {
        await near.close();
        await far.close();
      },
    };
  },
};

function connectNics(
  [near, far]: readonly [HostEnvironment, HostEnvironment],
  localPort: number,
  options: EndpointOptions,
): readonly [Endpoint, Endpoint] {
  const [active, passive] = [makeNicConnection(near, options), makeNicConnection(far, options)];
  const nothing = new Uint8Array();
  active.queuePair.connect(far.address, PORT, localPort, nothing);
  let established = 0;
  const look = (): boolean => {
    for (const { environment } of [near, far]) {
      const event = environment.nic.pollEvent();
      if (event?.type === 'connect-request') passive.queuePair.accept(event.requestId, nothing);
      if (event?.type === 'established') established++;
    }
    return established === 2;
  };
  if (!near.progress.waitUntil(look, now() + PATIENCE_NANOS)) {
    throw new DeadlineError('the connection');
  }
  return [new NicEndpoint(active, options), new NicEndpoint(passive, options)];
}

/** One after the other there and back, or in groups in one direction. */
export const WAYS = ['lat', 'rate'] as const;
export type Way = (typeof WAYS)[number];

/** Messages of a group. */
export const GROUP = 16;

/** Messages over some connections in turn, each looked at. Its receives are posted when it is made. */
export class Exchange {
  readonly #pairs: Pairs;
  readonly #way: Way;
  readonly #payload: Payload;
  #turn = 0;

  constructor(pairs: Pairs, way: Way, bytes: number) {
    this.#pairs = pairs;
    this.#way = way;
    this.#payload = new Payload(bytes, 'counter');
    const { near, far } = pairs;
    if (way === 'lat') for (const endpoint of [...near, ...far]) endpoint.postReceive(0, bytes);
    else for (const endpoint of far) postGroup(endpoint, bytes);
  }

  /** Goes on with so many more; a multiple of GROUP. Throws PayloadError. */
  run(messages: number): void {
    const { near, far } = this.#pairs;
    const rounds = messages / (this.#way === 'lat' ? 2 : GROUP);
    for (let left = rounds; left > 0; left--) {
      const at = this.#turn % near.length;
      const [one, other] = [near[at] as Endpoint, far[at] as Endpoint];
      if (this.#way === 'lat') this.#roundTrip(one, other);
      else this.#group(one, other);
      this.#turn++;
    }
  }

  #roundTrip(one: Endpoint, other: Endpoint): void {
    const slot = Math.floor(this.#turn / this.#pairs.near.length) & 1;
    this.#pass(one, other, slot);
    this.#pass(other, one, slot);
  }

  /** A message, which carries the number of its slot, and the next receive in its place. */
  #pass(from: Endpoint, to: Endpoint, slot: number): void {
    const payload = this.#payload;
    payload.fill(from.sendWords, (slot * from.slotBytes) >>> 2, slot);
    from.startSend(slot, payload.bytes);
    payload.checkReceived(to, slot, to.awaitReceive(slot), slot);
    to.postReceive(slot ^ 1, payload.bytes);
    from.awaitSend(slot);
  }

  #group(one: Endpoint, other: Endpoint): void {
    const payload = this.#payload;
    for (let slot = 0; slot < GROUP; slot++) {
      payload.fill(one.sendWords, (slot * one.slotBytes) >>> 2, slot);
      one.startSend(slot, payload.bytes);
    }
    for (let slot = 0; slot < GROUP; slot++) {
      payload.checkReceived(other, slot, other.awaitReceive(slot), slot);
      other.postReceive(slot, payload.bytes);
      one.awaitSend(slot);
    }
  }
}

function postGroup(endpoint: Endpoint, bytes: number): void {
  for (let slot = 0; slot < GROUP; slot++) endpoint.postReceive(slot, bytes);
}
