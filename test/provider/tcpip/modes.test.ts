// Which mode a call runs in, and how its outcome is asked for: the selection table, and the rules that
// hold for every kind of transfer.

import { describe, expect, it } from 'vitest';
import * as spi from '../../../provider/spi/index.js';
import { failsWith, lpErrno, onMachine } from './fixture.js';
import { bound, ended, sendTo } from './messages.js';
import { A, connected, MUCH, overlappedResult, postReceive, postSend, THREAD } from './world.js';

describe('the mode of a call', () => {
  it('a structure makes it overlapped, blocking or not; without one FIONBIO decides [W3.1 W3.2 W4.3 W9.1]', () => {
    connected(({ machine, a, b, client, server }) => {
      b.nonblocking(server);
      const overlapped = spi.createOverlapped(machine.upcalls.event());
      failsWith(spi.WSA_IO_PENDING, postReceive(b, server, new Uint8Array(4), overlapped).result);
      const routineAlone = (): void => undefined;
      const into = [{ len: 4, buf: new Uint8Array(4) }];
      const { lpWSPRecv } = b.wsp;
      const [count, flags] = [spi.ref(-1), spi.ref(0)];
      // Of a receive a routine alone selects nothing.
      failsWith(
        spi.WSAEWOULDBLOCK,
        lpWSPRecv(server, into, 1, count, flags, null, routineAlone, THREAD, lpErrno),
      );
      expect(a.send(client, Buffer.from('abc'))).toBe(3);
      ended(machine, overlapped);
      expect(overlappedResult(b, server, overlapped)).toBe(3);
      expect(machine.upcalls.queued).toEqual([]);
    });
  });

  it('0 comes with the count, SOCKET_ERROR with a code; no buffers at all are 0 bytes [W4.22 W4.21 W4.14]', () => {
    connected(({ a, client }) => {
      const { lpWSPSend } = a.wsp;
      const count = spi.ref(-1);
      lpErrno.value = 77;
      expect(lpWSPSend(client, [], 0, count, 0, null, null, null, lpErrno)).toBe(0);
      expect(lpWSPSend(client, null, 0, count, 0, null, null, null, lpErrno)).toBe(0);
      // lpErrno is untouched on success.
      expect([count.value, lpErrno.value]).toEqual([0, 77]);
      // Of the array as many entries count as are said, and of each as many bytes.
      const entries = [
        { len: 2, buf: Buffer.from('abcd') },
        { len: 9, buf: null },
      ];
      expect(lpWSPSend(client, entries, 1, count, 0, null, null, null, lpErrno)).toBe(0);
      expect(count.value).toBe(2);
      failsWith(spi.WSAEFAULT, lpWSPSend(client, entries, 2, count, 0, null, null, null, lpErrno));
    });
  });

  it('after a synchronous send the memory is the caller’s, also of what is still to go [W4.23 W4.11]', () => {
    connected(({ machine, a, b, client, server }) => {
      a.nonblocking(client);
      const bytes = new Uint8Array(MUCH).fill(7);
      expect(a.send(client, bytes)).toBe(MUCH);
      bytes.fill(0);
      expect(a.wsp.lpWSPShutdown(client, spi.SD_SEND, lpErrno)).toBe(0);
      const received = new Uint8Array(MUCH);
      expect(b.recv(server, received, spi.MSG_WAITALL)).toBe(MUCH);
      expect(received.every((byte) => byte === 7)).toBe(true);
      expect(machine.upcalls.queued).toEqual([]);
    }, 'windows');
  });

  it('one structure for two pending receives is tolerated [W8.1.17]', () => {
    connected(({ machine, a, b, client, server }) => {
      const overlapped = spi.createOverlapped(machine.upcalls.event());
      const rooms = [new Uint8Array(2), new Uint8Array(2)];
      for (const room of rooms) {
        failsWith(spi.WSA_IO_PENDING, postReceive(b, server, room, overlapped).result);
      }
      expect(a.send(client, Buffer.from('abcd'))).toBe(4);
      machine.until(() => Buffer.concat(rooms).toString() === 'abcd');
      expect(overlappedResult(b, server, overlapped)).toBe(2);
    });
  });

  it('a routine may transfer again; what completes inside runs its own routine afterwards [W9.9.8 W5.15]', () => {
    onMachine((machine) => {
      const host = machine.host(A);
      const { s, name } = bound(host);
      const order: string[] = [];
      const send = (text: string, then: () => void): void => {
        const routine = (): void => {
          order.push(`${text} begins`);
          then();
          order.push(`${text} ends`);
        };
        const overlapped = spi.createOverlapped();
        expect(sendTo(host, s, text, name, { overlapped, routine, thread: THREAD })).toBe(1);
      };
      send('1', () => {
        send('2', () => undefined);
      });
      expect(machine.upcalls.runRoutines()).toBe(1);
      expect(machine.upcalls.runRoutines()).toBe(1);
      expect(order).toEqual(['1 begins', '1 ends', '2 begins', '2 ends']);
    });
  });

  it('a routine without a thread to run in is WSAEFAULT, and nothing moves [W13.1]', () => {
    connected(({ a, b, client, server }) => {
      const buffers = [{ len: 1, buf: Buffer.from('x') }];
      const { lpWSPSend } = a.wsp;
      const overlapped = spi.createOverlapped();
      const routine = (): void => undefined;
      failsWith(
        spi.WSAEFAULT,
        lpWSPSend(client, buffers, 1, null, 0, overlapped, routine, null, lpErrno),
      );
      b.nonblocking(server);
      failsWith(spi.WSAEWOULDBLOCK, b.recv(server, new Uint8Array(1)));
    });
  });
});

