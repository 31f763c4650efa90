// Operations that are given up while they are under way: by closesocket, by the application one by one,
// by a timeout; and the questions of those who wait for readiness.

import { describe, expect, it } from 'vitest';
import * as spi from '../../provider/spi/index.js';
import type { AppRequest } from '../../switch/app-request.js';
import type { Connection } from '../../switch/connection.js';
import { canRead, canWrite, hasOob } from '../../switch/readiness.js';
import { connectPair, pattern, World } from './fakes/world.js';
import type { HostUnderTest, WorldOptions } from './fakes/world.js';

const buffers = (...parts: Uint8Array[]): spi.WSABUF[] =>
  parts.map((buf) => ({ len: buf.length, buf }));

function send(host: HostUnderTest, s: number, data: Uint8Array): spi.WSAOVERLAPPED {
  const ov = spi.createOverlapped(host.winsock.WSACreateEvent());
  host.winsock.WSASend(s, buffers(data), 1, null, 0, ov, null);
  return ov;
}

function receive(host: HostUnderTest, s: number, into: Uint8Array, flags = 0): spi.WSAOVERLAPPED {
  const ov = spi.createOverlapped(host.winsock.WSACreateEvent());
  host.winsock.WSARecv(s, buffers(into), 1, null, spi.ref(flags), ov, null);
  return ov;
}

function connectionOf(host: HostUnderTest): Connection {
  const [connection] = host.theSwitch.core.connections;
  if (connection === undefined) throw new Error('no connection');
  return connection;
}

/** Requests of `host` that its session still has. */
function requestsOf(host: HostUnderTest, s: number): AppRequest[] {
  const all: AppRequest[] = [];
  let at = host.theSwitch.core.sockets.find(s)?.newestRequest ?? null;
  for (; at !== null; at = at.older) all.unshift(at);
  return all;
}

const errorOf = (ov: spi.WSAOVERLAPPED): number => spi.wsaErrorOfStatus(ov.Internal);
const IN_PROGRESS = spi.wsaErrorOfStatus(spi.WSS_OPERATION_IN_PROGRESS);

const worlds: [string, WorldOptions][] = [
  ['a peer that reads', {}],
  ['a peer that cannot read', { b: { rdmaRead: false } }],
  ['upcalls inside other calls', { a: { nested: true }, b: { nested: true } }],
  [
    'aborted calls that end after WSPCloseSocket',
    { a: { abortsLate: true }, b: { abortsLate: true } },
  ],
  ['completions much later', { a: { late: 7 }, b: { late: 3 } }],
];

