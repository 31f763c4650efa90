// The provider's half of WSARecvMsg: names, control data, truncation, and the order of the checks.

import { describe, expect, it } from 'vitest';
import * as spi from '../../../provider/spi/index.js';
import { failsWith, onMachine } from './fixture.js';
import type { Host, Machine } from './fixture.js';
import {
  bindTo,
  bound,
  buffersOf,
  ended,
  messageSocket,
  receiveFrom,
  recvMsg,
  sendTo,
  wsaMsg,
} from './messages.js';
import { pairOn } from './pair.js';
import { THREAD } from './world.js';

const A = '127.82.1.1';
const B = '127.82.1.2';
const paired = pairOn(A, B);

/** On one host that has every address. */
function open(body: (machine: Machine, host: Host) => void, profile?: spi.ProfileName): void {
  onMachine((machine) => {
    body(machine, machine.host(null, profile));
  });
}

/** Room for one message, with room for its control data. */
function roomFor(bytes: number, controlBytes = 128): spi.WSAMSG {
  return wsaMsg({
    name: new Uint8Array(28),
    lpBuffers: buffersOf(new Uint8Array(bytes)),
    Control: { len: controlBytes, buf: new Uint8Array(controlBytes) },
  });
}

function textOf({ lpBuffers }: spi.WSAMSG, bytes: number): string {
  return Buffer.from(lpBuffers?.[0]?.buf ?? [])
    .subarray(0, bytes)
    .toString();
}

function controlIn({ Control }: spi.WSAMSG): spi.ControlMessage[] {
  return spi.readControlMessages(Control.buf ?? new Uint8Array(0), Control.len) ?? [];
}

