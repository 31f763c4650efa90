// The tables and helpers of the contract, and the worked example of ws2spi.ts, run.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import * as spi from '../../../provider/spi/index.js';
import { createProvider } from './smallest-provider.js';

const sourceOf = (relative: string): string =>
  readFileSync(new URL(relative, import.meta.url), 'utf8');

/** An upcall table of which only the socket handles work: all that the example uses. */
function upcallsWithHandles(): {
  readonly table: spi.WSPUpcallTableEx;
  readonly open: Set<number>;
} {
  const open = new Set<number>();
  let next = 4;
  const working = {
    lpWPUCreateSocketHandle: () => {
      open.add((next += 4));
      return next;
    },
    lpWPUCloseSocketHandle: (s: number, lpErrno: spi.Ref<number>) =>
      open.delete(s) ? 0 : spi.fail(lpErrno, spi.WSAENOTSOCK),
  };
  return { table: working as unknown as spi.WSPUpcallTableEx, open };
}

describe('procedure table', () => {
  it('an empty one has 30 null slots in header order [SPI-05]', () => {
    const table = spi.emptyProcTable();
    expect(Object.keys(table)).toEqual([...spi.PROC_TABLE_SLOTS]);
    expect(Object.values(table).every((slot) => slot === null)).toBe(true);
    expect(spi.emptyProcTable()).not.toBe(table);
  });

  it('a SAN provider fills 17 slots, in header order [SPI-01 SPI-05]', () => {
    expect(spi.SAN_PROC_TABLE_SLOTS).toHaveLength(17);
    const inOrder = spi.PROC_TABLE_SLOTS.filter((slot) =>
      (spi.SAN_PROC_TABLE_SLOTS as readonly string[]).includes(slot),
    );
    expect(inOrder).toEqual(spi.SAN_PROC_TABLE_SLOTS);
  });

  it('none of the functions that the switch never calls is among the 17 [SPI-02]', () => {
    const never = [
      ...['AddressToString', 'AsyncSelect', 'CancelBlockingCall', 'GetPeerName', 'GetSockName'],
      ...[
        'JoinLeaf',
        'RecvDisconnect',
        'RecvFrom',
        'Select',
        'SendDisconnect',
        'SendTo',
        'Shutdown',
      ],
      ...['StringToAddress'],
    ].map((name) => `lpWSP${name}`);
    const rest = spi.PROC_TABLE_SLOTS.filter(
      (slot) => !(spi.SAN_PROC_TABLE_SLOTS as readonly string[]).includes(slot),
    );
    expect([...rest].sort()).toEqual(never.sort());
  });

  it('a failing table fails in every slot with the value its type has for failure', () => {
    const table = spi.failingProcTable();
    for (const slot of spi.PROC_TABLE_SLOTS) {
      const lpErrno = spi.ref(0);
      const call = table[slot] as unknown as (...parameters: unknown[]) => number | boolean;
      expect([slot, call(1, 2, lpErrno)]).toEqual([slot, spi.failureValue(slot)]);
      expect(lpErrno.value).toBe(spi.WSAEOPNOTSUPP);
    }
    expect(spi.failureValue('lpWSPSocket')).toBe(spi.INVALID_SOCKET);
    expect(spi.failureValue('lpWSPGetOverlappedResult')).toBe(false);
    expect(spi.failureValue('lpWSPSend')).toBe(spi.SOCKET_ERROR);
  });
});

describe('structures', () => {
  it('an overlapped structure has the five fields of the header [DATA-01 W2.13]', () => {
    const overlapped = spi.createOverlapped(8);
    const names = Object.keys(overlapped);
    expect(overlapped).toEqual({
      Internal: 0,
      InternalHigh: 0,
      Offset: 0,
      OffsetHigh: 0,
      hEvent: 8,
    });
    expect(names).toEqual(['Internal', 'InternalHigh', 'Offset', 'OffsetHigh', 'hEvent']);
    expect(spi.createOverlapped().hEvent).toBe(spi.WSA_INVALID_EVENT);
  });

  it('network events are a mask and ten error slots, one a bit [DATA-03 EVT-03]', () => {
    expect(spi.createNetworkEvents()).toEqual({
      lNetworkEvents: 0,
      iErrorCode: Array<number>(10).fill(0),
    });
    expect(1 << spi.FD_ACCEPT_BIT).toBe(spi.FD_ACCEPT);
    expect(1 << spi.FD_CONNECT_BIT).toBe(spi.FD_CONNECT);
    expect(spi.createNetworkEvents().iErrorCode).not.toBe(spi.createNetworkEvents().iErrorCode);
  });

  it('a version word has the major number in its low byte [STARTUP-01 STARTUP-06]', () => {
    expect(spi.WSP_VERSION_2_2 & 0xff).toBe(2);
    for (const [word, allowed] of [
      [0x0202, true],
      [0x0302, true],
      [0x0003, true],
      [0x0102, false],
      [0x0201, false],
    ] as const) {
      expect([word, spi.supportsVersion22(word)]).toEqual([word, allowed]);
    }
  });
});