describe.each(worlds)('closesocket during a transfer, %s', (_title, options) => {
  it('ends pending sends with WSA_OPERATION_ABORTED; the peer sees that its stream is short [W9.10.1 CLOSE-02 W14.12 W12.6]', () => {
    const world = new World(options);
    const { client, server } = connectPair(world);
    const sends = [1, 2, 3].map((seed) => send(world.a, client, pattern(100_000, seed)));
    const small = send(world.a, client, pattern(10));
    world.settle();
    expect(world.a.winsock.closesocket(client)).toBe(0);
    world.settle();
    expect(sends.map(errorOf)).toEqual(sends.map(() => spi.WSA_OPERATION_ABORTED));
    expect([errorOf(small), small.InternalHigh]).toEqual([0, 10]);
    const { winsock } = world.b;
    const got = new Uint8Array(1000);
    expect(winsock.recv(server, got, 1000, 0)).toBe(256);
    expect(Buffer.compare(got.subarray(0, 256), pattern(100_000, 1).subarray(0, 256))).toBe(0);
    expect(winsock.recv(server, got, 1000, 0)).toBe(-1);
    expect(winsock.WSAGetLastError()).toBe(spi.WSAECONNRESET);
    world.close();
  });

  it('signals FD_CLOSE with WSAECONNRESET, not the end of a whole stream [W10.8 W9.10.1]', () => {
    const world = new World(options);
    const { client, server } = connectPair(world);
    const { winsock } = world.b;
    const event = winsock.WSACreateEvent();
    winsock.WSAEventSelect(server, event, spi.FD_CLOSE);
    send(world.a, client, pattern(100_000));
    world.a.winsock.closesocket(client);
    world.settle();
    expect(winsock.recv(server, new Uint8Array(500), 500, 0)).toBe(256);
    const seen = spi.createNetworkEvents();
    expect(winsock.WSAEnumNetworkEvents(server, event, seen)).toBe(0);
    expect([seen.lNetworkEvents, seen.iErrorCode[spi.FD_CLOSE_BIT]]).toEqual([
      spi.FD_CLOSE,
      spi.WSAECONNRESET,
    ]);
    world.close();
  });

  it('waits for RDMA that has begun, and then for nothing [BLK-05 CLOSE-02 MEM-08]', () => {
    const world = new World(options);
    const { client, server } = connectPair(world);
    const got = new Uint8Array(200_000);
    const incoming = receive(world.b, server, got, spi.MSG_WAITALL);
    const data = pattern(200_000);
    const outgoing = send(world.a, client, data);
    // As far as the announcement, not to the end.
    for (let turn = 0; turn < 3; turn++) world.progress.poll();
    world.a.winsock.closesocket(client);
    world.settle();
    expect([0, spi.WSA_OPERATION_ABORTED]).toContain(errorOf(outgoing));
    expect(errorOf(incoming)).toBe(0);
    expect(Buffer.compare(got, data)).toBe(0);
    world.close();
  });

  it.each(['closesocket', 'CancelIoEx'] as const)(
    'so does TransmitFile, whose memory is free when it has ended, by %s [BLK-05 XFER-17 W9.10.1 W9.10.5]',
    (how) => {
      const world = new World(options);
      const { client, server } = connectPair(world);
      const { winsock } = world.a;
      const got = new Uint8Array(200_000);
      const incoming = receive(world.b, server, got, spi.MSG_WAITALL);
      const data = pattern(200_000);
      const Head = data.slice();
      const parts = { Head, HeadLength: Head.length, Tail: null, TailLength: 0 };
      const ov = spi.createOverlapped(winsock.WSACreateEvent());
      winsock.TransmitFile(client, 0, 0, 0, ov, parts, 0);
      for (let turn = 0; turn < 3; turn++) world.progress.poll();
      if (how === 'closesocket') winsock.closesocket(client);
      else winsock.CancelIoEx(client, ov);
      while (errorOf(ov) === IN_PROGRESS) world.progress.poll();
      Head.fill(0);
      world.settle();
      expect([0, spi.WSA_OPERATION_ABORTED]).toContain(errorOf(ov));
      expect(errorOf(incoming)).toBe(0);
      expect(Buffer.compare(got, data)).toBe(0);
      world.close();
    },
  );

  it('a peer that never moves again is waited for one second [BLK-05 W14.10]', () => {
    const world = new World(options);
    const { client } = connectPair(world);
    const outgoing = send(world.a, client, pattern(50_000));
    world.progress.remove(world.b.theSwitch);
    world.a.winsock.closesocket(client);
    world.settle();
    expect(errorOf(outgoing)).toBe(IN_PROGRESS);
    const before = world.clock.now();
    const { winsock } = world.a;
    expect(
      winsock.WSAWaitForMultipleEvents(1, [outgoing.hEvent], false, spi.WSA_INFINITE, false),
    ).toBe(0);
    expect(world.clock.now() - before).toBeLessThanOrEqual(1_000_000_000);
    expect(errorOf(outgoing)).toBe(spi.WSA_OPERATION_ABORTED);
    world.progress.add(world.b.theSwitch);
    world.close();
  });
});

