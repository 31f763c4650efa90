// Data over SAN connections, through the Winsock functions: small and large, in both variants, with
// every kind of completion.

import { describe, expect, it } from 'vitest';
import * as spi from '../../provider/spi/index.js';
import { connectPair, pattern, World } from './fakes/world.js';
import type { WorldOptions } from './fakes/world.js';

const buffers = (...parts: Uint8Array[]): spi.WSABUF[] =>
  parts.map((buf) => ({ len: buf.length, buf }));

const variants: [string, WorldOptions][] = [
  ['peers that read (variant A)', {}],
  ['peers that cannot read (variant B)', { a: { rdmaRead: false }, b: { rdmaRead: false } }],
  ['one that reads and one that cannot', { b: { rdmaRead: false } }],
  ['completions inside the call', { a: { inline: true }, b: { inline: true } }],
  ['reversed notifications', { a: { reversed: true }, b: { reversed: true } }],
  ['completion only when asked', { a: { lazy: true }, b: { lazy: true } }],
  ['completions much later, newest first', { a: { late: 5, shuffled: true }, b: { late: 9 } }],
  ['upcalls inside other calls', { a: { nested: true }, b: { nested: true, lazy: true } }],
  ['small limits', { a: { maxRdmaSize: 5000, threshold: 300 }, b: { maxMessageSize: 512 } }],
  ['profile real-switch', { profile: 'real-switch' }],
  ['profile hostile', { profile: 'hostile', a: { queueDepth: 1 }, b: { queueDepth: 1 } }],
];

describe.each(variants)('with %s', (_title, options) => {
  it('sends and receives a byte stream whatever the sizes [XFER-03 XFER-07 XFER-15 XFER-16 W4.7 ARCH-08]', () => {
    const world = new World(options);
    const { client, server } = connectPair(world);
    const sizes = [1, 64, 300, 4096, 4097, 9000, 100_000, 3, 70_000];
    const total = sizes.reduce((sum, size) => sum + size, 0);
    const data = pattern(total);
    const got = new Uint8Array(total);
    const ov = spi.createOverlapped();
    const flags = spi.ref(spi.MSG_WAITALL);
    expect(world.b.winsock.WSARecv(server, buffers(got), 1, null, flags, ov, null)).toBe(-1);
    expect(world.b.winsock.WSAGetLastError()).toBe(spi.WSA_IO_PENDING);
    let at = 0;
    for (const size of sizes) {
      expect(world.a.winsock.send(client, data.subarray(at, at + size), size, 0)).toBe(size);
      at += size;
    }
    const bytes = spi.ref(0);
    expect(world.b.winsock.WSAGetOverlappedResult(server, ov, bytes, true, spi.ref(0))).toBe(true);
    expect(bytes.value).toBe(total);
    expect(Buffer.compare(got, data)).toBe(0);
    expect(world.a.theSwitch.core.requests.outstanding).toBe(0);
    world.close();
  });

  it('carries both directions at once, with many sends under way [XFER-06 W4.15 OVL-13 OVL-14]', () => {
    const world = new World(options);
    const { client, server } = connectPair(world);
    const ends = [
      { winsock: world.a.winsock, s: client, out: pattern(60_000, 2), in: new Uint8Array(60_000) },
      { winsock: world.b.winsock, s: server, out: pattern(60_000, 3), in: new Uint8Array(60_000) },
    ];
    const sends: { ov: spi.WSAOVERLAPPED; end: (typeof ends)[number]; bytes: number }[] = [];
    const receives: { ov: spi.WSAOVERLAPPED; end: (typeof ends)[number] }[] = [];
    for (const end of ends) {
      for (let at = 0; at < 60_000; at += 3000) {
        const ov = spi.createOverlapped();
        const part = buffers(end.in.subarray(at, at + 3000));
        end.winsock.WSARecv(end.s, part, 1, null, spi.ref(spi.MSG_WAITALL), ov, null);
        receives.push({ ov, end });
      }
      for (let at = 0; at < 60_000; at += 6000) {
        const ov = spi.createOverlapped();
        const first = end.out.subarray(at, at + 1000);
        const second = end.out.subarray(at + 1000, at + 6000);
        end.winsock.WSASend(end.s, buffers(first, second), 2, null, 0, ov, null);
        sends.push({ ov, end, bytes: 6000 });
      }
    }
    const bytes = spi.ref(0);
    for (const { ov, end } of [...sends, ...receives]) {
      expect(end.winsock.WSAGetOverlappedResult(end.s, ov, bytes, true, spi.ref(0))).toBe(true);
    }
    expect(Buffer.compare(ends[0]?.out as Uint8Array, ends[1]?.in as Uint8Array)).toBe(0);
    expect(Buffer.compare(ends[1]?.out as Uint8Array, ends[0]?.in as Uint8Array)).toBe(0);
    world.close();
  });

  it('serves nonblocking readers of large data [XFER-15 EVT-04 W8.1.2]', () => {
    const world = new World(options);
    const { client, server } = connectPair(world);
    const data = pattern(150_000);
    const ov = spi.createOverlapped();
    world.a.winsock.WSASend(client, buffers(data), 1, null, 0, ov, null);
    expect(world.b.winsock.ioctlsocket(server, spi.FIONBIO, spi.ref(1))).toBe(0);
    const got = new Uint8Array(data.length);
    let at = 0;
    for (let tries = 0; at < got.length && tries < 100_000; tries++) {
      const count = world.b.winsock.recv(
        server,
        got.subarray(at),
        Math.min(7000, got.length - at),
        0,
      );
      if (count > 0) at += count;
      else expect(world.b.winsock.WSAGetLastError()).toBe(spi.WSAEWOULDBLOCK);
    }
    expect(Buffer.compare(got, data)).toBe(0);
    const bytes = spi.ref(0);
    expect(world.a.winsock.WSAGetOverlappedResult(client, ov, bytes, true, spi.ref(0))).toBe(true);
    expect(bytes.value).toBe(data.length);
    world.close();
  });
});

