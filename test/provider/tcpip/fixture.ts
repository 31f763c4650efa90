// Hosts with the base provider on real kernel sockets, all driven by one progress loop, and an upcall
// table that remembers events and queued routines. Knows nothing of what the tests expect.

import { readdirSync } from 'node:fs';
import { expect } from 'vitest';
import { native } from '../../../native/load.js';
import { Reactor } from '../../../native/reactor.js';
import { createProvider } from '../../../provider/tcpip/provider.js';
import type { BlockingWait, KernelSockets } from '../../../provider/tcpip/provider.js';
import type {
  FullProcTable,
  ProviderEnvironment,
  WSPUpcallTableEx,
} from '../../../provider/spi/index.js';
import * as spi from '../../../provider/spi/index.js';
import { MonotonicClock, seconds } from '../../../runtime/clock.js';
import { Prng } from '../../../runtime/prng.js';
import { ProgressLoop } from '../../../runtime/progress.js';

/** How long a test waits for something before it fails; nothing healthy comes near it. */
const WATCHDOG = seconds(10);

/** Events by handle, and the routines queued to threads, run by runRoutines alone. */
class Upcalls {
  /** What lpWPUQueryBlockingCallback answers. */
  blockingCallback: spi.LPBLOCKINGCALLBACK | null = null;
  readonly signalled = new Map<number, boolean>();
  readonly queued: { thread: spi.WSATHREADID; run: () => void }[] = [];
  #nextEvent = 4;

  event(): number {
    const handle = this.#nextEvent;
    this.#nextEvent += 4;
    this.signalled.set(handle, false);
    return handle;
  }

  runRoutines(): number {
    const routines = this.queued.splice(0);
    for (const { run } of routines) run();
    return routines.length;
  }

  table(): WSPUpcallTableEx {
    const change = (hEvent: number, value: boolean, lpErrno: spi.Ref<number>): boolean => {
      if (this.signalled.has(hEvent)) this.signalled.set(hEvent, value);
      else lpErrno.value = spi.WSA_INVALID_HANDLE;
      return this.signalled.has(hEvent);
    };
    const used: Partial<WSPUpcallTableEx> = {
      lpWPUSetEvent: (hEvent, lpErrno) => change(hEvent, true, lpErrno),
      lpWPUResetEvent: (hEvent, lpErrno) => change(hEvent, false, lpErrno),
      lpWPUQueryBlockingCallback: (_id, callback, context) => {
        callback.value = this.blockingCallback;
        context.value = 'context';
        return 0;
      },
      lpWPUQueueApc: (thread, routine, context) => {
        this.queued.push({
          thread: { ...thread },
          run: () => {
            routine(context);
          },
        });
        return 0;
      },
    };
    return used as WSPUpcallTableEx;
  }
}

export interface Host {
  readonly address: string;
  readonly wsp: FullProcTable;
  /** A stream socket, overlapped unless flags say otherwise. */
  socket(flags?: number): number;
  bind(s: number, ip: string, port?: number): number;
  /** A socket that listens on the host's address, and its sockaddr. */
  listener(): { s: number; name: Uint8Array };
  connect(s: number, name: Uint8Array): number;
  nonblocking(s: number): void;
  send(s: number, bytes: Uint8Array, flags?: number): number;
  recv(s: number, room: Uint8Array, flags?: number): number;
  /** What WSPEnumNetworkEvents reports. */
  events(s: number): spi.WSANETWORKEVENTS;
  setOption(s: number, option: number, value: number, level?: number): number;
  option(s: number, option: number, level?: number): number;
  sockName(s: number): spi.Endpoint | null;
}

export const lpErrno = spi.ref(0);

export class Machine {
  readonly clock = new MonotonicClock(() => native.now());
  readonly reactor = new Reactor();
  readonly loop: ProgressLoop;
  readonly upcalls = new Upcalls();
  readonly random = new Prng(0x5eed);
  readonly #cleanups: (() => void)[] = [];

  /** A blocking call that outlasts the watchdog fails its test. */
  readonly blocking: BlockingWait = {
    waitUntil: (done, deadline = Infinity, spinNanos = 0) => {
      const giveUp = this.clock.now() + WATCHDOG;
      const isDone = this.loop.waitUntil(done, Math.min(deadline, giveUp), spinNanos);
      if (!isDone && deadline > giveUp) throw new Error('gave up waiting: a blocking call');
      return isDone;
    },
  };

  constructor() {
    this.loop = new ProgressLoop(this.clock, {
      fence: () => undefined,
      park: (deadline) => {
        this.reactor.poll(Math.min(WATCHDOG, Math.max(0, deadline - this.clock.now())));
      },
    });
    this.loop.add({ role: 'reactor', doWork: () => this.reactor.poll(0) });
  }

  environment(
    address: number | null,
    profile: spi.Profile = spi.PROFILES.documented,
  ): ProviderEnvironment<unknown, KernelSockets> {
    const silent = (): void => undefined;
    return {
      clock: this.clock,
      random: this.random,
      progress: this.loop,
      memory: { VirtualAlloc: () => null, VirtualFree: () => false, addressOf: () => 0 },
      logger: { debug: silent, info: silent, warn: silent, error: silent },
      profile,
      nic: null,
      sockets: { reactor: this.reactor, hostAddress: address, blocking: this.blocking },
      processId: process.pid,
    };
  }

