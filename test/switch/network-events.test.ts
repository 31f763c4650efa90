// WSAEventSelect and WSAEnumNetworkEvents above SAN connections and TCP/IP.

import { describe, expect, it } from 'vitest';
import * as spi from '../../provider/spi/index.js';
import type { HostUnderTest } from './fakes/world.js';
import { B, connectPair, listenOn, name, pattern, World } from './fakes/world.js';

const { FD_CLOSE, FD_OOB, FD_READ, FD_WRITE } = spi;
const ALL = FD_READ | FD_WRITE | FD_OOB | FD_CLOSE;

function seen(host: HostUnderTest, s: number, event = 0): number {
  const events = spi.createNetworkEvents();
  expect(host.winsock.WSAEnumNetworkEvents(s, event, events)).toBe(0);
  return events.lNetworkEvents;
}

/** A connection over TCP/IP or the SAN, whichever `path` says. */
function pairOver(path: string): { world: World; client: number; server: number } {
  const world = new World(path === 'SAN' ? {} : { a: { fail: { WSPConnect: spi.WSAETIMEDOUT } } });
  if (path === 'SAN') return { world, ...connectPair(world) };
  const listener = listenOn(world.b, B);
  const client = world.a.winsock.socket(spi.AF_INET, spi.SOCK_STREAM, 0);
  expect(world.a.winsock.connect(client, name(B), 16)).toBe(0);
  return { world, client, server: world.b.winsock.accept(listener, null, null) };
}

describe.each(['SAN', 'TCP/IP'])('over %s', (path) => {
  it('FD_WRITE is reported once, FD_READ again after each read that leaves data [W10.3 W10.4 W10.6 ARCH-15]', () => {
    const { world, client, server } = pairOver(path);
    const { winsock } = world.b;
    const event = winsock.WSACreateEvent();
    winsock.WSAEventSelect(server, event, ALL);
    world.settle();
    expect(winsock.WSAWaitForMultipleEvents(1, [event], false, 0, false)).toBe(0);
    expect(seen(world.b, server, event)).toBe(FD_WRITE);
    expect(winsock.WSAWaitForMultipleEvents(1, [event], false, 0, false)).toBe(
      spi.WSA_WAIT_TIMEOUT,
    );
    world.a.winsock.send(client, pattern(100), 100, 0);
    expect(winsock.WSAWaitForMultipleEvents(1, [event], false, spi.WSA_INFINITE, false)).toBe(0);
    expect(seen(world.b, server, event)).toBe(FD_READ);
    expect(seen(world.b, server, event)).toBe(0);
    expect(winsock.recv(server, new Uint8Array(60), 60, 0)).toBe(60);
    world.settle();
    expect(seen(world.b, server, event)).toBe(FD_READ);
    expect(winsock.recv(server, new Uint8Array(60), 60, 0)).toBe(40);
    world.settle();
    expect(seen(world.b, server, event)).toBe(0);
    expect(winsock.WSAWaitForMultipleEvents(1, [event], false, 0, false)).toBe(
      spi.WSA_WAIT_TIMEOUT,
    );
    world.close();
  });

  it('FD_CLOSE is reported once when the peer ends its stream [W10.8 W10.11]', () => {
    const { world, client, server } = pairOver(path);
    const event = world.b.winsock.WSACreateEvent();
    world.b.winsock.WSAEventSelect(server, event, FD_CLOSE);
    world.a.winsock.shutdown(client, spi.SD_SEND);
    world.settle();
    expect(seen(world.b, server)).toBe(FD_CLOSE);
    expect(seen(world.b, server)).toBe(0);
    world.close();
  });

  it('a selection makes the socket nonblocking, and FIONBIO 0 is refused while it lasts [W10.1]', () => {
    const { world, server } = pairOver(path);
    const { winsock } = world.b;
    const event = winsock.WSACreateEvent();
    winsock.WSAEventSelect(server, event, FD_READ);
    expect(winsock.recv(server, new Uint8Array(1), 1, 0)).toBe(-1);
    expect(winsock.WSAGetLastError()).toBe(spi.WSAEWOULDBLOCK);
    expect(winsock.ioctlsocket(server, spi.FIONBIO, spi.ref(0))).toBe(-1);
    expect(winsock.WSAGetLastError()).toBe(spi.WSAEINVAL);
    expect(winsock.WSAEventSelect(server, 0, 0)).toBe(0);
    expect(winsock.ioctlsocket(server, spi.FIONBIO, spi.ref(0))).toBe(0);
    world.close();
  });

  it('FD_WRITE comes back after a send that found no room, once there is some [W10.6 W4.6]', () => {
    const { world, client, server } = pairOver(path);
    const { winsock } = world.a;
    const event = winsock.WSACreateEvent();
    winsock.WSAEventSelect(client, event, FD_WRITE);
    world.settle();
    expect(seen(world.a, client, event)).toBe(FD_WRITE);
    const chunk = pattern(4000);
    let total = 0;
    // Room that comes back by itself is reported too; full is when nothing of that happens any more.
    for (let isFull = false; !isFull; ) {
      const sent = winsock.send(client, chunk, 4000, 0);
      if (sent >= 0) {
        total += sent;
        continue;
      }
      expect(winsock.WSAGetLastError()).toBe(spi.WSAEWOULDBLOCK);
      world.settle();
      isFull = seen(world.a, client, event) === 0;
    }
    const got = new Uint8Array(total);
    expect(world.b.winsock.recv(server, got, total, spi.MSG_WAITALL)).toBe(total);
    world.settle();
    expect(seen(world.a, client, event)).toBe(FD_WRITE);
    world.close();
  });
});

