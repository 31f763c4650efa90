// What a provider may call back, and the tables behind it.

import { describe, expect, it } from 'vitest';
import * as spi from '../../provider/spi/index.js';
import { EventTable } from '../../switch/event-table.js';
import { HandleTable } from '../../switch/handle-table.js';
import { RoutingTable } from '../../switch/routing.js';
import type { LoadedProvider } from '../../switch/loaded-provider.js';
import { Ring } from '../../switch/ring.js';
import { deriveSessionLimits } from '../../switch/limits.js';
import { A, B, World } from './fakes/world.js';

const errno = spi.ref(0);

describe('the upcall table', () => {
  it('has the 16 entries of the header, in order [UPC-01 W2.15]', () => {
    const { upcalls } = new World({ stopped: true }).a.theSwitch;
    expect(Object.keys(upcalls)).toEqual([...spi.UPCALL_TABLE_EX_SLOTS]);
  });

  it("knows its socket handles and their contexts, and nobody else's [UPC-03 UPC-06 W13.4]", () => {
    const { upcalls } = new World({ stopped: true }).a.theSwitch;
    const context = {};
    const handle = upcalls.lpWPUCreateSocketHandle(0, context, errno);
    const out = spi.ref<unknown>(null);
    expect(upcalls.lpWPUQuerySocketHandleContext(handle, out, errno)).toBe(0);
    expect(out.value).toBe(context);
    expect(upcalls.lpWPUCloseSocketHandle(handle, errno)).toBe(0);
    for (const dead of [handle, 5, spi.INVALID_SOCKET]) {
      expect(upcalls.lpWPUCloseSocketHandle(dead, errno)).toBe(-1);
      expect(errno.value).toBe(spi.WSAENOTSOCK);
      expect(upcalls.lpWPUQuerySocketHandleContext(dead, out, errno)).toBe(-1);
    }
  });

  it('stores the bytes of a completion before its status, and refuses unknown handles [UPC-05 OVL-11 W13.3]', () => {
    const { upcalls } = new World({ stopped: true }).a.theSwitch;
    const handle = upcalls.lpWPUCreateSocketHandle(0, null, errno);
    const stored: string[] = [];
    const overlapped = new Proxy(spi.createOverlapped(), {
      set(target, field, value: number) {
        stored.push(String(field));
        return Reflect.set(target, field, value);
      },
    });
    expect(
      upcalls.lpWPUCompleteOverlappedRequest(handle, overlapped, spi.WSAECONNRESET, 12, errno),
    ).toBe(0);
    expect(stored).toEqual(['InternalHigh', 'Internal']);
    expect(overlapped.InternalHigh).toBe(12);
    expect(spi.wsaErrorOfStatus(overlapped.Internal)).toBe(spi.WSAECONNRESET);
    expect(upcalls.lpWPUCompleteOverlappedRequest(77, overlapped, 0, 0, errno)).toBe(-1);
    expect(errno.value).toBe(spi.WSAEINVAL);
  });

  it('makes, signals and closes events, and queues APCs for its own thread only [UPC-06 UPC-08 W13.1 W13.2 W13.5]', () => {
    const world = new World();
    const { upcalls } = world.a.theSwitch;
    const { winsock } = world.a;
    const event = upcalls.lpWPUCreateEvent(errno);
    expect(upcalls.lpWPUSetEvent(event, errno)).toBe(true);
    expect(winsock.WSAWaitForMultipleEvents(1, [event], false, 0, false)).toBe(0);
    expect(upcalls.lpWPUResetEvent(event, errno)).toBe(true);
    const thread = { ThreadHandle: 0, Reserved: 0 };
    expect(upcalls.lpWPUOpenCurrentThread(thread, errno)).toBe(0);
    const ran: unknown[] = [];
    expect(upcalls.lpWPUQueueApc(thread, (context) => ran.push(context), 'context', errno)).toBe(0);
    expect(ran).toEqual([]);
    const woken = winsock.WSAWaitForMultipleEvents(1, [event], false, 0, true);
    expect(woken).toBe(spi.WSA_WAIT_IO_COMPLETION);
    expect(ran).toEqual(['context']);
    const stranger = { ThreadHandle: 1, Reserved: 0 };
    expect(upcalls.lpWPUQueueApc(stranger, () => undefined, null, errno)).toBe(-1);
    expect(errno.value).toBe(spi.WSAEFAULT);
    expect(upcalls.lpWPUCloseThread(thread, errno)).toBe(0);
    expect(upcalls.lpWPUCloseEvent(event, errno)).toBe(true);
    expect(upcalls.lpWPUSetEvent(event, errno)).toBe(false);
    expect(errno.value).toBe(spi.WSA_INVALID_HANDLE);
    world.close();
  });
});

