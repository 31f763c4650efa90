// "Registering Memory for Operations on a SAN", "Caching Registered Memory": who may touch which bytes,
// and until when. Sources: REGMEM, DEREGMEM, REGRDMA, DEREGRDMA, MEM, CACHE, CACHECB, RDMA-10, IMPL-03.

import * as spi from '../../../provider/spi/index.js';
import type { CaseContext, ConformanceCase } from '../case.js';
import { casesOf } from '../case.js';
import { expectBytes, expectCode, expectSame, expectThat } from '../check.js';
import { needsCache, needsRdmaRead } from '../requirements.js';
import type { Side, Started } from '../side.js';
import { finish, rdma, receive, send } from '../transfers.js';

const BYTES = 4096;

const local = casesOf('registering-memory-for-operations-on-a-san', [
  {
    name: 'register-errors',
    title: 'WSPRegisterMemory answers WSAEFAULT for a bad buffer and WSAEINVAL for bad flags',
    clauses: ['REGMEM-04', 'REGMEM-05', 'W14.17', 'EXT-05'],
    run: (context) => {
      const { left } = context;
      const { a } = context.connected();
      const buffer = left.allocate(BYTES);
      const code = (bytes: Uint8Array | null, flags: number, length: number): number =>
        left.tryRegister(a, bytes, flags, length).code;
      expectCode('no buffer', code(null, spi.MEM_READ, BYTES), spi.WSAEFAULT);
      expectCode('one byte too many', code(buffer, spi.MEM_READ, BYTES + 1), spi.WSAEFAULT);
      expectCode('flags 0', code(buffer, 0, BYTES), spi.WSAEINVAL);
      expectCode('flags 4', code(buffer, 4, BYTES), spi.WSAEINVAL);
      for (const flags of [spi.MEM_READ, spi.MEM_WRITE, spi.MEM_READWRITE]) {
        expectCode(`flags ${flags}`, code(buffer, flags, BYTES), 0);
      }
    },
  },
  {
    name: 'counted',
    title: 'a buffer that was registered twice is registered until it was deregistered twice',
    clauses: ['REGMEM-03', 'DEREGMEM-01', 'W14.17'],
    run: (context) => {
      const { left } = context;
      const { a, b } = context.connected();
      const buffer = left.allocate(BYTES);
      const [first, second] = [left.register(a, buffer), left.register(a, buffer)];
      expectCode('the first WSPDeregisterMemory', left.deregister(a, first), 0);
      const posted = receive(left, a, [buffer.subarray(0, 64)]);
      expectCode('a receive in between', posted.code, spi.WSA_IO_PENDING);
      carry(context, b, left, a, posted);
      expectCode('the second WSPDeregisterMemory', left.deregister(a, second), 0);
      expectCode('a third', left.deregister(a, second), spi.WSAEINVAL);
      expectCode('a send afterwards', send(left, a, [buffer]).code, spi.WSAEFAULT);
    },
  },
  {
    name: 'busy',
    title: 'WSPDeregisterMemory of a buffer in use is WSAEINVAL, and works after the use',
    clauses: ['DEREGMEM-02', 'MEM-09'],
    run: (context) => {
      const { left } = context;
      const { a, b } = context.connected();
      const buffer = left.allocate(BYTES);
      const handle = left.register(a, buffer);
      const posted = receive(left, a, [buffer]);
      expectCode('while a receive is posted', left.deregister(a, handle), spi.WSAEINVAL);
      carry(context, b, left, a, posted);
      expectCode('afterwards', left.deregister(a, handle), 0);
    },
  },
  {
    name: 'other-socket',
    title: 'a registration is good for its own socket only',
    clauses: ['REGMEM-02', 'DEREGMEM-01', 'MEM-01'],
    run: (context) => {
      const { left } = context;
      const { a, listener, port } = context.connected();
      const other = context.connectTo(listener, port).a;
      const buffer = left.allocate(BYTES);
      const handle = left.register(a, buffer);
      expectCode('a send of the other', send(left, other, [buffer]).code, spi.WSAEFAULT);
      expectCode('WSPDeregisterMemory', left.deregister(other, handle), spi.WSAEINVAL);
      expectCode('its own', left.deregister(a, handle), 0);
    },
  },
  {
    name: 'unregistered',
    title: 'a transfer of memory that is not registered is WSAEFAULT',
    clauses: ['WSPSEND-02', 'WSPRECV-01', 'IMPL-03', 'W7.4'],
    run: (context) => {
      const { left } = context;
      const { a } = context.connected();
      const buffer = left.allocate(BYTES);
      expectCode('WSPSend', send(left, a, [buffer]).code, spi.WSAEFAULT);
      expectCode('WSPRecv', receive(left, a, [buffer]).code, spi.WSAEFAULT);
    },
  },
  {
    name: 'bounds',
    title: 'a part of a registration is registered; one byte before or after it is not',
    clauses: ['IMPL-03', 'MEM-03', 'WSPSEND-02'],
    run: (context) => {
      const { left } = context;
      const { a } = context.connected();
      const memory = left.allocate(BYTES);
      left.register(a, memory.subarray(64, 128));
      const code = (begin: number, end: number): number =>
        receive(left, a, [memory.subarray(begin, end)]).code;
      expectCode('one byte before', code(63, 127), spi.WSAEFAULT);
      expectCode('one byte after', code(65, 129), spi.WSAEFAULT);
      expectCode('all of it', code(64, 128), spi.WSA_IO_PENDING);
    },
  },
  {
    name: 'local-rights',
    title: 'memory that is registered for reading takes no receive',
    clauses: ['MEM-06', 'IMPL-03'],
    run: (context) => {
      const { left } = context;
      const { a } = context.connected();
      const buffer = left.allocate(BYTES);
      left.register(a, buffer, spi.MEM_READ);
      expectCode('WSPRecv', receive(left, a, [buffer]).code, spi.WSAEFAULT);
    },
  },
  {
    name: 'deregistered',
    title: 'memory is out of reach of transfers as soon as it was deregistered',
    clauses: ['MEM-05', 'DEREGMEM-01'],
    run: (context) => {
      const { left, right } = context;
      const { a, b } = context.connected();
      const buffer = left.allocate(BYTES);
      const handle = left.register(a, buffer);
      const descriptor = right.expose(b, right.allocate(BYTES), spi.MEM_READWRITE);
      expectCode('WSPDeregisterMemory', left.deregister(a, handle), 0);
      expectCode('WSPSend', send(left, a, [buffer]).code, spi.WSAEFAULT);
      const write = rdma(left, 'write', a, [{ buf: buffer, handle }], { descriptor });
      expectCode('WSPRdmaWrite', write.code, spi.WSAEINVAL, spi.WSAENOTSOCK, spi.WSAEFAULT);
    },
  },
]);

