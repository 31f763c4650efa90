// Cancelling: operations one by one, of a socket, of a thread; blocking calls; the blocking callback;
// too many outstanding operations; and the ways in which the kernel runs out or gives up.

import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { native } from '../../../native/load.js';
import { CANCELIO_GUID } from '../../../provider/spi/base-extensions.js';
import * as spi from '../../../provider/spi/index.js';
import { OUTSTANDING_MAX } from '../../../provider/tcpip/call.js';
import { failsWith, lpErrno, onMachine } from './fixture.js';
import type { Host, Machine } from './fixture.js';
import {
  bound,
  buffersOf,
  ended,
  extension,
  messageSocket,
  queued,
  receiveFrom,
  recvMsg,
  sendMsg,
  sendTo,
  wsaMsg,
} from './messages.js';
import { A, B, connected, MUCH, overlappedResult, postReceive, postSend, THREAD } from './world.js';

const OTHER: spi.WSATHREADID = { ThreadHandle: 78, Reserved: 0 };

function cancel(
  host: Host,
  s: number,
  overlapped: spi.WSAOVERLAPPED | null,
  thread: spi.WSATHREADID | null = null,
): number {
  const call = extension(host, CANCELIO_GUID) as spi.LPFN_WSPCANCELIO;
  return call(s, overlapped, thread, lpErrno);
}

/** A pending receive that `thread` started. */
function pending(
  host: Host,
  s: number,
  thread: spi.WSATHREADID | null,
  hEvent: number,
): spi.WSAOVERLAPPED {
  const overlapped = spi.createOverlapped(hEvent);
  const into = buffersOf(new Uint8Array(4));
  const { lpWSPRecv } = host.wsp;
  const flags = spi.ref(0);
  const result = lpWSPRecv(s, into, 1, null, flags, overlapped, null, thread, lpErrno);
  failsWith(spi.WSA_IO_PENDING, result);
  return overlapped;
}

const status = ({ Internal }: spi.WSAOVERLAPPED): number =>
  Internal === 0x103 ? spi.WSA_IO_PENDING : spi.wsaErrorOfStatus(Internal);

describe('cancelling operations', () => {
  it('one ends with 995 and its event, the others stay; what is not pending is 1168 [W9.10.5 W4.20]', () => {
    connected(({ machine, a, b, client, server }) => {
      const [first, second] = [1, 2].map(() =>
        pending(b, server, null, machine.upcalls.event()),
      ) as [spi.WSAOVERLAPPED, spi.WSAOVERLAPPED];
      expect(cancel(b, server, first)).toBe(0);
      expect([status(first), machine.isSignalled(first.hEvent)]).toEqual([995, true]);
      failsWith(spi.ERROR_NOT_FOUND, cancel(b, server, first));
      failsWith(spi.WSAENOTSOCK, cancel(b, 3, first));
      expect(a.send(client, Buffer.from('abc'))).toBe(3);
      ended(machine, second);
      expect([status(second), second.InternalHigh]).toEqual([0, 3]);
      failsWith(spi.ERROR_NOT_FOUND, cancel(b, server, null));
    });
  });

  it('all of a socket, sends too; data that was taken over is sent all the same [W9.10.5]', () => {
    connected(({ machine, a, client }) => {
      a.nonblocking(client);
      expect(a.send(client, new Uint8Array(MUCH))).toBe(MUCH);
      failsWith(spi.ERROR_NOT_FOUND, cancel(a, client, null));
      const overlapped = spi.createOverlapped(machine.upcalls.event());
      failsWith(spi.WSA_IO_PENDING, postSend(a, client, new Uint8Array(9), overlapped));
      expect(cancel(a, client, null)).toBe(0);
      expect(status(overlapped)).toBe(995);
      expect(a.wsp.lpWSPCloseSocket(client, lpErrno)).toBe(0);
    }, 'windows');
  });

  it('a routine is queued with 995 [W9.10.5 W5.10]', () => {
    onMachine((machine) => {
      const b = machine.host(B);
      const { s } = bound(b);
      const overlapped = spi.createOverlapped();
      const calls: unknown[] = [];
      const room = wsaMsg({ lpBuffers: buffersOf(new Uint8Array(4)) });
      recvMsg(b, s, room, null, overlapped, (...parameters) => calls.push(parameters), THREAD);
      expect(cancel(b, s, overlapped)).toBe(0);
      expect(calls).toEqual([]);
      machine.upcalls.runRoutines();
      expect(calls).toEqual([[spi.WSA_OPERATION_ABORTED, 0, overlapped, 0]]);
    });
  });

  it('of one thread: its operations on all sockets end, those of others stay [W5.11 W9.10.2]', () => {
    onMachine((machine) => {
      const b = machine.host(B);
      const [one, two] = [bound(b), bound(b)];
      const event = (): number => machine.upcalls.event();
      const mine = [pending(b, one.s, THREAD, event()), pending(b, two.s, { ...THREAD }, event())];
      const others = [pending(b, one.s, OTHER, event()), pending(b, two.s, null, event())];
      failsWith(spi.ERROR_NOT_FOUND, cancel(b, one.s, null, { ThreadHandle: 1, Reserved: 0 }));
      expect(cancel(b, spi.INVALID_SOCKET, null, THREAD)).toBe(0);
      expect(mine.map(status)).toEqual([995, 995]);
      expect(mine.map(({ hEvent }) => machine.isSignalled(hEvent))).toEqual([true, true]);
      expect(others.map(status)).toEqual([spi.WSA_IO_PENDING, spi.WSA_IO_PENDING]);
      expect(cancel(b, one.s, null, OTHER)).toBe(0);
      expect(others.map(status)).toEqual([995, spi.WSA_IO_PENDING]);
    });
  });

  it('the end of a thread spares, in profile windows, what only a port can wait for [W9.10.2]', () => {
    for (const [profile, left] of [
      ['documented', 995],
      ['windows', spi.WSA_IO_PENDING],
    ] as const) {
      onMachine((machine) => {
        const b = machine.host(B, profile);
        const { s } = bound(b);
        const eventless = pending(b, s, THREAD, 0);
        const evented = pending(b, s, THREAD, machine.upcalls.event());
        expect(cancel(b, spi.INVALID_SOCKET, null, THREAD)).toBe(0);
        expect([status(eventless), status(evented)]).toEqual([left, 995]);
      });
    }
  });
});

