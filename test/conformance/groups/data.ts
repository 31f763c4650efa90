// "Transferring Data on a SAN", "Using a Session Protocol to Transfer Data on a SAN": messages and RDMA,
// what moves, in which order, and what is refused. Sources: WSPSEND, WSPRECV, RDMA, OVL-14, SESS-04.

import * as spi from '../../../provider/spi/index.js';
import type { CaseContext, Connection, ConformanceCase } from '../case.js';
import { casesOf } from '../case.js';
import { expectBytes, expectCode, expectSame, expectThat, NotSupported } from '../check.js';
import { needsAll, needsDepth, needsRdmaRead } from '../requirements.js';
import type { Started } from '../side.js';
import { UNWRITTEN } from '../side.js';
import { finish, overlappedOf, poll, rdma, receive, send } from '../transfers.js';

const LARGE = 1 << 20;

/** Sends `messages` one by one into receives of their own, posted before; checks all of them. */
function carryAll(context: CaseContext, { a, b }: Connection, messages: Uint8Array[]): void {
  const { left, right } = context;
  const room = messages.map((message) => {
    const buffer = right.allocate(Math.max(message.length, 1));
    right.register(b, buffer);
    left.register(a, message);
    return buffer;
  });
  const posted = room.map((buffer) => receive(right, b, [buffer]));
  for (const { code } of posted) expectCode('WSPRecv', code, spi.WSA_IO_PENDING);
  const sent = messages.map((message) => send(left, a, [message]));
  for (const [index, message] of messages.entries()) {
    const started = posted[index];
    const into = room[index];
    if (started === undefined || into === undefined) continue;
    const { error, bytes } = finish(right, b, started, `receive ${index}`);
    expectCode(`receive ${index}`, error, 0);
    expectSame(`bytes of receive ${index}`, bytes, message.length);
    expectBytes(`receive ${index}`, into.subarray(0, bytes), message);
  }
  for (const [index, started] of sent.entries()) {
    const { error, bytes } = finish(left, a, started, `send ${index}`);
    expectCode(`send ${index}`, error, 0);
    expectSame(`bytes of send ${index}`, bytes, messages[index]?.length ?? -1);
  }
}

