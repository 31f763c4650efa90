// "Duplicating Socket Handles for a SAN", as far as it binds a provider: one process lets go of a
// connection, another one goes on with it, and the peer notices nothing. What the switches say to each
// other before is theirs. Sources: DUPSOCK, SOCKET-04, DUP-11, DUP-12, DUP-15 to DUP-18, S16.

import * as spi from '../../../provider/spi/index.js';
import type { CaseContext, Connection, ConformanceCase } from '../case.js';
import { casesOf } from '../case.js';
import { expectBytes, expectCode, expectSame, expectThat, NotSupported } from '../check.js';
import { needsAll, needsDepth, needsDuplication, needsNoDuplication } from '../requirements.js';
import type { Side, Started } from '../side.js';
import { lossErrors } from '../states.js';
import { finish, finished, rdma, receive, send } from '../transfers.js';

const BYTES = 64;

/** Posts receives of BYTES each; the memory of each. */
function postReceives(
  side: Side,
  s: number,
  count: number,
): { readonly posted: Started; readonly buffer: Uint8Array }[] {
  const memory = side.allocate(BYTES * count);
  side.register(s, memory);
  return Array.from({ length: count }, (_, index) => {
    const buffer = memory.subarray(BYTES * index, BYTES * index + BYTES);
    const hEvent = side.upcalls.createEvent() | (index & 1);
    const posted = receive(side, s, [buffer], { hEvent });
    expectCode('WSPRecv', posted.code, spi.WSA_IO_PENDING);
    return { posted, buffer };
  });
}

/** One message from side to side; it fills the receive that is posted first. */
function exchange(
  context: CaseContext,
  from: readonly [Side, number],
  to: readonly [Side, number],
): void {
  const [sender, s] = from;
  const [receiver, r] = to;
  const [waiting] = postReceives(receiver, r, 1);
  const message = context.filled(sender, BYTES);
  sender.register(s, message);
  const sent = send(sender, s, [message]);
  expectCode('the send', finish(sender, s, sent, 'the send').error, 0);
  if (waiting === undefined) return;
  expectCode('the receive', finished(receiver, waiting.posted, 'the receive').error, 0);
  expectBytes('the message', waiting.buffer, message);
}

/** WSPDuplicateSocket, which must succeed: what names the connection in the target. */
function letGo(side: Side, s: number, to: Side): number {
  const { code, name } = side.duplicate(s, to.host.processId);
  expectCode('WSPDuplicateSocket', code, 0);
  expectThat(name !== 0, 'dwProviderReserved', 'a value', '0');
  return name;
}

function takeOver(side: Side, name: number): number {
  const { value, code } = side.trySocket(name);
  expectCode('WSPSocket with dwProviderReserved', code, 0);
  return value;
}

/** A connection whose left end is now the target's, and the old descriptor closed. */
function handedOver(context: CaseContext): Connection & { readonly next: number } {
  const { left, target } = context;
  const connection = context.connected();
  const next = takeOver(target, letGo(left, connection.a, target));
  expectCode('WSPCloseSocket of the old descriptor', left.close(connection.a), 0);
  return { ...connection, next };
}

const refusing = casesOf('duplicating-socket-handles-for-a-san', [
  {
    name: 'none',
    title: 'a provider without duplication refuses it, and the connection goes on',
    clauses: ['DUPSOCK-01'],
    unless: needsNoDuplication,
    run: (context) => {
      const { left, right } = context;
      const { a, b } = context.connected();
      const waiting = postReceives(left, a, 1);
      const { code } = left.duplicate(a, left.host.processId);
      expectThat(code !== 0, 'WSPDuplicateSocket', 'a failure', 'success');
      const message = right.allocate(8, 1);
      right.register(b, message);
      const sent = send(right, b, [message]);
      for (const { posted } of waiting) {
        expectSame('bytes', finish(left, a, posted, 'the receive').bytes, 8);
      }
      finish(right, b, sent, 'the send');
    },
  },
  {
    name: 'another-process',
    title: 'dwProviderReserved is good in the process that it was made for, and in no other',
    clauses: ['DUP-11', 'SOCKET-04'],
    unless: needsDuplication,
    run: (context) => {
      const { left, target } = context;
      const { a } = context.connected();
      const other = target.host.processId + 1;
      const { code, name } = left.duplicate(a, other);
      // It may know already that there is no such process.
      if (code !== 0) return;
      expectThat(target.trySocket(name).code !== 0, 'WSPSocket', 'a failure', 'success');
      expectSame('handles of the other process', target.upcalls.openHandles.size, 0);
    },
  },
  {
    name: 'taken-once',
    title: 'dwProviderReserved names one socket once: a second WSPSocket with it fails',
    clauses: ['SOCKET-04', 'DUPSOCK-02', 'DUP-01'],
    unless: needsDuplication,
    run: (context) => {
      const { left, right, target } = context;
      const { a, b } = context.connected();
      const name = letGo(left, a, target);
      const next = takeOver(target, name);
      expectThat(target.trySocket(name).code !== 0, 'WSPSocket again', 'a failure', 'success');
      expectSame('handles of the target', target.upcalls.openHandles.size, 1);
      exchange(context, [target, next], [right, b]);
    },
  },
]);