/** Sends what a posted receive of the left side waits for. */
function carry(context: CaseContext, b: number, left: Side, a: number, posted: Started): void {
  const { right } = context;
  const message = right.allocate(64, 7);
  right.register(b, message);
  const sent = send(right, b, [message]);
  expectCode('the receive', finish(left, a, posted, 'the receive').error, 0);
  expectCode('the send', finish(right, b, sent, 'the send').error, 0);
}

/** An exposed buffer of the right side, and a source on the left. */
function exposure(context: CaseContext, flags: number): Exposure {
  const { left, right } = context;
  const { a, b, listener, port } = context.connected();
  const bytes = context.rdmaBytes(BYTES);
  const target = context.filled(right, bytes);
  const buf = context.filled(left, bytes);
  const descriptor = right.expose(b, target, flags);
  const handle = left.register(a, buf);
  return { a, b, listener, port, target, before: target.slice(), buf, handle, descriptor };
}

interface Exposure extends ReturnType<CaseContext['connected']> {
  readonly target: Uint8Array;
  readonly before: Uint8Array;
  readonly buf: Uint8Array;
  readonly handle: number;
  readonly descriptor: Uint8Array;
}

/** The access must fail, at once or later, and nothing may have moved. [RDMA-10, W14.19] */
function expectForbidden(
  context: CaseContext,
  direction: 'write' | 'read',
  s: number,
  exposed: Exposure,
  place: { readonly offset?: number; readonly buf?: Uint8Array; readonly handle?: number } = {},
): void {
  const { left } = context;
  const buf = place.buf ?? exposed.buf;
  const localBefore = buf.slice();
  const buffers = [{ buf, handle: place.handle ?? exposed.handle }];
  const target = { descriptor: exposed.descriptor, offset: place.offset ?? 0 };
  const started = rdma(left, direction, s, buffers, target);
  const { error } = finish(left, s, started, 'the forbidden access');
  const codes = [
    spi.WSAEINVAL,
    spi.WSAEFAULT,
    spi.WSAECONNABORTED,
    spi.WSAECONNRESET,
    spi.WSA_OPERATION_ABORTED,
  ];
  expectCode('the forbidden access', error, ...codes);
  expectBytes("the peer's memory", exposed.target, exposed.before);
  if (direction === 'read') expectBytes('the local memory', buf, localBefore);
}