  /** A host with an address of its own; null: one that uses the kernel as it is. */
  host(address: string | null, profile?: spi.ProfileName): Host {
    const chosen = profile === undefined ? undefined : spi.PROFILES[profile];
    const number = address === null ? null : spi.ipv4Number(address);
    const provider = createProvider(this.environment(number, chosen));
    const table = spi.emptyProcTable();
    const started = provider.WSPStartupEx(
      spi.WSP_VERSION_2_2,
      spi.emptyWspData(),
      spi.tcpProtocolInfo(),
      this.upcalls.table(),
      table,
    );
    expect(started).toBe(0);
    const wsp = table as FullProcTable;
    this.#cleanups.push(() => expect(wsp.lpWSPCleanup(lpErrno)).toBe(0));
    return hostOn(address ?? '127.0.0.1', wsp);
  }

  /** Drives everything until `done`, or fails the test. */
  until(done: () => boolean): void {
    expect(this.loop.waitUntil(done, this.clock.now() + WATCHDOG)).toBe(true);
  }

  /** Nothing is reported again and again: a report that nobody waits for is the last. */
  isQuiet(): boolean {
    this.reactor.poll(0);
    return this.reactor.poll(0) === 0;
  }

  isSignalled(event: number): boolean {
    return this.upcalls.signalled.get(event) === true;
  }

  /** A connected pair; both sockets block unless told otherwise. */
  pair(from: Host, to: Host): { client: number; server: number } {
    const { s, name } = to.listener();
    const client = from.socket();
    expect(from.connect(client, name)).toBe(0);
    const server = to.wsp.lpWSPAccept(s, null, null, null, null, lpErrno);
    expect(server).not.toBe(spi.INVALID_SOCKET);
    expect(to.wsp.lpWSPCloseSocket(s, lpErrno)).toBe(0);
    return { client, server };
  }

  close(): void {
    for (const cleanup of this.#cleanups) cleanup();
    expect(this.reactor.watchCount).toBe(0);
    this.reactor.close();
  }
}

/** Runs `body` on a machine of its own, and checks that nothing is left of it. */
export function onMachine(body: (machine: Machine) => void): void {
  const before = openDescriptors();
  const machine = new Machine();
  try {
    body(machine);
  } finally {
    machine.close();
  }
  expect(openDescriptors()).toBe(before);
}

function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

function hostOn(address: string, wsp: FullProcTable): Host {
  const host: Host = {
    address,
    wsp,
    socket: (flags = spi.WSA_FLAG_OVERLAPPED) => {
      const s = wsp.lpWSPSocket(spi.AF_INET, spi.SOCK_STREAM, 0, null, 0, flags, lpErrno);
      expect(s).not.toBe(spi.INVALID_SOCKET);
      return s;
    },
    bind: (s, ip, port = 0) => {
      const name = spi.sockaddrIn(ip, port);
      return wsp.lpWSPBind(s, name, name.length, lpErrno);
    },
    listener: () => {
      const s = host.socket();
      expect(host.bind(s, address)).toBe(0);
      expect(wsp.lpWSPListen(s, spi.SOMAXCONN, lpErrno)).toBe(0);
      const name = new Uint8Array(spi.SOCKADDR_IN_BYTES);
      expect(wsp.lpWSPGetSockName(s, name, spi.ref(name.length), lpErrno)).toBe(0);
      return { s, name };
    },
    connect: (s, name) => wsp.lpWSPConnect(s, name, name.length, null, null, null, null, lpErrno),
    nonblocking: (s) => {
      const on = Uint8Array.of(1, 0, 0, 0);
      const { lpWSPIoctl } = wsp;
      const done = lpWSPIoctl(
        s,
        spi.FIONBIO,
        on,
        4,
        null,
        0,
        spi.ref(0),
        null,
        null,
        null,
        lpErrno,
      );
      expect(done).toBe(0);
    },
    send: (s, bytes, flags = 0) => {
      const count = spi.ref(-1);
      const buffers = [{ len: bytes.length, buf: bytes }];
      const sent = wsp.lpWSPSend(s, buffers, 1, count, flags, null, null, null, lpErrno);
      return sent === 0 ? count.value : sent;
    },
    recv: (s, room, flags = 0) => {
      const count = spi.ref(-1);
      const buffers = [{ len: room.length, buf: room }];
      const lpFlags = spi.ref(flags);
      const got = wsp.lpWSPRecv(s, buffers, 1, count, lpFlags, null, null, null, lpErrno);
      return got === 0 ? count.value : got;
    },
    events: (s) => {
      const reported = spi.createNetworkEvents();
      expect(wsp.lpWSPEnumNetworkEvents(s, 0, reported, lpErrno)).toBe(0);
      return reported;
    },
    setOption: (s, option, value, level = spi.SOL_SOCKET) => {
      const bytes = new Uint8Array(4);
      new DataView(bytes.buffer).setUint32(0, value, true);
      return wsp.lpWSPSetSockOpt(s, level, option, bytes, 4, lpErrno);
    },
    option: (s, option, level = spi.SOL_SOCKET) => {
      const bytes = new Uint8Array(4);
      const done = wsp.lpWSPGetSockOpt(s, level, option, bytes, spi.ref(4), lpErrno);
      return done === 0 ? new DataView(bytes.buffer).getUint32(0, true) : done;
    },
    sockName: (s) => {
      const name = new Uint8Array(spi.SOCKADDR_STORAGE_BYTES);
      const length = spi.ref(name.length);
      if (wsp.lpWSPGetSockName(s, name, length, lpErrno) !== 0) return null;
      return spi.parseSockaddr(name, length.value);
    },
  };
  return host;
}

/** Whether `result` is a failure with this code in lpErrno. */
export function failsWith(code: number, result: number): void {
  expect(result === spi.SOCKET_ERROR || result === spi.INVALID_SOCKET).toBe(true);
  expect(spi.errorName(lpErrno.value)).toBe(spi.errorName(code));
}
