// AcceptEx, ConnectEx, DisconnectEx, TransmitFile and GetAcceptExSockaddrs, over the SAN and over TCP/IP.

import { describe, expect, it } from 'vitest';
import * as spi from '../../provider/spi/index.js';
import type { HostUnderTest } from './fakes/world.js';
import { A, B, connectPair, listenOn, name, pattern, PORT, World } from './fakes/world.js';

const AREA = 32;
const PATHS = ['SAN', 'TCP/IP'] as const;
type Path = (typeof PATHS)[number];

/** On TCP/IP: the SAN of A cannot connect. */
const worldOf = (path: Path): World =>
  new World(path === 'SAN' ? {} : { a: { fail: { WSPConnect: spi.WSAETIMEDOUT } } });

const newSocket = ({ winsock }: HostUnderTest): number =>
  winsock.socket(spi.AF_INET, spi.SOCK_STREAM, 0);

interface Pending {
  readonly s: number;
  readonly overlapped: spi.WSAOVERLAPPED;
  readonly output: Uint8Array;
}

/** An AcceptEx for `receive` bytes that waits. */
function acceptEx(host: HostUnderTest, listener: number, receive: number): Pending {
  const { winsock } = host;
  const s = newSocket(host);
  const overlapped = spi.createOverlapped(winsock.WSACreateEvent());
  const output = new Uint8Array(receive + 2 * AREA);
  const bytes = spi.ref(0);
  const done = winsock.AcceptEx(listener, s, output, receive, AREA, AREA, bytes, overlapped);
  expect([done, winsock.WSAGetLastError()]).toEqual([false, spi.WSA_IO_PENDING]);
  return { s, overlapped, output };
}

function resultOf(host: HostUnderTest, s: number, overlapped: spi.WSAOVERLAPPED): number {
  const bytes = spi.ref(0);
  const { winsock } = host;
  if (winsock.WSAGetOverlappedResult(s, overlapped, bytes, true, spi.ref(0))) return bytes.value;
  return -winsock.WSAGetLastError();
}

const isPending = ({ overlapped }: Pending): boolean =>
  overlapped.Internal === spi.WSS_OPERATION_IN_PROGRESS;

function connected(world: World): number {
  const s = newSocket(world.a);
  expect(world.a.winsock.connect(s, name(B), 16)).toBe(0);
  return s;
}

function updateContext({ winsock }: HostUnderTest, s: number, listener: number): number {
  const value = new Uint8Array(8);
  value.set([listener, listener >>> 8, listener >>> 16, listener >>> 24]);
  return winsock.setsockopt(s, spi.SOL_SOCKET, spi.SO_UPDATE_ACCEPT_CONTEXT, value, 8);
}

