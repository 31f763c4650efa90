// Every error of the send functions that this machine can provoke, from an application above the whole
// stack. Those that it cannot are in docs/winsock-api.md.

import { describe, expect, it } from 'vitest';
import { startWinsock } from '../../examples/helpers.js';
import type { Host } from '../../index.js';
import * as spi from '../../provider/spi/index.js';
import { A, closeClean } from './fixture.js';
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

const ONE = bytesOf('x');
const BROADCAST = spi.sockaddrIn('255.255.255.255', 4000);

function wsaSend(host: Host, s: number, change: Partial<Record<string, unknown>> = {}): number {
  const args = { list: buffers(ONE), count: spi.ref(0), flags: 0, ov: null, ...change };
  const { list, count, flags, ov } = args as {
    list: spi.WSABUF[] | null;
    count: spi.Ref<number> | null;
    flags: number;
    ov: spi.WSAOVERLAPPED | null;
  };
  const { winsock } = host;
  return failureOf(winsock, () => winsock.WSASend(s, list, 1, count, flags, ov, null));
}

function wsaSendTo(
  host: Host,
  s: number,
  to: Uint8Array | null,
  length: number = to?.length ?? 0,
  data: Uint8Array = ONE,
): number {
  const { winsock } = host;
  return failureOf(winsock, () =>
    winsock.WSASendTo(s, buffers(data), 1, spi.ref(0), 0, to, length, null, null),
  );
}

function wsaSendMsg(host: Host, s: number, parts: Partial<spi.WSAMSG> = {}, flags = 0): number {
  const { winsock } = host;
  const msg = message({ lpBuffers: buffers(ONE), dwBufferCount: 1, ...parts });
  return failureOf(winsock, () => winsock.WSASendMsg(s, msg, flags, spi.ref(0), null, null));
}

/** A stream whose peer has reset it, which this end has seen. */
function resetStream(host: Host): number {
  const { winsock } = host;
  const { client, server } = tcpPair(host);
  winsock.setsockopt(server, spi.SOL_SOCKET, spi.SO_LINGER, Uint8Array.of(1, 0, 0, 0), 4);
  winsock.closesocket(server);
  const buf = new Uint8Array(1);
  expect(failureOf(winsock, () => winsock.recv(client, buf, 1, 0))).toBe(spi.WSAECONNRESET);
  return client;
}

