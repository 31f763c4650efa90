// Event objects and waits.

import { describe, expect, it } from 'vitest';
import * as spi from '../../../provider/spi/index.js';
import { connectPair, pattern, World } from '../fakes/world.js';

const { WSA_INFINITE, WSA_WAIT_FAILED, WSA_WAIT_IO_COMPLETION, WSA_WAIT_TIMEOUT } = spi;

describe('event objects', () => {
  it('are manual-reset, begin nonsignalled, and have handles that are multiples of 4 [W9.12.1 W9.13.2]', () => {
    const world = new World();
    const { winsock } = world.a;
    const event = winsock.WSACreateEvent();
    expect(event % 4).toBe(0);
    const wait = (handle: number): number =>
      winsock.WSAWaitForMultipleEvents(1, [handle], false, 0, false);
    expect(wait(event)).toBe(WSA_WAIT_TIMEOUT);
    expect(winsock.WSASetEvent(event)).toBe(true);
    expect(wait(event)).toBe(0);
    expect(wait(event | 1)).toBe(0);
    expect(winsock.WSAResetEvent(event)).toBe(true);
    expect(wait(event)).toBe(WSA_WAIT_TIMEOUT);
    expect(winsock.WSACloseEvent(event)).toBe(true);
    for (const call of ['WSASetEvent', 'WSAResetEvent', 'WSACloseEvent'] as const) {
      expect(winsock[call](event)).toBe(false);
      expect(winsock.WSAGetLastError()).toBe(spi.WSA_INVALID_HANDLE);
    }
    world.close();
  });
});

describe('WSAWaitForMultipleEvents', () => {
  it('returns the lowest signalled index, or waits for all [W9.12.2]', () => {
    const world = new World();
    const { winsock } = world.a;
    const events = [winsock.WSACreateEvent(), winsock.WSACreateEvent(), winsock.WSACreateEvent()];
    winsock.WSASetEvent(events[2] as number);
    winsock.WSASetEvent(events[1] as number);
    expect(winsock.WSAWaitForMultipleEvents(3, events, false, WSA_INFINITE, false)).toBe(1);
    expect(winsock.WSAWaitForMultipleEvents(3, events, true, 0, false)).toBe(WSA_WAIT_TIMEOUT);
    winsock.WSASetEvent(events[0] as number);
    expect(winsock.WSAWaitForMultipleEvents(3, events, true, WSA_INFINITE, false)).toBe(0);
    world.close();
  });

  it('checks its arguments [W9.12.2]', () => {
    const world = new World();
    const { winsock } = world.a;
    const event = winsock.WSACreateEvent();
    const many = new Array<number>(65).fill(event);
    const bad: [number, number[], boolean, number][] = [
      [0, [], false, spi.WSA_INVALID_PARAMETER],
      [65, many, false, spi.WSA_INVALID_PARAMETER],
      [2, [event, event], true, spi.WSA_INVALID_PARAMETER],
      [2, [event, 3], false, spi.WSA_INVALID_HANDLE],
    ];
    for (const [count, events, all, error] of bad) {
      expect(winsock.WSAWaitForMultipleEvents(count, events, all, 0, false)).toBe(WSA_WAIT_FAILED);
      expect(winsock.WSAGetLastError()).toBe(error);
    }
    expect(winsock.WSAWaitForMultipleEvents(2, [event, event], false, 0, false)).toBe(
      WSA_WAIT_TIMEOUT,
    );
    world.close();
  });

  it('times out after its milliseconds [W9.12.2]', () => {
    const world = new World();
    const { winsock } = world.a;
    const event = winsock.WSACreateEvent();
    const before = world.clock.now();
    expect(winsock.WSAWaitForMultipleEvents(1, [event], false, 250, false)).toBe(WSA_WAIT_TIMEOUT);
    expect(world.clock.now() - before).toBe(250_000_000);
    world.close();
  });
});

