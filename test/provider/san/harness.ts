// What the tests of the SAN provider share: a started provider over the NIC in memory, a connected pair
// of them, and the profiles that every test is run under.

import { describe, expect } from 'vitest';
import { VirtualClock } from '../../../runtime/clock.js';
import { Prng } from '../../../runtime/prng.js';
import { ProgressLoop } from '../../../runtime/progress.js';
import type { Profile, ServiceProvider } from '../../../provider/spi/index.js';
import * as spi from '../../../provider/spi/index.js';
import type { SanProviderOptions } from '../../../provider/san/provider.js';
import { createSanProvider } from '../../../provider/san/provider.js';
import type { FakeNic } from './fake-nic.js';
import { FakeFabric } from './fake-nic.js';
import { UpcallRecorder } from './upcall-recorder.js';

const SILENT = { debug: ignore, info: ignore, warn: ignore, error: ignore };

function ignore(): void {
  // A test says what it looks at.
}

export interface HostOptions {
  readonly profile?: Profile;
  readonly provider?: SanProviderOptions;
  readonly handover?: spi.HandoverStore;
}

/** A started provider on its own NIC. */
export class TestHost {
  readonly upcalls = new UpcallRecorder();
  readonly provider: ServiceProvider;
  readonly procs: spi.SanProcTable;
  readonly extensions: spi.SanExtensions;
  readonly errno = spi.ref(0);
  readonly nic: FakeNic;
  readonly loop: ProgressLoop;
  readonly clock = new VirtualClock();
  readonly ip: string;

  constructor(fabric: FakeFabric, ip: string, options: HostOptions = {}) {
    this.ip = ip;
    this.nic = fabric.attach(spi.ipv4Number(ip) ?? 0);
    const { clock } = this;
    const parker = { fence: ignore, park: () => clock.advance(1_000_000) };
    // A clock that moves only in its sleep never ends a spin.
    this.loop = new ProgressLoop(clock, parker, { spinNanos: 0 });
    this.provider = createSanProvider(
      {
        clock,
        random: new Prng(1),
        progress: this.loop,
        memory: {
          VirtualAlloc: () => null,
          VirtualFree: () => false,
          addressOf: (buffer) => this.nic.addressOf(buffer),
        },
        logger: SILENT,
        profile: options.profile ?? spi.PROFILES.documented,
        nic: this.nic,
        sockets: undefined,
        processId: 1,
        ...(options.handover === undefined ? {} : { handover: options.handover }),
      },
      options.provider,
    );
    this.procs = this.start();
    this.extensions = Object.fromEntries(
      spi.SAN_EXTENSIONS.map(({ name, guid }) => [name, this.fetch(guid)]),
    ) as unknown as spi.SanExtensions;
  }

  start(): spi.SanProcTable {
    const table = spi.emptyProcTable();
    const info = spi.tcpProtocolInfo();
    const data = spi.emptyWspData();
    const { table: upcalls } = this.upcalls;
    expect(this.provider.WSPStartupEx(spi.WSP_VERSION_2_2, data, info, upcalls, table)).toBe(0);
    return table as spi.SanProcTable;
  }

  /** An extension function, or null with the error left in errno. */
  fetch(guid: string): spi.ExtensionFunctionPointer['value'] {
    const box: spi.ExtensionFunctionPointer = { value: null };
    const code = spi.SIO_GET_EXTENSION_FUNCTION_POINTER;
    const { procs, errno } = this;
    const id = spi.guidBytes(guid);
    const invalid = spi.INVALID_SOCKET;
    procs.lpWSPIoctl(invalid, code, id, 16, box, 8, spi.ref(0), null, null, null, errno);
    return box.value;
  }

  socket(): number {
    const { AF_INET, SOCK_STREAM, IPPROTO_TCP, WSA_FLAG_OVERLAPPED } = spi;
    const s = this.procs.lpWSPSocket(
      AF_INET,
      SOCK_STREAM,
      IPPROTO_TCP,
      null,
      0,
      WSA_FLAG_OVERLAPPED,
      this.errno,
    );
    expect(s).not.toBe(spi.INVALID_SOCKET);
    return s;
  }

  bound(port: number, ip = this.ip): number {
    const s = this.socket();
    expect(this.procs.lpWSPBind(s, spi.sockaddrIn(ip, port), 16, this.errno)).toBe(0);
    return s;
  }

  listening(port: number, backlog = 5): number {
    const s = this.bound(port);
    expect(this.procs.lpWSPListen(s, backlog, this.errno)).toBe(0);
    return s;
  }

  connect(s: number, to: string, port: number): number {
    const name = spi.sockaddrIn(to, port);
    return this.procs.lpWSPConnect(s, name, 16, null, null, null, null, this.errno);
  }

  accept(s: number, answer: number = spi.CF_ACCEPT): number {
    return this.procs.lpWSPAccept(s, null, null, () => answer, null, this.errno);
  }

  close(s: number): void {
    expect(this.procs.lpWSPCloseSocket(s, this.errno)).toBe(0);
  }

