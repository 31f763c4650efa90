// "Completing Data Transfer Requests": the WSAOVERLAPPED, the upcall, the poll. Sources: OVL, GOR,
// WSPSEND-07, WSPSEND-14, UPC-04, UPC-05.

import * as spi from '../../../provider/spi/index.js';
import type { CaseContext, ConformanceCase } from '../case.js';
import { casesOf } from '../case.js';
import { ConformanceFailure, expectCode, expectSame, expectThat } from '../check.js';
import { needsDepth, needsWaitingResult } from '../requirements.js';
import type { Side, Started } from '../side.js';
import { lossErrors } from '../states.js';
import { ask, finish, finished, poll, receive, send, SUPPRESSED } from '../transfers.js';

interface PostedReceive {
  readonly a: number;
  readonly b: number;
  readonly posted: Started;
  /** Sends what the receive waits for: 48 bytes. */
  readonly sendOne: () => Started;
}

/** A connection with a receive posted on the left side. */
function postOne(context: CaseContext, hEvent?: number): PostedReceive {
  const { left, right } = context;
  const { a, b } = context.connected();
  const into = left.allocate(64);
  left.register(a, into);
  const message = right.allocate(48, 3);
  right.register(b, message);
  const posted = receive(left, a, [into], hEvent === undefined ? {} : { hEvent });
  expectCode('WSPRecv', posted.code, spi.WSA_IO_PENDING);
  return { a, b, posted, sendOne: () => send(right, b, [message]) };
}

/** Waits until the upcall for an operation came. */
function untilTold(side: Side, { overlapped }: Started): void {
  const { upcalls } = side;
  side.until(() => upcalls.completionsOf(overlapped).length > 0, 'the completion upcall comes');
}

/** Gives a provider that says too much the occasion to do so. */
function idle(side: Side): void {
  for (let turn = 0; turn < 100; turn++) side.drive(() => true);
}

/** Writes of one WSAOVERLAPPED in the order they are made. */
function watch(overlapped: spi.WSAOVERLAPPED): string[] {
  const writes: string[] = [];
  for (const field of ['Internal', 'InternalHigh', 'Offset', 'OffsetHigh'] as const) {
    let value = overlapped[field];
    Object.defineProperty(overlapped, field, {
      get: () => value,
      set: (written: number) => {
        value = written;
        const isStart = field === 'Internal' && written === spi.WSS_OPERATION_IN_PROGRESS;
        writes.push(isStart ? 'start' : field);
      },
      enumerable: true,
      configurable: true,
    });
  }
  return writes;
}

