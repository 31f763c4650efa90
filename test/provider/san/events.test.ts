// The record of network events and its selection.

import { expect, it } from 'vitest';
import * as spi from '../../../provider/spi/index.js';
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

/** A listener with one request in its queue; nothing is selected. */
function requested(profile: spi.Profile): {
  left: TestHost;
  right: TestHost;
  s: number;
  listener: number;
} {
  const fabric = new FakeFabric();
  const left = new TestHost(fabric, LEFT_IP, { profile });
  const right = new TestHost(fabric, RIGHT_IP, { profile });
  const s = left.bound(LEFT_PORT);
  const listener = right.listening(LISTEN_PORT);
  left.connect(s, RIGHT_IP, LISTEN_PORT);
  settle(left, right);
  return { left, right, s, listener };
}

function enumerate(host: TestHost, s: number, hEvent = 0): spi.WSANETWORKEVENTS {
  const events = spi.createNetworkEvents();
  expect(host.procs.lpWSPEnumNetworkEvents(s, hEvent, events, host.errno)).toBe(0);
  return events;
}

underEveryProfile('WSPEventSelect', (profile) => {
  it('takes FD_CONNECT, FD_ACCEPT or both, and nothing else [EVT-01 EVT-02 EVT-05 EVT-10]', () => {
    const host = new TestHost(new FakeFabric(), LEFT_IP, { profile });
    const s = host.socket();
    const select = (mask: number, hEvent = 4): number => {
      host.errno.value = 0;
      host.procs.lpWSPEventSelect(s, hEvent, mask, host.errno);
      return host.errno.value;
    };
    expect(select(spi.FD_CONNECT)).toBe(0);
    expect(select(spi.FD_CONNECT | spi.FD_ACCEPT)).toBe(0);
    expect(select(0, 0)).toBe(0);
    expect(select(spi.FD_READ)).toBe(spi.WSAEINVAL);
    expect(select(spi.FD_CONNECT | spi.FD_CLOSE)).toBe(spi.WSAEINVAL);
    expect(select(spi.FD_CONNECT, 0)).toBe(spi.WSAEINVAL);
    shutDown(host);
  });

  it('signals at once what holds already [EVT-10]', () => {
    const { left, right, listener, s } = requested(profile);
    right.procs.lpWSPEventSelect(listener, 8, spi.FD_ACCEPT, right.errno);
    expect(right.upcalls.signalled.has(8)).toBe(true);
    right.accept(listener);
    settle(left, right);
    left.procs.lpWSPEventSelect(s, 4, spi.FD_CONNECT, left.errno);
    expect(left.upcalls.signalled.has(4)).toBe(true);
    expect(left.connectOutcome(s)).toBe(0);
    shutDown(left, right);
  });

  it('replaces the earlier selection: the new event is signalled, and what was recorded is gone [EVT-08]', () => {
    const { left, right, listener } = requested(profile);
    right.procs.lpWSPEventSelect(listener, 8, spi.FD_ACCEPT, right.errno);
    right.procs.lpWSPEventSelect(listener, 12, spi.FD_CONNECT, right.errno);
    expect(enumerate(right, listener).lNetworkEvents).toBe(0);
    right.upcalls.signalled.clear();
    const another = left.bound(LEFT_PORT + 1);
    left.connect(another, RIGHT_IP, LISTEN_PORT);
    settle(left, right);
    // The selection that had FD_ACCEPT is no more.
    expect(right.upcalls.signalled.size).toBe(0);
    right.procs.lpWSPEventSelect(listener, 16, spi.FD_ACCEPT, right.errno);
    expect([...right.upcalls.signalled]).toEqual([16]);
    shutDown(left, right);
  });

  it('with 0 ends the selection [EVT-08]', () => {
    const { left, right, listener, s } = requested(profile);
    left.procs.lpWSPEventSelect(s, 4, spi.FD_CONNECT, left.errno);
    left.procs.lpWSPEventSelect(s, 0, 0, left.errno);
    right.accept(listener);
    settle(left, right);
    expect(left.upcalls.signalled.size).toBe(0);
    expect(enumerate(left, s).lNetworkEvents).toBe(0);
    shutDown(left, right);
  });
});

underEveryProfile('WSPEnumNetworkEvents', (profile) => {
  it('copies what happened, clears it, and resets the event it is given [EVT-03 EVT-06]', () => {
    const { left, right, listener } = requested(profile);
    right.procs.lpWSPEventSelect(listener, 8, spi.FD_ACCEPT, right.errno);
    const first = enumerate(right, listener, 8);
    expect(first.lNetworkEvents).toBe(spi.FD_ACCEPT);
    expect(first.iErrorCode[spi.FD_ACCEPT_BIT]).toBe(0);
    expect(right.upcalls.signalled.has(8)).toBe(false);
    expect(enumerate(right, listener).lNetworkEvents).toBe(0);
    shutDown(left, right);
  });

  it('changes nothing when it fails, and writes only the slots that happened [EVT-05 EVT-07]', () => {
    const { left, right, listener } = requested(profile);
    const { procs, errno } = right;
    procs.lpWSPEventSelect(listener, 8, spi.FD_ACCEPT, errno);
    right.upcalls.badEvents.add(12);
    const events = spi.createNetworkEvents();
    events.iErrorCode.fill(-7);
    expect(procs.lpWSPEnumNetworkEvents(listener, 12, events, errno)).toBe(spi.SOCKET_ERROR);
    expect(errno.value).toBe(spi.WSAEINVAL);
    expect(procs.lpWSPEnumNetworkEvents(listener, 0, null, errno)).toBe(spi.SOCKET_ERROR);
    expect(errno.value).toBe(spi.WSAEINVAL);
    expect(procs.lpWSPEnumNetworkEvents(listener, 0, events, errno)).toBe(0);
    expect(events.lNetworkEvents).toBe(spi.FD_ACCEPT);
    expect(events.iErrorCode).toEqual([-7, -7, -7, 0, -7, -7, -7, -7, -7, -7]);
    shutDown(left, right);
  });
});