  register(s: number, buffer: Uint8Array, flags: number = spi.MEM_READWRITE): number {
    return this.extensions.WSPRegisterMemory(s, buffer, buffer.length, flags, this.errno);
  }

  expose(s: number, buffer: Uint8Array, flags: number = spi.MEM_READWRITE): Uint8Array {
    const probe = spi.ref(0);
    const { WSPRegisterRdmaMemory } = this.extensions;
    WSPRegisterRdmaMemory(s, buffer, buffer.length, flags, null, probe, this.errno);
    const block = new Uint8Array(probe.value);
    const length = spi.ref(block.length);
    const error = WSPRegisterRdmaMemory(s, buffer, buffer.length, flags, block, length, this.errno);
    expect(error).toBe(0);
    return block;
  }

  send(s: number, overlapped: spi.WSAOVERLAPPED, ...buffers: Uint8Array[]): number {
    const list = buffers.map((buf) => ({ len: buf.length, buf }));
    const { procs, errno } = this;
    return procs.lpWSPSend(s, list, list.length, null, 0, overlapped, null, null, errno);
  }

  receive(s: number, overlapped: spi.WSAOVERLAPPED, ...buffers: Uint8Array[]): number {
    const list = buffers.map((buf) => ({ len: buf.length, buf }));
    const { procs, errno } = this;
    return procs.lpWSPRecv(s, list, list.length, null, null, overlapped, null, null, errno);
  }

  /** WSPGetOverlappedResult without waiting: [bytes, 0], or [-1, error]. */
  result(s: number, overlapped: spi.WSAOVERLAPPED): [bytes: number, error: number] {
    const bytes = spi.ref(-1);
    const flags = spi.ref(0);
    const { procs, errno } = this;
    const isDone = procs.lpWSPGetOverlappedResult(s, overlapped, bytes, false, flags, errno);
    return isDone ? [bytes.value, 0] : [bytes.value, errno.value];
  }

  /** The outcome that FD_CONNECT carries, once it is there; null before. */
  connectOutcome(s: number): number | null {
    const events = spi.createNetworkEvents();
    expect(this.procs.lpWSPEnumNetworkEvents(s, 0, events, this.errno)).toBe(0);
    if ((events.lNetworkEvents & spi.FD_CONNECT) === 0) return null;
    return events.iErrorCode[spi.FD_CONNECT_BIT] ?? null;
  }
}

/** Gives every host turns until none has anything to do. */
export function settle(...hosts: TestHost[]): void {
  for (let quiet = 0; quiet < 2; ) {
    const work = hosts.reduce((sum, host) => sum + host.loop.poll(), 0);
    quiet = work === 0 ? quiet + 1 : 0;
  }
}

export interface Pair {
  readonly left: TestHost;
  readonly right: TestHost;
  /** The connector's and the acceptor's descriptor. */
  readonly a: number;
  readonly b: number;
  readonly listener: number;
}

export const LEFT_IP = '127.77.0.1';
export const RIGHT_IP = '127.77.0.2';
export const LISTEN_PORT = 5001;
export const LEFT_PORT = 40001;

/** Two hosts with one connection, and no upcalls recorded yet. */
export function connectedPair(options: HostOptions = {}): Pair {
  const fabric = new FakeFabric();
  const left = new TestHost(fabric, LEFT_IP, options);
  const right = new TestHost(fabric, RIGHT_IP, options);
  const listener = right.listening(LISTEN_PORT);
  const a = left.bound(LEFT_PORT);
  left.procs.lpWSPEventSelect(a, 4, spi.FD_CONNECT, left.errno);
  expect(left.connect(a, RIGHT_IP, LISTEN_PORT)).toBe(spi.SOCKET_ERROR);
  settle(left, right);
  const b = right.accept(listener);
  expect(b).not.toBe(spi.INVALID_SOCKET);
  settle(left, right);
  expect(left.connectOutcome(a)).toBe(0);
  left.upcalls.calls.length = 0;
  right.upcalls.calls.length = 0;
  return { left, right, a, b, listener };
}

/** Those that say something about a provider. */
const PROVIDER_PROFILES = ['documented', 'real-switch', 'hostile'] as const;

/**
 * The same tests for a provider in each profile: what a test expects of one it asks the profile, or it
 * holds in all.
 */
export function underEveryProfile(title: string, tests: (profile: Profile) => void): void {
  describe.each(PROVIDER_PROFILES)(`${title}, profile %s`, (name) => {
    tests(spi.PROFILES[name]);
  });
}

/** Ends both hosts and makes sure that nothing is left of them. */
export function shutDown(...hosts: TestHost[]): void {
  for (const host of hosts) {
    host.nic.isHalted = false;
    expect(host.procs.lpWSPCleanup(host.errno)).toBe(0);
  }
  for (const host of hosts) {
    expect(host.nic.regionCount).toBe(0);
    expect(host.nic.queuePairCount).toBe(0);
    expect(host.loop.agentCount).toBe(0);
    expect(host.upcalls.openHandles.size).toBe(0);
  }
}
