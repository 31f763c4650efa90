// Datagram sockets: WSPSendTo and WSPSend, default peers, addresses and sizes. Every host has an address
// of its own; datagrams go from one to another.

import { describe, expect, it } from 'vitest';
import * as spi from '../../../provider/spi/index.js';
import { failsWith, lpErrno, onMachine } from './fixture.js';
import {
  bindTo,
  bound,
  buffersOf,
  messageSocket,
  queued,
  receiveFrom,
  sendTo,
} from './messages.js';
import { pairOn } from './pair.js';
import { THREAD } from './world.js';

const A = '127.81.1.1';
const B = '127.81.1.2';
const paired = pairOn(A, B);

describe('WSPSendTo', () => {
  it('sends one datagram gathered from its buffers, and the receiver learns who sent it [W5.13 W4.2 W8.1.1 W8.2.3]', () => {
    paired(({ a, b, from, to }) => {
      expect(sendTo(a, from.s, buffersOf('ab', '', 'cde'), to.name)).toBe(5);
      expect(sendTo(a, from.s, 'second', to.name)).toBe(6);
      const first = receiveFrom(b, to.s);
      expect([first.text, first.from]).toEqual(['abcde', spi.parseSockaddr(from.name)]);
      // Only the bytes of the address are written, whatever room there is.
      expect(first.fromLength).toBe(spi.SOCKADDR_IN_BYTES);
      expect(receiveFrom(b, to.s).text).toBe('second');
    });
  });

  it('lpTo overrides the default peer for one datagram, which keeps the default [W5.1 W5.4]', () => {
    paired(({ a, b, from, to }) => {
      const other = bound(b);
      expect(a.connect(from.s, to.name)).toBe(0);
      expect(sendTo(a, from.s, 'elsewhere', other.name)).toBe(9);
      expect(sendTo(a, from.s, 'default', null)).toBe(7);
      expect(a.send(from.s, Buffer.from('too'))).toBe(3);
      expect(receiveFrom(b, other.s).text).toBe('elsewhere');
      expect([receiveFrom(b, to.s).text, receiveFrom(b, to.s).text]).toEqual(['default', 'too']);
    });
  });

  it('without destination and default peer is WSAEDESTADDRREQ; WSPSend is WSAENOTCONN [W5.4 W4.1]', () => {
    paired(({ a, from }) => {
      failsWith(spi.WSAEDESTADDRREQ, sendTo(a, from.s, 'x', null));
      failsWith(spi.WSAENOTCONN, a.send(from.s, Buffer.from('x')));
    });
  });

  it('on an unbound socket is WSAEINVAL; profile windows binds it to the wildcard [W5.3]', () => {
    paired(({ a, to }) => {
      const s = messageSocket(a);
      failsWith(spi.WSAEINVAL, sendTo(a, s, 'x', to.name));
      expect(a.sockName(s)).toBe(null);
    });
    paired(({ a, b, to }) => {
      const s = messageSocket(a);
      expect(a.sockName(s)).toBe(null);
      failsWith(spi.WSAEDESTADDRREQ, sendTo(a, s, 'x', null));
      expect(a.sockName(s)).toBe(null);
      expect(sendTo(a, s, 'x', to.name)).toBe(1);
      const name = a.sockName(s);
      expect(name?.ip).toBe('0.0.0.0');
      expect(receiveFrom(b, to.s).from).toEqual({ ...name, ip: A });
    }, 'windows');
  });

  it('address errors: wildcard, other family, too short, missing, out of reach [W5.5 W5.8]', () => {
    paired(({ a, from, to }) => {
      const wildcard = spi.sockaddrIn('0.0.0.0', 9);
      failsWith(spi.WSAEADDRNOTAVAIL, sendTo(a, from.s, 'x', wildcard));
      failsWith(spi.WSAEAFNOSUPPORT, sendTo(a, from.s, 'x', spi.sockaddrIn6('::1', 9)));
      failsWith(spi.WSAEFAULT, sendTo(a, from.s, 'x', to.name, { length: 15 }));
      failsWith(spi.WSAEFAULT, sendTo(a, from.s, 'x', to.name.subarray(0, 8), { length: 16 }));
      failsWith(spi.WSAENETUNREACH, sendTo(a, from.s, 'x', spi.sockaddrIn('10.1.1.1', 9)));
    });
  });

  it('to port 0 succeeds in full and goes nowhere [W5.5 W15.8]', () => {
    for (const profile of ['documented', 'windows'] as const) {
      paired(({ a, b, from, to }) => {
        expect(sendTo(a, from.s, 'nobody', spi.sockaddrIn(B, 0))).toBe(6);
        expect(queued(b, to.s)).toBe(0);
      }, profile);
    }
  });

  it('to a broadcast address needs SO_BROADCAST [W5.6 W15.10]', () => {
    onMachine((machine) => {
      const open = machine.host(null);
      const from = bound(open, '127.81.2.1');
      const to = bound(open, '0.0.0.0');
      const port = spi.sockaddrPort(to.name);
      const everyone = spi.sockaddrIn('127.255.255.255', port);
      failsWith(spi.WSAEACCES, sendTo(open, from.s, 'x', everyone));
      expect(open.setOption(from.s, spi.SO_BROADCAST, 1)).toBe(0);
      expect(open.option(from.s, spi.SO_BROADCAST)).toBe(1);
      expect(sendTo(open, from.s, 'all', everyone)).toBe(3);
      expect(receiveFrom(open, to.s).text).toBe('all');
    });
  });

  it('a default peer may be a broadcast address: the sends are refused, in profile windows sent [W4.20]', () => {
    for (const profile of ['documented', 'windows'] as const) {
      onMachine((machine) => {
        const open = machine.host(null, profile);
        const from = bound(open, '127.81.2.1');
        const to = bound(open, '0.0.0.0');
        const everyone = spi.sockaddrIn('127.255.255.255', spi.sockaddrPort(to.name));
        expect(open.connect(from.s, everyone)).toBe(0);
        expect(open.option(from.s, spi.SO_BROADCAST)).toBe(0);
        const sent = open.send(from.s, Buffer.from('all'));
        if (profile === 'documented') failsWith(spi.WSAEACCES, sent);
        else {
          expect(sent).toBe(3);
          // The permission was for that one datagram.
          failsWith(spi.WSAEACCES, sendTo(open, from.s, 'x', everyone));
        }
        expect(open.setOption(from.s, spi.SO_BROADCAST, 1)).toBe(0);
        expect(open.send(from.s, Buffer.from('with'))).toBe(4);
        expect(receiveFrom(open, to.s).text).toBe(profile === 'documented' ? 'with' : 'all');
      });
    }
  });

  it('more than SO_MAX_MSG_SIZE is WSAEMSGSIZE and nothing is sent; exactly that much is sent [W4.9 W5.8]', () => {
    paired(({ a, b, from, to }) => {
      const most = a.option(from.s, spi.SO_MAX_MSG_SIZE);
      expect(most).toBe(65_507);
      const count = spi.ref(-1);
      const large = new Uint8Array(most + 1);
      failsWith(spi.WSAEMSGSIZE, sendTo(a, from.s, large, to.name, { lpCount: count }));
      expect([count.value, queued(b, to.s)]).toEqual([-1, 0]);
      expect(sendTo(a, from.s, large.subarray(1), to.name)).toBe(most);
      expect(receiveFrom(b, to.s, most).count).toBe(most);
    });
  });

  it('more buffers than the kernel takes are still one datagram, sent and received [W15.3 W4.2]', () => {
    paired(({ a, b, from, to }) => {
      const parts = Array.from({ length: 3000 }, (_, index) => Uint8Array.of(index, index >> 8));
      expect(sendTo(a, from.s, buffersOf(...parts), to.name)).toBe(6000);
      const room = parts.map(() => new Uint8Array(2));
      const count = spi.ref(-1);
      const into = buffersOf(...room);
      const flags = spi.ref(0);
      const { lpWSPRecv } = b.wsp;
      expect(lpWSPRecv(to.s, into, 3000, count, flags, null, null, null, lpErrno)).toBe(0);
      expect(count.value).toBe(6000);
      expect(Buffer.concat(room).equals(Buffer.concat(parts))).toBe(true);
      expect(queued(b, to.s)).toBe(0);
    });
  });

  it('an empty datagram is sent and received as one, also without any buffer [W4.13 W8.1.12]', () => {
    paired(({ machine, a, b, from, to }) => {
      const event = machine.upcalls.event();
      expect(b.wsp.lpWSPEventSelect(to.s, event, spi.FD_READ, lpErrno)).toBe(0);
      expect(sendTo(a, from.s, '', to.name)).toBe(0);
      machine.until(() => machine.isSignalled(event));
      const got = receiveFrom(b, to.s);
      expect([got.result, got.count, got.from]).toEqual([0, 0, spi.parseSockaddr(from.name)]);
      expect(sendTo(a, from.s, [], to.name)).toBe(0);
      expect(receiveFrom(b, to.s).count).toBe(0);
      expect(receiveFrom(b, to.s).error).toBe(spi.WSAEWOULDBLOCK);
    });
  });

  it('flags: urgent and partial are of other transports, MSG_DONTROUTE is ignored [W4.10 W5.12 W5.8]', () => {
    paired(({ a, b, from, to }) => {
      for (const flags of [spi.MSG_OOB, spi.MSG_PARTIAL, spi.MSG_PEEK, 0x4000_0000]) {
        failsWith(spi.WSAEOPNOTSUPP, sendTo(a, from.s, 'x', to.name, { flags }));
      }
      expect(sendTo(a, from.s, 'near', to.name, { flags: spi.MSG_DONTROUTE })).toBe(4);
      expect(receiveFrom(b, to.s).text).toBe('near');
    });
  });

  it('bad buffers and a missing count are WSAEFAULT, closed and unknown sockets WSAENOTSOCK [W5.8 W4.12 W3.6]', () => {
    paired(({ a, from, to }) => {
      failsWith(spi.WSAEFAULT, sendTo(a, from.s, [{ len: 2, buf: null }], to.name));
      failsWith(spi.WSAEFAULT, sendTo(a, from.s, [{ len: 2, buf: Buffer.from('x') }], to.name));
      failsWith(spi.WSAEFAULT, sendTo(a, from.s, 'x', to.name, { lpCount: null }));
      for (const s of [0, 4, spi.INVALID_SOCKET]) {
        failsWith(spi.WSAENOTSOCK, sendTo(a, s, 'x', to.name));
      }
      expect(a.wsp.lpWSPCloseSocket(from.s, lpErrno)).toBe(0);
      failsWith(spi.WSAENOTSOCK, sendTo(a, from.s, 'x', to.name));
    });
  });

  it('overlapped: event set, count in the structure, NULL for the count allowed [W5.12 W5.14 W9.3]', () => {
    paired(({ machine, a, b, from, to }) => {
      const event = machine.upcalls.event();
      const overlapped = spi.createOverlapped(event);
      expect(sendTo(a, from.s, 'abc', to.name, { overlapped, lpCount: null })).toBe(-2);
      expect([overlapped.Internal, overlapped.InternalHigh]).toEqual([0, 3]);
      expect(machine.isSignalled(event)).toBe(true);
      expect(receiveFrom(b, to.s).text).toBe('abc');
    });
  });

  it('a routine is queued before the return, to a copy of the thread id, and may send again [W5.9 W5.10 W5.12 W5.15]', () => {
    paired(({ machine, a, b, from, to }) => {
      const overlapped = spi.createOverlapped();
      const thread = { ...THREAD };
      const calls: unknown[] = [];
      const routine: spi.WSAOVERLAPPED_COMPLETION_ROUTINE = (...parameters) => {
        calls.push(parameters);
        expect(sendTo(a, from.s, 'again', to.name)).toBe(5);
      };
      expect(sendTo(a, from.s, 'abc', to.name, { overlapped, routine, thread })).toBe(3);
      thread.ThreadHandle = 0;
      expect(calls).toEqual([]);
      expect(machine.upcalls.queued.map((one) => one.thread)).toEqual([THREAD]);
      expect(machine.upcalls.runRoutines()).toBe(1);
      expect(calls).toEqual([[0, 3, overlapped, 0]]);
      expect([receiveFrom(b, to.s).text, receiveFrom(b, to.s).text]).toEqual(['abc', 'again']);
    });
  });

  it('a nonoverlapped socket ignores structure, routine and thread [W5.12 W4.5]', () => {
    paired(({ machine, a, b, to }) => {
      const s = messageSocket(a, { flags: 0 });
      bindTo(a, s, spi.sockaddrIn(A, 0));
      const overlapped = spi.createOverlapped(machine.upcalls.event());
      const routine = (): void => undefined;
      expect(sendTo(a, s, 'abc', to.name, { overlapped, routine, thread: THREAD })).toBe(3);
      expect([overlapped.Internal, overlapped.InternalHigh]).toEqual([0, 0]);
      expect(machine.upcalls.queued).toEqual([]);
      expect(receiveFrom(b, to.s).text).toBe('abc');
    });
  });

  it('after shutdown sends and receives are WSAESHUTDOWN, each in its direction [W12.2 W5.8 W12.1]', () => {
    paired(({ a, from, to }) => {
      const { lpWSPShutdown } = a.wsp;
      failsWith(spi.WSAENOTCONN, lpWSPShutdown(from.s, spi.SD_SEND, lpErrno));
      expect(a.connect(from.s, to.name)).toBe(0);
      expect(lpWSPShutdown(from.s, spi.SD_RECEIVE, lpErrno)).toBe(0);
      expect(receiveFrom(a, from.s).error).toBe(spi.WSAESHUTDOWN);
      expect(sendTo(a, from.s, 'x', to.name)).toBe(1);
      expect(lpWSPShutdown(from.s, spi.SD_SEND, lpErrno)).toBe(0);
      failsWith(spi.WSAESHUTDOWN, sendTo(a, from.s, 'x', to.name));
    });
  });
});
