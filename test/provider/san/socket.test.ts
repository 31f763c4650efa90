// Creating, binding and closing sockets.

import { expect, it } from 'vitest';
import * as spi from '../../../provider/spi/index.js';
import { SanSocket, SocketTable } from '../../../provider/san/record.js';
import { FakeFabric } from './fake-nic.js';
import {
  connectedPair,
  LEFT_IP,
  LEFT_PORT,
  LISTEN_PORT,
  RIGHT_IP,
  settle,
  shutDown,
  TestHost,
  underEveryProfile,
} from './harness.js';

function createWith(host: TestHost, changes: Partial<Record<string, number>>): [number, number] {
  const { af = spi.AF_INET, type = spi.SOCK_STREAM, protocol = spi.IPPROTO_TCP } = changes;
  const { g = 0, flags = spi.WSA_FLAG_OVERLAPPED, reserved = 0 } = changes;
  const info = { ...spi.tcpProtocolInfo(), dwProviderReserved: reserved };
  host.errno.value = 0;
  const s = host.procs.lpWSPSocket(af, type, protocol, info, g, flags, host.errno);
  return [s, host.errno.value];
}

underEveryProfile('WSPSocket', (profile) => {
  it('has a descriptor of its own beside the handle of the switch [COMP-06 COMP-07 SOCKET-03]', () => {
    const host = new TestHost(new FakeFabric(), LEFT_IP, { profile });
    const s = host.socket();
    // What the switch gets to know of the provider's record is the provider's own descriptor.
    expect(host.upcalls.calls).toMatchObject([{ name: 'create', context: s }]);
    expect(host.upcalls.openHandles.has(s)).toBe(false);
    shutDown(host);
  });

  it.each([
    ['another family', { af: spi.AF_INET6 }, spi.WSAEAFNOSUPPORT],
    ['another type', { type: spi.SOCK_DGRAM }, spi.WSAESOCKTNOSUPPORT],
    ['a protocol of another type', { protocol: spi.IPPROTO_UDP }, spi.WSAEPROTOTYPE],
    ['an unknown protocol', { protocol: 200 }, spi.WSAEPROTONOSUPPORT],
    ['a group', { g: 1 }, spi.WSAEINVAL],
    ['a socket that is not overlapped', { flags: 0 }, spi.WSAEINVAL],
    ['further flags', { flags: 0x81 }, spi.WSAEINVAL],
    ['a duplicate that nobody made', { reserved: 7 }, spi.WSAEINVAL],
  ])('refuses %s [SOCKET-02 SOCKET-05]', (_what, changes, error) => {
    const host = new TestHost(new FakeFabric(), LEFT_IP, { profile });
    expect(createWith(host, changes)).toEqual([spi.INVALID_SOCKET, error]);
    expect(host.upcalls.calls).toEqual([]);
    shutDown(host);
  });

  it('fails as lpWPUCreateSocketHandle fails [SOCKET-02 UPC-03]', () => {
    const host = new TestHost(new FakeFabric(), LEFT_IP, { profile });
    host.upcalls.handlesLeft = 0;
    expect(createWith(host, {})).toEqual([spi.INVALID_SOCKET, spi.WSAENOBUFS]);
    shutDown(host);
  });

  it('gives odd and sparse descriptors where the profile wants them [COMP-06]', () => {
    const profile = spi.PROFILES.hostile;
    const host = new TestHost(new FakeFabric(), LEFT_IP, { profile });
    const descriptors = Array.from({ length: 20 }, () => host.socket());
    expect(descriptors.every((s) => s % 2 === 1)).toBe(true);
    expect(new Set(descriptors).size).toBe(20);
    shutDown(host);
  });
});