describe('WSARecvMsg', () => {
  it('is of datagram and raw sockets; only MSG_PEEK goes in; a NULL message is WSAEFAULT [W8.3.1 W8.3.2]', () => {
    paired(({ a, b, from, to }) => {
      const count = spi.ref(-1);
      failsWith(spi.WSAEOPNOTSUPP, recvMsg(a, a.socket(), roomFor(8), count));
      failsWith(spi.WSAEFAULT, recvMsg(b, to.s, null, count));
      failsWith(spi.WSAENOTSOCK, recvMsg(b, 3, null, count));
      const partial = { ...roomFor(8), dwFlags: spi.MSG_PARTIAL };
      failsWith(spi.WSAEOPNOTSUPP, recvMsg(b, to.s, partial, count));
      expect(sendTo(a, from.s, 'peek', to.name)).toBe(4);
      const peek = { ...roomFor(8), dwFlags: spi.MSG_PEEK };
      expect([recvMsg(b, to.s, peek, count), count.value, peek.dwFlags]).toEqual([0, 4, 0]);
      const none = wsaMsg({ lpBuffers: buffersOf(new Uint8Array(8)) });
      expect([recvMsg(b, to.s, none, count), none.dwFlags, none.Control.len]).toEqual([0, 0, 0]);
    });
  });

  it('tells sender and destination: Control.len is what was used, at completion [W8.3.5]', () => {
    paired(({ machine, a, b, from, to }) => {
      expect(b.setOption(to.s, spi.IP_PKTINFO, 1, spi.IPPROTO_IP)).toBe(0);
      const room = roomFor(8);
      const overlapped = spi.createOverlapped(machine.upcalls.event());
      failsWith(spi.WSA_IO_PENDING, recvMsg(b, to.s, room, null, overlapped));
      expect([room.Control.len, room.namelen]).toEqual([128, 28]);
      expect(sendTo(a, from.s, 'abc', to.name)).toBe(3);
      ended(machine, overlapped);
      expect([room.Control.len, room.namelen, room.dwFlags]).toEqual([24, 16, 0]);
      expect(spi.parseSockaddr(room.name ?? new Uint8Array(0))).toEqual(
        spi.parseSockaddr(from.name),
      );
      const [info] = controlIn(room);
      expect([info?.level, info?.type]).toEqual([spi.IPPROTO_IP, spi.IP_PKTINFO]);
      expect([...(info?.data.subarray(0, 4) ?? [])]).toEqual([127, 82, 1, 2]);
      expect(textOf(room, 3)).toBe('abc');
    });
  });

  it('tells time to live and type of service as numbers of four bytes [W8.3.6]', () => {
    paired(({ a, b, from, to }) => {
      expect(a.setOption(from.s, spi.IP_TTL, 42, spi.IPPROTO_IP)).toBe(0);
      expect(a.setOption(from.s, spi.IP_TOS, 8, spi.IPPROTO_IP)).toBe(0);
      for (const option of [spi.IP_RECVTTL, spi.IP_RECVTOS, spi.IP_PKTINFO]) {
        expect(b.setOption(to.s, option, 1, spi.IPPROTO_IP)).toBe(0);
        expect(b.option(to.s, option, spi.IPPROTO_IP)).toBe(1);
      }
      expect(sendTo(a, from.s, 'x', to.name)).toBe(1);
      const room = roomFor(8);
      expect(recvMsg(b, to.s, room, spi.ref(0))).toBe(0);
      const told = controlIn(room).map(({ type, data }) => [type, spi.CMSG_LEN(data.length)]);
      expect(told).toContainEqual([spi.IP_TTL, 20]);
      expect(told).toContainEqual([spi.IP_TOS, 20]);
      expect(told).toContainEqual([spi.IP_PKTINFO, 24]);
      const ttl = controlIn(room).find(({ type }) => type === spi.IP_TTL);
      expect([...(ttl?.data ?? [])]).toEqual([42, 0, 0, 0]);
    });
  });

  it('tells the same of IPv6, and of IPv4 on a dual-stack socket as IPv4 [W8.3.5 W8.3.6]', () => {
    open((_machine, host) => {
      const s = messageSocket(host, { family: spi.AF_INET6 });
      expect(host.setOption(s, spi.IPV6_V6ONLY, 0, spi.IPPROTO_IPV6)).toBe(0);
      const name = bindTo(host, s, spi.sockaddrIn6('::', 0));
      const port = spi.sockaddrPort(name);
      for (const option of [spi.IPV6_PKTINFO, spi.IPV6_HOPLIMIT, spi.IPV6_RECVTCLASS]) {
        expect(host.setOption(s, option, 1, spi.IPPROTO_IPV6)).toBe(0);
      }
      const six = bound(host, '::1');
      expect(sendTo(host, six.s, '6', spi.sockaddrIn6('::1', port))).toBe(1);
      const room = roomFor(8);
      expect(recvMsg(host, s, room, spi.ref(0))).toBe(0);
      expect(controlIn(room).map(({ level, type }) => [level, type])).toEqual(
        expect.arrayContaining([
          [41, spi.IPV6_PKTINFO],
          [41, spi.IPV6_HOPLIMIT],
          [41, spi.IPV6_TCLASS],
        ]),
      );
      const four = bound(host, '127.82.3.1');
      expect(sendTo(host, four.s, '4', spi.sockaddrIn('127.82.3.2', port))).toBe(1);
      const room4 = roomFor(8);
      expect(recvMsg(host, s, room4, spi.ref(0))).toBe(0);
      const info = controlIn(room4).filter(({ data }) => data.length !== 4);
      expect(info.map(({ level, type }) => [level, type])).toEqual([[0, spi.IP_PKTINFO]]);
      expect(spi.parseSockaddr(room4.name ?? new Uint8Array(0))?.ip).toBe('::ffff:7f52:301');
    });
  });

  it('room for control data that is too small: WSAEMSGSIZE, MSG_CTRUNC, the data whole, the count told [W8.3.3]', () => {
    paired(({ machine, a, b, from, to }) => {
      expect(b.setOption(to.s, spi.IP_PKTINFO, 1, spi.IPPROTO_IP)).toBe(0);
      expect(sendTo(a, from.s, 'whole!', to.name)).toBe(6);
      const room = roomFor(8, 1);
      const count = spi.ref(-1);
      failsWith(spi.WSAEMSGSIZE, recvMsg(b, to.s, room, count));
      expect([count.value, room.dwFlags, textOf(room, 6)]).toEqual([6, spi.MSG_CTRUNC, 'whole!']);
      const overlapped = spi.createOverlapped(machine.upcalls.event());
      overlapped.Offset = 7;
      overlapped.OffsetHigh = 8;
      const calls: unknown[] = [];
      const routine: spi.WSAOVERLAPPED_COMPLETION_ROUTINE = (...parameters) => {
        calls.push(parameters);
      };
      const again = roomFor(8, 1);
      const call = recvMsg(b, to.s, again, null, overlapped, routine, THREAD);
      failsWith(spi.WSA_IO_PENDING, call);
      expect(sendTo(a, from.s, 'whole!', to.name)).toBe(6);
      ended(machine, overlapped);
      expect(overlapped).toMatchObject({
        Internal: 0x80000005,
        InternalHigh: 6,
        Offset: 7,
        OffsetHigh: 8,
      });
      machine.upcalls.runRoutines();
      expect(calls).toEqual([[spi.WSAEMSGSIZE, 6, overlapped, 0]]);
    });
  });

  it('data that does not fit is WSAEMSGSIZE with MSG_TRUNC and the bytes that did [W8.3.1 W8.1.11]', () => {
    paired(({ a, b, from, to }) => {
      expect(sendTo(a, from.s, 'nine here', to.name)).toBe(9);
      const room = roomFor(6);
      const count = spi.ref(-1);
      failsWith(spi.WSAEMSGSIZE, recvMsg(b, to.s, room, count));
      expect([count.value, room.dwFlags, textOf(room, 6)]).toEqual([6, spi.MSG_TRUNC, 'nine h']);
    });
  });

  it('with a routine it pends although the datagram is there [W8.3.4]', () => {
    paired(({ machine, a, b, from, to }) => {
      expect(sendTo(a, from.s, 'there', to.name)).toBe(5);
      const overlapped = spi.createOverlapped();
      const count = spi.ref(-1);
      const calls: unknown[] = [];
      const routine: spi.WSAOVERLAPPED_COMPLETION_ROUTINE = (...parameters) => {
        calls.push(parameters);
      };
      const room = roomFor(8);
      failsWith(spi.WSA_IO_PENDING, recvMsg(b, to.s, room, count, overlapped, routine, THREAD));
      ended(machine, overlapped);
      machine.upcalls.runRoutines();
      expect(calls).toEqual([[0, 5, overlapped, 0]]);
      expect(count.value).toBe(-1);
    });
  });

  it('says of a broadcast that it is one, also when no control data is asked for [W8.3.1]', () => {
    open((_machine, host) => {
      const from = bound(host, '127.82.3.1');
      const to = bound(host, '0.0.0.0');
      expect(host.setOption(from.s, spi.SO_BROADCAST, 1)).toBe(0);
      const port = spi.sockaddrPort(to.name);
      expect(sendTo(host, from.s, 'all', spi.sockaddrIn('127.255.255.255', port))).toBe(3);
      expect(sendTo(host, from.s, 'one', spi.sockaddrIn('127.82.3.9', port))).toBe(3);
      for (const flags of [spi.MSG_BCAST, 0]) {
        const room = roomFor(8);
        expect(recvMsg(host, to.s, room, spi.ref(0))).toBe(0);
        expect([room.dwFlags, room.Control.len]).toEqual([flags, 0]);
      }
    });
  });

  it('room for the name that is too small takes nothing; unbound is WSAEINVAL [W8.2.3 W8.1.14]', () => {
    paired(({ a, b, from, to }) => {
      expect(sendTo(a, from.s, 'kept', to.name)).toBe(4);
      const room = { ...roomFor(8), namelen: 15 };
      failsWith(spi.WSAEFAULT, recvMsg(b, to.s, room, spi.ref(0)));
      expect(receiveFrom(b, to.s).text).toBe('kept');
      failsWith(spi.WSAEINVAL, recvMsg(a, messageSocket(a), roomFor(8), spi.ref(0)));
    });
  });
});