describe('WSASend fails with', () => {
  it('what is wrong with socket and arguments [W4.20 W4.21 W4.22 W4.25 W4.10 W4.14 W3.6]', async () => {
    const host = await oneHost();
    const { winsock } = host;
    const { client } = tcpPair(host);
    const open = winsock.socket(spi.AF_INET, spi.SOCK_STREAM, 0);
    const datagram = udp(host);
    expect(wsaSend(host, 4711)).toBe(spi.WSAENOTSOCK);
    expect(wsaSend(host, winsock.WSACreateEvent())).toBe(spi.WSAENOTSOCK);
    expect(wsaSend(host, open)).toBe(spi.WSAENOTCONN);
    expect(wsaSend(host, datagram)).toBe(spi.WSAENOTCONN);
    expect(wsaSend(host, client, { list: null })).toBe(spi.WSAEFAULT);
    expect(wsaSend(host, client, { list: [{ len: 9, buf: ONE }] })).toBe(spi.WSAEFAULT);
    expect(wsaSend(host, client, { count: null })).toBe(spi.WSAEFAULT);
    expect(wsaSend(host, client, { flags: spi.MSG_PARTIAL })).toBe(spi.WSAEOPNOTSUPP);
    winsock.connect(datagram, boundUdp(host).at, 16);
    expect(wsaSend(host, datagram, { flags: spi.MSG_OOB })).toBe(spi.WSAEOPNOTSUPP);
    expect(winsock.WSASend(client, [], 0, spi.ref(0), 0, null, null)).toBe(0);
    expect(winsock.send(client, ONE, 1, spi.MSG_DONTROUTE)).toBe(1);
    await closeClean(host);
  });

  it('a handle that is no socket, in every data call; closesocket of an event leaves it usable [W3.6]', async () => {
    const host = await oneHost();
    const { winsock } = host;
    const event = winsock.WSACreateEvent();
    const n = spi.ref(0);
    const list = buffers(ONE);
    const msg = message({ lpBuffers: list, dwBufferCount: 1 });
    for (const s of [0, spi.INVALID_SOCKET, event]) {
      const calls = [
        () => winsock.send(s, ONE, 1, 0),
        () => winsock.recv(s, ONE, 1, 0),
        () => winsock.sendto(s, ONE, 1, 0, null, 0),
        () => winsock.recvfrom(s, ONE, 1, 0, null, null),
        () => winsock.WSASend(s, list, 1, n, 0, null, null),
        () => winsock.WSARecv(s, list, 1, n, spi.ref(0), null, null),
        () => winsock.WSASendTo(s, list, 1, n, 0, null, 0, null, null),
        () => winsock.WSARecvFrom(s, list, 1, n, spi.ref(0), null, null, null, null),
        () => winsock.WSASendMsg(s, msg, 0, n, null, null),
        () => winsock.WSARecvMsg(s, msg, n, null, null),
        () => winsock.shutdown(s, spi.SD_SEND),
        () => winsock.closesocket(s),
        () => winsock.WSAEventSelect(s, event, 0),
        () => winsock.WSAIoctl(s, spi.FIONBIO, null, 0, null, 0, n, null, null),
      ];
      for (const call of calls) expect(failureOf(winsock, call)).toBe(spi.WSAENOTSOCK);
    }
    expect(winsock.WSASetEvent(event)).toBe(true);
    expect(winsock.WaitForSingleObjectEx(event, 0, false)).toBe(0);
    await closeClean(host);
  });

  it('what became of the connection: shut down, reset, cancelled [W4.20 W4.18 W4.12 W12.2]', async () => {
    const host = await oneHost();
    const { winsock } = host;
    const { client } = tcpPair(host);
    winsock.shutdown(client, spi.SD_SEND);
    expect(wsaSend(host, client)).toBe(spi.WSAESHUTDOWN);
    const broken = resetStream(host);
    const count = spi.ref(99);
    const ov = spi.createOverlapped(winsock.WSACreateEvent());
    expect(wsaSend(host, broken, { count })).toBe(spi.WSAECONNRESET);
    expect(wsaSend(host, broken, { count, ov })).toBe(spi.WSAECONNRESET);
    expect(count.value).toBe(99);
    expect(winsock.WaitForSingleObjectEx(ov.hEvent, 0, false)).toBe(spi.WSA_WAIT_TIMEOUT);
    const open = tcpPair(host);
    const big = new Uint8Array(16_000_000);
    const pending = spi.createOverlapped();
    const start = (): number =>
      winsock.WSASend(open.client, buffers(big), 1, null, 0, pending, null);
    expect(failureOf(winsock, start)).toBe(spi.WSA_IO_PENDING);
    winsock.closesocket(open.client);
    drive(host, () => pending.Internal !== 0x103, 'the end of the send');
    expect(spi.wsaErrorOfStatus(pending.Internal)).toBe(spi.WSA_OPERATION_ABORTED);
    await closeClean(host);
  });

  it('want of room: WSAEWOULDBLOCK, too many at once, and SO_SNDTIMEO [W4.16 W4.17 W4.20 APP-07]', async () => {
    const host = await oneHost();
    const { winsock } = host;
    const { client } = tcpPair(host);
    const big = new Uint8Array(16_000_000);
    setInt(host, client, spi.SOL_SOCKET, spi.SO_SNDTIMEO, 20);
    expect(wsaSend(host, client, { list: buffers(big) })).toBe(spi.WSAETIMEDOUT);
    winsock.ioctlsocket(client, spi.FIONBIO, spi.ref(1));
    // The kernel goes on making room for a while; nobody reads, so that ends.
    const once = (): number => winsock.send(client, big, big.length, 0);
    drive(host, () => once() < 0, 'a full socket');
    expect(winsock.WSAGetLastError()).toBe(spi.WSAEWOULDBLOCK);
    const other = tcpPair(host);
    let started = 0;
    let error = spi.WSA_IO_PENDING;
    const list = buffers(ONE);
    while (error === spi.WSA_IO_PENDING) {
      winsock.WSARecv(other.server, list, 1, null, spi.ref(0), spi.createOverlapped(), null);
      error = winsock.WSAGetLastError();
      started++;
    }
    expect([started, error]).toEqual([4_097, spi.WSAEWOULDBLOCK]);
    await closeClean(host);
  });

  it('a broadcast address without SO_BROADCAST, in profile documented [W4.20 W5.6 APP-07]', async () => {
    for (const [profile, error] of [
      ['documented', spi.WSAEACCES],
      ['windows', null],
    ] as const) {
      const host = await oneHost({ profile });
      const s = udp(host);
      if (host.winsock.connect(s, BROADCAST, 16) === 0 && error !== null) {
        expect(wsaSend(host, s)).toBe(error);
      }
      expect(wsaSendTo(host, udp(host), BROADCAST)).toBe(spi.WSAEACCES);
      await closeClean(host);
    }
  });
});

