// The provider's half of WSASendMsg: control data, source addresses, the order of the checks, and the
// errors that the network makes.

import { describe, expect, it } from 'vitest';
import * as spi from '../../../provider/spi/index.js';
import { failsWith, lpErrno, onMachine } from './fixture.js';
import type { Host, Machine } from './fixture.js';
import {
  bindTo,
  bound,
  buffersOf,
  controlOf,
  ended,
  messageSocket,
  packetInfo,
  packetInfo6,
  queued,
  receiveFrom,
  sendMsg,
  sendTo,
  wsaMsg,
} from './messages.js';
import { deadPort, pairOn } from './pair.js';
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

const message = (text: string, name: Uint8Array | null, control?: spi.WSABUF): spi.WSAMSG =>
  wsaMsg({
    name,
    lpBuffers: buffersOf(text),
    ...(control === undefined ? {} : { Control: control }),
  });

describe('WSASendMsg', () => {
  it('sends to the name or to the default peer, gathered, and counts the bytes [W6.5 W6.9]', () => {
    paired(({ a, b, from, to }) => {
      const gathered = wsaMsg({ name: to.name, lpBuffers: buffersOf('ab', 'cd') });
      gathered.dwFlags = 0xffff;
      expect(sendMsg(a, from.s, gathered)).toBe(4);
      expect(gathered.dwFlags).toBe(0xffff);
      expect(receiveFrom(b, to.s)).toMatchObject({ text: 'abcd', from: { ip: A } });
      expect(a.connect(from.s, to.name)).toBe(0);
      expect(sendMsg(a, from.s, message('peer', null))).toBe(4);
      expect(receiveFrom(b, to.s).text).toBe('peer');
    });
  });

  it('is of datagram and raw sockets: a stream is WSAEINVAL in every profile [W6.1]', () => {
    for (const profile of ['documented', 'windows'] as const) {
      paired(({ a, to }) => {
        failsWith(spi.WSAEINVAL, sendMsg(a, a.socket(), message('x', to.name)));
      }, profile);
    }
  });

  it('flags: other bits, urgent and partial are WSAEOPNOTSUPP; the member is ignored [W6.2 W6.13 W6.12]', () => {
    paired(({ a, b, from, to }) => {
      for (const flags of [spi.MSG_OOB, spi.MSG_PARTIAL, spi.MSG_PEEK, 0x4000]) {
        failsWith(spi.WSAEOPNOTSUPP, sendMsg(a, from.s, message('x', to.name), { flags }));
      }
      expect(queued(b, to.s)).toBe(0);
      const flags = spi.MSG_DONTROUTE;
      expect(sendMsg(a, from.s, message('near', to.name), { flags })).toBe(4);
    });
  });

  it('a bad handle comes before a NULL message, and that before everything else [W6.3 W6.4]', () => {
    paired(({ a, from, to }) => {
      failsWith(spi.WSAENOTSOCK, sendMsg(a, 3, null));
      failsWith(spi.WSAEFAULT, sendMsg(a, from.s, null));
      failsWith(spi.WSAEFAULT, sendMsg(a, from.s, wsaMsg({ name: null, namelen: 16 })));
      const lying = message('x', to.name, { len: 24, buf: null });
      failsWith(spi.WSAEFAULT, sendMsg(a, from.s, lying));
      failsWith(spi.WSAEFAULT, sendMsg(a, from.s, message('x', to.name), { lpCount: null }));
      failsWith(spi.WSAEFAULT, sendMsg(a, from.s, wsaMsg({ name: to.name, dwBufferCount: 1 })));
      const routine = (): void => undefined;
      failsWith(spi.WSAEFAULT, sendMsg(a, from.s, message('x', to.name), { routine }));
    });
  });

  it('an unbound socket is WSAEINVAL; profile windows binds it, also when only the count is missing [W6.4 W6.5]', () => {
    paired(({ a, to }) => {
      failsWith(spi.WSAEINVAL, sendMsg(a, messageSocket(a), message('x', to.name)));
    });
    paired(({ a, b, to }) => {
      const s = messageSocket(a);
      failsWith(spi.WSAEFAULT, sendMsg(a, s, null));
      expect(a.sockName(s)).toBe(null);
      failsWith(spi.WSAEFAULT, sendMsg(a, s, message('x', to.name), { lpCount: null }));
      expect(a.sockName(s)?.ip).toBe('0.0.0.0');
      expect(sendMsg(a, s, message('x', to.name))).toBe(1);
      expect(receiveFrom(b, to.s).from?.ip).toBe(A);
    }, 'windows');
  });

  it('no name and no default peer is WSAENOTCONN; the name obeys the rules of WSPSendTo [W6.12 W5.5]', () => {
    paired(({ a, from }) => {
      failsWith(spi.WSAENOTCONN, sendMsg(a, from.s, message('x', null)));
      const wildcard = spi.sockaddrIn('0.0.0.0', 9);
      failsWith(spi.WSAEADDRNOTAVAIL, sendMsg(a, from.s, message('x', wildcard)));
      failsWith(spi.WSAEAFNOSUPPORT, sendMsg(a, from.s, message('x', spi.sockaddrIn6('::1', 9))));
      failsWith(
        spi.WSAENETUNREACH,
        sendMsg(a, from.s, message('x', spi.sockaddrIn('10.1.1.1', 9))),
      );
      failsWith(
        spi.WSAEFAULT,
        sendMsg(a, from.s, wsaMsg({ name: wildcard, namelen: 8, lpBuffers: buffersOf('x') })),
      );
    });
  });

  it('more than the maximum is WSAEMSGSIZE, a broadcast needs the option, SD_SEND ends it [W6.7 W6.12]', () => {
    paired(({ a, b, from, to }) => {
      const large = wsaMsg({ name: to.name, lpBuffers: buffersOf(new Uint8Array(65_508)) });
      failsWith(spi.WSAEMSGSIZE, sendMsg(a, from.s, large));
      expect(queued(b, to.s)).toBe(0);
      const everyone = spi.sockaddrIn('127.255.255.255', 9);
      failsWith(spi.WSAEACCES, sendMsg(a, from.s, message('x', everyone)));
      expect(a.connect(from.s, to.name)).toBe(0);
      expect(a.wsp.lpWSPShutdown(from.s, spi.SD_SEND, lpErrno)).toBe(0);
      failsWith(spi.WSAESHUTDOWN, sendMsg(a, from.s, message('x', to.name)));
    });
  });

  it('overlapped and with a routine it completes as WSASend does [W6.10 W6.11 W6.8]', () => {
    paired(({ machine, a, b, from, to }) => {
      const overlapped = spi.createOverlapped(machine.upcalls.event());
      const calls: unknown[] = [];
      const routine: spi.WSAOVERLAPPED_COMPLETION_ROUTINE = (...parameters) => {
        calls.push(parameters);
        expect(sendMsg(a, from.s, message('again', to.name))).toBe(5);
      };
      const options = { overlapped, routine, thread: THREAD, lpCount: null };
      expect(sendMsg(a, from.s, message('abc', to.name), options)).toBe(-2);
      expect(calls).toEqual([]);
      expect(machine.upcalls.runRoutines()).toBe(1);
      expect(calls).toEqual([[0, 3, overlapped, 0]]);
      expect(machine.isSignalled(overlapped.hEvent)).toBe(false);
      expect([receiveFrom(b, to.s).text, receiveFrom(b, to.s).text]).toEqual(['abc', 'again']);
      const alone = { routine, thread: THREAD };
      expect(sendMsg(a, from.s, message('x', to.name), alone)).toBe(1);
      expect(machine.upcalls.queued).toHaveLength(1);
    });
  });

  it('where completions always pend: array captured, count untouched, closing and SIO_FLUSH end it with 995 [W6.10 W6.12 W9.10.3 W5.8 W4.8]', () => {
    paired(({ machine, a, b, from, to }) => {
      const pend = (text: string): spi.WSAOVERLAPPED => {
        const overlapped = spi.createOverlapped(machine.upcalls.event());
        const sent = message(text, to.name);
        const lpCount = spi.ref(-1);
        failsWith(spi.WSA_IO_PENDING, sendMsg(a, from.s, sent, { overlapped, lpCount }));
        expect([lpCount.value, overlapped.Internal]).toEqual([-1, 0x103]);
        sent.name?.fill(0);
        sent.lpBuffers = null;
        to.name = bound(b).name;
        return overlapped;
      };
      const status = (overlapped: spi.WSAOVERLAPPED): number =>
        spi.wsaErrorOfStatus(overlapped.Internal);
      const first = pend('captured');
      ended(machine, first);
      expect([status(first), first.InternalHigh]).toEqual([0, 8]);
      const flushed = pend('flushed');
      const { lpWSPIoctl } = a.wsp;
      const zero = spi.ref(0);
      expect(
        lpWSPIoctl(from.s, spi.SIO_FLUSH, null, 0, null, 0, zero, null, null, null, lpErrno),
      ).toBe(0);
      expect([status(flushed), machine.isSignalled(flushed.hEvent)]).toEqual([995, true]);
      const closed = pend('closed');
      const byName = spi.createOverlapped();
      failsWith(
        spi.WSA_IO_PENDING,
        sendTo(a, from.s, 'x', to.name, { overlapped: byName, lpCount: null }),
      );
      expect(a.wsp.lpWSPCloseSocket(from.s, lpErrno)).toBe(0);
      expect([status(closed), status(byName)]).toEqual([995, 995]);
    }, 'hostile');
  });
});

