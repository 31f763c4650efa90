// The provider of examples/minimal-provider: real traffic beneath the switch, small and large, and its
// way through the catalog.

import { describe, expect, it } from 'vitest';
import * as minimal from '../../examples/minimal-provider/provider.js';
import { openEnvironment, tcpipProvider } from '../../index.js';
import * as spi from '../../provider/spi/index.js';
import * as fixture from './fixture.js';
import { ENGINES } from './fixture.js';
import { StreamEnd } from './stream.js';

const PROVIDERS = { providers: [minimal, tcpipProvider] };

describe('the minimal provider', () => {
  it('exports one function; all else comes from its procedure table and from WSPIoctl [INIT-02 INIT-05 SPI-01 SPI-05 EXT-01]', async () => {
    expect(Object.keys(minimal)).toEqual(['createProvider']);
    const host = await openEnvironment({ fabric: fixture.newFabric(), address: fixture.A });
    const provider = await host.createProvider(minimal);
    const table = spi.emptyProcTable();
    const data = spi.emptyWspData();
    const upcalls: Partial<spi.WSPUpcallTableEx> = {};
    const start = (version: number): number => {
      const info = spi.tcpProtocolInfo();
      return provider.WSPStartupEx(version, data, info, upcalls as spi.WSPUpcallTableEx, table);
    };
    expect(start(0x0002)).toBe(spi.WSAVERNOTSUPPORTED);
    expect(start(0x0202)).toBe(0);
    const filled = spi.PROC_TABLE_SLOTS.filter((slot) => table[slot] !== null);
    expect(filled).toEqual([...spi.SAN_PROC_TABLE_SLOTS]);
    const missing = spi.SAN_EXTENSIONS.filter(({ guid }) => {
      const box: spi.ExtensionFunctionPointer = { value: null };
      const id = spi.guidBytes(guid);
      const code = spi.SIO_GET_EXTENSION_FUNCTION_POINTER;
      const errno = spi.ref(0);
      const { lpWSPIoctl } = table as spi.SanProcTable;
      lpWSPIoctl(0, code, id, id.length, box, 8, spi.ref(0), null, null, null, errno);
      return box.value === null && errno.value === spi.WSAEOPNOTSUPP;
    });
    expect(missing.map(({ required }) => required)).toEqual([false, false]);
    expect(table.lpWSPCleanup?.(spi.ref(0))).toBe(0);
    await host.close();
  });
});

describe.each(ENGINES)('the minimal provider over the %s engine', (engine) => {
  it('carries small and large transfers both ways by messages and RDMA writes alone, in order and whole [ARCH-02 EXT-02 EXT-03 COMP-13 XFER-11]', async () => {
    const options = { ...PROVIDERS, engine };
    const { a, b, atA, atB } = await fixture.openPair({ a: options, b: options });
    const endA = new StreamEnd(a, atA, {
      seed: 31,
      peerSeed: 32,
      sends: 30,
      memory: 'VirtualAlloc',
    });
    const endB = new StreamEnd(b, atB, { seed: 32, peerSeed: 31, sends: 30, memory: 'ordinary' });
    const deadline = new fixture.Deadline('the end of both streams');
    while (!(endA.isDone && endB.isDone)) {
      endA.step(1);
      endB.step(1);
      deadline.check();
    }
    expect(endB.bytesReceived).toBe(endA.bytesSent);
    expect(endA.bytesReceived).toBe(endB.bytesSent);
    const { sanConnections, tcpConnections, rdmaBytesSent, messageBytesSent } = a.statistics();
    expect([sanConnections, tcpConnections]).toEqual([1, 0]);
    expect(Math.min(rdmaBytesSent, messageBytesSent)).toBeGreaterThan(0);
    endA.close();
    endB.close();
    await fixture.closeClean(a, b);
  });

  it('refuses where nobody listens, and resets where the peer goes [CONNECT-04 CLOSE-01]', async () => {
    const options = { ...PROVIDERS, engine };
    const { a, b, atA, atB } = await fixture.openPair({ a: options, b: options });
    expect(fixture.errorOf(() => fixture.connect(a, fixture.B, 9))).toBe(spi.WSAECONNRESET);
    expect(fixture.carry({ host: a, socket: atA }, { host: b, socket: atB }, 'hello')).toBe(
      'hello',
    );
    const hard = Uint8Array.of(1, 0, 0, 0);
    b.winsock.setsockopt(atB, spi.SOL_SOCKET, spi.SO_LINGER, hard, hard.length);
    b.winsock.closesocket(atB);
    expect(a.winsock.recv(atA, new Uint8Array(1), 1, 0)).toBe(spi.SOCKET_ERROR);
    expect(a.winsock.WSAGetLastError()).toBe(spi.WSAECONNRESET);
    a.winsock.closesocket(atA);
    await fixture.closeClean(a, b);
  });
});
