// What the switch asks of a SAN provider while data moves, and what it never asks. The fake provider
// refuses calls without WSAOVERLAPPED, with flags or with several buffers, throws when it is told to
// wait, and has no function at all for what must not reach it.

import { describe, expect, it } from 'vitest';
import * as spi from '../../provider/spi/index.js';
import { connectPair, pattern, World } from './fakes/world.js';
import type { HostUnderTest } from './fakes/world.js';

const buffers = (buf: Uint8Array): spi.WSABUF[] => [{ len: buf.length, buf }];

function exchange(world: World, s: { client: number; server: number }, data: Uint8Array): void {
  const got = new Uint8Array(data.length);
  const ov = spi.createOverlapped();
  const flags = spi.ref(spi.MSG_WAITALL);
  world.b.winsock.WSARecv(s.server, buffers(got), 1, null, flags, ov, null);
  expect(world.a.winsock.send(s.client, data, data.length, 0)).toBe(data.length);
  expect(world.b.winsock.WSAGetOverlappedResult(s.server, ov, spi.ref(0), true, flags)).toBe(true);
  expect(Buffer.compare(got, data)).toBe(0);
}

describe('a provider', () => {
  it('is not told of shutdown, cancelling, select and waiting: it need not have them [BLK-01 SHUT-01 W14.11 W14.16]', () => {
    const table = spi.emptyProcTable();
    const world = new World();
    const { WSPStartupEx } = world.a.san.service;
    const upcalls = world.a.theSwitch.upcalls;
    WSPStartupEx(spi.WSP_VERSION_2_2, spi.emptyWspData(), spi.tcpProtocolInfo(), upcalls, table);
    table.lpWSPCleanup?.(spi.ref(0));
    const { lpWSPShutdown, lpWSPSendDisconnect, lpWSPRecvDisconnect } = table;
    const { lpWSPCancelBlockingCall, lpWSPSelect, lpWSPAsyncSelect } = table;
    expect([lpWSPShutdown, lpWSPSendDisconnect, lpWSPRecvDisconnect]).toEqual([null, null, null]);
    expect([lpWSPCancelBlockingCall, lpWSPSelect, lpWSPAsyncSelect]).toEqual([null, null, null]);
    const pair = connectPair(world);
    exchange(world, pair, pattern(100));
    exchange(world, pair, pattern(10_000));
    expect(world.a.winsock.shutdown(pair.client, spi.SD_SEND)).toBe(0);
    expect(world.b.winsock.recv(pair.server, new Uint8Array(1), 1, 0)).toBe(0);
    world.close();
  });

  it('gets overlapped calls for blocking ones [BLK-03 W14.10]', () => {
    const world = new World();
    const { client, server } = connectPair(world);
    expect(world.a.winsock.send(client, pattern(200), 200, 0)).toBe(200);
    expect(world.b.winsock.recv(server, new Uint8Array(300), 300, 0)).toBe(200);
    world.close();
  });

  it('sees messages of the session protocol, and its own posted receives suffice for them [XFER-01 XFER-02 W14.6]', () => {
    const world = new World();
    const { client, server } = connectPair(world);
    const before = world.a.san.messageBytes;
    world.a.winsock.send(client, pattern(64), 64, 0);
    expect(world.a.san.messageBytes - before).toBe(20 + 64);
    for (let round = 0; round < 100; round++) {
      world.a.winsock.send(client, pattern(64), 64, 0);
      world.settle();
      for (const socket of world.b.san.sockets.values()) expect(socket.inbox).toEqual([]);
      world.b.winsock.recv(server, new Uint8Array(64), 64, 0);
    }
    world.close();
  });

  it('moves what was sent while the application goes on [XFER-12 APP-03]', () => {
    const world = new World({ a: { late: 40 } });
    const { client, server } = connectPair(world);
    for (let index = 0; index < 6; index++) {
      const ov = spi.createOverlapped();
      const data = pattern(500, index);
      expect(world.a.winsock.WSASend(client, buffers(data), 1, null, 0, ov, null)).toBe(0);
      // Consumed by the transport: the application may use its memory again.
      expect([ov.Internal, ov.InternalHigh]).toEqual([0, 500]);
      data.fill(0);
    }
    const [socket] = [...world.a.san.sockets.values()].filter(({ peer }) => peer !== null);
    expect(socket?.outstanding).toBeGreaterThan(0);
    const got = new Uint8Array(3_000);
    expect(world.b.winsock.recv(server, got, 3_000, spi.MSG_WAITALL)).toBe(3_000);
    expect(Buffer.compare(got.subarray(500, 1_000), pattern(500, 1))).toBe(0);
    world.close();
  });

  it('is not called with a socket that was closed; in profile real-switch it is [W12.7 CLOSE-06 W14.12]', () => {
    for (const [profile, stray] of [
      ['documented', 0],
      ['real-switch', 2],
    ] as const) {
      const world = new World({ profile });
      const pair = connectPair(world);
      exchange(world, pair, pattern(20_000));
      const before = world.a.san.strayCalls;
      world.a.winsock.closesocket(pair.client);
      world.b.winsock.closesocket(pair.server);
      world.settle();
      expect(world.a.san.strayCalls - before).toBe(stray);
      expect(world.a.winsock.send(pair.client, pattern(1), 1, 0)).toBe(-1);
      expect(world.a.winsock.WSAGetLastError()).toBe(spi.WSAENOTSOCK);
      world.close();
    }
  });

  it.each([
    ['documented', 8, [64, 64]],
    ['real-switch', 12, [0, 64, 64]],
  ] as const)(
    'has as many receives, and is asked for descriptors, as profile %s says [SESS-08 REGRDMA-03 REGRDMA-04]',
    (profile, receives, rooms) => {
      const world = new World({ profile });
      const pair = connectPair(world);
      const postedAt = ({ san }: HostUnderTest): number[] =>
        [...san.sockets.values()]
          .filter(({ peer }) => peer !== null)
          .map(({ posted }) => posted.length);
      expect([postedAt(world.a), postedAt(world.b)]).toEqual([[receives], [receives]]);
      exchange(world, pair, pattern(20_000));
      exchange(world, pair, pattern(20_000));
      expect(world.a.san.descriptorRooms).toEqual(rooms);
      world.close();
    },
  );
});

describe('after a blocking call that ended early', () => {
  it('closesocket works [BLK-06 BLK-04]', () => {
    const world = new World();
    const { client, server } = connectPair(world);
    const timeout = Uint8Array.of(20, 0, 0, 0);
    const { winsock } = world.a;
    winsock.setsockopt(client, spi.SOL_SOCKET, spi.SO_SNDTIMEO, timeout, 4);
    winsock.setsockopt(client, spi.SOL_SOCKET, spi.SO_RCVTIMEO, timeout, 4);
    expect(winsock.recv(client, new Uint8Array(1), 1, 0)).toBe(-1);
    expect(winsock.WSAGetLastError()).toBe(spi.WSAETIMEDOUT);
    expect(winsock.send(client, pattern(50_000), 50_000, 0)).toBe(-1);
    expect(winsock.WSAGetLastError()).toBe(spi.WSAETIMEDOUT);
    expect(winsock.closesocket(client)).toBe(0);
    expect(world.b.winsock.closesocket(server)).toBe(0);
    world.close();
  });
});
