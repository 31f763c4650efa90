// WSADuplicateSocket above the whole stack: further descriptors of one socket in a process, and sockets
// of TCP/IP in another process.

import { describe, expect, it } from 'vitest';
import type { Host } from '../../index.js';
import * as spi from '../../provider/spi/index.js';
import { Child } from './child.js';
import type { DuplicateTask } from './children/duplicate.js';
import { B, carry, closeClean, connect, listen, must, newFabric, newSocket } from './fixture.js';
import { openPair, until } from './fixture.js';
import { boundUdp, buffers, bytesOf, drive, failureOf, oneHost, tcpPair, udp } from './sockets.js';

const from = spi.FROM_PROTOCOL_INFO;

/** What WSADuplicateSocket fills in. */
function offered({ winsock }: Host, s: number, processId = process.pid): spi.WSAPROTOCOL_INFO {
  const info = spi.emptyProtocolInfo();
  must(winsock, 'WSADuplicateSocket', winsock.WSADuplicateSocket(s, processId, info));
  expect(info.dwProviderReserved).not.toBe(0);
  return info;
}

function taken({ winsock }: Host, info: spi.WSAPROTOCOL_INFO): number {
  return winsock.WSASocket(from, from, from, info, 0, spi.WSA_FLAG_OVERLAPPED);
}

function duplicated(host: Host, s: number): number {
  return must(host.winsock, 'WSASocket', taken(host, offered(host, s)));
}

/** Starts an overlapped receive. */
function receive({ winsock }: Host, s: number, into: Uint8Array): spi.WSAOVERLAPPED {
  const overlapped = spi.createOverlapped(winsock.WSACreateEvent());
  const flags = spi.ref(0);
  const result = winsock.WSARecv(s, buffers(into), 1, null, flags, overlapped, null);
  expect([result, winsock.WSAGetLastError()]).toEqual([spi.SOCKET_ERROR, spi.WSA_IO_PENDING]);
  return overlapped;
}

const isPending = ({ Internal }: spi.WSAOVERLAPPED): boolean => Internal === 0x103;

describe('a further descriptor in the same process', () => {
  for (const carrier of ['TCP/IP', 'a SAN provider'] as const) {
    it(`is the same socket over ${carrier}: only the last close ends it, and what is pending on it [W3.7]`, async () => {
      const pair = carrier === 'TCP/IP' ? null : await openPair();
      const a = pair?.a ?? (await oneHost());
      const b = pair?.b ?? a;
      const { client, server } =
        pair === null ? tcpPair(a) : { client: pair.atA, server: pair.atB };
      const second = duplicated(a, client);
      const third = duplicated(a, second);
      expect(new Set([client, second, third]).size).toBe(3);
      for (const [s, text] of [
        [client, 'one'],
        [second, 'two'],
        [third, 'three'],
      ] as const) {
        expect(carry({ host: a, socket: s }, { host: b, socket: server }, text)).toBe(text);
      }
      const buffer = new Uint8Array(8);
      const pending = receive(a, client, buffer);
      expect(a.winsock.closesocket(client)).toBe(0);
      expect(failureOf(a.winsock, () => a.winsock.send(client, buffer, 1, 0))).toBe(
        spi.WSAENOTSOCK,
      );
      expect(a.winsock.closesocket(third)).toBe(0);
      drive(b, () => true, 'a turn');
      expect(isPending(pending)).toBe(true);
      b.winsock.send(server, bytesOf('data'), 4, 0);
      drive(a, () => !isPending(pending), 'the receive');
      expect([pending.InternalHigh, ...buffer.subarray(0, 4)]).toEqual([4, ...bytesOf('data')]);
      const last = receive(a, second, buffer);
      expect(a.winsock.closesocket(second)).toBe(0);
      drive(a, () => !isPending(last), 'the end of the receive');
      expect(b.winsock.recv(server, buffer, 8, 0)).toBeLessThanOrEqual(0);
      b.winsock.closesocket(server);
      await closeClean(...new Set([a, b]));
    });
  }

  it('is made once, of a socket that is there [W3.7]', async () => {
    const host = await oneHost();
    const { winsock } = host;
    const s = newSocket(host);
    const info = offered(host, s);
    const { pid } = process;
    expect(failureOf(winsock, () => winsock.WSADuplicateSocket(s, pid, null))).toBe(spi.WSAEFAULT);
    expect(failureOf(winsock, () => winsock.WSADuplicateSocket(s, 0, info))).toBe(spi.WSAEINVAL);
    const none = s + 4000;
    expect(failureOf(winsock, () => winsock.WSADuplicateSocket(none, pid, info))).toBe(
      spi.WSAENOTSOCK,
    );
    const other = must(winsock, 'WSASocket', taken(host, info));
    expect(failureOf(winsock, () => taken(host, info))).toBe(spi.WSAEINVAL);
    const stale = offered(host, s);
    winsock.closesocket(s);
    winsock.closesocket(other);
    expect(failureOf(winsock, () => taken(host, stale))).toBe(spi.WSAEINVAL);
    await closeClean(host);
  });

  it('needs no closing before WSACleanup [W3.7]', async () => {
    const host = await oneHost();
    const { client, server } = tcpPair(host);
    duplicated(host, client);
    host.winsock.closesocket(server);
    await closeClean(host);
  });
});

