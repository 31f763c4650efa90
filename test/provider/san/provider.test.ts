// Start and end of the provider, its procedure table, and the two functions it does not have.

import { describe, expect, it } from 'vitest';
import { createProvider } from '../../../provider/san/provider.js';
import type { SanEnvironment } from '../../../provider/san/provider.js';
import * as spi from '../../../provider/spi/index.js';
import { FakeFabric } from './fake-nic.js';
import { connectedPair, LEFT_IP, settle, shutDown, TestHost } from './harness.js';

describe('starting the provider', () => {
  it('fills the 17 slots of a SAN provider and leaves 13 null [SPI-01 SPI-05 STARTUP-05]', () => {
    const host = new TestHost(new FakeFabric(), LEFT_IP);
    const filled = spi.PROC_TABLE_SLOTS.filter(
      (slot) => (host.procs as spi.WSPProcTable)[slot] !== null,
    );
    expect(filled).toEqual(spi.SAN_PROC_TABLE_SLOTS);
    shutDown(host);
  });

  it('returns its error instead of storing it [STARTUP-01 STARTUP-02 STARTUP-06]', () => {
    const host = new TestHost(new FakeFabric(), LEFT_IP);
    const { provider, upcalls } = host;
    const table = spi.emptyProcTable();
    const data = spi.emptyWspData();
    expect(provider.WSPStartupEx(0x0102, data, null, upcalls.table, table)).toBe(
      spi.WSAVERNOTSUPPORTED,
    );
    expect(provider.WSPStartupEx(0x0202, null, null, upcalls.table, table)).toBe(spi.WSAEFAULT);
    expect(provider.WSPStartupEx(0x0202, data, null, upcalls.table, null)).toBe(spi.WSAEFAULT);
    shutDown(host);
  });

  it('says its version and name [STARTUP-04]', () => {
    const host = new TestHost(new FakeFabric(), LEFT_IP);
    const data = spi.emptyWspData();
    const { provider, upcalls } = host;
    provider.WSPStartupEx(0x0302, data, null, upcalls.table, spi.emptyProcTable());
    expect(data.wVersion).toBe(spi.WSP_VERSION_2_2);
    expect(data.szDescription.length).toBeLessThanOrEqual(spi.WSPDESCRIPTION_LEN);
    expect(host.procs.lpWSPCleanup(host.errno)).toBe(0);
    shutDown(host);
  });

  it('cannot be made without a NIC', () => {
    const environment = { nic: undefined } as unknown as SanEnvironment;
    expect(() => createProvider(environment)).toThrow(spi.WsaError);
  });
});

describe('WSPCleanup', () => {
  it('ends only with the last of as many calls as starts [CLEANUP-01]', () => {
    const host = new TestHost(new FakeFabric(), LEFT_IP);
    host.start();
    const s = host.socket();
    expect(host.procs.lpWSPCleanup(host.errno)).toBe(0);
    expect(host.procs.lpWSPCloseSocket(s, host.errno)).toBe(0);
    shutDown(host);
  });

  it('without a start is WSANOTINITIALISED [CLEANUP-04]', () => {
    const host = new TestHost(new FakeFabric(), LEFT_IP);
    shutDown(host);
    expect(host.procs.lpWSPCleanup(host.errno)).toBe(spi.SOCKET_ERROR);
    expect(host.errno.value).toBe(spi.WSANOTINITIALISED);
  });

  it('aborts what is pending and gives every handle back [CLEANUP-02]', () => {
    const { left, right, a } = connectedPair();
    const buffer = new Uint8Array(64);
    left.register(a, buffer);
    const overlapped = spi.createOverlapped(8);
    left.receive(a, overlapped, buffer);
    shutDown(left);
    expect(left.upcalls.completions()).toMatchObject([
      { overlapped, error: spi.WSA_OPERATION_ABORTED, bytes: 0 },
    ]);
    expect(left.upcalls.names().at(-1)).toBe('close');
    shutDown(right);
  });

  it('can be followed by another start', () => {
    const host = new TestHost(new FakeFabric(), LEFT_IP);
    shutDown(host);
    host.start();
    host.close(host.socket());
    settle(host);
    shutDown(host);
  });
});

describe('what the provider does not do', () => {
  it('answers WSPGetQOSByName with WSAEOPNOTSUPP [QOS-01]', () => {
    const host = new TestHost(new FakeFabric(), LEFT_IP);
    const { procs, errno } = host;
    expect(procs.lpWSPGetQOSByName(host.socket(), null, null, errno)).toBe(false);
    expect(errno.value).toBe(spi.WSAEOPNOTSUPP);
    shutDown(host);
  });

  it('declares what its answers show', () => {
    const host = new TestHost(new FakeFabric(), LEFT_IP);
    const { capabilities } = host.provider;
    expect(capabilities.registrationCacheCallback).toBe(false);
    expect(capabilities.rdmaRead).toBe(host.extensions.WSPRdmaRead !== null);
    const info = spi.emptyProtocolInfo();
    expect(capabilities.duplicate).toBe(false);
    const { procs, errno } = host;
    expect(procs.lpWSPDuplicateSocket(host.socket(), 1, info, errno)).toBe(spi.SOCKET_ERROR);
    expect(errno.value).toBe(spi.WSAEOPNOTSUPP);
    shutDown(host);
  });
});