describe('completion routines', () => {
  it('run in an alertable wait only, all that are queued, and never touch hEvent [W9.4 W9.9.1 W9.9.3 W9.9.6 APP-04]', () => {
    const world = new World();
    const { client, server } = connectPair(world);
    const { winsock } = world.b;
    const event = winsock.WSACreateEvent();
    const ran: string[] = [];
    const receive = (name: string): void => {
      const ov = spi.createOverlapped(event);
      const buffer = [{ len: 10, buf: new Uint8Array(10) }];
      winsock.WSARecv(
        server,
        buffer,
        1,
        null,
        spi.ref(0),
        ov,
        (error, bytes, lpOverlapped, flags) => {
          expect(lpOverlapped).toBe(ov);
          ran.push(`${name} ${error} ${bytes} ${flags}`);
        },
      );
    };
    receive('first');
    receive('second');
    for (let count = 0; count < 2; count++) world.a.winsock.send(client, pattern(10), 10, 0);
    world.settle();
    expect(winsock.WSAWaitForMultipleEvents(1, [event], false, 0, false)).toBe(WSA_WAIT_TIMEOUT);
    expect(ran).toEqual([]);
    const woken = winsock.WSAWaitForMultipleEvents(1, [event], false, WSA_INFINITE, true);
    expect(woken).toBe(WSA_WAIT_IO_COMPLETION);
    expect(ran).toEqual(['first 0 10 0', 'second 0 10 0']);
    world.close();
  });

  it('of one socket never nest; what one of them starts runs after it [W9.9.4 W9.9.8 W9.9.10]', () => {
    const world = new World();
    const { client } = connectPair(world);
    const { winsock } = world.a;
    const event = winsock.WSACreateEvent();
    const order: string[] = [];
    const send = (name: string, then: () => void): void => {
      const buffer = [{ len: 4, buf: pattern(4) }];
      const done = (): void => {
        order.push(`${name} begins`);
        then();
        order.push(`${name} ends`);
      };
      expect(winsock.WSASend(client, buffer, 1, spi.ref(0), 0, spi.createOverlapped(), done)).toBe(
        0,
      );
    };
    send('outer', () => {
      send('inner', () => undefined);
      const inside = winsock.WSAWaitForMultipleEvents(1, [event], false, 0, true);
      expect(inside).toBe(WSA_WAIT_TIMEOUT);
    });
    expect(winsock.WSAWaitForMultipleEvents(1, [event], false, 0, true)).toBe(
      WSA_WAIT_IO_COMPLETION,
    );
    expect(order).toEqual(['outer begins', 'outer ends', 'inner begins', 'inner ends']);
    world.close();
  });

  it('run while a blocking receive waits, which may bring what it waits for [W8.1.16]', () => {
    const world = new World();
    const { client, server } = connectPair(world);
    const { winsock } = world.b;
    const ov = spi.createOverlapped();
    const buffer = [{ len: 4, buf: pattern(4) }];
    winsock.WSASend(server, buffer, 1, spi.ref(0), 0, ov, () => {
      world.a.winsock.send(client, pattern(7), 7, 0);
    });
    expect(winsock.recv(server, new Uint8Array(10), 10, 0)).toBe(7);
    world.close();
  });

  it.each([
    ['documented', 1],
    ['windows', 0],
  ] as const)('alone make a send overlapped in profile %s: %i [W4.3 W4.4]', (profile, count) => {
    const world = new World({ profile });
    const { client } = connectPair(world);
    const { winsock } = world.a;
    let calls = 0;
    const buffer = [{ len: 4, buf: pattern(4) }];
    const routine: spi.WSAOVERLAPPED_COMPLETION_ROUTINE = (_error, _bytes, overlapped) => {
      expect(overlapped).toBeNull();
      calls++;
    };
    winsock.WSASend(client, buffer, 1, spi.ref(0), 0, null, routine);
    winsock.WSAWaitForMultipleEvents(1, [winsock.WSACreateEvent()], false, 0, true);
    expect(calls).toBe(count);
    world.close();
  });
});
