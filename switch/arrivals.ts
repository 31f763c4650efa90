// SAN connections on their way to the application of a listening socket: accepted at a provider,
// negotiated at once, as by a dedicated thread, and kept until somebody takes them. Knows nothing of who
// waits, nor of sharing. Sources: ACC-01 to ACC-06, ACCEPT-02, COMP-12, W10.10.

import * as wsa from '../provider/spi/error-codes.js';
import { SOCKADDR_IN_BYTES, sockaddrIn, sockaddrPort } from '../provider/spi/sockaddr.js';
import type { LPCONDITIONPROC } from '../provider/spi/winsock2.js';
import * as ws from '../provider/spi/winsock2.js';
import { acceptedCompanion, type Companion } from './companion.js';
import { Connection } from './connection.js';
import { type ConnectionWatcher, NOBODY } from './connection-watcher.js';
import type { Attendant, SwitchCore } from './core.js';
import { warnLeftOut } from './listener-companions.js';
import type { SwitchSocket } from './socket.js';

/** A SAN connection whose negotiation is complete, for the application to accept. */
export interface Arrival {
  readonly connection: Connection;
  readonly peerName: Uint8Array;
  readonly localName: Uint8Array;
}

/** What an application's own condition function makes of a request. */
export type Decision = (peerName: Uint8Array, localName: Uint8Array) => number;

export class Arrivals {
  /** In the order of their arrival. */
  readonly ready: Arrival[] = [];
  readonly #core: SwitchCore;
  readonly #socket: SwitchSocket;
  /** Told when there is one more. */
  readonly #arrived: () => void;
  readonly #negotiating = new Set<Connection>();
  #isAsking = false;

  constructor(core: SwitchCore, socket: SwitchSocket, arrived: () => void) {
    this.#core = core;
    this.#socket = socket;
    this.#arrived = arrived;
  }

  /** Connections whose negotiation is under way. */
  get negotiatingCount(): number {
    return this.#negotiating.size;
  }

  /** A connection was accepted at a provider, or is about to be, that nobody can take yet. */
  get isNegotiating(): boolean {
    return this.#isAsking || this.#negotiating.size > 0;
  }

  /**
   * One WSPAccept: 0, or its error; WSAECONNREFUSED when the condition has said no, or when there are
   * `backlog` connections already that nobody has taken.
   */
  acceptOne(companion: Companion, decide: Decision | null, backlog: number): number {
    const core = this.#core;
    let localName: Uint8Array | null = null;
    let thrown: { readonly by: unknown } | null = null;
    // ACCEPT-02: runs inside WSPAccept, before the peer is told anything.
    const condition: LPCONDITIONPROC = (caller, _data, _sqos, _gqos, callee) => {
      localName = copyOf(callee.buf);
      if (this.ready.length + this.#negotiating.size >= backlog) return ws.CF_REJECT;
      if (decide === null) return ws.CF_ACCEPT;
      try {
        return decide(copyOf(caller.buf) ?? NO_NAME, localName ?? NO_NAME);
      } catch (by) {
        // The application's own, which is no business of the provider.
        thrown = { by };
        return ws.CF_DEFER;
      }
    };
    const peerName = new Uint8Array(SOCKADDR_IN_BYTES);
    const length = ws.ref(peerName.length);
    const errno = ws.ref(0);
    core.handles.forgetNewest();
    const { lpWSPAccept } = companion.provider.procs;
    this.#isAsking = true;
    const s = lpWSPAccept(companion.descriptor, peerName, length, condition, this, errno);
    this.#isAsking = false;
    rethrow(thrown);
    if (s === ws.INVALID_SOCKET) return errno.value;
    this.#negotiate(companion, s, peerName, localName ?? this.#localName(companion));
    return 0;
  }

  #negotiate(listener: Companion, s: number, peerName: Uint8Array, localName: Uint8Array): void {
    const core = this.#core;
    const companion = acceptedCompanion(core, listener, s, NOBODY_ATTENDS);
    const memory = companion === null ? null : core.memory.take(companion.limits);
    if (companion === null || memory === null) {
      // COMP-12: there is a connection, and no way back to TCP/IP; the peer sees it reset.
      listener.provider.procs.lpWSPCloseSocket(s, ws.ref(0));
      companion?.release();
      warnLeftOut(core, listener.provider, 'memory', wsa.WSAENOBUFS);
      return;
    }
    const connection = new Connection(core, companion, 'acceptor', memory);
    // Urgent bytes may come before the application accepts: the listener says where to. [W10.10]
    connection.session.oobInline = this.#socket.oobInline;
    const watcher: ConnectionWatcher = {
      established: () => {
        this.#negotiating.delete(connection);
        // A peer may go away before the application accepts, which then gets to see just that.
        connection.watcher = NOBODY;
        this.ready.push({ connection, peerName, localName });
        this.#arrived();
      },
      changed: () => undefined,
      ended: () => {
        this.#negotiating.delete(connection);
      },
    };
    this.#negotiating.add(connection);
    const error = connection.start(watcher);
    if (error === 0) return;
    this.#negotiating.delete(connection);
    warnLeftOut(core, listener.provider, 'WSPRegisterMemory', error);
  }

  #localName(companion: Companion): Uint8Array {
    const route = this.#core.routing.routes.find(({ provider }) => provider === companion.provider);
    const own = this.#socket.localName;
    return sockaddrIn(route?.localAddress ?? 0, own === null ? 0 : sockaddrPort(own));
  }

  /** Nobody will accept them: they are reset. [ACC-06] */
  refuseAll(): void {
    const refused = [...this.#negotiating, ...this.ready.map(({ connection }) => connection)];
    this.#negotiating.clear();
    this.ready.length = 0;
    for (const connection of refused) refuse(connection, wsa.WSAECONNABORTED);
  }
}

/** Resets a connection that nobody will accept. */
export function refuse(connection: Connection, error: number): void {
  connection.watcher = NOBODY;
  connection.isOrphan = true;
  connection.abort(error);
}

function rethrow(thrown: { readonly by: unknown } | null): void {
  if (thrown !== null) throw thrown.by;
}

/** Nothing is signalled for a connection that is there already. */
const NOBODY_ATTENDS: Attendant = { attend: () => undefined };

const NO_NAME = new Uint8Array(SOCKADDR_IN_BYTES);

function copyOf(name: Uint8Array | null): Uint8Array | null {
  return name === null ? null : name.slice(0, SOCKADDR_IN_BYTES);
}
