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

  it('without one that throws, or that is of an older version, and nothing of it is left [INIT-10 STARTUP-01 STARTUP-02]', () => {
    const world = new World();
    const { network } = world.a.san;
    const throwing = new FakeSan(network, { name: 'throwing', address: '127.79.0.1' });
    const old = new FakeSan(network, { name: 'old', address: '127.79.0.2' });
    const start = old.service.WSPStartupEx;
    const services = [
      { ...throwing.service, WSPStartupEx: raise },
      {
        ...old.service,
        WSPStartupEx: (...args: Parameters<typeof start>) => {
          const error = start(...args);
          Object.assign(args[1] ?? {}, { wVersion: 0x0002 });
          return error;
        },
      },
    ];
    for (const service of services) expect(world.a.theSwitch.addProvider(service)).toBe(false);
    expect(old.startCount).toBe(0);
    const left = world.a.messages.filter((line) => line.includes('left out'));
    expect(left[0]).toContain('WSAEPROVIDERFAILEDINIT');
    expect(left[0]).toContain('out of order');
    expect(left[1]).toContain('WSAVERNOTSUPPORTED');
    expect(world.a.theSwitch.core.providers).toHaveLength(1);
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

/** What a defective provider does. */
function raise(): never {
  throw new Error('out of order');
}

describe('a provider that throws while a connection is set up', () => {
  it.each(['lpWSPSocket', 'lpWSPBind', 'lpWSPSetSockOpt', 'lpWSPEventSelect', 'lpWSPConnect'])(
    'in %s leaves it to TCP/IP, like one that fails, and is named in the log [COMP-11 CONN-04 ERR-01]',
    (slot) => {
      const world = new World({ stopped: true });
      const { service } = world.a.san;
      let isArmed = false;
      const start = service.WSPStartupEx;
      const broken: typeof start = (version, data, info, upcalls, table) => {
        const error = start(version, data, info, upcalls, table);
        const procedures = table as unknown as Record<string, (...args: unknown[]) => unknown>;
        const inner = procedures[slot];
        procedures[slot] = (...args) => (isArmed ? raise() : inner?.(...args));
        return error;
      };
      Object.defineProperty(service, 'WSPStartupEx', { value: broken });
      for (const { winsock } of [world.a, world.b]) {
        expect(winsock.WSAStartup(0x0202, emptyWsaData())).toBe(0);
      }
      isArmed = true;
      listenOn(world.b, B);
      const s = world.a.winsock.socket(spi.AF_INET, spi.SOCK_STREAM, 0);
      world.a.winsock.setsockopt(s, spi.SOL_SOCKET, spi.SO_DEBUG, Uint8Array.of(1, 0, 0, 0), 4);
      expect(world.a.winsock.connect(s, name(B), 16)).toBe(0);
      expect(world.a.theSwitch.statistics()).toMatchObject({
        sanConnections: 0,
        tcpConnections: 1,
      });
      const log = world.a.messages.find((line) => line.includes('has thrown'));
      expect(log).toContain(slot);
      expect(log).toContain('out of order');
      world.close();
    },
  );

  it('in WSPCleanup does not keep the switch from ending the others [CLEANUP-03]', () => {
    const world = new World();
    const last = new FakeSan(world.a.san.network, { name: 'last', address: '127.79.0.1' });
    expect(world.a.theSwitch.addProvider(last.service)).toBe(true);
    const provider = world.a.theSwitch.core.providers.at(-1);
    if (provider !== undefined) Object.assign(provider.procs, { lpWSPCleanup: raise });
    expect(world.a.winsock.WSACleanup()).toBe(0);
    expect(world.a.san.startCount).toBe(0);
    expect(world.a.tcp.log.at(-1)).toBe('WSPCleanup');
    world.close();
  });
});

describe('a provider that is removed', () => {
  it('gets nothing new, keeps the connections it has, and is ended with the last of them [INST-07 CLEANUP-03 COMP-12]', () => {
    const world = new World();
    const { a, b } = world;
    const { client, server } = connectPair(world);
    const id = a.san.service.providerId;
    expect(a.theSwitch.removeProvider(id)).toBe(true);
    expect(a.theSwitch.removeProvider(id)).toBe(false);
    const s = a.winsock.socket(spi.AF_INET, spi.SOCK_STREAM, 0);
    expect(a.winsock.connect(s, name(B), 16)).toBe(0);
    expect(a.theSwitch.statistics()).toMatchObject({ sanConnections: 1, tcpConnections: 1 });
    expect(a.winsock.send(client, new Uint8Array(10), 10, 0)).toBe(10);
    expect(b.winsock.recv(server, new Uint8Array(10), 10, 0)).toBe(10);
    // Memory about to be freed is its affair for as long as it lives. [CACHE-04]
    a.theSwitch.releaseMemory(new Uint8Array(64));
    expect(a.san.cacheCallbacks).toBe(1);
    expect([a.san.startCount, world.ended]).toEqual([1, []]);
    b.winsock.closesocket(server);
    a.winsock.closesocket(client);
    world.settle();
    expect([a.san.startCount, world.ended]).toEqual([0, [id]]);
    world.close();
  });

  it('leaves listeners at once, and comes back to them when it is installed again [INST-09 INST-10 LSN-02]', () => {
    const world = new World();
    const { b } = world;
    const listener = listenOn(b, '0.0.0.0');
    const { service } = b.san;
    expect(b.san.sockets.size).toBe(1);
    expect(b.theSwitch.removeProvider(service.providerId)).toBe(true);
    world.settle();
    expect([b.san.sockets.size, b.san.startCount]).toEqual([0, 0]);
    expect(b.theSwitch.addProvider(service)).toBe(true);
    const s = world.a.winsock.socket(spi.AF_INET, spi.SOCK_STREAM, 0);
    expect(world.a.winsock.connect(s, name(B), 16)).toBe(0);
    expect(b.winsock.accept(listener, null, null)).not.toBe(spi.INVALID_SOCKET);
    expect(b.theSwitch.statistics().sanConnections).toBe(1);
    world.close();
  });

  it('that says FD_ACCEPT with an error has its listener closed and is asked for its addresses; TCP/IP goes on [ADDR-08 COMP-11 ERR-04 EVT-09]', () => {
    const world = new World();
    const { b } = world;
    const listener = listenOn(b, '0.0.0.0');
    const { core } = b.theSwitch;
    const [provider] = core.providers;
    const [companion] = b.san.sockets.values();
    if (provider === undefined || companion === undefined) throw new Error('nothing listens');
    const { lpWSPEnumNetworkEvents, lpWSPIoctl } = provider.procs;
    Object.assign(provider.procs, {
      lpWSPEnumNetworkEvents: (...call: Parameters<typeof lpWSPEnumNetworkEvents>) => {
        const result = lpWSPEnumNetworkEvents(...call);
        const [, , events] = call;
        if (events !== null) events.lNetworkEvents = spi.FD_ACCEPT;
        if (events !== null) events.iErrorCode[spi.FD_ACCEPT_BIT] = spi.WSAENETDOWN;
        return result;
      },
      lpWSPIoctl: (...call: Parameters<typeof lpWSPIoctl>) => {
        const [, , , , output, size, bytes, , , , lpErrno] = call;
        if (!(output instanceof Uint8Array) || bytes === null) return lpWSPIoctl(...call);
        return spi.answerAddressList([], output, size, bytes, lpErrno);
      },
    });
    b.san.table.lpWPUSetEvent(companion.event, spi.ref(0));
    world.settle();
    expect(b.san.sockets.size).toBe(0);
    expect(core.routing.routes).toEqual([]);
    const s = world.a.winsock.socket(spi.AF_INET, spi.SOCK_STREAM, 0);
    Object.assign(world.a.san.options, { fail: { WSPConnect: spi.WSAETIMEDOUT } });
    expect(world.a.winsock.connect(s, name(B), 16)).toBe(0);
    expect(b.winsock.accept(listener, null, null)).not.toBe(spi.INVALID_SOCKET);
    expect(b.theSwitch.statistics()).toMatchObject({ sanConnections: 0, tcpConnections: 1 });
    world.close();
  });

  it('and still carries connections when the switch stops is ended with it [CLEANUP-03]', () => {
    const world = new World();
    connectPair(world);
    world.a.theSwitch.removeProvider(world.a.san.service.providerId);
    expect(world.a.winsock.WSACleanup()).toBe(0);
    expect(world.a.san.startCount).toBe(0);
    world.close();
  });

  it('is not started twice [INIT-01]', () => {
    const world = new World();
    expect(world.a.theSwitch.addProvider(world.a.san.service)).toBe(false);
    expect(world.a.san.startCount).toBe(1);
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
