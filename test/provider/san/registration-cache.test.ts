// What stays pinned after it was deregistered, for how long, and what that must never mean: that the
// peer still reaches it, or that memory is freed with a stale pin on it.

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Prng } from '../../../runtime/prng.js';
import type { CacheLimits } from '../../../provider/san/registration-cache.js';
import * as spi from '../../../provider/spi/index.js';
import { FakeFabric } from './fake-nic.js';
import type { Pair } from './harness.js';
import {
  connectedPair,
  LEFT_IP,
  settle,
  shutDown,
  TestHost,
  underEveryProfile,
} from './harness.js';

const MANY = { entries: 100, bytes: 1 << 20 };

function cachingPair(profile: spi.Profile, limits: CacheLimits = MANY): Pair {
  return connectedPair({ profile, provider: { registrationCache: limits } });
}

function deregister(host: TestHost, s: number, handle: number): number {
  return host.extensions.WSPDeregisterMemory(s, handle, host.errno);
}

/** Registers and deregisters. */
function use(host: TestHost, s: number, memory: Uint8Array): void {
  expect(deregister(host, s, host.register(s, memory))).toBe(0);
}

/** The cache callback for bytes [from, to) of a buffer: 0 or the error. */
function unmap(host: TestHost, memory: Uint8Array, from: number, to: number): number {
  const address = host.nic.addressOf(memory) + from;
  host.errno.value = 0;
  const callback = host.extensions.WSPMemoryRegistrationCacheCallback;
  const result = callback?.(address, to - from, host.errno);
  expect(result).toBe(host.errno.value === 0 ? 0 : spi.SOCKET_ERROR);
  return host.errno.value;
}

underEveryProfile('deregistered memory', (profile) => {
  it('stays pinned, and registering it again asks the NIC for nothing [CACHE-01 CACHE-03]', () => {
    const { left, right, a } = cachingPair(profile);
    const memory = new Uint8Array(64);
    use(left, a, memory);
    expect([left.nic.registrations, left.nic.regionCount]).toEqual([1, 1]);
    for (let round = 0; round < 3; round++) use(left, a, memory.subarray(0));
    expect([left.nic.registrations, left.nic.regionCount]).toEqual([1, 1]);
    shutDown(left, right);
  });

  it('is of no use to anybody until it is registered again [DEREGMEM-01 DEREGMEM-02 WSPSEND-02]', () => {
    const { left, right, a, b } = cachingPair(profile);
    const memory = new Uint8Array(64);
    const handle = left.register(a, memory);
    right.register(b, memory);
    left.send(a, spi.createOverlapped(1), memory);
    expect(left.errno.value).toBe(spi.WSA_IO_PENDING);
    expect(deregister(left, a, handle)).toBe(spi.SOCKET_ERROR);
    right.receive(b, spi.createOverlapped(1), memory);
    settle(left, right);
    expect(deregister(left, a, handle)).toBe(0);
    expect([deregister(left, a, handle), left.errno.value]).toEqual([-1, spi.WSAEINVAL]);
    left.send(a, spi.createOverlapped(1), memory);
    expect(left.errno.value).toBe(spi.WSAEFAULT);
    const again = left.register(a, memory);
    if (profile.repeatedRegistration === 'distinct') expect(again).not.toBe(handle);
    left.send(a, spi.createOverlapped(1), memory);
    expect(left.errno.value).toBe(spi.WSA_IO_PENDING);
    shutDown(left, right);
  });

  it('is not found under other rights, another length, or on another socket [REGMEM-02 MEM-06]', () => {
    const { left, right, a, b } = cachingPair(profile);
    const memory = new Uint8Array(64);
    use(left, a, memory);
    left.register(a, memory, spi.MEM_READ);
    left.register(a, memory.subarray(0, 32));
    right.register(b, memory);
    expect([left.nic.registrations, right.nic.registrations]).toEqual([3, 1]);
    shutDown(left, right);
  });

  it('is not found once it was detached', () => {
    const { left, right, a } = cachingPair(profile);
    const memory = new Uint8Array(64);
    use(left, a, memory);
    const moved = structuredClone(memory.buffer, { transfer: [memory.buffer] });
    left.register(a, new Uint8Array(moved));
    expect(left.nic.registrations).toBe(2);
    shutDown(left, right);
  });

  it('is unpinned with its socket [CACHE-05]', () => {
    const { left, right, a } = cachingPair(profile);
    const memory = new Uint8Array(64);
    use(left, a, memory);
    left.close(a);
    settle(left, right);
    expect(left.nic.regionCount).toBe(0);
    expect(unmap(left, memory, 0, 64)).toBe(0);
    shutDown(left, right);
  });

  it('stays not when the connection is over', () => {
    const { left, right, a, b } = cachingPair(profile);
    const memory = new Uint8Array(64);
    const handle = left.register(a, memory);
    right.close(b);
    settle(left, right);
    left.send(a, spi.createOverlapped(1), memory);
    expect(deregister(left, a, handle)).toBe(0);
    expect(left.nic.regionCount).toBe(0);
    shutDown(left, right);
  });
});

