// Stream transfers, blocking and nonblocking, in both directions, with their errors.

import { describe, expect, it } from 'vitest';
import * as spi from '../../../provider/spi/index.js';
import { milliseconds } from '../../../runtime/clock.js';
import { Prng } from '../../../runtime/prng.js';
import { failsWith, lpErrno, onMachine } from './fixture.js';
import { A, connected, MUCH, overlappedResult, postReceive } from './world.js';

describe('synchronous transfers', () => {
  it('send gathers and receive scatters, in order and packed [W4.2 W8.1.1 W4.12 W8.1.4]', () => {
    connected(({ a, b, client, server }) => {
      const parts = ['ab', '', 'cde', 'f'].map((text) => Buffer.from(text));
      const buffers = parts.map((buf) => ({ len: buf.length, buf }));
      const count = spi.ref(-1);
      expect(a.wsp.lpWSPSend(client, buffers, 4, count, 0, null, null, null, lpErrno)).toBe(0);
      expect(count.value).toBe(6);
      const room = [new Uint8Array(4), new Uint8Array(8)];
      const into = room.map((buf) => ({ len: buf.length, buf }));
      const flags = spi.ref(0);
      expect(b.wsp.lpWSPRecv(server, into, 2, count, flags, null, null, null, lpErrno)).toBe(0);
      expect([count.value, flags.value]).toEqual([6, 0]);
      expect(Buffer.concat(room).subarray(0, 6).toString()).toBe('abcdef');
    });
  });

  it('a blocking receive waits for data, and gets 0 for ever once the peer sent its end [W8.1.2 W12.2]', () => {
    connected(({ machine, a, b, client, server }) => {
      const agent = {
        role: 'late sender',
        doWork: () => {
          machine.loop.remove(agent);
          return a.send(client, Buffer.from('late'));
        },
      };
      machine.loop.add(agent);
      const room = new Uint8Array(16);
      expect(b.recv(server, room)).toBe(4);
      expect(a.wsp.lpWSPShutdown(client, spi.SD_SEND, lpErrno)).toBe(0);
      expect(b.recv(server, room)).toBe(0);
      expect(b.recv(server, room)).toBe(0);
      failsWith(spi.WSAESHUTDOWN, a.send(client, room));
    });
  });

  it('a blocking send returns when every byte was taken [W4.7]', () => {
    connected(({ machine, a, b, client, server }) => {
      let received = 0;
      b.nonblocking(server);
      const room = new Uint8Array(1 << 20);
      const reader = {
        role: 'reader',
        doWork: () => {
          const got = b.recv(server, room);
          if (got <= 0) return 0;
          received += got;
          return got;
        },
      };
      machine.loop.add(reader);
      expect(a.send(client, new Uint8Array(MUCH))).toBe(MUCH);
      machine.until(() => received === MUCH);
      machine.loop.remove(reader);
    });
  });

  it('a nonblocking send takes what fits, then WSAEWOULDBLOCK; a receive without data likewise [W4.6]', () => {
    connected(({ a, b, client, server }) => {
      a.nonblocking(client);
      const taken = a.send(client, new Uint8Array(MUCH));
      expect(taken).toBeGreaterThan(0);
      expect(taken).toBeLessThan(MUCH);
      // What the receiving kernel takes meanwhile makes room for some more.
      let more = taken;
      while (more > 0) more = a.send(client, new Uint8Array(MUCH));
      failsWith(spi.WSAEWOULDBLOCK, more);
      b.nonblocking(server);
      expect(b.recv(server, new Uint8Array(1))).toBe(1);
      failsWith(spi.WSAEWOULDBLOCK, a.recv(client, new Uint8Array(1)));
    });
  });

  it('profile windows takes the whole send or nothing, and delivers it after closesocket [W4.6 W12.4]', () => {
    connected(({ machine, a, b, client, server }) => {
      a.nonblocking(client);
      const bytes = new Uint8Array(MUCH);
      new Prng(7).fill(bytes);
      expect(a.send(client, bytes)).toBe(MUCH);
      failsWith(spi.WSAEWOULDBLOCK, a.send(client, bytes));
      const expected = Buffer.from(bytes);
      bytes.fill(0);
      expect(a.wsp.lpWSPCloseSocket(client, lpErrno)).toBe(0);
      const received = Buffer.alloc(MUCH + 1);
      let length = 0;
      for (let got = -1; got !== 0; length += got) {
        got = b.recv(server, received.subarray(length));
        expect(got).toBeGreaterThanOrEqual(0);
      }
      expect(length).toBe(MUCH);
      expect(received.subarray(0, MUCH).equals(expected)).toBe(true);
      machine.until(() => machine.reactor.watchCount === 0);
    }, 'windows');
  });

  it('SO_RCVTIMEO ends a blocking receive with WSAETIMEDOUT and leaves the socket usable [W8.1.14]', () => {
    connected(({ machine, a, b, client, server }) => {
      expect(b.setOption(server, spi.SO_RCVTIMEO, 5)).toBe(0);
      const start = machine.clock.now();
      failsWith(spi.WSAETIMEDOUT, b.recv(server, new Uint8Array(4)));
      expect(machine.clock.now() - start).toBeGreaterThanOrEqual(milliseconds(5));
      expect(a.send(client, Buffer.from('x'))).toBe(1);
      expect(b.recv(server, new Uint8Array(4))).toBe(1);
    });
  });

  it('MSG_PEEK leaves the data, MSG_WAITALL waits for all of it [W8.1.7 W8.1.8]', () => {
    connected(({ a, b, client, server }) => {
      const room = new Uint8Array(6);
      expect(a.send(client, Buffer.from('abcd'))).toBe(4);
      expect(b.recv(server, room, spi.MSG_PEEK)).toBe(4);
      expect(b.recv(server, room, spi.MSG_PEEK)).toBe(4);
      failsWith(spi.WSAEOPNOTSUPP, b.recv(server, room, spi.MSG_WAITALL | spi.MSG_PEEK));
      expect(a.send(client, Buffer.from('ef'))).toBe(2);
      expect(b.recv(server, room, spi.MSG_WAITALL)).toBe(6);
      expect(Buffer.from(room).toString()).toBe('abcdef');
      b.nonblocking(server);
      failsWith(spi.WSAEOPNOTSUPP, b.recv(server, room, spi.MSG_WAITALL));
    });
  });

  it('urgent data comes by MSG_OOB, outside the stream [W8.1.13 W4.10]', () => {
    connected(({ machine, a, b, client, server }) => {
      const room = new Uint8Array(8);
      b.nonblocking(server);
      failsWith(spi.WSAEWOULDBLOCK, b.recv(server, room, spi.MSG_OOB));
      expect(a.send(client, Buffer.from('n'))).toBe(1);
      expect(a.send(client, Buffer.from('U'), spi.MSG_OOB)).toBe(1);
      machine.until(() => b.recv(server, room, spi.MSG_OOB) === 1);
      expect(room[0]).toBe('U'.charCodeAt(0));
      expect(b.recv(server, room)).toBe(1);
      expect(room[0]).toBe('n'.charCodeAt(0));
    });
  });

  it('waiting for urgent data ends, with 0 bytes, at the end of the stream [W8.1.2 W8.1.13]', () => {
    connected(({ machine, a, b, client, server }) => {
      const overlapped = spi.createOverlapped(machine.upcalls.event());
      const posted = postReceive(b, server, new Uint8Array(1), overlapped, spi.MSG_OOB);
      failsWith(spi.WSA_IO_PENDING, posted.result);
      expect(a.send(client, Buffer.from('unread'))).toBe(6);
      expect(a.wsp.lpWSPCloseSocket(client, lpErrno)).toBe(0);
      machine.until(() => overlapped.Internal !== 0x103);
      expect(overlappedResult(b, server, overlapped)).toBe(0);
      expect(machine.isQuiet()).toBe(true);
      expect(b.recv(server, new Uint8Array(8))).toBe(6);
    });
  });

  it('a stream of seeded pieces arrives byte for byte', () => {
    const seed = 20_261;
    connected(({ machine, a, b, client, server }) => {
      const random = new Prng(seed);
      const bytes = new Uint8Array(3_000_000);
      random.fill(bytes);
      const received = new Uint8Array(bytes.length);
      let [sentLength, receivedLength] = [0, 0];
      a.nonblocking(client);
      b.nonblocking(server);
      const size = (left: number): number => Math.min(left, random.between(1, 70_000));
      machine.until(() => {
        const from = bytes.subarray(sentLength, sentLength + size(bytes.length - sentLength));
        if (from.length > 0) sentLength += Math.max(0, a.send(client, from));
        const left = received.length - receivedLength;
        const into = received.subarray(receivedLength, receivedLength + size(left));
        receivedLength += Math.max(0, b.recv(server, into));
        return receivedLength === bytes.length;
      });
      expect(Buffer.from(received).equals(Buffer.from(bytes)), `seed ${seed}`).toBe(true);
    });
  });
});

