// Streams that TCP/IP carries, and sets of both kinds of sockets: readiness, cancelling, control codes,
// completion. Above the whole stack, in one process.

import { describe, expect, it } from 'vitest';
import type { Host } from '../../index.js';
import * as spi from '../../provider/spi/index.js';
import { closeClean, listen, must, openPair } from './fixture.js';
import type { Pair } from './fixture.js';
import { boundUdp, buffers, bytesOf, drive, failureOf, oneHost, tcpPair, udp } from './sockets.js';

const { POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, POLLRDNORM, POLLWRNORM, WSA_IO_PENDING } = spi;

const setOf = (...sockets: number[]): spi.fd_set => ({
  fd_count: sockets.length,
  fd_array: sockets,
});
const NOW = { tv_sec: 0, tv_usec: 0 };

function poll(host: Host, s: number, events: number, timeout = 0): number {
  const entry = { fd: s, events, revents: 0xfff };
  const count = host.winsock.WSAPoll([entry], 1, timeout);
  expect(count).toBe(entry.revents === 0 ? 0 : 1);
  return entry.revents;
}

/** Both ends first: each host would wait for the other's. */
async function closePair({ a, b, atA, atB }: Pair): Promise<void> {
  a.winsock.closesocket(atA);
  b.winsock.closesocket(atB);
  await closeClean(a, b);
}