underEveryProfile('WSPBind', (profile) => {
  function bind(host: TestHost, name: Uint8Array | null, namelen = 16): number {
    host.errno.value = 0;
    host.procs.lpWSPBind(host.socket(), name, namelen, host.errno);
    return host.errno.value;
  }

  it('takes the address of its NIC and the wildcard, several times the same port [BIND-03 BIND-04 INST-11]', () => {
    const host = new TestHost(new FakeFabric(), LEFT_IP, { profile });
    expect(bind(host, spi.sockaddrIn(LEFT_IP, 7))).toBe(0);
    expect(bind(host, spi.sockaddrIn(LEFT_IP, 7))).toBe(0);
    expect(bind(host, spi.sockaddrIn(0, 7))).toBe(0);
    shutDown(host);
  });

  it('refuses what is not an address of its own, or has no port [BIND-01 BIND-02 COMP-08 IMPL-04]', () => {
    const host = new TestHost(new FakeFabric(), LEFT_IP, { profile });
    expect(bind(host, spi.sockaddrIn('10.0.0.1', 7))).toBe(spi.WSAEADDRNOTAVAIL);
    // TCP/IP has chosen a port before.
    expect(bind(host, spi.sockaddrIn(LEFT_IP, 0))).toBe(spi.WSAEADDRNOTAVAIL);
    expect(bind(host, null)).toBe(spi.WSAEFAULT);
    expect(bind(host, spi.sockaddrIn(LEFT_IP, 7), 15)).toBe(spi.WSAEFAULT);
    expect(bind(host, spi.sockaddrIn6('::1', 7), 28)).toBe(spi.WSAEFAULT);
    shutDown(host);
  });

  it('binds a socket once [BIND-02]', () => {
    const host = new TestHost(new FakeFabric(), LEFT_IP, { profile });
    const s = host.bound(7);
    const name = spi.sockaddrIn(LEFT_IP, 8);
    expect(host.procs.lpWSPBind(s, name, 16, host.errno)).toBe(spi.SOCKET_ERROR);
    expect(host.errno.value).toBe(spi.WSAEINVAL);
    shutDown(host);
  });
});

