// What the registration cache costs and saves, over the real NIC: printed, not judged, because figures
// of a shared machine prove nothing. What is asserted is that each figure is of what it says.
// Run: npm run test:long -- test/provider/san/registration-cache.long.test.ts

import { afterAll, expect, it } from 'vitest';
import { openEnvironment } from '../../../index.js';
import type { HostEnvironment } from '../../../index.js';
import { createSanProvider } from '../../../provider/san/provider.js';
import type { SanProviderOptions } from '../../../provider/san/provider.js';
import * as spi from '../../../provider/spi/index.js';
import { UpcallRecorder } from './upcall-recorder.js';

const ROUNDS = 2000;
const BATCHES = 21;
const FRESH = 4;
const SCATTER = 61_803;
const LIMITS = { entries: 200_000, bytes: 2 ** 30 };

interface Bench {
  readonly host: HostEnvironment;
  readonly extensions: spi.SanExtensions;
  readonly s: number;
  close(): Promise<void>;
}

interface Opened {
  readonly host: HostEnvironment;
  readonly procs: spi.SanProcTable;
}

const lines: string[] = [];
const errno = spi.ref(0);

async function openProvider(
  fabric: string,
  address: string,
  options: SanProviderOptions,
): Promise<Opened> {
  const host = await openEnvironment({ fabric, address, engine: 'inline' });
  const provider = createSanProvider(host.environment, options);
  const table = spi.emptyProcTable();
  const upcalls = new UpcallRecorder().table;
  const { emptyWspData, tcpProtocolInfo, WSP_VERSION_2_2 } = spi;
  provider.WSPStartupEx(WSP_VERSION_2_2, emptyWspData(), tcpProtocolInfo(), upcalls, table);
  return { host, procs: table as spi.SanProcTable };
}

/** A connected socket of a provider with these options. */
async function openBench(name: string, options: SanProviderOptions): Promise<Bench> {
  const fabric = `cache-${process.pid}-${name}`;
  const near = await openProvider(fabric, '127.77.0.1', options);
  const far = await openProvider(fabric, '127.77.0.2', options);
  const bound = ({ procs }: Opened, ip: string, port: number): number => {
    const s = procs.lpWSPSocket(spi.AF_INET, spi.SOCK_STREAM, spi.IPPROTO_TCP, null, 0, 1, errno);
    procs.lpWSPBind(s, spi.sockaddrIn(ip, port), 16, errno);
    return s;
  };
  const listener = bound(far, '127.77.0.2', 5000);
  far.procs.lpWSPListen(listener, 1, errno);
  const s = bound(near, '127.77.0.1', 5001);
  const to = spi.sockaddrIn('127.77.0.2', 5000);
  near.procs.lpWSPConnect(s, to, 16, null, null, null, null, errno);
  const accepted = (): boolean => {
    const condition = (): number => spi.CF_ACCEPT;
    const peer = far.procs.lpWSPAccept(listener, null, null, condition, null, errno);
    return peer !== spi.INVALID_SOCKET;
  };
  expect(near.host.progress.waitUntil(accepted)).toBe(true);
  const extensions = Object.fromEntries(
    spi.SAN_EXTENSIONS.map(({ name: key, guid }) => {
      const box: spi.ExtensionFunctionPointer = { value: null };
      const code = spi.SIO_GET_EXTENSION_FUNCTION_POINTER;
      const id = spi.guidBytes(guid);
      near.procs.lpWSPIoctl(s, code, id, 16, box, 8, null, null, null, null, errno);
      return [key, box.value];
    }),
  ) as unknown as spi.SanExtensions;
  const memory = (): boolean => extensions.WSPRegisterMemory(s, PROBE, 8, 1, errno) !== 0;
  expect(near.host.progress.waitUntil(memory)).toBe(true);
  const close = async (): Promise<void> => {
    for (const { procs } of [near, far]) procs.lpWSPCleanup(errno);
    await Promise.all([near.host.close(), far.host.close()]);
  };
  return { host: near.host, extensions, s, close };
}

const PROBE = new Uint8Array(8);

/** Median nanoseconds of one `act(index)` among many batches; `undo` is not counted. */
function nanosOf(
  act: (index: number) => void,
  undo: (index: number) => void = () => undefined,
  rounds = ROUNDS,
): number {
  const times: number[] = [];
  for (let batch = 0; batch < BATCHES; batch++) {
    const start = process.hrtime.bigint();
    for (let index = 0; index < rounds; index++) act(index);
    times.push(Number(process.hrtime.bigint() - start) / rounds);
    for (let index = 0; index < rounds; index++) undo(index);
  }
  return times.sort((one, other) => one - other)[BATCHES >> 1] ?? 0;
}

function report(what: string, nanos: number): void {
  lines.push(`${what.padEnd(72)} ${nanos.toFixed(0).padStart(8)} ns`);
}

