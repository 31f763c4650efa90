// "Initializing a SAN Service Provider", "... Required for SANs", "Cleaning Up a Process for a SAN": the
// start, what it hands out, and the end. Sources: STARTUP, INIT, SPI-01 to SPI-05, EXT, CLEANUP.

import * as spi from '../../../provider/spi/index.js';
import type { CaseContext, ConformanceCase } from '../case.js';
import { casesOf } from '../case.js';
import { expectCode, expectSame, expectThat } from '../check.js';
import {
  needsCache,
  needsDepth,
  needsNoCache,
  needsNoRdmaRead,
  needsRdmaRead,
} from '../requirements.js';
import type { Side } from '../side.js';
import { receive } from '../transfers.js';

/** The error that WSPStartupEx returns itself. */
function startupCode(
  side: Side,
  version: number,
  data: spi.WSPDATA | null,
  table: spi.WSPProcTable | null,
): number {
  const { provider } = side.host;
  const { table: upcalls } = side.upcalls;
  return provider.WSPStartupEx(version, data, spi.tcpProtocolInfo(), upcalls, table);
}

const initializing = casesOf('initializing-a-san-service-provider', [
  {
    name: 'version',
    title: 'WSPStartupEx answers a request for 2.2 with 2.2 and a short description',
    clauses: ['STARTUP-01', 'STARTUP-04', 'INIT-10'],
    run: ({ left }) => {
      const data = spi.emptyWspData();
      expectCode('WSPStartupEx', startupCode(left, 0x0202, data, spi.emptyProcTable()), 0);
      expectSame('wVersion', data.wVersion, 0x0202);
      const isShort = data.szDescription.length <= spi.WSPDESCRIPTION_LEN;
      expectThat(isShort, 'szDescription', 'at most 255 characters', 'more');
      expectCode('WSPCleanup', left.procs.lpWSPCleanup(left.errno), 0);
    },
  },
  {
    name: 'old-version',
    title: 'WSPStartupEx returns WSAVERNOTSUPPORTED itself for a version below 2.2',
    clauses: ['STARTUP-02', 'STARTUP-06', 'W13.7'],
    run: ({ left }) => {
      for (const version of [0x0002, 0x0101, 0x0102]) {
        const code = startupCode(left, version, spi.emptyWspData(), spi.emptyProcTable());
        expectCode('WSPStartupEx', code, spi.WSAVERNOTSUPPORTED);
      }
    },
  },
  {
    name: 'missing-structures',
    title: 'WSPStartupEx returns WSAEFAULT without a WSPDATA or a procedure table',
    clauses: ['STARTUP-02'],
    run: ({ left }) => {
      const { emptyProcTable, emptyWspData, WSAEFAULT } = spi;
      expectCode('no WSPDATA', startupCode(left, 0x0202, null, emptyProcTable()), WSAEFAULT);
      expectCode('no table', startupCode(left, 0x0202, emptyWspData(), null), WSAEFAULT);
    },
  },
  {
    name: 'hidden-until-started',
    title: 'a start that failed counts for nothing: one cleanup ends the one that succeeded',
    clauses: ['CLEANUP-01', 'CLEANUP-04'],
    run: ({ left }) => {
      startupCode(left, 0x0101, spi.emptyWspData(), spi.emptyProcTable());
      expectCode('WSPCleanup', left.cleanup(), 0);
      expectCode('one WSPCleanup too many', left.cleanup(), spi.WSANOTINITIALISED);
    },
  },
  {
    name: 'start-after-failures',
    title: 'a start that failed holds nothing: the next one succeeds and connections are made',
    clauses: ['STARTUP-02', 'STARTUP-05', 'CLEANUP-01'],
    run: (context) => {
      const { left } = context;
      expectCode('WSPCleanup', left.cleanup(), 0);
      const { emptyProcTable, emptyWspData } = spi;
      for (const [version, data, table] of [
        [0x0101, emptyWspData(), emptyProcTable()],
        [0x0202, null, emptyProcTable()],
        [0x0202, emptyWspData(), null],
      ] as const) {
        const code = startupCode(left, version, data, table);
        expectThat(code !== 0, 'a wrong WSPStartupEx', 'a failure', 'success');
      }
      left.start();
      context.connected();
    },
  },
]);

