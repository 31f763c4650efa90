// The switch's registration cache by itself, and what a provider sees of it.

import { describe, expect, it } from 'vitest';
import * as spi from '../../provider/spi/index.js';
import { RegistrationCache } from '../../switch/registration-cache.js';
import { connectPair, pattern, World } from './fakes/world.js';

class Owner {
  readonly ended: number[] = [];
  endRegistration(handle: number): void {
    this.ended.push(handle);
  }
}

const block = new Uint8Array(10_000);

describe('the registration cache', () => {
  it('gives a registration that covers the memory to its own owner only [MEM-01]', () => {
    const cache = new RegistrationCache({ entries: 4, bytes: 10_000 });
    const [one, other] = [new Owner(), new Owner()];
    const entry = cache.add(one, 7, block.subarray(100, 500));
    cache.giveBack(entry);
    expect(cache.take(other, block.subarray(100, 500))).toBeNull();
    expect(cache.take(one, block.subarray(99, 300))).toBeNull();
    expect(cache.take(one, new Uint8Array(10))).toBeNull();
    expect(cache.take(one, block.subarray(200, 500))?.handle).toBe(7);
    expect([cache.idleCount, cache.idleBytes, one.ended]).toEqual([0, 0, []]);
  });

  it('keeps within its bounds: the least recently used goes first, what is in use stays', () => {
    const cache = new RegistrationCache({ entries: 2, bytes: 1_000 });
    const owner = new Owner();
    const at = (index: number): Uint8Array => block.subarray(index * 400, index * 400 + 400);
    const entries = [0, 1, 2].map((index) => cache.add(owner, index + 1, at(index)));
    const [first, second, third] = entries;
    if (!first || !second || !third) throw new Error('three entries');
    for (const entry of [first, second]) cache.giveBack(entry);
    expect(cache.take(owner, at(0))).toBe(first);
    cache.giveBack(first);
    cache.giveBack(third);
    expect([owner.ended, cache.idleCount, cache.idleBytes]).toEqual([[2], 2, 800]);
    const long = cache.add(owner, 9, block.subarray(2_000, 4_000));
    cache.giveBack(long);
    expect([owner.ended, cache.idleCount, cache.idleBytes]).toEqual([[2, 1, 3, 9], 0, 0]);
  });

  it('lets go of freed memory and of closed sockets; of what is in use when its transfer ends [CACHE-04 MEM-08]', () => {
    const cache = new RegistrationCache({ entries: 9, bytes: 10_000 });
    const [one, other] = [new Owner(), new Owner()];
    const used = cache.add(one, 1, block.subarray(0, 100));
    for (const [handle, start] of [
      [2, 50],
      [3, 200],
    ] as const) {
      cache.giveBack(cache.add(one, handle, block.subarray(start, start + 100)));
    }
    cache.giveBack(cache.add(other, 4, block.subarray(120, 220)));
    cache.forgetMemory(block.subarray(90, 160));
    expect([one.ended, other.ended, cache.idleCount]).toEqual([[2], [4], 1]);
    expect(cache.take(one, block.subarray(0, 100))).toBeNull();
    cache.giveBack(used);
    expect(one.ended).toEqual([2, 1]);
    cache.forgetOwner(one);
    expect([one.ended, cache.idleBytes]).toEqual([[2, 1, 3], 0]);
  });
});

describe('large transfers with the same buffers', () => {
  const buffers = (buf: Uint8Array): spi.WSABUF[] => [{ len: buf.length, buf }];

  function transfer(
    world: World,
    pair: { client: number; server: number },
    into: Uint8Array,
  ): void {
    const ov = spi.createOverlapped();
    const flags = spi.ref(spi.MSG_WAITALL);
    world.b.winsock.WSARecv(pair.server, buffers(into), 1, null, flags, ov, null);
    const data = pattern(into.length, into.length);
    expect(world.a.winsock.send(pair.client, data, data.length, 0)).toBe(data.length);
    expect(world.b.winsock.WSAGetOverlappedResult(pair.server, ov, spi.ref(0), true, flags)).toBe(
      true,
    );
    expect(Buffer.compare(into, data)).toBe(0);
    world.settle();
  }

  it('register local memory once; memory exposed to the peer each time [MEM-07 CACHE-06]', () => {
    const world = new World();
    const pair = connectPair(world);
    const into = new Uint8Array(50_000);
    for (let round = 0; round < 3; round++) transfer(world, pair, into);
    expect([world.b.san.registrations, world.a.san.registrations]).toEqual([3, 2]);
    expect(world.a.san.network.exposures.size).toBe(0);
    world.close();
  });

  it('end the registration before freed memory goes, and the providers are told [CACHE-04 CACHECB-02 CACHECB-04]', () => {
    const world = new World();
    const pair = connectPair(world);
    const into = new Uint8Array(50_000);
    transfer(world, pair, into);
    expect(world.b.san.registrations).toBe(3);
    const [provider] = world.b.theSwitch.core.providers;
    const callback = provider?.extensions.WSPMemoryRegistrationCacheCallback;
    if (provider === undefined || callback === null || callback === undefined)
      throw new Error('no callback');
    // The provider could not let go of what is registered still. [CACHECB-03]
    const atCallback: number[] = [];
    Object.assign(provider.extensions, {
      WSPMemoryRegistrationCacheCallback: (...call: Parameters<typeof callback>) => {
        atCallback.push(world.b.san.registrations);
        return callback(...call);
      },
    });
    world.b.theSwitch.releaseMemory(into);
    expect(atCallback).toEqual([2]);
    expect([world.b.san.registrations, world.b.san.cacheCallbacks]).toEqual([2, 1]);
    transfer(world, pair, into);
    world.b.winsock.closesocket(pair.server);
    world.a.winsock.closesocket(pair.client);
    world.settle();
    expect([world.b.san.registrations, world.b.theSwitch.core.registrations.idleCount]).toEqual([
      0, 0,
    ]);
    world.close();
  });

  it('give up what is only kept when something else cannot be registered [XFER-13 REGMEM-04]', () => {
    const world = new World();
    const pair = connectPair(world);
    transfer(world, pair, new Uint8Array(50_000));
    Object.defineProperty(world.b.san.options, 'registrationsMax', { value: 3 });
    transfer(world, pair, new Uint8Array(60_000));
    expect(world.b.san.registrations).toBe(3);
    world.close();
  });
});