describe('the switch towards a provider', () => {
  it('moves large data by RDMA between the buffers of the applications, small data in messages [XFER-03 XFER-09 MEM-07 W14.7]', () => {
    const world = new World();
    const { client, server } = connectPair(world);
    const got = new Uint8Array(50_000);
    const ov = spi.createOverlapped();
    world.b.winsock.WSARecv(server, buffers(got), 1, null, spi.ref(spi.MSG_WAITALL), ov, null);
    world.a.winsock.send(client, pattern(50_000), 50_000, 0);
    const [connection] = world.a.theSwitch.core.connections;
    expect(connection?.session.statistics.bytesOutByRdma).toBeGreaterThan(49_000);
    world.a.winsock.send(client, pattern(4096), 4096, 0);
    expect(connection?.session.statistics.bytesOutByMessage).toBeGreaterThanOrEqual(4096);
    world.close();
  });

  it('keeps within SO_MAX_RDMA_SIZE, SO_MAX_MSG_SIZE and the queues of a provider, with one buffer a call [RDMA-06 RDMA-11 WSPSEND-10 OPT-03 OPT-04 IMPL-01 W14.15]', () => {
    // The fake refuses a longer message and a full queue, and the connection would be lost.
    const small = { maxRdmaSize: 3000, maxMessageSize: 700, queueDepth: 16 };
    const world = new World({ a: small, b: { ...small, rdmaRead: false } });
    const { client, server } = connectPair(world);
    const got = new Uint8Array(400_000);
    const receives = Array.from({ length: 8 }, (_, index) => {
      const ov = spi.createOverlapped();
      const part = buffers(got.subarray(index * 50_000, (index + 1) * 50_000));
      world.b.winsock.WSARecv(server, part, 1, null, spi.ref(spi.MSG_WAITALL), ov, null);
      return ov;
    });
    const data = pattern(400_000);
    expect(world.a.winsock.send(client, data, data.length, 0)).toBe(data.length);
    for (const ov of receives) {
      expect(world.b.winsock.WSAGetOverlappedResult(server, ov, spi.ref(0), true, spi.ref(0))).toBe(
        true,
      );
    }
    expect(Buffer.compare(got, data)).toBe(0);
    expect(world.a.san.mostRdmaBytes).toBe(3000);
    expect(world.a.san.mostOutstanding).toBeLessThanOrEqual(16);
    world.close();
  });

  it('registers two regions per connection, before receives are posted [XFER-04 MEM-01 SESS-02 SESS-03]', () => {
    const world = new World();
    connectPair(world);
    expect(world.a.san.registrations).toBe(2);
    expect([...world.a.san.sockets.values()].map(({ posted }) => posted.length)).toEqual([8]);
    const accepted = [...world.b.san.sockets.values()].find(({ peer }) => peer !== null);
    expect(accepted?.posted.length).toBe(8);
    world.close();
  });

  it('posts more receives, of a region of their own, for a peer with more to say [XFER-04 MEM-01 MEM-08]', () => {
    const world = new World();
    const { client, server } = connectPair(world);
    for (let index = 0; index < 40; index++) {
      expect(world.a.winsock.send(client, pattern(64, index), 64, 0)).toBe(64);
      expect(world.b.winsock.recv(server, new Uint8Array(64), 64, 0)).toBe(64);
    }
    world.settle();
    const accepted = [...world.b.san.sockets.values()].find(({ peer }) => peer !== null);
    expect(accepted?.posted.length).toBe(16);
    expect([world.a.san.registrations, world.b.san.registrations]).toEqual([2, 3]);
    world.a.winsock.closesocket(client);
    world.b.winsock.closesocket(server);
    world.settle();
    expect(world.b.san.registrations).toBe(0);
    world.close();
  });

  it('registers more send buffers once more than two messages are on their way, and not before [XFER-04 MEM-01]', () => {
    const world = new World();
    const { client, server } = connectPair(world);
    const blocks = world.a.memoryBlocks.size;
    for (let turn = 0; turn < 5; turn++) {
      expect(world.a.winsock.send(client, pattern(1_000), 1_000, 0)).toBe(1_000);
      expect(world.b.winsock.recv(server, new Uint8Array(1_000), 1_000, 0)).toBe(1_000);
    }
    expect([world.a.san.registrations, world.a.memoryBlocks.size]).toEqual([2, blocks]);
    const pending = Array.from({ length: 6 }, () => {
      const ov = spi.createOverlapped();
      world.a.winsock.WSASend(client, buffers(pattern(1_000)), 1, null, 0, ov, null);
      return ov;
    });
    expect([world.a.san.registrations, world.a.memoryBlocks.size]).toEqual([3, blocks + 1]);
    for (const ov of pending) {
      const { winsock } = world.a;
      expect(winsock.WSAGetOverlappedResult(client, ov, spi.ref(0), true, spi.ref(0))).toBe(true);
    }
    world.close();
  });

  it('ends a send whose memory cannot be registered with WSAENOBUFS, and goes on [XFER-13 W14.8]', () => {
    const world = new World();
    const { client, server } = connectPair(world);
    Object.defineProperty(world.a.san.options, 'fail', {
      value: { WSPRegisterRdmaMemory: spi.WSAENOBUFS },
    });
    expect(world.a.winsock.send(client, pattern(20_000), 20_000, 0)).toBe(-1);
    expect(world.a.winsock.WSAGetLastError()).toBe(spi.WSAENOBUFS);
    expect(world.a.winsock.send(client, pattern(10), 10, 0)).toBe(10);
    expect(world.b.winsock.recv(server, new Uint8Array(100), 100, 0)).toBe(10);
    world.close();
  });

  it('tells how much of an overlapped send has gone when memory for the rest cannot be registered in its call [XFER-13 W9.3]', () => {
    const world = new World();
    const { client, server } = connectPair(world);
    Object.defineProperty(world.a.san.options, 'fail', {
      value: { WSPRegisterRdmaMemory: spi.WSAENOBUFS },
    });
    const { winsock } = world.a;
    const ov = spi.createOverlapped(winsock.WSACreateEvent());
    const parts = [...buffers(pattern(10)), ...buffers(pattern(20_000))];
    expect(winsock.WSASend(client, parts, 2, null, 0, ov, null)).toBe(-1);
    expect(winsock.WSAGetLastError()).toBe(spi.WSA_IO_PENDING);
    expect(winsock.WSAWaitForMultipleEvents(1, [ov.hEvent], false, 0, false)).toBe(0);
    const sent = spi.ref(0);
    expect(winsock.WSAGetOverlappedResult(client, ov, sent, false, spi.ref(0))).toBe(false);
    expect([winsock.WSAGetLastError(), ov.InternalHigh]).toEqual([spi.WSAENOBUFS, 10]);
    expect(world.b.winsock.recv(server, new Uint8Array(100), 100, 0)).toBe(10);
    world.close();
  });

  it('ends operations with the reset that a lost connection means, and fails later ones at once [CLOSE-01 WSPRECV-07 W4.18 COMP-12 W14.19]', () => {
    const world = new World();
    const { client, server } = connectPair(world);
    const ov = spi.createOverlapped(world.b.winsock.WSACreateEvent());
    world.b.winsock.WSARecv(server, buffers(new Uint8Array(10)), 1, null, spi.ref(0), ov, null);
    const large = spi.createOverlapped();
    world.b.winsock.WSASend(server, buffers(pattern(50_000)), 1, null, 0, large, null);
    // As when the process of the peer dies: its provider's sockets are gone.
    for (const socket of world.b.san.sockets.values()) {
      if (socket.peer !== null) world.b.san.lose(socket, spi.WSAECONNRESET);
    }
    const { winsock } = world.b;
    expect(winsock.WSAWaitForMultipleEvents(1, [ov.hEvent], false, spi.WSA_INFINITE, false)).toBe(
      0,
    );
    for (const pending of [ov, large]) {
      expect(winsock.WSAGetOverlappedResult(server, pending, spi.ref(0), true, spi.ref(0))).toBe(
        false,
      );
      expect(winsock.WSAGetLastError()).toBe(spi.WSAECONNRESET);
    }
    const sent = spi.ref(77);
    const late = spi.createOverlapped();
    expect(winsock.WSASend(server, buffers(pattern(5)), 1, sent, 0, late, null)).toBe(-1);
    expect(winsock.WSAGetLastError()).toBe(spi.WSAECONNRESET);
    expect(sent.value).toBe(77);
    expect(winsock.recv(server, new Uint8Array(5), 5, 0)).toBe(-1);
    expect(winsock.WSAGetLastError()).toBe(spi.WSAECONNRESET);
    world.settle();
    expect(world.a.winsock.recv(client, new Uint8Array(5), 5, 0)).toBe(-1);
    expect(world.a.winsock.WSAGetLastError()).toBe(spi.WSAECONNRESET);
    world.close();
  });
});