const polled = casesOf('completing-data-transfer-requests', [
  {
    name: 'pending',
    title: 'a pending operation is in progress: 0x103, WSA_IO_INCOMPLETE, counts left alone',
    clauses: ['OVL-01', 'OVL-03', 'OVL-09', 'OVL-10', 'GOR-02', 'DATA-07'],
    run: (context) => {
      const { left } = context;
      const { a, posted } = postOne(context);
      expectSame('Internal', posted.overlapped.Internal, spi.WSS_OPERATION_IN_PROGRESS);
      expectThat(poll(left, a, posted.overlapped) === null, 'the poll', 'WSA_IO_INCOMPLETE');
    },
  },
  {
    name: 'polled',
    title: 'an operation with the low bit of hEvent set is told to nobody and found by polling',
    clauses: ['OVL-04', 'OVL-05', 'OVL-12', 'GOR-01', 'WSPRECV-04', 'W7.7'],
    run: (context) => {
      const { left, right } = context;
      const { a, b, posted, sendOne } = postOne(context);
      const sent = sendOne();
      const { error, bytes, flags } = finish(left, a, posted, 'the receive');
      expectCode('the receive', error, 0);
      expectSame('lpcbTransfer', bytes, 48);
      expectSame('lpdwFlags', flags, 0);
      expectSame('InternalHigh', posted.overlapped.InternalHigh, 48);
      expectSame('bytes of the send', finish(right, b, sent, 'the send').bytes, 48);
      idle(left);
      expectSame('upcalls', left.upcalls.completions.length, 0);
    },
  },
  {
    name: 'internal-last',
    title:
      'a polled operation has its length and its error in place before Internal says it is over',
    clauses: ['OVL-11', 'OVL-12', 'OVL-08'],
    run: (context) => {
      const { left, right } = context;
      const { a, b, posted, sendOne } = postOne(context);
      const writes = watch(posted.overlapped);
      const sent = sendOne();
      finish(left, a, posted, 'the receive');
      expectThat(writes.includes('InternalHigh'), 'the length', 'stored', 'never stored');
      expectSame('the last field written', writes.at(-1) ?? 'none', 'Internal');
      expectSame('times that it ended', writes.filter((one) => one === 'Internal').length, 1);
      finish(right, b, sent, 'the send');
    },
  },
  {
    name: 'asked-again',
    title: 'WSPGetOverlappedResult says the same when it is asked again',
    clauses: ['GOR-01', 'OVL-10'],
    run: (context) => {
      const { left } = context;
      const { a, posted, sendOne } = postOne(context);
      sendOne();
      const first = finish(left, a, posted, 'the receive');
      const again = ask(left, a, posted.overlapped, false);
      expectSame('bytes', again?.bytes ?? -1, first.bytes);
      expectSame('error', again?.error ?? -1, first.error);
    },
  },
  {
    name: 'waits',
    title: 'WSPGetOverlappedResult with fWait waits for the end',
    clauses: ['GOR-02'],
    unless: needsWaitingResult,
    run: (context) => {
      const { left } = context;
      const { a, posted, sendOne } = postOne(context);
      sendOne();
      const outcome = ask(left, a, posted.overlapped, true);
      expectSame('bytes', outcome?.bytes ?? -1, 48);
    },
  },
  {
    name: 'event-untouched',
    title: 'hEvent belongs to the caller: it is what it was',
    clauses: ['OVL-08', 'OVL-19'],
    run: (context) => {
      const { left } = context;
      const { a, posted, sendOne } = postOne(context);
      const before = posted.overlapped.hEvent;
      sendOne();
      finish(left, a, posted, 'the receive');
      expectSame('hEvent', posted.overlapped.hEvent, before);
      const isSet = left.upcalls.isSignalled(before - SUPPRESSED);
      expectThat(!isSet, 'the event of a polled operation', 'not signalled', 'signalled');
    },
  },
]);

