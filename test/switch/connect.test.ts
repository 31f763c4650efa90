// Connecting: which provider gets the connection, in which order it is asked, and what happens when
// it cannot.

import { describe, expect, it } from 'vitest';
import * as spi from '../../provider/spi/index.js';
import {
  A,
  B,
  connectPair,
  ELSEWHERE,
  listenOn,
  name,
  pattern,
  PORT,
  World,
} from './fakes/world.js';

const newSocket = (world: World): number =>
  world.a.winsock.socket(spi.AF_INET, spi.SOCK_STREAM, spi.IPPROTO_TCP);

describe('connect', () => {
  it('goes over the SAN inside its subnet, after TCP/IP has given the port [CONN-01 CONN-03 COMP-05 COMP-08 W14.4]', () => {
    const world = new World();
    world.a.san.log.length = 0;
    const { client } = connectPair(world);
    const { log } = world.a.san;
    expect(log).toEqual([
      `WSPSocket(${spi.AF_INET},${spi.SOCK_STREAM},${spi.IPPROTO_TCP},${spi.WSA_FLAG_OVERLAPPED})`,
      `WSPBind(${A}:50000)`,
      `WSPEventSelect(${spi.FD_CONNECT})`,
      `WSPConnect(${B}:${PORT})`,
      'WSPEnumNetworkEvents',
    ]);
    expect(world.a.tcp.log).not.toContain(`WSPConnect(${B}:${PORT})`);
    const peer = new Uint8Array(16);
    expect(world.a.winsock.getpeername(client, peer, spi.ref(16))).toBe(0);
    expect(spi.parseSockaddr(peer)).toMatchObject({ ip: B, port: PORT });
    world.close();
  });

  it('makes no companion before connect or listen, and then one with the address and port of TCP/IP that alone carries the data [COMP-02 COMP-03 COMP-04 ARCH-03 ARCH-09]', () => {
    const world = new World();
    const { a } = world;
    listenOn(world.b, B);
    const before = a.san.log.length;
    const s = newSocket(world);
    expect(a.winsock.bind(s, name(A, 777), 16)).toBe(0);
    a.winsock.setsockopt(s, spi.SOL_SOCKET, spi.SO_DEBUG, Uint8Array.of(1, 0, 0, 0), 4);
    expect(a.san.log).toHaveLength(before);
    expect(a.winsock.connect(s, name(B), 16)).toBe(0);
    expect(a.san.log).toContain(`WSPBind(${A}:777)`);
    expect(a.tcp.sockets.get(s)).toMatchObject({ port: 777, state: 'open', peer: null });
    expect(a.winsock.send(s, pattern(10), 10, 0)).toBe(10);
    expect(a.theSwitch.statistics()).toMatchObject({ messageBytesSent: 10, tcpBytesSent: 0 });
    world.close();
  });

  it('answers getsockname and getpeername of both ends from what it has kept [SPI-04 W12.3]', () => {
    const world = new World();
    const { client, server } = connectPair(world);
    const local = new Uint8Array(16);
    const seen = new Uint8Array(16);
    expect(world.a.winsock.getsockname(client, local, spi.ref(16))).toBe(0);
    expect(world.b.winsock.getpeername(server, seen, spi.ref(16))).toBe(0);
    expect(seen).toEqual(local);
    expect(spi.parseSockaddr(local)).toMatchObject({ ip: A, port: 50_000 });
    world.a.winsock.shutdown(client, spi.SD_BOTH);
    expect(world.a.winsock.getpeername(client, seen, spi.ref(16))).toBe(0);
    expect(world.a.winsock.getpeername(client, seen, spi.ref(8))).toBe(-1);
    expect(world.a.winsock.WSAGetLastError()).toBe(spi.WSAEFAULT);
    world.close();
  });

  const steps: [string, Record<string, number>][] = [
    ['WSPSocket', { WSPSocket: spi.WSAENOBUFS }],
    ['WSPBind', { WSPBind: spi.WSAEADDRNOTAVAIL }],
    ['WSPSetSockOpt', { WSPSetSockOpt: spi.WSAENETDOWN }],
    ['WSPConnect at once', { WSPConnect: spi.WSAEADDRNOTAVAIL }],
    ['FD_CONNECT later', { FD_CONNECT: spi.WSAETIMEDOUT }],
  ];
  it.each(steps)(
    'falls back to TCP/IP when %s fails [COMP-11 CONN-02 CONN-04 CONNECT-04 W14.2 W14.3]',
    (step, fail) => {
      const world = new World();
      const listener = listenOn(world.b, B);
      Object.defineProperty(world.a.san.options, 'fail', { value: fail });
      const s = newSocket(world);
      expect(
        world.a.winsock.setsockopt(s, spi.SOL_SOCKET, spi.SO_DEBUG, Uint8Array.of(1, 0, 0, 0), 4),
      ).toBe(0);
      world.a.san.log.length = 0;
      expect(world.a.winsock.connect(s, name(B), 16)).toBe(0);
      expect(world.a.tcp.log).toContain(`WSPConnect(${B}:${PORT})`);
      expect(world.a.san.sockets.size).toBe(0);
      // A socket that was never made is not closed. [wsd-spec section 19, 9]
      expect(world.a.san.log.includes('WSPCloseSocket')).toBe(step !== 'WSPSocket');
      const server = world.b.winsock.accept(listener, null, null);
      expect(world.a.winsock.send(s, pattern(100), 100, 0)).toBe(100);
      const got = new Uint8Array(200);
      expect(world.b.winsock.recv(server, got, 200, 0)).toBe(100);
      expect(got.subarray(0, 100)).toEqual(pattern(100));
      world.close();
    },
  );

  it.each([spi.WSAECONNRESET, spi.WSAECONNREFUSED, spi.WSAEHOSTUNREACH])(
    'gives the final error %i of the SAN to the application, without TCP/IP [CONN-04 CONNECT-04 W14.4b]',
    (error) => {
      const world = new World({ a: { fail: { FD_CONNECT: error } } });
      listenOn(world.b, B);
      const s = newSocket(world);
      expect(world.a.winsock.connect(s, name(B), 16)).toBe(-1);
      expect(world.a.winsock.WSAGetLastError()).toBe(error);
      expect(world.a.tcp.log).not.toContain(`WSPConnect(${B}:${PORT})`);
      expect(world.a.san.sockets.size).toBe(0);
      world.close();
    },
  );

  it('keeps connections to other subnets and to the host itself with TCP/IP [ARCH-11 CONN-01]', () => {
    const world = new World();
    const listener = listenOn(world.a, A);
    world.a.san.log.length = 0;
    for (const destination of [ELSEWHERE, A]) {
      const s = newSocket(world);
      world.a.winsock.connect(s, name(destination), 16);
    }
    expect(world.a.san.log).toEqual([]);
    expect(world.a.tcp.log).toContain(`WSPConnect(${ELSEWHERE}:${PORT})`);
    expect(world.a.winsock.accept(listener, null, null)).not.toBe(spi.INVALID_SOCKET);
    world.close();
  });

  it('replays to the companion the options a SAN provider knows, and no other [COMP-10 COMP-05 OPT-01 OPT-07]', () => {
    const world = new World();
    listenOn(world.b, B);
    const s = newSocket(world);
    const { winsock } = world.a;
    world.a.san.log.length = 0;
    winsock.setsockopt(s, spi.SOL_SOCKET, spi.SO_KEEPALIVE, Uint8Array.of(1, 0, 0, 0), 4);
    winsock.setsockopt(s, spi.SOL_SOCKET, spi.SO_DEBUG, Uint8Array.of(7, 0, 0, 0), 4);
    winsock.setsockopt(s, spi.IPPROTO_TCP, spi.TCP_NODELAY, Uint8Array.of(1, 0, 0, 0), 4);
    expect(world.a.san.log).toEqual([]);
    expect(winsock.connect(s, name(B), 16)).toBe(0);
    const set = world.a.san.log.filter((line) => line.startsWith('WSPSetSockOpt'));
    expect(set).toEqual([`WSPSetSockOpt(${spi.SOL_SOCKET},${spi.SO_DEBUG},7,4)`]);
    const order = world.a.san.log.map((line) => line.replace(/\(.*/, ''));
    expect(order.slice(0, 4)).toEqual(['WSPSocket', 'WSPBind', 'WSPSetSockOpt', 'WSPEventSelect']);
    world.close();
  });

  it('completes a nonblocking connect only after the negotiation, and reports it [CONN-05 CONN-06 BLK-02 W10.7]', () => {
    const world = new World();
    listenOn(world.b, B);
    const { winsock } = world.a;
    const s = newSocket(world);
    const event = winsock.WSACreateEvent();
    expect(winsock.WSAEventSelect(s, event, spi.FD_CONNECT | spi.FD_WRITE)).toBe(0);
    expect(winsock.connect(s, name(B), 16)).toBe(-1);
    expect(winsock.WSAGetLastError()).toBe(spi.WSAEWOULDBLOCK);
    expect(winsock.WSAWaitForMultipleEvents(1, [event], false, spi.WSA_INFINITE, false)).toBe(0);
    const events = spi.createNetworkEvents();
    expect(winsock.WSAEnumNetworkEvents(s, event, events)).toBe(0);
    expect(events.lNetworkEvents).toBe(spi.FD_CONNECT | spi.FD_WRITE);
    expect(events.iErrorCode[spi.FD_CONNECT_BIT]).toBe(0);
    expect(winsock.connect(s, name(B), 16)).toBe(-1);
    expect(winsock.WSAGetLastError()).toBe(spi.WSAEISCONN);
    world.close();
  });

  it('answers a repeated connect itself, and closesocket aborts one [CONNECT-07 CONNECT-08 BLK-02]', () => {
    const world = new World();
    listenOn(world.b, B);
    const { winsock } = world.a;
    const s = newSocket(world);
    winsock.ioctlsocket(s, spi.FIONBIO, spi.ref(1));
    winsock.connect(s, name(B), 16);
    expect(winsock.connect(s, name(B), 16)).toBe(-1);
    expect(winsock.WSAGetLastError()).toBe(spi.WSAEALREADY);
    expect(winsock.closesocket(s)).toBe(0);
    world.settle();
    expect(world.a.san.sockets.size).toBe(0);
    world.close();
  });
});