const required = casesOf('windows-sockets-spi-functions-required-for-sans', [
  {
    name: 'seventeen',
    title: 'the procedure table has the 17 functions of a SAN provider',
    clauses: ['SPI-01', 'SPI-05', 'STARTUP-05'],
    run: ({ left }) => {
      for (const slot of spi.SAN_PROC_TABLE_SLOTS) {
        expectSame(slot, typeof left.table[slot], 'function');
      }
    },
  },
  {
    name: 'thirteen-null',
    title: 'the slots that a switch never calls are NULL',
    clauses: ['SPI-02', 'SPI-05'],
    run: ({ left }) => {
      const filled: readonly string[] = spi.SAN_PROC_TABLE_SLOTS;
      for (const slot of spi.PROC_TABLE_SLOTS) {
        if (!filled.includes(slot))
          expectThat(left.table[slot] === null, slot, 'null', 'a function');
      }
    },
  },
]);

const extensions = casesOf('windows-sockets-spi-extensions-for-sans', [
  {
    name: 'mandatory',
    title: 'the five mandatory extension functions are had by their GUIDs',
    clauses: ['EXT-01', 'EXT-02'],
    run: ({ left }) => {
      for (const { name, guid, required: isRequired } of spi.SAN_EXTENSIONS) {
        if (isRequired) expectCode(name, left.query(guid), 0);
        if (isRequired) expectSame(name, typeof left.fetch(guid), 'function');
      }
    },
  },
  {
    name: 'any-socket',
    title: 'an extension is had with a socket that is none, and with one that is',
    clauses: ['INIT-08', 'INIT-11', 'EXT-01'],
    run: ({ left }) => {
      for (const s of [spi.INVALID_SOCKET, 0, 12_345, left.socket()]) {
        expectCode('WSPIoctl', left.query(spi.WSAID_REGISTERMEMORY, s), 0);
      }
    },
  },
  {
    name: 'pointer-length',
    title: 'an extension function is a pointer of 8 bytes, and a short buffer is WSAEFAULT',
    clauses: ['EXT-01', 'W11.4'],
    run: ({ left }) => {
      const { procs, errno } = left;
      const code = spi.SIO_GET_EXTENSION_FUNCTION_POINTER;
      const id = spi.guidBytes(spi.WSAID_RDMAWRITE);
      const bytes = spi.ref(0);
      const ask = (cbIn: number, cbOut: number): number => {
        const box: spi.ExtensionFunctionPointer = { value: null };
        const { INVALID_SOCKET: s } = spi;
        const returned = procs.lpWSPIoctl(
          s,
          code,
          id,
          cbIn,
          box,
          cbOut,
          bytes,
          null,
          null,
          null,
          errno,
        );
        return left.code('WSPIoctl', returned);
      };
      expectCode('room for 8 bytes', ask(16, 8), 0);
      expectSame('lpcbBytesReturned', bytes.value, 8);
      expectCode('room for 4 bytes', ask(16, 4), spi.WSAEFAULT);
      expectCode('half a GUID', ask(8, 8), spi.WSAEFAULT, spi.WSAEINVAL);
    },
  },
  {
    name: 'unknown-guid',
    title: 'a GUID that names no extension is WSAEINVAL',
    clauses: ['IOCTL-04', 'W11.4'],
    run: ({ left }) => {
      const unknown = '00000000-1111-2222-3333-444444444444';
      expectCode('WSPIoctl', left.query(unknown), spi.WSAEINVAL, spi.WSAEOPNOTSUPP);
    },
  },
  {
    name: 'rdma-read',
    title: 'WSPRdmaRead is had from a provider that declares it',
    clauses: ['EXT-02', 'EXT-03'],
    unless: needsRdmaRead,
    run: ({ left }) => expectCode('WSPRdmaRead', left.query(spi.WSAID_RDMAREAD), 0),
  },
  {
    name: 'no-rdma-read',
    title: 'WSPRdmaRead is WSAEOPNOTSUPP from a provider without it',
    clauses: ['EXT-03'],
    unless: needsNoRdmaRead,
    run: ({ left }) => expectCode('WSPRdmaRead', left.query(spi.WSAID_RDMAREAD), spi.WSAEOPNOTSUPP),
  },
  {
    name: 'cache-callback',
    title: 'the cache callback is had from a provider that declares a cache',
    clauses: ['EXT-02', 'CACHECB-01'],
    unless: needsCache,
    run: ({ left }) => {
      expectCode('the callback', left.query(spi.WSAID_MEMORYREGISTRATIONCACHECALLBACK), 0);
    },
  },
  {
    name: 'no-cache-callback',
    title: 'the cache callback is WSAEOPNOTSUPP from a provider without a cache',
    clauses: ['EXT-03'],
    unless: needsNoCache,
    run: ({ left }) => {
      const code = left.query(spi.WSAID_MEMORYREGISTRATIONCACHECALLBACK);
      expectCode('the callback', code, spi.WSAEOPNOTSUPP);
    },
  },
]);