const messages = casesOf('transferring-data-on-a-san', [
  {
    name: 'one-to-one',
    title: 'each message consumes exactly one posted receive, in posting order',
    clauses: ['WSPRECV-03', 'WSPSEND-04', 'OVL-14', 'SESS-04'],
    unless: needsDepth(8),
    run: (context) => {
      const sizes = [1, 63, 64, 65, 1000, 3, 4096, 128];
      const connection = context.connected();
      carryAll(
        context,
        connection,
        sizes.map((size) => context.filled(context.left, context.messageBytes(size))),
      );
    },
  },
  {
    name: 'random-sizes',
    title: 'messages of random lengths arrive whole and in order, in both directions in turn',
    clauses: ['WSPSEND-04', 'WSPSEND-07', 'ARCH-02', 'OVL-14'],
    unless: needsDepth(4),
    run: (context) => {
      const connection = context.connected();
      for (let round = 0; round < 8; round++) {
        const most = context.messageBytes(20_000);
        const lengths = [1, 2, 3, 4].map(() => 1 + (context.random.uint32() % most));
        carryAll(
          context,
          connection,
          lengths.map((length) => context.filled(context.left, length)),
        );
      }
    },
  },
  {
    name: 'large-message',
    title: 'a message of a megabyte, if that is allowed, arrives whole',
    clauses: ['WSPSEND-10', 'OPT-03'],
    unless: ({ maxMessageSize }) =>
      (maxMessageSize ?? Infinity) >= LARGE ? null : 'messages are shorter',
    run: (context) => carryAll(context, context.connected(), [context.filled(context.left, LARGE)]),
  },
  {
    name: 'gather',
    title: 'the buffers of a send go out in array order, and those of a receive fill up packed',
    clauses: ['WSPSEND-04', 'WSPSEND-16', 'WSPRECV-08', 'W8.1.1'],
    run: (context) => {
      const { left, right } = context;
      const { a, b } = context.connected();
      const source = context.filled(left, 300);
      const target = right.allocate(300);
      left.register(a, source);
      right.register(b, target);
      const into = [target.subarray(0, 7), target.subarray(7, 130), target.subarray(130)];
      const posted = receive(right, b, into);
      if (posted.code === spi.WSAEINVAL) throw new NotSupported('one buffer for a receive');
      const parts = [source.subarray(0, 100), source.subarray(100, 101), source.subarray(101)];
      const sent = send(left, a, parts);
      if (sent.code === spi.WSAEINVAL) throw new NotSupported('one buffer for a send');
      expectSame('bytes', finish(right, b, posted, 'the receive').bytes, 300);
      expectBytes('the message', target, source);
      expectSame('bytes sent', finish(left, a, sent, 'the send').bytes, 300);
    },
  },
  {
    name: 'array-captured',
    title: 'the WSABUF array is not looked at after the call returned',
    clauses: ['WSPSEND-03', 'WSPRECV-08', 'W4.8'],
    run: (context) => {
      // Every transfer of the kit scribbles over its array at once; here it has to wait as well.
      const { left, right } = context;
      const { a, b } = context.connected();
      const size = context.messageBytes(2000);
      const source = context.filled(left, size);
      const target = right.allocate(size);
      left.register(a, source);
      right.register(b, target);
      const sent = send(left, a, [source]);
      for (let turns = 0; turns < 100; turns++) poll(left, a, sent.overlapped);
      const posted = receive(right, b, [target]);
      expectSame('bytes', finish(right, b, posted, 'the receive').bytes, size);
      expectBytes('the message', target, source);
      expectCode('the send', finish(left, a, sent, 'the send').error, 0);
    },
  },
  {
    name: 'count',
    title: 'a pending transfer leaves the count alone; an immediate one writes it',
    clauses: ['WSPSEND-06', 'OVL-03', 'W7.6'],
    run: (context) => {
      const { left, right } = context;
      const { a, b } = context.connected();
      const source = left.allocate(64, 5);
      const target = right.allocate(64);
      left.register(a, source);
      right.register(b, target);
      const posted = receive(right, b, [target]);
      expectSame('the count of a pending receive', posted.count.value, UNWRITTEN);
      const sent = send(left, a, [source]);
      const isPending = sent.code === spi.WSA_IO_PENDING;
      expectSame('the count of the send', sent.count.value, isPending ? UNWRITTEN : 64);
      expectSame('bytes', finish(right, b, posted, 'the receive').bytes, 64);
      expectSame('bytes sent', finish(left, a, sent, 'the send').bytes, 64);
    },
  },
  {
    name: 'arguments',
    title: 'flags, a missing overlapped and missing buffers are refused, and nothing is started',
    clauses: ['WSPSEND-05', 'WSPSEND-12', 'WSPSEND-17', 'WSPSEND-18', 'OVL-16', 'W7.2'],
    run: (context) => {
      const { left } = context;
      const { a } = context.connected();
      const buffer = left.allocate(64);
      left.register(a, buffer);
      expectCode('MSG_OOB', send(left, a, [buffer], { flags: spi.MSG_OOB }).code, spi.WSAEINVAL);
      const { procs, errno } = left;
      const list = [{ len: 64, buf: buffer }];
      const bare = procs.lpWSPSend(a, list, 1, null, 0, null, null, null, errno);
      expectCode('no overlapped', left.code('WSPSend', bare), spi.WSAEINVAL);
      const overlapped = overlappedOf(left);
      const none = procs.lpWSPSend(a, null, 1, null, 0, overlapped, null, null, errno);
      expectCode('no buffers', left.code('WSPSend', none), spi.WSAEFAULT);
      const isIdle = overlapped.Internal !== spi.WSS_OPERATION_IN_PROGRESS;
      expectThat(isIdle, 'Internal of a send that failed', 'not in progress', 'in progress');
    },
  },
  {
    name: 'queue-full',
    title: 'a send that finds no room is refused with the one code for it, never WSAEWOULDBLOCK',
    clauses: ['WSPSEND-13', 'WSPSEND-20', 'IMPL-01', 'W7.9'],
    run: (context) => {
      const { left } = context;
      const { a } = context.connected();
      const buffer = left.allocate(64);
      left.register(a, buffer);
      for (let count = 0; count < 20_000; count++) {
        const { code } = send(left, a, [buffer]);
        if (code === 0 || code === spi.WSA_IO_PENDING) continue;
        expectCode('the send without room', code, context.profile.sendQueueFullError);
        return;
      }
      throw new NotSupported('20000 sends fit');
    },
  },
]);