const lettingGo = casesOf('duplicating-socket-handles-for-a-san', [
  {
    name: 'receives-end-empty',
    title: 'WSPDuplicateSocket ends pending receives with success and 0 bytes',
    clauses: ['DUP-11', 'DUPSOCK-02'],
    unless: needsAll(needsDuplication, needsDepth(4)),
    run: (context) => {
      const { left, target } = context;
      const { a } = context.connected();
      const all = postReceives(left, a, 4);
      letGo(left, a, target);
      for (const { posted } of all) {
        const { error, bytes } = finished(left, posted, 'the receive');
        expectCode('OffsetHigh', error, 0);
        expectSame('InternalHigh', bytes, 0);
      }
      // The even ones are told of, the others are asked for. [OVL-05]
      const { completions } = left.upcalls;
      expectSame('upcalls', completions.length, 2);
      for (const { error, bytes } of completions) {
        expectCode('dwError of the upcall', error, 0);
        expectSame('cbTransferred of the upcall', bytes, 0);
      }
      expectCode('WSPCloseSocket', left.close(a), 0);
    },
  },
  {
    name: 'old-descriptor-stays',
    title: 'the old descriptor is given to no other socket before WSPCloseSocket of it',
    clauses: ['DUP-17', 'DUP-11'],
    unless: needsDuplication,
    run: (context) => {
      const { left, target } = context;
      const { a } = context.connected();
      letGo(left, a, target);
      const others = Array.from({ length: 8 }, () => left.socket());
      expectThat(!others.includes(a), 'new descriptors', 'others than the old one', 'the same');
      const isKept = left.upcalls.openHandles.size === others.length + 1;
      expectThat(isKept, 'the handle before WSPCloseSocket', 'kept', 'given back');
      expectCode('WSPCloseSocket', left.close(a), 0);
      expectCode('WSPCloseSocket again', left.close(a), spi.WSAENOTSOCK);
      const { openHandles } = left.upcalls;
      left.until(() => openHandles.size === others.length, 'the handle is given back');
    },
  },
  {
    name: 'old-descriptor-closed',
    title: 'closing the old descriptor leaves the connection to its new process alone',
    clauses: ['DUP-11', 'DUP-12'],
    unless: needsDuplication,
    run: (context) => {
      const { left, right, target } = context;
      const { a, b } = context.connected();
      const next = takeOver(target, letGo(left, a, target));
      exchange(context, [target, next], [right, b]);
      expectCode('WSPCloseSocket', left.close(a), 0);
      left.until(() => left.upcalls.openHandles.size === 0, 'the handle is given back');
      exchange(context, [right, b], [target, next]);
    },
  },
]);

