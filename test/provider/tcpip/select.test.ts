// WSPSelect: readiness of several sockets, timeouts, and no trace in the record of events.

import { expect, it } from 'vitest';
import * as spi from '../../../provider/spi/index.js';
import { milliseconds } from '../../../runtime/clock.js';
import { failsWith, lpErrno, onMachine } from './fixture.js';
import type { Host } from './fixture.js';

const A = '127.98.1.1';
const B = '127.98.1.2';

const setOf = (...handles: number[]): spi.fd_set => ({
  fd_count: handles.length,
  fd_array: handles,
});

interface Sets {
  read?: spi.fd_set;
  write?: spi.fd_set;
  except?: spi.fd_set;
  ms?: number;
}

function select(host: Host, { read, write, except, ms }: Sets): number {
  const timeout = ms === undefined ? null : { tv_sec: 0, tv_usec: ms * 1000 };
  const { lpWSPSelect } = host.wsp;
  return lpWSPSelect(0, read ?? null, write ?? null, except ?? null, timeout, lpErrno);
}

it('keeps in each set what is ready', () => {
  onMachine((machine) => {
    const a = machine.host(A);
    const { client, server } = machine.pair(a, machine.host(B));
    const [read, write] = [setOf(client), setOf(client)];
    expect(select(a, { read, write })).toBe(1);
    expect([read, write]).toEqual([setOf(), setOf(client)]);
    expect(server).not.toBe(0);
  });
});

it('waits for data, without disturbing the record of events [W10.12]', () => {
  onMachine((machine) => {
    const a = machine.host(A);
    const b = machine.host(B);
    const { client, server } = machine.pair(a, b);
    const event = machine.upcalls.event();
    expect(b.wsp.lpWSPEventSelect(server, event, spi.FD_READ, lpErrno)).toBe(0);
    const agent = {
      role: 'late sender',
      doWork: () => {
        machine.loop.remove(agent);
        return a.send(client, Buffer.from('late'));
      },
    };
    machine.loop.add(agent);
    const read = setOf(server);
    expect(select(b, { read })).toBe(1);
    machine.until(() => machine.isSignalled(event));
    const again = setOf(server);
    expect(select(b, { read: again })).toBe(1);
    expect(machine.isSignalled(event)).toBe(true);
    expect(b.events(server).lNetworkEvents).toBe(spi.FD_READ);
  });
});

it('a timeout empties the sets, not before its time', () => {
  onMachine((machine) => {
    const a = machine.host(A);
    const { client } = machine.pair(a, machine.host(B));
    const read = setOf(client, a.socket());
    const start = machine.clock.now();
    expect(select(a, { read, ms: 4 })).toBe(0);
    expect(machine.clock.now() - start).toBeGreaterThanOrEqual(milliseconds(4));
    expect(read).toEqual(setOf());
  });
});

it('connecting: writable when it succeeded, exceptional when it failed; a listener is readable', () => {
  onMachine((machine) => {
    const a = machine.host(A);
    const b = machine.host(B);
    const { s: listener, name } = b.listener();
    const deaf = b.socket();
    expect(b.bind(deaf, B)).toBe(0);
    const [good, bad] = [a.socket(), a.socket()];
    for (const s of [good, bad]) a.nonblocking(s);
    failsWith(spi.WSAEWOULDBLOCK, a.connect(good, name));
    const refusing = spi.sockaddrIn(B, b.sockName(deaf)?.port ?? 0);
    failsWith(spi.WSAEWOULDBLOCK, a.connect(bad, refusing));
    const [write, except] = [setOf(good), setOf(bad)];
    expect(select(a, { write })).toBe(1);
    expect(select(a, { except })).toBe(1);
    expect(select(b, { read: setOf(listener) })).toBe(1);
  });
});

it('no sockets are WSAEINVAL, others than sockets WSAENOTSOCK', () => {
  onMachine((machine) => {
    const a = machine.host(A);
    failsWith(spi.WSAEINVAL, select(a, {}));
    failsWith(spi.WSAENOTSOCK, select(a, { read: setOf(7) }));
  });
});