describe.each(PATHS)('over %s', (path) => {
  it('AcceptEx completes with its event on the connection, or with the first data if it asked for some [ACC-01 ACC-05 W14.4c XFER-17]', () => {
    const world = worldOf(path);
    const { a, b } = world;
    const listener = listenOn(b, '0.0.0.0');
    const [first, second] = [acceptEx(b, listener, 0), acceptEx(b, listener, 100)];
    const client = connected(world);
    expect(resultOf(b, listener, first.overlapped)).toBe(0);
    expect(b.winsock.WSAWaitForMultipleEvents(1, [first.overlapped.hEvent], true, 0, false)).toBe(
      0,
    );
    const other = connected(world);
    world.settle();
    expect(isPending(second)).toBe(true);
    expect(a.winsock.send(other, pattern(40), 40, 0)).toBe(40);
    expect(resultOf(b, listener, second.overlapped)).toBe(40);
    expect(second.output.subarray(0, 40)).toEqual(pattern(40));
    expect(a.winsock.send(client, pattern(7), 7, 0)).toBe(7);
    expect(b.winsock.recv(first.s, new Uint8Array(9), 9, 0)).toBe(7);
    expect(b.theSwitch.core.connections.size).toBe(path === 'SAN' ? 2 : 0);
    world.close();
  });

  it('AcceptEx keeps the handle of its socket for life, and gives both addresses [COMP-01 XFER-17]', () => {
    const world = worldOf(path);
    const { a, b } = world;
    const listener = listenOn(b, '0.0.0.0');
    const { s, overlapped, output } = acceptEx(b, listener, 0);
    const client = connected(world);
    expect(resultOf(b, listener, overlapped)).toBe(0);
    const [local, remote] = [spi.ref<Uint8Array | null>(null), spi.ref<Uint8Array | null>(null)];
    const [localLength, remoteLength] = [spi.ref(0), spi.ref(0)];
    b.winsock.GetAcceptExSockaddrs(output, 0, AREA, AREA, local, localLength, remote, remoteLength);
    expect([localLength.value, remoteLength.value]).toEqual([16, 16]);
    expect(spi.sockaddrPort(local.value ?? name(A, 0))).toBe(PORT);
    const own = new Uint8Array(16);
    expect(a.winsock.getsockname(client, own, spi.ref(16))).toBe(0);
    expect(remote.value).toEqual(own);
    // The number is given to nobody else while the application has it.
    const others = [newSocket(b), newSocket(b)];
    expect(others).not.toContain(s);
    expect(b.winsock.send(s, pattern(5), 5, 0)).toBe(5);
    expect(a.winsock.recv(client, new Uint8Array(9), 9, 0)).toBe(5);
    expect(b.winsock.closesocket(s)).toBe(0);
    expect(b.winsock.send(s, pattern(5), 5, 0)).toBe(-1);
    expect(b.winsock.WSAGetLastError()).toBe(spi.WSAENOTSOCK);
    world.close();
  });

  it('an accepted socket gets name, shutdown and the options of its listener with SO_UPDATE_ACCEPT_CONTEXT [W10.10 W2.8]', () => {
    const world = worldOf(path);
    const { b } = world;
    const listener = listenOn(b, '0.0.0.0');
    const seconds = Uint8Array.of(9, 0, 0, 0);
    b.winsock.setsockopt(listener, spi.SOL_SOCKET, spi.SO_RCVTIMEO, seconds, 4);
    const { s, overlapped } = acceptEx(b, listener, 0);
    connected(world);
    expect(resultOf(b, listener, overlapped)).toBe(0);
    expect(b.winsock.getpeername(s, new Uint8Array(16), spi.ref(16))).toBe(-1);
    expect(b.winsock.WSAGetLastError()).toBe(spi.WSAENOTCONN);
    expect(b.winsock.shutdown(s, spi.SD_SEND)).toBe(-1);
    expect(updateContext(b, s, s)).toBe(-1);
    expect(b.winsock.WSAGetLastError()).toBe(spi.WSAEINVAL);
    expect(updateContext(b, s, listener)).toBe(0);
    expect(b.winsock.getpeername(s, new Uint8Array(16), spi.ref(16))).toBe(0);
    const value = new Uint8Array(4);
    b.winsock.getsockopt(s, spi.SOL_SOCKET, spi.SO_RCVTIMEO, value, spi.ref(4));
    expect(value).toEqual(seconds);
    expect(b.winsock.shutdown(s, spi.SD_SEND)).toBe(0);
    world.close();
  });

  it('SO_CONNECT_TIME counts whole seconds of a connection, and is all ones without one [W2.8]', () => {
    const world = worldOf(path);
    const { b } = world;
    const listener = listenOn(b, '0.0.0.0');
    const { s, overlapped } = acceptEx(b, listener, 0);
    const time = (): number => {
      const value = new Uint8Array(4);
      const { SOL_SOCKET, SO_CONNECT_TIME } = spi;
      expect(b.winsock.getsockopt(s, SOL_SOCKET, SO_CONNECT_TIME, value, spi.ref(4))).toBe(0);
      return Buffer.from(value).readUInt32LE();
    };
    expect(time()).toBe(0xffff_ffff);
    connected(world);
    expect(resultOf(b, listener, overlapped)).toBe(0);
    expect(time()).toBe(0);
    world.clock.advance(2_500_000_000);
    expect(time()).toBe(2);
    world.close();
  });

  it('ConnectEx connects a bound socket and sends the first data [XFER-17 CONN-01]', () => {
    const world = worldOf(path);
    const { a, b } = world;
    const listener = listenOn(b, '0.0.0.0');
    const s = newSocket(a);
    const { winsock } = a;
    const overlapped = spi.createOverlapped(winsock.WSACreateEvent());
    const start = (): boolean =>
      winsock.ConnectEx(s, name(B), 16, pattern(300), 300, null, overlapped);
    expect([start(), winsock.WSAGetLastError()]).toEqual([false, spi.WSAEINVAL]);
    expect(winsock.bind(s, name(A, 0), 16)).toBe(0);
    expect([start(), winsock.WSAGetLastError()]).toEqual([false, spi.WSA_IO_PENDING]);
    expect(resultOf(a, s, overlapped)).toBe(300);
    expect(winsock.getpeername(s, new Uint8Array(16), spi.ref(16))).toBe(-1);
    const { SOL_SOCKET, SO_UPDATE_CONNECT_CONTEXT } = spi;
    expect(winsock.setsockopt(s, SOL_SOCKET, SO_UPDATE_CONNECT_CONTEXT, new Uint8Array(0), 0)).toBe(
      0,
    );
    expect(winsock.getpeername(s, new Uint8Array(16), spi.ref(16))).toBe(0);
    const server = b.winsock.accept(listener, null, null);
    const got = new Uint8Array(400);
    expect(b.winsock.recv(server, got, 400, 0)).toBe(300);
    expect(got.subarray(0, 300)).toEqual(pattern(300));
    expect([start(), winsock.WSAGetLastError()]).toEqual([false, spi.WSAEISCONN]);
    world.close();
  });

  it('DisconnectEx delivers what was sent, and TF_REUSE_SOCKET makes the same handle connect again [XFER-17 COMP-01 SHUT-02]', () => {
    const world = worldOf(path);
    const { a, b } = world;
    const { client, server, listener } = connectPair(world);
    const other = newSocket(a);
    expect(a.winsock.DisconnectEx(other, null, 2, 0)).toBe(false);
    expect(a.winsock.WSAGetLastError()).toBe(spi.WSAENOTCONN);
    expect(a.winsock.DisconnectEx(client, null, 4, 0)).toBe(false);
    expect(a.winsock.WSAGetLastError()).toBe(spi.WSAEINVAL);
    expect(a.winsock.send(client, pattern(100), 100, 0)).toBe(100);
    const overlapped = spi.createOverlapped(a.winsock.WSACreateEvent());
    a.winsock.DisconnectEx(client, overlapped, 2, 0);
    const got = new Uint8Array(200);
    expect(b.winsock.recv(server, got, 200, 0)).toBe(100);
    expect(b.winsock.recv(server, got, 200, 0)).toBe(0);
    expect(b.winsock.closesocket(server)).toBe(0);
    expect(resultOf(a, client, overlapped)).toBe(0);
    expect(a.winsock.send(client, pattern(1), 1, 0)).toBe(-1);
    expect(a.winsock.WSAGetLastError()).toBe(spi.WSAENOTCONN);
    const again = spi.createOverlapped(a.winsock.WSACreateEvent());
    a.winsock.ConnectEx(client, name(B), 16, pattern(6), 6, null, again);
    const second = b.winsock.accept(listener, null, null);
    expect(resultOf(a, client, again)).toBe(6);
    expect(b.winsock.recv(second, got, 200, 0)).toBe(6);
    world.close();
  });

  it('a socket that DisconnectEx made reusable accepts again with AcceptEx; without the flag it is spent [XFER-17 COMP-01]', () => {
    const world = worldOf(path);
    const { a, b } = world;
    const listener = listenOn(b, '0.0.0.0');
    const { s, overlapped } = acceptEx(b, listener, 0);
    for (let round = 0; round < 3; round++) {
      const client = connected(world);
      expect(resultOf(b, listener, overlapped)).toBe(0);
      expect(b.winsock.send(s, pattern(4), 4, 0)).toBe(4);
      expect(a.winsock.recv(client, new Uint8Array(4), 4, 0)).toBe(4);
      expect(a.winsock.closesocket(client)).toBe(0);
      expect(b.winsock.DisconnectEx(s, null, round === 2 ? 0 : 2, 0)).toBe(true);
      if (round === 2) break;
      const output = new Uint8Array(2 * AREA);
      expect(b.winsock.AcceptEx(listener, s, output, 0, AREA, AREA, null, overlapped)).toBe(false);
      expect(b.winsock.WSAGetLastError()).toBe(spi.WSA_IO_PENDING);
    }
    expect(b.winsock.connect(s, name(A), 16)).toBe(-1);
    expect(b.winsock.WSAGetLastError()).toBe(spi.WSAEISCONN);
    world.close();
  });

  it('TransmitFile sends head, a part of the file and tail as one operation, in pieces [XFER-17]', () => {
    const world = worldOf(path);
    const { a, b } = world;
    const { client, server } = connectPair(world);
    const file = pattern(20_000);
    world.files.set(7, file);
    const [head, tail] = [pattern(10, 2), pattern(30, 3)];
    const buffers = { Head: head, HeadLength: 10, Tail: tail, TailLength: 30 };
    const overlapped = spi.createOverlapped(a.winsock.WSACreateEvent());
    overlapped.Offset = 5000;
    const isDone = a.winsock.TransmitFile(client, 7, 12_000, 3000, overlapped, buffers, 0);
    expect(isDone || a.winsock.WSAGetLastError() === spi.WSA_IO_PENDING).toBe(true);
    const got = new Uint8Array(12_040);
    for (let at = 0; at < got.length; ) {
      const part = got.subarray(at);
      at += b.winsock.recv(server, part, part.length, 0);
    }
    expect(resultOf(a, client, overlapped)).toBe(12_040);
    expect(Buffer.concat([head, file.subarray(5000, 17_000), tail]).equals(got)).toBe(true);
    world.close();
  });

  it('TransmitFile sends the whole file without a length, waits without an overlapped, and ends the connection if told [XFER-17]', () => {
    const world = worldOf(path);
    const { a, b } = world;
    const { client, server } = connectPair(world);
    world.files.set(7, pattern(500));
    const overlapped = spi.createOverlapped(0);
    a.winsock.TransmitFile(client, 7, 0, 0, overlapped, null, 1 | 2);
    const got = new Uint8Array(600);
    expect(b.winsock.recv(server, got, 600, 0)).toBe(500);
    expect(b.winsock.recv(server, got, 600, 0)).toBe(0);
    b.winsock.closesocket(server);
    expect(resultOf(a, client, overlapped)).toBe(500);
    expect(a.winsock.TransmitFile(client, 0, 0, 0, null, null, 0)).toBe(false);
    expect(a.winsock.WSAGetLastError()).toBe(spi.WSAENOTCONN);
    world.close();
  });

  it('WSACleanup ends an AcceptEx that waits for data before it returns [ACC-06 CLEANUP-03]', () => {
    const world = worldOf(path);
    const { b } = world;
    const withData = acceptEx(b, listenOn(b, '0.0.0.0'), 10);
    connected(world);
    world.settle();
    expect(isPending(withData)).toBe(true);
    expect(b.winsock.WSACleanup()).toBe(0);
    const { Internal } = withData.overlapped;
    expect(spi.wsaErrorOfStatus(Internal)).toBe(spi.WSA_OPERATION_ABORTED);
    expect(b.theSwitch.core.requests.outstanding).toBe(0);
    world.close();
  });

  it('closing the listener cancels its AcceptEx, and a connection that waited for data is reset [ACC-06]', () => {
    const world = worldOf(path);
    const { a, b } = world;
    const listener = listenOn(b, '0.0.0.0');
    const [withData, second] = [acceptEx(b, listener, 10), acceptEx(b, listener, 10)];
    const client = connected(world);
    world.settle();
    expect(isPending(withData)).toBe(true);
    expect(b.winsock.closesocket(listener)).toBe(0);
    // The memory for the first data is free by then: TCP/IP says so with the next turn.
    world.settle();
    for (const { overlapped } of [withData, second]) {
      expect(spi.wsaErrorOfStatus(overlapped.Internal)).toBe(spi.WSA_OPERATION_ABORTED);
    }
    if (path === 'SAN') {
      expect(a.winsock.recv(client, new Uint8Array(1), 1, 0)).toBe(-1);
      expect(a.winsock.WSAGetLastError()).toBe(spi.WSAECONNRESET);
    }
    world.close();
  });
});

