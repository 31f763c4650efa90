// "Initiating a Connection", "Listening for Connections on a SAN", "Accepting Connection Requests",
// "Synchronizing Operations on a SAN". Sources: CONNECT, LISTEN, ACCEPT, EVT, SESS-06, SESS-07.

import * as spi from '../../../provider/spi/index.js';
import type { CaseContext, ConformanceCase } from '../case.js';
import { casesOf } from '../case.js';
import { expectBytes, expectCode, expectSame, expectThat } from '../check.js';
import { needsDepth } from '../requirements.js';
import type { Listening } from '../side.js';
import { finish, receive, send } from '../transfers.js';

/** Starts a connect from left to a port of right; nobody has accepted yet. */
function knock(
  context: CaseContext,
  port: number,
): { readonly s: number; readonly hEvent: number } {
  const { left, right } = context;
  const s = left.bound(context.port());
  const hEvent = left.upcalls.createEvent();
  expectCode('WSPEventSelect', left.select(s, hEvent, spi.FD_CONNECT), 0);
  const code = left.connect(s, right.address, port);
  expectCode('WSPConnect', code, spi.WSAEWOULDBLOCK, 0);
  return { s, hEvent };
}

function listenAndKnock(context: CaseContext): {
  readonly listener: Listening;
  readonly s: number;
  readonly hEvent: number;
} {
  const port = context.port();
  const listener = context.right.listening(port);
  const knocked = knock(context, port);
  const { upcalls } = context.right;
  context.left.until(() => upcalls.isSignalled(listener.hEvent), 'FD_ACCEPT is signalled');
  return { listener, ...knocked };
}

const initiating = casesOf('initiating-a-connection', [
  {
    name: 'would-block',
    title: 'WSPConnect never blocks, and FD_CONNECT tells the outcome once, through the event',
    clauses: ['CONNECT-01', 'CONNECT-02', 'CONNECT-03', 'UPC-08', 'EVT-03', 'EVT-06'],
    run: (context) => {
      const { left } = context;
      const { listener, s, hEvent } = listenAndKnock(context);
      context.accepted(context.right, listener);
      expectCode('FD_CONNECT', left.connectOutcome(s, hEvent), 0);
      const isSet = left.upcalls.isSignalled(hEvent);
      expectThat(!isSet, 'the event after WSPEnumNetworkEvents', 'reset', 'still signalled');
      const again = spi.createNetworkEvents();
      expectCode('WSPEnumNetworkEvents', left.enumerate(s, hEvent, again), 0);
      expectSame('the record, once read', again.lNetworkEvents, 0);
    },
  },
  {
    name: 'no-listener',
    title: 'a connect to a port where nobody listens ends with WSAECONNRESET',
    clauses: ['CONNECT-04', 'CONNECT-05', 'EVT-09'],
    run: (context) => {
      const { left, right } = context;
      const s = left.bound(context.port());
      const code = left.connectAndWait(s, right.address, context.port());
      expectCode('the connect', code, spi.WSAECONNRESET);
    },
  },
  {
    name: 'not-wsd',
    title: 'a connect to an address without WSD promises nothing about TCP/IP',
    clauses: ['CONNECT-05'],
    run: (context) => {
      const { left } = context;
      const s = left.bound(context.port());
      const absent = left.address.replace(/\d+$/, '251');
      const code = left.connectAndWait(s, absent, context.port());
      expectThat(code !== 0, 'the connect', 'a failure', 'success');
      const finals = [spi.WSAECONNRESET, spi.WSAECONNREFUSED];
      expectThat(!finals.includes(code), 'the connect', 'no final code', 'a final code');
    },
  },
  {
    name: 'malformed',
    title: 'WSPConnect answers WSAEFAULT for no name or a short one',
    clauses: ['CONNECT-10'],
    run: (context) => {
      const { left, right } = context;
      const s = left.bound(context.port());
      const { procs, errno } = left;
      const name = spi.sockaddrIn(right.address, context.port());
      const connect = (bytes: Uint8Array | null, length: number): number => {
        const returned = procs.lpWSPConnect(s, bytes, length, null, null, null, null, errno);
        return left.code('WSPConnect', returned);
      };
      expectCode('no name', connect(null, 16), spi.WSAEFAULT);
      expectCode('8 bytes', connect(name, 8), spi.WSAEFAULT);
    },
  },
  {
    name: 'to-itself',
    title: 'a connect to its own NIC is left to TCP/IP with WSAEADDRNOTAVAIL, or made',
    clauses: ['CONNECT-12'],
    run: (context) => {
      const { left } = context;
      const port = context.port();
      left.listening(port);
      const s = left.bound(context.port());
      const hEvent = left.upcalls.createEvent();
      left.select(s, hEvent, spi.FD_CONNECT);
      const code = left.connect(s, left.address, port);
      expectCode('WSPConnect', code, spi.WSAEADDRNOTAVAIL, spi.WSAEWOULDBLOCK, 0);
    },
  },
  {
    name: 'close-while-connecting',
    title: 'WSPCloseSocket during a connect ends the attempt and gives everything back',
    clauses: ['CONNECT-07', 'BLK-02', 'CLOSE-03'],
    run: (context) => {
      const { left } = context;
      const { s } = listenAndKnock(context);
      expectCode('WSPCloseSocket', left.close(s), 0);
      const { openHandles } = left.upcalls;
      left.until(() => openHandles.size === 0, 'the handle of the closed socket is given back');
    },
  },
  {
    name: 'options-later',
    title: 'a second connection between the same hosts stands beside the first',
    clauses: ['CONNECT-02', 'MEM-01'],
    run: (context) => {
      const { a, listener, port } = context.connected();
      const second = context.connectTo(listener, port);
      expectThat(a !== second.a, 'the descriptors', 'different', 'the same');
    },
  },
]);

