// Blocking calls of Winsock 1.x: one at a time, cancelled by WSACancelBlockingCall.

import { describe, expect, it } from 'vitest';
import * as spi from '../../../provider/spi/index.js';
import { emptyWsaData } from '../../../switch/api/startup.js';
import type { HostUnderTest } from '../fakes/world.js';
import { B, connectPair, listenOn, name, pattern, World } from '../fakes/world.js';

/** Two hosts of which A knows Winsock 1.1 only. */
function world1(): World {
  const world = new World({ stopped: true });
  expect(world.a.winsock.WSAStartup(0x0101, emptyWsaData())).toBe(0);
  expect(world.b.winsock.WSAStartup(0x0202, emptyWsaData())).toBe(0);
  return world;
}

/** Has the next wait of A call `act`, once. */
function onceBlocked({ winsock }: HostUnderTest, act: () => void): void {
  winsock.WSASetBlockingHook(() => {
    act();
    return false;
  });
}

describe('WSACancelBlockingCall', () => {
  it('is for Winsock 1.x, and for calls that block [W3.5]', () => {
    const world = world1();
    expect(world.a.winsock.WSACancelBlockingCall()).toBe(-1);
    expect(world.a.winsock.WSAGetLastError()).toBe(spi.WSAEINVAL);
    expect(world.b.winsock.WSACancelBlockingCall()).toBe(-1);
    expect(world.b.winsock.WSAGetLastError()).toBe(spi.WSAEOPNOTSUPP);
    expect(world.b.winsock.WSASetBlockingHook(() => false)).toBeNull();
    expect(world.b.winsock.WSAGetLastError()).toBe(spi.WSAEOPNOTSUPP);
    world.close();
  });

  it('ends a blocking recv, send, accept, connect and select with WSAEINTR [W4.20 W3.5]', () => {
    const world = world1();
    const { a } = world;
    const { winsock } = a;
    const { client } = connectPair(world);
    const listener = listenOn(a, '127.77.0.1', 4001);
    const other = winsock.socket(spi.AF_INET, spi.SOCK_STREAM, 0);
    const big = pattern(1_000_000);
    const set = { fd_count: 1, fd_array: [client] };
    const calls: (() => number)[] = [
      () => winsock.recv(client, new Uint8Array(4), 4, 0),
      () => winsock.select(0, set, null, null, null),
      () => winsock.accept(listener, null, null),
      () => winsock.connect(other, name(B), 16),
      () => winsock.send(client, big, big.length, 0),
    ];
    for (const call of calls) {
      let cancelled = 1;
      onceBlocked(a, () => (cancelled = winsock.WSACancelBlockingCall()));
      expect([-1, spi.INVALID_SOCKET]).toContain(call());
      expect(winsock.WSAGetLastError()).toBe(spi.WSAEINTR);
      expect(cancelled).toBe(0);
    }
    winsock.WSASetBlockingHook(null);
    expect(winsock.closesocket(client)).toBe(0);
    expect(winsock.closesocket(other)).toBe(0);
    world.close();
  });

  it('no other call is made while one blocks: WSAEINPROGRESS [W4.20 W9.9.7]', () => {
    const world = world1();
    const { winsock } = world.a;
    const { client, server } = connectPair(world);
    const seen: number[] = [];
    const tries = (): void => {
      seen.push(winsock.send(client, pattern(1), 1, 0), winsock.WSAGetLastError());
    };
    onceBlocked(world.a, tries);
    winsock.QueueUserAPC(tries, winsock.GetCurrentThread(), null);
    winsock.QueueUserAPC(
      () => world.b.winsock.send(server, pattern(3), 3, 0),
      winsock.GetCurrentThread(),
      null,
    );
    expect(winsock.recv(client, new Uint8Array(4), 4, 0)).toBe(3);
    expect(seen).toEqual([-1, spi.WSAEINPROGRESS, -1, spi.WSAEINPROGRESS]);
    expect(winsock.send(client, pattern(1), 1, 0)).toBe(1);
    world.close();
  });

  it('a thread has its own last error, which calls of another host leave alone [W1.1]', () => {
    const world = new World();
    world.a.winsock.closesocket(4711);
    world.b.winsock.WSASetLastError(5);
    expect(world.a.winsock.WSAGetLastError()).toBe(spi.WSAENOTSOCK);
    expect(world.b.winsock.WSAGetLastError()).toBe(5);
    world.close();
  });
});