describe('the tables', () => {
  it('give no handle out again soon after it was closed [DUP-17]', () => {
    const table = new HandleTable();
    const seen = new Set<number>();
    for (let count = 0; count < 500; count++) {
      const entry = table.create(null);
      expect(entry).not.toBeNull();
      const handle = entry?.handle ?? 0;
      expect(seen.has(handle)).toBe(false);
      seen.add(handle);
      expect(table.close(handle)).toBe(true);
      expect(table.find(handle)).toBeNull();
    }
    expect(table.count).toBe(0);
  });

  it('bound the number of events [W9.12.1]', () => {
    const events = new EventTable();
    let last = 0;
    for (let handle = events.create(); handle !== 0; handle = events.create()) last = handle;
    expect(events.count).toBe(65_536);
    expect(events.close(last)).toBe(true);
    expect(events.create()).toBe(last);
  });

  it('route by subnet, the first provider first, and never to an own address [INIT-07 ARCH-11 ARCH-14 CONN-01 LSN-02]', () => {
    const number = (text: string): number => spi.ipv4Number(text) ?? 0;
    const provider = (...addresses: string[]): LoadedProvider =>
      ({ addresses: addresses.map(number) }) as unknown as LoadedProvider;
    const first = provider(A, '127.80.0.1');
    const second = provider('127.77.0.9');
    const table = new RoutingTable(number(A));
    table.rebuild([first, second]);
    const to = (destination: string, bound: string): LoadedProvider | undefined =>
      table.routeTo(number(destination), number(bound))?.provider;
    expect(to(B, '0.0.0.0')).toBe(first);
    expect(to(B, A)).toBe(first);
    expect(to(B, '127.77.0.9')).toBe(second);
    expect(to(B, '127.0.0.1')).toBeUndefined();
    expect(to('127.80.5.5', '0.0.0.0')).toBe(first);
    for (const own of [A, '127.80.0.1', '127.77.0.9', '127.81.0.1', '0.0.0.0']) {
      expect(to(own, '0.0.0.0')).toBeUndefined();
    }
    expect(table.listeners(0).map((route) => route.provider)).toEqual([first, second]);
    expect(table.listeners(number('127.77.0.9'))).toHaveLength(1);
    expect(table.listeners(number('127.0.0.1'))).toHaveLength(0);
  });

  it('keep their order in a ring', () => {
    const ring = new Ring(3);
    expect(ring.oldest).toBe(-1);
    for (const item of [5, 6, 7]) ring.push(item);
    expect(ring.shift()).toBe(5);
    ring.dropNewest();
    expect([ring.length, ring.oldest]).toEqual([1, 6]);
  });

  it('derive the bounds of a session from the sizes of a provider [OPT-03 OPT-04 OPT-05 XFER-07]', () => {
    const sizes = {
      messageBytesMax: 0xffffffff,
      rdmaBytesMax: 0xffffffff,
      thresholdBytes: 4096,
      sendQueueDepth: null,
      receiveQueueDepth: null,
      receivesPosted: null,
      receiveBufferBytes: null,
    };
    const usual = deriveSessionLimits(sizes);
    expect(usual).toMatchObject({
      receiveCount: 16,
      sendCount: 16,
      messageBytes: 4160,
      thresholdBytes: 4096,
    });
    expect(deriveSessionLimits({ ...sizes, messageBytesMax: 1022 })).toMatchObject({
      messageBytes: 1020,
    });
    expect(deriveSessionLimits({ ...sizes, messageBytesMax: 100 })).toBeNull();
    expect(deriveSessionLimits({ ...sizes, receiveQueueDepth: 2 })).toBeNull();
  });
});
