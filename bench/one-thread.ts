// Both ends of a connection on one thread, at any layer: nothing waits for anybody, so that a number of
// messages takes the same instructions every time. For counting them, not for timing: what two cores do to
// each other is not in it. Run with a layer, a way, and numbers of messages and of connections, it does those and ends;
// scripts/count-instructions.ts does the counting.

import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';
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
import { LEVELS } from './plan.js';
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

/**
 * Sends so many messages over the connections in turn and looks at each of them. Throws PayloadError.
 */
export function exchange({ near, far }: Pairs, way: Way, messages: number, bytes: number): void {
  const payload = new Payload(bytes, 'counter');
  if (way === 'lat') backAndForth(near, far, payload, messages);
  else inGroups(near, far, payload, messages);
}

function backAndForth(
  near: readonly Endpoint[],
  far: readonly Endpoint[],
  payload: Payload,
  messages: number,
): void {
  for (const endpoint of [...near, ...far]) endpoint.postReceive(0, payload.bytes);
  const count = near.length;
  for (let trip = 0; trip < messages / 2; trip++) {
    const at = trip % count;
    const [one, other] = [near[at] as Endpoint, far[at] as Endpoint];
    const slot = Math.floor(trip / count) & 1;
    pass(one, other, payload, slot);
    pass(other, one, payload, slot);
  }
}

/** A message, which carries the number of its slot, and the next receive in its place. */
function pass(from: Endpoint, to: Endpoint, payload: Payload, slot: number): void {
  payload.fill(from.sendWords, (slot * from.slotBytes) >>> 2, slot);
  from.startSend(slot, payload.bytes);
  payload.checkReceived(to, slot, to.awaitReceive(slot), slot);
  to.postReceive(slot ^ 1, payload.bytes);
  from.awaitSend(slot);
}

function inGroups(
  near: readonly Endpoint[],
  far: readonly Endpoint[],
  payload: Payload,
  messages: number,
): void {
  for (const endpoint of far) {
    for (let slot = 0; slot < GROUP; slot++) endpoint.postReceive(slot, payload.bytes);
  }
  for (let group = 0; group < messages / GROUP; group++) {
    const at = group % near.length;
    const [one, other] = [near[at] as Endpoint, far[at] as Endpoint];
    for (let slot = 0; slot < GROUP; slot++) {
      const word = (slot * one.slotBytes) >>> 2;
      payload.fill(one.sendWords, word, slot);
      one.startSend(slot, payload.bytes);
    }
    for (let slot = 0; slot < GROUP; slot++) {
      payload.checkReceived(other, slot, other.awaitReceive(slot), slot);
      other.postReceive(slot, payload.bytes);
      one.awaitSend(slot);
    }
  }
}

const BYTES = 64;

if (argv[1] === fileURLToPath(import.meta.url)) {
  const level = LEVELS.find((one) => one === argv[2]) ?? 'provider';
  const way = WAYS.find((one) => one === argv[3]) ?? 'lat';
  const [messages, connections] = [Number(argv[4] ?? '1000'), Number(argv[5] ?? '1')];
  const slotCount = (way === 'lat' ? 2 : GROUP) + 1;
  const options = { slotBytes: BYTES, slotCount, mode: 'spin', connections } as const;
  const pairs = await openPairs(level, `one-thread-${process.pid}`, options);
  exchange(pairs, way, messages, BYTES);
  await pairs.close();
}
