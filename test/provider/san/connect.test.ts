// Connecting, listening and accepting, and what each failure is called.

import { expect, it } from 'vitest';
import type { ConnectFailure } from '../../../provider/nic/verbs.js';
import * as spi from '../../../provider/spi/index.js';
import { FakeFabric } from './fake-nic.js';
import {
  connectedPair,
  LEFT_IP,
  LEFT_PORT,
  LISTEN_PORT,
  RIGHT_IP,
  settle,
  shutDown,
  TestHost,
  underEveryProfile,
} from './harness.js';

interface Hosts {
  readonly left: TestHost;
  readonly right: TestHost;
  /** Bound on the left, with FD_CONNECT selected. */
  readonly s: number;
}

function twoHosts(profile: spi.Profile): Hosts {
  const fabric = new FakeFabric();
  const left = new TestHost(fabric, LEFT_IP, { profile });
  const right = new TestHost(fabric, RIGHT_IP, { profile });
  const s = left.bound(LEFT_PORT);
  left.procs.lpWSPEventSelect(s, 4, spi.FD_CONNECT, left.errno);
  return { left, right, s };
}

/** Connects a further socket of the left host, from a port of its own. */
function knock(left: TestHost, port: number): number {
  const s = left.bound(port);
  left.procs.lpWSPEventSelect(s, 4, spi.FD_CONNECT, left.errno);
  left.connect(s, RIGHT_IP, LISTEN_PORT);
  return s;
}

underEveryProfile('WSPConnect', (profile) => {
  it('goes on in the background and ends with FD_CONNECT [CONNECT-01 CONNECT-02 CONNECT-03]', () => {
    const { left, right, s } = twoHosts(profile);
    const listener = right.listening(LISTEN_PORT);
    expect(left.connect(s, RIGHT_IP, LISTEN_PORT)).toBe(spi.SOCKET_ERROR);
    expect(left.errno.value).toBe(spi.WSAEWOULDBLOCK);
    settle(left, right);
    expect(left.connectOutcome(s)).toBeNull();
    right.accept(listener);
    settle(left, right);
    expect(left.upcalls.signalled.has(4)).toBe(true);
    expect(left.connectOutcome(s)).toBe(0);
    shutDown(left, right);
  });

  it.each([
    ['no-listener', spi.WSAECONNRESET],
    ['rejected', spi.WSAECONNREFUSED],
    ['unreachable', spi.WSAETIMEDOUT],
    ['timeout', spi.WSAETIMEDOUT],
  ] as const)(
    'reports %s as what it promises about TCP/IP [CONNECT-04 CONNECT-05]',
    (why, error) => {
      const { left, right, s } = twoHosts(profile);
      left.nic.connectFailure = why satisfies ConnectFailure;
      left.connect(s, RIGHT_IP, LISTEN_PORT);
      settle(left, right);
      expect(left.connectOutcome(s)).toBe(error);
      shutDown(left, right);
    },
  );

  it('to its own NIC is left to TCP/IP [CONNECT-12]', () => {
    const { left, right, s } = twoHosts(profile);
    expect(left.connect(s, LEFT_IP, 9)).toBe(spi.SOCKET_ERROR);
    expect(left.errno.value).toBe(spi.WSAEADDRNOTAVAIL);
    shutDown(left, right);
  });

  it('is refused in every state but bound [CONNECT-09 CONNECT-10 CONNECT-12]', () => {
    const { left, right, s } = twoHosts(profile);
    const listener = right.listening(LISTEN_PORT);
    const errorOf = (host: TestHost, socket: number): number => {
      host.connect(socket, RIGHT_IP, LISTEN_PORT);
      return host.errno.value;
    };
    expect(errorOf(left, left.socket())).toBe(spi.WSAEINVAL);
    expect(errorOf(left, s)).toBe(spi.WSAEWOULDBLOCK);
    expect(errorOf(left, s)).toBe(spi.WSAEALREADY);
    expect(errorOf(left, left.listening(9))).toBe(spi.WSAEINVAL);
    settle(left, right);
    right.accept(listener);
    settle(left, right);
    expect(errorOf(left, s)).toBe(spi.WSAEISCONN);
    shutDown(left, right);
  });

  it('refuses bad addresses, caller data, and a second connection of the same name [CONNECT-10 CONNECT-11 CONNECT-12]', () => {
    const { left, right, s } = twoHosts(profile);
    const { procs, errno } = left;
    const name = spi.sockaddrIn(RIGHT_IP, 9);
    const data = { len: 1, buf: new Uint8Array(1) };
    const six = spi.sockaddrIn6('::1', 9);
    const attempt = (to: Uint8Array | null, length: number, callerData: spi.WSABUF | null) => {
      procs.lpWSPConnect(s, to, length, callerData, null, null, null, errno);
      return errno.value;
    };
    expect(attempt(null, 16, null)).toBe(spi.WSAEFAULT);
    expect(attempt(name, 15, null)).toBe(spi.WSAEFAULT);
    expect(attempt(six, 28, null)).toBe(spi.WSAEAFNOSUPPORT);
    expect(attempt(name, 16, data)).toBe(spi.WSAEINVAL);
    right.listening(9);
    expect(attempt(name, 16, null)).toBe(spi.WSAEWOULDBLOCK);
    const twin = left.bound(LEFT_PORT);
    left.connect(twin, RIGHT_IP, 9);
    expect(errno.value).toBe(spi.WSAEADDRINUSE);
    shutDown(left, right);
  });

  it('without a queue pair is WSAENOBUFS', () => {
    const { left, right, s } = twoHosts(profile);
    left.nic.queuePairsLeft = 0;
    left.connect(s, RIGHT_IP, LISTEN_PORT);
    expect(left.errno.value).toBe(spi.WSAENOBUFS);
    shutDown(left, right);
  });
});