const exposed = casesOf('registering-memory-for-operations-on-a-san', [
  {
    name: 'probe',
    title: 'WSPRegisterRdmaMemory with too little room is WSAEFAULT and says how much is needed',
    clauses: ['REGRDMA-02', 'REGRDMA-03', 'REGRDMA-04', 'W14.17'],
    run: (context) => {
      const { left } = context;
      const { a } = context.connected();
      const buffer = left.allocate(BYTES);
      const length = spi.ref(0);
      const probe = left.tryExpose(a, buffer, spi.MEM_READ, null, length);
      expectCode('no block', probe, spi.WSAEFAULT);
      const needed = length.value;
      expectThat(needed > 0, 'the length needed', 'more than 0', String(needed));
      const block = new Uint8Array(needed + 8).fill(0xee);
      length.value = needed - 1;
      const short = left.tryExpose(a, buffer, spi.MEM_READ, block.subarray(0, needed - 1), length);
      expectCode('one byte too little', short, spi.WSAEFAULT);
      expectSame('the length then', length.value, needed);
      expectThat(
        block.every((byte) => byte === 0xee),
        'the block then',
        'untouched',
        'written',
      );
      length.value = block.length;
      expectCode('more than enough', left.tryExpose(a, buffer, spi.MEM_READ, block, length), 0);
      expectSame('bytes stored', length.value, needed);
    },
  },
  {
    name: 'expose-errors',
    title: 'WSPRegisterRdmaMemory answers WSAEFAULT for a bad buffer, WSAEINVAL for bad flags',
    clauses: ['REGRDMA-05', 'W14.17'],
    run: (context) => {
      const { left } = context;
      const { a } = context.connected();
      const buffer = left.allocate(BYTES);
      const block = new Uint8Array(1024);
      const code = (bytes: Uint8Array | null, flags: number, length: number): number =>
        left.tryExpose(a, bytes, flags, block, spi.ref(block.length), length);
      expectCode('no buffer', code(null, spi.MEM_READ, BYTES), spi.WSAEFAULT);
      expectCode('one byte too many', code(buffer, spi.MEM_READ, BYTES + 1), spi.WSAEFAULT);
      expectCode('flags 0', code(buffer, 0, BYTES), spi.WSAEINVAL);
      expectCode('flags 8', code(buffer, 8, BYTES), spi.WSAEINVAL);
    },
  },
  {
    name: 'unexpose-errors',
    title: 'WSPDeregisterRdmaMemory of an unknown descriptor or a wrong length is WSAEINVAL',
    clauses: ['DEREGRDMA-01', 'W14.17'],
    run: (context) => {
      const { left } = context;
      const { a } = context.connected();
      const descriptor = left.expose(a, left.allocate(BYTES), spi.MEM_READ);
      const unknown = descriptor.map((byte) => byte ^ 0xff);
      expectCode('unknown', left.unexpose(a, unknown), spi.WSAEINVAL);
      const short = descriptor.subarray(0, descriptor.length - 1);
      expectCode('a byte short', left.unexpose(a, short), spi.WSAEINVAL);
      expectCode('the right one', left.unexpose(a, descriptor), 0);
      expectCode('once more', left.unexpose(a, descriptor), spi.WSAEINVAL);
    },
  },
  {
    name: 'unexposed',
    title: 'the peer cannot reach memory after WSPDeregisterRdmaMemory',
    clauses: ['DEREGRDMA-02', 'MEM-05', 'RDMA-10', 'CACHE-06', 'W14.14'],
    run: (context) => {
      const one = exposure(context, spi.MEM_READWRITE);
      expectCode('WSPDeregisterRdmaMemory', context.right.unexpose(one.b, one.descriptor), 0);
      expectForbidden(context, 'write', one.a, one);
    },
  },
  {
    name: 'unexposed-read',
    title: 'the peer cannot read memory after WSPDeregisterRdmaMemory',
    clauses: ['DEREGRDMA-02', 'MEM-05', 'RDMA-10'],
    unless: needsRdmaRead,
    run: (context) => {
      const one = exposure(context, spi.MEM_READWRITE);
      expectCode('WSPDeregisterRdmaMemory', context.right.unexpose(one.b, one.descriptor), 0);
      expectForbidden(context, 'read', one.a, one);
    },
  },
  {
    name: 'no-write',
    title: 'memory that is exposed for reading cannot be written by the peer',
    clauses: ['MEM-03', 'MEM-06', 'RDMA-10', 'W14.19'],
    run: (context) => {
      const one = exposure(context, spi.MEM_READ);
      expectForbidden(context, 'write', one.a, one);
    },
  },
  {
    name: 'no-read',
    title: 'memory that is exposed for writing cannot be read by the peer',
    clauses: ['MEM-03', 'MEM-06', 'RDMA-10', 'W14.19'],
    unless: needsRdmaRead,
    run: (context) => {
      const one = exposure(context, spi.MEM_WRITE);
      expectForbidden(context, 'read', one.a, one);
    },
  },
  {
    name: 'write-range',
    title: 'a write that leaves the exposed range by one byte moves nothing',
    clauses: ['RDMA-03', 'RDMA-10', 'MEM-03', 'W14.19'],
    run: (context) => {
      const one = exposure(context, spi.MEM_READWRITE);
      expectForbidden(context, 'write', one.a, one, { offset: 1 });
    },
  },
  {
    name: 'read-range',
    title: 'a read that leaves the exposed range by one byte moves nothing',
    clauses: ['RDMA-03', 'RDMA-10', 'MEM-03', 'W14.19'],
    unless: needsRdmaRead,
    run: (context) => {
      const one = exposure(context, spi.MEM_READWRITE);
      expectForbidden(context, 'read', one.a, one, { offset: 1 });
    },
  },
  {
    name: 'other-connection',
    title: 'a descriptor means nothing on another connection of the same hosts',
    clauses: ['REGRDMA-06', 'MEM-04', 'RDMA-10'],
    run: (context) => {
      const one = exposure(context, spi.MEM_READWRITE);
      const { a: other } = context.connectTo(one.listener, one.port);
      const handle = context.left.register(other, one.buf);
      expectForbidden(context, 'write', other, one, { handle });
    },
  },
  {
    name: 'closed-exposure',
    title: 'memory is out of reach when the side that exposed it has closed',
    clauses: ['MEM-05', 'CLOSE-01'],
    run: (context) => {
      const one = exposure(context, spi.MEM_READWRITE);
      expectCode('WSPCloseSocket', context.right.close(one.b), 0);
      expectForbidden(context, 'write', one.a, one);
    },
  },
  {
    name: 'garbage-descriptor',
    title: 'a descriptor of random bytes reaches nothing',
    clauses: ['MEM-04', 'RDMA-10'],
    run: (context) => {
      const one = exposure(context, spi.MEM_READWRITE);
      const descriptor = one.descriptor.map((byte) => byte ^ (context.random.uint32() | 1));
      expectForbidden(context, 'write', one.a, { ...one, descriptor });
    },
  },
]);