const notified = casesOf('completing-data-transfer-requests', [
  {
    name: 'notified',
    title: 'an operation with the low bit of hEvent clear is told by one upcall, with its length',
    clauses: ['OVL-06', 'OVL-09', 'UPC-04', 'UPC-05', 'WSPSEND-14', 'W13.3'],
    run: (context) => {
      const { left } = context;
      const hEvent = left.upcalls.createEvent();
      const { a, posted, sendOne } = postOne(context, hEvent);
      sendOne();
      untilTold(left, posted);
      idle(left);
      const [told, ...more] = left.upcalls.completionsOf(posted.overlapped);
      expectSame('further upcalls', more.length, 0);
      expectCode('dwError', told?.error ?? -1, 0);
      expectSame('cbTransferred', told?.bytes ?? -1, 48);
      const before = told?.internalBefore ?? 0;
      expectSame('Internal before the upcall', before, spi.WSS_OPERATION_IN_PROGRESS);
      expectSame('lpcbTransfer afterwards', poll(left, a, posted.overlapped)?.bytes ?? -1, 48);
    },
  },
  {
    name: 'no-event',
    title: 'hEvent 0 has its low bit clear: the upcall comes',
    clauses: ['OVL-06', 'WSPSEND-08'],
    run: (context) => {
      const { posted, sendOne } = postOne(context, 0);
      sendOne();
      untilTold(context.left, posted);
    },
  },
  {
    name: 'send-notified',
    title: 'a notified send is told once, or was complete at once and is not told',
    clauses: ['OVL-06', 'WSPSEND-06', 'WSPSEND-14', 'OVL-16'],
    run: (context) => {
      const { left, right } = context;
      const { a, b } = context.connected();
      const message = left.allocate(32, 1);
      left.register(a, message);
      const into = right.allocate(32);
      right.register(b, into);
      const posted = receive(right, b, [into]);
      const sent = send(left, a, [message], { hEvent: left.upcalls.createEvent() });
      if (sent.code === spi.WSA_IO_PENDING) untilTold(left, sent);
      finish(right, b, posted, 'the receive');
      idle(left);
      const count = left.upcalls.completionsOf(sent.overlapped).length;
      expectSame('upcalls', count, sent.code === 0 ? 0 : 1);
    },
  },
  {
    name: 'post-inside',
    title: 'a completion upcall may post the next operation',
    clauses: ['UPC-05', 'OVL-06'],
    run: (context) => {
      const { left, right } = context;
      const { a, b } = context.connected();
      const into = left.allocate(64);
      left.register(a, into);
      const message = right.allocate(8, 2);
      right.register(b, message);
      const overlappeds: Started[] = [];
      const post = (): void => {
        const hEvent = left.upcalls.createEvent();
        overlappeds.push(receive(left, a, [into], { hEvent }));
      };
      left.upcalls.onComplete = () => {
        if (overlappeds.length < 5) post();
      };
      post();
      for (let count = 0; count < 5; count++) {
        const sent = send(right, b, [message]);
        left.until(() => left.upcalls.completions.length > count, `completion ${count} is told`);
        expectCode('the send', finish(right, b, sent, 'the send').error, 0);
      }
      for (const { code } of overlappeds) expectCode('WSPRecv', code, spi.WSA_IO_PENDING);
    },
  },
  {
    name: 'close-inside',
    title: 'a completion upcall may close its socket; the handle comes back after it returned',
    clauses: ['UPC-05', 'CLOSE-03', 'CLOSE-04'],
    unless: needsDepth(2),
    run: (context) => {
      const { left } = context;
      const { a, posted, sendOne } = postOne(context, context.left.upcalls.createEvent());
      let inside = 0;
      left.upcalls.onComplete = ({ overlapped, handle }) => {
        if (overlapped !== posted.overlapped) return;
        expectCode('WSPCloseSocket', left.close(a), 0);
        if (!left.upcalls.openHandles.has(handle)) inside++;
      };
      const before = left.upcalls.openHandles.size;
      sendOne();
      left.until(() => left.upcalls.openHandles.size < before, 'the handle is given back');
      expectSame('handles given back inside the upcall', inside, 0);
    },
  },
  {
    name: 'sockets-inside',
    title: 'a completion upcall may make one socket and close another; both calls hold',
    clauses: ['UPC-05', 'SOCKET-03', 'CLOSESOCK-02'],
    run: (context) => {
      const { left } = context;
      const { posted, sendOne } = postOne(context, left.upcalls.createEvent());
      const doomed = left.socket();
      const made: number[] = [];
      left.upcalls.onComplete = ({ overlapped }) => {
        if (overlapped !== posted.overlapped) return;
        expectCode('WSPCloseSocket', left.close(doomed), 0);
        made.push(left.socket());
      };
      sendOne();
      left.until(() => made.length > 0, 'the upcall comes');
      for (const s of made) expectCode('WSPBind', left.bind(s, context.port()), 0);
      expectCode('WSPBind of the closed one', left.bind(doomed, context.port()), spi.WSAENOTSOCK);
    },
  },
]);

const failing = casesOf('completing-data-transfer-requests', [
  {
    name: 'polled-failure',
    title: 'a polled operation that fails is told to nobody either, and moved 0 bytes',
    clauses: ['OVL-05', 'OVL-12', 'OVL-18', 'WSPRECV-07'],
    run: (context) => {
      const { left, right } = context;
      const { b, posted } = postOne(context);
      expectCode('WSPCloseSocket', right.close(b), 0);
      const { error, bytes } = finished(left, posted, 'the receive');
      expectCode('OffsetHigh', error, ...lossErrors(context, spi.WSAECONNRESET));
      expectSame('InternalHigh', bytes, 0);
      idle(left);
      expectSame('upcalls', left.upcalls.completions.length, 0);
    },
  },
  {
    name: 'notified-failure',
    title: 'a notified operation that fails is told once, with 0 bytes',
    clauses: ['OVL-06', 'OVL-18', 'GOR-04', 'CLOSE-01'],
    run: (context) => {
      const { left, right } = context;
      const { a, b, posted } = postOne(context, context.left.upcalls.createEvent());
      expectCode('WSPCloseSocket', right.close(b), 0);
      untilTold(left, posted);
      idle(left);
      const [told, ...more] = left.upcalls.completionsOf(posted.overlapped);
      if (told === undefined) throw new ConformanceFailure('the upcall', 'one', 'none');
      expectSame('further upcalls', more.length, 0);
      expectCode('dwError', told.error, ...lossErrors(context, spi.WSAECONNRESET));
      expectSame('cbTransferred', told.bytes, 0);
      const outcome = poll(left, a, posted.overlapped);
      expectCode('the poll afterwards', outcome?.error ?? -1, told.error);
    },
  },
]);

export const completionCases: readonly ConformanceCase[] = [...polled, ...notified, ...failing];