describe('the outcome of a call', () => {
  it('is waited for with an event, and polled without one [W9.11.1 W9.11.2 W9.14.2 W9.13.2]', () => {
    connected(({ machine, a, b, client, server }) => {
      const { lpWSPGetOverlappedResult } = b.wsp;
      const [count, flags] = [spi.ref(-1), spi.ref(-1)];
      const ask = (s: number, overlapped: spi.WSAOVERLAPPED | null, fWait: boolean): number =>
        lpWSPGetOverlappedResult(s, overlapped, count, fWait, flags, lpErrno) ? 0 : -1;
      const eventless = spi.createOverlapped();
      postReceive(b, server, new Uint8Array(1), eventless);
      // The tag of an event is not part of it.
      const evented = spi.createOverlapped(machine.upcalls.event() | 1);
      postReceive(b, server, new Uint8Array(1), evented);
      failsWith(spi.WSA_IO_INCOMPLETE, ask(server, eventless, false));
      failsWith(spi.WSA_INVALID_HANDLE, ask(server, eventless, true));
      failsWith(spi.WSAENOTSOCK, ask(3, evented, false));
      failsWith(spi.WSAEFAULT, ask(server, null, false));
      expect([count.value, flags.value]).toEqual([-1, -1]);
      expect(a.send(client, Buffer.from('ab'))).toBe(2);
      expect(ask(server, evented, true)).toBe(0);
      expect([count.value, flags.value]).toEqual([1, 0]);
      expect(ask(server, eventless, true)).toBe(0);
      expect(machine.isSignalled(evented.hEvent & ~1)).toBe(true);
    });
  });

  it('is that of the last operation that was started with the structure [W9.11.5 W9.5]', () => {
    connected(({ machine, a, b, client, server }) => {
      const overlapped = spi.createOverlapped(machine.upcalls.event());
      expect(postSend(a, client, new Uint8Array(3), overlapped)).toBe(0);
      expect(overlappedResult(a, client, overlapped)).toBe(3);
      expect(postSend(a, client, new Uint8Array(5), overlapped)).toBe(0);
      expect(overlappedResult(a, client, overlapped)).toBe(5);
      expect(b.recv(server, new Uint8Array(8), spi.MSG_WAITALL)).toBe(8);
    });
  });

  it('shutdown and the disconnect functions complete nothing [W9.10.6]', () => {
    connected(({ machine, a, b, client, server }) => {
      const overlapped = spi.createOverlapped(machine.upcalls.event());
      failsWith(spi.WSA_IO_PENDING, postReceive(b, server, new Uint8Array(1), overlapped).result);
      expect(b.wsp.lpWSPSendDisconnect(server, null, lpErrno)).toBe(0);
      expect(b.wsp.lpWSPRecvDisconnect(server, null, lpErrno)).toBe(0);
      while (machine.loop.poll() > 0);
      expect([overlapped.Internal, machine.isSignalled(overlapped.hEvent)]).toEqual([0x103, false]);
      expect(a.recv(client, new Uint8Array(1))).toBe(0);
    });
  });

  it('closing ends operations and selections, and tells no event of its own [W10.13 W12.6]', () => {
    connected(({ machine, b, server }) => {
      const [selected, event] = [machine.upcalls.event(), machine.upcalls.event()];
      const overlapped = spi.createOverlapped(event);
      failsWith(spi.WSA_IO_PENDING, postReceive(b, server, new Uint8Array(1), overlapped).result);
      const mask = spi.FD_READ | spi.FD_CLOSE;
      expect(b.wsp.lpWSPEventSelect(server, selected, mask, lpErrno)).toBe(0);
      expect(b.wsp.lpWSPCloseSocket(server, lpErrno)).toBe(0);
      expect(spi.wsaErrorOfStatus(overlapped.Internal)).toBe(spi.WSA_OPERATION_ABORTED);
      while (machine.loop.poll() > 0);
      expect([machine.isSignalled(event), machine.isSignalled(selected)]).toEqual([true, false]);
    });
  });
});