describe('select', () => {
  it('tells of sockets of both kinds at once, and leaves what is ready in its sets [W10.12 W2.6]', async () => {
    const pair = await openPair();
    const { a, b, atA, atB } = pair;
    const { winsock } = b;
    const tcp = tcpPair(b);
    const datagram = boundUdp(b);
    const read = setOf(atB, tcp.server, datagram.s);
    const write = setOf(atB, tcp.client);
    expect(winsock.select(0, read, write, null, NOW)).toBe(2);
    expect([read.fd_count, write.fd_array]).toEqual([0, [atB, tcp.client]]);
    a.winsock.send(atA, bytesOf('san'), 3, 0);
    const first = setOf(atB, tcp.server, datagram.s);
    expect(winsock.select(0, first, null, null, null)).toBe(1);
    expect(first.fd_array).toEqual([atB]);
    winsock.sendto(udp(b), bytesOf('udp'), 3, 0, datagram.at, 16);
    winsock.send(tcp.client, bytesOf('tcp'), 3, 0);
    winsock.recv(atB, new Uint8Array(8), 8, 0);
    const wanted = [tcp.server, datagram.s];
    const seen = new Set<number>();
    while (seen.size < wanted.length) {
      const set = setOf(atB, ...wanted);
      winsock.select(0, set, null, null, { tv_sec: 5, tv_usec: 0 });
      for (const s of set.fd_array) seen.add(s);
    }
    expect([...seen].sort()).toEqual(wanted.sort());
    await closePair(pair);
  });

  it('waits as long as it is told, and is told of listeners and failed connects [W10.12]', async () => {
    const pair = await openPair();
    const { a, b, atA } = pair;
    const { winsock } = b;
    const { listener, port } = listen(b);
    const before = process.hrtime.bigint();
    const set = setOf(listener);
    expect(winsock.select(0, set, null, null, { tv_sec: 0, tv_usec: 20_000 })).toBe(0);
    expect(Number(process.hrtime.bigint() - before)).toBeGreaterThan(19_000_000);
    const s = a.winsock.socket(spi.AF_INET, spi.SOCK_STREAM, 0);
    a.winsock.ioctlsocket(s, spi.FIONBIO, spi.ref(1));
    a.winsock.connect(s, spi.sockaddrIn(b.address, port), 16);
    const arrived = setOf(listener);
    expect(winsock.select(0, arrived, null, null, null)).toBe(1);
    const writable = setOf(s);
    expect(a.winsock.select(0, null, writable, null, null)).toBe(1);
    winsock.closesocket(listener);
    const refused = a.winsock.socket(spi.AF_INET, spi.SOCK_STREAM, 0);
    a.winsock.ioctlsocket(refused, spi.FIONBIO, spi.ref(1));
    a.winsock.connect(refused, spi.sockaddrIn(b.address, port), 16);
    const failed = setOf(refused, atA);
    expect(a.winsock.select(0, null, null, failed, null)).toBe(1);
    expect(failed.fd_array).toEqual([refused]);
    await closePair(pair);
  });

  it('refuses what it cannot do; the macros keep to FD_SETSIZE [W2.6 W3.6]', async () => {
    const host = await oneHost();
    const { winsock } = host;
    const none = setOf();
    expect(failureOf(winsock, () => winsock.select(0, none, null, null, null))).toBe(spi.WSAEINVAL);
    const bad = setOf(4711);
    expect(failureOf(winsock, () => winsock.select(0, bad, null, null, NOW))).toBe(spi.WSAENOTSOCK);
    const s = udp(host);
    const negative = { tv_sec: -1, tv_usec: 0 };
    const call = (): number => winsock.select(0, setOf(s), null, null, negative);
    expect(failureOf(winsock, call)).toBe(spi.WSAEINVAL);
    const set = setOf();
    for (let fd = 0; fd < 70; fd++) winsock.FD_SET(fd % 66, set);
    expect([set.fd_count, winsock.FD_ISSET(63, set), winsock.FD_ISSET(64, set)]).toEqual([
      64,
      true,
      false,
    ]);
    winsock.FD_CLR(5, set);
    expect([set.fd_count, winsock.FD_ISSET(5, set)]).toEqual([63, false]);
    winsock.FD_ZERO(set);
    expect(winsock.FD_ISSET(6, set)).toBe(false);
    await closeClean(host);
  });

  it('has a promise twin that waits in the event loop [W10.12]', async () => {
    const pair = await openPair();
    const { a, b, atA, atB } = pair;
    const tcp = tcpPair(b);
    const { promises } = b.winsock;
    const read = setOf(atB, tcp.server);
    const waiting = promises.select(0, read, null, null, null);
    a.winsock.send(atA, bytesOf('x'), 1, 0);
    expect(await waiting).toBe(1);
    expect(read.fd_array).toEqual([atB]);
    const entry = { fd: tcp.server, events: POLLIN, revents: 0 };
    const polling = promises.WSAPoll([entry], 1, -1);
    b.winsock.send(tcp.client, bytesOf('x'), 1, 0);
    expect(await polling).toBe(1);
    expect(await promises.select(0, setOf(tcp.client), null, null, NOW)).toBe(0);
    await expect(promises.select(0, setOf(), null, null, null)).rejects.toMatchObject({
      code: spi.WSAEINVAL,
    });
    await closePair(pair);
  });
});