afterAll(() => {
  process.stdout.write(`${lines.join('\n')}\n`);
});

it('a hit with few and with many other registrations', async () => {
  for (const count of [10, ROUNDS, 100_000]) {
    const bench = await openBench(`hit-${count}`, { registrationCache: LIMITS });
    const { host, extensions, s } = bench;
    const { WSPDeregisterMemory, WSPRegisterMemory } = extensions;
    const block = host.memory.VirtualAlloc(count * 64) as Uint8Array;
    const parts = Array.from({ length: count }, (_, at) => block.subarray(at * 64, at * 64 + 64));
    const handles = parts.map((part) => WSPRegisterMemory(s, part, 64, 3, errno));
    const one = new Uint8Array(65_536);
    WSPDeregisterMemory(s, WSPRegisterMemory(s, one, 65_536, 3, errno), errno);
    const regions = host.usage().registrations;
    const both = nanosOf(() => {
      WSPDeregisterMemory(s, WSPRegisterMemory(s, one, 65_536, 3, errno), errno);
    });
    report(`one buffer, register + deregister, hit, ${count} others live`, both);
    for (const handle of handles) WSPDeregisterMemory(s, handle, errno);
    let place = 0;
    const scattered = nanosOf(() => {
      // A stride without a common divisor with any count: all of them, and none near the one before.
      place = (place + SCATTER) % count;
      const part = parts[place] as Uint8Array;
      WSPDeregisterMemory(s, WSPRegisterMemory(s, part, 64, 3, errno), errno);
    });
    report(`another place each time, register + deregister, hit, ${count} cached`, scattered);
    const step = Math.max(1, Math.floor(count / ROUNDS));
    const taken = new Array<number>(ROUNDS).fill(0);
    const all =
      count < ROUNDS
        ? both
        : nanosOf(
            (index) => {
              const part = parts[(index * step) % count] as Uint8Array;
              taken[index] = WSPRegisterMemory(s, part, 64, 3, errno);
            },
            (index) => {
              WSPDeregisterMemory(s, taken[index] ?? 0, errno);
            },
          );
    if (count >= ROUNDS)
      report(`another buffer each time, register alone, hit, ${count} cached`, all);
    expect(host.usage().registrations).toBe(regions);
    host.memory.VirtualFree(block);
    await bench.close();
  }
});

it('with and without a cache', async () => {
  for (const registrationCache of [LIMITS, false] as const) {
    const title = registrationCache === false ? 'no cache' : 'cache';
    const bench = await openBench(`compare-${title.replace(' ', '-')}`, { registrationCache });
    const { host, extensions, s } = bench;
    const { WSPDeregisterMemory, WSPRegisterMemory } = extensions;
    const { WSPDeregisterRdmaMemory, WSPRegisterRdmaMemory } = extensions;
    const descriptor = new Uint8Array(32);
    const length = spi.ref(32);
    for (const [kind, bytes] of [
      ['VirtualAlloc', 65_536],
      ['ordinary', 65_536],
      ['ordinary', 2 ** 20],
    ] as const) {
      const memory =
        kind === 'ordinary'
          ? new Uint8Array(bytes)
          : (host.memory.VirtualAlloc(bytes) as Uint8Array);
      const local = nanosOf(() => {
        WSPDeregisterMemory(s, WSPRegisterMemory(s, memory, bytes, 3, errno), errno);
      });
      report(`${title}: ${kind} ${bytes} B, register + deregister`, local);
      const remote = nanosOf(() => {
        WSPRegisterRdmaMemory(s, memory, bytes, 1, descriptor, length, errno);
        WSPDeregisterRdmaMemory(s, descriptor, 32, errno);
      });
      report(`${title}: ${kind} ${bytes} B, expose + conceal`, remote);
      if (kind === 'ordinary') {
        const fresh = Array.from({ length: BATCHES * FRESH }, () => new Uint8Array(bytes));
        let next = 0;
        const once = nanosOf(
          () => {
            const buffer = fresh[next++] as Uint8Array;
            WSPRegisterRdmaMemory(s, buffer, bytes, 1, descriptor, length, errno);
            WSPDeregisterRdmaMemory(s, descriptor, 32, errno);
          },
          () => undefined,
          FRESH,
        );
        report(`${title}: ${kind} ${bytes} B, expose + conceal, a new buffer each time`, once);
      }
      const callback = extensions.WSPMemoryRegistrationCacheCallback;
      callback?.(host.memory.addressOf(memory), bytes, errno);
      if (kind !== 'ordinary') expect(host.memory.VirtualFree(memory)).toBe(true);
    }
    const kept = host.usage().registrations;
    expect(kept).toBe(registrationCache === false ? 1 : 1 + 2 * BATCHES * FRESH);
    await bench.close();
  }
});
