// Overlapped transfers: completion inside the call, later, by event and by routine.

import { describe, expect, it } from 'vitest';
import * as spi from '../../../provider/spi/index.js';
import { Prng } from '../../../runtime/prng.js';
import { failsWith, lpErrno, onMachine } from './fixture.js';
import { A, B, connected, MUCH, overlappedResult, postReceive, postSend, THREAD } from './world.js';

describe('overlapped transfers', () => {
  it('data that is there completes the receive inside the call, event set [W8.1.4 W9.3 W9.7 W9.13.1]', () => {
    connected(({ machine, a, b, client, server }) => {
      expect(a.send(client, Buffer.from('abc'))).toBe(3);
      const event = machine.upcalls.event();
      const overlapped = spi.createOverlapped(event | 1);
      const posted = postReceive(b, server, new Uint8Array(8), overlapped);
      expect([posted.result, posted.count.value]).toEqual([0, 3]);
      expect([overlapped.Internal, overlapped.InternalHigh]).toEqual([0, 3]);
      expect(machine.isSignalled(event)).toBe(true);
      expect(overlappedResult(b, server, overlapped)).toBe(3);
    });
  });

  it('a pending receive writes nothing, resets its event, and completes when data comes [W8.1.5 W9.2 W9.14.1]', () => {
    connected(({ machine, a, b, client, server }) => {
      const event = machine.upcalls.event();
      machine.upcalls.signalled.set(event, true);
      const overlapped = spi.createOverlapped(event);
      const room = new Uint8Array(8);
      const posted = postReceive(b, server, room, overlapped);
      failsWith(spi.WSA_IO_PENDING, posted.result);
      expect([posted.count.value, overlapped.Internal]).toEqual([-1, 0x103]);
      expect(machine.isSignalled(event)).toBe(false);
      failsWith(spi.WSA_IO_INCOMPLETE, overlappedResult(b, server, overlapped));
      expect(a.send(client, Buffer.from('abc'))).toBe(3);
      machine.until(() => machine.isSignalled(event));
      expect(overlappedResult(b, server, overlapped)).toBe(3);
      expect(Buffer.from(room).toString().slice(0, 3)).toBe('abc');
    });
  });

  it('pending receives are filled in posting order, and the end completes the rest with 0 [W8.1.3]', () => {
    connected(({ machine, a, b, client, server }) => {
      const rooms = [0, 1, 2, 3].map(() => new Uint8Array(16));
      const overlapped = rooms.map(() => spi.createOverlapped(machine.upcalls.event()));
      rooms.forEach((room, index) => {
        const one = overlapped[index] ?? spi.createOverlapped();
        failsWith(spi.WSA_IO_PENDING, postReceive(b, server, room, one).result);
      });
      expect(a.send(client, Buffer.alloc(32, 'x'))).toBe(32);
      expect(a.wsp.lpWSPCloseSocket(client, lpErrno)).toBe(0);
      machine.until(() => overlapped.every((one) => one.Internal !== 0x103));
      expect(overlapped.map((one) => overlappedResult(b, server, one))).toEqual([16, 16, 0, 0]);
    });
  });

  it('a routine is queued to the initiating thread, and the event is left alone [W9.4 W5.9 W5.10 W9.9.6]', () => {
    connected(({ machine, a, b, client, server }) => {
      const event = machine.upcalls.event();
      const overlapped = spi.createOverlapped(event);
      const calls: unknown[] = [];
      const thread = { ...THREAD };
      const buffers = [{ len: 4, buf: new Uint8Array(4) }];
      const { lpWSPRecv } = b.wsp;
      failsWith(
        spi.WSA_IO_PENDING,
        lpWSPRecv(
          server,
          buffers,
          1,
          null,
          spi.ref(0),
          overlapped,
          (...args) => {
            calls.push(args);
          },
          thread,
          lpErrno,
        ),
      );
      thread.ThreadHandle = 0;
      expect(a.send(client, Buffer.from('ab'))).toBe(2);
      machine.until(() => machine.upcalls.queued.length === 1);
      expect(calls).toEqual([]);
      expect(machine.upcalls.queued[0]?.thread).toEqual(THREAD);
      expect(machine.upcalls.runRoutines()).toBe(1);
      expect(calls).toEqual([[0, 2, overlapped, 0]]);
      expect(machine.isSignalled(event)).toBe(false);
    });
  });

  it('a send with a routine and no structure is overlapped; profile windows runs no routine [W4.4]', () => {
    for (const [profile, calls] of [
      ['documented', 1],
      ['windows', 0],
    ] as const) {
      connected(({ machine, a, client }) => {
        let called = 0;
        const count = spi.ref(-1);
        const buffers = [{ len: 2, buf: Buffer.from('ab') }];
        const { lpWSPSend } = a.wsp;
        const routine = (): void => {
          called++;
        };
        expect(lpWSPSend(client, buffers, 1, count, 0, null, routine, THREAD, lpErrno)).toBe(0);
        machine.upcalls.runRoutines();
        expect([count.value, called]).toEqual([2, calls]);
      }, profile);
    }
  });

  it('sends larger than the kernel takes complete when it took all, in order [W4.15 W9.6]', () => {
    connected(({ machine, a, b, client, server }) => {
      const bytes = new Uint8Array(MUCH);
      new Prng(3).fill(bytes);
      const first = spi.createOverlapped(machine.upcalls.event());
      const second = spi.createOverlapped(machine.upcalls.event());
      failsWith(spi.WSA_IO_PENDING, postSend(a, client, bytes, first));
      failsWith(spi.WSA_IO_PENDING, postSend(a, client, Buffer.from('end'), second));
      expect(a.wsp.lpWSPShutdown(client, spi.SD_SEND, lpErrno)).toBe(0);
      const received = Buffer.alloc(MUCH + 3);
      expect(b.recv(server, received, spi.MSG_WAITALL)).toBe(MUCH + 3);
      expect(received.subarray(0, MUCH).equals(Buffer.from(bytes))).toBe(true);
      expect(received.subarray(MUCH).toString()).toBe('end');
      expect(b.recv(server, new Uint8Array(1))).toBe(0);
      expect([first, second].map((one) => overlappedResult(a, client, one))).toEqual([MUCH, 3]);
    });
  });

  it('a zero-length receive waits for data and takes none [W8.1.6]', () => {
    connected(({ machine, a, b, client, server }) => {
      const overlapped = spi.createOverlapped(machine.upcalls.event());
      failsWith(spi.WSA_IO_PENDING, postReceive(b, server, new Uint8Array(0), overlapped).result);
      expect(a.send(client, Buffer.from('abc'))).toBe(3);
      machine.until(() => overlapped.Internal !== 0x103);
      expect(overlappedResult(b, server, overlapped)).toBe(0);
      expect(b.recv(server, new Uint8Array(8))).toBe(3);
    });
  });

  it('a socket without the attribute ignores the structure; profile windows fills it in [W4.5 W4.24]', () => {
    for (const [profile, internalHigh] of [
      ['documented', 0],
      ['windows', 2],
    ] as const) {
      onMachine((machine) => {
        const a = machine.host(A, profile);
        const b = machine.host(B, profile);
        const { s, name } = b.listener();
        const client = a.socket(0);
        expect(a.connect(client, name)).toBe(0);
        const overlapped = spi.createOverlapped();
        const buffers = [{ len: 2, buf: Buffer.from('ab') }];
        const count = spi.ref(0);
        const { lpWSPSend } = a.wsp;
        expect(lpWSPSend(client, buffers, 1, count, 0, overlapped, null, null, lpErrno)).toBe(0);
        expect([count.value, overlapped.InternalHigh]).toEqual([2, internalHigh]);
        expect(b.wsp.lpWSPCloseSocket(s, lpErrno)).toBe(0);
      });
    }
  });

  it('a reset found by a read of SO_ERROR ends what is pending in both directions [W8.1.18]', () => {
    connected(({ machine, a, b, client, server }) => {
      const [send, receive] = [spi.createOverlapped(), spi.createOverlapped()];
      failsWith(spi.WSA_IO_PENDING, postSend(b, server, new Uint8Array(MUCH), send));
      failsWith(spi.WSA_IO_PENDING, postReceive(b, server, new Uint8Array(1), receive).result);
      const abortive = Uint8Array.of(1, 0, 0, 0);
      const { lpWSPSetSockOpt, lpWSPCloseSocket } = a.wsp;
      lpWSPSetSockOpt(client, spi.SOL_SOCKET, spi.SO_LINGER, abortive, 4, lpErrno);
      expect(lpWSPCloseSocket(client, lpErrno)).toBe(0);
      expect(b.option(server, spi.SO_ERROR)).toBe(spi.WSAECONNRESET);
      for (const one of [send, receive]) {
        failsWith(spi.WSAECONNRESET, overlappedResult(b, server, one));
      }
      expect(machine.isQuiet()).toBe(true);
    });
  });

  it('memory that is gone fails the pending operation with WSAEFAULT', () => {
    connected(({ machine, a, b, client, server }) => {
      const memory = new ArrayBuffer(8);
      const overlapped = spi.createOverlapped(machine.upcalls.event());
      const posted = postReceive(b, server, new Uint8Array(memory), overlapped);
      failsWith(spi.WSA_IO_PENDING, posted.result);
      structuredClone(memory, { transfer: [memory] });
      expect(a.send(client, Buffer.from('abc'))).toBe(3);
      machine.until(() => overlapped.Internal !== 0x103);
      failsWith(spi.WSAEFAULT, overlappedResult(b, server, overlapped));
    });
  });
});
