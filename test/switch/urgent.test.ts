// MSG_OOB through the Winsock functions on a SAN connection: out of line and in line, and what
// FIONREAD, SIOCATMARK and FD_OOB say of it.

import { describe, expect, it } from 'vitest';
import * as spi from '../../provider/spi/index.js';
import { B, connectPair, listenOn, name, World } from './fakes/world.js';
import type { HostUnderTest } from './fakes/world.js';

function open(inline = false): { world: World; a: HostUnderTest; client: number; server: number } {
  const world = new World();
  const { client, server } = connectPair(world);
  if (inline) setInline(world.b, server);
  return { world, a: world.a, client, server };
}

function setInline({ winsock }: HostUnderTest, s: number): void {
  const on = Uint8Array.of(1, 0, 0, 0);
  expect(winsock.setsockopt(s, spi.SOL_SOCKET, spi.SO_OOBINLINE, on, 4)).toBe(0);
}

function send({ winsock }: HostUnderTest, s: number, text: string, flags = 0): void {
  expect(winsock.send(s, Buffer.from(text), text.length, flags)).toBe(text.length);
}

interface Posted {
  readonly ov: spi.WSAOVERLAPPED;
  readonly buf: Buffer;
}

/** An overlapped receive that finds nothing, or the end. */
function post({ b: { winsock } }: World, s: number, flags = spi.MSG_OOB): Posted {
  const [ov, buf] = [spi.createOverlapped(), Buffer.alloc(2)];
  const result = winsock.WSARecv(s, [{ len: 2, buf }], 1, null, spi.ref(flags), ov, null);
  if (result !== 0) expect(winsock.WSAGetLastError()).toBe(spi.WSA_IO_PENDING);
  return { ov, buf };
}

/** What it has received, or its status as a number. */
function outcome({ ov, buf }: Posted): string | number {
  return ov.Internal === 0 ? buf.toString('latin1', 0, ov.InternalHigh) : ov.Internal;
}

function reset({ winsock }: HostUnderTest, s: number): void {
  expect(winsock.setsockopt(s, spi.SOL_SOCKET, spi.SO_LINGER, Uint8Array.of(1, 0, 0, 0), 4)).toBe(
    0,
  );
  winsock.closesocket(s);
}

/** What one receive gives, or the error as a number. */
function receive(world: World, s: number, flags = 0): string | number {
  const { winsock } = world.b;
  const buffer = Buffer.alloc(20);
  const count = winsock.recv(s, buffer, buffer.length, flags);
  return count < 0 ? winsock.WSAGetLastError() : buffer.toString('latin1', 0, count);
}

function ask(world: World, s: number, code: number): number {
  const value = spi.ref(-1);
  expect(world.b.winsock.ioctlsocket(s, code, value)).toBe(0);
  return value.value;
}