describe('catalog entries', () => {
  it('a SAN provider is hidden, and a TCP stream [INST-03 INST-13 INST-15]', () => {
    const info = spi.sanProtocolInfo({ providerId: spi.WSAID_RDMAREAD, name: 'x', qos: false });
    expect(info.dwProviderFlags).toBe(spi.PFL_HIDDEN);
    expect(info.dwServiceFlags1).toBe(
      spi.XP1_GUARANTEED_DELIVERY |
        spi.XP1_GUARANTEED_ORDER |
        spi.XP1_MESSAGE_ORIENTED |
        spi.XP1_GRACEFUL_CLOSE,
    );
    expect(info).toMatchObject({
      ProviderId: spi.WSAID_RDMAREAD,
      iVersion: 2,
      iAddressFamily: spi.AF_INET,
      iMaxSockAddr: 16,
      iSocketType: spi.SOCK_STREAM,
      iProtocol: spi.IPPROTO_TCP,
      dwMessageSize: 0xffffffff,
      ProtocolChain: { ChainLen: spi.BASE_PROTOCOL },
      dwProviderReserved: 0,
    });
  });

  it('one with QoS says so [INST-14]', () => {
    const info = spi.sanProtocolInfo({ providerId: spi.WSAID_RDMAREAD, name: 'x', qos: true });
    expect(info.dwServiceFlags1 & spi.XP1_QOS_SUPPORTED).toBe(spi.XP1_QOS_SUPPORTED);
  });

  it('TCP/IP is a visible byte stream, and an empty entry has the same fields', () => {
    const tcp = spi.tcpProtocolInfo();
    expect(tcp.dwProviderFlags & spi.PFL_HIDDEN).toBe(0);
    expect(tcp.dwServiceFlags1 & spi.XP1_MESSAGE_ORIENTED).toBe(0);
    expect(Object.keys(spi.emptyProtocolInfo())).toEqual(Object.keys(tcp));
    expect(tcp.ProtocolChain.ChainEntries).not.toBe(
      spi.tcpProtocolInfo().ProtocolChain.ChainEntries,
    );
  });
});

describe('extensions', () => {
  it('all are required but RdmaRead and the cache callback [EXT-02]', () => {
    const optional = spi.SAN_EXTENSIONS.filter((one) => !one.required).map((one) => one.name);
    expect(spi.SAN_EXTENSIONS).toHaveLength(7);
    expect(new Set(spi.SAN_EXTENSIONS.map((one) => one.guid)).size).toBe(7);
    expect(optional).toEqual(['WSPRdmaRead', 'WSPMemoryRegistrationCacheCallback']);
  });

  it('the box of a function pointer is told from a byte buffer', () => {
    expect(spi.isExtensionFunctionPointer({ value: null })).toBe(true);
    expect(spi.isExtensionFunctionPointer(new Uint8Array(8))).toBe(false);
    expect(spi.isExtensionFunctionPointer(null)).toBe(false);
  });
});

describe('profiles', () => {
  it('each is named by its key', () => {
    for (const [key, profile] of Object.entries(spi.PROFILES)) expect(profile.name).toBe(key);
    expect(spi.isProfileName('windows')).toBe(true);
    expect(spi.isProfileName('toString')).toBe(false);
  });
});

describe('the worked example of ws2spi.ts', () => {
  it('is the module that this test runs', () => {
    const doc = sourceOf('../../../provider/spi/ws2spi.ts').match(/^\/\/(?: {3}.*)?$/gm) ?? [];
    const shown = doc.map((line) => line.slice(5)).join('\n');
    const [, ...module] = sourceOf('./smallest-provider.ts').split('\n\n');
    const run = module.join('\n\n').replace('../../../provider/spi/index.js', 'winsock-direct/spi');
    expect(shown).toContain(run.trim());
  });

  it('starts, makes and closes a socket, lists no address, and refuses the rest', () => {
    const provider = createProvider({} as unknown as spi.ProviderEnvironment);
    const { table: upcalls, open } = upcallsWithHandles();
    const table = spi.emptyProcTable();
    const data = spi.emptyWspData();
    const start = (version: number, target: spi.WSPProcTable | null): number =>
      provider.WSPStartupEx(version, data, null, upcalls, target);
    expect(start(spi.WSP_VERSION_2_2, null)).toBe(spi.WSAEFAULT);
    expect(start(0x0102, table)).toBe(spi.WSAVERNOTSUPPORTED);
    expect(start(spi.WSP_VERSION_2_2, table)).toBe(0);
    expect(data.wVersion).toBe(0x0202);

    const e = spi.ref(0);
    const s =
      table.lpWSPSocket?.(2, 1, 6, null, 0, spi.WSA_FLAG_OVERLAPPED, e) ?? spi.INVALID_SOCKET;
    const output = new Uint8Array(64);
    const returned = spi.ref(0);
    const ioctl = (code: number): number | undefined =>
      table.lpWSPIoctl?.(s, code, null, 0, output, output.length, returned, null, null, null, e);
    expect(ioctl(spi.SIO_ADDRESS_LIST_QUERY)).toBe(0);
    expect(spi.parseAddressList(output, returned.value)).toEqual([]);
    expect([ioctl(spi.SIO_FLUSH), e.value]).toEqual([spi.SOCKET_ERROR, spi.WSAEINVAL]);
    expect(table.lpWSPCloseSocket?.(s, e)).toBe(0);
    expect(open.size).toBe(0);
  });
});
