// Which way a connection goes, with one SAN, with several, and when the addresses change.

import { describe, expect, it } from 'vitest';
import * as spi from '../../provider/spi/index.js';
import type { LoadedProvider } from '../../switch/loaded-provider.js';
import { RoutingTable } from '../../switch/routing.js';
import { A, B, connectPair, ELSEWHERE, listenOn, name, PORT, World } from './fakes/world.js';
import type { FakeSan as San } from './fakes/fake-san.js';
import { FakeSan } from './fakes/fake-san.js';

const at = (text: string): number => spi.ipv4Number(text) ?? 0;

function provider(title: string, ...addresses: readonly string[]): LoadedProvider {
  const partial: Partial<LoadedProvider> = { name: title, addresses: addresses.map(at) };
  return partial as LoadedProvider;
}

const newSocket = ({ a }: World, type: number = spi.SOCK_STREAM): number =>
  a.winsock.socket(spi.AF_INET, type, 0);

/** A second SAN between the two hosts, of another vendor and another subnet. */
function secondSan(world: World): { a: San; b: San } {
  const { network } = world.a.san;
  const made = ['127.79.0.1', '127.79.0.2'].map((address) => {
    const san = new FakeSan(network, { name: `second san ${address}`, address });
    world.progress.add(san);
    return san;
  });
  const [a, b] = made as [San, San];
  expect(world.a.theSwitch.addProvider(a.service)).toBe(true);
  expect(world.b.theSwitch.addProvider(b.service)).toBe(true);
  return { a, b };
}

describe('the routing table', () => {
  it('maps local subnets to providers, of which there may be several with several addresses [INIT-07 ARCH-10 ARCH-14]', () => {
    const one = provider('one', '127.77.0.1', '127.80.0.1');
    const two = provider('two', '127.79.0.1');
    const table = new RoutingTable(at('127.77.0.1'));
    table.rebuild([one, two]);
    const carrier = (to: string, bound = '0.0.0.0'): string | null =>
      table.routeTo(at(to), at(bound))?.provider.name ?? null;
    expect(carrier('127.77.9.9')).toBe('one');
    expect(carrier('127.80.0.2')).toBe('one');
    expect(carrier('127.79.0.2')).toBe('two');
    expect(carrier('127.78.0.1')).toBeNull();
    // Bound to another address: the packets would have to be routed. [ARCH-11]
    expect(carrier('127.79.0.2', '127.77.0.1')).toBeNull();
    for (const own of ['127.77.0.1', '127.80.0.1', '127.79.0.1']) expect(carrier(own)).toBeNull();
    expect(table.listeners(at('0.0.0.0')).map((route) => route.provider)).toEqual([one, two]);
    expect(table.listeners(at('127.79.0.1')).map((route) => route.provider)).toEqual([two]);
    expect(table.listeners(at('127.78.0.1'))).toEqual([]);
  });
});

describe('a host with two SANs', () => {
  it('chooses for every connection by its destination, and its applications see one provider [ARCH-06 ARCH-07 ARCH-10 ADDR-01]', () => {
    const world = new World();
    const second = secondSan(world);
    listenOn(world.b, '0.0.0.0');
    for (const [to, san] of [
      [B, world.a.san],
      ['127.79.0.2', second.a],
    ] as const) {
      const s = newSocket(world);
      san.log.length = 0;
      expect(world.a.winsock.connect(s, name(to), 16)).toBe(0);
      expect(san.log).toContain(`WSPConnect(${to}:${PORT})`);
    }
    const elsewhere = newSocket(world);
    expect(world.a.winsock.connect(elsewhere, name(ELSEWHERE), 16)).toBe(-1);
    expect(world.a.tcp.log).toContain(`WSPConnect(${ELSEWHERE}:${PORT})`);
    expect(world.a.theSwitch.statistics().sanConnections).toBe(2);
    for (const { theSwitch } of [world.a, world.b]) theSwitch.closeAll();
    world.settle();
    for (const san of [second.a, second.b]) world.progress.remove(san);
    world.close();
    for (const san of [second.a, second.b]) {
      expect([san.sockets.size, san.startCount]).toEqual([0, 0]);
    }
  });
});