describe('AcceptEx', () => {
  it('takes connections without FD_ACCEPT; those it leaves are told [W10.9 W10.3]', () => {
    const world = new World();
    const { b } = world;
    const listener = listenOn(b, '0.0.0.0');
    const event = b.winsock.WSACreateEvent();
    b.winsock.WSAEventSelect(listener, event, spi.FD_ACCEPT);
    const { overlapped } = acceptEx(b, listener, 0);
    const seen = spi.createNetworkEvents();
    for (const expected of [0, spi.FD_ACCEPT]) {
      connected(world);
      world.settle();
      b.winsock.WSAEnumNetworkEvents(listener, event, seen);
      expect(seen.lNetworkEvents).toBe(expected);
    }
    expect(resultOf(b, listener, overlapped)).toBe(0);
    world.close();
  });

  it('takes one that waits already at once [ACC-01]', () => {
    const world = new World();
    const { b } = world;
    const listener = listenOn(b, '0.0.0.0');
    connected(world);
    world.settle();
    const overlapped = spi.createOverlapped(0);
    const output = new Uint8Array(2 * AREA);
    const s = newSocket(b);
    expect(b.winsock.AcceptEx(listener, s, output, 0, AREA, AREA, null, overlapped)).toBe(true);
    expect(overlapped.Internal).toBe(0);
    world.close();
  });

  it('says what is wrong with its arguments', () => {
    const world = new World();
    const { b } = world;
    const { winsock } = b;
    const listener = listenOn(b, '0.0.0.0');
    const [s, bound] = [newSocket(b), newSocket(b)];
    winsock.bind(bound, name(B, 9), 16);
    const ov = spi.createOverlapped(0);
    const output = new Uint8Array(2 * AREA);
    const error = (...args: Parameters<typeof winsock.AcceptEx>): number => {
      expect(winsock.AcceptEx(...args)).toBe(false);
      return winsock.WSAGetLastError();
    };
    expect(error(listener, s, output, 0, AREA, AREA, null, null)).toBe(spi.WSA_INVALID_PARAMETER);
    expect(error(listener, 99_999, output, 0, AREA, AREA, null, ov)).toBe(spi.WSAENOTSOCK);
    expect(error(s, bound, output, 0, AREA, AREA, null, ov)).toBe(spi.WSAEINVAL);
    expect(error(listener, bound, output, 0, AREA, AREA, null, ov)).toBe(spi.WSAEINVAL);
    expect(error(listener, s, output, 0, 31, AREA, null, ov)).toBe(spi.WSAEFAULT);
    expect(error(listener, s, output, 1, AREA, AREA, null, ov)).toBe(spi.WSAEFAULT);
    expect(error(listener, s, null, 0, AREA, AREA, null, ov)).toBe(spi.WSAEFAULT);
    world.close();
  });

  it('is cancelled by closing its socket, and is found by its GUID with the others [ACC-06 W11.4 W2.16]', () => {
    const world = new World();
    const { b } = world;
    const { winsock } = b;
    const listener = listenOn(b, '0.0.0.0');
    const { s, overlapped } = acceptEx(b, listener, 0);
    expect(winsock.closesocket(s)).toBe(0);
    expect(spi.wsaErrorOfStatus(overlapped.Internal)).toBe(spi.WSA_OPERATION_ABORTED);
    const ids: [string, unknown][] = [
      [spi.WSAID_ACCEPTEX, winsock.AcceptEx],
      [spi.WSAID_CONNECTEX, winsock.ConnectEx],
      [spi.WSAID_DISCONNECTEX, winsock.DisconnectEx],
      [spi.WSAID_TRANSMITFILE, winsock.TransmitFile],
      [spi.WSAID_GETACCEPTEXSOCKADDRS, winsock.GetAcceptExSockaddrs],
    ];
    for (const [id, expected] of ids) {
      const box: spi.ExtensionFunctionPointer = { value: null };
      const code = spi.SIO_GET_EXTENSION_FUNCTION_POINTER;
      const guid = spi.guidBytes(id);
      expect(winsock.WSAIoctl(listener, code, guid, 16, box, 8, spi.ref(0), null, null)).toBe(0);
      expect(box.value).toBe(expected);
    }
    world.close();
  });
});