underEveryProfile('the bounds of the cache', (profile) => {
  const buffers = Array.from({ length: 6 }, () => new Uint8Array(64));

  /** Which of the buffers are pinned, by what registering them costs. */
  function pinned(host: TestHost, s: number): number[] {
    return buffers.flatMap((buffer, index) => {
      const before = host.nic.registrations;
      host.register(s, buffer);
      return host.nic.registrations === before ? [index] : [];
    });
  }

  it('are kept by letting the least recently used go, whatever socket it is of', () => {
    for (const limits of [
      { entries: 3, bytes: 1 << 20 },
      { entries: 100, bytes: 3 * 64 },
    ]) {
      const { left, right, a } = cachingPair(profile, limits);
      for (const buffer of buffers.slice(0, 4)) use(left, a, buffer);
      expect(left.nic.regionCount).toBe(3);
      use(left, a, buffers[1] as Uint8Array);
      use(left, a, buffers[4] as Uint8Array);
      expect(pinned(left, a)).toEqual([1, 3, 4]);
      shutDown(left, right);
    }
  });

  it('of nothing leave nothing pinned', () => {
    const { left, right, a } = cachingPair(profile, { entries: 0, bytes: 0 });
    use(left, a, buffers[0] as Uint8Array);
    expect(left.nic.regionCount).toBe(0);
    shutDown(left, right);
  });

  it('are those of the NIC, too: the cache gives way before a registration fails [REGMEM-05]', () => {
    const { left, right, a } = cachingPair(profile);
    for (const buffer of buffers.slice(0, 3)) use(left, a, buffer);
    left.nic.regionsMax = 3;
    left.register(a, buffers[3] as Uint8Array);
    left.register(a, buffers[4] as Uint8Array);
    left.expose(a, buffers[5] as Uint8Array);
    expect(left.register(a, new Uint8Array(8))).toBe(0);
    expect(left.errno.value).toBe(spi.WSAENOBUFS);
    shutDown(left, right);
  });
});

underEveryProfile('memory that was exposed to the peer', (profile) => {
  it('stays pinned and is out of reach; exposed again it is reached by its new descriptor only [CACHE-06 CACHE-07 DEREGRDMA-02 MEM-05 MEM-07]', () => {
    for (const isStale of [true, false]) {
      const { left, right, a, b } = cachingPair(profile);
      const memory = new Uint8Array(64);
      const local = new Uint8Array(64).fill(7);
      const handle = left.register(a, local);
      const stale = right.expose(b, memory);
      const { WSPDeregisterRdmaMemory } = right.extensions;
      expect(WSPDeregisterRdmaMemory(b, stale, stale.length, right.errno)).toBe(0);
      expect(right.nic.regionCount).toBe(1);
      const fresh = right.expose(b, memory);
      expect(right.nic.regionCount).toBe(1);
      const overlapped = spi.createOverlapped(1);
      const list = [{ len: 64, buf: local, handle }];
      const target = isStale ? stale : fresh;
      const { errno, extensions } = left;
      const { WSPRdmaWrite } = extensions;
      WSPRdmaWrite(a, list, 1, target, target.length, 0, null, 0, overlapped, null, null, errno);
      settle(left, right);
      const failed = [-1, spi.WSAECONNABORTED];
      expect(left.result(a, overlapped)).toEqual(isStale ? failed : [64, 0]);
      expect(memory[0]).toBe(isStale ? 0 : 7);
      shutDown(left, right);
    }
  });

  it('is registered and pinned once, however often it was exposed [CACHE-07]', () => {
    const { left, right, a } = cachingPair(profile);
    const memory = new Uint8Array(64);
    for (let round = 0; round < 4; round++) {
      const descriptor = left.expose(a, memory);
      const { WSPDeregisterRdmaMemory } = left.extensions;
      expect(WSPDeregisterRdmaMemory(a, descriptor, descriptor.length, left.errno)).toBe(0);
    }
    expect([left.nic.regionCount, left.nic.registrations]).toEqual([1, 1]);
    expect(unmap(left, memory, 0, 1)).toBe(0);
    expect(left.nic.regionCount).toBe(0);
    shutDown(left, right);
  });
});