const listening = casesOf('listening-for-connections-on-a-san', [
  {
    name: 'wildcard',
    title: 'a listener on 0.0.0.0 accepts at every NIC of the provider',
    clauses: ['LISTEN-01', 'BIND-04', 'INST-11'],
    run: (context) => {
      const port = context.port();
      const listener = context.right.listening(port, 5, '0.0.0.0');
      context.connectTo(listener, port);
    },
  },
  {
    name: 'backlog-full',
    title: 'a request over the backlog is refused with WSAECONNREFUSED and signals nothing',
    clauses: ['LISTEN-03', 'LISTEN-04', 'CONNECT-06', 'LSN-04'],
    run: (context) => {
      const { left, right } = context;
      const port = context.port();
      const listener = right.listening(port, 1);
      knock(context, port);
      left.until(() => right.upcalls.isSignalled(listener.hEvent), 'FD_ACCEPT is signalled');
      right.upcalls.resetEvent(listener.hEvent);
      const late = left.bound(context.port());
      const outcome = left.connectAndWait(late, right.address, port);
      expectCode('the connect over the backlog', outcome, spi.WSAECONNREFUSED);
      const isSet = right.upcalls.isSignalled(listener.hEvent);
      expectThat(!isSet, 'the event of the listener', 'not signalled', 'signalled');
    },
  },
  {
    name: 'closed-listener',
    title: 'a listener that was closed accepts nothing: its requests fail, new ones too',
    clauses: ['CLOSESOCK-02', 'CONNECT-04'],
    run: (context) => {
      const { left, right } = context;
      const port = context.port();
      const listener = right.listening(port);
      const { s, hEvent } = knock(context, port);
      left.until(() => right.upcalls.isSignalled(listener.hEvent), 'FD_ACCEPT is signalled');
      expectCode('WSPCloseSocket', right.close(listener.s), 0);
      const waiting = left.connectOutcome(s, hEvent);
      expectCode('the request that waited', waiting, spi.WSAECONNREFUSED, spi.WSAECONNRESET);
      const late = left.connectAndWait(left.bound(context.port()), right.address, port);
      expectCode('a new request', late, spi.WSAECONNRESET);
    },
  },
  {
    name: 'somaxconn',
    title: 'SOMAXCONN is a backlog of a few at least',
    clauses: ['LISTEN-03', 'DATA-07'],
    run: (context) => {
      const { left, right } = context;
      const port = context.port();
      const listener = right.listening(port, spi.SOMAXCONN);
      const waiting = [1, 2, 3].map(() => knock(context, port));
      for (const { s, hEvent } of waiting) {
        context.accepted(right, listener);
        expectCode('FD_CONNECT', left.connectOutcome(s, hEvent), 0);
      }
    },
  },
]);

