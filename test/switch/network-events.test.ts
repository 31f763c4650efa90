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

function errorsOf(host: HostUnderTest, s: number): spi.WSANETWORKEVENTS {
  const events = spi.createNetworkEvents();
  expect(host.winsock.WSAEnumNetworkEvents(s, 0, events)).toBe(0);
  return events;
}

function select(host: HostUnderTest, s: number, mask: number): number {
  const event = host.winsock.WSACreateEvent();
  expect(host.winsock.WSAEventSelect(s, event, mask)).toBe(0);
  return event;
}

function isSet({ winsock }: HostUnderTest, event: number): boolean {
  return winsock.WaitForSingleObjectEx(event, 0, false) === 0;
}

function lose(host: HostUnderTest, error: number): void {
  for (const socket of host.san.sockets.values()) {
    if (socket.peer !== null) host.san.lose(socket, error);
  }
}

describe('profiles differ in', () => {
  it.each([
    ['documented', 0],
    ['windows', FD_READ],
  ] as const)(
    'whether new data is told although the last was not read: %s [W10.2 W10.4]',
    (profile, again) => {
      const world = new World({ profile });
      const { client, server } = connectPair(world);
      const event = select(world.b, server, FD_READ);
      world.a.winsock.send(client, pattern(10), 10, 0);
      world.settle();
      expect(seen(world.b, server, event)).toBe(FD_READ);
      expect(seen(world.b, server, event)).toBe(0);
      world.a.winsock.send(client, pattern(10), 10, 0);
      world.settle();
      expect(isSet(world.b, event)).toBe(again !== 0);
      expect(seen(world.b, server, event)).toBe(again);
      // Nothing new has come: neither tells again.
      world.settle();
      expect(seen(world.b, server, event)).toBe(0);
      world.close();
    },
  );

  it.each([
    ['documented', FD_READ],
    ['windows', 0],
  ] as const)(
    'whether a receive that fails for its arguments counts as one: %s [W10.3 W10.4]',
    (profile, again) => {
      const world = new World({ profile });
      const { client, server } = connectPair(world);
      const event = select(world.b, server, FD_READ);
      world.a.winsock.send(client, pattern(10), 10, 0);
      world.settle();
      expect(seen(world.b, server, event)).toBe(FD_READ);
      expect(world.b.winsock.recv(server, new Uint8Array(1), -1, 0)).toBe(-1);
      expect(world.b.winsock.WSAGetLastError()).toBe(spi.WSAEFAULT);
      expect(seen(world.b, server, event)).toBe(again);
      world.close();
    },
  );

  it.each([
    ['documented', FD_READ, FD_CLOSE],
    ['windows', FD_READ | FD_CLOSE, 0],
  ] as const)(
    'whether FD_CLOSE waits until everything was read: %s [W10.8]',
    (profile, first, last) => {
      const world = new World({ profile });
      const { client, server } = connectPair(world);
      select(world.b, server, FD_READ | FD_CLOSE);
      world.a.winsock.send(client, pattern(10), 10, 0);
      world.a.winsock.shutdown(client, spi.SD_SEND);
      world.settle();
      expect(seen(world.b, server)).toBe(first);
      expect(world.b.winsock.recv(server, new Uint8Array(4), 4, 0)).toBe(4);
      expect(seen(world.b, server)).toBe(FD_READ);
      expect(world.b.winsock.recv(server, new Uint8Array(9), 9, 0)).toBe(6);
      expect(seen(world.b, server)).toBe(last);
      expect(world.b.winsock.recv(server, new Uint8Array(9), 9, 0)).toBe(0);
      expect(seen(world.b, server)).toBe(0);
      world.close();
    },
  );

  it.each([
    ['documented', spi.WSAECONNRESET],
    ['windows', spi.WSAECONNABORTED],
  ] as const)('the error of FD_CLOSE after a reset: %s, %i [W10.8]', (profile, error) => {
    const world = new World({ profile });
    const { server } = connectPair(world);
    select(world.b, server, FD_CLOSE);
    lose(world.b, spi.WSAECONNRESET);
    world.settle();
    const events = errorsOf(world.b, server);
    expect([events.lNetworkEvents, events.iErrorCode[spi.FD_CLOSE_BIT]]).toEqual([FD_CLOSE, error]);
    world.close();
  });

  it.each([
    ['documented', 0],
    ['windows', spi.FD_ACCEPT],
  ] as const)('whether a second connection is told: %s [W10.4]', (profile, again) => {
    const world = new World({ profile });
    const { b } = world;
    const listener = listenOn(b, B);
    const event = select(b, listener, spi.FD_ACCEPT);
    for (const expected of [spi.FD_ACCEPT, again]) {
      const client = world.a.winsock.socket(spi.AF_INET, spi.SOCK_STREAM, 0);
      expect(world.a.winsock.connect(client, name(B), 16)).toBe(0);
      world.settle();
      expect(seen(b, listener, event)).toBe(expected);
    }
    // W10.4: another accept finds another connection, and tells of it.
    expect(b.winsock.accept(listener, null, null)).not.toBe(spi.INVALID_SOCKET);
    expect(seen(b, listener, event)).toBe(spi.FD_ACCEPT);
    world.close();
  });
});