underEveryProfile('WSPListen', (profile) => {
  it('wants a bound socket that is not connected [LISTEN-01 LISTEN-02]', () => {
    const { left, right, a } = connectedPair({ profile });
    const listen = (s: number): number => {
      left.procs.lpWSPListen(s, 1, left.errno);
      return left.errno.value;
    };
    expect(listen(left.socket())).toBe(spi.WSAEINVAL);
    expect(listen(a)).toBe(spi.WSAEISCONN);
    shutDown(left, right);
  });

  it('on a port of the NIC that is listened on is WSAENOBUFS, whatever its address: a port in use is for TCP/IP to report [LISTEN-02]', () => {
    const host = new TestHost(new FakeFabric(), LEFT_IP, { profile });
    const first = host.listening(9);
    for (const address of [LEFT_IP, '0.0.0.0']) {
      const second = host.bound(9, address);
      expect(host.procs.lpWSPListen(second, 5, host.errno)).toBe(spi.SOCKET_ERROR);
      expect(host.errno.value).toBe(spi.WSAENOBUFS);
      host.close(second);
    }
    host.close(first);
    host.close(host.listening(9));
    shutDown(host);
  });

  it('refuses what comes over the backlog, without an event [LISTEN-03 LISTEN-04 CONNECT-06 LSN-04]', () => {
    const { left, right } = twoHosts(profile);
    const listener = right.listening(LISTEN_PORT, 1);
    knock(left, 1);
    settle(left, right);
    right.procs.lpWSPEventSelect(listener, 8, spi.FD_ACCEPT, right.errno);
    right.upcalls.calls.length = 0;
    const late = knock(left, 2);
    settle(left, right);
    expect(right.upcalls.calls).toEqual([]);
    expect(left.connectOutcome(late)).toBe(spi.WSAECONNREFUSED);
    shutDown(left, right);
  });

  it('takes SOMAXCONN for as many as it finds reasonable, and nothing or less for one [LISTEN-03 LISTEN-04]', () => {
    const { left, right } = twoHosts(profile);
    for (const [port, backlog, most] of [
      [7001, 0, 1],
      [7002, -1, 1],
      [7003, spi.SOMAXCONN, 256],
    ] as const) {
      right.listening(port, backlog);
      const before = right.nic.requestIds.length;
      for (let count = 0; count < most + 2; count++) {
        left.connect(left.bound(10_000 + count), RIGHT_IP, port);
      }
      settle(left, right);
      expect(right.nic.requestIds.length - before).toBe(most);
    }
    shutDown(left, right);
  });

  it('again changes the backlog and drops from the tail [LISTEN-05]', () => {
    const { left, right } = twoHosts(profile);
    const listener = right.listening(LISTEN_PORT, spi.SOMAXCONN);
    const sockets = [1, 2, 3].map((port) => knock(left, port));
    settle(left, right);
    expect(right.procs.lpWSPListen(listener, 1, right.errno)).toBe(0);
    settle(left, right);
    const outcomes = sockets.map((s) => left.connectOutcome(s));
    expect(outcomes).toEqual([null, spi.WSAECONNREFUSED, spi.WSAECONNREFUSED]);
    shutDown(left, right);
  });

  it('ends with the socket: whoever waits is refused', () => {
    const { left, right, s } = twoHosts(profile);
    const listener = right.listening(LISTEN_PORT);
    left.connect(s, RIGHT_IP, LISTEN_PORT);
    settle(left, right);
    right.close(listener);
    settle(left, right);
    expect(left.connectOutcome(s)).toBe(spi.WSAECONNREFUSED);
    const later = knock(left, 2);
    settle(left, right);
    expect(left.connectOutcome(later)).toBe(spi.WSAECONNRESET);
    shutDown(left, right);
  });
});

