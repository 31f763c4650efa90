// Which way a connection goes: TCP/IP where the SAN does not reach or cannot, the SAN's own word where
// that is final, and the kernel's word on ports.

import { once } from 'node:events';
import type { AddressInfo, Server } from 'node:net';
import { createConnection, createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { tcpipProvider } from '../../index.js';
import type { Hook, Host } from '../../index.js';
import * as spi from '../../provider/spi/index.js';
import * as fixture from './fixture.js';
import { A, B, ENGINES } from './fixture.js';

/** A plain echo server of the kernel's. */
async function plainServer(address: string): Promise<{ server: Server; port: number }> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.pipe(socket);
  });
  server.listen(0, address);
  await once(server, 'listening');
  fixture.atEnd(
    () =>
      new Promise((resolve) => {
        server.close(() => resolve());
      }),
  );
  return { server, port: (server.address() as AddressInfo).port };
}

/** Sends some bytes to a server of this event loop and receives them back. */
async function echo({ winsock }: Host, socket: number, text: string): Promise<string> {
  const bytes = Buffer.from(text);
  await winsock.promises.send(socket, bytes, bytes.length, 0);
  const buffer = Buffer.alloc(bytes.length);
  for (let at = 0; at < buffer.length; ) {
    const rest = buffer.subarray(at);
    at += await winsock.promises.recv(socket, rest, rest.length, 0);
  }
  return buffer.toString();
}

type FailingCall = 'WSPSocket' | 'WSPBind' | 'WSPConnect';

/** From arm() on, one call of the provider fails with `code`; counts how often, and the closes. */
class FailingProvider {
  failures = 0;
  closes = 0;
  #isArmed = false;
  readonly #call: FailingCall;
  readonly #code: number;

  constructor(call: FailingCall, code: number) {
    this.#call = call;
    this.#code = code;
  }

  /** The provider is asked for a socket at the start, too, and that one must be made. */
  arm(): void {
    this.#isArmed = true;
  }

  readonly hook: Hook = (inner) => ({
    name: inner.name,
    providerId: inner.providerId,
    capabilities: inner.capabilities,
    WSPStartupEx: (version, data, info, upcalls, table) => {
      const result = inner.WSPStartupEx(version, data, info, upcalls, table);
      if (result === 0) this.#wrap(table as spi.SanProcTable);
      return result;
    },
  });

