// The data calls as an application sees them: arguments, modes, results. Over the SAN and TCP/IP.

import { describe, expect, it } from 'vitest';
import * as spi from '../../../provider/spi/index.js';
import type { WorldOptions } from '../fakes/world.js';
import { B, connectPair, listenOn, name, pattern, World } from '../fakes/world.js';

const { WSAEFAULT, WSAEINVAL, WSAENOTCONN, WSAEOPNOTSUPP, WSAEWOULDBLOCK } = spi;
const buffers = (...parts: Uint8Array[]): spi.WSABUF[] =>
  parts.map((buf) => ({ len: buf.length, buf }));

interface Ends {
  world: World;
  client: number;
  server: number;
}

function pairOver(path: string, options: WorldOptions = {}): Ends {
  const world = new World(
    path === 'SAN' ? options : { ...options, a: { fail: { WSPConnect: spi.WSAETIMEDOUT } } },
  );
  const { client, server } = path === 'SAN' ? connectPair(world) : tcpPair(world);
  return { world, client, server };
}

function tcpPair(world: World): { client: number; server: number } {
  const listener = listenOn(world.b, B);
  const client = world.a.winsock.socket(spi.AF_INET, spi.SOCK_STREAM, 0);
  expect(world.a.winsock.connect(client, name(B), 16)).toBe(0);
  return { client, server: world.b.winsock.accept(listener, null, null) };
}