const cache = casesOf('caching-registered-memory', [
  {
    name: 'callback',
    title: 'the cache callback drops what was deregistered, and registration works afterwards',
    clauses: ['CACHECB-01', 'CACHECB-02', 'CACHECB-03', 'CACHE-02', 'CACHE-03', 'CACHE-04'],
    unless: needsCache,
    run: (context) => {
      const { left, right } = context;
      const { a, b } = context.connected();
      const buffer = left.allocate(4 * BYTES);
      expectCode('WSPDeregisterMemory', left.deregister(a, left.register(a, buffer)), 0);
      const { WSPMemoryRegistrationCacheCallback: callback } = left.extensions;
      const address = left.host.memory.addressOf(buffer);
      // A part of the range is enough to make all of the registration stale.
      const returned = callback?.(address + BYTES, BYTES, left.errno) ?? 0;
      expectCode('the callback', left.code('the callback', returned), 0);
      context.random.fill(buffer);
      left.register(a, buffer);
      const message = buffer.subarray(BYTES / 2).subarray(0, context.messageBytes(2 * BYTES));
      const into = right.allocate(message.length);
      right.register(b, into);
      const posted = receive(right, b, [into]);
      const sent = send(left, a, [message]);
      expectCode('the receive', finish(right, b, posted, 'the receive').error, 0);
      expectCode('the send', finish(left, a, sent, 'the send').error, 0);
      expectBytes('the message', into, message);
    },
  },
  {
    name: 'callback-partial',
    title: 'a range that shares one byte with a cached registration takes all of it out of use',
    clauses: ['CACHECB-02', 'CACHE-02', 'CACHE-04'],
    unless: needsCache,
    run: (context) => {
      const { left } = context;
      const { a } = context.connected();
      const block = left.allocate(8 * BYTES);
      const buffer = block.subarray(2 * BYTES, 6 * BYTES);
      const start = left.host.memory.addressOf(buffer);
      const { WSPMemoryRegistrationCacheCallback: callback } = left.extensions;
      const ranges = [
        ['its first byte', start - BYTES, BYTES + 1],
        ['its last byte', start + buffer.length - 1, BYTES],
        ['a part of it', start + BYTES, BYTES],
        ['all of it', start, buffer.length],
        ['more than it', start - BYTES, 6 * BYTES],
      ] as const;
      const inUse = (): string => JSON.stringify(left.host.usage());
      const before = inUse();
      for (const [what, address, length] of ranges) {
        expectCode('WSPDeregisterMemory', left.deregister(a, left.register(a, buffer)), 0);
        const returned = callback?.(address, length, left.errno) ?? 0;
        expectCode(`the callback about ${what}`, left.code('the callback', returned), 0);
        expectSame(`in use after the callback about ${what}`, inUse(), before);
      }
    },
  },
  {
    name: 'callback-unknown',
    title: 'the cache callback about memory it never saw is success or WSAEINVAL',
    clauses: ['CACHECB-03', 'CACHECB-04'],
    unless: needsCache,
    run: ({ left }) => {
      const buffer = left.allocate(BYTES);
      const address = left.host.memory.addressOf(buffer);
      const { WSPMemoryRegistrationCacheCallback: callback } = left.extensions;
      const returned = callback?.(address, BYTES, left.errno) ?? 0;
      expectCode('the callback', left.code('the callback', returned), 0, spi.WSAEINVAL);
    },
  },
  {
    name: 'again',
    title: 'memory that was deregistered is registered again and carries data, many times',
    clauses: ['CACHE-01', 'CACHE-03', 'CACHE-07', 'REGMEM-01'],
    run: (context) => {
      const { left, right } = context;
      const { a, b } = context.connected();
      const target = right.allocate(context.rdmaBytes(BYTES));
      const source = context.filled(left, target.length);
      for (let round = 0; round < 20; round++) {
        context.random.fill(source);
        const descriptor = right.expose(b, target, spi.MEM_WRITE);
        const handle = left.register(a, source);
        const write = rdma(left, 'write', a, [{ buf: source, handle }], { descriptor });
        expectCode('the write', finish(left, a, write, 'the write').error, 0);
        expectBytes('the memory', target, source);
        expectCode('WSPDeregisterMemory', left.deregister(a, handle), 0);
        expectCode('WSPDeregisterRdmaMemory', right.unexpose(b, descriptor), 0);
      }
    },
  },
]);

export const memoryCases: readonly ConformanceCase[] = [...local, ...exposed, ...cache];
