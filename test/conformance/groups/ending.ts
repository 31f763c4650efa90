// "Handling Socket Options and Control Codes", "Closing a SAN Socket".
// Sources: OPT, GETOPT, SETOPT, IOC, QOS, CLOSE, CLOSESOCK, OVL-15.

import * as spi from '../../../provider/spi/index.js';
import type { CaseContext, ConformanceCase } from '../case.js';
import { casesOf } from '../case.js';
import { expectCode, expectSame, expectThat } from '../check.js';
import {
  needsDepth,
  needsMessageLimit,
  needsNoMessageLimit,
  needsNoQos,
  needsRdmaLimit,
} from '../requirements.js';
import type { Side, Started } from '../side.js';
import { lossErrors } from '../states.js';
import { finish, finished, receive, send } from '../transfers.js';

interface OptionAnswer {
  readonly code: number;
  readonly value: number;
  readonly length: number;
}

function option(side: Side, s: number, name: number, level: number, room = 4): OptionAnswer {
  const { procs, errno } = side;
  const value = new Uint8Array(8);
  const length = spi.ref(room);
  const returned = procs.lpWSPGetSockOpt(s, level, name, value, length, errno);
  const code = side.code('WSPGetSockOpt', returned);
  const number = [3, 2, 1, 0].reduce((sum, at) => sum * 256 + (value[at] ?? 0), 0);
  return { code, value: number, length: length.value };
}

function setOption(side: Side, s: number, name: number, level: number, bytes: Uint8Array): number {
  const { procs, errno } = side;
  const returned = procs.lpWSPSetSockOpt(s, level, name, bytes, bytes.length, errno);
  return side.code('WSPSetSockOpt', returned);
}

/** A limit is told as it was declared, also before there is a connection. */
function limitCase(context: CaseContext, name: number, declared: number | null): void {
  const { left } = context;
  const { code, value, length } = option(left, left.socket(), name, spi.SOL_SOCKET);
  expectCode('WSPGetSockOpt', code, 0);
  expectSame('its value', value, declared ?? -1);
  expectSame('optlen', length, 4);
}

