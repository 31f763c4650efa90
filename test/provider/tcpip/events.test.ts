// Network events: what is recorded, when it fires again, how it is reported.

import { describe, expect, it } from 'vitest';
import * as spi from '../../../provider/spi/index.js';
import { failsWith, lpErrno, onMachine } from './fixture.js';
import type { Host, Machine } from './fixture.js';

const A = '127.95.1.1';
const B = '127.95.1.2';
const { FD_ACCEPT, FD_CLOSE, FD_CONNECT, FD_OOB, FD_READ, FD_WRITE } = spi;

interface World {
  machine: Machine;
  a: Host;
  b: Host;
  client: number;
  server: number;
  event: number;
}

function connected(body: (world: World) => void, profile?: spi.ProfileName): void {
  onMachine((machine) => {
    const a = machine.host(A, profile);
    const b = machine.host(B, profile);
    body({ machine, a, b, ...machine.pair(a, b), event: machine.upcalls.event() });
  });
}

const select = (host: Host, s: number, event: number, mask: number): number =>
  host.wsp.lpWSPEventSelect(s, event, mask, lpErrno);

/** Waits until the event is set, then reports and resets it. */
function next({ machine, event }: World, host: Host, s: number): number {
  machine.until(() => machine.isSignalled(event));
  const reported = spi.createNetworkEvents();
  expect(host.wsp.lpWSPEnumNetworkEvents(s, event, reported, lpErrno)).toBe(0);
  return reported.lNetworkEvents;
}

/** Lets everything that is under way arrive, and shows that the event stayed unset. */
function quiet({ machine, event }: World): void {
  while (machine.loop.poll() > 0);
  expect(machine.isSignalled(event)).toBe(false);
}

describe('FD_READ', () => {
  it('fires once, and again after each receive while there is data [W10.2 W10.3 W10.4]', () => {
    connected((world) => {
      const { a, b, client, server, event } = world;
      expect(select(b, server, event, FD_READ)).toBe(0);
      expect(a.send(client, Buffer.from('abc'))).toBe(3);
      expect(next(world, b, server)).toBe(FD_READ);
      quiet(world);
      for (const rest of [FD_READ, FD_READ]) {
        expect(b.recv(server, new Uint8Array(1))).toBe(1);
        expect(next(world, b, server)).toBe(rest);
      }
      expect(b.recv(server, new Uint8Array(1))).toBe(1);
      quiet(world);
      expect(a.send(client, Buffer.from('d'))).toBe(1);
      expect(next(world, b, server)).toBe(FD_READ);
    });
  });

  it('is not recorded for data that a pending receive takes [W10.9]', () => {
    connected((world) => {
      const { machine, a, b, client, server, event } = world;
      expect(select(b, server, event, FD_READ)).toBe(0);
      const overlapped = spi.createOverlapped(machine.upcalls.event());
      const buffers = [{ len: 8, buf: new Uint8Array(8) }];
      const { lpWSPRecv } = b.wsp;
      failsWith(
        spi.WSA_IO_PENDING,
        lpWSPRecv(server, buffers, 1, null, spi.ref(0), overlapped, null, null, lpErrno),
      );
      expect(a.send(client, Buffer.from('abc'))).toBe(3);
      machine.until(() => machine.isSignalled(overlapped.hEvent));
      quiet(world);
      expect(a.send(client, Buffer.from('d'))).toBe(1);
      expect(next(world, b, server)).toBe(FD_READ);
    });
  });
});

describe('FD_WRITE', () => {
  it('fires once after connecting, then only after a send found no room [W10.6]', () => {
    connected((world) => {
      const { machine, a, b, client, server, event } = world;
      expect(select(a, client, event, FD_WRITE)).toBe(0);
      expect(next(world, a, client)).toBe(FD_WRITE);
      expect(a.send(client, new Uint8Array(100))).toBe(100);
      quiet(world);
      while (a.send(client, new Uint8Array(1 << 20)) > 0);
      expect(lpErrno.value).toBe(spi.WSAEWOULDBLOCK);
      quiet(world);
      b.nonblocking(server);
      const room = new Uint8Array(1 << 20);
      machine.until(() => {
        b.recv(server, room);
        return machine.isSignalled(event);
      });
      expect(next(world, a, client)).toBe(FD_WRITE);
    });
  });
});