describe('what is no TCP stream inside a SAN subnet', () => {
  it.each([
    ['datagrams', spi.SOCK_DGRAM],
    ['raw sockets', spi.SOCK_RAW],
  ])('%s never reach a SAN provider [ARCH-11 ARCH-12]', (_what, type) => {
    const world = new World();
    world.a.san.log.length = 0;
    const s = newSocket(world, type);
    expect(s).not.toBe(spi.INVALID_SOCKET);
    world.a.winsock.bind(s, name(A), 16);
    world.a.winsock.connect(s, name(B), 16);
    expect(world.a.tcp.log).toContain(`WSPConnect(${B}:${PORT})`);
    expect(world.a.san.log).toEqual([]);
    world.close();
  });

  it('a socket bound to an address of no SAN stays with TCP/IP whatever its destination [ARCH-11 CONN-01]', () => {
    const world = new World();
    listenOn(world.b, B);
    world.a.san.log.length = 0;
    const s = newSocket(world);
    expect(world.a.winsock.bind(s, name('127.0.0.1', 0), 16)).toBe(0);
    expect(world.a.winsock.connect(s, name(B), 16)).toBe(0);
    expect(world.a.san.log).toEqual([]);
    world.close();
  });
});

describe('a change of addresses', () => {
  it('is told by TCP/IP, never asked of SAN providers, and every provider is queried again, each time [ADDR-08 IOC-04 ADDR-07 ERR-04 W14.5]', () => {
    const world = new World();
    const { san, tcp, theSwitch } = world.a;
    expect(tcp.changeRequests).toHaveLength(1);
    Object.defineProperty(san, 'address', { value: at('127.90.0.1'), configurable: true });
    for (let time = 0; time < 2; time++) {
      san.log.length = 0;
      tcp.changeAddresses();
      world.settle();
      expect(san.log.filter((line) => line === 'SIO_ADDRESS_LIST_QUERY')).toHaveLength(1);
    }
    const addresses = theSwitch.core.routing.routes.map(({ localAddress }) => localAddress);
    expect(addresses).toEqual([at('127.90.0.1')]);
    expect(tcp.changeRequests).toHaveLength(1);
    Object.defineProperty(san, 'address', { value: at(A) });
    world.close();
  });

  it('moves listeners: those of an address that is no longer there leave the SAN, wildcard ones stay [ADDR-08 LSN-02]', () => {
    const world = new World();
    const { b } = world;
    listenOn(b, B);
    listenOn(b, '0.0.0.0', PORT + 1);
    expect(b.san.sockets.size).toBe(2);
    Object.defineProperty(b.san, 'address', { value: at('127.90.0.2'), configurable: true });
    b.tcp.changeAddresses();
    world.settle();
    expect([...b.san.sockets.values()].map(({ port }) => port)).toEqual([PORT + 1]);
    Object.defineProperty(b.san, 'address', { value: at(B) });
    b.tcp.changeAddresses();
    world.settle();
    expect(b.san.sockets.size).toBe(2);
    world.close();
  });

  it('does not touch connections, and a TCP/IP that gives up telling is left alone [COMP-12 ADDR-08]', () => {
    const world = new World();
    const { client, server } = connectPair(world);
    Object.defineProperty(world.a.san, 'address', { value: at('127.90.0.1'), configurable: true });
    world.a.tcp.changeAddresses();
    world.settle();
    expect(world.a.winsock.send(client, new Uint8Array(9), 9, 0)).toBe(9);
    expect(world.b.winsock.recv(server, new Uint8Array(9), 9, 0)).toBe(9);
    world.a.tcp.changeAddresses(spi.WSAENETDOWN);
    world.settle();
    expect(world.a.tcp.changeRequests).toEqual([]);
    Object.defineProperty(world.a.san, 'address', { value: at(A) });
    world.close();
  });

  it("is the application's to ask of TCP/IP, which answers its address list too [ADDR-09 IOC-03]", () => {
    const world = new World();
    const s = newSocket(world);
    world.a.san.log.length = 0;
    world.a.tcp.log.length = 0;
    const out = new Uint8Array(256);
    const bytes = spi.ref(0);
    const code = spi.SIO_ADDRESS_LIST_QUERY;
    expect(world.a.winsock.WSAIoctl(s, code, null, 0, out, 256, bytes, null, null)).toBe(0);
    expect(world.a.san.log).toEqual([]);
    expect(world.a.tcp.log).toEqual(['SIO_ADDRESS_LIST_QUERY']);
    expect(spi.parseAddressList(out, bytes.value)).toMatchObject([{ ip: A }]);
    world.close();
  });
});