const options = casesOf('handling-socket-options-and-control-codes-for-a-san', [
  {
    name: 'max-message',
    title: 'SO_MAX_MSG_SIZE is the declared limit of messages',
    clauses: ['OPT-03', 'GETOPT-02', 'WSPSEND-10'],
    unless: needsMessageLimit,
    run: (context) => limitCase(context, spi.SO_MAX_MSG_SIZE, context.capabilities.maxMessageSize),
  },
  {
    name: 'no-max-message',
    title: 'SO_MAX_MSG_SIZE is WSAENOPROTOOPT where there is no limit',
    clauses: ['OPT-06', 'GETOPT-01'],
    unless: needsNoMessageLimit,
    run: ({ left }) => {
      const { code } = option(left, left.socket(), spi.SO_MAX_MSG_SIZE, spi.SOL_SOCKET);
      expectCode('WSPGetSockOpt', code, spi.WSAENOPROTOOPT);
    },
  },
  {
    name: 'max-rdma',
    title: 'SO_MAX_RDMA_SIZE is the declared limit of RDMA transfers',
    clauses: ['OPT-04', 'OPT-10'],
    unless: needsRdmaLimit,
    run: (context) => limitCase(context, spi.SO_MAX_RDMA_SIZE, context.capabilities.maxRdmaSize),
  },
  {
    name: 'threshold',
    title: 'SO_RDMA_THRESHOLD_SIZE is the declared preference, or WSAENOPROTOOPT',
    clauses: ['OPT-05', 'OPT-06', 'OPT-10'],
    run: (context) => {
      const { left, capabilities } = context;
      const declared = capabilities.rdmaThresholdSize;
      if (declared !== null) return limitCase(context, spi.SO_RDMA_THRESHOLD_SIZE, declared);
      const { code } = option(left, left.socket(), spi.SO_RDMA_THRESHOLD_SIZE, spi.SOL_SOCKET);
      expectCode('WSPGetSockOpt', code, spi.WSAENOPROTOOPT);
    },
  },
  {
    name: 'errors',
    title: 'an unknown option is WSAENOPROTOOPT, an unknown level WSAEINVAL, little room WSAEFAULT',
    clauses: ['GETOPT-01', 'OPT-06'],
    run: ({ left, capabilities }) => {
      const s = left.socket();
      const unknown = option(left, s, 0x6abc, spi.SOL_SOCKET);
      expectCode('an unknown option', unknown.code, spi.WSAENOPROTOOPT);
      const elsewhere = option(left, s, spi.SO_MAX_MSG_SIZE, 0x1234);
      expectCode('an unknown level', elsewhere.code, spi.WSAEINVAL);
      if (capabilities.maxMessageSize === null) return;
      const short = option(left, s, spi.SO_MAX_MSG_SIZE, spi.SOL_SOCKET, 2);
      expectCode('room for 2 bytes', short.code, spi.WSAEFAULT);
    },
  },
  {
    name: 'set-errors',
    title: 'WSPSetSockOpt refuses what is read-only or unknown',
    clauses: ['SETOPT-01', 'OPT-07'],
    run: ({ left }) => {
      const s = left.socket();
      const four = Uint8Array.of(1, 0, 0, 0);
      const set = (name: number, level: number): number => setOption(left, s, name, level, four);
      const refused = [spi.WSAENOPROTOOPT, spi.WSAEINVAL];
      expectCode('SO_MAX_MSG_SIZE', set(spi.SO_MAX_MSG_SIZE, spi.SOL_SOCKET), ...refused);
      expectCode('an unknown option', set(0x6abc, spi.SOL_SOCKET), spi.WSAENOPROTOOPT);
      expectCode('an unknown level', set(spi.SO_DEBUG, 0x1234), spi.WSAEINVAL);
    },
  },
  {
    name: 'debug',
    title: 'SO_DEBUG is what was set, where it is supported',
    clauses: ['OPT-02', 'OPT-07', 'SETOPT-02'],
    run: ({ left }) => {
      const s = left.socket();
      const code = setOption(left, s, spi.SO_DEBUG, spi.SOL_SOCKET, Uint8Array.of(1, 0, 0, 0));
      expectCode('WSPSetSockOpt', code, 0, spi.WSAENOPROTOOPT);
      if (code !== 0) return;
      const answer = option(left, s, spi.SO_DEBUG, spi.SOL_SOCKET);
      expectThat(answer.code === 0 && answer.value !== 0, 'SO_DEBUG', 'on', 'off');
    },
  },
  {
    name: 'no-qos',
    title: 'without QoS its options, its control codes and its function are refused',
    clauses: ['OPT-08', 'IOC-05', 'QOS-01', 'INST-14'],
    unless: needsNoQos,
    run: ({ left }) => {
      const s = left.socket();
      for (const name of [spi.SO_GROUP_ID, spi.SO_GROUP_PRIORITY]) {
        const { code } = option(left, s, name, spi.SOL_SOCKET);
        expectCode('a group option', code, spi.WSAENOPROTOOPT);
      }
      const { procs, errno } = left;
      const codes = [spi.SIO_GET_QOS, spi.SIO_GET_GROUP_QOS, spi.SIO_SET_QOS, 0xdeadbeef];
      const refused = [spi.WSAEOPNOTSUPP, spi.WSAENOPROTOOPT, spi.WSAEINVAL];
      for (const code of codes) {
        const out = new Uint8Array(256);
        const length = spi.ref(0);
        const returned = procs.lpWSPIoctl(
          s,
          code,
          out,
          256,
          out,
          256,
          length,
          null,
          null,
          null,
          errno,
        );
        expectCode('a QoS control code', left.code('WSPIoctl', returned), ...refused);
      }
    },
  },
]);

/** Receives on a new connection, in turns polled and notified. */
function postSeveral(
  context: CaseContext,
  count: number,
): { a: number; b: number; all: Started[] } {
  const { left } = context;
  const { a, b } = context.connected();
  const buffer = left.allocate(64 * count);
  left.register(a, buffer);
  const all = Array.from({ length: count }, (_, index) => {
    const hEvent = left.upcalls.createEvent() | (index & 1);
    return receive(left, a, [buffer.subarray(64 * index, 64 * index + 64)], { hEvent });
  });
  for (const { code } of all) expectCode('WSPRecv', code, spi.WSA_IO_PENDING);
  return { a, b, all };
}