  #wrap(table: spi.SanProcTable): void {
    const { lpWSPSocket, lpWSPBind, lpWSPConnect, lpWSPCloseSocket } = table;
    const fails = (call: FailingCall, lpErrno: spi.Ref<number>): boolean => {
      if (!this.#isArmed || call !== this.#call) return false;
      this.failures++;
      lpErrno.value = this.#code;
      return true;
    };
    table.lpWSPSocket = (af, type, protocol, info, g, flags, lpErrno) =>
      fails('WSPSocket', lpErrno)
        ? spi.INVALID_SOCKET
        : lpWSPSocket(af, type, protocol, info, g, flags, lpErrno);
    table.lpWSPBind = (s, name, length, lpErrno) =>
      fails('WSPBind', lpErrno) ? spi.SOCKET_ERROR : lpWSPBind(s, name, length, lpErrno);
    table.lpWSPConnect = (s, name, length, caller, callee, sqos, gqos, lpErrno) =>
      fails('WSPConnect', lpErrno)
        ? spi.SOCKET_ERROR
        : lpWSPConnect(s, name, length, caller, callee, sqos, gqos, lpErrno);
    table.lpWSPCloseSocket = (s, lpErrno) => {
      if (this.#isArmed) this.closes++;
      return lpWSPCloseSocket(s, lpErrno);
    };
  }
}

/** A with the failing provider, B as ever and listening; the provider is armed. */
async function withFailing(
  call: FailingCall,
  code: number,
): Promise<{ a: Host; b: Host; failing: FailingProvider; listener: number; port: number }> {
  const fabric = fixture.newFabric();
  const failing = new FailingProvider(call, code);
  const a = await fixture.open({
    fabric,
    address: A,
    engine: 'inline',
    hooks: [failing.hook],
  });
  const b = await fixture.open({ fabric, address: B, engine: 'inline' });
  failing.arm();
  return { a, b, failing, ...fixture.listen(b) };
}

/** The connection of A to the listener of B, and proof that TCP/IP carries it. */
async function expectTcp(a: Host, b: Host, at: { listener: number; port: number }): Promise<void> {
  const atA = fixture.connect(a, B, at.port);
  const atB = fixture.must(b.winsock, 'accept', b.winsock.accept(at.listener, null, null));
  const [here, there] = [
    { host: a, socket: atA },
    { host: b, socket: atB },
  ];
  expect(fixture.carry(here, there, 'by way of TCP/IP')).toBe('by way of TCP/IP');
  expect(fixture.carry(there, here, 'and back')).toBe('and back');
  expect(a.statistics()).toMatchObject({
    sanConnections: 0,
    tcpConnections: 1,
    tcpBytesSent: 16,
    tcpBytesReceived: 8,
    messagesSent: 0,
  });
  expect(b.statistics()).toMatchObject({ sanConnections: 0, tcpConnections: 1, tcpBytesSent: 8 });
  a.winsock.closesocket(atA);
  for (const socket of [atB, at.listener]) b.winsock.closesocket(socket);
  await fixture.closeClean(a, b);
}

describe.each(ENGINES)('where there is no SAN, over the %s engine', (engine) => {
  it('an address of the SAN subnet without a host is reached through TCP/IP, and its bytes are counted [CONN-04 CONN-07]', async () => {
    const { port } = await plainServer('127.77.0.9');
    const a = await fixture.open({ fabric: fixture.newFabric(), address: A, engine });
    const socket = fixture.connect(a, '127.77.0.9', port);
    expect(await echo(a, socket, 'no SAN here')).toBe('no SAN here');
    expect(a.statistics()).toMatchObject({
      sanConnections: 0,
      tcpConnections: 1,
      tcpBytesSent: 11,
      tcpBytesReceived: 11,
      messageBytesSent: 0,
      messagesSent: 0,
    });
    a.winsock.closesocket(socket);
    await fixture.closeClean(a);
  });

  it('an address outside the SAN subnet belongs to TCP/IP from the start [CONN-01]', async () => {
    const { port } = await plainServer('127.78.0.9');
    const a = await fixture.open({ fabric: fixture.newFabric(), address: A, engine });
    const socket = fixture.connect(a, '127.78.0.9', port);
    expect(await echo(a, socket, 'elsewhere')).toBe('elsewhere');
    expect(a.statistics()).toMatchObject({ sanConnections: 0, tcpConnections: 1 });
    a.winsock.closesocket(socket);
    await fixture.closeClean(a);
  });

  it('nobody listens at a host of the SAN: the final WSAECONNRESET reaches the application [CONNECT-04 CONN-04]', async () => {
    const fabric = fixture.newFabric();
    const a = await fixture.open({ fabric, address: A, engine });
    const b = await fixture.open({ fabric, address: B, engine });
    const { listener, port } = fixture.listen(b);
    b.winsock.closesocket(listener);
    expect(fixture.errorOf(() => fixture.connect(a, B, port))).toBe(spi.WSAECONNRESET);
    expect(a.statistics()).toMatchObject({ sanConnections: 0, tcpConnections: 0 });
    await fixture.closeClean(a, b);
  });

  it('nobody listens and there is no host: TCP/IP says WSAECONNREFUSED [CONN-04]', async () => {
    const a = await fixture.open({ fabric: fixture.newFabric(), address: A, engine });
    const { server, port } = await plainServer('127.77.0.9');
    server.close();
    await once(server, 'close');
    expect(fixture.errorOf(() => fixture.connect(a, '127.77.0.9', port))).toBe(spi.WSAECONNREFUSED);
    await fixture.closeClean(a);
  });
});

describe('a host with the base provider alone', () => {
  it('connects through TCP/IP to a host that has both [CONN-01]', async () => {
    const fabric = fixture.newFabric();
    const a = await fixture.open({
      fabric,
      address: A,
      engine: 'inline',
      providers: [tcpipProvider],
    });
    const b = await fixture.open({ fabric, address: B, engine: 'inline' });
    await expectTcp(a, b, fixture.listen(b));
  });

  it('is reached through TCP/IP from a host that has both [CONNECT-05]', async () => {
    const fabric = fixture.newFabric();
    const a = await fixture.open({ fabric, address: A, engine: 'inline' });
    const b = await fixture.open({
      fabric,
      address: B,
      engine: 'inline',
      providers: [tcpipProvider],
    });
    await expectTcp(a, b, fixture.listen(b));
  });
});

describe('a SAN provider that cannot', () => {
  it.each([
    ['WSPSocket', spi.WSAENOBUFS, 0],
    ['WSPBind', spi.WSAEADDRNOTAVAIL, 1],
  ] as const)(
    'at %s leaves the connection to TCP/IP [COMP-11 CONN-02]',
    async (call, code, closes) => {
      const { a, b, failing, ...at } = await withFailing(call, code);
      await expectTcp(a, b, at);
      expect(failing).toMatchObject({ failures: 1, closes });
    },
  );

  it.each([
    ['WSAENOBUFS', spi.WSAENOBUFS],
    ['WSAENETUNREACH', spi.WSAENETUNREACH],
    ['WSAETIMEDOUT', spi.WSAETIMEDOUT],
    ['WSAENETDOWN', spi.WSAENETDOWN],
  ])('connect and says %s leaves the connection to TCP/IP [CONN-04]', async (_name, code) => {
    const { a, b, failing, ...at } = await withFailing('WSPConnect', code);
    await expectTcp(a, b, at);
    expect(failing).toMatchObject({ failures: 1, closes: 1 });
  });

  it.each([
    ['WSAECONNRESET', spi.WSAECONNRESET],
    ['WSAECONNREFUSED', spi.WSAECONNREFUSED],
    ['WSAEHOSTUNREACH', spi.WSAEHOSTUNREACH],
  ])('connect and says %s has the last word [CONNECT-04 CONN-04]', async (_name, code) => {
    const { a, b, failing, listener, port } = await withFailing('WSPConnect', code);
    expect(fixture.errorOf(() => fixture.connect(a, B, port))).toBe(code);
    expect(failing).toMatchObject({ failures: 1, closes: 1 });
    expect(a.statistics()).toMatchObject({ sanConnections: 0, tcpConnections: 0 });
    b.winsock.closesocket(listener);
    await fixture.closeClean(a, b);
  });
});

describe('ports', () => {
  it('belong to the kernel: one that another program has is WSAEADDRINUSE [COMP-03 BIND-03]', async () => {
    const { port } = await plainServer(A);
    const a = await fixture.open({ fabric: fixture.newFabric(), address: A, engine: 'inline' });
    const socket = fixture.newSocket(a);
    const name = spi.sockaddrIn(A, port);
    expect(a.winsock.bind(socket, name, name.length)).toBe(spi.SOCKET_ERROR);
    expect(a.winsock.WSAGetLastError()).toBe(spi.WSAEADDRINUSE);
    a.winsock.closesocket(socket);
    await fixture.closeClean(a);
  });
});

/** The program of the next test: it knows nothing of providers. */
async function program(a: Host, b: Host): Promise<{ received: string; peer: unknown }> {
  const { listener, port } = fixture.listen(b);
  const atA = fixture.connect(a, B, port);
  const atB = fixture.must(b.winsock, 'accept', b.winsock.accept(listener, null, null));
  const received = fixture.carry({ host: a, socket: atA }, { host: b, socket: atB }, 'one stream');
  const [own, peer] = [new Uint8Array(16), new Uint8Array(16)];
  a.winsock.getsockname(atA, own, spi.ref(16));
  b.winsock.getpeername(atB, peer, spi.ref(16));
  expect(peer).toEqual(own);
  a.winsock.closesocket(atA);
  for (const socket of [atB, listener]) b.winsock.closesocket(socket);
  return { received, peer: spi.parseSockaddr(peer)?.ip };
}

describe('one program', () => {
  it.each([
    ['over a SAN, without the kernel moving a byte of its data', {}],
    ['over TCP/IP', { providers: [tcpipProvider] }],
  ])(
    'works the same %s, and each end has the IP address of the other [ARCH-01 ARCH-06 ARCH-08 ADDR-02 COMP-09 W14.1]',
    async (_how, more) => {
      const fabric = fixture.newFabric();
      const a = await fixture.open({ fabric, address: A, engine: 'inline', ...more });
      const b = await fixture.open({ fabric, address: B, engine: 'inline', ...more });
      expect(await program(a, b)).toEqual({ received: 'one stream', peer: A });
      const { tcpBytesSent, messageBytesSent } = a.statistics();
      const isSan = !('providers' in more);
      expect([tcpBytesSent, messageBytesSent]).toEqual(isSan ? [0, 10] : [10, 0]);
      await fixture.closeClean(a, b);
    },
  );

  it('on the address of a SAN NIC serves a peer of the SAN and a plain TCP client at once [ARCH-13 ACC-02 CONN-07 LSN-01]', async () => {
    const fabric = fixture.newFabric();
    const a = await fixture.open({ fabric, address: A, engine: 'inline' });
    const b = await fixture.open({ fabric, address: B, engine: 'inline' });
    const { listener, port } = fixture.listen(b);
    const plain = createConnection({ host: B, port });
    fixture.atEnd(() => {
      plain.destroy();
    });
    await once(plain, 'connect');
    const atA = fixture.connect(a, B, port);
    const accepted = [0, 1].map(() =>
      fixture.must(b.winsock, 'accept', b.winsock.accept(listener, null, null)),
    );
    expect(b.statistics()).toMatchObject({ sanConnections: 1, tcpConnections: 1 });
    plain.end('plain');
    a.winsock.send(atA, Buffer.from('a SAN'), 5, 0);
    const texts: string[] = [];
    for (const socket of accepted) {
      const buffer = Buffer.alloc(5);
      const count = await b.winsock.promises.recv(socket, buffer, 5, 0);
      texts.push(buffer.toString('utf8', 0, count));
    }
    expect(texts.sort()).toEqual(['a SAN', 'plain']);
    a.winsock.closesocket(atA);
    for (const socket of [...accepted, listener]) b.winsock.closesocket(socket);
    await fixture.closeClean(a, b);
  });
});

describe('an established SAN connection', () => {
  it('that is lost is an error of the application, and nothing goes to TCP/IP [COMP-12 ERR-01]', async () => {
    const { a, b, atA, atB } = await fixture.openPair();
    const hard = Uint8Array.of(1, 0, 0, 0);
    b.winsock.setsockopt(atB, spi.SOL_SOCKET, spi.SO_LINGER, hard, hard.length);
    b.winsock.closesocket(atB);
    expect(a.winsock.recv(atA, new Uint8Array(1), 1, 0)).toBe(spi.SOCKET_ERROR);
    expect(a.winsock.WSAGetLastError()).toBe(spi.WSAECONNRESET);
    expect(a.winsock.send(atA, new Uint8Array(1), 1, 0)).toBe(spi.SOCKET_ERROR);
    expect(a.statistics()).toMatchObject({ tcpConnections: 0, tcpBytesSent: 0 });
    a.winsock.closesocket(atA);
    await fixture.closeClean(a, b);
  });
});
