// Datagram sockets: WSPSendTo and WSPRecvFrom, default peers, addresses, sizes, and what the network
// answers. Every host has an address of its own; datagrams go from one to another.

import { describe, expect, it } from 'vitest';
import * as spi from '../../../provider/spi/index.js';
import { failsWith, lpErrno, onMachine } from './fixture.js';
import type { Host, Machine } from './fixture.js';
import {
  bindTo,
  bound,
  buffersOf,
  ended,
  ioctl,
  messageSocket,
  queued,
  receiveFrom,
  sendTo,
} from './messages.js';
import { THREAD } from './world.js';

const A = '127.81.1.1';
const B = '127.81.1.2';

interface Pair {
  machine: Machine;
  a: Host;
  b: Host;
  from: { s: number; name: Uint8Array };
  to: { s: number; name: Uint8Array };
}

function paired(body: (pair: Pair) => void, profile?: spi.ProfileName): void {
  onMachine((machine) => {
    const a = machine.host(A, profile);
    const b = machine.host(B, profile);
    body({ machine, a, b, from: bound(a), to: bound(b) });
  });
}

/** The name of a port of B that nobody has any more. */
function deadPort(b: Host): Uint8Array {
  const { s, name } = bound(b);
  expect(b.wsp.lpWSPCloseSocket(s, lpErrno)).toBe(0);
  return name;
}

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

describe('what the network answers', () => {
  it('sends to a dead port succeed; a later receive reports WSAECONNRESET, once [W5.7 W15.4]', () => {
    for (const isConnected of [false, true]) {
      paired(({ machine, a, b, from }) => {
        const dead = deadPort(b);
        if (isConnected) expect(a.connect(from.s, dead)).toBe(0);
        for (let round = 0; round < 3; round++) {
          expect(sendTo(a, from.s, 'x', isConnected ? null : dead)).toBe(1);
        }
        a.nonblocking(from.s);
        machine.until(() => receiveFrom(a, from.s).error === spi.WSAECONNRESET);
        machine.until(() => receiveFrom(a, from.s).error === spi.WSAEWOULDBLOCK);
        expect(machine.reactor.poll(0)).toBe(0);
      });
    }
  });

  it('a pending receive ends with it, and FD_READ tells of it [W5.7 W10.2]', () => {
    paired(({ machine, a, b, from }) => {
      const overlapped = spi.createOverlapped(machine.upcalls.event());
      const dead = deadPort(b);
      const into = buffersOf(new Uint8Array(8));
      const { lpWSPRecv, lpWSPEventSelect } = a.wsp;
      const flags = spi.ref(0);
      failsWith(
        spi.WSA_IO_PENDING,
        lpWSPRecv(from.s, into, 1, null, flags, overlapped, null, null, lpErrno),
      );
      expect(sendTo(a, from.s, 'x', dead)).toBe(1);
      ended(machine, overlapped);
      expect(spi.wsaErrorOfStatus(overlapped.Internal)).toBe(spi.WSAECONNRESET);
      const event = machine.upcalls.event();
      expect(lpWSPEventSelect(from.s, event, spi.FD_READ, lpErrno)).toBe(0);
      expect(sendTo(a, from.s, 'x', dead)).toBe(1);
      machine.until(() => machine.isSignalled(event));
      expect(receiveFrom(a, from.s).error).toBe(spi.WSAECONNRESET);
    });
  });

  it('SIO_UDP_CONNRESET off: it is not reported at all [W5.7]', () => {
    paired(({ machine, a, b, from, to }) => {
      expect(ioctl(a, from.s, spi.SIO_UDP_CONNRESET, Uint8Array.of(0))).toBe(0);
      expect(sendTo(a, from.s, 'x', deadPort(b))).toBe(1);
      // A second datagram, to oneself, is what the receive finds.
      expect(sendTo(b, to.s, 'alive', from.name)).toBe(5);
      expect(receiveFrom(a, from.s).text).toBe('alive');
      a.nonblocking(from.s);
      expect(receiveFrom(a, from.s).error).toBe(spi.WSAEWOULDBLOCK);
      expect(machine.reactor.poll(0)).toBe(0);
    });
  });
});

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

