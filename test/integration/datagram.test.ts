// Datagram sockets of the base provider through the switch, as an application uses them.

import { describe, expect, it } from 'vitest';
import * as spi from '../../provider/spi/index.js';
import { closeClean } from './fixture.js';
import {
  boundUdp,
  buffers,
  bytesOf,
  drive,
  failureOf,
  message,
  oneHost,
  setInt,
  tcpPair,
  udp,
} from './sockets.js';

const { WSA_IO_PENDING } = spi;

describe('WSASendTo and WSARecvFrom', () => {
  it('carry one datagram, gathered and packed, with its sender [W5.12 W5.13 W4.2 W8.1.1 W8.2.1 W4.22]', async () => {
    const host = await oneHost();
    const { winsock } = host;
    const to = boundUdp(host);
    const from = boundUdp(host);
    const sent = spi.ref(0);
    const data = buffers(bytesOf('abc'), bytesOf('defgh'));
    expect(winsock.WSASendTo(from.s, data, 2, sent, 0, to.at, to.at.length, null, null)).toBe(0);
    expect(sent.value).toBe(8);
    const parts = [new Uint8Array(2), new Uint8Array(30)] as const;
    const count = spi.ref(0);
    const flags = spi.ref(0);
    const name = new Uint8Array(40);
    const length = spi.ref(40);
    expect(
      winsock.WSARecvFrom(to.s, buffers(...parts), 2, count, flags, name, length, null, null),
    ).toBe(0);
    expect([count.value, flags.value, length.value]).toEqual([8, 0, 16]);
    expect(Buffer.concat(parts).toString('latin1', 0, 8)).toBe('abcdefgh');
    expect(spi.parseSockaddr(name, 16)).toEqual(spi.parseSockaddr(from.at, 16));
    await closeClean(host);
  });

  it('an overlapped pair: the array may be reused at once, the name comes at the end, the event is signalled [W4.8 W5.14 W8.2.2 W9.2 W9.14.2]', async () => {
    const host = await oneHost();
    const { winsock } = host;
    const to = boundUdp(host);
    const from = boundUdp(host);
    const ov = spi.createOverlapped(winsock.WSACreateEvent());
    const got = new Uint8Array(20);
    const array = buffers(got);
    const name = new Uint8Array(16);
    const length = spi.ref(16);
    const count = spi.ref(99);
    const start = (): number =>
      winsock.WSARecvFrom(to.s, array, 1, count, spi.ref(0), name, length, ov, null);
    expect(failureOf(winsock, start)).toBe(WSA_IO_PENDING);
    array[0] = { len: 0, buf: null };
    expect([count.value, ov.Internal, length.value, name[0]]).toEqual([99, 0x103, 16, 0]);
    const send = spi.createOverlapped(winsock.WSACreateEvent());
    const result = winsock.WSASendTo(
      from.s,
      buffers(bytesOf('hello')),
      1,
      null,
      0,
      to.at,
      16,
      send,
      null,
    );
    if (result !== 0) expect(winsock.WSAGetLastError()).toBe(WSA_IO_PENDING);
    const events = [ov.hEvent, send.hEvent];
    expect(winsock.WSAWaitForMultipleEvents(2, events, true, spi.WSA_INFINITE, false)).toBe(0);
    expect(Buffer.from(got).toString('latin1', 0, 5)).toBe('hello');
    expect(spi.parseSockaddr(name, length.value)?.port).toBe(spi.sockaddrPort(from.at));
    expect(winsock.WSAGetOverlappedResult(to.s, ov, count, false, spi.ref(0))).toBe(true);
    expect(count.value).toBe(5);
    await closeClean(host);
  });

  it('routines run in an alertable wait, and may send and receive [W5.9 W5.10 W5.12 W5.15 W9.9.8]', async () => {
    const host = await oneHost();
    const { winsock } = host;
    const to = boundUdp(host);
    const from = boundUdp(host);
    const told: string[] = [];
    const got = new Uint8Array(20);
    const name = new Uint8Array(16);
    const length = spi.ref(16);
    const receive = (): void => {
      const ov = spi.createOverlapped();
      winsock.WSARecvFrom(
        to.s,
        buffers(got),
        1,
        null,
        spi.ref(0),
        name,
        length,
        ov,
        (error, bytes) => {
          told.push(`${error} ${Buffer.from(got).toString('latin1', 0, bytes)}`);
          if (told.length < 3) {
            receive();
            winsock.sendto(from.s, bytesOf(`again ${told.length}`), 7, 0, to.at, 16);
          }
        },
      );
    };
    receive();
    winsock.sendto(from.s, bytesOf('first'), 5, 0, to.at, 16);
    drive(host, () => true, 'nothing');
    expect(told).toEqual([]);
    while (told.length < 3) winsock.SleepEx(spi.WSA_INFINITE, true);
    expect(told).toEqual(['0 first', '0 again 1', '0 again 2']);
    await closeClean(host);
  });

  it('a datagram goes where lpTo says although the socket is connected, which it stays [W5.1 W5.4 W4.1 W8.2.4]', async () => {
    const host = await oneHost();
    const { winsock } = host;
    const one = boundUdp(host);
    const two = boundUdp(host);
    const s = udp(host);
    expect(winsock.connect(s, one.at, 16)).toBe(0);
    expect(winsock.sendto(s, bytesOf('to two'), 6, 0, two.at, 16)).toBe(6);
    expect(winsock.sendto(s, bytesOf('to one'), 6, 0, null, 0)).toBe(6);
    expect(winsock.send(s, bytesOf('too'), 3, 0)).toBe(3);
    const buf = new Uint8Array(20);
    expect(winsock.recv(two.s, buf, 20, 0)).toBe(6);
    expect(Buffer.from(buf).toString('latin1', 0, 6)).toBe('to two');
    expect(winsock.recv(one.s, buf, 20, 0)).toBe(6);
    expect(winsock.recv(one.s, buf, 20, 0)).toBe(3);
    const name = new Uint8Array(16);
    expect(winsock.getpeername(s, name, spi.ref(16))).toBe(0);
    expect(spi.sockaddrPort(name)).toBe(spi.sockaddrPort(one.at));
    // Connected, it hears its peer only.
    winsock.getsockname(s, name, spi.ref(16));
    winsock.sendto(two.s, bytesOf('stranger'), 8, 0, name, 16);
    winsock.sendto(one.s, bytesOf('peer'), 4, 0, name, 16);
    expect(winsock.recv(s, buf, 20, 0)).toBe(4);
    await closeClean(host);
  });

  it('an unbound socket is bound by its first send, to the wildcard address [W5.3]', async () => {
    const host = await oneHost();
    const { winsock } = host;
    const to = boundUdp(host);
    const s = udp(host);
    const name = new Uint8Array(16);
    const ask = (): number => winsock.getsockname(s, name, spi.ref(16));
    expect(failureOf(winsock, ask)).toBe(spi.WSAEINVAL);
    expect(failureOf(winsock, () => winsock.recvfrom(s, name, 16, 0, null, null))).toBe(
      spi.WSAEINVAL,
    );
    expect(winsock.sendto(s, bytesOf('x'), 1, 0, to.at, 16)).toBe(1);
    expect(ask()).toBe(0);
    const bound = spi.parseSockaddr(name, 16);
    expect(bound?.ip).toBe('0.0.0.0');
    expect(bound?.port).toBeGreaterThan(0);
    await closeClean(host);
  });

  it('an empty datagram is one, and 0 bytes say nothing about an end [W4.13 W8.1.12]', async () => {
    const host = await oneHost();
    const { winsock } = host;
    const to = boundUdp(host);
    const s = udp(host);
    expect(winsock.sendto(s, new Uint8Array(0), 0, 0, to.at, 16)).toBe(0);
    expect(winsock.sendto(s, bytesOf('y'), 1, 0, to.at, 16)).toBe(1);
    const buf = new Uint8Array(4);
    expect(winsock.recv(to.s, buf, 4, 0)).toBe(0);
    expect(winsock.recv(to.s, buf, 4, 0)).toBe(1);
    await closeClean(host);
  });

  it('a datagram that is too long for the buffer: 10040 with the bytes that fit, in every mode [W8.1.10 W8.1.11]', async () => {
    const host = await oneHost();
    const { winsock } = host;
    const to = boundUdp(host);
    const s = udp(host);
    const send = (): number => winsock.sendto(s, bytesOf('ninebytes'), 9, 0, to.at, 16);
    const six = new Uint8Array(6);
    const count = spi.ref(0);
    send();
    const blocking = (): number =>
      winsock.WSARecv(to.s, buffers(six), 1, count, spi.ref(0), null, null);
    expect(failureOf(winsock, blocking)).toBe(spi.WSAEMSGSIZE);
    expect([count.value, Buffer.from(six).toString()]).toEqual([6, 'ninebyte'.slice(0, 6)]);
    for (const isQueued of [true, false]) {
      const ov = spi.createOverlapped(winsock.WSACreateEvent());
      if (isQueued) send();
      const start = (): number =>
        winsock.WSARecv(to.s, buffers(six), 1, null, spi.ref(0), ov, null);
      expect(failureOf(winsock, start)).toBe(WSA_IO_PENDING);
      if (!isQueued) send();
      winsock.WaitForSingleObjectEx(ov.hEvent, spi.WSA_INFINITE, false);
      expect([ov.Internal, ov.InternalHigh]).toEqual([0x80000005, 6]);
      const result = (): boolean =>
        winsock.WSAGetOverlappedResult(to.s, ov, count, false, spi.ref(0));
      expect(failureOf(winsock, result)).toBe(spi.WSAEMSGSIZE);
    }
    const told: unknown[] = [];
    const ov = spi.createOverlapped();
    winsock.WSARecv(to.s, buffers(six), 1, null, spi.ref(0), ov, (...values) => {
      told.push(...values);
    });
    send();
    winsock.SleepEx(spi.WSA_INFINITE, true);
    expect(told).toEqual([spi.WSAEMSGSIZE, 6, ov, 0]);
    await closeClean(host);
  });

  it('a name buffer that is too short fails the receive and leaves the datagram [W8.2.3]', async () => {
    const host = await oneHost();
    const { winsock } = host;
    const to = boundUdp(host);
    const s = udp(host);
    winsock.sendto(s, bytesOf('kept'), 4, 0, to.at, 16);
    const name = new Uint8Array(16);
    const buf = new Uint8Array(8);
    const short = (): number => winsock.recvfrom(to.s, buf, 8, 0, name, spi.ref(7));
    expect(failureOf(winsock, short)).toBe(spi.WSAEFAULT);
    expect(name.every((byte) => byte === 0)).toBe(true);
    expect(winsock.recvfrom(to.s, buf, 8, 0, name, spi.ref(16))).toBe(4);
    await closeClean(host);
  });

  it('MSG_PEEK leaves the datagram; MSG_WAITALL and unknown flags are refused [W8.1.7 W8.1.8 W8.1.9]', async () => {
    const host = await oneHost();
    const { winsock } = host;
    const to = boundUdp(host);
    const s = udp(host);
    winsock.sendto(s, bytesOf('stay'), 4, 0, to.at, 16);
    const buf = new Uint8Array(8);
    const receive = (flags: number): number => winsock.recvfrom(to.s, buf, 8, flags, null, null);
    expect(failureOf(winsock, () => receive(spi.MSG_WAITALL))).toBe(spi.WSAEOPNOTSUPP);
    expect(failureOf(winsock, () => receive(0x4000))).toBe(spi.WSAEOPNOTSUPP);
    const plain = (): number => winsock.recv(to.s, buf, 8, spi.MSG_WAITALL);
    expect(failureOf(winsock, plain)).toBe(spi.WSAEOPNOTSUPP);
    expect([receive(spi.MSG_PEEK), receive(spi.MSG_PEEK)]).toEqual([4, 4]);
    expect(receive(spi.MSG_PUSH_IMMEDIATE)).toBe(4);
    await closeClean(host);
  });

  it('nonblocking and blocking calls wait as their mode says, SO_RCVTIMEO included [W4.3 W8.1.14 W4.17 W3.2]', async () => {
    const host = await oneHost();
    const { winsock } = host;
    const to = boundUdp(host);
    const s = udp(host);
    const buf = new Uint8Array(8);
    setInt(host, to.s, spi.SOL_SOCKET, spi.SO_RCVTIMEO, 20);
    const receive = (): number => winsock.recvfrom(to.s, buf, 8, 0, null, null);
    expect(failureOf(winsock, receive)).toBe(spi.WSAETIMEDOUT);
    winsock.ioctlsocket(to.s, spi.FIONBIO, spi.ref(1));
    expect(failureOf(winsock, receive)).toBe(spi.WSAEWOULDBLOCK);
    // The mode says nothing about overlapped calls, nor does the timeout.
    const ov = spi.createOverlapped();
    const start = (): number => winsock.WSARecv(to.s, buffers(buf), 1, null, spi.ref(0), ov, null);
    expect(failureOf(winsock, start)).toBe(WSA_IO_PENDING);
    winsock.sendto(s, bytesOf('now'), 3, 0, to.at, 16);
    drive(host, () => ov.Internal !== 0x103, 'the receive');
    expect(ov.InternalHigh).toBe(3);
    winsock.sendto(s, bytesOf('more'), 4, 0, to.at, 16);
    const set = { fd_count: 1, fd_array: [to.s] };
    expect(winsock.select(0, set, null, null, null)).toBe(1);
    expect(receive()).toBe(4);
    await closeClean(host);
  });

  it('the promise twins do the same from an event loop [W5.12 W8.2.2 W8.1.11]', async () => {
    const host = await oneHost();
    const { winsock } = host;
    const { promises } = winsock;
    const to = boundUdp(host);
    const s = udp(host);
    const name = new Uint8Array(16);
    const buf = new Uint8Array(8);
    const receiving = promises.recvfrom(to.s, buf, 8, 0, name, spi.ref(16));
    expect(await promises.sendto(s, bytesOf('hello'), 5, 0, to.at, 16)).toBe(5);
    expect(await receiving).toBe(5);
    const cut = promises.recvfrom(to.s, buf.subarray(0, 2), 2, 0, name, spi.ref(16));
    expect(await promises.sendto(s, bytesOf('hello'), 5, 0, to.at, 16)).toBe(5);
    await expect(cut).rejects.toMatchObject({ code: spi.WSAEMSGSIZE });
    const received = message({ lpBuffers: buffers(buf), dwBufferCount: 1 });
    const count = spi.ref(0);
    const taking = promises.WSARecvMsg(to.s, received, count);
    const out = message({
      name: to.at,
      namelen: 16,
      lpBuffers: buffers(bytesOf('msg')),
      dwBufferCount: 1,
    });
    const sent = spi.ref(0);
    expect(await promises.WSASendMsg(s, out, 0, sent)).toBe(0);
    expect(await taking).toBe(0);
    expect([sent.value, count.value]).toEqual([3, 3]);
    await expect(promises.WSASendMsg(4711, out, 0, null)).rejects.toMatchObject({
      code: spi.WSAENOTSOCK,
    });
    await closeClean(host);
  });
});