const transfers = casesOf('using-session-protocol-to-transfer-data-on-a-san', [
  {
    name: 'write',
    title: 'WSPRdmaWrite moves local buffers into the peer, who is not told',
    clauses: ['RDMA-01', 'RDMA-02', 'RDMA-05', 'REGRDMA-01'],
    run: (context) => moveOnce(context, 'write'),
  },
  {
    name: 'read',
    title: 'WSPRdmaRead moves memory of the peer into local buffers, and the peer is not told',
    clauses: ['RDMA-01', 'RDMA-02', 'RDMA-05', 'REGRDMA-01'],
    unless: needsRdmaRead,
    run: (context) => moveOnce(context, 'read'),
  },
  {
    name: 'write-gather',
    title: 'the buffers of a write go to one contiguous range, from an offset on',
    clauses: ['RDMA-03', 'RDMA-04', 'RDMA-11'],
    run: (context) => moveInParts(context, 'write'),
  },
  {
    name: 'read-scatter',
    title: 'a read fills several buffers from one contiguous range, from an offset on',
    clauses: ['RDMA-03', 'RDMA-04', 'RDMA-11'],
    unless: needsRdmaRead,
    run: (context) => moveInParts(context, 'read'),
  },
  {
    name: 'pieces',
    title: 'several writes cover one descriptor with offsets',
    clauses: ['RDMA-03', 'OPT-04', 'RDMA-06'],
    run: (context) => {
      const { left, right } = context;
      const { a, b } = context.connected();
      const source = context.filled(left, 8192);
      const target = right.allocate(8192);
      const handle = left.register(a, source);
      const descriptor = right.expose(b, target, spi.MEM_WRITE);
      const piece = context.rdmaBytes(1024);
      for (let offset = 0; offset < 8192; offset += piece) {
        const buf = source.subarray(offset, offset + piece);
        const write = rdma(left, 'write', a, [{ buf, handle }], { descriptor, offset });
        expectSame('bytes', finish(left, a, write, 'the write').bytes, buf.length);
      }
      expectBytes('the memory', target, source);
    },
  },
  {
    name: 'arguments',
    title: 'a wrong handle, a wrong descriptor length and no buffers are refused',
    clauses: ['RDMA-02', 'RDMA-08', 'W14.17'],
    run: (context) => {
      const { left, right } = context;
      const { a, b } = context.connected();
      const buf = left.allocate(64);
      const handle = left.register(a, buf);
      const descriptor = right.expose(b, right.allocate(64), spi.MEM_WRITE);
      const wrong = rdma(left, 'write', a, [{ buf, handle: handle ^ 0x55555 }], { descriptor });
      expectCode('a wrong handle', wrong.code, spi.WSAEINVAL, spi.WSAENOTSOCK);
      const length = descriptor.length - 1;
      const short = rdma(left, 'write', a, [{ buf, handle }], { descriptor, length });
      expectCode('a wrong length', short.code, spi.WSAEINVAL);
      expectCode('no buffers', rdma(left, 'write', a, [], { descriptor }).code, spi.WSAEINVAL);
      const good = rdma(left, 'write', a, [{ buf, handle }], { descriptor });
      expectCode('a good one', finish(left, a, good, 'the write').error, 0);
    },
  },
  {
    name: 'send-after-write',
    title: 'a send that was posted after a write does not overtake it',
    clauses: ['RDMA-09', 'XFER-10'],
    unless: needsDepth(2),
    run: (context) => {
      const { left, right } = context;
      const { a, b } = context.connected();
      const size = Math.min(LARGE, context.capabilities.maxRdmaSize ?? LARGE);
      const source = context.filled(left, size);
      const target = right.allocate(size);
      const handle = left.register(a, source);
      const descriptor = right.expose(b, target, spi.MEM_WRITE);
      const told = announcement(context, { a, b });
      const write = rdma(left, 'write', a, [{ buf: source, handle }], { descriptor });
      const sent = send(left, a, [told.message]);
      expectCode('"done"', finish(right, b, told.posted, 'the receive of "done"').error, 0);
      expectBytes('the memory when "done" arrives', target, source);
      expectCode('the write', finish(left, a, write, 'the write').error, 0);
      expectCode('the send', finish(left, a, sent, 'the send').error, 0);
    },
  },
  {
    name: 'send-after-read',
    title: 'a send that was posted after a read is not transmitted before the read is complete',
    clauses: ['RDMA-09', 'W14.18', 'XFER-09'],
    unless: needsAll(needsRdmaRead, needsDepth(2)),
    run: (context) => {
      const { left, right } = context;
      const { a, b } = context.connected();
      const size = Math.min(LARGE, context.capabilities.maxRdmaSize ?? LARGE);
      const source = context.filled(right, size);
      const before = source.slice();
      const target = left.allocate(size);
      const handle = left.register(a, target);
      const descriptor = right.expose(b, source, spi.MEM_READ);
      const told = announcement(context, { a, b });
      const read = rdma(left, 'read', a, [{ buf: target, handle }], { descriptor });
      const sent = send(left, a, [told.message]);
      expectCode('"done"', finish(right, b, told.posted, 'the receive of "done"').error, 0);
      // "Done" lets the owner use the memory for something else.
      source.fill(0);
      expectCode('the read', finish(left, a, read, 'the read').error, 0);
      expectBytes('what was read', target, before);
      expectCode('the send', finish(left, a, sent, 'the send').error, 0);
    },
  },
]);

