// Start and end of the provider, its procedure table, and the two functions it does not have.

import { expect, it } from 'vitest';
import { createProvider } from '../../../provider/san/provider.js';
import type { SanEnvironment } from '../../../provider/san/provider.js';
import * as spi from '../../../provider/spi/index.js';
import { FakeFabric } from './fake-nic.js';
import {
  connectedPair,
  LEFT_IP,
  LISTEN_PORT,
  settle,
  shutDown,
  TestHost,
  underEveryProfile,
} from './harness.js';

underEveryProfile('starting the provider', (profile) => {
  it('fills the 17 slots of a SAN provider and leaves 13 null [SPI-01 SPI-05 STARTUP-05 OVL-17]', () => {
    const host = new TestHost(new FakeFabric(), LEFT_IP, { profile });
    const filled = spi.PROC_TABLE_SLOTS.filter(
      (slot) => (host.procs as spi.WSPProcTable)[slot] !== null,
    );
    expect(filled).toEqual(spi.SAN_PROC_TABLE_SLOTS);
    shutDown(host);
  });

  it('returns its error instead of storing it [STARTUP-01 STARTUP-02 STARTUP-06]', () => {
    const host = new TestHost(new FakeFabric(), LEFT_IP, { profile });
    const { provider, upcalls } = host;
    const table = spi.emptyProcTable();
    const data = spi.emptyWspData();
    expect(provider.WSPStartupEx(0x0102, data, null, upcalls.table, table)).toBe(
      spi.WSAVERNOTSUPPORTED,
    );
    expect(provider.WSPStartupEx(0x0002, data, null, upcalls.table, table)).toBe(
      spi.WSAVERNOTSUPPORTED,
    );
    expect(provider.WSPStartupEx(0x0202, null, null, upcalls.table, table)).toBe(spi.WSAEFAULT);
    expect(provider.WSPStartupEx(0x0202, data, null, upcalls.table, null)).toBe(spi.WSAEFAULT);
    // None of them was a start: one clean-up ends the one there was.
    expect(table).toEqual(spi.emptyProcTable());
    expect(data).toEqual(spi.emptyWspData());
    shutDown(host);
  });

  it('says its version and name [STARTUP-04]', () => {
    const host = new TestHost(new FakeFabric(), LEFT_IP, { profile });
    const data = spi.emptyWspData();
    const { provider, upcalls } = host;
    provider.WSPStartupEx(0x0302, data, null, upcalls.table, spi.emptyProcTable());
    expect(data.wVersion).toBe(spi.WSP_VERSION_2_2);
    expect(data.wHighVersion).toBe(spi.WSP_VERSION_2_2);
    expect(data.szDescription).toBe(provider.name);
    expect(data.szDescription.length).toBeLessThanOrEqual(spi.WSPDESCRIPTION_LEN);
    expect(host.procs.lpWSPCleanup(host.errno)).toBe(0);
    shutDown(host);
  });

  it('cannot be made without a NIC', () => {
    const environment = { nic: undefined } as unknown as SanEnvironment;
    expect(() => createProvider(environment)).toThrow(spi.WsaError);
  });
});

