// Starting and stopping the switch with its providers.

import { describe, expect, it } from 'vitest';
import * as spi from '../../provider/spi/index.js';
import { emptyWsaData } from '../../switch/api/startup.js';
import { A, B, connectPair, listenOn, name, World } from './fakes/world.js';
import { FakeSan } from './fakes/fake-san.js';

describe('the switch starts', () => {
  it('TCP/IP first, then each SAN provider with the catalog entry of TCP/IP, and asks in the order of the figure [INIT-01 INIT-03 INIT-06 INIT-08 STARTUP-03]', () => {
    const world = new World({ stopped: true });
    const { tcp, san, winsock } = world.a;
    expect(winsock.WSAStartup(0x0202, emptyWsaData())).toBe(0);
    expect(tcp.log[0]).toBe('WSPStartupEx');
    expect(san.protocolInfo?.ProviderId).toBe(spi.TCPIP_PROVIDER_ID);
    const steps = san.log.map((line) => line.replace(/\(.*|extension .*/, ''));
    expect(steps.slice(0, 3)).toEqual(['WSPStartupEx', 'WSPSocket', 'SIO_ADDRESS_LIST_QUERY']);
    expect(san.log.filter((line) => line.startsWith('extension'))).toHaveLength(7);
    expect(san.log.at(-1)).toBe('WSPCloseSocket');
    const { routes } = world.a.theSwitch.core.routing;
    expect(routes.map((route) => spi.ipv4Text(route.localAddress))).toEqual([A]);
    world.close();
  });

  const failures: [string, Record<string, number>][] = [
    ['WSPStartupEx', { WSPStartupEx: spi.WSASYSNOTREADY }],
    ['WSPSocket', { WSPSocket: spi.WSAENOBUFS }],
    ['SIO_ADDRESS_LIST_QUERY', { WSPIoctl: spi.WSAENETDOWN }],
  ];
  it.each(failures)(
    'without a SAN provider whose %s fails, which is logged [INIT-01 STARTUP-02]',
    (step, fail) => {
      const world = new World({ a: { fail } });
      expect(world.a.theSwitch.core.providers).toEqual([]);
      expect(
        world.a.messages.some((line) => line.includes('left out') && line.includes(step)),
      ).toBe(true);
      listenOn(world.b, B);
      const s = world.a.winsock.socket(spi.AF_INET, spi.SOCK_STREAM, 0);
      expect(world.a.winsock.connect(s, name(B), 16)).toBe(0);
      expect(world.a.theSwitch.core.connections.size).toBe(0);
      world.close();
    },
  );

  it('with a provider that lacks the optional WSPRdmaRead [EXT-02 EXT-03]', () => {
    const world = new World({ a: { rdmaRead: false } });
    const [provider] = world.a.theSwitch.core.providers;
    expect(provider?.extensions.WSPRdmaRead).toBeNull();
    expect(provider?.extensions.WSPMemoryRegistrationCacheCallback).not.toBeNull();
    world.close();
  });

  it('only if TCP/IP does, and WSAStartup returns why not [W3.4 STARTUP-02]', () => {
    const world = new World({ stopped: true });
    world.a.tcp.startError = spi.WSASYSNOTREADY;
    expect(world.a.winsock.WSAStartup(0x0202, emptyWsaData())).toBe(spi.WSASYSNOTREADY);
    expect(world.a.winsock.socket(spi.AF_INET, spi.SOCK_STREAM, 0)).toBe(spi.INVALID_SOCKET);
    expect(world.a.winsock.WSAGetLastError()).toBe(spi.WSANOTINITIALISED);
    expect(world.a.san.log).toEqual([]);
    world.close();
  });

  it('listens on a provider that comes later, for wildcard listeners [INST-09 INST-10]', () => {
    const world = new World();
    listenOn(world.b, '0.0.0.0');
    const late = new FakeSan(world.b.san.network, { name: 'late', address: '127.79.0.2' });
    world.progress.add(late);
    expect(world.b.theSwitch.addProvider(late.service)).toBe(true);
    const steps = late.log.slice(late.log.indexOf('WSPCloseSocket') + 1);
    expect(steps.map((line) => line.replace(/\(2.*/, ''))).toEqual([
      'WSPSocket',
      'WSPBind(0.0.0.0:4000)',
      'WSPListen',
      `WSPEventSelect(${spi.FD_ACCEPT})`,
    ]);
    world.progress.remove(late);
    world.close();
    expect(late.sockets.size).toBe(0);
  });

  it('and asks every provider for its addresses anew when told of a change [ADDR-08]', () => {
    const world = new World();
    world.a.san.log.length = 0;
    world.a.theSwitch.refreshAddresses();
    expect(world.a.san.log).toContain('SIO_ADDRESS_LIST_QUERY');
    expect(world.a.theSwitch.core.routing.routes).toHaveLength(1);
    world.close();
  });
});

describe('the switch stops', () => {
  it('with the last WSACleanup, which ends TCP/IP and every SAN provider [CLEANUP-03 W3.5]', () => {
    const world = new World();
    const { winsock, tcp, san } = world.a;
    expect(winsock.WSAStartup(0x0202, emptyWsaData())).toBe(0);
    expect(winsock.WSACleanup()).toBe(0);
    expect(san.log).not.toContain('WSPCleanup');
    expect(winsock.WSACleanup()).toBe(0);
    expect(san.log.at(-1)).toBe('WSPCleanup');
    expect(tcp.log.at(-1)).toBe('WSPCleanup');
    expect(winsock.WSACleanup()).toBe(-1);
    expect(winsock.WSAGetLastError()).toBe(spi.WSANOTINITIALISED);
    world.close();
  });

  it('after data on its way has arrived, and starts again [W12.4 CLEANUP-03]', () => {
    const world = new World();
    const { client, server } = connectPair(world);
    expect(world.a.winsock.send(client, new Uint8Array(1000), 1000, 0)).toBe(1000);
    expect(world.a.winsock.WSACleanup()).toBe(0);
    expect(world.b.winsock.recv(server, new Uint8Array(2000), 2000, 0)).toBe(1000);
    expect(world.b.winsock.recv(server, new Uint8Array(10), 10, 0)).toBe(0);
    expect(world.a.winsock.WSAStartup(0x0202, emptyWsaData())).toBe(0);
    const again = world.a.winsock.socket(spi.AF_INET, spi.SOCK_STREAM, 0);
    expect(world.a.winsock.connect(again, name(B), 16)).toBe(0);
    expect(world.a.theSwitch.core.connections.size).toBe(1);
    world.close();
  });

  it('tells every caching provider of memory that is about to be freed [CACHE-04]', () => {
    const world = new World();
    world.a.theSwitch.releaseMemory(new Uint8Array(64));
    expect(world.a.san.cacheCallbacks).toBe(1);
    world.close();
  });
});