underEveryProfile('WSPCloseSocket', (profile) => {
  it('makes the descriptor mean nothing, at once and for good [CLOSESOCK-01 CLOSESOCK-02 CLOSE-06]', () => {
    const { left, right, a } = connectedPair({ profile });
    const buffer = new Uint8Array(8);
    const handle = left.register(a, buffer);
    const descriptor = left.expose(a, buffer);
    left.close(a);
    const overlapped = spi.createOverlapped(1);
    for (const s of [a, spi.INVALID_SOCKET]) {
      const calls = [
        () => left.procs.lpWSPCloseSocket(s, left.errno),
        () => left.procs.lpWSPBind(s, spi.sockaddrIn(LEFT_IP, 9), 16, left.errno),
        () => left.connect(s, RIGHT_IP, LISTEN_PORT),
        () => left.procs.lpWSPListen(s, 1, left.errno),
        () => left.procs.lpWSPEventSelect(s, 4, spi.FD_CONNECT, left.errno),
        () => left.procs.lpWSPEnumNetworkEvents(s, 0, spi.createNetworkEvents(), left.errno),
        () => left.send(s, overlapped, buffer),
        () => left.receive(s, overlapped, buffer),
        () => left.extensions.WSPDeregisterMemory(s, handle, left.errno),
        () => left.extensions.WSPDeregisterRdmaMemory(s, descriptor, 32, left.errno),
        () => left.procs.lpWSPGetSockOpt(s, 0, 0, null, null, left.errno),
        () => left.procs.lpWSPSetSockOpt(s, 0, 0, null, 0, left.errno),
      ];
      for (const call of calls) {
        left.errno.value = 0;
        expect([call(), left.errno.value]).toEqual([spi.SOCKET_ERROR, spi.WSAENOTSOCK]);
      }
      expect(left.accept(s)).toBe(spi.INVALID_SOCKET);
      expect(left.result(s, overlapped)).toEqual([-1, spi.WSAENOTSOCK]);
      expect(left.register(s, buffer)).toBe(0);
      expect(left.errno.value).toBe(spi.WSAENOTSOCK);
    }
    expect(left.socket()).not.toBe(a);
    shutDown(left, right);
  });

  it('aborts what is pending, and lpWPUCloseSocketHandle is the last upcall [CLOSE-02 CLOSE-03 CLOSESOCK-03 OVL-15 OVL-18]', () => {
    const { left, right, a } = connectedPair({ profile });
    const buffers = [1, 2, 3].map(() => new Uint8Array(16));
    const pending = buffers.map((buffer) => {
      left.register(a, buffer);
      const overlapped = spi.createOverlapped(8);
      left.receive(a, overlapped, buffer);
      return overlapped;
    });
    const regions: number[] = [];
    left.upcalls.onComplete = () => regions.push(left.nic.regionCount);
    left.close(a);
    expect(left.upcalls.calls).toEqual([]);
    settle(left, right);
    expect(left.upcalls.names()).toEqual(['complete', 'complete', 'complete', 'close']);
    for (const call of left.upcalls.completions()) {
      expect(call).toMatchObject({ error: spi.WSA_OPERATION_ABORTED, bytes: 0 });
    }
    expect(pending.map((overlapped) => overlapped.OffsetHigh)).toEqual([995, 995, 995]);
    // The memory had gone before the first of them heard of it.
    expect(regions).toEqual([0, 0, 0]);
    shutDown(left, right);
  });

  it('gives the handle of a socket without a connection back at once [CLOSE-03]', () => {
    const host = new TestHost(new FakeFabric(), LEFT_IP, { profile });
    host.close(host.bound(7));
    expect(host.upcalls.names()).toEqual(['create', 'close']);
    shutDown(host);
  });

  it('from inside a completion upcall waits for that upcall to return [CLOSE-03]', () => {
    const { left, right, a, b } = connectedPair({ profile });
    const buffer = new Uint8Array(16);
    left.register(a, buffer);
    right.register(b, buffer);
    left.receive(a, spi.createOverlapped(8), buffer);
    right.send(b, spi.createOverlapped(1), buffer);
    const seen: string[] = [];
    left.upcalls.onComplete = () => {
      left.close(a);
      for (let turn = 0; turn < 5; turn++) left.loop.poll();
      seen.push(...left.upcalls.names());
    };
    settle(left, right);
    expect(seen).toEqual(['complete']);
    expect(left.upcalls.names()).toEqual(['complete', 'close']);
    shutDown(left, right);
  });

  it('aborts a connect in progress and tells nobody about it [CONNECT-07 BLK-02]', () => {
    const fabric = new FakeFabric();
    const left = new TestHost(fabric, LEFT_IP, { profile });
    const right = new TestHost(fabric, RIGHT_IP, { profile });
    right.listening(LISTEN_PORT);
    const s = left.bound(LEFT_PORT);
    left.procs.lpWSPEventSelect(s, 4, spi.FD_CONNECT, left.errno);
    left.connect(s, RIGHT_IP, LISTEN_PORT);
    left.close(s);
    settle(left, right);
    expect(left.upcalls.names()).toEqual(['create', 'close']);
    expect(left.nic.queuePairCount).toBe(0);
    shutDown(left, right);
  });

  it('keeps the record of a dead connection until it is called [CLOSE-04]', () => {
    const { left, right, a, b } = connectedPair({ profile });
    right.close(b);
    settle(left, right);
    expect(left.upcalls.names()).not.toContain('close');
    expect(left.procs.lpWSPEventSelect(a, 0, 0, left.errno)).toBe(0);
    left.close(a);
    settle(left, right);
    expect(left.upcalls.names()).toEqual(['close']);
    shutDown(left, right);
  });
});

it('a descriptor is given out again only when it was closed, however many come after it [DUP-17]', () => {
  const table = new SocketTable();
  // The widest step of all, so that the numbers come round soon.
  const widest: spi.RandomSource = { uint32: () => 0xffe, fill: () => undefined };
  const next = (): number => table.newDescriptor(widest);
  const profile = spi.PROFILES.documented;
  const sockets = [next(), next()].map((one, at) => new SanSocket(one, at, widest, profile));
  for (const socket of sockets) table.add(socket);
  const [open, handedOver] = sockets;
  if (open === undefined || handedOver === undefined) throw new Error('two sockets');
  table.handOver(handedOver);
  const lap = Math.ceil(2 ** 32 / 8190) + 2;
  const seen = new Set<number>();
  for (let count = 0; count < lap; count++) seen.add(next());
  expect([seen.has(open.descriptor), seen.has(handedOver.descriptor)]).toEqual([false, false]);
  for (const socket of sockets) table.remove(socket);
  for (let count = 0; count < lap; count++) seen.add(next());
  expect([seen.has(open.descriptor), seen.has(handedOver.descriptor)]).toEqual([true, true]);
});