describe('WSAPoll', () => {
  it('answers for both kinds of stream: room, data, the end [W2.13 W10.12]', async () => {
    const pair = await openPair();
    const { a, b, atA, atB } = pair;
    const tcp = tcpPair(b);
    for (const [from, s, to] of [
      [a, atA, atB],
      [b, tcp.client, tcp.server],
    ] as const) {
      expect(poll(b, to, POLLOUT | POLLIN)).toBe(POLLWRNORM);
      from.winsock.send(s, bytesOf('x'), 1, 0);
      expect(poll(b, to, POLLIN, -1)).toBe(POLLRDNORM);
      b.winsock.recv(to, new Uint8Array(1), 1, 0);
      from.winsock.shutdown(s, spi.SD_SEND);
      expect(poll(b, to, POLLIN, -1)).toBe(POLLRDNORM | POLLHUP);
    }
    await closePair(pair);
  });

  it('answers for what is no socket, ignores what is none asked for, and refuses the rest [W2.13 W3.6]', async () => {
    const host = await oneHost();
    const { winsock } = host;
    const { s } = boundUdp(host);
    const entries = [
      { fd: -1, events: POLLIN, revents: 9 },
      { fd: 4711, events: POLLIN, revents: 9 },
      { fd: s, events: POLLIN | POLLOUT, revents: 9 },
    ];
    expect(winsock.WSAPoll(entries, 3, -1)).toBe(2);
    expect(entries.map(({ revents }) => revents)).toEqual([0, POLLNVAL, POLLWRNORM]);
    const failure = (list: spi.WSAPOLLFD[] | null, count: number): number =>
      failureOf(winsock, () => winsock.WSAPoll(list, count, 0));
    expect(failure(null, 1)).toBe(spi.WSAEFAULT);
    expect(failure(entries.slice(0, 1), 1)).toBe(spi.WSAEINVAL);
    expect(failure(entries.slice(0, 2), 2)).toBe(spi.WSAENOTSOCK);
    expect(failure([{ fd: s, events: spi.POLLPRI, revents: 0 }], 1)).toBe(spi.WSAEINVAL);
    await closeClean(host);
  });

  it('tells of a failed connect and of a lost connection unasked [W2.13 W8.1.14]', async () => {
    const pair = await openPair();
    const { a, b, atA, atB } = pair;
    b.winsock.setsockopt(atB, spi.SOL_SOCKET, spi.SO_LINGER, Uint8Array.of(1, 0, 0, 0), 4);
    b.winsock.closesocket(atB);
    expect(poll(a, atA, 0, -1)).toBe(POLLERR | POLLHUP);
    await closePair(pair);
  });
});