describe('WSASendTo fails with', () => {
  it('what is wrong with the address [W5.4 W5.5 W5.8 W5.6]', async () => {
    const host = await oneHost();
    const { at } = boundUdp(host);
    const s = udp(host);
    const six = spi.sockaddrIn6('::1', 4000);
    expect(wsaSendTo(host, 4711, at)).toBe(spi.WSAENOTSOCK);
    expect(wsaSendTo(host, s, null)).toBe(spi.WSAEDESTADDRREQ);
    expect(wsaSendTo(host, s, at, 7)).toBe(spi.WSAEFAULT);
    expect(wsaSendTo(host, s, at, 17)).toBe(spi.WSAEFAULT);
    expect(wsaSendTo(host, s, six)).toBe(spi.WSAEAFNOSUPPORT);
    expect(wsaSendTo(host, s, spi.sockaddrIn('0.0.0.0', 4000))).toBe(spi.WSAEADDRNOTAVAIL);
    expect(wsaSendTo(host, s, BROADCAST)).toBe(spi.WSAEACCES);
    expect(wsaSendTo(host, s, spi.sockaddrIn('192.0.2.1', 4000))).toBe(spi.WSAENETUNREACH);
    await closeClean(host);
  });

  it('what is wrong with the message or the state [W5.8 W5.12 W4.9 W12.2]', async () => {
    const host = await oneHost();
    const { winsock } = host;
    const { at } = boundUdp(host);
    const s = udp(host);
    const value = new Uint8Array(4);
    expect(winsock.getsockopt(s, spi.SOL_SOCKET, spi.SO_MAX_MSG_SIZE, value, spi.ref(4))).toBe(0);
    const most = Buffer.from(value).readUInt32LE(0);
    expect(most).toBe(65_507);
    const tooMuch = new Uint8Array(most + 1);
    expect(wsaSendTo(host, s, at, 16, tooMuch)).toBe(spi.WSAEMSGSIZE);
    const flagged = (flags: number): number =>
      failureOf(winsock, () => winsock.sendto(s, ONE, 1, flags, at, 16));
    expect(flagged(spi.MSG_OOB)).toBe(spi.WSAEOPNOTSUPP);
    expect(flagged(spi.MSG_PARTIAL)).toBe(spi.WSAEOPNOTSUPP);
    expect(
      failureOf(winsock, () => winsock.WSASendTo(s, null, 1, spi.ref(0), 0, at, 16, null, null)),
    ).toBe(spi.WSAEFAULT);
    expect(
      failureOf(winsock, () => winsock.WSASendTo(s, buffers(ONE), 1, null, 0, at, 16, null, null)),
    ).toBe(spi.WSAEFAULT);
    expect(failureOf(winsock, () => winsock.shutdown(s, spi.SD_SEND))).toBe(spi.WSAENOTCONN);
    winsock.connect(s, at, 16);
    expect(winsock.shutdown(s, spi.SD_SEND)).toBe(0);
    expect(wsaSendTo(host, s, at)).toBe(spi.WSAESHUTDOWN);
    await closeClean(host);
  });

  it('nothing for a port where nobody is, and for port 0 [W5.5 W5.7]', async () => {
    const host = await oneHost();
    const { winsock } = host;
    const gone = boundUdp(host);
    winsock.closesocket(gone.s);
    const s = udp(host);
    for (let count = 0; count < 3; count++) {
      expect(winsock.sendto(s, ONE, 1, 0, gone.at, 16)).toBe(1);
    }
    expect(winsock.sendto(s, ONE, 1, 0, spi.sockaddrIn(A, 0), 16)).toBe(1);
    await closeClean(host);
  });
});