describe('over SAN', () => {
  it('large data that nobody has asked for is fetched for a selection of FD_READ [W10.2 XFER-15]', () => {
    const world = new World();
    const { client, server } = connectPair(world);
    const { winsock } = world.b;
    const event = winsock.WSACreateEvent();
    winsock.WSAEventSelect(server, event, FD_READ);
    const ov = spi.createOverlapped();
    const data = pattern(40_000);
    const buffer = [{ len: data.length, buf: data }];
    world.a.winsock.WSASend(client, buffer, 1, null, 0, ov, null);
    const got = new Uint8Array(data.length);
    for (let at = 0; at < got.length; ) {
      expect(winsock.WSAWaitForMultipleEvents(1, [event], false, spi.WSA_INFINITE, false)).toBe(0);
      expect(seen(world.b, server, event)).toBe(FD_READ);
      at += winsock.recv(server, got.subarray(at), got.length - at, 0);
    }
    expect(Buffer.compare(got, data)).toBe(0);
    world.close();
  });

  it('a pending receive takes data without FD_READ [W10.9]', () => {
    const world = new World();
    const { client, server } = connectPair(world);
    const event = world.b.winsock.WSACreateEvent();
    world.b.winsock.WSAEventSelect(server, event, FD_READ);
    const ov = spi.createOverlapped();
    const buffer = [{ len: 10, buf: new Uint8Array(10) }];
    world.b.winsock.WSARecv(server, buffer, 1, null, spi.ref(0), ov, null);
    world.a.winsock.send(client, pattern(10), 10, 0);
    world.settle();
    expect(ov.Internal).toBe(0);
    expect(seen(world.b, server)).toBe(0);
    world.close();
  });

  it("an accepted socket takes over the listener's selection [W10.7 W10.10 ACCEPT-09]", () => {
    const world = new World();
    const listener = listenOn(world.b, B);
    const event = world.b.winsock.WSACreateEvent();
    world.b.winsock.WSAEventSelect(listener, event, spi.FD_ACCEPT | FD_WRITE | spi.FD_CONNECT);
    const client = world.a.winsock.socket(spi.AF_INET, spi.SOCK_STREAM, 0);
    expect(world.a.winsock.connect(client, name(B), 16)).toBe(0);
    expect(seen(world.b, listener, event)).toBe(spi.FD_ACCEPT);
    const server = world.b.winsock.accept(listener, null, null);
    expect(world.b.winsock.WSAWaitForMultipleEvents(1, [event], false, 0, false)).toBe(0);
    expect(seen(world.b, server)).toBe(FD_WRITE);
    world.close();
  });

  it('a lost connection is FD_CLOSE with its error [W10.8]', () => {
    const world = new World();
    const { server } = connectPair(world);
    const event = world.b.winsock.WSACreateEvent();
    world.b.winsock.WSAEventSelect(server, event, FD_CLOSE);
    for (const socket of world.b.san.sockets.values()) {
      if (socket.peer !== null) world.b.san.lose(socket, spi.WSAECONNRESET);
    }
    world.settle();
    const events = spi.createNetworkEvents();
    world.b.winsock.WSAEnumNetworkEvents(server, event, events);
    expect(events.lNetworkEvents).toBe(FD_CLOSE);
    expect(events.iErrorCode[spi.FD_CLOSE_BIT]).toBe(spi.WSAECONNRESET);
    world.close();
  });

  it('bits that do not exist and events that do not exist are refused [EVT-05]', () => {
    const world = new World();
    const { server } = connectPair(world);
    const { winsock } = world.b;
    expect(winsock.WSAEventSelect(server, 4, FD_READ)).toBe(-1);
    expect(winsock.WSAGetLastError()).toBe(spi.WSAEINVAL);
    expect(winsock.WSAEventSelect(server, winsock.WSACreateEvent(), 0x1000)).toBe(-1);
    expect(winsock.WSAEnumNetworkEvents(server, 0, null)).toBe(-1);
    expect(winsock.WSAGetLastError()).toBe(spi.WSAEFAULT);
    world.close();
  });
});
