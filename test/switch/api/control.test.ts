// Control codes and what is asked of the catalog, above fakes.

import { describe, expect, it } from 'vitest';
import * as spi from '../../../provider/spi/index.js';
import type { Winsock } from '../../../switch/api/wsa.js';
import { connectPair, pattern, World } from '../fakes/world.js';

const { SIO_GET_EXTENSION_FUNCTION_POINTER, WSAEFAULT, WSAEINVAL } = spi;

function fetch(
  winsock: Winsock,
  s: number,
  guid: Uint8Array,
  ov: spi.WSAOVERLAPPED | null = null,
): { result: number; lpcb: number; value: unknown } {
  const box: spi.ExtensionFunctionPointer = { value: null };
  const lpcb = spi.ref(99);
  const code = SIO_GET_EXTENSION_FUNCTION_POINTER;
  const result = winsock.WSAIoctl(s, code, guid, guid.length, box, 8, lpcb, ov, null);
  return { result, lpcb: lpcb.value, value: box.value };
}

describe('SIO_GET_EXTENSION_FUNCTION_POINTER', () => {
  it.each([
    ['WSAID_WSASENDMSG', 'WSASendMsg'],
    ['WSAID_WSARECVMSG', 'WSARecvMsg'],
    ['WSAID_ACCEPTEX', 'AcceptEx'],
    ['WSAID_CONNECTEX', 'ConnectEx'],
    ['WSAID_DISCONNECTEX', 'DisconnectEx'],
    ['WSAID_TRANSMITFILE', 'TransmitFile'],
    ['WSAID_GETACCEPTEXSOCKADDRS', 'GetAcceptExSockaddrs'],
  ] as const)('%s fetches %s [W11.4 W2.16 W6.14 XFER-17]', (id, call) => {
    const world = new World();
    const { winsock } = world.a;
    const s = winsock.socket(spi.AF_INET, spi.SOCK_STREAM, 0);
    expect(fetch(winsock, s, spi.guidBytes(spi[id]))).toEqual({
      result: 0,
      lpcb: 8,
      value: winsock[call],
    });
    world.close();
  });

  it('an unknown GUID is WSAEINVAL, and the structure stays as it was [W11.4]', () => {
    const world = new World();
    const { winsock } = world.a;
    const s = winsock.socket(spi.AF_INET, spi.SOCK_STREAM, 0);
    const ov = spi.createOverlapped(winsock.WSACreateEvent());
    ov.Internal = -5;
    expect(fetch(winsock, s, new Uint8Array(16), ov).result).toBe(-1);
    expect(winsock.WSAGetLastError()).toBe(WSAEINVAL);
    expect(ov.Internal).toBe(-5);
    expect(winsock.WaitForSingleObjectEx(ov.hEvent, 0, false)).toBe(spi.WSA_WAIT_TIMEOUT);
    expect(fetch(winsock, s, new Uint8Array(15)).result).toBe(-1);
    expect(winsock.WSAGetLastError()).toBe(WSAEFAULT);
    // The functions of the SAN extensions are between switch and provider only.
    expect(fetch(winsock, s, spi.guidBytes(spi.WSAID_RDMAWRITE)).result).toBe(-1);
    world.close();
  });

  it('overlapped it succeeds at once, with 8 in lpcbBytesReturned and 0 in the packet [W11.4 W9.13.5]', () => {
    const world = new World();
    const { winsock } = world.a;
    const s = winsock.socket(spi.AF_INET, spi.SOCK_STREAM, 0);
    const port = winsock.CreateIoCompletionPort(s, 0, 'key', 0);
    const ov = spi.createOverlapped();
    const { result, lpcb } = fetch(winsock, s, spi.guidBytes(spi.WSAID_WSASENDMSG), ov);
    expect([result, lpcb]).toEqual([0, 8]);
    const bytes = spi.ref(99);
    const out = spi.ref<spi.WSAOVERLAPPED | null>(null);
    expect(winsock.GetQueuedCompletionStatus(port, bytes, spi.ref<unknown>(0), out, 0)).toBe(true);
    expect([bytes.value, out.value]).toEqual([0, ov]);
    world.close();
  });
});

