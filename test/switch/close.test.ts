// Shutdown, closesocket and linger over SAN connections: what the provider never hears of.

import { describe, expect, it } from 'vitest';
import * as spi from '../../provider/spi/index.js';
import { connectPair, pattern, World } from './fakes/world.js';

const buffers = (buf: Uint8Array): spi.WSABUF[] => [{ len: buf.length, buf }];
const lingerOption = (on: number, seconds: number): Uint8Array => Uint8Array.of(on, 0, seconds, 0);

describe('shutdown', () => {
  it('ends one direction: the other goes on, and the provider is not told [SHUT-01 W12.2 W8.1.2]', () => {
    const world = new World();
    const { client, server } = connectPair(world);
    const { winsock: a } = world.a;
    const { winsock: b } = world.b;
    expect(a.send(client, pattern(50), 50, 0)).toBe(50);
    expect(a.shutdown(client, spi.SD_SEND)).toBe(0);
    expect(a.shutdown(client, spi.SD_SEND)).toBe(0);
    expect(a.send(client, pattern(1), 1, 0)).toBe(-1);
    expect(a.WSAGetLastError()).toBe(spi.WSAESHUTDOWN);
    const got = new Uint8Array(100);
    expect(b.recv(server, got, 100, 0)).toBe(50);
    expect(b.recv(server, got, 100, 0)).toBe(0);
    expect(b.recv(server, got, 100, 0)).toBe(0);
    expect(b.send(server, pattern(70), 70, 0)).toBe(70);
    expect(a.recv(client, got, 100, 0)).toBe(70);
    expect(world.a.san.sockets.size).toBe(1);
    world.close();
  });

  it('of receiving fails later receives, not the one under way [W9.10.4 W12.2]', () => {
    const world = new World();
    const { client, server } = connectPair(world);
    const { winsock } = world.b;
    const ov = spi.createOverlapped();
    const got = new Uint8Array(10);
    expect(winsock.WSARecv(server, buffers(got), 1, null, spi.ref(0), ov, null)).toBe(-1);
    expect(winsock.shutdown(server, spi.SD_RECEIVE)).toBe(0);
    expect(winsock.recv(server, got, 10, 0)).toBe(-1);
    expect(winsock.WSAGetLastError()).toBe(spi.WSAESHUTDOWN);
    world.a.winsock.send(client, pattern(10), 10, 0);
    const bytes = spi.ref(0);
    expect(winsock.WSAGetOverlappedResult(server, ov, bytes, true, spi.ref(0))).toBe(true);
    expect(bytes.value).toBe(10);
    world.close();
  });

  it('checks its argument before the connection [W12.1]', () => {
    const world = new World();
    const { winsock } = world.a;
    const s = winsock.socket(spi.AF_INET, spi.SOCK_STREAM, 0);
    expect(winsock.shutdown(s, 3)).toBe(-1);
    expect(winsock.WSAGetLastError()).toBe(spi.WSAEINVAL);
    expect(winsock.shutdown(s, spi.SD_BOTH)).toBe(-1);
    expect(winsock.WSAGetLastError()).toBe(spi.WSAENOTCONN);
    world.close();
  });
});