/** A small message of the left side and a receive for it on the right. */
function announcement(
  context: CaseContext,
  { a, b }: Pick<Connection, 'a' | 'b'>,
): { readonly message: Uint8Array; readonly posted: Started } {
  const { left, right } = context;
  const message = left.allocate(16, 9);
  left.register(a, message);
  const into = right.allocate(16);
  right.register(b, into);
  return { message, posted: receive(right, b, [into]) };
}

function moveOnce(context: CaseContext, direction: 'write' | 'read'): void {
  const { left, right } = context;
  const { a, b } = context.connected();
  const size = context.rdmaBytes(5000);
  const local = context.filled(left, size);
  const remote = context.filled(right, size);
  const expected = direction === 'write' ? local.slice() : remote.slice();
  const handle = left.register(a, local);
  const descriptor = right.expose(b, remote, direction === 'write' ? spi.MEM_WRITE : spi.MEM_READ);
  const before = right.upcalls.records.length;
  const started = rdma(left, direction, a, [{ buf: local, handle }], { descriptor });
  expectCode('the call', started.code, 0, spi.WSA_IO_PENDING);
  const { error, bytes } = finish(left, a, started, 'the transfer');
  expectCode('the transfer', error, 0);
  expectSame('bytes', bytes, size);
  expectBytes('what arrived', direction === 'write' ? remote : local, expected);
  expectSame('upcalls at the peer', right.upcalls.records.length, before);
}

function moveInParts(context: CaseContext, direction: 'write' | 'read'): void {
  const { left, right } = context;
  const { a, b } = context.connected();
  const local = context.filled(left, 1024);
  const remote = context.filled(right, 2048);
  const handle = left.register(a, local);
  const expected = direction === 'write' ? local.slice() : remote.slice(100, 1124);
  const untouched = remote.slice();
  const descriptor = right.expose(b, remote, spi.MEM_READWRITE);
  const cuts = [0, 10, 11, 500, 1024];
  const buffers = cuts
    .slice(1)
    .map((end, index) => ({ buf: local.subarray(cuts[index] ?? 0, end), handle }));
  const started = rdma(left, direction, a, buffers, { descriptor, offset: 100 });
  if (started.code === spi.WSAEINVAL) throw new NotSupported('fewer than 4 buffers for RDMA');
  expectSame('bytes', finish(left, a, started, 'the transfer').bytes, 1024);
  const arrived = direction === 'write' ? remote.subarray(100, 1124) : local;
  expectBytes('what arrived', arrived, expected);
  expectBytes('the memory before it', remote.subarray(0, 100), untouched.subarray(0, 100));
  expectBytes('the memory after it', remote.subarray(1124), untouched.subarray(1124));
}

export const dataCases: readonly ConformanceCase[] = [...messages, ...transfers];
