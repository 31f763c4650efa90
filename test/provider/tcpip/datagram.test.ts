// Datagram sockets: what the network answers, and how they behave among the functions that are not
// theirs alone.

import { describe, expect, it } from 'vitest';
import * as spi from '../../../provider/spi/index.js';
import { failsWith, lpErrno, onMachine } from './fixture.js';
import { bindTo, buffersOf, ended, ioctl, messageSocket, receiveFrom, sendTo } from './messages.js';
import { deadPort, pairOn } from './pair.js';

const A = '127.81.3.1';
const B = '127.81.3.2';
const paired = pairOn(A, B);

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
