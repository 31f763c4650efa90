// The application's listen: on TCP/IP first, always, then on the SAN providers whose address it is.
// SAN requests are accepted and negotiated at once, as by a dedicated thread, and wait here for the
// application's accept. Sources: LSN-01 to LSN-04, ACC-01 to ACC-06, COMP-08, INST-10, ACCEPT-02.

import * as wsa from '../provider/spi/error-codes.js';
import {
  SOCKADDR_IN6_BYTES,
  SOCKADDR_IN_BYTES,
  sockaddrIn,
  sockaddrInAddress,
  sockaddrPort,
} from '../provider/spi/sockaddr.js';
import type { LPCONDITIONPROC } from '../provider/spi/winsock2.js';
import * as ws from '../provider/spi/winsock2.js';
import type { Companion } from './companion.js';
import { acceptedCompanion, createCompanion, takenCompanion } from './companion.js';
import type { ConnectionWatcher } from './connection.js';
import { Connection } from './connection.js';
import type { Attendant, SwitchCore } from './core.js';
import { BACKLOG_MAX } from './limits.js';
import type { LoadedProvider } from './loaded-provider.js';
import { arrive, watchTcp } from './network-events.js';
import type { ListenerShare, SharedListener } from './sharing/listener.js';
import type { MovedCompanion } from './sharing/listener-state.js';
import type { SwitchSocket } from './socket.js';
import { SocketState } from './socket.js';

/** A SAN connection whose negotiation is complete, for the application to accept. */
export interface Arrival {
  readonly connection: Connection;
  readonly peerName: Uint8Array;
  readonly localName: Uint8Array;
}

/** What an application's own condition function makes of a request. */
export type Decision = (peerName: Uint8Array, localName: Uint8Array) => number;

/** An AcceptEx that waits: it takes a connection before accept sees it. [W10.9] */
export interface ArrivalWaiter {
  arrived(arrival: Arrival): void;
  /** TCP/IP has accepted it as `s`. */
  arrivedAtTcp(s: number, peerName: Uint8Array): void;
}

export class Listener implements SharedListener {
  readonly #core: SwitchCore;
  readonly #socket: SwitchSocket;
  readonly #companions: Companion[] = [];
  readonly #ready: Arrival[] = [];
  readonly #negotiating = new Set<Connection>();
  readonly #waiters: ArrivalWaiter[] = [];
  /** Those that another process has made, whose address need not be this host's. */
  readonly #taken = new Set<Companion>();
  #backlog: number;
  /**
   * SO_CONDITIONAL_ACCEPT, or a socket that processes share: requests stay with the provider until the
   * application has decided, or accepts.
   */
  #waiting: Companion[] = [];
  #acceptsWaiting = 0;
  #isAsking = false;
  /** Other processes have the socket, too. [DUP-14] */
  sharing: ListenerShare | null = null;

  constructor(core: SwitchCore, socket: SwitchSocket, backlog: number) {
    this.#core = core;
    this.#socket = socket;
    this.#backlog = clampBacklog(backlog);
  }

  /** An accept would find a SAN connection. */
  get hasArrival(): boolean {
    return this.#ready.length > 0 || this.#mayAsk;
  }

  get backlog(): number {
    return this.#backlog;
  }

  get hasCompanions(): boolean {
    return this.#companions.length > 0;
  }

  /** Listens on every SAN provider that `localName` includes. */
  listenOnSans(localName: Uint8Array, backlog: number): void {
    const address = sockaddrInAddress(localName);
    for (const { provider } of this.#core.routing.listeners(address)) {
      this.listenOn(provider, localName, backlog);
    }
  }