describe('the source address of WSASendMsg', () => {
  it('is chosen by in_pktinfo, and seen at the receiver [W6.6 W2.14]', () => {
    open((_machine, host) => {
      const to = bound(host, '127.82.3.1');
      const from = bound(host, '0.0.0.0');
      for (const ip of ['127.82.3.7', '127.82.4.8', '127.0.0.1']) {
        const control = controlOf(packetInfo(ip));
        expect(control.len).toBe(24);
        expect(sendMsg(host, from.s, message(ip, to.name, control))).toBe(ip.length);
        expect(receiveFrom(host, to.s)).toMatchObject({ text: ip, from: { ip } });
      }
    });
  });

  it('other objects may be present; the default peer serves as well [W6.6]', () => {
    open((_machine, host) => {
      const to = bound(host, '127.82.3.1');
      const from = bound(host, '0.0.0.0');
      expect(host.connect(from.s, to.name)).toBe(0);
      const other = { level: 77, type: 5, data: new Uint8Array(3) };
      const control = controlOf(other, packetInfo('127.82.3.9'), other);
      expect(sendMsg(host, from.s, message('x', null, control))).toBe(1);
      expect(receiveFrom(host, to.s).from?.ip).toBe('127.82.3.9');
    });
  });

  it('is chosen by in6_pktinfo for IPv6 [W6.6]', () => {
    open((_machine, host) => {
      const to = bound(host, '::1');
      const from = bound(host, '::');
      const control = controlOf(packetInfo6('::1'));
      expect(control.len).toBe(40);
      expect(sendMsg(host, from.s, message('x', to.name, control))).toBe(1);
      expect(receiveFrom(host, to.s).from?.ip).toBe('::1');
    });
  });

  it('that is not the host’s is WSAEADDRNOTAVAIL; malformed control data is WSAEINVAL', () => {
    paired(({ a, from, to }) => {
      const foreign = controlOf(packetInfo('127.82.9.9'));
      failsWith(spi.WSAEADDRNOTAVAIL, sendMsg(a, from.s, message('x', to.name, foreign)));
      const beyond = controlOf(packetInfo(A));
      beyond.buf?.fill(0xff, 0, 4);
      failsWith(spi.WSAEINVAL, sendMsg(a, from.s, message('x', to.name, beyond)));
      const short = controlOf({ ...packetInfo(A), data: new Uint8Array(4) });
      failsWith(spi.WSAEINVAL, sendMsg(a, from.s, message('x', to.name, short)));
      const twice = controlOf(packetInfo(A), packetInfo(A));
      failsWith(spi.WSAEINVAL, sendMsg(a, from.s, message('x', to.name, twice)));
      const wrong = controlOf(packetInfo6('::1'));
      failsWith(spi.WSAEINVAL, sendMsg(a, from.s, message('x', to.name, wrong)));
      const anywhere = controlOf(packetInfo('0.0.0.0'));
      expect(sendMsg(a, from.s, message('x', to.name, anywhere))).toBe(1);
    });
  });

  it('of a dual-stack socket needs the kind of its destination [W6.6]', () => {
    open((_machine, host) => {
      const s = messageSocket(host, { family: spi.AF_INET6 });
      expect(host.setOption(s, spi.IPV6_V6ONLY, 0, spi.IPPROTO_IPV6)).toBe(0);
      bindTo(host, s, spi.sockaddrIn6('::', 0));
      const to4 = bound(host, '127.82.3.1');
      const to6 = bound(host, '::1');
      const mapped = spi.sockaddrIn6('::ffff:127.82.3.1', spi.sockaddrPort(to4.name));
      const info4 = controlOf(packetInfo('127.82.3.5'));
      const info6 = controlOf(packetInfo6('::1'));
      expect(sendMsg(host, s, message('four', mapped, info4))).toBe(4);
      expect(receiveFrom(host, to4.s)).toMatchObject({ text: 'four', from: { ip: '127.82.3.5' } });
      expect(sendMsg(host, s, message('six', to6.name, info6))).toBe(3);
      expect(receiveFrom(host, to6.s)).toMatchObject({ text: 'six', from: { ip: '::1' } });
      failsWith(spi.WSAEINVAL, sendMsg(host, s, message('x', mapped, info6)));
      failsWith(spi.WSAEINVAL, sendMsg(host, s, message('x', to6.name, info4)));
    });
  });
});

describe('what the network answers to WSASendMsg', () => {
  it('the next call reports WSAECONNRESET, once [W6.7 W6.12 W15.4]', () => {
    paired(({ machine, a, b, from, to }) => {
      const dead = deadPort(b);
      expect(sendMsg(a, from.s, message('x', dead))).toBe(1);
      machine.until(() => sendMsg(a, from.s, message('x', to.name)) === spi.SOCKET_ERROR);
      failsWith(spi.WSAECONNRESET, spi.SOCKET_ERROR);
      expect(sendMsg(a, from.s, message('after', to.name))).toBe(5);
      a.nonblocking(from.s);
      expect(receiveFrom(a, from.s).error).toBe(spi.WSAEWOULDBLOCK);
    });
  });

  it('in profile windows sends go on, and a receive reports it [W6.7]', () => {
    paired(({ machine, a, b, from, to }) => {
      expect(sendMsg(a, from.s, message('x', deadPort(b)))).toBe(1);
      expect(sendMsg(a, from.s, message('x', to.name))).toBe(1);
      a.nonblocking(from.s);
      machine.until(() => receiveFrom(a, from.s).error === spi.WSAECONNRESET);
    }, 'windows');
  });
});