underEveryProfile('WSPMemoryRegistrationCacheCallback', (profile) => {
  /** Bytes 100 to 200 of a buffer of 400 are cached. */
  function cached(): Pair & { readonly memory: Uint8Array } {
    const pair = cachingPair(profile);
    const memory = new Uint8Array(400);
    use(pair.left, pair.a, memory.subarray(100, 200));
    return { ...pair, memory };
  }

  it.each([
    ['the very range', 100, 200, 0],
    ['more on both sides', 0, 400, 0],
    ['a part inside', 120, 121, 0],
    ['a part and what is below', 0, 101, 0],
    ['a part and what is above', 199, 400, 0],
    ['only what is below', 0, 100, 1],
    ['only what is above', 200, 400, 1],
  ] as const)(
    'for %s drops exactly what it touches [CACHECB-01 CACHECB-02 CACHE-02 CACHE-04]',
    (_title, from, to, left) => {
      const { left: host, right, a, memory } = cached();
      expect(unmap(host, memory, from, to)).toBe(0);
      expect(host.nic.regionCount).toBe(left);
      use(host, a, memory.subarray(100, 200));
      expect(host.nic.registrations).toBe(2 - left);
      shutDown(host, right);
    },
  );

  it('reaches every socket [CACHECB-01]', () => {
    const { left, right, a, listener } = cachingPair(profile);
    const other = left.bound(40002);
    left.connect(other, right.ip, 5001);
    settle(left, right);
    expect(right.accept(listener)).not.toBe(spi.INVALID_SOCKET);
    settle(left, right);
    const memory = new Uint8Array(64);
    use(left, a, memory);
    use(left, other, memory);
    expect(left.nic.regionCount).toBe(2);
    expect(unmap(left, memory, 10, 20)).toBe(0);
    expect(left.nic.regionCount).toBe(0);
    shutDown(left, right);
  });

  it('is WSAEFAULT for memory that is still registered, and drops the cached rest [CACHECB-03]', () => {
    const { left, right, a, memory } = cached();
    const handle = left.register(a, memory.subarray(150, 250));
    expect(unmap(left, memory, 0, 400)).toBe(spi.WSAEFAULT);
    expect(left.nic.regionCount).toBe(1);
    expect(deregister(left, a, handle)).toBe(0);
    expect(unmap(left, memory, 0, 400)).toBe(0);
    expect(left.nic.regionCount).toBe(0);
    shutDown(left, right);
  });

  it('shuts the peer out of memory that is exposed, one byte of it is enough, and of nothing else [CACHECB-02 DEREGRDMA-02 MEM-05]', () => {
    const { left, right, a, b } = cachingPair(profile);
    const memory = new Uint8Array(256);
    const gone = left.expose(a, memory.subarray(0, 64));
    const kept = left.expose(a, memory.subarray(64, 128));
    expect(unmap(left, memory, 63, 64)).toBe(0);
    const source = new Uint8Array(8).fill(1);
    const handle = right.register(b, source);
    const write = (descriptor: Uint8Array): number => {
      const overlapped = spi.createOverlapped(1);
      const list = [{ len: 8, buf: source, handle }];
      const { WSPRdmaWrite } = right.extensions;
      const { length } = descriptor;
      const { errno } = right;
      WSPRdmaWrite(b, list, 1, descriptor, length, 0, null, 0, overlapped, null, null, errno);
      settle(left, right);
      return right.result(b, overlapped)[1];
    };
    expect(write(kept)).toBe(0);
    expect(write(gone)).toBe(spi.WSAECONNABORTED);
    expect([...memory.subarray(0, 65)].reduce((sum, byte) => sum + byte)).toBe(1);
    shutDown(left, right);
  });

  it('leaves the descriptor of such memory good for ending it, and for nothing that is exposed anew [CACHECB-02 DEREGRDMA-01 REGRDMA-06]', () => {
    const { left, right, a } = cachingPair(profile);
    const memory = new Uint8Array(64);
    const old = left.expose(a, memory);
    expect(unmap(left, memory, 0, 64)).toBe(0);
    const fresh = left.expose(a, memory);
    expect(fresh).not.toEqual(old);
    const { WSPDeregisterRdmaMemory } = left.extensions;
    expect(WSPDeregisterRdmaMemory(a, old, old.length, left.errno)).toBe(0);
    expect(WSPDeregisterRdmaMemory(a, old, old.length, left.errno)).toBe(spi.SOCKET_ERROR);
    // Nothing stays pinned for the old one: its memory is gone.
    expect(left.nic.regionCount).toBe(1);
    expect(WSPDeregisterRdmaMemory(a, fresh, fresh.length, left.errno)).toBe(0);
    shutDown(left, right);
  });

  it('is WSAEINVAL for what is no range of memory [CACHECB-03]', () => {
    const { left, right } = cached();
    const callback = left.extensions.WSPMemoryRegistrationCacheCallback;
    for (const [address, size] of [
      [0, 64],
      [4096, 0],
      [NaN, 1],
    ] as const) {
      expect(callback?.(address, size, left.errno)).toBe(spi.SOCKET_ERROR);
      expect(left.errno.value).toBe(spi.WSAEINVAL);
    }
    shutDown(left, right);
  });
});