underEveryProfile('WSPAccept', (profile) => {
  /** A listener with one request in its queue. */
  function requested(): Hosts & { listener: number } {
    const hosts = twoHosts(profile);
    const listener = hosts.right.listening(LISTEN_PORT);
    hosts.left.connect(hosts.s, RIGHT_IP, LISTEN_PORT);
    settle(hosts.left, hosts.right);
    return { ...hosts, listener };
  }

  it('asks the condition function first, on this thread, with both addresses [ACCEPT-02 ACCEPT-03 ACCEPT-10]', () => {
    const { left, right, listener } = requested();
    const asked: unknown[] = [];
    const condition: spi.LPCONDITIONPROC = (caller, d1, q1, q2, callee, d2, g, data) => {
      const ids = [caller, callee].map(({ buf }) => spi.parseSockaddr(buf ?? new Uint8Array()));
      asked.push(ids, [d1, q1, q2, d2, g, data], right.nic.requestIds.length);
      return spi.CF_ACCEPT;
    };
    const before = right.upcalls.calls.length;
    const b = right.procs.lpWSPAccept(listener, null, null, condition, 'mine', right.errno);
    expect(b).not.toBe(spi.INVALID_SOCKET);
    expect(asked).toMatchObject([
      [
        { ip: LEFT_IP, port: LEFT_PORT },
        { ip: RIGHT_IP, port: LISTEN_PORT },
      ],
      [null, null, null, null, null, 'mine'],
      1,
    ]);
    expect(right.upcalls.calls.slice(before)).toMatchObject([{ name: 'create' }]);
    shutDown(left, right);
  });

  it("gives the peer's IP address on success, and only then [ACCEPT-01 ACCEPT-04 ACCEPT-10]", () => {
    const { left, right, listener } = requested();
    const addr = new Uint8Array(20);
    const length = spi.ref(20);
    const accept = (answer: number): number =>
      right.procs.lpWSPAccept(listener, addr, length, () => answer, null, right.errno);
    accept(spi.CF_DEFER);
    expect(addr.every((byte) => byte === 0)).toBe(true);
    expect(accept(spi.CF_ACCEPT)).not.toBe(spi.INVALID_SOCKET);
    expect(length.value).toBe(16);
    expect(spi.parseSockaddr(addr)).toMatchObject({ ip: LEFT_IP, port: LEFT_PORT });
    shutDown(left, right);
  });

  it('CF_REJECT and nonsense refuse the peer [ACCEPT-05 ACCEPT-10 ACC-04 CONNECT-06]', () => {
    for (const answer of [spi.CF_REJECT, 77]) {
      const { left, right, s, listener } = requested();
      expect(right.accept(listener, answer)).toBe(spi.INVALID_SOCKET);
      expect(right.errno.value).toBe(spi.WSAECONNREFUSED);
      settle(left, right);
      expect(left.connectOutcome(s)).toBe(spi.WSAECONNREFUSED);
      shutDown(left, right);
    }
  });

  it('CF_DEFER puts the request back at the head [ACCEPT-08 ACCEPT-10]', () => {
    const { left, right, listener } = requested();
    knock(left, 2);
    settle(left, right);
    expect(right.accept(listener, spi.CF_DEFER)).toBe(spi.INVALID_SOCKET);
    expect(right.errno.value).toBe(spi.WSATRY_AGAIN);
    const addr = new Uint8Array(16);
    right.procs.lpWSPAccept(listener, addr, spi.ref(16), null, null, right.errno);
    expect(spi.sockaddrPort(addr)).toBe(LEFT_PORT);
    shutDown(left, right);
  });

  it('with nothing queued, too little room, or no listener says so [ACCEPT-07 ACCEPT-08]', () => {
    const { left, right, listener } = requested();
    const addr = new Uint8Array(16);
    right.procs.lpWSPAccept(listener, addr, spi.ref(15), null, null, right.errno);
    expect(right.errno.value).toBe(spi.WSAEFAULT);
    right.accept(right.bound(7));
    expect(right.errno.value).toBe(spi.WSAEINVAL);
    right.accept(listener);
    expect(right.accept(listener)).toBe(spi.INVALID_SOCKET);
    expect(right.errno.value).toBe(spi.WSAEWOULDBLOCK);
    shutDown(left, right);
  });

  it('refuses the peer when there is no queue pair or no handle left [ACCEPT-08]', () => {
    for (const starve of [
      (host: TestHost) => (host.nic.queuePairsLeft = 0),
      (host: TestHost) => (host.upcalls.handlesLeft = 0),
    ]) {
      const { left, right, s, listener } = requested();
      starve(right);
      expect(right.accept(listener)).toBe(spi.INVALID_SOCKET);
      expect(right.errno.value).toBe(spi.WSAENOBUFS);
      settle(left, right);
      expect(left.connectOutcome(s)).toBe(spi.WSAECONNREFUSED);
      shutDown(left, right);
    }
  });

  it('forgets a request that was withdrawn [ACCEPT-08]', () => {
    const { left, right, listener } = requested();
    right.nic.withdraw(right.nic.requestIds[0] ?? 0);
    settle(left, right);
    right.accept(listener);
    expect(right.errno.value).toBe(spi.WSAEWOULDBLOCK);
    shutDown(left, right);
  });

  it('survives a condition function that closes the listener', () => {
    const { left, right, s, listener } = requested();
    const condition = (): number => {
      right.close(listener);
      return spi.CF_ACCEPT;
    };
    const accepted = right.procs.lpWSPAccept(listener, null, null, condition, null, right.errno);
    expect([accepted, right.errno.value]).toEqual([spi.INVALID_SOCKET, spi.WSAENOTSOCK]);
    settle(left, right);
    expect(left.connectOutcome(s)).toBe(spi.WSAECONNREFUSED);
    shutDown(left, right);
  });

  it('resets the event, and sets it again while requests wait [ACCEPT-06 ACCEPT-10]', () => {
    const { left, right, listener } = requested();
    right.procs.lpWSPEventSelect(listener, 8, spi.FD_ACCEPT, right.errno);
    knock(left, 2);
    settle(left, right);
    right.upcalls.calls.length = 0;
    right.accept(listener);
    expect(right.upcalls.names()).toEqual(['reset', 'create', 'set']);
    right.accept(listener);
    expect(right.upcalls.signalled.has(8)).toBe(false);
    shutDown(left, right);
  });

  it('hands the properties of the listener on [ACCEPT-09]', () => {
    const { left, right, listener } = requested();
    const on = new Uint8Array([1, 0, 0, 0]);
    right.procs.lpWSPSetSockOpt(listener, spi.SOL_SOCKET, spi.SO_DEBUG, on, 4, right.errno);
    const b = right.accept(listener);
    const value = new Uint8Array(4);
    right.procs.lpWSPGetSockOpt(b, spi.SOL_SOCKET, spi.SO_DEBUG, value, spi.ref(4), right.errno);
    expect(value[0]).toBe(1);
    shutDown(left, right);
  });
});