describe.each(['SAN', 'TCP/IP'])('over %s', (path) => {
  it('a pending receive says 0x103, writes neither count nor flags, and signals its event at the end [W8.1.5 W9.2 W9.7 W9.14.2 APP-05]', () => {
    const { world, client, server } = pairOver(path);
    const { winsock } = world.b;
    const ov = spi.createOverlapped(winsock.WSACreateEvent() | 1);
    winsock.WSASetEvent(ov.hEvent);
    const bytes = spi.ref(99);
    const flags = spi.ref(0);
    const got = new Uint8Array(20);
    expect(winsock.WSARecv(server, buffers(got), 1, bytes, flags, ov, null)).toBe(-1);
    expect(winsock.WSAGetLastError()).toBe(spi.WSA_IO_PENDING);
    expect(ov.Internal).toBe(0x103);
    expect(bytes.value).toBe(99);
    const event = ov.hEvent & ~1;
    expect(winsock.WSAWaitForMultipleEvents(1, [event], false, 0, false)).toBe(
      spi.WSA_WAIT_TIMEOUT,
    );
    expect(winsock.WSAGetOverlappedResult(server, ov, bytes, false, flags)).toBe(false);
    expect(winsock.WSAGetLastError()).toBe(spi.WSA_IO_INCOMPLETE);
    world.a.winsock.send(client, pattern(12), 12, 0);
    expect(winsock.WSAWaitForMultipleEvents(1, [event], false, spi.WSA_INFINITE, false)).toBe(0);
    expect(winsock.WSAGetOverlappedResult(server, ov, bytes, false, flags)).toBe(true);
    expect(bytes.value).toBe(12);
    expect(got.subarray(0, 12)).toEqual(pattern(12));
    world.close();
  });

  it('an immediate success signals the event too [W8.1.4 W9.3 W4.12]', () => {
    const { world, client, server } = pairOver(path);
    world.a.winsock.send(client, pattern(12), 12, 0);
    world.settle();
    const { winsock } = world.b;
    const ov = spi.createOverlapped(winsock.WSACreateEvent());
    const bytes = spi.ref(0);
    const flags = spi.ref(0);
    expect(winsock.WSARecv(server, buffers(new Uint8Array(20)), 1, bytes, flags, ov, null)).toBe(0);
    expect(bytes.value).toBe(12);
    expect(winsock.WSAWaitForMultipleEvents(1, [ov.hEvent], false, 0, false)).toBe(0);
    expect([ov.Internal, ov.InternalHigh]).toEqual([0, 12]);
    world.close();
  });

  it('receives are filled in order and packed, and satisfied in posting order [W8.1.1 W8.1.3 W4.2]', () => {
    const { world, client, server } = pairOver(path);
    const { winsock } = world.b;
    const parts = [new Uint8Array(3), new Uint8Array(5), new Uint8Array(8)];
    const [first, second, third] = parts as [Uint8Array, Uint8Array, Uint8Array];
    const ovs = [spi.createOverlapped(), spi.createOverlapped()] as const;
    winsock.WSARecv(server, buffers(first, second), 2, null, spi.ref(0), ovs[0], null);
    winsock.WSARecv(server, buffers(third), 1, null, spi.ref(0), ovs[1], null);
    const data = pattern(16);
    world.a.winsock.WSASend(
      client,
      buffers(data.subarray(0, 7), data.subarray(7)),
      2,
      spi.ref(0),
      0,
      null,
      null,
    );
    world.settle();
    expect(Buffer.concat(parts)).toEqual(Buffer.from(data));
    expect(ovs.map(({ InternalHigh }) => InternalHigh)).toEqual([8, 8]);
    world.close();
  });

  it('checks arguments before the connection [W4.12 W4.20 W8.1.6 W3.6]', () => {
    const { world, client } = pairOver(path);
    const { winsock } = world.a;
    const buf = new Uint8Array(4);
    const bytes = spi.ref(5);
    const flags = spi.ref(0);
    const unconnected = winsock.socket(spi.AF_INET, spi.SOCK_STREAM, 0);
    const bad: [() => number, number][] = [
      [() => winsock.WSASend(client, null, 1, bytes, 0, null, null), WSAEFAULT],
      [() => winsock.WSASend(client, [{ len: 5, buf }], 1, bytes, 0, null, null), WSAEFAULT],
      [() => winsock.WSASend(client, buffers(buf), 2, bytes, 0, null, null), WSAEFAULT],
      [() => winsock.WSASend(client, buffers(buf), 1, null, 0, null, null), WSAEFAULT],
      [
        () => winsock.WSASend(client, buffers(buf), 1, bytes, spi.MSG_PARTIAL, null, null),
        WSAEOPNOTSUPP,
      ],
      [() => winsock.send(unconnected, buf, 0, 0), WSAENOTCONN],
      [() => winsock.recv(unconnected, buf, 4, 0), WSAENOTCONN],
      [() => winsock.WSARecv(client, [], 0, bytes, flags, null, null), WSAEINVAL],
      [() => winsock.WSARecv(client, buffers(buf), 1, bytes, null, null, null), WSAEFAULT],
      [() => winsock.recv(client, buf, 4, spi.MSG_WAITALL | spi.MSG_PEEK), WSAEOPNOTSUPP],
    ];
    for (const [call, error] of bad) {
      expect(call()).toBe(-1);
      expect(winsock.WSAGetLastError()).toBe(error);
    }
    expect(bytes.value).toBe(5);
    world.close();
  });

  it('a nonblocking receive of nothing is WSAEWOULDBLOCK, and MSG_WAITALL is refused there [W8.1.8 W8.1.14]', () => {
    const { world, server } = pairOver(path);
    const { winsock } = world.b;
    winsock.ioctlsocket(server, spi.FIONBIO, spi.ref(1));
    expect(winsock.recv(server, new Uint8Array(4), 4, 0)).toBe(-1);
    expect(winsock.WSAGetLastError()).toBe(WSAEWOULDBLOCK);
    expect(winsock.recv(server, new Uint8Array(4), 4, spi.MSG_WAITALL)).toBe(-1);
    expect(winsock.WSAGetLastError()).toBe(WSAEOPNOTSUPP);
    world.close();
  });

  it('MSG_PEEK leaves the data, MSG_WAITALL waits for all of it [W8.1.7 W8.1.8]', () => {
    const { world, client, server } = pairOver(path);
    const { winsock } = world.b;
    world.a.winsock.send(client, pattern(6), 6, 0);
    const got = new Uint8Array(10);
    for (let count = 0; count < 2; count++) {
      expect(winsock.recv(server, got, 4, spi.MSG_PEEK)).toBe(4);
      expect(got.subarray(0, 4)).toEqual(pattern(6).subarray(0, 4));
    }
    world.a.winsock.send(client, pattern(6), 4, 0);
    expect(winsock.recv(server, got, 10, spi.MSG_WAITALL)).toBe(10);
    world.close();
  });

  it('a zero-byte send is nothing, and a zero-byte receive waits for something [W4.13 W8.1.6]', () => {
    const { world, client, server } = pairOver(path);
    expect(world.a.winsock.send(client, new Uint8Array(0), 0, 0)).toBe(0);
    world.settle();
    const { winsock } = world.b;
    if (path === 'SAN') {
      const ov = spi.createOverlapped();
      expect(
        winsock.WSARecv(server, buffers(new Uint8Array(0)), 1, null, spi.ref(0), ov, null),
      ).toBe(-1);
      world.a.winsock.send(client, pattern(5), 5, 0);
      world.settle();
      expect([ov.Internal, ov.InternalHigh]).toEqual([0, 0]);
    } else {
      world.a.winsock.send(client, pattern(5), 5, 0);
    }
    expect(winsock.recv(server, new Uint8Array(9), 9, 0)).toBe(5);
    world.close();
  });

  it('SO_RCVTIMEO ends a blocking receive, and data that comes later is not lost [W8.1.14 W8.1.15]', () => {
    const { world, client, server } = pairOver(path);
    const { winsock } = world.b;
    winsock.setsockopt(server, spi.SOL_SOCKET, spi.SO_RCVTIMEO, Uint8Array.of(100, 0, 0, 0), 4);
    const before = world.clock.now();
    expect(winsock.recv(server, new Uint8Array(4), 4, 0)).toBe(-1);
    expect(winsock.WSAGetLastError()).toBe(spi.WSAETIMEDOUT);
    expect(world.clock.now() - before).toBe(100_000_000);
    world.a.winsock.send(client, pattern(3), 3, 0);
    expect(winsock.recv(server, new Uint8Array(4), 4, 0)).toBe(3);
    world.close();
  });

  it('sendto and WSASendTo on a stream ignore the address [W5.2 APP-06]', () => {
    const { world, client, server } = pairOver(path);
    const garbage = new Uint8Array(3);
    expect(world.a.winsock.sendto(client, pattern(4), 4, 0, garbage, 3)).toBe(4);
    const bytes = spi.ref(0);
    const list = buffers(pattern(5));
    expect(world.a.winsock.WSASendTo(client, list, 1, bytes, 0, garbage, 3, null, null)).toBe(0);
    expect(bytes.value).toBe(5);
    expect(world.b.winsock.recv(server, new Uint8Array(9), 9, spi.MSG_WAITALL)).toBe(9);
    world.close();
  });

  it('FIONREAD counts what can be read, and other ioctls check their sizes [W11.1 W11.2]', () => {
    const { world, client, server } = pairOver(path);
    if (path === 'SAN') {
      world.a.winsock.send(client, pattern(33), 33, 0);
      world.settle();
      const count = spi.ref(0);
      expect(world.b.winsock.ioctlsocket(server, spi.FIONREAD, count)).toBe(0);
      expect(count.value).toBe(33);
    }
    const { winsock } = world.b;
    const three = new Uint8Array(3);
    const four = new Uint8Array(4);
    expect(winsock.WSAIoctl(server, spi.FIONBIO, three, 3, null, 0, spi.ref(0), null, null)).toBe(
      -1,
    );
    expect(winsock.WSAGetLastError()).toBe(WSAEFAULT);
    expect(winsock.WSAIoctl(server, spi.FIONBIO, four, 4, null, 0, null, null, null)).toBe(-1);
    expect(winsock.WSAGetLastError()).toBe(WSAEFAULT);
    world.close();
  });

  it.each([
    ['documented', -1],
    ['windows', 0],
  ] as const)(
    'a structure given to a nonoverlapped socket is treated as in profile %s [W4.5 W4.24]',
    (profile, internal) => {
      const { world } = pairOver(path, { profile });
      const { winsock } = world.a;
      const s = winsock.WSASocket(spi.AF_INET, spi.SOCK_STREAM, 0, null, 0, 0);
      expect(winsock.connect(s, name(B, 4000), 16)).toBe(0);
      const ov = spi.createOverlapped();
      ov.Internal = -1;
      const bytes = spi.ref(0);
      expect(winsock.WSASend(s, buffers(pattern(4)), 1, bytes, 0, ov, null)).toBe(0);
      expect(bytes.value).toBe(4);
      expect(ov.Internal).toBe(internal);
      world.close();
    },
  );
});