describe('the cache over a seeded history', () => {
  it('never exceeds its bounds, mixes handles up, or loses a region', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffffffff }), (seed) => {
        const random = new Prng(seed);
        const limits = { entries: random.between(0, 6), bytes: random.between(0, 400) };
        const profile = random.chance(1, 2) ? spi.PROFILES.documented : spi.PROFILES.hostile;
        const { left, right, a } = cachingPair(profile, limits);
        const memory = new Uint8Array(256);
        const live: { readonly handle: number; readonly from: number; readonly to: number }[] = [];
        for (let step = 0; step < 120; step++) {
          const from = 16 * random.below(8);
          const to = from + 16 * random.between(1, 8);
          if (random.chance(1, 10)) {
            const isHeld = live.some((one) => one.from < to && one.to > from);
            expect(unmap(left, memory, from, to)).toBe(isHeld ? spi.WSAEFAULT : 0);
          } else if (live.length > 0 && random.chance(1, 2)) {
            const [one] = live.splice(random.below(live.length), 1);
            expect(deregister(left, a, one?.handle ?? 0)).toBe(0);
          } else {
            const handle = left.register(a, memory.subarray(from, to));
            expect(handle).not.toBe(0);
            const same = live.find((one) => one.handle === handle);
            if (same !== undefined) expect([same.from, same.to]).toEqual([from, to]);
            live.push({ handle, from, to });
          }
          const handles = new Set(live.map((one) => one.handle));
          expect(left.nic.regionCount).toBeGreaterThanOrEqual(handles.size);
          expect(left.nic.regionCount).toBeLessThanOrEqual(handles.size + limits.entries);
        }
        for (const { handle } of live) expect(deregister(left, a, handle)).toBe(0);
        expect(unmap(left, memory, 0, 256)).toBe(0);
        expect(left.nic.regionCount).toBe(0);
        shutDown(left, right);
      }),
      { numRuns: 40 },
    );
  });
});

it('without a cache there is no callback, and nothing stays pinned [CACHECB-01]', () => {
  const host = new TestHost(new FakeFabric(), LEFT_IP, { provider: { registrationCache: false } });
  expect(host.extensions.WSPMemoryRegistrationCacheCallback).toBeNull();
  shutDown(host);
});