/** Runs `action` once, from inside the next wait. */
function meanwhile(machine: Machine, action: () => void): void {
  const agent = {
    role: 'meanwhile',
    doWork: () => {
      machine.loop.remove(agent);
      action();
      return 1;
    },
  };
  machine.loop.add(agent);
}

describe('WSPCancelBlockingCall', () => {
  it('ends the innermost blocking call with WSAEINTR; WSAEINVAL when none blocks [W4.20 W5.8]', () => {
    connected(({ machine, a, b, client, server }) => {
      const { lpWSPCancelBlockingCall } = b.wsp;
      failsWith(spi.WSAEINVAL, lpWSPCancelBlockingCall(lpErrno));
      const cancelSoon = (): void => {
        meanwhile(machine, () => expect(lpWSPCancelBlockingCall({ value: 0 })).toBe(0));
      };
      cancelSoon();
      failsWith(spi.WSAEINTR, b.recv(server, new Uint8Array(1)));
      cancelSoon();
      const all = { fd_count: 1, fd_array: [server] };
      failsWith(spi.WSAEINTR, b.wsp.lpWSPSelect(0, all, null, null, null, lpErrno));
      const { s } = b.listener();
      cancelSoon();
      failsWith(spi.WSAEINTR, b.wsp.lpWSPAccept(s, null, null, null, null, lpErrno));
      cancelSoon();
      const to = spi.sockaddrIn(A, 9);
      failsWith(spi.WSAEINTR, sendTo(b, server, new Uint8Array(MUCH), to));
      // The connection lives, and what was not cancelled works.
      expect(a.recv(client, new Uint8Array(8))).toBe(8);
      expect(a.send(client, Buffer.from('on'))).toBe(2);
      expect(b.recv(server, new Uint8Array(8))).toBe(2);
    });
  });

  it('a blocking callback is called with its context and ends the call with FALSE [W13.6]', () => {
    onMachine((machine) => {
      const contexts: unknown[] = [];
      machine.upcalls.blockingCallback = (context) => contexts.push(context) < 3;
      const b = machine.host(B);
      const { s } = bound(b);
      expect(receiveFrom(b, s).error).toBe(spi.WSAEINTR);
      expect(contexts).toEqual(['context', 'context', 'context']);
    });
  });

  it('inside the callback transfers are WSAEINPROGRESS, and TRUE goes on waiting [W4.20 W5.8 W6.12 W13.6]', () => {
    onMachine((machine) => {
      const errors: number[] = [];
      const note = (result: number): void => {
        errors.push(result === spi.SOCKET_ERROR ? lpErrno.value : 0);
      };
      let isFirst = true;
      machine.upcalls.blockingCallback = () => {
        if (!isFirst) return true;
        isFirst = false;
        note(sendTo(a, from.s, 'x', to.name));
        note(sendMsg(a, from.s, wsaMsg({ name: to.name, lpBuffers: buffersOf('x') })));
        note(a.send(from.s, Buffer.from('x')));
        note(receiveFrom(a, from.s).result);
        meanwhile(machine, () => sendTo(b, to.s, 'late', from.name));
        return true;
      };
      const a = machine.host(A);
      const b = machine.host(B);
      const [from, to] = [bound(a), bound(b)];
      expect(a.connect(from.s, to.name)).toBe(0);
      expect(receiveFrom(a, from.s).text).toBe('late');
      expect(errors).toEqual(new Array(4).fill(spi.WSAEINPROGRESS));
      expect(queued(b, to.s)).toBe(0);
    });
  });
});

