// WSASendMsg and WSARecvMsg through the switch, as an application uses them.

import { describe, expect, it } from 'vitest';
import * as spi from '../../provider/spi/index.js';
import { A, closeClean } from './fixture.js';
import { boundUdp, buffers, bytesOf, failureOf, message, oneHost, setInt, udp } from './sockets.js';

const { WSA_IO_PENDING } = spi;

describe('WSASendMsg and WSARecvMsg', () => {
  it('carry control data: the source is chosen, and the destination seen [W6.6 W6.9 W8.3.5 W8.3.6]', async () => {
    const host = await oneHost();
    const { winsock } = host;
    const to = boundUdp(host);
    setInt(host, to.s, spi.IPPROTO_IP, spi.IP_PKTINFO, 1);
    const from = boundUdp(host, '0.0.0.0');
    const control = new Uint8Array(24);
    spi.writeControlMessage(control, 0, {
      level: spi.IPPROTO_IP,
      type: spi.IP_PKTINFO,
      data: Uint8Array.of(127, 77, 0, 1, 0, 0, 0, 0),
    });
    const out = message({
      name: to.at,
      namelen: 16,
      lpBuffers: buffers(bytesOf('abc'), bytesOf('def')),
      dwBufferCount: 2,
      Control: { len: 24, buf: control },
      dwFlags: 0xdead,
    });
    const sent = spi.ref(0);
    winsock.WSASetLastError(99);
    expect(winsock.WSASendMsg(from.s, out, 0, sent, null, null)).toBe(0);
    // W6.2: the flags in the structure are neither looked at nor written. W6.5: the last error is 0.
    expect([sent.value, out.dwFlags, winsock.WSAGetLastError()]).toEqual([6, 0xdead, 0]);
    const buf = new Uint8Array(10);
    const name = new Uint8Array(16);
    const room = new Uint8Array(64);
    const received = message({
      name,
      namelen: 16,
      lpBuffers: buffers(buf),
      dwBufferCount: 1,
      Control: { len: 64, buf: room },
    });
    const count = spi.ref(0);
    expect(winsock.WSARecvMsg(to.s, received, count, null, null)).toBe(0);
    expect([count.value, received.Control.len, received.namelen]).toEqual([6, 24, 16]);
    const [seen] = spi.readControlMessages(room, received.Control.len) ?? [];
    expect([seen?.level, seen?.type]).toEqual([spi.IPPROTO_IP, spi.IP_PKTINFO]);
    expect([...(seen?.data.subarray(0, 4) ?? [])]).toEqual([127, 77, 0, 1]);
    expect(spi.parseSockaddr(name, 16)?.ip).toBe(A);
    await closeClean(host);
  });

  it('overlapped: control length kept while pending, Offset untouched, event, port and routine as ever [W6.10 W6.11 W8.3.3 W8.3.5 W6.8]', async () => {
    const host = await oneHost();
    const { winsock } = host;
    const to = boundUdp(host);
    setInt(host, to.s, spi.IPPROTO_IP, spi.IP_PKTINFO, 1);
    const s = udp(host);
    const room = new Uint8Array(64);
    const buf = new Uint8Array(10);
    const received = message({
      lpBuffers: buffers(buf),
      dwBufferCount: 1,
      Control: { len: 64, buf: room },
    });
    const ov = spi.createOverlapped(winsock.WSACreateEvent());
    ov.Offset = 1234;
    ov.OffsetHigh = 5678;
    const start = (): number => winsock.WSARecvMsg(to.s, received, null, ov, null);
    expect(failureOf(winsock, start)).toBe(WSA_IO_PENDING);
    expect([received.Control.len, ov.Internal]).toEqual([64, 0x103]);
    winsock.sendto(s, bytesOf('sixsix'), 6, 0, to.at, 16);
    winsock.WaitForSingleObjectEx(ov.hEvent, spi.WSA_INFINITE, false);
    expect([received.Control.len, ov.InternalHigh, ov.Offset, ov.OffsetHigh]).toEqual([
      24, 6, 1234, 5678,
    ]);
    // Too little room for control data: 10040 with everything else delivered.
    received.Control = { len: 1, buf: room };
    received.dwFlags = 0;
    expect(failureOf(winsock, start)).toBe(WSA_IO_PENDING);
    winsock.sendto(s, bytesOf('sixsix'), 6, 0, to.at, 16);
    winsock.WaitForSingleObjectEx(ov.hEvent, spi.WSA_INFINITE, false);
    const count = spi.ref(99);
    const flags = spi.ref(77);
    const result = (): boolean => winsock.WSAGetOverlappedResult(to.s, ov, count, false, flags);
    expect(failureOf(winsock, result)).toBe(spi.WSAEMSGSIZE);
    expect([ov.Internal, ov.InternalHigh, ov.Offset, flags.value]).toEqual([
      0x80000005, 6, 1234, 77,
    ]);
    expect(received.dwFlags & spi.MSG_CTRUNC).toBe(spi.MSG_CTRUNC);
    await closeClean(host);
  });

  it('with a routine even a message that is there comes later [W8.3.4 W8.3.3 W9.9.9]', async () => {
    const host = await oneHost();
    const { winsock } = host;
    const to = boundUdp(host);
    const s = udp(host);
    winsock.sendto(s, bytesOf('there'), 5, 0, to.at, 16);
    const received = message({ lpBuffers: buffers(new Uint8Array(9)), dwBufferCount: 1 });
    const told: unknown[] = [];
    const ov = spi.createOverlapped();
    const start = (): number =>
      winsock.WSARecvMsg(to.s, received, null, ov, (...values) => void told.push(...values));
    expect(failureOf(winsock, start)).toBe(WSA_IO_PENDING);
    expect(winsock.SleepEx(spi.WSA_INFINITE, true)).toBe(spi.WSA_WAIT_IO_COMPLETION);
    expect(told).toEqual([0, 5, ov, 0]);
    await closeClean(host);
  });

  it('checks in the order of Windows, and needs a binding in profile documented only [W6.3 W6.4 W6.5 W8.3.2]', async () => {
    for (const profile of ['documented', 'windows'] as const) {
      const host = await oneHost({ profile });
      const { winsock } = host;
      const to = boundUdp(host);
      const s = udp(host);
      const out = message({
        name: to.at,
        namelen: 16,
        lpBuffers: buffers(bytesOf('x')),
        dwBufferCount: 1,
      });
      const send = (handle: number, msg: spi.WSAMSG | null, count: spi.Ref<number> | null) =>
        failureOf(winsock, () => winsock.WSASendMsg(handle, msg, 0, count, null, null));
      const name = new Uint8Array(16);
      const isBound = (): boolean => winsock.getsockname(s, name, spi.ref(16)) === 0;
      expect(send(spi.INVALID_SOCKET, null, null)).toBe(spi.WSAENOTSOCK);
      expect(send(s, null, spi.ref(0))).toBe(spi.WSAEFAULT);
      expect(isBound()).toBe(false);
      expect(send(s, out, null)).toBe(spi.WSAEFAULT);
      expect(isBound()).toBe(profile === 'windows');
      if (profile === 'documented') expect(send(s, out, spi.ref(0))).toBe(spi.WSAEINVAL);
      else expect(winsock.WSASendMsg(s, out, 0, spi.ref(0), null, null)).toBe(0);
      const receive = (): number => winsock.WSARecvMsg(to.s, null, spi.ref(0), null, null);
      expect(failureOf(winsock, receive)).toBe(spi.WSAEFAULT);
      for (const bad of [
        { ...out, name: null, namelen: 16 },
        { ...out, Control: { len: 5, buf: null } },
      ]) {
        expect(send(to.s, bad, spi.ref(0))).toBe(spi.WSAEFAULT);
      }
      await closeClean(host);
    }
  });
});