describe('an operation that the application gives up', () => {
  it('ends at once when nothing of it has moved, and the others go on [BLK-04 W9.10.5]', () => {
    const world = new World();
    const { client, server } = connectPair(world);
    const first = receive(world.b, server, new Uint8Array(5));
    const second = receive(world.b, server, new Uint8Array(5));
    const connection = [...world.b.theSwitch.core.connections][0] as Connection;
    const [, request] = requestsOf(world.b, server);
    expect(connection.cancel(request as AppRequest)).toBe(true);
    expect([errorOf(first), errorOf(second)]).toEqual([IN_PROGRESS, spi.WSA_OPERATION_ABORTED]);
    world.a.winsock.send(client, pattern(10), 10, 0);
    world.settle();
    expect([errorOf(first), first.InternalHigh]).toEqual([0, 5]);
    expect(world.b.winsock.recv(server, new Uint8Array(9), 9, 0)).toBe(5);
    // What is under way no longer costs a look at the clock.
    world.settle();
    expect(connection.needsTurns).toBe(false);
    world.close();
  });

  it('a send that was announced ends with it, and nothing can follow on that stream [BLK-05 W9.10.5]', () => {
    const world = new World();
    const { client, server } = connectPair(world);
    const outgoing = send(world.a, client, pattern(50_000));
    world.settle();
    const [request] = requestsOf(world.a, client);
    expect(connectionOf(world.a).cancel(request as AppRequest)).toBe(true);
    world.settle();
    expect(errorOf(outgoing)).toBe(spi.WSA_OPERATION_ABORTED);
    expect(world.a.winsock.send(client, pattern(1), 1, 0)).toBe(-1);
    expect(world.a.winsock.WSAGetLastError()).toBe(spi.WSAECONNABORTED);
    // The other direction is whole.
    world.b.winsock.send(server, pattern(5), 5, 0);
    expect(world.a.winsock.recv(client, new Uint8Array(9), 9, 0)).toBe(5);
    world.close();
  });

  it('a receive with RDMA at work is waited for [BLK-05]', () => {
    const world = new World({ b: { late: 50 } });
    const { client, server } = connectPair(world);
    const got = new Uint8Array(50_000);
    const incoming = receive(world.b, server, got, spi.MSG_WAITALL);
    const outgoing = send(world.a, client, pattern(40_000));
    for (let turn = 0; turn < 6; turn++) world.progress.poll();
    const connection = [...world.b.theSwitch.core.connections][0] as Connection;
    expect(connection.cancel(requestsOf(world.b, server)[0] as AppRequest)).toBe(true);
    expect(errorOf(incoming)).toBe(IN_PROGRESS);
    world.settle();
    expect([errorOf(incoming), errorOf(outgoing)]).toEqual([spi.WSA_OPERATION_ABORTED, 0]);
    world.close();
  });

  it('SO_RCVTIMEO during RDMA waits for it, and after that for nothing [BLK-04 BLK-05 W8.1.14]', () => {
    const world = new World();
    const { client, server } = connectPair(world);
    const { winsock } = world.b;
    const timeout = Uint8Array.of(50, 0, 0, 0);
    winsock.setsockopt(server, spi.SOL_SOCKET, spi.SO_RCVTIMEO, timeout, 4);
    const outgoing = send(world.a, client, pattern(30_000));
    expect(winsock.recv(server, new Uint8Array(50_000), 50_000, spi.MSG_WAITALL)).toBe(-1);
    expect(winsock.WSAGetLastError()).toBe(spi.WSAETIMEDOUT);
    world.settle();
    expect([errorOf(outgoing), outgoing.InternalHigh]).toEqual([0, 30_000]);
    world.close();
  });
});