/** Sets an option of the kernel on the sockets that have it: a provider tells no descriptor. */
function onEveryDescriptor(set: (fd: number) => number): void {
  const results = readdirSync('/proc/self/fd').map((fd) => set(Number(fd)));
  expect(results).toContain(0);
}

describe('limits', () => {
  it('too many outstanding operations are WSAEWOULDBLOCK, for sends and receives [W4.16 W5.8 W6.12]', () => {
    onMachine((machine) => {
      const b = machine.host(B);
      const { s, name } = bound(b);
      expect(b.connect(s, name)).toBe(0);
      for (let count = 0; count < OUTSTANDING_MAX; count++) pending(b, s, null, 0);
      const overlapped = spi.createOverlapped();
      const options = { overlapped, lpCount: null };
      failsWith(spi.WSAEWOULDBLOCK, sendTo(b, s, 'x', name, options));
      const msg = wsaMsg({ name, lpBuffers: buffersOf('x') });
      failsWith(spi.WSAEWOULDBLOCK, sendMsg(b, s, msg, options));
      failsWith(spi.WSAEWOULDBLOCK, postSend(b, s, new Uint8Array(1), overlapped));
      failsWith(spi.WSAEWOULDBLOCK, postReceive(b, s, new Uint8Array(1), overlapped).result);
      expect(overlapped.Internal).toBe(0);
      expect(cancel(b, s, null)).toBe(0);
      expect(sendTo(b, s, 'x', name, options)).toBe(-2);
    });
  });

  it('no room in the kernel for the pieces of a message is WSAENOBUFS [W4.20 W5.8 W6.12]', () => {
    onMachine((machine) => {
      const a = machine.host(A);
      const { s, name } = bound(a, '::1');
      expect(a.setOption(s, spi.SO_SNDBUF, 1)).toBe(0);
      // Linux: a path of 1,280 bytes at most, so that a long message is many pieces.
      const [IPPROTO_IPV6, IPV6_MTU] = [41, 24];
      const mtu = Uint8Array.of(0, 5, 0, 0);
      onEveryDescriptor((fd) => native.socketSetOption(fd, IPPROTO_IPV6, IPV6_MTU, mtu, 4));
      const large = new Uint8Array(60_000);
      failsWith(spi.WSAENOBUFS, sendTo(a, s, large, name));
      const msg = wsaMsg({ name, lpBuffers: buffersOf(large) });
      failsWith(spi.WSAENOBUFS, sendMsg(a, s, msg));
      expect(a.connect(s, name)).toBe(0);
      failsWith(spi.WSAENOBUFS, a.send(s, large));
      expect(queued(a, s)).toBe(0);
    });
  });

  it('SO_SNDTIMEO ends a blocking send with WSAETIMEDOUT, and no overlapped one [W4.17 W8.1.15]', () => {
    connected(({ machine, a, b, client, server }) => {
      expect(a.setOption(client, spi.SO_SNDTIMEO, 5)).toBe(0);
      expect(b.setOption(server, spi.SO_RCVTIMEO, 5)).toBe(0);
      failsWith(spi.WSAETIMEDOUT, a.send(client, new Uint8Array(MUCH)));
      const overlapped = spi.createOverlapped(machine.upcalls.event());
      failsWith(spi.WSA_IO_PENDING, postSend(a, client, new Uint8Array(MUCH), overlapped));
      const receive = pending(a, client, null, machine.upcalls.event());
      const later = machine.clock.now() + 20e6;
      machine.until(() => machine.clock.now() > later);
      expect([status(overlapped), status(receive)]).toEqual([997, 997]);
    });
  });

  it('SO_SNDBUF 0 is kept, and sends complete all the same', () => {
    connected(({ machine, a, b, client, server }) => {
      expect(a.setOption(client, spi.SO_SNDBUF, 0)).toBe(0);
      expect(a.option(client, spi.SO_SNDBUF)).toBe(0);
      const overlapped = spi.createOverlapped(machine.upcalls.event());
      const bytes = new Uint8Array(40_000).fill(5);
      postSend(a, client, bytes, overlapped);
      const received = new Uint8Array(40_000);
      expect(b.recv(server, received, spi.MSG_WAITALL)).toBe(40_000);
      expect(received).toEqual(bytes);
      ended(machine, overlapped);
      expect(overlapped.InternalHigh).toBe(40_000);
    });
  });
});

