// How a socket gets into each state that a switch can meet. Every way uses the SPI only, and leaves the
// socket on the left side. Sources: CONN, CLOSE-07, CLOSESOCK-02, CLOSE-06, DUP-11, W14.19.

import * as spi from '../../provider/spi/index.js';
import type { CaseContext } from './case.js';
import { expectCode, NotSupported } from './check.js';
import { finish, rdma, receive } from './transfers.js';

export const SOCKET_STATES = [
  'unbound',
  'bound',
  'listening',
  'connecting',
  'refused',
  'connected',
  'peer-closed',
  'broken',
  'duplicated',
  'closed',
  'never-existed',
] as const;

export type SocketState = (typeof SOCKET_STATES)[number];

/** A descriptor of the left side in `state`. */
export function intoState(context: CaseContext, state: SocketState): number {
  const { left, right } = context;
  switch (state) {
    case 'unbound':
      return left.socket();
    case 'bound':
      return left.bound(context.port());
    case 'listening':
      return left.listening(context.port()).s;
    case 'connecting':
      return connecting(context);
    case 'refused': {
      const s = left.bound(context.port());
      const outcome = left.connectAndWait(s, right.address, context.port());
      expectCode('WSPConnect to a port without a listener', outcome, spi.WSAECONNRESET);
      return s;
    }
    case 'connected':
      return context.connected().a;
    case 'peer-closed':
      return closedByPeer(context);
    case 'broken':
      return broken(context);
    case 'duplicated': {
      const { a } = context.connected();
      expectCode('WSPDuplicateSocket', left.duplicate(a, context.target.host.processId).code, 0);
      return a;
    }
    case 'closed': {
      const s = left.socket();
      expectCode('WSPCloseSocket', left.close(s), 0);
      return s;
    }
    case 'never-existed':
      return spi.INVALID_SOCKET;
  }
}

/** A request that waits in the peer's backlog: nobody accepts it. */
function connecting(context: CaseContext): number {
  const { left, right } = context;
  const port = context.port();
  right.listening(port);
  const s = left.bound(context.port());
  const hEvent = left.upcalls.createEvent();
  expectCode('WSPEventSelect', left.select(s, hEvent, spi.FD_CONNECT), 0);
  expectCode('WSPConnect', left.connect(s, right.address, port), spi.WSAEWOULDBLOCK);
  return s;
}

/** A connection whose peer has closed, as this side knows from its receive. [CLOSE-01, EVT-01] */
function closedByPeer(context: CaseContext): number {
  const { left, right } = context;
  const { a, b } = context.connected();
  const buffer = left.allocate(64);
  left.register(a, buffer);
  const posted = receive(left, a, [buffer]);
  expectCode('WSPRecv', posted.code, spi.WSA_IO_PENDING);
  expectCode('WSPCloseSocket', right.close(b), 0);
  const { error } = finish(left, a, posted, 'the receive of a connection that the peer closed');
  expectCode('the receive', error, ...lossErrors(context, spi.WSAECONNRESET));
  return a;
}

/** What a receive ends with when `error` ends its connection. [W14.19] */
export function lossErrors({ profile }: CaseContext, error: number): number[] {
  return [profile.flushedReceiveError ?? error];
}

/** Broken by an access that the peer forbids, which ends a reliable connection. [W14.19] */
function broken(context: CaseContext): number {
  const { left, right } = context;
  const { a, b } = context.connected();
  const target = right.allocate(256);
  const source = left.allocate(256);
  const descriptor = right.expose(b, target, spi.MEM_READWRITE);
  expectCode('WSPDeregisterRdmaMemory', right.unexpose(b, descriptor), 0);
  const handle = left.register(a, source);
  const write = rdma(left, 'write', a, [{ buf: source, handle }], { descriptor });
  const { error } = finish(left, a, write, 'the forbidden write');
  if (error === 0) throw new NotSupported('a forbidden access does not break the connection');
  return a;
}