const accepting = casesOf('accepting-connection-requests', [
  {
    name: 'condition',
    title: 'the condition function gets both addresses and its data before the peer is told',
    clauses: ['ACCEPT-02', 'ACCEPT-03', 'ACCEPT-10', 'ACC-03', 'W14.4a'],
    run: (context) => {
      const { left, right } = context;
      const { listener, s, hEvent } = listenAndKnock(context);
      let calls = 0;
      const outcome = right.accept(listener.s, (...parameters) => {
        calls++;
        const [caller, , , , callee, , , data] = parameters;
        expectSame('dwCallbackData', String(data), 'callback data');
        expectSame(
          'the caller',
          spi.parseSockaddr(caller.buf ?? new Uint8Array())?.ip ?? '',
          left.address,
        );
        expectSame(
          'the callee',
          spi.parseSockaddr(callee.buf ?? new Uint8Array())?.ip ?? '',
          right.address,
        );
        const isTold = left.upcalls.isSignalled(hEvent);
        expectThat(!isTold, 'the connector meanwhile', 'not told', 'told');
        return spi.CF_ACCEPT;
      });
      expectCode('WSPAccept', outcome.code, 0);
      expectSame('calls before WSPAccept returned', calls, 1);
      expectCode('FD_CONNECT', left.connectOutcome(s, hEvent), 0);
    },
  },
  {
    name: 'address',
    title: 'WSPAccept tells the IP address of the peer and its length',
    clauses: ['ACCEPT-01', 'ADDR-01', 'ADDR-02'],
    run: (context) => {
      const { left, right } = context;
      const { listener } = listenAndKnock(context);
      const { code, address, length } = right.accept(listener.s);
      expectCode('WSPAccept', code, 0);
      expectSame('addrlen', length, spi.SOCKADDR_IN_BYTES);
      expectSame('the peer', spi.parseSockaddr(address)?.ip ?? 'none', left.address);
    },
  },
  {
    name: 'short-address',
    title: 'WSPAccept with too little room is WSAEFAULT and loses no request',
    clauses: ['ACCEPT-07', 'ACCEPT-10'],
    run: (context) => {
      const { right } = context;
      const { listener } = listenAndKnock(context);
      const { procs, errno } = right;
      const room = new Uint8Array(16);
      const accept = (): number => spi.CF_ACCEPT;
      const s = procs.lpWSPAccept(listener.s, room, spi.ref(8), accept, null, errno);
      expectCode(
        'room for 8 bytes',
        right.value('WSPAccept', s, spi.INVALID_SOCKET).code,
        spi.WSAEFAULT,
      );
      expectCode('the request is still there', right.accept(listener.s).code, 0);
    },
  },
  {
    name: 'reject',
    title: 'CF_REJECT is WSAECONNREFUSED on both sides and makes no socket',
    clauses: ['ACCEPT-05', 'CONNECT-06', 'ACC-04', 'W14.4a'],
    run: (context) => {
      const { left, right } = context;
      const { listener, s, hEvent } = listenAndKnock(context);
      const handles = right.upcalls.openHandles.size;
      const { code } = right.accept(listener.s, () => spi.CF_REJECT);
      expectCode('WSPAccept', code, spi.WSAECONNREFUSED);
      expectSame('handles', right.upcalls.openHandles.size, handles);
      expectCode('FD_CONNECT', left.connectOutcome(s, hEvent), spi.WSAECONNREFUSED);
    },
  },
  {
    name: 'defer',
    title: 'CF_DEFER is WSATRY_AGAIN and leaves the request at the head of the queue',
    clauses: ['ACCEPT-08', 'ACCEPT-10'],
    run: (context) => {
      const { left, right } = context;
      const { listener, s, hEvent } = listenAndKnock(context);
      const deferred = right.accept(listener.s, () => spi.CF_DEFER);
      expectCode('WSPAccept', deferred.code, spi.WSATRY_AGAIN);
      expectCode('WSPAccept once more', right.accept(listener.s).code, 0);
      expectCode('FD_CONNECT', left.connectOutcome(s, hEvent), 0);
    },
  },
  {
    name: 'handle',
    title: 'an accepted socket has a descriptor of its own and a handle of its own',
    clauses: ['ACCEPT-04', 'COMP-07'],
    run: (context) => {
      const { right } = context;
      const { listener } = listenAndKnock(context);
      const before = right.upcalls.openHandles.size;
      const { value } = right.accept(listener.s);
      expectThat(value !== listener.s, 'the descriptor', 'a new one', "the listener's");
      expectSame('handles', right.upcalls.openHandles.size, before + 1);
    },
  },
  {
    name: 'handle-refused',
    title: 'WSPAccept without a handle from the switch fails, and so does the connector',
    clauses: ['ACCEPT-04', 'ACCEPT-08', 'UPC-03'],
    run: (context) => {
      const { left, right } = context;
      const { listener, s, hEvent } = listenAndKnock(context);
      right.upcalls.refusesHandles = true;
      expectCode('WSPAccept', right.accept(listener.s).code, spi.WSAENOBUFS, spi.WSAEMFILE);
      right.upcalls.refusesHandles = false;
      const outcome = left.connectOutcome(s, hEvent);
      expectThat(outcome !== 0, 'FD_CONNECT', 'a failure', 'success');
    },
  },
  {
    name: 'after-a-failure',
    title: 'a WSPAccept that failed, whyever, leaves the listener as good as before',
    clauses: ['ACCEPT-05', 'ACCEPT-08', 'UPC-03'],
    run: (context) => {
      const { left, right } = context;
      const port = context.port();
      const listener = right.listening(port);
      knock(context, port);
      left.until(() => right.upcalls.isSignalled(listener.hEvent), 'FD_ACCEPT is signalled');
      right.upcalls.refusesHandles = true;
      expectThat(right.accept(listener.s).code !== 0, 'no handle', 'a failure', 'success');
      right.upcalls.refusesHandles = false;
      const none = right.accept(listener.s, () => spi.CF_REJECT).code;
      expectCode('nobody there', none, spi.WSAEWOULDBLOCK, spi.WSAECONNREFUSED);
      context.connectTo(listener, port);
    },
  },
  {
    name: 'reset-first',
    title: 'WSPAccept resets the event of FD_ACCEPT, and signals again while requests wait',
    clauses: ['ACCEPT-06', 'ACCEPT-10'],
    run: (context) => {
      const { left, right } = context;
      const port = context.port();
      const listener = right.listening(port);
      const isSet = (): boolean => right.upcalls.isSignalled(listener.hEvent);
      knock(context, port);
      left.until(isSet, 'FD_ACCEPT is signalled');
      expectCode('WSPAccept', right.accept(listener.s).code, 0);
      expectThat(!isSet(), 'the event with nothing left', 'reset', 'signalled');
      knock(context, port);
      left.until(isSet, 'FD_ACCEPT is signalled again');
    },
  },
  {
    name: 'early-message',
    title: 'a negotiation message that arrives before any receive is posted waits for one',
    clauses: ['SESS-06', 'SESS-07', 'SESS-05'],
    run: (context) => {
      const { left, right } = context;
      const { a, b } = context.connected();
      const message = context.filled(left, 256);
      left.register(a, message);
      const sent = send(left, a, [message]);
      for (let turns = 0; turns < 200; turns++) left.drive(() => true);
      const buffer = right.allocate(256);
      right.register(b, buffer);
      const { error, bytes } = finish(right, b, receive(right, b, [buffer]), 'the late receive');
      expectCode('the late receive', error, 0);
      expectSame('its bytes', bytes, 256);
      expectBytes('its content', buffer, message);
      expectCode('the early send', finish(left, a, sent, 'the early send').error, 0);
    },
  },
]);