describe('failing transfers', () => {
  it('parameters are checked before anything moves [W4.12 W4.10 W8.1.6]', () => {
    connected(({ a, client }) => {
      const { lpWSPSend, lpWSPRecv } = a.wsp;
      const one = [{ len: 1, buf: new Uint8Array(1) }];
      const lies = [{ len: 2, buf: new Uint8Array(1) }];
      const count = spi.ref(0);
      const send = (
        buffers: spi.WSABUF[] | null,
        lpCount: spi.Ref<number> | null,
        flags: number,
      ): number => lpWSPSend(client, buffers, 1, lpCount, flags, null, null, null, lpErrno);
      failsWith(spi.WSAEFAULT, send(one, null, 0));
      failsWith(spi.WSAEFAULT, send(null, count, 0));
      failsWith(spi.WSAEFAULT, send(lies, count, 0));
      failsWith(spi.WSAEOPNOTSUPP, send(one, count, spi.MSG_PARTIAL));
      const { lpWSPRecvFrom } = a.wsp;
      const flags = spi.ref(0);
      failsWith(spi.WSAEINVAL, lpWSPRecv(client, [], 0, count, flags, null, null, null, lpErrno));
      failsWith(
        spi.WSAEFAULT,
        lpWSPRecvFrom(client, one, 1, count, null, null, null, null, null, null, lpErrno),
      );
    });
  });

  it('without a connection even an empty send is WSAENOTCONN, and so is shutdown [W4.13 W4.25 W12.1]', () => {
    onMachine((machine) => {
      const a = machine.host(A);
      const s = a.socket();
      failsWith(spi.WSAENOTCONN, a.send(s, new Uint8Array(0)));
      failsWith(spi.WSAENOTCONN, a.recv(s, new Uint8Array(1)));
      failsWith(spi.WSAENOTCONN, a.wsp.lpWSPShutdown(s, spi.SD_BOTH, lpErrno));
      failsWith(spi.WSAEINVAL, a.wsp.lpWSPShutdown(s, 3, lpErrno));
    });
  });

  it('an empty send on a connection succeeds and sends nothing [W4.13]', () => {
    connected(({ a, b, client, server }) => {
      expect(a.send(client, new Uint8Array(0))).toBe(0);
      b.nonblocking(server);
      failsWith(spi.WSAEWOULDBLOCK, b.recv(server, new Uint8Array(1)));
    });
  });

  it('SD_RECEIVE refuses new receives and lets the pending one have its data [W9.10.4 W12.1]', () => {
    connected(({ machine, a, b, client, server }) => {
      const overlapped = spi.createOverlapped(machine.upcalls.event());
      failsWith(spi.WSA_IO_PENDING, postReceive(b, server, new Uint8Array(4), overlapped).result);
      expect(b.wsp.lpWSPShutdown(server, spi.SD_RECEIVE, lpErrno)).toBe(0);
      expect(b.wsp.lpWSPShutdown(server, spi.SD_RECEIVE, lpErrno)).toBe(0);
      failsWith(spi.WSAESHUTDOWN, b.recv(server, new Uint8Array(4)));
      expect(a.send(client, Buffer.from('abc'))).toBe(3);
      machine.until(() => overlapped.Internal !== 0x103);
      expect(overlappedResult(b, server, overlapped)).toBe(3);
    });
  });

  it('a reset ends what is pending with WSAECONNRESET, and everything after it [W8.1.18 W4.18 W12.5]', () => {
    connected(({ machine, a, b, client, server }) => {
      const overlapped = spi.createOverlapped(machine.upcalls.event());
      failsWith(spi.WSA_IO_PENDING, postReceive(b, server, new Uint8Array(4), overlapped).result);
      const abortive = Uint8Array.of(1, 0, 0, 0);
      expect(
        a.wsp.lpWSPSetSockOpt(client, spi.SOL_SOCKET, spi.SO_LINGER, abortive, 4, lpErrno),
      ).toBe(0);
      expect(a.wsp.lpWSPCloseSocket(client, lpErrno)).toBe(0);
      machine.until(() => overlapped.Internal !== 0x103);
      expect(overlapped.Internal).toBe(spi.NTSTATUS.STATUS_CONNECTION_RESET);
      failsWith(spi.WSAECONNRESET, overlappedResult(b, server, overlapped));
      failsWith(spi.WSAECONNRESET, b.send(server, new Uint8Array(1)));
      failsWith(spi.WSAECONNRESET, b.recv(server, new Uint8Array(1)));
    });
  });

  it('sending to a peer that closed succeeds once; the receive after it reports WSAECONNABORTED [W4.19]', () => {
    connected(({ machine, a, b, client, server }) => {
      expect(b.wsp.lpWSPCloseSocket(server, lpErrno)).toBe(0);
      const overlapped = spi.createOverlapped(machine.upcalls.event());
      postReceive(a, client, new Uint8Array(1), overlapped);
      machine.until(() => overlapped.Internal === 0);
      expect(a.send(client, Buffer.from('x'))).toBe(1);
      failsWith(spi.WSAECONNABORTED, a.recv(client, new Uint8Array(1)));
    });
  });

  it('WSPSendTo and WSPRecvFrom are WSPSend and WSPRecv on a stream [W5.2 W8.2.1]', () => {
    connected(({ a, b, client, server }) => {
      const count = spi.ref(0);
      const garbage = Uint8Array.of(9, 9, 9);
      const one = [{ len: 2, buf: Buffer.from('ab') }];
      const { lpWSPSendTo } = a.wsp;
      expect(lpWSPSendTo(client, one, 1, count, 0, garbage, 3, null, null, null, lpErrno)).toBe(0);
      const from = new Uint8Array(16).fill(7);
      const fromlen = spi.ref(16);
      const into = [{ len: 4, buf: new Uint8Array(4) }];
      const { lpWSPRecvFrom } = b.wsp;
      expect(
        lpWSPRecvFrom(server, into, 1, count, spi.ref(0), from, fromlen, null, null, null, lpErrno),
      ).toBe(0);
      expect([count.value, fromlen.value, from.every((byte) => byte === 7)]).toEqual([2, 16, true]);
    });
  });
});