/** A peer at the level of the kernel, whose incoming packets can be dropped. */
function silencedPeer(host: Host): { s: number; silence: () => void; close: () => void } {
  const listener = native.socketCreate(2, 1, 0);
  const name = spi.sockaddrIn('127.0.0.1', 0);
  native.socketBind(listener, name, 16);
  native.socketName(listener, name);
  native.socketListen(listener, 1);
  const s = host.socket();
  expect(host.connect(s, name)).toBe(0);
  const peer = native.socketAccept(listener, new Uint8Array(16));
  expect(peer).toBeGreaterThan(0);
  // struct sock_fprog with the one instruction "return 0": every packet is cut to nothing.
  const drop = new BigUint64Array([6n]);
  const program = new Uint8Array(16);
  const view = new DataView(program.buffer);
  view.setUint16(0, 1, true);
  view.setBigUint64(8, BigInt(native.addressOf(drop.buffer)), true);
  return {
    s,
    silence: () => {
      const [SOL_SOCKET, SO_ATTACH_FILTER] = [1, 26];
      expect(native.socketSetOption(peer, SOL_SOCKET, SO_ATTACH_FILTER, program, 16)).toBe(0);
      expect(drop[0]).toBe(6n);
    },
    close: () => {
      native.closeDescriptor(peer);
      native.closeDescriptor(listener);
    },
  };
}

describe('a peer that fell silent', () => {
  it('keep-alive finds the connection dead: WSAENETRESET, for what is pending and for later sends [W4.20 W5.8 W8.1.14]', () => {
    onMachine((machine) => {
      const a = machine.host(A);
      const peer = silencedPeer(a);
      const values = new Uint8Array(12);
      const view = new DataView(values.buffer);
      [1, 1000, 1000].forEach((value, index) => view.setUint32(4 * index, value, true));
      const { lpWSPIoctl } = a.wsp;
      const code = spi.SIO_KEEPALIVE_VALS;
      const ioctl = (length: number): number =>
        lpWSPIoctl(peer.s, code, values, length, null, 0, spi.ref(0), null, null, null, lpErrno);
      failsWith(spi.WSAEFAULT, ioctl(11));
      expect(ioctl(12)).toBe(0);
      const told = [spi.TCP_KEEPIDLE, spi.TCP_KEEPINTVL].map((option) =>
        a.option(peer.s, option, spi.IPPROTO_TCP),
      );
      expect([...told, a.option(peer.s, spi.SO_KEEPALIVE)]).toEqual([1, 1, 1]);
      expect(a.setOption(peer.s, spi.TCP_KEEPCNT, 1, spi.IPPROTO_TCP)).toBe(0);
      peer.silence();
      const overlapped = pending(a, peer.s, null, machine.upcalls.event());
      ended(machine, overlapped);
      failsWith(spi.WSAENETRESET, overlappedResult(a, peer.s, overlapped));
      failsWith(spi.WSAENETRESET, a.send(peer.s, Buffer.from('x')));
      failsWith(spi.WSAENETRESET, sendTo(a, peer.s, 'x', spi.sockaddrIn(B, 1)));
      peer.close();
    });
  });

  it('data that is never acknowledged ends the connection with WSAECONNABORTED [W4.20 W5.8]', () => {
    onMachine((machine) => {
      const a = machine.host(A);
      const peer = silencedPeer(a);
      const [IPPROTO_TCP, TCP_USER_TIMEOUT] = [6, 18];
      const limit = Uint8Array.of(100, 0, 0, 0);
      onEveryDescriptor((fd) =>
        native.socketSetOption(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, limit, 4),
      );
      peer.silence();
      expect(a.send(peer.s, Buffer.from('into the void'))).toBe(13);
      const overlapped = pending(a, peer.s, null, machine.upcalls.event());
      ended(machine, overlapped);
      expect(status(overlapped)).toBe(spi.WSAECONNABORTED);
      failsWith(spi.WSAECONNABORTED, a.send(peer.s, Buffer.from('x')));
      failsWith(spi.WSAECONNABORTED, sendTo(a, peer.s, 'x', spi.sockaddrIn(B, 1)));
      peer.close();
    });
  });
});

it('an unbound message socket owes nothing and closes [W12.1]', () => {
  onMachine((machine) => {
    const a = machine.host(A);
    const s = messageSocket(a);
    expect(a.wsp.lpWSPCloseSocket(s, lpErrno)).toBe(0);
  });
});
