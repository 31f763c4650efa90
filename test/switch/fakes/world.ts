// Two hosts on one thread with fake providers and a virtual clock: everything a test of the switch
// needs, and the check that nothing is left over at its end.

import { expect } from 'vitest';
import * as spi from '../../../provider/spi/index.js';
import { VirtualClock } from '../../../runtime/clock.js';
import type { Agent } from '../../../runtime/progress.js';
import { ProgressLoop } from '../../../runtime/progress.js';
import { Prng } from '../../../runtime/prng.js';
import type { Winsock } from '../../../switch/api/wsa.js';
import { createWinsock } from '../../../switch/api/wsa.js';
import { emptyWsaData } from '../../../switch/api/startup.js';
import { Switch } from '../../../switch/switch.js';
import type { FakeSanOptions } from './fake-san.js';
import { FakeSan, FakeSanNetwork } from './fake-san.js';
import { FakeTcp, FakeTcpNetwork } from './fake-tcp.js';

export const A = '127.77.0.1';
export const B = '127.77.0.2';
/** A host of another subnet, which no SAN reaches. */
export const ELSEWHERE = '127.78.0.1';
export const PORT = 4000;

export interface HostUnderTest {
  readonly address: string;
  readonly tcp: FakeTcp;
  readonly san: FakeSan;
  readonly theSwitch: Switch;
  readonly winsock: Winsock;
  readonly memoryBlocks: Set<Uint8Array>;
  readonly messages: string[];
}

export interface WorldOptions {
  readonly profile?: spi.ProfileName;
  readonly a?: Partial<FakeSanOptions>;
  readonly b?: Partial<FakeSanOptions>;
  /** Neither host is started. */
  readonly stopped?: boolean;
}

export class World {
  readonly clock = new VirtualClock(1_000_000);
  readonly progress: ProgressLoop;
  readonly a: HostUnderTest;
  readonly b: HostUnderTest;
  /** What TransmitFile reads, by handle. */
  readonly files = new Map<number, Uint8Array>();
  /** Ids of removed providers that were ended. */
  readonly ended: string[] = [];
  readonly #agents: Agent[] = [];
  #parks = 0;

  constructor(options: WorldOptions = {}) {
    const parker = {
      fence: () => undefined,
      park: (deadline: number) => {
        // Nothing in memory moves by itself: a wait without a deadline would be for ever.
        if (deadline === Infinity || ++this.#parks > 10_000) throw new Error('nothing can move');
        this.clock.advanceTo(deadline);
      },
    };
    this.progress = new ProgressLoop(this.clock, parker, { spinNanos: 0 });
    const sanNetwork = new FakeSanNetwork();
    const tcpNetwork = new FakeTcpNetwork();
    const host = (address: string, san: Partial<FakeSanOptions>): HostUnderTest =>
      this.#host(address, options.profile ?? 'documented', { san, sanNetwork, tcpNetwork });
    this.a = host(A, options.a ?? {});
    this.b = host(B, options.b ?? {});
    if (options.stopped === true) return;
    for (const { winsock } of [this.a, this.b]) {
      expect(winsock.WSAStartup(0x0202, emptyWsaData())).toBe(0);
    }
  }

  /** Turns until nothing moves. */
  settle(): void {
    while (this.progress.poll() > 0);
  }

  /** Ends both hosts and checks that nothing is left. */
  close(): void {
    for (const host of [this.a, this.b]) {
      while (host.winsock.WSACleanup() === 0);
      // A provider may close the switch's handles in a later turn.
      this.settle();
      const { core } = host.theSwitch;
      expect(core.connections.size).toBe(0);
      expect(core.handles.count).toBe(0);
      expect(core.requests.outstanding).toBe(0);
      expect(core.memory.lentCount).toBe(0);
      expect(core.sockets.count).toBe(0);
      expect(host.memoryBlocks.size).toBe(0);
      expect(host.san.sockets.size).toBe(0);
      expect(host.tcp.sockets.size).toBe(0);
      expect(host.san.startCount).toBe(0);
    }
    for (const agent of this.#agents) this.progress.remove(agent);
    expect(this.progress.agentCount).toBe(0);
  }

  #host(
    address: string,
    profile: spi.ProfileName,
    parts: {
      san: Partial<FakeSanOptions>;
      sanNetwork: FakeSanNetwork;
      tcpNetwork: FakeTcpNetwork;
    },
  ): HostUnderTest {
    const memoryBlocks = new Set<Uint8Array>();
    const messages: string[] = [];
    const note = (message: string, details?: Readonly<Record<string, unknown>>): void => {
      messages.push(`${message} ${JSON.stringify(details ?? {})}`);
    };
    const tcp = new FakeTcp(parts.tcpNetwork, address);
    const san = new FakeSan(parts.sanNetwork, { name: `san of ${address}`, address, ...parts.san });
    const theSwitch = new Switch({
      clock: this.clock,
      random: new Prng(1),
      progress: this.progress,
      memory: {
        VirtualAlloc: (bytes) => {
          const block = new Uint8Array(bytes);
          memoryBlocks.add(block);
          return block;
        },
        VirtualFree: (memory) => memoryBlocks.delete(memory),
        addressOf: () => 4096,
      },
      logger: { debug: note, info: note, warn: note, error: note },
      profile: spi.PROFILES[profile],
      hostAddress: spi.ipv4Number(address) ?? 0,
      processId: 1,
      providerEnded: (id) => this.ended.push(id),
      readFile: (handle, into, position) => {
        const file = this.files.get(handle);
        if (file === undefined) return -1;
        const part = file.subarray(position ?? 0, (position ?? 0) + into.length);
        into.set(part);
        return part.length;
      },
      wakeup: async () => {
        this.settle();
        const deadline = this.progress.nextDeadline();
        if (deadline !== Infinity) this.clock.advanceTo(deadline);
        await Promise.resolve();
      },
    });
    for (const agent of [tcp, san]) {
      this.progress.add(agent);
      this.#agents.push(agent);
    }
    const providers = [san.service, tcp.service];
    const winsock = createWinsock({ theSwitch, providers });
    return { address, tcp, san, theSwitch, winsock, memoryBlocks, messages };
  }
}

export function name(address: string, port: number = PORT): Uint8Array {
  return spi.sockaddrIn(address, port);
}

/** A listening socket of `host` on `address`. */
export function listenOn(host: HostUnderTest, address: string, port: number = PORT): number {
  const { winsock } = host;
  const s = winsock.socket(spi.AF_INET, spi.SOCK_STREAM, 0);
  expect(winsock.bind(s, name(address, port), 16)).toBe(0);
  expect(winsock.listen(s, 5)).toBe(0);
  return s;
}

export interface Pair {
  readonly client: number;
  readonly server: number;
  readonly listener: number;
}

/** A connection from A to a listener of B. */
export function connectPair(world: World): Pair {
  const { a, b } = world;
  const listener = listenOn(b, '0.0.0.0');
  const client = a.winsock.socket(spi.AF_INET, spi.SOCK_STREAM, spi.IPPROTO_TCP);
  expect(a.winsock.connect(client, name(B), 16)).toBe(0);
  const server = b.winsock.accept(listener, null, null);
  expect(server).not.toBe(spi.INVALID_SOCKET);
  return { client, server, listener };
}

export function pattern(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  new Prng(seed).fill(bytes);
  return bytes;
}
