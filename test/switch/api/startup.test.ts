// WSAStartup, the last error, byte order and address text.

import { describe, expect, it } from 'vitest';
import * as spi from '../../../provider/spi/index.js';
import { emptyWsaData } from '../../../switch/api/startup.js';
import { World } from '../fakes/world.js';

describe('WSAStartup', () => {
  it.each([
    [0x0001, 0x0001, 0x0001],
    [0x0101, 0x0101, 0x0101],
    [0x0201, 0x0101, 0x0101],
    [0xff01, 0x0101, 0x0101],
    [0x0002, 0x0002, 0x0002],
    [0x0102, 0x0102, 0x0102],
    [0x0202, 0x0202, 0x0202],
    [0x0302, 0x0202, 0x0202],
    [0x0003, 0x0202, 0x0202],
  ])('answers the request %i with its version [W3.5]', (requested, version) => {
    const world = new World({ stopped: true });
    const data = emptyWsaData();
    expect(world.a.winsock.WSAStartup(requested, data)).toBe(0);
    expect(data.wVersion).toBe(version);
    expect(data.wHighVersion).toBe(0x0202);
    expect(data.szDescription).toBe('WinSock 2.0');
    expect(data.szSystemStatus).toBe('Running');
    const isVersion1 = (version & 0xff) === 1;
    expect([data.iMaxSockets, data.iMaxUdpDg]).toEqual(isVersion1 ? [32767, 65467] : [0, 0]);
    expect(data.lpVendorInfo).toBeNull();
    world.close();
  });

  it('refuses a version below 1.0 by its return value, before it looks for the structure [W3.5]', () => {
    const world = new World({ stopped: true });
    const { winsock } = world.a;
    const data = emptyWsaData();
    expect(winsock.WSAStartup(0x0200, data)).toBe(spi.WSAVERNOTSUPPORTED);
    expect(data.wVersion).toBe(0x0202);
    expect(winsock.WSAStartup(0x0200, null)).toBe(spi.WSAVERNOTSUPPORTED);
    expect(winsock.WSAStartup(0x0202, null)).toBe(spi.WSAEFAULT);
    expect(winsock.WSAGetLastError()).toBe(0);
    world.close();
  });

  it('comes before everything: other calls fail with WSANOTINITIALISED [W3.4]', () => {
    const world = new World({ stopped: true });
    const { winsock } = world.a;
    const flags = spi.ref(0);
    const results: [unknown, unknown][] = [
      [winsock.socket(spi.AF_INET, spi.SOCK_STREAM, 0), spi.INVALID_SOCKET],
      [winsock.accept(4, null, null), spi.INVALID_SOCKET],
      [winsock.bind(4, null, 0), -1],
      [winsock.connect(4, null, 0), -1],
      [winsock.listen(4, 1), -1],
      [winsock.send(4, null, 0, 0), -1],
      [winsock.recv(4, null, 0, 0), -1],
      [winsock.sendto(4, null, 0, 0, null, 0), -1],
      [winsock.WSASend(4, [], 0, flags, 0, null, null), -1],
      [winsock.WSARecv(4, [], 0, flags, flags, null, null), -1],
      [winsock.closesocket(4), -1],
      [winsock.shutdown(4, 0), -1],
      [winsock.setsockopt(4, 0, 0, null, 0), -1],
      [winsock.getsockopt(4, 0, 0, null, null), -1],
      [winsock.ioctlsocket(4, 0, null), -1],
      [winsock.WSAIoctl(4, 0, null, 0, null, 0, null, null, null), -1],
      [winsock.getsockname(4, null, null), -1],
      [winsock.getpeername(4, null, null), -1],
      [winsock.WSAEventSelect(4, 0, 0), -1],
      [winsock.WSAEnumNetworkEvents(4, 0, null), -1],
      [winsock.WSACreateEvent(), spi.WSA_INVALID_EVENT],
      [winsock.WSASetEvent(4), false],
      [winsock.WSAWaitForMultipleEvents(1, [4], false, 0, false), spi.WSA_WAIT_FAILED],
      [winsock.WSAGetOverlappedResult(4, null, null, false, null), false],
      [winsock.WSACleanup(), -1],
    ];
    for (const [result, failure] of results) expect(result).toBe(failure);
    expect(winsock.WSAGetLastError()).toBe(spi.WSANOTINITIALISED);
    world.close();
  });
});

describe('the last error', () => {
  it('is what the last failed call set, or WSASetLastError, and success leaves it alone [W1.1]', () => {
    const world = new World();
    const { winsock } = world.a;
    winsock.closesocket(7);
    expect(winsock.WSAGetLastError()).toBe(spi.WSAENOTSOCK);
    const s = winsock.socket(spi.AF_INET, spi.SOCK_STREAM, 0);
    expect(winsock.WSAGetLastError()).toBe(spi.WSAENOTSOCK);
    winsock.WSASetLastError(4711);
    expect(winsock.closesocket(s)).toBe(0);
    expect(winsock.WSAGetLastError()).toBe(4711);
    world.close();
  });
});