describe('over TCP/IP', () => {
  it('CancelIoEx and CancelIo end what is pending with 995 [W9.10.5 W9.14.1]', async () => {
    const host = await oneHost();
    const { winsock } = host;
    const { client, server } = tcpPair(host);
    const ovs = [spi.createOverlapped(), spi.createOverlapped(winsock.WSACreateEvent())] as const;
    for (const ov of ovs) {
      const list = buffers(new Uint8Array(4));
      const start = (): number => winsock.WSARecv(server, list, 1, null, spi.ref(0), ov, null);
      expect(failureOf(winsock, start)).toBe(WSA_IO_PENDING);
    }
    expect(winsock.CancelIoEx(server, ovs[0])).toBe(true);
    drive(host, () => ovs[0].Internal !== 0x103, 'the first');
    expect(ovs.map(({ Internal }) => Internal)).toEqual([0xc0000120, 0x103]);
    expect(failureOf(winsock, () => winsock.CancelIoEx(server, ovs[0]))).toBe(spi.ERROR_NOT_FOUND);
    expect(winsock.CancelIo(server)).toBe(true);
    expect(winsock.WaitForSingleObjectEx(ovs[1].hEvent, spi.WSA_INFINITE, false)).toBe(0);
    winsock.send(client, bytesOf('data'), 4, 0);
    expect(winsock.recv(server, new Uint8Array(4), 4, 0)).toBe(4);
    await closeClean(host);
  });

  it.each([
    ['documented', spi.WSA_OPERATION_ABORTED, 995],
    ['windows', spi.WSAECONNABORTED, spi.ERROR_CONNECTION_ABORTED],
  ] as const)(
    'closesocket in profile %s ends a pending receive with %i, %i to Win32 [W9.10.1 W1.3]',
    async (profile, error, win32) => {
      const host = await oneHost({ profile });
      const { winsock } = host;
      const { server } = tcpPair(host);
      const port = winsock.CreateIoCompletionPort(server, 0, 1, 0);
      const ov = spi.createOverlapped();
      winsock.WSARecv(server, buffers(new Uint8Array(4)), 1, null, spi.ref(0), ov, null);
      winsock.closesocket(server);
      const out = spi.ref<spi.WSAOVERLAPPED | null>(null);
      const take = (): boolean =>
        winsock.GetQueuedCompletionStatus(port, spi.ref(0), spi.ref<unknown>(0), out, 0xffffffff);
      expect(failureOf(winsock, take)).toBe(win32);
      expect(out.value).toBe(ov);
      expect(spi.wsaErrorOfStatus(ov.Internal)).toBe(error);
      await closeClean(host);
    },
  );

  it('an unknown control code: WSAEOPNOTSUPP, or overlapped a failure that is told later [W11.3 W11.1]', async () => {
    const host = await oneHost();
    const { winsock } = host;
    const { client } = tcpPair(host);
    const port = winsock.CreateIoCompletionPort(client, 0, 1, 0);
    const lpcb = spi.ref(99);
    const ask = (ov: spi.WSAOVERLAPPED | null): number =>
      failureOf(winsock, () =>
        winsock.WSAIoctl(client, 0xdeadbeef, null, 0, null, 0, lpcb, ov, null),
      );
    expect(ask(null)).toBe(spi.WSAEOPNOTSUPP);
    expect(lpcb.value).toBe(0);
    lpcb.value = 99;
    const ov = spi.createOverlapped();
    expect(ask(ov)).toBe(WSA_IO_PENDING);
    expect(lpcb.value).toBe(99);
    const bytes = spi.ref(7);
    const out = spi.ref<spi.WSAOVERLAPPED | null>(null);
    const take = (): boolean =>
      winsock.GetQueuedCompletionStatus(port, bytes, spi.ref<unknown>(0), out, 0xffffffff);
    expect(failureOf(winsock, take)).toBe(spi.ERROR_NOT_SUPPORTED);
    expect([bytes.value, ov.Internal]).toEqual([0, spi.NTSTATUS.STATUS_NOT_SUPPORTED]);
    await closeClean(host);
  });

  it.each([
    ['documented', 0, 995],
    ['windows', spi.WSAEOPNOTSUPP, 0],
  ] as const)('SIO_FLUSH in profile %s [W9.10.3 W11.6]', async (profile, error, ended) => {
    const host = await oneHost({ profile });
    const { winsock } = host;
    const { client } = tcpPair(host);
    const ov = spi.createOverlapped();
    const big = new Uint8Array(16_000_000);
    const start = (): number => winsock.WSASend(client, buffers(big), 1, null, 0, ov, null);
    expect(failureOf(winsock, start)).toBe(WSA_IO_PENDING);
    winsock.WSASetLastError(0);
    winsock.WSAIoctl(client, spi.SIO_FLUSH, null, 0, null, 0, spi.ref(0), null, null);
    expect(winsock.WSAGetLastError()).toBe(error);
    if (ended !== 0) drive(host, () => ov.Internal !== 0x103, 'the send');
    expect(spi.wsaErrorOfStatus(ov.Internal)).toBe(ended === 0 ? spi.WSA_IO_INCOMPLETE : ended);
    winsock.CancelIo(client);
    await closeClean(host);
  });

  it('what a send has taken is the transport’s: the memory is free, and nobody need have it yet [W4.11 W4.23 W4.8]', async () => {
    const pair = await openPair();
    const { a, b, atA, atB } = pair;
    const tcp = tcpPair(b);
    for (const [from, s, to] of [
      [a, atA, atB],
      [b, tcp.client, tcp.server],
    ] as const) {
      const data = Buffer.from('before');
      const array = buffers(data);
      const sent = spi.ref(0);
      expect(from.winsock.WSASend(s, array, 1, sent, 0, null, null)).toBe(0);
      expect(sent.value).toBe(6);
      data.fill(0);
      array[0] = { len: 0, buf: null };
      const got = Buffer.alloc(6);
      expect(must(b.winsock, 'recv', b.winsock.recv(to, got, 6, spi.MSG_WAITALL))).toBe(6);
      expect(got.toString()).toBe('before');
    }
    await closePair(pair);
  });

  it('a socket without the attribute is never overlapped, and its structure ignored [W3.1 W4.24 W3.2]', async () => {
    const host = await oneHost();
    const { winsock } = host;
    const { listener, port } = listen(host);
    const s = winsock.WSASocket(spi.AF_INET, spi.SOCK_STREAM, 0, null, 0, 0);
    const name = spi.sockaddrIn(host.address, port);
    expect(winsock.connect(s, name, 16)).toBe(0);
    const ov = spi.createOverlapped(winsock.WSACreateEvent());
    let calls = 0;
    const count = spi.ref(0);
    const routine = (): void => {
      calls++;
    };
    expect(winsock.WSASend(s, buffers(bytesOf('abc')), 1, count, 0, ov, routine)).toBe(0);
    expect(count.value).toBe(3);
    expect(winsock.SleepEx(0, true)).toBe(0);
    expect([calls, ov.Internal]).toEqual([0, 0]);
    expect(winsock.WaitForSingleObjectEx(ov.hEvent, 0, false)).toBe(spi.WSA_WAIT_TIMEOUT);
    expect(winsock.closesocket(listener)).toBe(0);
    await closeClean(host);
  });

  it.each([
    ['documented', true],
    ['windows', false],
  ] as const)(
    'a receive that fails for its arguments re-enables FD_READ in profile %s: %s [W10.3 W10.4]',
    async (profile, isTold) => {
      const host = await oneHost({ profile });
      const { winsock } = host;
      const { client, server } = tcpPair(host);
      const event = winsock.WSACreateEvent();
      winsock.WSAEventSelect(server, event, spi.FD_READ);
      winsock.send(client, bytesOf('data'), 4, 0);
      const seen = (): number => {
        const events = spi.createNetworkEvents();
        winsock.WSAEnumNetworkEvents(server, event, events);
        return events.lNetworkEvents;
      };
      winsock.WaitForSingleObjectEx(event, spi.WSA_INFINITE, false);
      expect([seen(), seen()]).toEqual([spi.FD_READ, 0]);
      const bad = (): number => winsock.recv(server, new Uint8Array(1), -1, 0);
      expect(failureOf(winsock, bad)).toBe(spi.WSAEFAULT);
      if (isTold) winsock.WaitForSingleObjectEx(event, spi.WSA_INFINITE, false);
      expect(seen()).toBe(isTold ? spi.FD_READ : 0);
      await closeClean(host);
    },
  );

  it('one structure for two receives is taken, though no contract allows it [W8.1.17]', async () => {
    const host = await oneHost();
    const { winsock } = host;
    const { client, server } = tcpPair(host);
    const ov = spi.createOverlapped();
    for (let count = 0; count < 2; count++) {
      const list = buffers(new Uint8Array(4));
      const start = (): number => winsock.WSARecv(server, list, 1, null, spi.ref(0), ov, null);
      expect(failureOf(winsock, start)).toBe(WSA_IO_PENDING);
    }
    winsock.send(client, bytesOf('eightby'), 7, 0);
    drive(host, () => ov.InternalHigh === 3, 'the second');
    await closeClean(host);
  });

  it('addresses become text and back [SPI-03]', async () => {
    const host = await oneHost();
    const { winsock } = host;
    const text = spi.ref('');
    const length = spi.ref(40);
    const name = spi.sockaddrIn(host.address, 80);
    expect(winsock.WSAAddressToString(name, 16, null, text, length)).toBe(0);
    expect(text.value).toBe(`${host.address}:80`);
    const back = new Uint8Array(16);
    expect(winsock.WSAStringToAddress(text.value, spi.AF_INET, null, back, spi.ref(16))).toBe(0);
    expect([...back]).toEqual([...name]);
    const wrong = (): number =>
      winsock.WSAStringToAddress('no address', spi.AF_INET, null, back, spi.ref(16));
    expect(failureOf(winsock, wrong)).toBe(spi.WSAEINVAL);
    await closeClean(host);
  });
});