underEveryProfile('WSPCleanup', (profile) => {
  it('ends only with the last of as many calls as starts [CLEANUP-01]', () => {
    const host = new TestHost(new FakeFabric(), LEFT_IP, { profile });
    host.start();
    const s = host.socket();
    expect(host.procs.lpWSPCleanup(host.errno)).toBe(0);
    expect(host.procs.lpWSPCloseSocket(s, host.errno)).toBe(0);
    shutDown(host);
  });

  it('without a start is WSANOTINITIALISED [CLEANUP-04]', () => {
    const host = new TestHost(new FakeFabric(), LEFT_IP, { profile });
    shutDown(host);
    expect(host.procs.lpWSPCleanup(host.errno)).toBe(spi.SOCKET_ERROR);
    expect(host.errno.value).toBe(spi.WSANOTINITIALISED);
  });

  it('aborts what is pending and gives every handle back [CLEANUP-02]', () => {
    const { left, right, a } = connectedPair({ profile });
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

  it('refuses who waits at a listener, gives up a connect, and aborts a send that is on its way [CLEANUP-02 CLOSE-02]', () => {
    const { left, right, a } = connectedPair({ profile });
    const buffer = new Uint8Array(8);
    left.register(a, buffer);
    const sent = spi.createOverlapped(8);
    // Nobody receives it.
    left.send(a, sent, buffer);
    left.listening(7000);
    const waiting = right.bound(7001);
    right.procs.lpWSPEventSelect(waiting, 4, spi.FD_CONNECT, right.errno);
    right.connect(waiting, LEFT_IP, 7000);
    const connecting = left.bound(7002);
    left.connect(connecting, right.ip, LISTEN_PORT);
    settle(left, right);
    shutDown(left);
    expect(left.upcalls.completions()).toMatchObject([
      { overlapped: sent, error: spi.WSA_OPERATION_ABORTED, bytes: 0 },
    ]);
    settle(right);
    expect(right.connectOutcome(waiting)).toBe(spi.WSAECONNREFUSED);
    expect(right.nic.requestIds.length).toBeLessThanOrEqual(1);
    shutDown(right);
  });

  it('from inside a completion upcall ends what it was called for when that has returned [CLEANUP-02 CLOSE-03]', () => {
    const { left, right, a, b } = connectedPair({ profile });
    const buffer = new Uint8Array(64);
    left.register(a, buffer);
    right.register(b, buffer);
    left.receive(a, spi.createOverlapped(8), buffer);
    left.receive(a, spi.createOverlapped(12), buffer);
    const seen: unknown[] = [];
    left.upcalls.onComplete = () => {
      left.upcalls.onComplete = () => undefined;
      seen.push(left.procs.lpWSPCleanup(left.errno), left.loop.agentCount);
      const { table } = left.upcalls;
      const data = spi.emptyWspData();
      const procs = spi.emptyProcTable();
      const info = spi.tcpProtocolInfo();
      // The end is still to come: whoever starts now would get the upcalls of the one before.
      seen.push(left.provider.WSPStartupEx(spi.WSP_VERSION_2_2, data, info, table, procs));
    };
    right.send(b, spi.createOverlapped(1), buffer);
    settle(left, right);
    expect(seen).toEqual([0, 1, spi.WSASYSNOTREADY]);
    const errors = left.upcalls.completions().map(({ error }) => error);
    expect(errors).toEqual([0, spi.WSA_OPERATION_ABORTED]);
    expect(left.upcalls.names().at(-1)).toBe('close');
    expect([left.loop.agentCount, left.upcalls.openHandles.size]).toEqual([0, 0]);
    left.start();
    shutDown(left, right);
  });

  it('does not wait for ever for a NIC that does not let go', () => {
    const { left, right } = connectedPair({ profile });
    left.nic.neverLetsGo = true;
    expect(left.procs.lpWSPCleanup(left.errno)).toBe(0);
    expect(left.loop.agentCount).toBe(0);
    shutDown(right);
  });

  it('can be followed by another start', () => {
    const host = new TestHost(new FakeFabric(), LEFT_IP, { profile });
    shutDown(host);
    host.start();
    host.close(host.socket());
    settle(host);
    shutDown(host);
  });
});

underEveryProfile('what the provider does not do', (profile) => {
  it('answers WSPGetQOSByName with WSAEOPNOTSUPP, and WSAENOTSOCK where there is no socket [QOS-01 QOS-02]', () => {
    const host = new TestHost(new FakeFabric(), LEFT_IP, { profile });
    const { procs, errno } = host;
    expect(procs.lpWSPGetQOSByName(host.socket(), null, null, errno)).toBe(false);
    expect(errno.value).toBe(spi.WSAEOPNOTSUPP);
    expect(procs.lpWSPGetQOSByName(spi.INVALID_SOCKET, null, null, errno)).toBe(false);
    expect(errno.value).toBe(spi.WSAENOTSOCK);
    shutDown(host);
  });

  it('declares what its answers show', () => {
    const host = new TestHost(new FakeFabric(), LEFT_IP, { profile });
    const { capabilities } = host.provider;
    const { WSPMemoryRegistrationCacheCallback, WSPRdmaRead } = host.extensions;
    expect(capabilities.registrationCacheCallback).toBe(
      WSPMemoryRegistrationCacheCallback !== null,
    );
    expect(capabilities.rdmaRead).toBe(WSPRdmaRead !== null);
    const info = spi.emptyProtocolInfo();
    expect(capabilities.duplicate).toBe(false);
    const { procs, errno } = host;
    expect(procs.lpWSPDuplicateSocket(host.socket(), 1, info, errno)).toBe(spi.SOCKET_ERROR);
    expect(errno.value).toBe(spi.WSAEOPNOTSUPP);
    shutDown(host);
  });
});
