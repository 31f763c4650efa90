// The application's listen: on TCP/IP first, always, then on the SAN providers whose address it is; and
// who gets the connections that arrive at either, an AcceptEx that waits or the next accept. Sources:
// LSN-01 to LSN-04, ACC-01 to ACC-06, INST-10, ACCEPT-02, DUP-14.

import * as wsa from '../provider/spi/error-codes.js';
import { SOCKADDR_IN6_BYTES, SOCKADDR_IN_BYTES } from '../provider/spi/sockaddr.js';
import * as ws from '../provider/spi/winsock2.js';
import { type Arrival, Arrivals, type Decision, refuse } from './arrivals.js';
import type { Companion } from './companion.js';
import type { SwitchCore } from './core.js';
import { BACKLOG_MAX } from './limits.js';
import { type CompanionOwner, ListenerCompanions } from './listener-companions.js';
import { arrive, watchTcp } from './network-events.js';
import type { ListenerShare, SharedListener } from './sharing/listener.js';
import type { MovedCompanion } from './sharing/listener-state.js';
import type { SwitchSocket } from './socket.js';
import { SocketState } from './socket.js';

/** An AcceptEx that waits: it takes a connection before accept sees it. [W10.9] */
export interface ArrivalWaiter {
  arrived(arrival: Arrival): void;
  /** TCP/IP has accepted it as `s`. */
  arrivedAtTcp(s: number, peerName: Uint8Array): void;
}

export class Listener implements SharedListener, CompanionOwner {
  readonly #core: SwitchCore;
  readonly socket: SwitchSocket;
  readonly #companions: ListenerCompanions;
  readonly #arrivals: Arrivals;
  readonly #waiters: ArrivalWaiter[] = [];
  #backlog: number;
  /**
   * SO_CONDITIONAL_ACCEPT, or a socket that processes share: requests stay with the provider until the
   * application has decided, or accepts.
   */
  #waiting: Companion[] = [];
  #acceptsWaiting = 0;
  /** Other processes have the socket, too. [DUP-14] */
  sharing: ListenerShare | null = null;

  constructor(core: SwitchCore, socket: SwitchSocket, backlog: number) {
    this.#core = core;
    this.socket = socket;
    this.#backlog = clampBacklog(backlog);
    this.#companions = new ListenerCompanions(core, socket, this);
    this.#arrivals = new Arrivals(core, socket, () => {
      this.#tell();
    });
  }

  /** An accept would find a SAN connection. */
  get hasArrival(): boolean {
    return this.#arrivals.ready.length > 0 || this.#mayAsk;
  }

  get backlog(): number {
    return this.#backlog;
  }

  get hasCompanions(): boolean {
    return !this.#companions.isEmpty;
  }

  /** Listens on every SAN provider that `localName` includes. */
  listenOnSans(localName: Uint8Array, backlog: number): void {
    this.#companions.listenOnAll(localName, backlog);
  }

  /** Providers have come or gone, or their addresses have changed. [INST-10, ADDR-08] */
  followProviders(): void {
    // Whoever has control listens for all.
    this.#companions.follow(this.#backlog, this.sharing?.hasControl !== false);
  }

  /** A repeated listen changes the backlog. [LISTEN-05] */
  changeBacklog(backlog: number): void {
    this.#backlog = clampBacklog(backlog);
    this.#companions.changeBacklog(backlog);
  }

  /**
   * The next SAN connection for the application; null when there is none. A number is what accept
   * fails with: the application's condition function has said no, or not yet.
   */
  take(decide: Decision | null): Arrival | number | null {
    const { ready } = this.#arrivals;
    if (this.#mayAsk && ready.length === 0) {
      const refusal = this.#acceptWaiting(this.socket.conditionalAccept ? decide : null);
      if (refusal !== 0) return refusal;
    }
    const first = ready[0];
    if (first === undefined) {
      this.sharing?.want();
      return null;
    }
    this.sharing?.used();
    if (decide !== null && !this.socket.conditionalAccept) {
      const answer = decide(first.peerName, first.localName);
      if (answer === ws.CF_DEFER) return wsa.WSATRY_AGAIN;
      if (answer !== ws.CF_ACCEPT) {
        ready.shift();
        refuse(first.connection, wsa.WSAECONNREFUSED);
        return wsa.WSAECONNREFUSED;
      }
    }
    ready.shift();
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
    const { descriptor, family } = this.socket;
    const peerName = new Uint8Array(
      family === ws.AF_INET6 ? SOCKADDR_IN6_BYTES : SOCKADDR_IN_BYTES,
    );
    this.socket.tcpReady &= ~ws.FD_ACCEPT;
    const length = ws.ref(peerName.length);
    const s = tcp.lpWSPAccept(descriptor, peerName, length, null, null, ws.ref(0));
    if (s === ws.INVALID_SOCKET) return false;
    this.#waiters.shift()?.arrivedAtTcp(s, peerName);
    return true;
  }

  /** What take() gave could not be used: it stays the next. */
  putBack(arrival: Arrival): void {
    this.#arrivals.ready.unshift(arrival);
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
    // What others have too is for whoever accepts next.
    if (this.sharing?.close() === true) return;
    for (const companion of this.releaseCompanions()) companion.close();
    this.refuseArrivals();
  }

  // What sharing/listener.ts asks for ------------------------------------------------------------

  get ready(): Arrival[] {
    return this.#arrivals.ready;
  }

  get acceptsInProgress(): number {
    return this.#acceptsWaiting + this.#waiters.length;
  }

  get isNegotiating(): boolean {
    return this.#arrivals.isNegotiating;
  }

  refuseArrivals(): void {
    this.#arrivals.refuseAll();
  }

  releaseCompanions(): Companion[] {
    this.#waiting = [];
    return this.#companions.release();
  }

  takeCompanion(moved: MovedCompanion): void {
    this.#companions.take(moved);
  }

  serveWaiting(): void {
    this.followProviders();
    this.#tell();
  }

  goOnAlone(): void {
    this.followProviders();
    for (const companion of this.#waiting.splice(0)) this.requestsWait(companion);
  }

  // What the companions tell ----------------------------------------------------------------------

  companionLeft(companion: Companion): void {
    this.#waiting = this.#waiting.filter((other) => other !== companion);
  }

  requestsWait(companion: Companion): void {
    if (!this.socket.conditionalAccept && this.sharing === null) {
      for (let error = 0; error === 0 || error === wsa.WSAECONNREFUSED; ) {
        error = this.#arrivals.acceptOne(companion, null, this.#backlog);
      }
      return;
    }
    if (!this.#waiting.includes(companion)) this.#waiting.push(companion);
    this.#tell();
  }

  /** There is something to accept. */
  #tell(): void {
    this.serve();
    if (this.hasArrival) arrive(this.#core, this.socket, ws.FD_ACCEPT_BIT);
  }

  /** A request waits for a decision, and the one decided before it has been negotiated. */
  get #mayAsk(): boolean {
    const isAllowed = this.sharing === null || this.sharing.mayAccept;
    return this.#waiting.length > 0 && this.#arrivals.negotiatingCount === 0 && isAllowed;
  }

  /** Has the application decide about one request; 0, or what its accept fails with. */
  #acceptWaiting(decide: Decision | null): number {
    const companion = this.#waiting[0];
    if (companion === undefined) return 0;
    const error = this.#arrivals.acceptOne(companion, decide, this.#backlog);
    if (error === 0) return 0;
    if (error === wsa.WSAECONNREFUSED || error === wsa.WSATRY_AGAIN) return error;
    this.#waiting.shift();
    return 0;
  }
}

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