describe('FD_CONNECT and FD_ACCEPT', () => {
  it('a connection made before is reported to its maker, FD_WRITE alone to the other side [W10.5 W10.7]', () => {
    connected((world) => {
      const { a, b, client, server, event } = world;
      expect(select(a, client, event, FD_CONNECT | FD_WRITE | FD_READ)).toBe(0);
      expect(next(world, a, client)).toBe(FD_CONNECT | FD_WRITE);
      expect(select(b, server, event, FD_CONNECT | FD_WRITE | FD_READ)).toBe(0);
      expect(next(world, b, server)).toBe(FD_WRITE);
    });
  });

  it('FD_ACCEPT fires again after an accept while connections wait, not after a deferral [W10.3 W10.4]', () => {
    onMachine((machine) => {
      const a = machine.host(A);
      const b = machine.host(B);
      const { s, name } = b.listener();
      const event = machine.upcalls.event();
      const world = { machine, a, b, client: 0, server: 0, event };
      for (const client of [a.socket(), a.socket()]) expect(a.connect(client, name)).toBe(0);
      expect(select(b, s, event, FD_ACCEPT)).toBe(0);
      expect(next(world, b, s)).toBe(FD_ACCEPT);
      const { lpWSPAccept } = b.wsp;
      failsWith(
        spi.WSATRY_AGAIN,
        lpWSPAccept(s, null, null, () => spi.CF_DEFER, null, lpErrno),
      );
      quiet(world);
      expect(lpWSPAccept(s, null, null, null, null, lpErrno)).not.toBe(spi.INVALID_SOCKET);
      expect(next(world, b, s)).toBe(FD_ACCEPT);
      expect(lpWSPAccept(s, null, null, null, null, lpErrno)).not.toBe(spi.INVALID_SOCKET);
      quiet(world);
    });
  });
});

describe('FD_CLOSE and FD_OOB', () => {
  it('the end of the stream is reported once, when the data before it was read [W10.8]', () => {
    connected((world) => {
      const { a, b, client, server, event } = world;
      expect(select(b, server, event, FD_READ | FD_CLOSE)).toBe(0);
      expect(a.send(client, Buffer.from('ab'))).toBe(2);
      expect(a.wsp.lpWSPCloseSocket(client, lpErrno)).toBe(0);
      expect(next(world, b, server)).toBe(FD_READ);
      quiet(world);
      expect(b.recv(server, new Uint8Array(8))).toBe(2);
      expect(next(world, b, server)).toBe(FD_CLOSE);
      expect(b.recv(server, new Uint8Array(8))).toBe(0);
      expect(b.wsp.lpWSPShutdown(server, spi.SD_SEND, lpErrno)).toBe(0);
      quiet(world);
    });
  });

  it('a reset is reported with its error, a local shutdown not at all [W10.8]', () => {
    connected((world) => {
      const { a, b, client, server, event } = world;
      expect(select(b, server, event, FD_CLOSE)).toBe(0);
      expect(b.wsp.lpWSPShutdown(server, spi.SD_SEND, lpErrno)).toBe(0);
      quiet(world);
      const abortive = Uint8Array.of(1, 0, 0, 0);
      const { lpWSPSetSockOpt, lpWSPCloseSocket } = a.wsp;
      lpWSPSetSockOpt(client, spi.SOL_SOCKET, spi.SO_LINGER, abortive, 4, lpErrno);
      expect(lpWSPCloseSocket(client, lpErrno)).toBe(0);
      world.machine.until(() => world.machine.isSignalled(event));
      const { lNetworkEvents, iErrorCode } = b.events(server);
      expect([lNetworkEvents, iErrorCode[spi.FD_CLOSE_BIT]]).toEqual([FD_CLOSE, spi.WSAECONNRESET]);
      failsWith(spi.WSAECONNRESET, b.recv(server, new Uint8Array(1)));
    });
  });

  it('profile windows reports the end before the data is read, and a reset as WSAECONNABORTED [W10.8]', () => {
    connected((world) => {
      const { a, b, client, server, event } = world;
      expect(select(b, server, event, FD_READ | FD_CLOSE)).toBe(0);
      expect(a.send(client, Buffer.from('ab'))).toBe(2);
      expect(a.wsp.lpWSPShutdown(client, spi.SD_SEND, lpErrno)).toBe(0);
      let reported = 0;
      world.machine.until(() => {
        reported |= b.events(server).lNetworkEvents;
        return reported === (FD_READ | FD_CLOSE);
      });
      expect(b.recv(server, new Uint8Array(1))).toBe(1);
      expect(next(world, b, server)).toBe(FD_READ);
      expect(b.recv(server, new Uint8Array(1))).toBe(1);
      expect(b.recv(server, new Uint8Array(1))).toBe(0);
      quiet(world);
    }, 'windows');
    connected((world) => {
      const { a, b, client, server, event } = world;
      expect(select(b, server, event, FD_CLOSE)).toBe(0);
      const { lpWSPSetSockOpt, lpWSPCloseSocket } = a.wsp;
      const abortive = Uint8Array.of(1, 0, 0, 0);
      lpWSPSetSockOpt(client, spi.SOL_SOCKET, spi.SO_LINGER, abortive, 4, lpErrno);
      expect(lpWSPCloseSocket(client, lpErrno)).toBe(0);
      world.machine.until(() => world.machine.isSignalled(event));
      const { lNetworkEvents, iErrorCode } = b.events(server);
      expect([lNetworkEvents, iErrorCode[spi.FD_CLOSE_BIT]]).toEqual([
        FD_CLOSE,
        spi.WSAECONNABORTED,
      ]);
    }, 'windows');
  });

  it('a receive that fails for its arguments re-enables FD_READ, but not in profile windows [W10.3 W10.4]', () => {
    for (const [profile, again] of [
      ['documented', FD_READ],
      ['windows', 0],
    ] as const) {
      connected((world) => {
        const { a, b, client, server, event } = world;
        expect(select(b, server, event, FD_READ)).toBe(0);
        expect(a.send(client, Buffer.from('ab'))).toBe(2);
        expect(next(world, b, server)).toBe(FD_READ);
        const lies = [{ len: 2, buf: null }];
        const { lpWSPRecv } = b.wsp;
        const [count, flags] = [spi.ref(0), spi.ref(0)];
        failsWith(
          spi.WSAEFAULT,
          lpWSPRecv(server, lies, 1, count, flags, null, null, null, lpErrno),
        );
        expect(b.events(server).lNetworkEvents).toBe(again);
      }, profile);
    }
  });

  it('urgent data is FD_OOB [W10.3]', () => {
    connected((world) => {
      const { a, b, client, server, event } = world;
      expect(select(b, server, event, FD_OOB)).toBe(0);
      expect(a.send(client, Buffer.from('U'), spi.MSG_OOB)).toBe(1);
      expect(next(world, b, server)).toBe(FD_OOB);
      expect(b.recv(server, new Uint8Array(1), spi.MSG_OOB)).toBe(1);
      quiet(world);
    });
  });
});