describe('WSASocket', () => {
  const { AF_INET, SOCK_STREAM, SOCK_DGRAM, IPPROTO_TCP, IPPROTO_UDP } = spi;
  it.each([
    [0xdead, 0xdead, 0, spi.WSAESOCKTNOSUPPORT],
    [0xdead, SOCK_STREAM, 0xdead, spi.WSAEAFNOSUPPORT],
    [AF_INET, SOCK_STREAM, 0xdead, spi.WSAEPROTONOSUPPORT],
    [AF_INET, SOCK_STREAM, IPPROTO_UDP, spi.WSAEPROTONOSUPPORT],
    [AF_INET, SOCK_DGRAM, IPPROTO_TCP, spi.WSAEPROTONOSUPPORT],
    [spi.AF_UNSPEC, SOCK_STREAM, 0, spi.WSAEINVAL],
  ])('of family %i, type %i, protocol %i fails with %i [W3.3]', (family, type, protocol, error) => {
    const world = new World();
    const { winsock } = world.a;
    expect(winsock.WSASocket(family, type, protocol, null, 0, 0)).toBe(spi.INVALID_SOCKET);
    expect(winsock.WSAGetLastError()).toBe(error);
    world.close();
  });

  it.each([
    [AF_INET, 0, 0, SOCK_STREAM, IPPROTO_TCP],
    [AF_INET, 0, IPPROTO_UDP, SOCK_DGRAM, IPPROTO_UDP],
    [AF_INET, SOCK_DGRAM, 0, SOCK_DGRAM, IPPROTO_UDP],
    [spi.AF_UNSPEC, 0, IPPROTO_TCP, SOCK_STREAM, IPPROTO_TCP],
  ])(
    'of family %i infers from %i and %i what is meant [W3.3 COMP-01]',
    (family, type, protocol, wantedType, wantedProtocol) => {
      const world = new World();
      world.a.tcp.log.length = 0;
      const s = world.a.winsock.WSASocket(family, type, protocol, null, 0, 0);
      expect(s).not.toBe(spi.INVALID_SOCKET);
      expect(world.a.tcp.log).toEqual([`WSPSocket(${AF_INET},${wantedType},${wantedProtocol})`]);
      world.close();
    },
  );
});

describe('WSASocket refuses', () => {
  it.each([
    [1, 0],
    [0, spi.WSA_FLAG_MULTIPOINT_C_ROOT],
    [0, 0x1000],
  ])('group %i with flags %i, and takes the others [W2.5 W3.1]', (group, flags) => {
    const world = new World();
    const { winsock } = world.a;
    const make = (g: number, dwFlags: number): number =>
      winsock.WSASocket(spi.AF_INET, spi.SOCK_STREAM, 0, null, g, dwFlags);
    expect(make(group, flags)).toBe(spi.INVALID_SOCKET);
    expect(winsock.WSAGetLastError()).toBe(spi.WSAEINVAL);
    const known = spi.WSA_FLAG_OVERLAPPED | spi.WSA_FLAG_NO_HANDLE_INHERIT;
    expect(make(0, known)).not.toBe(spi.INVALID_SOCKET);
    world.close();
  });
});

describe('byte order and address text', () => {
  it('swaps between host and network order', () => {
    const { winsock } = new World({ stopped: true }).a;
    expect(winsock.htons(0x1234)).toBe(0x3412);
    expect(winsock.ntohs(0x3412)).toBe(0x1234);
    expect(winsock.htonl(0x01020384)).toBe(0x84030201);
    expect(winsock.ntohl(0x84030201)).toBe(0x01020384);
  });

  it('reads and writes addresses of both families', () => {
    const { winsock } = new World({ stopped: true }).a;
    expect(winsock.inet_addr('127.77.0.1')).toBe(0x01004d7f);
    expect(winsock.inet_addr('127.77.0')).toBe(0xffffffff);
    const four = new Uint8Array(4);
    expect(winsock.InetPton(spi.AF_INET, '127.77.0.1', four)).toBe(1);
    expect([...four]).toEqual([127, 77, 0, 1]);
    expect(winsock.InetPton(spi.AF_INET, 'x', four)).toBe(0);
    expect(winsock.InetPton(99, '1.2.3.4', four)).toBe(-1);
    expect(winsock.WSAGetLastError()).toBe(spi.WSAEAFNOSUPPORT);
    const text = spi.ref('');
    expect(winsock.InetNtop(spi.AF_INET, four, text, 16)).toBe('127.77.0.1');
    expect(text.value).toBe('127.77.0.1');
    const sixteen = new Uint8Array(16);
    expect(winsock.InetPton(spi.AF_INET6, 'fe80::1', sixteen)).toBe(1);
    expect(winsock.InetNtop(spi.AF_INET6, sixteen, null, 46)).toBe('fe80::1');
    expect(winsock.InetNtop(spi.AF_INET6, sixteen, null, 3)).toBeNull();
    expect(winsock.WSAGetLastError()).toBe(spi.WSA_INVALID_PARAMETER);
  });
});