describe('closesocket', () => {
  it('returns at once, and what was sent still arrives, then the end [W12.4 SHUT-02 CLOSE-05]', () => {
    const world = new World();
    const { client, server } = connectPair(world);
    const data = pattern(30_000);
    for (let at = 0; at < data.length; at += 3000) {
      expect(world.a.winsock.send(client, data.subarray(at), 3000, 0)).toBe(3000);
    }
    expect(world.a.winsock.closesocket(client)).toBe(0);
    expect(world.a.winsock.send(client, data, 1, 0)).toBe(-1);
    expect(world.a.winsock.WSAGetLastError()).toBe(spi.WSAENOTSOCK);
    const got = new Uint8Array(40_000);
    let at = 0;
    for (let count = 1; count > 0; at += count) {
      count = world.b.winsock.recv(server, got.subarray(at), 7000, 0);
    }
    expect(at).toBe(data.length);
    expect(Buffer.compare(got.subarray(0, at), data)).toBe(0);
    expect(world.b.winsock.closesocket(server)).toBe(0);
    world.settle();
    expect(world.a.san.sockets.size).toBe(0);
    world.close();
  });

  it('closes the SAN socket before the descriptor of TCP/IP, and only after the end is agreed [COMP-01 CLOSE-03 MEM-08]', () => {
    const world = new World();
    const { client, server } = connectPair(world);
    expect(world.a.winsock.closesocket(client)).toBe(0);
    world.settle();
    expect(world.a.tcp.sockets.has(client)).toBe(true);
    expect(world.b.winsock.closesocket(server)).toBe(0);
    world.settle();
    expect(world.a.tcp.sockets.has(client)).toBe(false);
    expect(world.a.theSwitch.core.handles.count).toBe(0);
    world.close();
  });

  it.each([
    ['documented', spi.WSA_OPERATION_ABORTED],
    ['windows', spi.WSAECONNABORTED],
  ] as const)('ends a pending receive as profile %s says [W9.10.1 CLOSE-02]', (profile, error) => {
    const world = new World({ profile });
    const { client } = connectPair(world);
    const { winsock } = world.a;
    const ov = spi.createOverlapped(winsock.WSACreateEvent());
    winsock.WSARecv(client, buffers(new Uint8Array(10)), 1, null, spi.ref(0), ov, null);
    expect(winsock.closesocket(client)).toBe(0);
    expect(winsock.WSAWaitForMultipleEvents(1, [ov.hEvent], false, 0, false)).toBe(0);
    expect(spi.wsaErrorOfStatus(ov.Internal)).toBe(error);
    world.close();
  });

  it('with SO_LINGER and no time resets the connection [W12.5]', () => {
    const world = new World();
    const { client, server } = connectPair(world);
    world.a.winsock.setsockopt(client, spi.SOL_SOCKET, spi.SO_LINGER, lingerOption(1, 0), 4);
    expect(world.a.winsock.closesocket(client)).toBe(0);
    expect(world.b.winsock.recv(server, new Uint8Array(10), 10, 0)).toBe(-1);
    expect(world.b.winsock.WSAGetLastError()).toBe(spi.WSAECONNRESET);
    world.close();
  });

  it('with SO_LINGER waits until the peer has everything; a nonblocking one is asked again [W12.5]', () => {
    const world = new World();
    const { client, server } = connectPair(world);
    const { winsock } = world.a;
    const ov = spi.createOverlapped();
    const data = pattern(100_000);
    winsock.setsockopt(client, spi.SOL_SOCKET, spi.SO_LINGER, lingerOption(1, 5), 4);
    winsock.ioctlsocket(client, spi.FIONBIO, spi.ref(1));
    winsock.WSASend(client, buffers(data), 1, null, 0, ov, null);
    expect(winsock.closesocket(client)).toBe(-1);
    expect(winsock.WSAGetLastError()).toBe(spi.WSAEWOULDBLOCK);
    const got = new Uint8Array(data.length);
    expect(world.b.winsock.recv(server, got, got.length, spi.MSG_WAITALL)).toBe(data.length);
    world.settle();
    expect(winsock.closesocket(client)).toBe(0);
    expect(world.b.winsock.recv(server, got, 1, 0)).toBe(0);
    world.close();
  });

  it('gives up on a lingering peer that does not read when the time is up [W12.5]', () => {
    const world = new World();
    const { client, server } = connectPair(world);
    const { winsock } = world.a;
    const ov = spi.createOverlapped();
    winsock.setsockopt(client, spi.SOL_SOCKET, spi.SO_LINGER, lingerOption(1, 2), 4);
    winsock.WSASend(client, buffers(pattern(100_000)), 1, null, 0, ov, null);
    const before = world.clock.now();
    expect(winsock.closesocket(client)).toBe(0);
    expect(world.clock.now() - before).toBe(2_000_000_000);
    world.settle();
    expect(world.b.winsock.recv(server, new Uint8Array(1), 1, 0)).toBe(-1);
    expect(world.b.winsock.WSAGetLastError()).toBe(spi.WSAECONNRESET);
    world.close();
  });

  it('lets a reader take what had arrived when the peer has ended its stream and gone [W8.1.2 W12.4]', () => {
    const world = new World();
    const { client, server } = connectPair(world);
    world.a.winsock.send(client, pattern(500), 500, 0);
    world.a.winsock.shutdown(client, spi.SD_SEND);
    world.settle();
    for (const socket of world.b.san.sockets.values()) {
      if (socket.peer !== null) world.b.san.lose(socket, spi.WSAECONNRESET);
    }
    world.settle();
    const { winsock } = world.b;
    expect(winsock.recv(server, new Uint8Array(600), 600, 0)).toBe(500);
    expect(winsock.recv(server, new Uint8Array(600), 600, 0)).toBe(0);
    expect(winsock.send(server, pattern(1), 1, 0)).toBe(-1);
    expect(winsock.WSAGetLastError()).toBe(spi.WSAECONNRESET);
    world.close();
  });

  it('of something that is no socket fails and leaves it alone [W3.6]', () => {
    const world = new World();
    const { winsock } = world.a;
    const event = winsock.WSACreateEvent();
    for (const handle of [event, 0, spi.INVALID_SOCKET, 12345]) {
      expect(winsock.closesocket(handle)).toBe(-1);
      expect(winsock.WSAGetLastError()).toBe(spi.WSAENOTSOCK);
      expect(winsock.recv(handle, new Uint8Array(1), 1, 0)).toBe(-1);
      expect(winsock.WSAGetLastError()).toBe(spi.WSAENOTSOCK);
    }
    expect(winsock.WSASetEvent(event)).toBe(true);
    world.close();
  });
});
