// Creating, binding, naming and closing: arguments, addresses, port ownership, cancellation, linger.

import { describe, expect, it } from 'vitest';
import * as spi from '../../../provider/spi/index.js';
import { resolveSocketArguments } from '../../../provider/tcpip/socket.js';
import { failsWith, lpErrno, onMachine } from './fixture.js';
import type { Host } from './fixture.js';

const A = '127.93.1.1';
const B = '127.93.1.2';

const close = (host: Host, s: number): number => host.wsp.lpWSPCloseSocket(s, lpErrno);
const listen = (host: Host, s: number): number => host.wsp.lpWSPListen(s, 5, lpErrno);

describe('WSPSocket', () => {
  it('checks type, then family, then protocol, and infers what is 0 [W3.3]', () => {
    const resolve = (family: number, type: number, protocol: number): unknown =>
      resolveSocketArguments({ family, type, protocol });
    expect(resolve(0xdead, 0xdead, 0)).toBe(spi.WSAESOCKTNOSUPPORT);
    expect(resolve(0xdead, 1, 0xdead)).toBe(spi.WSAEAFNOSUPPORT);
    expect(resolve(2, 1, 0xdead)).toBe(spi.WSAEPROTONOSUPPORT);
    expect(resolve(2, 1, 17)).toBe(spi.WSAEPROTONOSUPPORT);
    expect(resolve(2, 2, 6)).toBe(spi.WSAEPROTONOSUPPORT);
    expect(resolve(0, 1, 0)).toBe(spi.WSAEINVAL);
    expect(resolve(0, 1, 6)).toEqual({ family: 2, type: 1, protocol: 6 });
    expect(resolve(0, 0, 17)).toEqual({ family: 2, type: 2, protocol: 17 });
    expect(resolve(2, 0, 0)).toEqual({ family: 2, type: 1, protocol: 6 });
  });

  it('gives handles that are multiples of 4, not soon used again [W3.6]', () => {
    onMachine((machine) => {
      const host = machine.host(A);
      const first = host.socket();
      expect(close(host, first)).toBe(0);
      const second = host.socket();
      expect([first % 4, second % 4]).toEqual([0, 0]);
      expect(second).not.toBe(first);
      for (const wrong of [first, 0, spi.INVALID_SOCKET]) {
        failsWith(spi.WSAENOTSOCK, host.send(wrong, new Uint8Array(1)));
        failsWith(spi.WSAENOTSOCK, close(host, wrong));
      }
    });
  });
});

describe('WSPBind', () => {
  it("takes the host's address, the wildcard and 127.0.0.1, and no other", () => {
    onMachine((machine) => {
      const host = machine.host(A);
      for (const ip of [A, '0.0.0.0', '127.0.0.1']) {
        const s = host.socket();
        expect(host.bind(s, ip)).toBe(0);
        expect(host.sockName(s)?.ip).toBe(ip);
        expect(host.sockName(s)?.port).toBeGreaterThan(0);
        failsWith(spi.WSAEINVAL, host.bind(s, ip));
      }
      const s = host.socket();
      expect(host.sockName(s)).toBe(null);
      expect(lpErrno.value).toBe(spi.WSAEINVAL);
      failsWith(spi.WSAEADDRNOTAVAIL, host.bind(s, B));
      const { lpWSPBind } = host.wsp;
      failsWith(spi.WSAEFAULT, lpWSPBind(s, spi.sockaddrIn(A, 0), 15, lpErrno));
      failsWith(spi.WSAEFAULT, lpWSPBind(s, null, 16, lpErrno));
      failsWith(spi.WSAEAFNOSUPPORT, lpWSPBind(s, spi.sockaddrIn6('::1', 0), 28, lpErrno));
    });
  });

  it("a living socket owns its port, bound or listening; a neighbour's wildcard does not take it", () => {
    onMachine((machine) => {
      const host = machine.host(A);
      const neighbour = machine.host(B);
      const first = host.socket();
      expect(host.bind(first, '0.0.0.0')).toBe(0);
      const port = host.sockName(first)?.port ?? 0;
      failsWith(spi.WSAEADDRINUSE, host.bind(host.socket(), A, port));
      expect(listen(host, first)).toBe(0);
      failsWith(spi.WSAEADDRINUSE, host.bind(host.socket(), A, port));
      const other = neighbour.socket();
      expect(neighbour.bind(other, '0.0.0.0', port)).toBe(0);
      expect(listen(neighbour, other)).toBe(0);
    });
  });

  it('remnants of closed connections do not keep the port, unless it is wanted exclusively', () => {
    onMachine((machine) => {
      const server = machine.host(A);
      const { s, name } = server.listener();
      const port = spi.sockaddrPort(name);
      const client = machine.host(B);
      const c = client.socket();
      expect(client.connect(c, name)).toBe(0);
      const accepted = server.wsp.lpWSPAccept(s, null, null, null, null, lpErrno);
      // The side that closes first keeps the remnant.
      expect(close(server, accepted)).toBe(0);
      expect(client.recv(c, new Uint8Array(1))).toBe(0);
      expect([close(client, c), close(server, s)]).toEqual([0, 0]);
      const exclusive = server.socket();
      expect(server.setOption(exclusive, spi.SO_EXCLUSIVEADDRUSE, 1)).toBe(0);
      failsWith(spi.WSAEADDRINUSE, server.bind(exclusive, A, port));
      const again = server.socket();
      expect(server.bind(again, A, port)).toBe(0);
      expect(listen(server, again)).toBe(0);
    });
  });
});