describe('urgent data', () => {
  it('is received with MSG_OOB, apart from the stream, which FIONREAD counts alone [W8.1.13 OOB-02 W4.10]', () => {
    const { world, a, client, server } = open();
    send(a, client, 'ab');
    send(a, client, 'U', spi.MSG_OOB);
    send(a, client, 'cd');
    world.settle();
    expect([ask(world, server, spi.FIONREAD), ask(world, server, spi.SIOCATMARK)]).toEqual([4, 0]);
    expect(receive(world, server, spi.MSG_OOB | spi.MSG_PEEK)).toBe('U');
    expect(receive(world, server, spi.MSG_OOB)).toBe('U');
    expect(ask(world, server, spi.SIOCATMARK)).toBe(1);
    expect(receive(world, server)).toBe('abcd');
    world.close();
  });

  it('that is not there is waited for by a blocking receive, and not by a nonblocking one [W8.1.13 W8.1.14]', () => {
    const { world, a, client, server } = open();
    const { winsock } = world.b;
    const timeout = Uint8Array.of(100, 0, 0, 0);
    expect(winsock.setsockopt(server, spi.SOL_SOCKET, spi.SO_RCVTIMEO, timeout, 4)).toBe(0);
    expect(receive(world, server, spi.MSG_OOB)).toBe(spi.WSAETIMEDOUT);
    expect(winsock.ioctlsocket(server, spi.FIONBIO, spi.ref(1))).toBe(0);
    expect(receive(world, server, spi.MSG_OOB)).toBe(spi.WSAEWOULDBLOCK);
    send(a, client, 'U', spi.MSG_OOB);
    world.settle();
    const ov = spi.createOverlapped(winsock.WSACreateEvent());
    const flags = spi.ref(spi.MSG_OOB);
    const buffer = Buffer.alloc(1);
    expect(winsock.WSARecv(server, [{ len: 1, buf: buffer }], 1, null, flags, ov, null)).toBe(0);
    expect([buffer.toString(), ov.InternalHigh, ov.Offset]).toEqual(['U', 1, spi.MSG_OOB]);
    a.winsock.closesocket(client);
    world.settle();
    expect(receive(world, server, spi.MSG_OOB)).toBe('');
    world.close();
  });

  it('that is not there yet is waited for by overlapped receives, in their order, whatever the stream does [W8.1.13 W14.9 OOB-02]', () => {
    const { world, a, client, server } = open();
    const [ordinary, first, second] = [
      post(world, server, 0),
      post(world, server),
      post(world, server),
    ];
    send(a, client, 'ab1', spi.MSG_OOB);
    world.settle();
    expect([ordinary, first].map(outcome)).toEqual(['ab', '1']);
    expect([first.ov.Offset, outcome(second)]).toEqual([
      spi.MSG_OOB,
      spi.WSS_OPERATION_IN_PROGRESS,
    ]);
    send(a, client, '2', spi.MSG_OOB);
    send(a, client, '3', spi.MSG_OOB);
    world.settle();
    expect([outcome(second), receive(world, server, spi.MSG_OOB)]).toEqual(['2', '3']);
    const { winsock } = world.b;
    const [ov, flags] = [spi.createOverlapped(), spi.ref(spi.MSG_OOB | spi.MSG_PEEK)];
    const buffers = [{ len: 1, buf: Buffer.alloc(1) }];
    expect(winsock.WSARecv(server, buffers, 1, null, flags, ov, null)).toBe(spi.SOCKET_ERROR);
    expect(winsock.WSAGetLastError()).toBe(spi.WSAEOPNOTSUPP);
    world.close();
  });

  it('that never comes ends with a cancellation, the peer’s end of stream, the close, or the loss [W8.1.13 W9.10.5 W9.10.1]', () => {
    const { world, a, client, server } = open();
    const { winsock } = world.b;
    const [cancelled, other] = [post(world, server), post(world, server)];
    expect(winsock.CancelIoEx(server, cancelled.ov)).toBe(true);
    world.settle();
    expect(outcome(cancelled)).toBe(spi.statusOfWsaError(spi.WSA_OPERATION_ABORTED));
    expect(outcome(other)).toBe(spi.WSS_OPERATION_IN_PROGRESS);
    // Behind ordinary data that nobody has read.
    send(a, client, 'ab');
    expect(a.winsock.shutdown(client, spi.SD_SEND)).toBe(0);
    world.settle();
    expect([outcome(other), outcome(post(world, server)), receive(world, server)]).toEqual([
      '',
      '',
      'ab',
    ]);
    world.close();

    const ends = [
      [spi.WSA_OPERATION_ABORTED, (next) => next.world.b.winsock.closesocket(next.server)],
      [spi.WSAECONNRESET, (next) => reset(next.a, next.client)],
    ] satisfies [number, (next: ReturnType<typeof open>) => void][];
    for (const [error, end] of ends) {
      const next = open();
      const waiting = post(next.world, next.server);
      end(next);
      next.world.settle();
      expect(outcome(waiting)).toBe(spi.statusOfWsaError(error));
      next.world.close();
    }
  });

  it('in line has its place in the stream, by itself, and MSG_OOB is an error [W8.1.13 OOB-03 XFER-15]', () => {
    const { world, a, client, server } = open(true);
    send(a, client, 'ab');
    send(a, client, 'cU', spi.MSG_OOB);
    send(a, client, 'de');
    world.settle();
    expect([ask(world, server, spi.FIONREAD), ask(world, server, spi.SIOCATMARK)]).toEqual([6, 0]);
    expect(receive(world, server, spi.MSG_OOB)).toBe(spi.WSAEINVAL);
    expect(receive(world, server)).toBe('abc');
    expect(receive(world, server)).toBe('U');
    expect(ask(world, server, spi.SIOCATMARK)).toBe(1);
    expect(receive(world, server)).toBe('de');
    world.close();
  });

  it('that comes before accept goes where the listener wants it [W8.1.13 W10.10 OOB-03]', () => {
    const world = new World();
    const { a, b } = world;
    const listener = listenOn(b, '0.0.0.0');
    setInline(b, listener);
    const client = a.winsock.socket(spi.AF_INET, spi.SOCK_STREAM, spi.IPPROTO_TCP);
    expect(a.winsock.connect(client, name(B), 16)).toBe(0);
    send(a, client, 'abU', spi.MSG_OOB);
    world.settle();
    const server = b.winsock.accept(listener, null, null);
    expect([receive(world, server), receive(world, server)]).toEqual(['ab', 'U']);
    world.close();
  });

  it('signals FD_OOB out of line, FD_READ in line [W8.1.13 W10.3]', () => {
    for (const inline of [false, true]) {
      const { world, a, client, server } = open(inline);
      const { winsock } = world.b;
      const event = winsock.WSACreateEvent();
      expect(winsock.WSAEventSelect(server, event, spi.FD_OOB | spi.FD_READ)).toBe(0);
      send(a, client, 'U', spi.MSG_OOB);
      world.settle();
      const seen = spi.createNetworkEvents();
      expect(winsock.WSAEnumNetworkEvents(server, event, seen)).toBe(0);
      expect(seen.lNetworkEvents).toBe(inline ? spi.FD_READ : spi.FD_OOB);
      world.close();
    }
  });

  it('reaches the provider as an ordinary send: its flags are 0 [OOB-01 W14.9 W7.2]', () => {
    // The fake provider refuses any flags of WSPSend.
    const { world, a, client, server } = open();
    const before = a.san.messageBytes;
    send(a, client, 'U', spi.MSG_OOB);
    expect(a.san.messageBytes - before).toBe(21);
    world.settle();
    expect(receive(world, server, spi.MSG_OOB)).toBe('U');
    world.close();
  });
});
