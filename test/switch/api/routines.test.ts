// Completion routines and APCs: when they run, in which waits, with what. And the outcome of operations
// that were waited for otherwise.

import { describe, expect, it } from 'vitest';
import * as spi from '../../../provider/spi/index.js';
import type { HostUnderTest } from '../fakes/world.js';
import { connectPair, pattern, World } from '../fakes/world.js';

const { WSA_INFINITE, WSA_WAIT_IO_COMPLETION, WSA_WAIT_TIMEOUT } = spi;
const buffer = (length: number): spi.WSABUF[] => [{ len: length, buf: pattern(length) }];

function queueApc({ winsock }: HostUnderTest, apc: () => unknown): void {
  expect(winsock.QueueUserAPC(apc, winsock.GetCurrentThread(), null)).toBe(true);
}

describe('alertable waits', () => {
  it('SleepEx and waits for one object run what is queued, even with no time to wait [W9.9.1 W9.12.4]', () => {
    const world = new World();
    const { winsock } = world.a;
    const event = winsock.WSACreateEvent();
    const ran: string[] = [];
    queueApc(world.a, () => ran.push('one'));
    queueApc(world.a, () => ran.push('two'));
    expect(winsock.SleepEx(0, false)).toBe(0);
    expect(winsock.WaitForSingleObjectEx(event, 0, false)).toBe(WSA_WAIT_TIMEOUT);
    expect(ran).toEqual([]);
    expect(winsock.SleepEx(0, true)).toBe(WSA_WAIT_IO_COMPLETION);
    expect(ran).toEqual(['one', 'two']);
    queueApc(world.a, () => ran.push('three'));
    expect(winsock.WaitForSingleObjectEx(event, 0, true)).toBe(WSA_WAIT_IO_COMPLETION);
    expect(ran).toEqual(['one', 'two', 'three']);
    const before = world.clock.now();
    expect(winsock.SleepEx(40, true)).toBe(0);
    expect(world.clock.now() - before).toBe(40_000_000);
    world.close();
  });

  it('one that signals the awaited event ends the wait with 192, and the event stays for the next [W9.12.3]', () => {
    const world = new World();
    const { winsock } = world.a;
    const events = [winsock.WSACreateEvent(), winsock.WSACreateEvent()];
    const [first] = events as [number, number];
    queueApc(world.a, () => winsock.WSASetEvent(first));
    queueApc(world.a, () => {
      // A wait inside, not alertable.
      expect(winsock.WSAWaitForMultipleEvents(1, [first], false, WSA_INFINITE, false)).toBe(0);
    });
    const wait = (): number =>
      winsock.WSAWaitForMultipleEvents(2, events, false, WSA_INFINITE, true);
    expect(wait()).toBe(WSA_WAIT_IO_COMPLETION);
    expect(wait()).toBe(0);
    world.close();
  });

  it('an event that is set already comes before what is queued [W9.12.5]', () => {
    const world = new World();
    const { winsock } = world.a;
    const event = winsock.WSACreateEvent();
    winsock.WSASetEvent(event);
    let ran = 0;
    queueApc(world.a, () => ran++);
    expect(winsock.WSAWaitForMultipleEvents(1, [event], false, WSA_INFINITE, true)).toBe(0);
    expect(ran).toBe(0);
    expect(winsock.SleepEx(0, true)).toBe(WSA_WAIT_IO_COMPLETION);
    world.close();
  });

  it('neither WSAGetOverlappedResult nor a call that need not wait is one [W9.9.2 W9.11.3 W8.1.16]', () => {
    const world = new World();
    const { client, server } = connectPair(world);
    const { winsock } = world.b;
    let ran = 0;
    queueApc(world.b, () => ran++);
    const ov = spi.createOverlapped();
    winsock.WSARecv(server, buffer(8), 1, null, spi.ref(0), ov, null);
    world.a.winsock.send(client, pattern(8), 8, 0);
    const bytes = spi.ref(0);
    expect(winsock.WSAGetOverlappedResult(server, ov, bytes, true, spi.ref(0))).toBe(true);
    world.a.winsock.send(client, pattern(8), 8, 0);
    world.settle();
    expect(winsock.recv(server, new Uint8Array(8), 8, 0)).toBe(8);
    winsock.ioctlsocket(server, spi.FIONBIO, spi.ref(1));
    expect(winsock.recv(server, new Uint8Array(8), 8, 0)).toBe(-1);
    expect(ran).toBe(0);
    expect(winsock.SleepEx(0, true)).toBe(WSA_WAIT_IO_COMPLETION);
    expect(ran).toBe(1);
    world.close();
  });

  it('APCs need a thread that is there [W9.12.6 W13.1]', () => {
    const world = new World();
    const { winsock } = world.a;
    expect(winsock.QueueUserAPC(() => undefined, 4711, null)).toBe(false);
    expect(winsock.WSAGetLastError()).toBe(spi.WSA_INVALID_HANDLE);
    world.close();
  });
});