describe('WSASendMsg fails with', () => {
  it('what is wrong with socket, flags and message [W6.1 W6.2 W6.3 W6.7 W6.12 W6.13]', async () => {
    const host = await oneHost();
    const { winsock } = host;
    const { s, at } = boundUdp(host);
    const to = { name: at, namelen: 16 };
    const { client } = tcpPair(host);
    expect(wsaSendMsg(host, 4711)).toBe(spi.WSAENOTSOCK);
    expect(wsaSendMsg(host, client, to)).toBe(spi.WSAEINVAL);
    expect(wsaSendMsg(host, udp(host), to)).toBe(spi.WSAEINVAL);
    expect(wsaSendMsg(host, s)).toBe(spi.WSAENOTCONN);
    expect(wsaSendMsg(host, s, to, spi.MSG_PEEK)).toBe(spi.WSAEOPNOTSUPP);
    expect(wsaSendMsg(host, s, to, spi.MSG_OOB)).toBe(spi.WSAEOPNOTSUPP);
    expect(wsaSendMsg(host, s, to, spi.MSG_PARTIAL)).toBe(spi.WSAEOPNOTSUPP);
    expect(wsaSendMsg(host, s, { name: null, namelen: 16 })).toBe(spi.WSAEFAULT);
    expect(wsaSendMsg(host, s, { ...to, Control: { len: 9, buf: null } })).toBe(spi.WSAEFAULT);
    const tooMuch = buffers(new Uint8Array(65_508));
    expect(wsaSendMsg(host, s, { ...to, lpBuffers: tooMuch })).toBe(spi.WSAEMSGSIZE);
    expect(wsaSendMsg(host, s, { name: BROADCAST, namelen: 16 })).toBe(spi.WSAEACCES);
    const far = spi.sockaddrIn('192.0.2.1', 4000);
    expect(wsaSendMsg(host, s, { name: far, namelen: 16 })).toBe(spi.WSAENETUNREACH);
    winsock.connect(s, at, 16);
    winsock.shutdown(s, spi.SD_SEND);
    expect(wsaSendMsg(host, s, to)).toBe(spi.WSAESHUTDOWN);
    await closeClean(host);
  });

  it('WSAECONNRESET once after a datagram to a port where nobody is, in profile documented [W6.7 W5.7]', async () => {
    for (const profile of ['documented', 'windows'] as const) {
      const host = await oneHost({ profile });
      const { winsock } = host;
      const gone = boundUdp(host);
      winsock.closesocket(gone.s);
      const { s } = boundUdp(host);
      const out = message({
        name: gone.at,
        namelen: 16,
        lpBuffers: buffers(ONE),
        dwBufferCount: 1,
      });
      const send = (): number => winsock.WSASendMsg(s, out, 0, spi.ref(0), null, null);
      const results: number[] = [];
      for (let count = 0; count < 20 && !results.includes(-1); count++) {
        results.push(send());
        winsock.SleepEx(1, false);
      }
      expect(results.includes(-1)).toBe(profile === 'documented');
      if (profile === 'documented') expect(winsock.WSAGetLastError()).toBe(spi.WSAECONNRESET);
      else {
        const buf = new Uint8Array(1);
        expect(failureOf(winsock, () => winsock.recv(s, buf, 1, 0))).toBe(spi.WSAECONNRESET);
      }
      await closeClean(host);
    }
  });

  it('995 when the socket is closed, 10093 before WSAStartup [W6.12 W3.4 W4.20 W9.10.1 APP-07]', async () => {
    const host = await oneHost();
    const { winsock } = host;
    const { s } = boundUdp(host);
    const ov = spi.createOverlapped(winsock.WSACreateEvent());
    const received = message({ lpBuffers: buffers(new Uint8Array(4)), dwBufferCount: 1 });
    const start = (): number => winsock.WSARecvMsg(s, received, null, ov, null);
    expect(failureOf(winsock, start)).toBe(spi.WSA_IO_PENDING);
    winsock.closesocket(s);
    expect(winsock.WaitForSingleObjectEx(ov.hEvent, spi.WSA_INFINITE, false)).toBe(0);
    expect(ov.Internal).toBe(spi.NTSTATUS.STATUS_CANCELLED);
    expect(wsaSendMsg(host, s)).toBe(spi.WSAENOTSOCK);
    await winsock.promises.WSACleanup();
    expect(wsaSendMsg(host, s)).toBe(spi.WSANOTINITIALISED);
    expect(wsaSendTo(host, s, null)).toBe(spi.WSANOTINITIALISED);
    expect(wsaSend(host, s)).toBe(spi.WSANOTINITIALISED);
    startWinsock(host);
    await closeClean(host);
  });
});
