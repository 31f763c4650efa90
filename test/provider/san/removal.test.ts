// The provider of a NIC that is taken out while listeners, connections and attempts are open.

import { expect, it } from 'vitest';
import * as spi from '../../../provider/spi/index.js';
import { HandoverShelf, linkedTrio } from './duplicate-fakes.js';
import { FakeFabric } from './fake-nic.js';
import {
  LEFT_IP,
  LEFT_PORT,
  LISTEN_PORT,
  RIGHT_IP,
  settle,
  shutDown,
  TestHost,
  underEveryProfile,
} from './harness.js';

const EVENT = 8;

/** What FD_ACCEPT says; null when it says nothing. */
function acceptEvent(host: TestHost, s: number): number | null {
  const events = spi.createNetworkEvents();
  expect(host.procs.lpWSPEnumNetworkEvents(s, EVENT, events, host.errno)).toBe(0);
  if ((events.lNetworkEvents & spi.FD_ACCEPT) === 0) return null;
  return events.iErrorCode[spi.FD_ACCEPT_BIT] ?? 0;
}

/** The addresses that the provider lists. */
function addresses(host: TestHost): string[] {
  const { procs, errno } = host;
  const s = host.socket();
  const output = new Uint8Array(256);
  const bytes = spi.ref(0);
  const code = spi.SIO_ADDRESS_LIST_QUERY;
  const { length } = output;
  expect(procs.lpWSPIoctl(s, code, null, 0, output, length, bytes, null, null, null, errno)).toBe(
    0,
  );
  host.close(s);
  return (spi.parseAddressList(output, bytes.value) ?? []).map(({ ip }) => ip);
}

underEveryProfile('a NIC that is taken out', (profile) => {
  function hosts(): { left: TestHost; right: TestHost; listener: number } {
    const fabric = new FakeFabric();
    const left = new TestHost(fabric, LEFT_IP, { profile });
    const right = new TestHost(fabric, RIGHT_IP, { profile });
    const listener = right.listening(LISTEN_PORT);
    right.procs.lpWSPEventSelect(listener, EVENT, spi.FD_ACCEPT, right.errno);
    return { left, right, listener };
  }

  it('is told by FD_ACCEPT with WSAENETDOWN, once per selection, and not by a request that waited [EVT-09 EVT-10 ERR-04]', () => {
    const { left, right, listener } = hosts();
    const s = left.bound(LEFT_PORT);
    left.procs.lpWSPEventSelect(s, EVENT, spi.FD_CONNECT, left.errno);
    left.connect(s, RIGHT_IP, LISTEN_PORT);
    settle(left, right);
    expect(acceptEvent(right, listener)).toBe(0);
    right.upcalls.calls.length = 0;
    right.nic.remove();
    settle(left, right);
    expect(right.upcalls.names()).toEqual(['set']);
    expect(acceptEvent(right, listener)).toBe(spi.WSAENETDOWN);
    expect(acceptEvent(right, listener)).toBeNull();
    right.procs.lpWSPEventSelect(listener, EVENT, spi.FD_ACCEPT, right.errno);
    expect(acceptEvent(right, listener)).toBe(spi.WSAENETDOWN);
    // The peer is free to try TCP/IP. [CONNECT-05]
    expect(left.connectOutcome(s)).toBe(spi.WSAETIMEDOUT);
    shutDown(left, right);
  });

  it('answers what begins with WSAENETDOWN, and lets everything be closed [BIND-02 CONNECT-09 LISTEN-02 ERR-04]', () => {
    const { left, right, listener } = hosts();
    const bound = right.bound(7000);
    right.nic.remove();
    settle(left, right);
    expect(right.accept(listener)).toBe(spi.INVALID_SOCKET);
    expect(right.errno.value).toBe(spi.WSAENETDOWN);
    const { procs, errno } = right;
    expect(procs.lpWSPListen(bound, 5, errno)).toBe(spi.SOCKET_ERROR);
    expect(errno.value).toBe(spi.WSAENETDOWN);
    expect(right.connect(bound, LEFT_IP, LISTEN_PORT)).toBe(spi.SOCKET_ERROR);
    expect(errno.value).toBe(spi.WSAENETDOWN);
    const fresh = right.socket();
    const name = spi.sockaddrIn(RIGHT_IP, 7001);
    expect(procs.lpWSPBind(fresh, name, 16, errno)).toBe(spi.SOCKET_ERROR);
    expect(errno.value).toBe(spi.WSAEADDRNOTAVAIL);
    for (const s of [bound, fresh, listener]) right.close(s);
    shutDown(left, right);
  });

  it('has no address any more, and says so on a new socket [ADDR-06 ADDR-07 IOC-02]', () => {
    const { left, right } = hosts();
    expect(addresses(right)).toEqual([RIGHT_IP]);
    right.nic.remove();
    settle(left, right);
    expect(addresses(right)).toEqual([]);
    expect(addresses(left)).toEqual([LEFT_IP]);
    shutDown(left, right);
  });

  it('fails an attempt under way so that TCP/IP may be tried [CONNECT-05 ERR-04]', () => {
    const { left, right } = hosts();
    const s = left.bound(LEFT_PORT);
    left.procs.lpWSPEventSelect(s, EVENT, spi.FD_CONNECT, left.errno);
    left.connect(s, RIGHT_IP, LISTEN_PORT);
    left.nic.remove();
    settle(left, right);
    expect(left.connectOutcome(s)).toBe(spi.WSAETIMEDOUT);
    shutDown(left, right);
  });
});

it('a connection that waits for its peer is lost with the NIC, and a listener cannot be handed over [ERR-04 DUPSOCK-01]', () => {
  const { old, peer, a, b, end } = linkedTrio(new HandoverShelf());
  const buffer = new Uint8Array(8);
  peer.register(b, buffer);
  const received = spi.createOverlapped();
  peer.receive(b, received, buffer);
  const listener = peer.listening(LISTEN_PORT + 1);
  const info = spi.tcpProtocolInfo();
  expect(old.procs.lpWSPDuplicateSocket(a, 1, info, old.errno)).toBe(0);
  settle(old, peer);
  expect(peer.upcalls.completions()).toEqual([]);
  peer.nic.remove();
  settle(old, peer);
  expect(peer.upcalls.completions().map(({ error }) => error)).toEqual([spi.WSAECONNABORTED]);
  expect(peer.procs.lpWSPDuplicateSocket(listener, 1, info, peer.errno)).toBe(spi.SOCKET_ERROR);
  expect(peer.errno.value).toBe(spi.WSAENETDOWN);
  end();
});