describe('WSPEventSelect and WSPEnumNetworkEvents', () => {
  it('selecting makes the socket nonblocking for good; FIONBIO 0 is refused meanwhile [W10.1]', () => {
    connected(({ a, client, event }) => {
      const off = (): number => {
        const { lpWSPIoctl } = a.wsp;
        const zero = new Uint8Array(4);
        return lpWSPIoctl(
          client,
          spi.FIONBIO,
          zero,
          4,
          null,
          0,
          spi.ref(0),
          null,
          null,
          null,
          lpErrno,
        );
      };
      expect(select(a, client, event, FD_READ)).toBe(0);
      failsWith(spi.WSAEINVAL, off());
      expect(select(a, client, 0, 0)).toBe(0);
      failsWith(spi.WSAEWOULDBLOCK, a.recv(client, new Uint8Array(1)));
      expect(off()).toBe(0);
    });
  });

  it('what fired is reported when it is selected again, once, and errors of unset bits stay [W10.11 W10.14]', () => {
    connected((world) => {
      const { machine, a, b, client, server, event } = world;
      expect(select(b, server, event, FD_READ | FD_WRITE)).toBe(0);
      expect(a.send(client, Buffer.from('a'))).toBe(1);
      machine.until(() => machine.isSignalled(event));
      expect(select(b, server, event, FD_WRITE)).toBe(0);
      machine.upcalls.signalled.set(event, false);
      expect(b.events(server).lNetworkEvents).toBe(FD_WRITE);
      machine.until(() => machine.loop.poll() === 0);
      expect(select(b, server, event, FD_READ | FD_WRITE)).toBe(0);
      machine.until(() => machine.isSignalled(event));
      const reported = spi.createNetworkEvents();
      reported.iErrorCode[spi.FD_CLOSE_BIT] = 42;
      expect(b.wsp.lpWSPEnumNetworkEvents(server, event, reported, lpErrno)).toBe(0);
      expect(reported.lNetworkEvents).toBe(FD_READ);
      expect(reported.iErrorCode[spi.FD_CLOSE_BIT]).toBe(42);
      expect(machine.isSignalled(event)).toBe(false);
      expect(b.events(server).lNetworkEvents).toBe(0);
    });
  });

  it('failures change nothing [W10.11]', () => {
    connected((world) => {
      const { a, client, event } = world;
      failsWith(spi.WSAEINVAL, select(a, client, 0, FD_READ));
      failsWith(spi.WSAEINVAL, select(a, client, event, 0x400));
      expect(select(a, client, event, FD_WRITE)).toBe(0);
      const { lpWSPEnumNetworkEvents } = a.wsp;
      failsWith(spi.WSAEFAULT, lpWSPEnumNetworkEvents(client, 0, null, lpErrno));
      failsWith(
        spi.WSAEINVAL,
        lpWSPEnumNetworkEvents(client, 9999, spi.createNetworkEvents(), lpErrno),
      );
      expect(next(world, a, client)).toBe(FD_WRITE);
    });
  });

  it('a selection alone does not wake the thread again and again [W10.2]', () => {
    connected((world) => {
      const { machine, a, b, client, server, event } = world;
      const all = FD_READ | FD_WRITE | FD_OOB | FD_CLOSE;
      expect(select(b, server, event, all)).toBe(0);
      expect(a.send(client, Buffer.from('ab'))).toBe(2);
      expect(a.wsp.lpWSPCloseSocket(client, lpErrno)).toBe(0);
      expect(b.wsp.lpWSPShutdown(server, spi.SD_SEND, lpErrno)).toBe(0);
      machine.until(() => machine.loop.poll() === 0);
      expect(machine.reactor.poll(0)).toBe(0);
      expect(b.recv(server, new Uint8Array(8))).toBe(2);
      machine.until(() => machine.loop.poll() === 0);
      expect(b.events(server).lNetworkEvents & FD_CLOSE).toBe(FD_CLOSE);
      expect(machine.reactor.poll(0)).toBe(0);
    });
  });
});
