// Listening and accepting on both kinds of provider.

import { describe, expect, it } from 'vitest';
import * as spi from '../../provider/spi/index.js';
import { A, B, connectPair, listenOn, name, PORT, World } from './fakes/world.js';

const client = (world: World): number =>
  world.a.winsock.socket(spi.AF_INET, spi.SOCK_STREAM, spi.IPPROTO_TCP);

describe('listen', () => {
  it.each([B, '0.0.0.0'])(
    'on %s listens on TCP/IP first, then on the SAN [LSN-01 LSN-02 COMP-08 W14.4c]',
    (address) => {
      const world = new World();
      world.b.san.log.length = 0;
      listenOn(world.b, address);
      expect(world.b.tcp.log.at(-1)).toBe('WSPListen');
      const steps = world.b.san.log.map((line) => line.replace(/\(2.*/, ''));
      expect(steps).toEqual([
        'WSPSocket',
        `WSPBind(${address}:${PORT})`,
        'WSPListen',
        `WSPEventSelect(${spi.FD_ACCEPT})`,
      ]);
      world.close();
    },
  );

  it('on an address of no SAN stays with TCP/IP, and goes on without a SAN that cannot [LSN-02 COMP-11]', () => {
    const world = new World({ b: { fail: { WSPListen: spi.WSAENOBUFS } } });
    world.b.san.log.length = 0;
    listenOn(world.b, '127.0.0.1');
    expect(world.b.san.log).toEqual([]);
    listenOn(world.b, B, PORT + 1);
    expect(world.b.san.log.at(-1)).toBe('WSPCloseSocket');
    expect(world.b.san.sockets.size).toBe(0);
    world.close();
  });

  it('needs a bound, unconnected stream socket [LISTEN-02]', () => {
    const world = new World();
    const { winsock } = world.a;
    const s = client(world);
    expect(winsock.listen(s, 1)).toBe(-1);
    expect(winsock.WSAGetLastError()).toBe(spi.WSAEINVAL);
    const pair = connectPair(world);
    expect(winsock.listen(pair.client, 1)).toBe(-1);
    expect(winsock.WSAGetLastError()).toBe(spi.WSAEISCONN);
    world.close();
  });
});

describe('accept', () => {
  it('takes whichever side has an arrival, with a descriptor of TCP/IP and the address of the peer [ACC-01 ACC-02 ACC-03 COMP-01 ACCEPT-01]', () => {
    const world = new World();
    const listener = listenOn(world.b, '0.0.0.0');
    const overSan = client(world);
    expect(world.a.winsock.connect(overSan, name(B), 16)).toBe(0);
    Object.defineProperty(world.a.san.options, 'fail', { value: { WSPConnect: spi.WSAETIMEDOUT } });
    const overTcp = client(world);
    expect(world.a.winsock.connect(overTcp, name(B), 16)).toBe(0);
    const ports = [];
    for (let count = 0; count < 2; count++) {
      const peer = new Uint8Array(16);
      const length = spi.ref(16);
      const s = world.b.winsock.accept(listener, peer, length);
      expect(world.b.tcp.sockets.has(s)).toBe(true);
      expect(length.value).toBe(16);
      expect(spi.parseSockaddr(peer)).toMatchObject({ ip: A });
      ports.push(spi.sockaddrPort(peer));
    }
    expect(ports).toEqual([50_000, 50_001]);
    expect(world.b.theSwitch.core.connections.size).toBe(1);
    world.close();
  });

  it('blocks until somebody has arrived, and does not when nonblocking [BLK-02 W10.1 ACCEPT-08]', () => {
    const world = new World();
    const listener = listenOn(world.b, '0.0.0.0');
    const { winsock } = world.b;
    winsock.ioctlsocket(listener, spi.FIONBIO, spi.ref(1));
    expect(winsock.accept(listener, null, null)).toBe(spi.INVALID_SOCKET);
    expect(winsock.WSAGetLastError()).toBe(spi.WSAEWOULDBLOCK);
    winsock.ioctlsocket(listener, spi.FIONBIO, spi.ref(0));
    const s = client(world);
    world.a.winsock.ioctlsocket(s, spi.FIONBIO, spi.ref(1));
    world.a.winsock.connect(s, name(B), 16);
    expect(winsock.accept(listener, null, null)).not.toBe(spi.INVALID_SOCKET);
    world.close();
  });

  it('signals FD_ACCEPT for SAN arrivals, and again after accept while more wait [LSN-03 W10.3 W10.4]', () => {
    const world = new World();
    const listener = listenOn(world.b, '0.0.0.0');
    const { winsock } = world.b;
    const event = winsock.WSACreateEvent();
    winsock.WSAEventSelect(listener, event, spi.FD_ACCEPT);
    for (let count = 0; count < 2; count++) {
      expect(world.a.winsock.connect(client(world), name(B), 16)).toBe(0);
    }
    const seen = spi.createNetworkEvents();
    for (const expected of [spi.FD_ACCEPT, spi.FD_ACCEPT, 0]) {
      winsock.WSAEnumNetworkEvents(listener, event, seen);
      expect(seen.lNetworkEvents).toBe(expected);
      winsock.accept(listener, null, null);
    }
    world.close();
  });

  it('rejects over the backlog, and the peer sees WSAECONNREFUSED [LSN-04 CONNECT-06 ACCEPT-05 W14.4a]', () => {
    const world = new World();
    const { winsock } = world.b;
    const listener = winsock.socket(spi.AF_INET, spi.SOCK_STREAM, 0);
    winsock.bind(listener, name(B), 16);
    winsock.listen(listener, 1);
    expect(world.a.winsock.connect(client(world), name(B), 16)).toBe(0);
    expect(world.a.winsock.connect(client(world), name(B), 16)).toBe(-1);
    expect(world.a.winsock.WSAGetLastError()).toBe(spi.WSAECONNREFUSED);
    expect(winsock.accept(listener, null, null)).not.toBe(spi.INVALID_SOCKET);
    expect(world.a.winsock.connect(client(world), name(B), 16)).toBe(0);
    world.close();
  });

  it("gives the application's refusal to the peer when SO_CONDITIONAL_ACCEPT is set [ACC-04 ACCEPT-02 ACCEPT-03]", () => {
    const world = new World();
    const { winsock } = world.b;
    const listener = winsock.socket(spi.AF_INET, spi.SOCK_STREAM, 0);
    winsock.bind(listener, name(B), 16);
    winsock.setsockopt(
      listener,
      spi.SOL_SOCKET,
      spi.SO_CONDITIONAL_ACCEPT,
      Uint8Array.of(1, 0, 0, 0),
      4,
    );
    winsock.listen(listener, 5);
    const s = client(world);
    world.a.winsock.ioctlsocket(s, spi.FIONBIO, spi.ref(1));
    world.a.winsock.connect(s, name(B), 16);
    world.settle();
    const callers: (string | undefined)[] = [];
    const refused = winsock.WSAAccept(
      listener,
      null,
      null,
      (caller, _data, _sqos, _gqos, _callee, _calleeData, _group, context) => {
        callers.push(spi.parseSockaddr(caller.buf ?? new Uint8Array(0))?.ip);
        return context as number;
      },
      spi.CF_REJECT,
    );
    expect(refused).toBe(spi.INVALID_SOCKET);
    expect(callers).toEqual([A]);
    world.settle();
    const error = new Uint8Array(4);
    world.a.winsock.getsockopt(s, spi.SOL_SOCKET, spi.SO_ERROR, error, spi.ref(4));
    expect(error[0]).toBe(spi.WSAECONNREFUSED & 255);
    world.close();
  });

  it('of a condition function without that option resets the connection that is there [ACC-04]', () => {
    const world = new World();
    const listener = listenOn(world.b, B);
    const s = client(world);
    expect(world.a.winsock.connect(s, name(B), 16)).toBe(0);
    expect(world.b.winsock.WSAAccept(listener, null, null, () => spi.CF_DEFER, 0)).toBe(
      spi.INVALID_SOCKET,
    );
    expect(world.b.winsock.WSAGetLastError()).toBe(spi.WSATRY_AGAIN);
    expect(world.b.winsock.WSAAccept(listener, null, null, () => spi.CF_REJECT, 0)).toBe(
      spi.INVALID_SOCKET,
    );
    expect(world.b.winsock.WSAGetLastError()).toBe(spi.WSAECONNREFUSED);
    expect(world.a.winsock.recv(s, new Uint8Array(1), 1, 0)).toBe(-1);
    expect(world.a.winsock.WSAGetLastError()).toBe(spi.WSAECONNRESET);
    world.close();
  });

  it('still gets a connection whose peer has gone, with what it had sent, and then its end [ACC-03 W8.1.2]', () => {
    const world = new World();
    const listener = listenOn(world.b, B);
    const s = client(world);
    expect(world.a.winsock.connect(s, name(B), 16)).toBe(0);
    expect(world.a.winsock.send(s, new Uint8Array(20), 20, 0)).toBe(20);
    expect(world.a.winsock.closesocket(s)).toBe(0);
    world.settle();
    const server = world.b.winsock.accept(listener, null, null);
    expect(world.b.winsock.recv(server, new Uint8Array(30), 30, 0)).toBe(20);
    expect(world.b.winsock.recv(server, new Uint8Array(30), 30, 0)).toBe(0);
    world.close();
  });

  it('never sees connections of a listener that was closed: they are reset [ACC-06]', () => {
    const world = new World();
    const listener = listenOn(world.b, B);
    const s = client(world);
    expect(world.a.winsock.connect(s, name(B), 16)).toBe(0);
    expect(world.b.winsock.closesocket(listener)).toBe(0);
    expect(world.a.winsock.recv(s, new Uint8Array(1), 1, 0)).toBe(-1);
    expect(world.a.winsock.WSAGetLastError()).toBe(spi.WSAECONNRESET);
    expect(world.b.san.sockets.size).toBe(0);
    world.close();
  });
});

describe('WSAAccept with a condition function', () => {
  it.each([false, true])(
    'gives it both addresses and its data, once for each connection (SO_CONDITIONAL_ACCEPT: %s) [ACC-03 ACC-04 ACCEPT-02 ACCEPT-03]',
    (conditional) => {
      const world = new World();
      const { winsock } = world.b;
      const listener = winsock.socket(spi.AF_INET, spi.SOCK_STREAM, 0);
      const value = Uint8Array.of(conditional ? 1 : 0, 0, 0, 0);
      winsock.setsockopt(listener, spi.SOL_SOCKET, spi.SO_CONDITIONAL_ACCEPT, value, 4);
      winsock.bind(listener, name('0.0.0.0'), 16);
      winsock.listen(listener, 5);
      const s = client(world);
      world.a.winsock.ioctlsocket(s, spi.FIONBIO, spi.ref(1));
      world.a.winsock.connect(s, name(B), 16);
      const asked: unknown[] = [];
      const data = { about: 'this' };
      const condition: spi.LPCONDITIONPROC = (
        caller,
        callerData,
        _s,
        _g,
        callee,
        _cd,
        _gr,
        given,
      ) => {
        const from = caller.buf === null ? null : spi.parseSockaddr(caller.buf);
        const to = callee.buf === null ? null : spi.parseSockaddr(callee.buf);
        asked.push({ from: from?.ip, to: to?.port, callerData, given });
        return spi.CF_ACCEPT;
      };
      const server = winsock.WSAAccept(listener, null, null, condition, data);
      expect(server).not.toBe(spi.INVALID_SOCKET);
      expect(asked).toEqual([{ from: A, to: PORT, callerData: null, given: data }]);
      world.settle();
      expect(world.a.winsock.send(s, new Uint8Array(3), 3, 0)).toBe(3);
      expect(winsock.recv(server, new Uint8Array(9), 9, 0)).toBe(3);
      world.close();
    },
  );

  it('that throws throws out of WSAAccept, and the request waits on [ACCEPT-02]', () => {
    const world = new World();
    const { winsock } = world.b;
    const listener = winsock.socket(spi.AF_INET, spi.SOCK_STREAM, 0);
    const on = Uint8Array.of(1, 0, 0, 0);
    winsock.setsockopt(listener, spi.SOL_SOCKET, spi.SO_CONDITIONAL_ACCEPT, on, 4);
    winsock.bind(listener, name(B), 16);
    winsock.listen(listener, 5);
    const s = client(world);
    world.a.winsock.ioctlsocket(s, spi.FIONBIO, spi.ref(1));
    world.a.winsock.connect(s, name(B), 16);
    world.settle();
    const condition = (): number => {
      throw new Error('undecided');
    };
    expect(() => winsock.WSAAccept(listener, null, null, condition, null)).toThrow('undecided');
    expect(world.b.messages.filter((line) => line.includes('thrown'))).toEqual([]);
    expect(winsock.accept(listener, null, null)).not.toBe(spi.INVALID_SOCKET);
    world.close();
  });
});