describe('completion routines', () => {
  it('run in the order in which their operations ended, with error, count, structure and flags [W9.9.5 W9.9.6 W9.9.9 W9.9.11 W9.6 APP-09]', () => {
    const world = new World();
    const { client, server } = connectPair(world);
    const { winsock } = world.b;
    const told: unknown[][] = [];
    const routine: spi.WSAOVERLAPPED_COMPLETION_ROUTINE = (...values) => void told.push(values);
    const ovs = [1, 2, 3].map(() => spi.createOverlapped());
    for (const ov of ovs) {
      winsock.WSARecv(server, buffer(8), 1, null, spi.ref(0), ov, routine);
    }
    world.a.winsock.send(client, pattern(8), 8, 0);
    world.a.winsock.send(client, pattern(3), 3, 0);
    world.settle();
    expect(winsock.SleepEx(0, true)).toBe(WSA_WAIT_IO_COMPLETION);
    world.a.winsock.closesocket(client);
    expect(winsock.SleepEx(WSA_INFINITE, true)).toBe(WSA_WAIT_IO_COMPLETION);
    expect(told).toEqual([
      [0, 8, ovs[0], 0],
      [0, 3, ovs[1], 0],
      [0, 0, ovs[2], 0],
    ]);
    world.close();
  });

  it('may send and receive; those of another socket may run inside [W9.9.4 W9.9.8 W9.9.10 W5.15]', () => {
    const world = new World();
    const first = connectPair(world);
    const other = world.a.winsock.socket(spi.AF_INET, spi.SOCK_STREAM, 0);
    const to = spi.sockaddrIn('127.77.0.2', 4000);
    expect(world.a.winsock.connect(other, to, 16)).toBe(0);
    const second = world.b.winsock.accept(first.listener, null, null);
    const { winsock } = world.a;
    const order: string[] = [];
    const send = (s: number, label: string, inside: () => void = () => undefined): void => {
      const done = (): void => {
        order.push(`${label} begins`);
        inside();
        order.push(`${label} ends`);
      };
      const ov = spi.createOverlapped();
      winsock.WSASendTo(s, buffer(4), 1, null, 0, null, 0, ov, done);
    };
    send(first.client, 'outer', () => {
      send(first.client, 'same socket');
      send(other, 'other socket');
      expect(winsock.SleepEx(0, true)).toBe(WSA_WAIT_IO_COMPLETION);
    });
    expect(winsock.SleepEx(0, true)).toBe(WSA_WAIT_IO_COMPLETION);
    expect(order).toEqual([
      'outer begins',
      'other socket begins',
      'other socket ends',
      'outer ends',
      'same socket begins',
      'same socket ends',
    ]);
    expect(world.b.winsock.recv(second, new Uint8Array(9), 9, 0)).toBe(4);
    world.close();
  });
});