describe('control codes over SAN', () => {
  it('need lpcbBytesReturned, and tell of their success by routine with a count of 0 [W11.1 W9.13.5]', () => {
    const world = new World();
    const { client, server } = connectPair(world);
    world.a.winsock.send(client, pattern(9), 9, 0);
    world.settle();
    const { winsock } = world.b;
    const out = new Uint8Array(4);
    const ov = spi.createOverlapped();
    const told: unknown[][] = [];
    const routine: spi.WSAOVERLAPPED_COMPLETION_ROUTINE = (...values) => void told.push(values);
    const { FIONREAD } = spi;
    expect(winsock.WSAIoctl(server, FIONREAD, null, 0, out, 4, null, ov, routine)).toBe(-1);
    expect(winsock.WSAGetLastError()).toBe(WSAEFAULT);
    const lpcb = spi.ref(0);
    expect(winsock.WSAIoctl(server, FIONREAD, null, 0, out, 4, lpcb, ov, routine)).toBe(0);
    expect([out[0], lpcb.value]).toEqual([9, 4]);
    winsock.SleepEx(0, true);
    expect(told).toEqual([[0, 0, ov, 0]]);
    expect(winsock.WSAIoctl(server, FIONREAD, null, 0, out, 3, lpcb, null, null)).toBe(-1);
    expect(winsock.WSAGetLastError()).toBe(WSAEFAULT);
    world.close();
  });

  it('SIO_FLUSH ends the sends that are pending with 995 [W9.10.3 W11.6 W4.20]', () => {
    const world = new World();
    const { client } = connectPair(world);
    const { winsock } = world.a;
    const ovs = [1, 2, 3].map(() => spi.createOverlapped());
    const data = pattern(300_000);
    for (const ov of ovs) {
      winsock.WSASend(client, [{ len: data.length, buf: data }], 1, null, 0, ov, null);
      expect(winsock.WSAGetLastError()).toBe(spi.WSA_IO_PENDING);
    }
    const { SIO_FLUSH } = spi;
    expect(winsock.WSAIoctl(client, SIO_FLUSH, null, 0, null, 0, spi.ref(0), null, null)).toBe(0);
    const isOver = (): boolean => ovs.every(({ Internal }) => Internal !== 0x103);
    while (!isOver()) winsock.SleepEx(1, false);
    expect(ovs.map(({ Internal }) => spi.wsaErrorOfStatus(Internal))).toEqual([995, 995, 995]);
    world.close();
  });
});

describe('the catalog', () => {
  it('lists what TCP/IP has and hides SAN providers [INST-03 W2.12 W2.13]', () => {
    const world = new World();
    const { winsock } = world.a;
    const length = spi.ref(0);
    expect(winsock.WSAEnumProtocols(null, null, length)).toBe(-1);
    expect(winsock.WSAGetLastError()).toBe(spi.WSAENOBUFS);
    expect(length.value).toBe(6 * 628);
    const all: spi.WSAPROTOCOL_INFO[] = [];
    expect(winsock.WSAEnumProtocols(null, all, length)).toBe(6);
    expect(all.map(({ szProtocol }) => szProtocol)).toEqual([
      'TCP/IP',
      'UDP/IP',
      'RAW/IP',
      'TCP/IPv6',
      'UDP/IPv6',
      'RAW/IPv6',
    ]);
    expect(all.every(({ dwProviderFlags }) => (dwProviderFlags & spi.PFL_HIDDEN) === 0)).toBe(true);
    expect(new Set(all.map(({ dwCatalogEntryId }) => dwCatalogEntryId)).size).toBe(6);
    const some: spi.WSAPROTOCOL_INFO[] = [];
    expect(winsock.WSAEnumProtocols([spi.IPPROTO_UDP, 0], some, length)).toBe(2);
    const s = winsock.WSASocket(-1, -1, -1, some[0] ?? null, 0, 0);
    expect(s).not.toBe(spi.INVALID_SOCKET);
    expect(winsock.WSAEnumProtocols(null, all, null)).toBe(-1);
    expect(winsock.WSAGetLastError()).toBe(WSAEFAULT);
    world.close();
  });
});