describe('readiness', () => {
  it('to read: not before data, the end or the loss is there; large data is fetched for it [W8.1.2 XFER-15]', () => {
    const world = new World();
    const { client } = connectPair(world);
    const connection = [...world.b.theSwitch.core.connections][0] as Connection;
    expect([canRead(connection), canWrite(connection), hasOob(connection)]).toEqual([
      false,
      true,
      false,
    ]);
    const outgoing = send(world.a, client, pattern(50_000));
    world.settle();
    expect(canRead(connection)).toBe(true);
    world.a.winsock.closesocket(client);
    world.settle();
    expect(errorOf(outgoing)).toBe(spi.WSA_OPERATION_ABORTED);
    expect([canRead(connection), canWrite(connection)]).toEqual([true, true]);
    world.close();
  });

  it('to read large data that lies there alone comes with the bytes [XFER-15 W10.2]', () => {
    const world = new World();
    const { client, server } = connectPair(world);
    const connection = [...world.b.theSwitch.core.connections][0] as Connection;
    const outgoing = send(world.a, client, pattern(50_000));
    world.settle();
    const got = new Uint8Array(50_000);
    expect(world.b.winsock.recv(server, got, 256, 0)).toBe(256);
    expect(canRead(connection)).toBe(false);
    world.settle();
    expect(canRead(connection)).toBe(true);
    expect(world.b.winsock.recv(server, got, 50_000, 0)).toBe(49_744);
    world.settle();
    expect(errorOf(outgoing)).toBe(0);
    world.close();
  });

  it('to write: not while the peer’s window or the credits are used up [W4.6 XFER-06]', () => {
    const world = new World();
    const { client, server } = connectPair(world);
    const connection = connectionOf(world.a);
    const { winsock } = world.a;
    winsock.ioctlsocket(client, spi.FIONBIO, spi.ref(1));
    let sent = 0;
    for (let count = 0; count >= 0; sent += Math.max(count, 0)) {
      world.settle();
      count = winsock.send(client, pattern(3000), 3000, 0);
    }
    expect(winsock.WSAGetLastError()).toBe(spi.WSAEWOULDBLOCK);
    expect(sent).toBe(65_536);
    expect(canWrite(connection)).toBe(false);
    expect(world.b.winsock.recv(server, new Uint8Array(sent), sent, spi.MSG_WAITALL)).toBe(sent);
    world.settle();
    expect(canWrite(connection)).toBe(true);
    world.close();
  });

  it.each([
    [1000, 4160],
    [100_000, 100_000],
  ])(
    'SO_RCVBUF of %i bounds what is stored for nobody, at %i bytes [XFER-05 XFER-06]',
    (size, bound) => {
      const world = new World();
      const { a, b } = world;
      const option = Buffer.alloc(4);
      option.writeUInt32LE(size);
      const listener = b.winsock.socket(spi.AF_INET, spi.SOCK_STREAM, 0);
      b.winsock.setsockopt(listener, spi.SOL_SOCKET, spi.SO_RCVBUF, option, 4);
      b.winsock.bind(listener, spi.sockaddrIn('0.0.0.0', 4000), 16);
      b.winsock.listen(listener, 1);
      const client = a.winsock.socket(spi.AF_INET, spi.SOCK_STREAM, 0);
      expect(a.winsock.connect(client, spi.sockaddrIn(b.address, 4000), 16)).toBe(0);
      a.winsock.ioctlsocket(client, spi.FIONBIO, spi.ref(1));
      let sent = 0;
      for (let count = 0; count >= 0; sent += Math.max(count, 0)) {
        world.settle();
        count = a.winsock.send(client, pattern(3000), 3000, 0);
      }
      expect(sent).toBe(bound);
      world.close();
    },
  );
});

describe('a provider that never ends its calls', () => {
  it('is not waited for when the socket is closed, and the memory of its calls is not used again [CLOSE-02 CLOSE-03]', () => {
    const world = new World({ a: { abortsLate: true } });
    const { client } = connectPair(world);
    const { core } = world.a.theSwitch;
    // From now on nothing that the provider has put off is done.
    world.progress.remove(world.a.san);
    const option = Uint8Array.of(1, 0, 0, 0);
    world.a.winsock.setsockopt(client, spi.SOL_SOCKET, spi.SO_LINGER, option, 4);
    const incoming = receive(world.a, client, new Uint8Array(10));
    world.a.winsock.closesocket(client);
    expect(errorOf(incoming)).toBe(spi.WSA_OPERATION_ABORTED);
    const isGone = (): boolean => core.connections.size === 0;
    expect(world.progress.waitUntil(isGone, world.clock.now() + 5_000_000_000)).toBe(true);
    expect([core.memory.lentCount, world.a.memoryBlocks.size]).toEqual([0, 1]);
    world.progress.add(world.a.san);
    world.settle();
    const again = world.a.winsock.socket(spi.AF_INET, spi.SOCK_STREAM, 0);
    expect(world.a.winsock.connect(again, spi.sockaddrIn(world.b.address, 4000), 16)).toBe(0);
    expect(world.a.memoryBlocks.size).toBe(2);
    world.close();
  });
});