  /** Listens on one provider, such as one that was installed later. [INST-10] */
  listenOn(provider: LoadedProvider, localName: Uint8Array, backlog: number): void {
    const made = this.#adopt((attendant) => {
      const { options } = this.#socket;
      return createCompanion(this.#core, { provider, localName, options, attendant });
    });
    if (typeof made === 'number') {
      this.#warn(provider, 'companion', made);
      return;
    }
    const errno = ws.ref(0);
    const { lpWSPListen } = provider.procs;
    const error = lpWSPListen(made.descriptor, backlog, errno) === 0 ? 0 : errno.value;
    this.#begin(made, error);
  }

  /** Makes a companion whose events come here. */
  #adopt(make: (attendant: Attendant) => Companion | number): Companion | number {
    let companion: Companion | null = null;
    const attendant: Attendant = {
      attend: () => {
        if (companion !== null) this.#attend(companion);
      },
    };
    const made = make(attendant);
    if (typeof made !== 'number') companion = made;
    return made;
  }

  /** Hears of requests from now on, those that wait included, unless there was an `error` before. */
  #begin(companion: Companion, error: number): void {
    const { provider, descriptor, event } = companion;
    const errno = ws.ref(error);
    const { lpWSPEventSelect } = provider.procs;
    if (error === 0 && lpWSPEventSelect(descriptor, event, ws.FD_ACCEPT, errno) === 0) {
      this.#companions.push(companion);
      return;
    }
    this.#taken.delete(companion);
    companion.close();
    this.#warn(provider, 'WSPListen', errno.value);
  }

  /**
   * Providers have come or gone, or their addresses have changed: those that the address of the
   * listener includes now, and no others, listen from now on. [INST-10, ADDR-08]
   */
  followProviders(): void {
    const name = this.#socket.localName;
    if (name === null) return;
    const wanted = this.#core.routing.listeners(sockaddrInAddress(name));
    const isWanted = (companion: Companion): boolean => {
      const { provider } = companion;
      if (this.#taken.has(companion)) return this.#core.providers.includes(provider);
      return wanted.some((route) => route.provider === provider);
    };
    for (const companion of this.#companions.filter((one) => !isWanted(one))) {
      this.#leave(companion);
    }
    // Whoever has control listens for all.
    if (this.sharing?.hasControl === false) return;
    for (const { provider } of wanted) {
      if (this.#companions.some((companion) => companion.provider === provider)) continue;
      this.listenOn(provider, name, this.#backlog);
    }
  }

  /** A repeated listen changes the backlog. [LISTEN-05] */
  changeBacklog(backlog: number): void {
    this.#backlog = clampBacklog(backlog);
    for (const { provider, descriptor } of this.#companions) {
      provider.procs.lpWSPListen(descriptor, backlog, ws.ref(0));
    }
  }

  /**
   * The next SAN connection for the application; null when there is none. A number is what accept
   * fails with: the application's condition function has said no, or not yet.
   */
  take(decide: Decision | null): Arrival | number | null {
    if (this.#mayAsk && this.#ready.length === 0) {
      const refusal = this.#acceptWaiting(this.#socket.conditionalAccept ? decide : null);
      if (refusal !== 0) return refusal;
    }
    const first = this.#ready[0];
    if (first === undefined) {
      this.sharing?.want();
      return null;
    }
    this.sharing?.used();
    if (decide !== null && !this.#socket.conditionalAccept) {
      const answer = decide(first.peerName, first.localName);
      if (answer === ws.CF_DEFER) return wsa.WSATRY_AGAIN;
      if (answer !== ws.CF_ACCEPT) {
        this.#ready.shift();
        first.connection.watcher = SILENT;
        first.connection.isOrphan = true;
        first.connection.abort(wsa.WSAECONNREFUSED);
        return wsa.WSAECONNREFUSED;
      }
    }
    this.#ready.shift();
    return first;
  }

  /** Some AcceptEx waits, which has the next arrival. */
  get hasWaiter(): boolean {
    return this.#waiters.length > 0;
  }

  /** An AcceptEx begins to wait, unless there is a connection for it. */
  addWaiter(waiter: ArrivalWaiter): void {
    this.#waiters.push(waiter);
    this.serve();
  }

  removeWaiter(waiter: ArrivalWaiter): void {
    const index = this.#waiters.indexOf(waiter);
    if (index < 0) return;
    this.#waiters.splice(index, 1);
    this.sharing?.acceptEnded();
  }

  /** Gives connections to those who wait, the SAN's first, as far as either reaches. */
  serve(): void {
    while (this.#waiters.length > 0) {
      const taken = this.take(null);
      if (taken !== null && typeof taken !== 'number') this.#waiters.shift()?.arrived(taken);
      else if (!this.#serveTcp()) return;
      this.sharing?.acceptEnded();
    }
  }

  #serveTcp(): boolean {
    const { tcp } = this.#core;
    const { descriptor, family } = this.#socket;
    const peerName = new Uint8Array(
      family === ws.AF_INET6 ? SOCKADDR_IN6_BYTES : SOCKADDR_IN_BYTES,
    );
    this.#socket.tcpReady &= ~ws.FD_ACCEPT;
    const length = ws.ref(peerName.length);
    const s = tcp.lpWSPAccept(descriptor, peerName, length, null, null, ws.ref(0));
    if (s === ws.INVALID_SOCKET) return false;
    this.#waiters.shift()?.arrivedAtTcp(s, peerName);
    return true;
  }

  /** What take() gave could not be used: it stays the next. */
  putBack(arrival: Arrival): void {
    this.#ready.unshift(arrival);
  }

  /** An accept begins to wait: it is in progress until acceptEnded(). [DUP-14] */
  acceptWaits(): void {
    this.#acceptsWaiting++;
  }

  acceptEnded(): void {
    this.#acceptsWaiting--;
    this.sharing?.acceptEnded();
  }

  /** Somebody waits for connections without an accept: that asks for control as well. */
  look(): void {
    if (!this.hasArrival) this.sharing?.want();
  }

  /** Ends listening: connections that nobody accepted are reset. [ACC-06] */
  close(): void {
    // Companions of a socket that others have are for whoever accepts next.
    if (this.sharing?.close() !== true) {
      for (const companion of this.releaseCompanions()) companion.close();
    }
    const refused = [...this.#negotiating, ...this.#ready.map(({ connection }) => connection)];
    this.#negotiating.clear();
    this.#ready.length = 0;
    for (const connection of refused) {
      connection.watcher = SILENT;
      connection.isOrphan = true;
      connection.abort(wsa.WSAECONNABORTED);
    }
  }

  // What sharing/listener.ts asks for ------------------------------------------------------------

  get acceptsInProgress(): number {
    return this.#acceptsWaiting + this.#waiters.length;
  }

  get isNegotiating(): boolean {
    return this.#isAsking || this.#negotiating.size > 0;
  }

  releaseCompanions(): Companion[] {
    this.#waiting = [];
    this.#taken.clear();
    return this.#companions.splice(0);
  }

  takeCompanion({ providerId, reserved }: MovedCompanion): void {
    const { localName, options } = this.#socket;
    const provider = this.#core.providers.find((one) => one.providerId === providerId);
    if (provider === undefined || localName === null) return;
    const made = this.#adopt((attendant) =>
      takenCompanion(this.#core, { provider, localName, options, attendant }, reserved),
    );
    if (typeof made === 'number') {
      this.#warn(provider, 'WSPSocket', made);
      return;
    }
    this.#taken.add(made);
    this.#begin(made, 0);
  }

  serveWaiting(): void {
    this.followProviders();
    this.#tell();
  }

  goOnAlone(): void {
    this.followProviders();
    for (const companion of this.#waiting.splice(0)) this.#askFor(companion);
  }

  #leave(companion: Companion): void {
    this.#taken.delete(companion);
    this.#companions.splice(this.#companions.indexOf(companion), 1);
    this.#waiting = this.#waiting.filter((other) => other !== companion);
    companion.close();
  }

  #attend(companion: Companion): void {
    if (!this.#companions.includes(companion)) return;
    const seen = ws.createNetworkEvents();
    const { procs } = companion.provider;
    const { descriptor, event } = companion;
    if (procs.lpWSPEnumNetworkEvents(descriptor, event, seen, ws.ref(0)) !== 0) return;
    if ((seen.lNetworkEvents & ws.FD_ACCEPT) === 0) return;
    const error = seen.iErrorCode[ws.FD_ACCEPT_BIT] ?? 0;
    if (error !== 0) {
      // Nothing comes from there any more; TCP/IP goes on. [EVT-09, ERR-04]
      this.#warn(companion.provider, 'FD_ACCEPT', error);
      this.#leave(companion);
      this.#core.providerFailed(companion.provider);
      return;
    }
    this.#askFor(companion);
  }

  /** Requests wait there. */
  #askFor(companion: Companion): void {
    if (!this.#socket.conditionalAccept && this.sharing === null) {
      for (let error = 0; error === 0 || error === wsa.WSAECONNREFUSED; ) {
        error = this.#acceptOne(companion, null);
      }
      return;
    }
    if (!this.#waiting.includes(companion)) this.#waiting.push(companion);
    this.#tell();
  }

  /** There is something to accept. */
  #tell(): void {
    this.serve();
    if (this.hasArrival) arrive(this.#core, this.#socket, ws.FD_ACCEPT_BIT);
  }

  /** A request waits for a decision, and the one decided before it has been negotiated. */
  get #mayAsk(): boolean {
    const isAllowed = this.sharing === null || this.sharing.mayAccept;
    return this.#waiting.length > 0 && this.#negotiating.size === 0 && isAllowed;
  }

  /** Has the application decide about one request; 0, or what its accept fails with. */
  #acceptWaiting(decide: Decision | null): number {
    const companion = this.#waiting[0];
    if (companion === undefined) return 0;
    const error = this.#acceptOne(companion, decide);
    if (error === 0) return 0;
    if (error === wsa.WSAECONNREFUSED || error === wsa.WSATRY_AGAIN) return error;
    this.#waiting.shift();
    return 0;
  }

  /** One WSPAccept: 0, or its error; WSAECONNREFUSED when the condition has said no. */
  #acceptOne(companion: Companion, decide: Decision | null): number {
    const core = this.#core;
    let localName: Uint8Array | null = null;
    let thrown: { readonly by: unknown } | null = null;
    // ACCEPT-02: runs inside WSPAccept, before the peer is told anything.
    const condition: LPCONDITIONPROC = (caller, _data, _sqos, _gqos, callee) => {
      localName = copyOf(callee.buf);
      if (this.#ready.length + this.#negotiating.size >= this.#backlog) return ws.CF_REJECT;
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
    const companion = acceptedCompanion(core, listener, s, { attend: () => undefined });
    const memory = companion === null ? null : core.memory.take(companion.limits);
    if (companion === null || memory === null) {
      // COMP-12: there is a connection, and no way back to TCP/IP; the peer sees it reset.
      listener.provider.procs.lpWSPCloseSocket(s, ws.ref(0));
      companion?.release();
      this.#warn(listener.provider, 'memory', wsa.WSAENOBUFS);
      return;
    }
    const connection = new Connection(core, companion, 'acceptor', memory);
    // Urgent bytes may come before the application accepts: the listener says where to. [W10.10]
    connection.session.oobInline = this.#socket.oobInline;
    const watcher: ConnectionWatcher = {
      established: () => {
        this.#negotiating.delete(connection);
        // A peer may go away before the application accepts, which then gets to see just that.
        connection.watcher = SILENT;
        this.#ready.push({ connection, peerName, localName });
        this.#tell();
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
    this.#warn(listener.provider, 'WSPRegisterMemory', error);
  }

  #localName(companion: Companion): Uint8Array {
    const route = this.#core.routing.routes.find(({ provider }) => provider === companion.provider);
    const own = this.#socket.localName;
    return sockaddrIn(route?.localAddress ?? 0, own === null ? 0 : sockaddrPort(own));
  }

  #warn(provider: LoadedProvider, step: string, error: number): void {
    const details = { provider: provider.name, step, error };
    this.#core.environment.logger.warn('SAN provider left out of a listener', details);
  }
}

function rethrow(thrown: { readonly by: unknown } | null): void {
  if (thrown !== null) throw thrown.by;
}

const NO_NAME = new Uint8Array(SOCKADDR_IN_BYTES);

const SILENT: ConnectionWatcher = {
  established: () => undefined,
  changed: () => undefined,
  ended: () => undefined,
};

/** WSPListen of the switch. */
export function listen(core: SwitchCore, socket: SwitchSocket, backlog: number): number {
  if (socket.state === SocketState.connected) return wsa.WSAEISCONN;
  if (!socket.isStream) return wsa.WSAEOPNOTSUPP;
  if (!socket.isBound || socket.state === SocketState.connecting) return wsa.WSAEINVAL;
  const watched = watchTcp(core, socket);
  if (watched !== 0) return watched;
  const errno = ws.ref(0);
  // LSN-01: whatever the providers say, the port has to be TCP/IP's first.
  if (core.tcp.lpWSPListen(socket.descriptor, backlog, errno) !== 0) return errno.value;
  socket.state = SocketState.listening;
  if (socket.listener !== null) {
    socket.listener.changeBacklog(backlog);
    return 0;
  }
  const listener = new Listener(core, socket, backlog);
  socket.listener = listener;
  const name = new Uint8Array(SOCKADDR_IN_BYTES);
  const length = ws.ref(name.length);
  const known = core.tcp.lpWSPGetSockName(socket.descriptor, name, length, errno) === 0;
  if (socket.family !== ws.AF_INET || !known) return 0;
  socket.localName = name;
  listener.listenOnSans(name, backlog);
  return 0;
}

function clampBacklog(backlog: number): number {
  return Math.max(1, Math.min(backlog, BACKLOG_MAX));
}

function copyOf(name: Uint8Array | null): Uint8Array | null {
  return name === null ? null : name.slice(0, SOCKADDR_IN_BYTES);
}