interface Found {
  readonly error: number;
  readonly local?: string;
  readonly peer?: string;
}

describe('a socket of TCP/IP in another process', () => {
  /** A host here and one in a child, and how to give the child tasks while this one goes on. */
  async function withChild(): Promise<{
    readonly host: Host;
    readonly child: Child;
    readonly ask: <T>(task?: DuplicateTask) => Promise<T>;
    readonly end: () => Promise<void>;
  }> {
    const fabric = newFabric();
    const host = await oneHost({ fabric });
    const plan = { fabric, address: B, engine: 'inline' };
    const child = new Child('duplicate', plan, { isCompiled: true });
    const ask = async <T>(task?: DuplicateTask): Promise<T> => {
      if (task !== undefined) child.tell(task);
      let isSaid = false;
      const said = child.said<T>();
      const note = (): void => {
        isSaid = true;
      };
      said.then(note, note);
      await until(() => {
        host.progress();
        return isSaid;
      }, 'the child');
      return said;
    };
    const end = async (): Promise<void> => {
      child.tell({ use: 'end' });
      expect(await child.ended).toBe(0);
      await closeClean(host);
    };
    return { host, child, ask, end };
  }

  it('is the same connection: names, data, and an end only when both have closed it [W3.7]', async () => {
    const { host, child, ask, end } = await withChild();
    const { winsock } = host;
    const { client, server } = tcpPair(host);
    const info = offered(host, client, child.pid);
    // What it was is not needed any more, and the connection is not ended by it.
    expect(winsock.closesocket(client)).toBe(0);
    const found = await ask<Found>({ info, use: 'echo' });
    expect(found.error).toBe(0);
    expect(found.local).toMatch(new RegExp(`^${host.address}:`));
    expect(found.peer).toMatch(new RegExp(`^${host.address}:`));
    winsock.send(server, bytesOf('there'), 5, 0);
    expect(await ask()).toEqual({ closed: true });
    const buffer = new Uint8Array(8);
    expect(winsock.recv(server, buffer, 8, 0)).toBe(5);
    expect(Buffer.from(buffer.subarray(0, 5)).toString()).toBe('there');
    expect(winsock.recv(server, buffer, 8, 0)).toBe(0);
    winsock.closesocket(server);
    await end();
  });

  it('goes on here when the other one has closed it [W3.7]', async () => {
    const { host, child, ask, end } = await withChild();
    const { client, server } = tcpPair(host);
    await ask({ info: offered(host, client, child.pid), use: 'take' });
    expect(await ask()).toEqual({ closed: true });
    const here = { host, socket: client };
    expect(carry(here, { host, socket: server }, 'still')).toBe('still');
    expect(carry({ host, socket: server }, here, 'back')).toBe('back');
    for (const s of [client, server]) host.winsock.closesocket(s);
    await end();
  });

  it('listens, and receives datagrams, as it did here [W3.7]', async () => {
    const { host, child, ask, end } = await withChild();
    const { winsock } = host;
    const { listener, port } = listen(host);
    expect(await ask({ info: offered(host, listener, child.pid), use: 'accept' })).toMatchObject({
      error: 0,
    });
    winsock.closesocket(listener);
    const s = connect(host, host.address, port);
    winsock.send(s, bytesOf('hello'), 5, 0);
    expect(await ask()).toEqual({ closed: true });
    expect(winsock.recv(s, new Uint8Array(8), 8, 0)).toBe(5);
    winsock.closesocket(s);
    const { s: bound, at } = boundUdp(host);
    const sender = udp(host);
    winsock.sendto(sender, bytesOf('datagram'), 8, 0, at, at.length);
    const info = offered(host, bound, child.pid);
    expect(await ask({ info, use: 'take' })).toMatchObject({
      error: 0,
      local: `${host.address}:${spi.sockaddrPort(at)}`,
    });
    expect(await ask()).toEqual({ closed: true });
    for (const one of [bound, sender]) winsock.closesocket(one);
    await end();
  });

  it('is for that process alone, and not after this one has ended it [W3.7]', async () => {
    const { host, child, ask, end } = await withChild();
    const { client, server } = tcpPair(host);
    const foreign = offered(host, client, child.pid + 1);
    expect(await ask({ info: foreign, use: 'take' })).toEqual({ error: spi.WSAEINVAL });
    const info = offered(host, client, child.pid);
    await ask({ info, use: 'take' });
    await ask();
    expect(await ask({ info, use: 'take' })).toEqual({ error: spi.WSAEINVAL });
    for (const s of [client, server]) host.winsock.closesocket(s);
    await end();
  });
});