describe('other kinds of socket', () => {
  it('IPv6 datagrams, from a socket that is bound by its send [W5.3 W5.13]', async () => {
    const host = await oneHost();
    const { winsock } = host;
    const to = udp(host, spi.AF_INET6);
    const at = spi.sockaddrIn6('::1', 0);
    expect(winsock.bind(to, at, at.length)).toBe(0);
    expect(winsock.getsockname(to, at, spi.ref(at.length))).toBe(0);
    const s = udp(host, spi.AF_INET6);
    expect(winsock.sendto(s, bytesOf('six'), 3, 0, at, at.length)).toBe(3);
    const from = new Uint8Array(28);
    expect(winsock.recvfrom(to, new Uint8Array(9), 9, 0, from, spi.ref(28))).toBe(3);
    expect(spi.parseSockaddr(from, 28)?.ip).toBe('::1');
    await closeClean(host);
  });

  it('raw sockets carry whole messages, where the machine allows them [W6.1 W6.9 W8.2.1]', async () => {
    const host = await oneHost();
    const { winsock } = host;
    const s = winsock.socket(spi.AF_INET, spi.SOCK_RAW, spi.IPPROTO_ICMP);
    if (s === spi.INVALID_SOCKET) {
      expect(winsock.WSAGetLastError()).toBe(spi.WSAEACCES);
    } else {
      const own = spi.sockaddrIn(host.address, 0);
      expect(winsock.bind(s, own, 16)).toBe(0);
      // An echo request of 8 bytes with its checksum: the kernel answers it.
      const request = Uint8Array.of(8, 0, 0xf7, 0xff, 0, 0, 0, 0);
      expect(winsock.sendto(s, request, 8, 0, own, 16)).toBe(8);
      const from = new Uint8Array(16);
      const buf = new Uint8Array(100);
      // The IP header comes with it.
      expect(winsock.recvfrom(s, buf, 100, 0, from, spi.ref(16))).toBe(28);
      expect(spi.parseSockaddr(from, 16)?.ip).toBe(host.address);
    }
    await closeClean(host);
  });

  it('WSAEventSelect tells of room at once, and of each datagram until it is read [W10.6 W10.2 W10.4]', async () => {
    const host = await oneHost();
    const { winsock } = host;
    const to = boundUdp(host);
    const event = winsock.WSACreateEvent();
    expect(winsock.WSAEventSelect(to.s, event, spi.FD_READ | spi.FD_WRITE)).toBe(0);
    const seen = (): number => {
      const events = spi.createNetworkEvents();
      winsock.WaitForSingleObjectEx(event, spi.WSA_INFINITE, false);
      expect(winsock.WSAEnumNetworkEvents(to.s, event, events)).toBe(0);
      return events.lNetworkEvents;
    };
    expect(seen()).toBe(spi.FD_WRITE);
    const s = udp(host);
    for (const text of ['one', 'two']) winsock.sendto(s, bytesOf(text), 3, 0, to.at, 16);
    for (let count = 0; count < 2; count++) {
      expect(seen()).toBe(spi.FD_READ);
      expect(winsock.recv(to.s, new Uint8Array(9), 9, 0)).toBe(3);
    }
    expect(failureOf(winsock, () => winsock.recv(to.s, new Uint8Array(9), 9, 0))).toBe(
      spi.WSAEWOULDBLOCK,
    );
    await closeClean(host);
  });

  it('a code that waits for a change pends until the socket is closed, and never blocks a nonblocking one [W11.1 W9.10.1 W3.2]', async () => {
    const host = await oneHost();
    const { winsock } = host;
    const { s } = boundUdp(host);
    const { SIO_ADDRESS_LIST_CHANGE } = spi;
    const ask = (ov: spi.WSAOVERLAPPED | null): number =>
      winsock.WSAIoctl(s, SIO_ADDRESS_LIST_CHANGE, null, 0, null, 0, spi.ref(0), ov, null);
    const ov = spi.createOverlapped(winsock.WSACreateEvent());
    expect(failureOf(winsock, () => ask(ov))).toBe(spi.WSA_IO_PENDING);
    winsock.ioctlsocket(s, spi.FIONBIO, spi.ref(1));
    expect(failureOf(winsock, () => ask(null))).toBe(spi.WSAEWOULDBLOCK);
    winsock.closesocket(s);
    expect(winsock.WaitForSingleObjectEx(ov.hEvent, spi.WSA_INFINITE, false)).toBe(0);
    expect(ov.Internal).toBe(spi.NTSTATUS.STATUS_CANCELLED);
    await closeClean(host);
  });
});

describe('on a stream', () => {
  it('the address means nothing and is not written; messages are refused [W5.2 W8.2.1 W6.1 W8.3.1]', async () => {
    const host = await oneHost();
    const { winsock } = host;
    const { client, server } = tcpPair(host);
    const garbage = Uint8Array.of(1, 2, 3);
    expect(winsock.sendto(client, bytesOf('abcd'), 4, 0, garbage, 3)).toBe(4);
    const name = new Uint8Array(16).fill(7);
    const length = spi.ref(5);
    const buf = new Uint8Array(8);
    expect(winsock.recvfrom(server, buf, 8, 0, name, length)).toBe(4);
    expect([length.value, name.every((byte) => byte === 7), garbage[0]]).toEqual([5, true, 1]);
    const out = message({ lpBuffers: buffers(buf), dwBufferCount: 1 });
    const send = (): number => winsock.WSASendMsg(client, out, 0, spi.ref(0), null, null);
    expect(failureOf(winsock, send)).toBe(spi.WSAEINVAL);
    const receive = (): number => winsock.WSARecvMsg(client, out, spi.ref(0), null, null);
    expect(failureOf(winsock, receive)).toBe(spi.WSAEOPNOTSUPP);
    await closeClean(host);
  });
});