const synchronizing = casesOf('synchronizing-operations-on-a-san', [
  {
    name: 'other-events',
    title: 'WSPEventSelect refuses events other than FD_CONNECT and FD_ACCEPT, or ignores them',
    clauses: ['EVT-01', 'EVT-10'],
    run: ({ left }) => {
      const hEvent = left.upcalls.createEvent();
      const code = left.select(left.socket(), hEvent, spi.FD_READ | spi.FD_CLOSE);
      expectCode('WSPEventSelect', code, spi.WSAEINVAL, 0);
      expectThat(!left.upcalls.isSignalled(hEvent), 'the event', 'not signalled', 'signalled');
    },
  },
  {
    name: 'both-forms',
    title: 'FD_CONNECT and FD_ACCEPT may be selected in one call',
    clauses: ['EVT-02'],
    run: (context) => {
      const { left, right } = context;
      const port = context.port();
      const s = right.bound(port);
      expectCode('WSPListen', right.listen(s, 5), 0);
      const hEvent = right.upcalls.createEvent();
      const both = spi.FD_CONNECT | spi.FD_ACCEPT;
      expectCode('WSPEventSelect', right.select(s, hEvent, both), 0);
      knock(context, port);
      left.until(() => right.upcalls.isSignalled(hEvent), 'FD_ACCEPT is signalled');
    },
  },
  {
    name: 'late-select',
    title: 'a selection made after the event happened signals at once',
    clauses: ['EVT-08', 'EVT-10'],
    run: (context) => {
      const { right } = context;
      const { listener } = listenAndKnock(context);
      const later = right.upcalls.createEvent();
      expectCode('WSPEventSelect', right.select(listener.s, later, spi.FD_ACCEPT), 0);
      expectThat(right.upcalls.isSignalled(later), 'the new event', 'signalled', 'not signalled');
    },
  },
  {
    name: 'cancelled-select',
    title: 'a selection of nothing ends the one before',
    clauses: ['EVT-08'],
    run: (context) => {
      const { left, right } = context;
      const port = context.port();
      const listener = right.listening(port, 1);
      expectCode('WSPEventSelect', right.select(listener.s, 0, 0), 0);
      const { s, hEvent } = knock(context, port);
      left.until(() => right.accept(listener.s).code === 0, 'the request can be accepted');
      expectCode('FD_CONNECT', left.connectOutcome(s, hEvent), 0);
      const isSet = right.upcalls.isSignalled(listener.hEvent);
      expectThat(!isSet, 'the event that was selected once', 'not signalled', 'signalled');
    },
  },
  {
    name: 'no-structure',
    title: 'WSPEnumNetworkEvents that fails changes neither record nor event',
    clauses: ['EVT-05', 'EVT-07'],
    run: (context) => {
      const { right } = context;
      const { listener } = listenAndKnock(context);
      const { procs, errno } = right;
      const returned = procs.lpWSPEnumNetworkEvents(listener.s, listener.hEvent, null, errno);
      const code = right.code('WSPEnumNetworkEvents', returned);
      expectCode('WSPEnumNetworkEvents', code, spi.WSAEINVAL, spi.WSAEFAULT);
      const isSet = right.upcalls.isSignalled(listener.hEvent);
      expectThat(isSet, 'the event', 'still signalled', 'reset');
      const events = spi.createNetworkEvents();
      expectCode('the next', right.enumerate(listener.s, listener.hEvent, events), 0);
      expectSame('FD_ACCEPT in the record', events.lNetworkEvents & spi.FD_ACCEPT, spi.FD_ACCEPT);
    },
  },
  {
    name: 'no-nonblocking-data',
    title: 'WSPEventSelect does not make data transfer nonblocking: no WSAEWOULDBLOCK',
    clauses: ['EVT-04', 'WSPSEND-13'],
    unless: needsDepth(1),
    run: (context) => {
      const { left } = context;
      const { a } = context.connected();
      left.select(a, left.upcalls.createEvent(), spi.FD_CONNECT);
      const buffer = left.allocate(64);
      left.register(a, buffer);
      const { code } = receive(left, a, [buffer]);
      expectCode('WSPRecv', code, spi.WSA_IO_PENDING);
    },
  },
]);

export const connectionCases: readonly ConformanceCase[] = [
  ...initiating,
  ...listening,
  ...accepting,
  ...synchronizing,
];