describe('WSAGetOverlappedResult', () => {
  it('waits for operations with an event only: with a routine it is refused [W9.11.1 W9.11.2]', () => {
    const world = new World();
    const { server } = connectPair(world);
    const { winsock } = world.b;
    const bytes = spi.ref(0);
    const result = (ov: spi.WSAOVERLAPPED | null, wait: boolean): boolean =>
      winsock.WSAGetOverlappedResult(server, ov, bytes, wait, spi.ref(0));
    const ov = spi.createOverlapped();
    winsock.WSARecv(server, buffer(8), 1, null, spi.ref(0), ov, () => undefined);
    expect(result(ov, true)).toBe(false);
    expect(winsock.WSAGetLastError()).toBe(spi.WSA_INVALID_PARAMETER);
    expect(result(ov, false)).toBe(false);
    expect(winsock.WSAGetLastError()).toBe(spi.WSA_IO_INCOMPLETE);
    const stray = spi.createOverlapped();
    winsock.WSARecv(server, buffer(8), 1, null, spi.ref(0), stray, null);
    stray.hEvent = 4711;
    expect(result(stray, true)).toBe(false);
    expect(winsock.WSAGetLastError()).toBe(spi.WSA_INVALID_HANDLE);
    expect(result(null, false)).toBe(false);
    expect(winsock.WSAGetLastError()).toBe(spi.WSAEFAULT);
    for (const handle of [0, 4711, spi.INVALID_SOCKET, winsock.WSACreateEvent()]) {
      expect(winsock.WSAGetOverlappedResult(handle, ov, bytes, false, spi.ref(0))).toBe(false);
      expect(winsock.WSAGetLastError()).toBe(spi.WSAENOTSOCK);
    }
    world.close();
  });

  it.each([
    ['documented', true, 8, 0],
    ['windows', true, 0, 0x103],
  ] as const)(
    'a wait whose event is set already: profile %s [W9.11.3]',
    (profile, expected, count, status) => {
      const world = new World({ profile });
      const { client, server } = connectPair(world);
      const { winsock } = world.b;
      const ov = spi.createOverlapped(winsock.WSACreateEvent());
      winsock.WSARecv(server, buffer(8), 1, null, spi.ref(0), ov, null);
      winsock.WSASetEvent(ov.hEvent);
      // Sent when the wait has begun: nothing moves before.
      queueApc(world.a, () => world.a.winsock.send(client, pattern(8), 8, 0));
      if (profile === 'documented') world.a.winsock.SleepEx(0, true);
      const bytes = spi.ref(99);
      expect(winsock.WSAGetOverlappedResult(server, ov, bytes, true, spi.ref(0))).toBe(expected);
      expect([bytes.value, ov.Internal]).toEqual([count, status]);
      world.close();
    },
  );

  it('tells of the last operation that was started with the structure [W9.11.5 W9.5]', () => {
    const world = new World();
    const { client, server } = connectPair(world);
    const { winsock } = world.b;
    const ov = spi.createOverlapped();
    const bytes = spi.ref(0);
    for (const length of [5, 7]) {
      winsock.WSARecv(server, buffer(8), 1, null, spi.ref(0), ov, null);
      world.a.winsock.send(client, pattern(length), length, 0);
      expect(winsock.WSAGetOverlappedResult(server, ov, bytes, true, spi.ref(0))).toBe(true);
      expect(bytes.value).toBe(length);
    }
    world.close();
  });

  it.each([
    ['documented', 44],
    ['windows', 0],
  ] as const)(
    'leaves the count of a failed operation as in profile %s: %i [W9.11.4]',
    (profile, count) => {
      const world = new World({ profile });
      const { server } = connectPair(world);
      const { winsock } = world.b;
      const ov = spi.createOverlapped();
      winsock.WSARecv(server, buffer(8), 1, null, spi.ref(0), ov, null);
      winsock.CancelIo(server);
      world.settle();
      const bytes = spi.ref(44);
      const flags = spi.ref(55);
      expect(winsock.WSAGetOverlappedResult(server, ov, bytes, false, flags)).toBe(false);
      expect(winsock.WSAGetLastError()).toBe(spi.WSA_OPERATION_ABORTED);
      expect([bytes.value, flags.value]).toEqual([count, 55]);
      world.close();
    },
  );
});