describe('the promise twins', () => {
  it('of AcceptEx, ConnectEx, TransmitFile and DisconnectEx resolve with the bytes and reject with WsaError [XFER-17]', async () => {
    const world = new World();
    const { a, b } = world;
    const listener = listenOn(b, '0.0.0.0');
    const [client, server] = [newSocket(a), newSocket(b)];
    a.winsock.bind(client, name(A, 0), 16);
    const output = new Uint8Array(50 + 2 * AREA);
    const accepted = b.winsock.promises.AcceptEx(listener, server, output, 50, AREA, AREA);
    expect(await a.winsock.promises.ConnectEx(client, name(B), 16, pattern(20), 20)).toBe(20);
    expect(await accepted).toBe(20);
    world.files.set(3, pattern(100));
    expect(await a.winsock.promises.TransmitFile(client, 3, 0, 0, null, 0, 40)).toBe(60);
    const got = new Uint8Array(100);
    expect(b.winsock.recv(server, got, 100, 0)).toBe(60);
    expect(got.subarray(0, 60)).toEqual(pattern(100).subarray(40));
    const ending = a.winsock.promises.DisconnectEx(client, 0, 0);
    expect(b.winsock.recv(server, got, 100, 0)).toBe(0);
    b.winsock.closesocket(server);
    expect(await ending).toBe(0);
    const late = a.winsock.promises.DisconnectEx(client, 0, 0);
    await expect(late).rejects.toMatchObject({ code: spi.WSAENOTCONN });
    world.close();
  });
});