const goingOn = casesOf('duplicating-socket-handles-for-a-san', [
  {
    name: 'taken-over',
    title: 'WSPSocket with dwProviderReserved is a connected socket with a handle of its own',
    clauses: ['DUP-12', 'DUP-15', 'SOCKET-04', 'UPC-03'],
    unless: needsDuplication,
    run: (context) => {
      const { target, right } = context;
      const { b, next } = handedOver(context);
      expectSame('WPUCreateSocketHandle calls', target.upcalls.openHandles.size, 1);
      const again = target.connect(next, right.address, context.port());
      expectCode('WSPConnect', again, spi.WSAEISCONN);
      exchange(context, [target, next], [right, b]);
      exchange(context, [right, b], [target, next]);
    },
  },
  {
    name: 'peer-notices-nothing',
    title: "the peer's receives stay pending while its connection moves, and are filled in order",
    clauses: ['DUP-15', 'DUP-18'],
    unless: needsAll(needsDuplication, needsDepth(4)),
    run: (context) => {
      const { left, right, target } = context;
      const { a, b } = context.connected();
      const waiting = postReceives(right, b, 3);
      const { records } = right.upcalls;
      const before = records.length;
      const next = takeOver(target, letGo(left, a, target));
      expectSame('upcalls of the peer', records.length, before);
      const memory = context.filled(target, BYTES * 3);
      target.register(next, memory);
      for (const [index, { posted, buffer }] of waiting.entries()) {
        const message = memory.subarray(BYTES * index, BYTES * index + BYTES);
        const sent = send(target, next, [message]);
        expectCode('the send', finish(target, next, sent, 'the send').error, 0);
        const { error, bytes } = finished(right, posted, `receive ${index} of the peer`);
        expectCode('the receive', error, 0);
        expectSame('its bytes', bytes, BYTES);
        expectBytes('the message', buffer, message);
      }
    },
  },
  {
    name: 'rdma',
    title: 'memory is registered and exposed anew on the connection that has moved',
    clauses: ['DUP-15', 'DUP-12', 'RDMA-03'],
    unless: needsDuplication,
    run: (context) => {
      const { right, target } = context;
      const { b, next } = handedOver(context);
      const goal = right.allocate(BYTES);
      const descriptor = right.expose(b, goal, spi.MEM_READWRITE);
      const buf = context.filled(target, BYTES);
      const handle = target.register(next, buf);
      const written = rdma(target, 'write', next, [{ buf, handle }], { descriptor });
      expectCode('the write', finish(target, next, written, 'the write').error, 0);
      // A message behind the write arrives behind it.
      exchange(context, [target, next], [right, b]);
      expectBytes('what was written', goal, buf);
    },
  },
  {
    name: 'back-again',
    title:
      'a connection comes back to its first process, with the old descriptor or with a new one',
    clauses: ['DUP-12', 'DUP-15', 'DUP-16'],
    unless: needsDuplication,
    run: (context) => {
      const { left, right, target } = context;
      const { a, b } = context.connected();
      const there = takeOver(target, letGo(left, a, target));
      const back = takeOver(left, letGo(target, there, left));
      // The same descriptor comes without another handle. [DUP-12]
      expectSame('handles', left.upcalls.openHandles.size, back === a ? 1 : 2);
      exchange(context, [left, back], [right, b]);
      expectCode('WSPCloseSocket there', target.close(there), 0);
      if (back !== a) expectCode('WSPCloseSocket of the old one', left.close(a), 0);
      exchange(context, [right, b], [left, back]);
    },
  },
  {
    name: 'acceptor-moves',
    title: 'the end that had accepted moves just as well',
    clauses: ['DUP-15', 'DUP-18'],
    unless: needsDuplication,
    run: (context) => {
      const { left, right, target } = context;
      const { a, b } = context.connected();
      const next = takeOver(target, letGo(right, b, target));
      exchange(context, [target, next], [left, a]);
      exchange(context, [left, a], [target, next]);
    },
  },
  {
    name: 'ends-as-any',
    title: 'a connection that has moved ends as any other, from either side',
    clauses: ['DUP-15', 'CLOSE-01', 'CLOSE-07'],
    unless: needsDuplication,
    run: (context) => {
      const { right, target } = context;
      for (const closer of ['peer', 'target'] as const) {
        const { b, next } = handedOver(context);
        const [side, s, other, o] =
          closer === 'peer'
            ? ([target, next, right, b] as const)
            : ([right, b, target, next] as const);
        const [waiting] = postReceives(side, s, 1);
        expectCode('WSPCloseSocket', other.close(o), 0);
        if (waiting === undefined) return;
        const { error } = finished(side, waiting.posted, 'the receive');
        expectCode('the receive', error, ...lossErrors(context, spi.WSAECONNRESET));
      }
    },
  },
]);

const listening = casesOf('duplicating-socket-handles-for-a-san', [
  {
    name: 'listener',
    title: 'a listener that was handed over accepts in its new process, at the old address',
    clauses: ['DUP-14', 'DUP-12', 'DUP-15'],
    unless: needsDuplication,
    run: (context) => {
      const { left, right, target } = context;
      const port = context.port();
      const { s } = left.listening(port);
      const { code, name } = left.duplicate(s, target.host.processId);
      if (code !== 0) throw new NotSupported('a listener is not handed over');
      const listener = { s: takeOver(target, name), hEvent: target.upcalls.createEvent() };
      expectCode('WSPEventSelect', target.select(listener.s, listener.hEvent, spi.FD_ACCEPT), 0);
      const b = right.bound(context.port());
      const hEvent = right.upcalls.createEvent();
      expectCode('WSPEventSelect', right.select(b, hEvent, spi.FD_CONNECT), 0);
      expectCode('WSPConnect', right.connect(b, left.address, port), spi.WSAEWOULDBLOCK);
      const accepted = context.accepted(target, listener);
      expectCode('FD_CONNECT', right.connectOutcome(b, hEvent), 0);
      exchange(context, [right, b], [target, accepted]);
      exchange(context, [target, accepted], [right, b]);
    },
  },
]);

export const duplicatingCases: readonly ConformanceCase[] = [
  ...refusing,
  ...lettingGo,
  ...goingOn,
  ...listening,
];