describe('nonblocking sends over SAN', () => {
  it.each([
    ['documented', true],
    ['windows', false],
  ] as const)('take what fits, or all, as profile %s says [W4.6 APP-02]', (profile, isPartial) => {
    const { world, client, server } = pairOver('SAN', { profile });
    const { winsock } = world.a;
    winsock.ioctlsocket(client, spi.FIONBIO, spi.ref(1));
    const data = pattern(500_000);
    const sent = winsock.send(client, data, data.length, 0);
    if (isPartial) expect(sent).toBeLessThan(data.length);
    else expect(sent).toBe(data.length);
    expect(sent).toBeGreaterThan(0);
    const copy = data.slice();
    data.fill(0);
    const got = new Uint8Array(sent);
    expect(world.b.winsock.recv(server, got, sent, spi.MSG_WAITALL)).toBe(sent);
    expect(Buffer.compare(got, copy.subarray(0, sent))).toBe(0);
    world.close();
  });

  it('SO_SNDTIMEO ends a blocking send, and with it the connection [W4.17 BLK-05]', () => {
    const { world, client } = pairOver('SAN');
    const { winsock } = world.a;
    winsock.setsockopt(client, spi.SOL_SOCKET, spi.SO_SNDTIMEO, Uint8Array.of(50, 0, 0, 0), 4);
    expect(winsock.send(client, pattern(100_000), 100_000, 0)).toBe(-1);
    expect(winsock.WSAGetLastError()).toBe(spi.WSAETIMEDOUT);
    expect(winsock.send(client, pattern(1), 1, 0)).toBe(-1);
    expect(winsock.WSAGetLastError()).toBe(spi.WSAECONNABORTED);
    world.close();
  });
});