const closing = casesOf('closing-a-san-socket', [
  {
    name: 'own-side',
    title:
      'WSPCloseSocket ends pending operations with WSA_OPERATION_ABORTED, the handle goes last',
    clauses: ['CLOSESOCK-03', 'CLOSE-02', 'CLOSE-03', 'OVL-15', 'OVL-17', 'W14.12'],
    unless: needsDepth(4),
    run: (context) => {
      const { left } = context;
      const { a, all } = postSeveral(context, 4);
      expectCode('WSPCloseSocket', left.close(a), 0);
      for (const posted of all) {
        const { error, bytes } = finished(left, posted, 'a receive of a closed socket');
        expectCode('OffsetHigh', error, spi.WSA_OPERATION_ABORTED);
        expectSame('InternalHigh', bytes, 0);
      }
      left.until(() => left.upcalls.openHandles.size === 0, 'the handle is given back');
      expectSame('notified operations told', left.upcalls.completions.length, 2);
      expectSame('the last upcall', left.upcalls.records.at(-1)?.name ?? 'none', 'close');
      for (const { error } of left.upcalls.completions) {
        expectCode('dwError', error, spi.WSA_OPERATION_ABORTED);
      }
    },
  },
  {
    name: 'other-side',
    title: "the peer's receives end with the error of the connection, each exactly once",
    clauses: ['CLOSE-01', 'WSPRECV-07', 'W14.19', 'CLOSE-07'],
    unless: needsDepth(4),
    run: (context) => {
      const { left, right } = context;
      const { b, all } = postSeveral(context, 4);
      expectCode('WSPCloseSocket', right.close(b), 0);
      for (const posted of all) {
        const { error, bytes } = finished(left, posted, "a receive of the peer's connection");
        expectCode('OffsetHigh', error, ...lossErrors(context, spi.WSAECONNRESET));
        expectSame('InternalHigh', bytes, 0);
      }
      expectSame('notified operations told', left.upcalls.completions.length, 2);
    },
  },
  {
    name: 'sticky',
    title: 'after the peer closed, every transfer fails with the same error, and the socket stays',
    clauses: ['CLOSE-04', 'CLOSE-07', 'WSPSEND-12'],
    run: (context) => {
      const { left, right } = context;
      const { a, b, all } = postSeveral(context, 1);
      expectCode('WSPCloseSocket', right.close(b), 0);
      for (const posted of all) finished(left, posted, 'the receive');
      const buffer = left.allocate(64);
      for (let time = 0; time < 3; time++) {
        expectCode('WSPSend', send(left, a, [buffer]).code, spi.WSAECONNRESET);
        expectCode('WSPRecv', receive(left, a, [buffer]).code, spi.WSAECONNRESET);
      }
      const isOpen = left.upcalls.openHandles.size === 1;
      expectThat(isOpen, 'the handle before WSPCloseSocket', 'kept', 'given back');
      expectCode('WSPCloseSocket', left.close(a), 0);
      left.until(() => left.upcalls.openHandles.size === 0, 'the handle is given back');
    },
  },
  {
    name: 'both',
    title: 'both sides may close at once, with operations pending on both',
    clauses: ['CLOSE-01', 'CLOSE-02', 'OVL-15'],
    unless: needsDepth(2),
    run: (context) => {
      const { left, right } = context;
      const { a, b, all } = postSeveral(context, 2);
      expectCode('WSPCloseSocket', left.close(a), 0);
      expectCode('WSPCloseSocket', right.close(b), 0);
      for (const posted of all) {
        const { error } = finished(left, posted, 'a receive');
        expectCode('OffsetHigh', error, spi.WSA_OPERATION_ABORTED);
      }
      left.until(() => left.upcalls.openHandles.size === 0, 'the handle is given back');
    },
  },
  {
    name: 'sent-data',
    title: 'a send that is pending when its socket closes ends once',
    clauses: ['CLOSESOCK-03', 'CLOSE-02', 'WSPSEND-12'],
    run: (context) => {
      const { left } = context;
      const { a } = context.connected();
      const buffer = left.allocate(4096, 4);
      left.register(a, buffer);
      const sent = send(left, a, [buffer]);
      expectCode('WSPCloseSocket', left.close(a), 0);
      const { error } = finished(left, sent, 'the send');
      expectCode('the send', error, 0, spi.WSA_OPERATION_ABORTED);
    },
  },
  {
    name: 'late-calls',
    title: 'calls that come late with INVALID_SOCKET are WSAENOTSOCK',
    clauses: ['CLOSE-06', 'GOR-03', 'WSPSEND-12'],
    run: ({ left }) => {
      const s = spi.INVALID_SOCKET;
      const buffer = left.allocate(64);
      expectCode('WSPRecv', receive(left, s, [buffer]).code, spi.WSAENOTSOCK);
      expectCode('WSPSend', send(left, s, [buffer]).code, spi.WSAENOTSOCK);
      expectCode('WSPDeregisterMemory', left.deregister(s, 77), spi.WSAENOTSOCK);
      const descriptor = new Uint8Array(32);
      expectCode('WSPDeregisterRdmaMemory', left.unexpose(s, descriptor), spi.WSAENOTSOCK);
      const stale = {
        code: spi.WSA_IO_PENDING,
        overlapped: spi.createOverlapped(1),
        count: spi.ref(0),
      };
      const { error } = finish(left, s, stale, 'a call with INVALID_SOCKET');
      expectCode('WSPGetOverlappedResult', error, spi.WSAENOTSOCK);
    },
  },
]);

export const endingCases: readonly ConformanceCase[] = [...options, ...closing];