/** Posts receives on a connection: half of them notified, half polled. */
function postReceives(context: CaseContext, count: number): spi.WSAOVERLAPPED[] {
  const { left } = context;
  const { a } = context.connected();
  const buffer = left.allocate(64 * count);
  left.register(a, buffer);
  return Array.from({ length: count }, (_, index) => {
    const hEvent = left.upcalls.createEvent() | (index & 1);
    const part = buffer.subarray(64 * index, 64 * index + 64);
    const { code, overlapped } = receive(left, a, [part], { hEvent });
    expectCode('WSPRecv', code, spi.WSA_IO_PENDING);
    return overlapped;
  });
}

const cleaningUp = casesOf('cleaning-up-a-process-for-a-san', [
  {
    name: 'counted',
    title: 'WSPCleanup undoes one WSPStartupEx: only the last one ends sockets',
    clauses: ['CLEANUP-01', 'W13.7'],
    run: ({ left }) => {
      left.start();
      const s = left.socket();
      expectCode('the first WSPCleanup', left.cleanup(), 0);
      expectSame('handles given back', left.upcalls.openHandles.size, 1);
      const events = spi.createNetworkEvents();
      expectCode('a call after the first WSPCleanup', left.enumerate(s, 0, events), 0);
      expectCode('the last WSPCleanup', left.cleanup(), 0);
      expectCode('one WSPCleanup too many', left.cleanup(), spi.WSANOTINITIALISED);
    },
  },
  {
    name: 'pending',
    title: 'the last WSPCleanup ends pending operations with WSA_OPERATION_ABORTED and 0 bytes',
    clauses: ['CLEANUP-02', 'OVL-15', 'OVL-18'],
    unless: needsDepth(4),
    run: (context) => {
      const { left } = context;
      const posted = postReceives(context, 4);
      expectCode('WSPCleanup', left.cleanup(), 0);
      const isOver = (one: spi.WSAOVERLAPPED): boolean =>
        one.Internal !== spi.WSS_OPERATION_IN_PROGRESS;
      left.until(() => posted.every(isOver), 'every pending operation ends');
      for (const overlapped of posted) {
        expectSame('InternalHigh', overlapped.InternalHigh, 0);
        expectCode('OffsetHigh', overlapped.OffsetHigh, spi.WSA_OPERATION_ABORTED);
      }
      for (const { error, bytes } of left.upcalls.completions) {
        expectCode('dwError of the upcall', error, spi.WSA_OPERATION_ABORTED);
        expectSame('cbTransferred of the upcall', bytes, 0);
      }
      expectSame('upcalls', left.upcalls.completions.length, 2);
    },
  },
  {
    name: 'start-again',
    title: 'a provider that was cleaned up starts again and makes a connection',
    clauses: ['CLEANUP-01', 'CLEANUP-02'],
    run: (context) => {
      const { left } = context;
      context.connected();
      expectCode('WSPCleanup', left.cleanup(), 0);
      const { upcalls } = left;
      left.until(() => upcalls.openHandles.size === 0, 'every handle is given back');
      left.start();
      context.connected();
    },
  },
]);

export const initializingCases: readonly ConformanceCase[] = [
  ...initializing,
  ...required,
  ...extensions,
  ...cleaningUp,
];