describe('names', () => {
  it('a connected socket names both ends, also after shutdown [W12.3]', () => {
    onMachine((machine) => {
      const a = machine.host(A);
      const b = machine.host(B);
      const s = b.socket();
      expect(b.bind(s, '0.0.0.0')).toBe(0);
      expect(listen(b, s)).toBe(0);
      const port = b.sockName(s)?.port ?? 0;
      const client = a.socket();
      expect(a.connect(client, spi.sockaddrIn(B, port))).toBe(0);
      const from = new Uint8Array(16);
      const length = spi.ref(16);
      const server = b.wsp.lpWSPAccept(s, from, length, null, null, lpErrno);
      expect(spi.parseSockaddr(from)?.ip).toBe(A);
      expect(b.sockName(s)?.ip).toBe('0.0.0.0');
      expect(b.sockName(server)).toEqual({ family: 2, ip: B, port });
      expect(a.sockName(client)).toEqual(spi.parseSockaddr(from));
      expect(a.wsp.lpWSPShutdown(client, spi.SD_BOTH, lpErrno)).toBe(0);
      const peer = new Uint8Array(16);
      expect(a.wsp.lpWSPGetPeerName(client, peer, spi.ref(16), lpErrno)).toBe(0);
      expect(spi.parseSockaddr(peer)).toEqual({ family: 2, ip: B, port });
      failsWith(spi.WSAEFAULT, a.wsp.lpWSPGetPeerName(client, peer, spi.ref(15), lpErrno));
      failsWith(spi.WSAENOTCONN, b.wsp.lpWSPGetPeerName(s, peer, spi.ref(16), lpErrno));
    });
  });

  it('IPv6 sockets live on ::1', () => {
    onMachine((machine) => {
      const host = machine.host(A);
      const { lpWSPSocket, lpWSPBind, lpWSPGetSockName } = host.wsp;
      const s = lpWSPSocket(spi.AF_INET6, spi.SOCK_STREAM, 6, null, 0, 1, lpErrno);
      expect(lpWSPBind(s, spi.sockaddrIn6('::', 0), 28, lpErrno)).toBe(0);
      expect(listen(host, s)).toBe(0);
      const name = new Uint8Array(28);
      expect(lpWSPGetSockName(s, name, spi.ref(28), lpErrno)).toBe(0);
      const bound = spi.parseSockaddr(name);
      expect(bound?.ip).toBe('::');
      const client = lpWSPSocket(spi.AF_INET6, spi.SOCK_STREAM, 6, null, 0, 1, lpErrno);
      const target = spi.sockaddrIn6('::1', bound?.port ?? 0);
      expect(host.connect(client, target)).toBe(0);
      const from = new Uint8Array(28);
      const accepted = host.wsp.lpWSPAccept(s, from, spi.ref(28), null, null, lpErrno);
      expect(accepted).not.toBe(spi.INVALID_SOCKET);
      expect(spi.parseSockaddr(from)?.family).toBe(spi.AF_INET6);
    });
  });
});