describe('datagram sockets among the other functions', () => {
  it('FD_WRITE comes at once, FD_READ for each datagram that a receive leaves [W10.4 W10.6 W10.11]', () => {
    paired(({ machine, a, b, from, to }) => {
      const event = machine.upcalls.event();
      const mask = spi.FD_READ | spi.FD_WRITE;
      expect(b.wsp.lpWSPEventSelect(to.s, event, mask, lpErrno)).toBe(0);
      expect(b.events(to.s).lNetworkEvents).toBe(spi.FD_WRITE);
      sendTo(a, from.s, 'one', to.name);
      sendTo(a, from.s, 'two', to.name);
      machine.until(() => b.events(to.s).lNetworkEvents === spi.FD_READ);
      receiveFrom(b, to.s);
      expect(b.events(to.s).lNetworkEvents).toBe(spi.FD_READ);
      receiveFrom(b, to.s);
      expect(b.events(to.s).lNetworkEvents).toBe(0);
    });
  });

  it('an unbound one reports nothing until it is bound [W10.6]', () => {
    onMachine((machine) => {
      const a = machine.host(A);
      const s = messageSocket(a);
      const event = machine.upcalls.event();
      expect(a.wsp.lpWSPEventSelect(s, event, spi.FD_WRITE, lpErrno)).toBe(0);
      expect(machine.isSignalled(event)).toBe(false);
      bindTo(a, s, spi.sockaddrIn('0.0.0.0', 0));
      expect(machine.isSignalled(event)).toBe(true);
    });
  });

  it('WSPSelect finds it readable and writable, and waits for it [W10.12]', () => {
    paired(({ machine, a, b, from, to }) => {
      const set = (): spi.fd_set => ({ fd_count: 1, fd_array: [to.s] });
      const { lpWSPSelect } = b.wsp;
      const none = { tv_sec: 0, tv_usec: 0 };
      expect(lpWSPSelect(0, set(), null, null, none, lpErrno)).toBe(0);
      expect(lpWSPSelect(0, null, set(), null, none, lpErrno)).toBe(1);
      const sender = {
        role: 'late sender',
        doWork: () => {
          machine.loop.remove(sender);
          return sendTo(a, from.s, '', to.name) + 1;
        },
      };
      machine.loop.add(sender);
      expect(lpWSPSelect(0, set(), null, null, null, lpErrno)).toBe(1);
      expect(receiveFrom(b, to.s).count).toBe(0);
    });
  });

  it('listen and accept are WSAEOPNOTSUPP, stream options WSAENOPROTOOPT, and the type is told', () => {
    paired(({ a, from }) => {
      failsWith(spi.WSAEOPNOTSUPP, a.wsp.lpWSPListen(from.s, 1, lpErrno));
      failsWith(spi.WSAEOPNOTSUPP, a.wsp.lpWSPAccept(from.s, null, null, null, 0, lpErrno));
      expect(a.option(from.s, spi.SO_TYPE)).toBe(spi.SOCK_DGRAM);
      failsWith(spi.WSAENOPROTOOPT, a.option(from.s, spi.SO_LINGER));
      failsWith(spi.WSAENOPROTOOPT, a.setOption(from.s, spi.SO_KEEPALIVE, 1));
      failsWith(spi.WSAENOPROTOOPT, a.setOption(from.s, spi.TCP_NODELAY, 1, spi.IPPROTO_TCP));
      failsWith(spi.WSAENOPROTOOPT, a.setOption(a.socket(), spi.SO_BROADCAST, 1));
    });
  });

  it('the broadcast address is told, and a port in use is WSAEADDRINUSE [W2.10 W5.3]', () => {
    paired(({ a, from }) => {
      const told = new Uint8Array(16);
      expect(ioctl(a, from.s, spi.SIO_GET_BROADCAST_ADDRESS, null, told)).toBe(0);
      expect(spi.parseSockaddr(told)?.ip).toBe('255.255.255.255');
      const second = messageSocket(a);
      const { lpWSPBind } = a.wsp;
      failsWith(spi.WSAEADDRINUSE, lpWSPBind(second, from.name, 16, lpErrno));
      failsWith(spi.WSAEINVAL, lpWSPBind(from.s, from.name, 16, lpErrno));
    });
  });
});