describe('the record', () => {
  it('keeps what holds when it is selected, and what was told is not told again [W10.5 W10.7 W10.14]', () => {
    const world = new World();
    const { client, server } = connectPair(world);
    const { winsock } = world.a;
    const event = select(world.a, client, spi.FD_CONNECT | FD_WRITE);
    expect(isSet(world.a, event)).toBe(true);
    expect(seen(world.a, client)).toBe(spi.FD_CONNECT | FD_WRITE);
    world.b.winsock.send(server, pattern(4), 4, 0);
    world.settle();
    winsock.WSAResetEvent(event);
    // A superset tells what is newly selected.
    winsock.WSAEventSelect(client, event, ALL | spi.FD_CONNECT);
    expect(isSet(world.a, event)).toBe(true);
    expect(seen(world.a, client)).toBe(FD_READ);
    winsock.WSAResetEvent(event);
    // By way of none nothing that was told comes back.
    winsock.WSAEventSelect(client, 0, 0);
    winsock.WSAEventSelect(client, event, ALL | spi.FD_CONNECT);
    expect(isSet(world.a, event)).toBe(false);
    expect(seen(world.a, client)).toBe(0);
    world.close();
  });

  it('deselected after it has fired the event stays set, and fires again when selected unseen [W10.14]', () => {
    const world = new World();
    const { client, server } = connectPair(world);
    const { winsock } = world.b;
    const event = select(world.b, server, FD_READ);
    world.a.winsock.send(client, pattern(4), 4, 0);
    world.settle();
    expect(isSet(world.b, event)).toBe(true);
    winsock.WSAEventSelect(server, event, FD_CLOSE);
    expect(isSet(world.b, event)).toBe(true);
    winsock.WSAResetEvent(event);
    winsock.WSAEventSelect(server, event, FD_READ);
    expect(isSet(world.b, event)).toBe(true);
    expect(seen(world.b, server)).toBe(FD_READ);
    world.close();
  });

  it('is left alone when the call fails, and closesocket tells nobody [W10.11 W10.13]', () => {
    const world = new World();
    const { client, server } = connectPair(world);
    const { winsock } = world.b;
    const event = select(world.b, server, ALL);
    world.a.winsock.send(client, pattern(4), 4, 0);
    world.settle();
    const events = spi.createNetworkEvents();
    events.iErrorCode.fill(77);
    expect(winsock.WSAEnumNetworkEvents(server, 4711, events)).toBe(-1);
    expect([events.lNetworkEvents, isSet(world.b, event)]).toEqual([0, true]);
    expect(winsock.WSAEnumNetworkEvents(server, event, events)).toBe(0);
    expect(events.lNetworkEvents).toBe(FD_READ | FD_WRITE);
    expect(events.iErrorCode[spi.FD_CLOSE_BIT]).toBe(77);
    expect(isSet(world.b, event)).toBe(false);
    winsock.closesocket(server);
    world.settle();
    expect(isSet(world.b, event)).toBe(false);
    expect(winsock.WSAEnumNetworkEvents(server, event, events)).toBe(-1);
    expect(winsock.WSAGetLastError()).toBe(spi.WSAENOTSOCK);
    world.close();
  });

  it('a decision that is put off does not tell of the connection again [W10.3]', () => {
    const world = new World();
    const { b } = world;
    const listener = listenOn(b, B);
    const event = select(b, listener, spi.FD_ACCEPT);
    const client = world.a.winsock.socket(spi.AF_INET, spi.SOCK_STREAM, 0);
    expect(world.a.winsock.connect(client, name(B), 16)).toBe(0);
    world.settle();
    expect(seen(b, listener, event)).toBe(spi.FD_ACCEPT);
    const later = (): number => spi.CF_DEFER;
    expect(b.winsock.WSAAccept(listener, null, null, later, null)).toBe(spi.INVALID_SOCKET);
    expect(b.winsock.WSAGetLastError()).toBe(spi.WSATRY_AGAIN);
    expect(seen(b, listener, event)).toBe(0);
    expect(b.winsock.accept(listener, null, null)).not.toBe(spi.INVALID_SOCKET);
    world.close();
  });

  it('urgent data is told once, and again while some of it is left [W10.3 W10.4]', () => {
    const world = new World();
    const { client, server } = connectPair(world);
    const { winsock } = world.b;
    select(world.b, server, FD_OOB);
    world.a.winsock.send(client, pattern(2), 2, spi.MSG_OOB);
    world.a.winsock.send(client, pattern(1), 1, spi.MSG_OOB);
    world.settle();
    expect(seen(world.b, server)).toBe(FD_OOB);
    expect(winsock.recv(server, new Uint8Array(1), 1, spi.MSG_OOB)).toBe(1);
    expect(seen(world.b, server)).toBe(FD_OOB);
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
