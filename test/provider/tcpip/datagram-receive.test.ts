// Datagram sockets: WSPRecvFrom and WSPRecv, what does not fit, who sent it, and who is heard.

import { describe, expect, it } from 'vitest';
import * as spi from '../../../provider/spi/index.js';
import { failsWith, lpErrno } from './fixture.js';
import {
  bound,
  buffersOf,
  ended,
  ioctl,
  messageSocket,
  queued,
  receiveFrom,
  sendTo,
} from './messages.js';
import { pairOn } from './pair.js';

const A = '127.81.2.1';
const B = '127.81.2.2';
const paired = pairOn(A, B);

describe('receiving datagrams', () => {
  it('a truncated datagram is WSAEMSGSIZE with the count, and the rest is lost [W8.1.10 W8.1.11 W15.5]', () => {
    paired(({ machine, a, b, from, to }) => {
      expect(sendTo(a, from.s, 'nine here', to.name)).toBe(9);
      expect(sendTo(a, from.s, 'next', to.name)).toBe(4);
      const cut = receiveFrom(b, to.s, 6);
      expect([cut.error, cut.count, cut.text]).toEqual([spi.WSAEMSGSIZE, 6, 'nine h']);
      expect(cut.from).toEqual(spi.parseSockaddr(from.name));
      expect(receiveFrom(b, to.s).text).toBe('next');
      const overlapped = spi.createOverlapped(machine.upcalls.event());
      const into = buffersOf(new Uint8Array(6));
      const { lpWSPRecv } = b.wsp;
      const flags = spi.ref(0);
      failsWith(
        spi.WSA_IO_PENDING,
        lpWSPRecv(to.s, into, 1, null, flags, overlapped, null, null, lpErrno),
      );
      expect(sendTo(a, from.s, 'nine here', to.name)).toBe(9);
      ended(machine, overlapped);
      expect([overlapped.Internal, overlapped.InternalHigh]).toEqual([0x80000005, 6]);
      expect(machine.isSignalled(overlapped.hEvent)).toBe(true);
    });
  });

  it('one that is there already and does not fit ends an overlapped receive, which says pending [W8.1.11 W9.3]', () => {
    paired(({ machine, a, b, from, to }) => {
      expect(sendTo(a, from.s, 'nine here', to.name)).toBe(9);
      const overlapped = spi.createOverlapped(machine.upcalls.event());
      const count = spi.ref(-1);
      const into = buffersOf(new Uint8Array(6));
      const { lpWSPRecv } = b.wsp;
      const flags = spi.ref(0);
      const result = lpWSPRecv(to.s, into, 1, count, flags, overlapped, null, null, lpErrno);
      failsWith(spi.WSA_IO_PENDING, result);
      expect([overlapped.Internal, overlapped.InternalHigh]).toEqual([0x80000005, 6]);
      expect([count.value, machine.isSignalled(overlapped.hEvent)]).toEqual([-1, true]);
    });
  });

  it('its result is WSAEMSGSIZE; the count is told in profile windows only [W9.11.4 W1.4]', () => {
    for (const [profile, bytes] of [
      ['documented', -1],
      ['windows', 6],
    ] as const) {
      paired(({ machine, a, b, from, to }) => {
        expect(sendTo(a, from.s, 'nine here', to.name)).toBe(9);
        const overlapped = spi.createOverlapped(machine.upcalls.event());
        const into = buffersOf(new Uint8Array(6));
        const { lpWSPRecv, lpWSPGetOverlappedResult } = b.wsp;
        const zero = spi.ref(0);
        lpWSPRecv(to.s, into, 1, null, zero, overlapped, null, null, lpErrno);
        const [count, flags] = [spi.ref(-1), spi.ref(77)];
        const done = lpWSPGetOverlappedResult(to.s, overlapped, count, true, flags, lpErrno);
        expect([done, lpErrno.value]).toEqual([false, spi.WSAEMSGSIZE]);
        expect([count.value, flags.value]).toEqual([bytes, 77]);
      }, profile);
    }
  });

  it('room for the sender that is too small is WSAEFAULT and takes nothing [W8.2.3]', () => {
    paired(({ a, b, from, to }) => {
      expect(sendTo(a, from.s, 'kept', to.name)).toBe(4);
      const refused = receiveFrom(b, to.s, 64, { fromRoom: 15 });
      expect([refused.error, refused.count, refused.fromLength]).toEqual([spi.WSAEFAULT, -1, 15]);
      expect(receiveFrom(b, to.s).text).toBe('kept');
    });
  });

  it('lpFrom and lpFromlen of a pending receive are written at completion [W8.2.2 W8.1.5]', () => {
    paired(({ machine, a, b, from, to }) => {
      const name = new Uint8Array(28);
      const length = spi.ref(28);
      const overlapped = spi.createOverlapped(machine.upcalls.event());
      const into = buffersOf(new Uint8Array(8));
      const { lpWSPRecvFrom } = b.wsp;
      const flags = spi.ref(0);
      const { s } = to;
      failsWith(
        spi.WSA_IO_PENDING,
        lpWSPRecvFrom(s, into, 1, null, flags, name, length, overlapped, null, null, lpErrno),
      );
      expect([length.value, name.every((byte) => byte === 0)]).toEqual([28, true]);
      expect(sendTo(a, from.s, 'abc', to.name)).toBe(3);
      ended(machine, overlapped);
      expect(spi.parseSockaddr(name, length.value)).toEqual(spi.parseSockaddr(from.name));
      expect(overlapped.InternalHigh).toBe(3);
    });
  });

  it('a default peer is the only one that is heard, until zeros take it away [W8.2.4]', () => {
    paired(({ a, b, from, to }) => {
      const stranger = bound(b);
      expect(a.connect(from.s, to.name)).toBe(0);
      expect(sendTo(b, stranger.s, 'dropped', from.name)).toBe(7);
      expect(sendTo(b, to.s, 'heard', from.name)).toBe(5);
      expect(receiveFrom(a, from.s).text).toBe('heard');
      expect(a.connect(from.s, spi.sockaddrIn('0.0.0.0', 0))).toBe(0);
      failsWith(spi.WSAENOTCONN, a.send(from.s, Buffer.from('x')));
      expect(sendTo(b, stranger.s, 'now', from.name)).toBe(3);
      expect(receiveFrom(a, from.s).text).toBe('now');
      failsWith(spi.WSAEADDRNOTAVAIL, a.connect(from.s, spi.sockaddrIn('0.0.0.0', 9)));
    });
  });

  it('MSG_PEEK leaves it; urgent and all-or-nothing are refused; MSG_PARTIAL changes nothing [W8.1.7 W8.1.8 W8.1.10]', () => {
    paired(({ a, b, from, to }) => {
      expect(sendTo(a, from.s, 'peek', to.name)).toBe(4);
      expect(receiveFrom(b, to.s, 64, { flags: spi.MSG_PEEK }).text).toBe('peek');
      for (const flags of [spi.MSG_OOB, spi.MSG_WAITALL]) {
        expect(receiveFrom(b, to.s, 64, { flags }).error).toBe(spi.WSAEOPNOTSUPP);
      }
      const partial = receiveFrom(b, to.s, 2, { flags: spi.MSG_PARTIAL | spi.MSG_PUSH_IMMEDIATE });
      expect([partial.error, partial.count]).toEqual([spi.WSAEMSGSIZE, 2]);
      b.nonblocking(to.s);
      expect(receiveFrom(b, to.s).error).toBe(spi.WSAEWOULDBLOCK);
    });
  });

  it('unbound is WSAEINVAL; no buffers WSAEINVAL; SO_RCVTIMEO passes with WSAETIMEDOUT [W8.1.14 W8.1.6]', () => {
    paired(({ a, from }) => {
      expect(receiveFrom(a, messageSocket(a)).error).toBe(spi.WSAEINVAL);
      const { lpWSPRecv } = a.wsp;
      const zero = spi.ref(0);
      failsWith(
        spi.WSAEINVAL,
        lpWSPRecv(from.s, null, 0, spi.ref(0), zero, null, null, null, lpErrno),
      );
      expect(a.setOption(from.s, spi.SO_RCVTIMEO, 5)).toBe(0);
      const late = receiveFrom(a, from.s);
      expect([late.error, late.count]).toEqual([spi.WSAETIMEDOUT, -1]);
    });
  });

  it('FIONREAD counts the bytes of all datagrams and takes none [W11.5]', () => {
    paired(({ a, b, from, to }) => {
      for (const text of ['one', '', 'three', 'seventeen']) sendTo(a, from.s, text, to.name);
      expect(queued(b, to.s)).toBe(17);
      expect(queued(b, to.s)).toBe(17);
      const texts = [1, 2, 3, 4].map(() => receiveFrom(b, to.s).text);
      expect(texts).toEqual(['one', '', 'three', 'seventeen']);
      expect(queued(b, to.s)).toBe(0);
      const mark = new Uint8Array(4);
      expect(ioctl(b, to.s, spi.SIOCATMARK, null, mark)).toBe(0);
      expect(mark[0]).toBe(1);
    });
  });

  it('closesocket ends pending receives with 995 in every profile [W9.10.1]', () => {
    for (const profile of ['documented', 'windows'] as const) {
      paired(({ machine, b, to }) => {
        const overlapped = spi.createOverlapped(machine.upcalls.event());
        const into = buffersOf(new Uint8Array(8));
        const { lpWSPRecv, lpWSPCloseSocket } = b.wsp;
        lpWSPRecv(to.s, into, 1, null, spi.ref(0), overlapped, null, null, lpErrno);
        expect(lpWSPCloseSocket(to.s, lpErrno)).toBe(0);
        expect(spi.wsaErrorOfStatus(overlapped.Internal)).toBe(spi.WSA_OPERATION_ABORTED);
        expect(machine.isSignalled(overlapped.hEvent)).toBe(true);
      }, profile);
    }
  });
});