describe('WSPCloseSocket', () => {
  it('ends pending operations with 995, or with 10053 in profile windows, and signals them [W9.10.1]', () => {
    for (const [profile, error] of [
      ['documented', spi.WSA_OPERATION_ABORTED],
      ['windows', spi.WSAECONNABORTED],
    ] as const) {
      onMachine((machine) => {
        const a = machine.host(A, profile);
        const { client } = machine.pair(a, machine.host(B));
        const overlapped = spi.createOverlapped(machine.upcalls.event());
        const buffers = [{ len: 1, buf: new Uint8Array(1) }];
        const { lpWSPRecv } = a.wsp;
        failsWith(
          spi.WSA_IO_PENDING,
          lpWSPRecv(client, buffers, 1, null, spi.ref(0), overlapped, null, null, lpErrno),
        );
        expect(close(a, client)).toBe(0);
        expect(machine.isSignalled(overlapped.hEvent)).toBe(true);
        expect(spi.wsaErrorOfStatus(overlapped.Internal)).toBe(error);
        failsWith(spi.WSAENOTSOCK, close(a, client));
      });
    }
  });

  it('ends a blocking receive with WSAEINTR', () => {
    onMachine((machine) => {
      const a = machine.host(A);
      const { client } = machine.pair(a, machine.host(B));
      const closer = {
        role: 'closer',
        doWork: () => {
          machine.loop.remove(closer);
          return close(a, client) + 1;
        },
      };
      machine.loop.add(closer);
      failsWith(spi.WSAEINTR, a.recv(client, new Uint8Array(1)));
    });
  });

  it('is graceful although data was not read: the peer gets its data and the end [W12.4 W15.6]', () => {
    onMachine((machine) => {
      const a = machine.host(A);
      const b = machine.host(B);
      const { client, server } = machine.pair(a, b);
      expect(b.send(server, Buffer.alloc(200_000))).toBe(200_000);
      expect(a.send(client, Buffer.from('last'))).toBe(4);
      expect(close(a, client)).toBe(0);
      expect(b.recv(server, new Uint8Array(8))).toBe(4);
      expect(b.recv(server, new Uint8Array(8))).toBe(0);
    });
  });

  it('with a linger time: WSAEWOULDBLOCK while data is unsent and the socket may not block [W12.5]', () => {
    onMachine((machine) => {
      const a = machine.host(A);
      const b = machine.host(B);
      const { client, server } = machine.pair(a, b);
      a.nonblocking(client);
      expect(a.send(client, new Uint8Array(24 << 20))).toBeGreaterThan(0);
      const linger = Uint8Array.of(1, 0, 20, 0);
      const { lpWSPSetSockOpt } = a.wsp;
      expect(lpWSPSetSockOpt(client, spi.SOL_SOCKET, spi.SO_LINGER, linger, 4, lpErrno)).toBe(0);
      failsWith(spi.WSAEWOULDBLOCK, close(a, client));
      b.nonblocking(server);
      const room = new Uint8Array(1 << 20);
      machine.until(() => {
        b.recv(server, room);
        return close(a, client) === 0;
      });
    });
  });

  it('with a linger time a blocking close waits until the data is out, hard when it does not get out [W12.5]', () => {
    onMachine((machine) => {
      const a = machine.host(A);
      const b = machine.host(B);
      const { client, server } = machine.pair(a, b);
      a.nonblocking(client);
      expect(a.send(client, new Uint8Array(24 << 20))).toBeGreaterThan(0);
      const off = new Uint8Array(4);
      const { lpWSPSetSockOpt, lpWSPIoctl } = a.wsp;
      lpWSPIoctl(client, spi.FIONBIO, off, 4, null, 0, spi.ref(0), null, null, null, lpErrno);
      const linger = Uint8Array.of(1, 0, 1, 0);
      expect(lpWSPSetSockOpt(client, spi.SOL_SOCKET, spi.SO_LINGER, linger, 4, lpErrno)).toBe(0);
      expect(close(a, client)).toBe(0);
      const room = new Uint8Array(1 << 20);
      let last = 1;
      while (last > 0) last = b.recv(server, room);
      failsWith(spi.WSAECONNRESET, last);
    });
  });
});
