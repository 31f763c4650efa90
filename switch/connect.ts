// The application's connect: the SAN first where the destination is in a SAN subnet, TCP/IP where it
// is not or the SAN cannot. Always nonblocking below; whoever blocks waits for the attempt to end.
// Sources: CONN-01 to CONN-06, COMP-08, COMP-11, COMP-12, CONNECT-04, CONNECT-08, W14.3, W14.4.

import * as wsa from '../provider/spi/error-codes.js';
import {
  parseSockaddr,
  SOCKADDR_IN_BYTES,
  sockaddrFamily,
  sockaddrIn,
  sockaddrInAddress,
  sockaddrPort,
} from '../provider/spi/sockaddr.js';
import * as ws from '../provider/spi/winsock2.js';
import type { Companion } from './companion.js';
import { createCompanion } from './companion.js';
import type { ConnectionWatcher } from './connection-watcher.js';
import { Connection } from './connection.js';
import type { ConnectionMemory } from './connection-memory.js';
import type { Attendant, SwitchCore } from './core.js';
import { occur, watchTcp } from './network-events.js';
import type { Route } from './routing.js';
import { carry } from './carrier.js';
import type { SwitchSocket } from './socket.js';
import { SocketState } from './socket.js';

/** CONNECT-04: with these TCP/IP would fail too, so they are final. */
const FINAL_ERRORS: readonly number[] = [
  wsa.WSAECONNRESET,
  wsa.WSAECONNREFUSED,
  wsa.WSAEHOSTUNREACH,
];

export class ConnectAttempt implements Attendant, ConnectionWatcher {
  readonly #core: SwitchCore;
  readonly #socket: SwitchSocket;
  readonly #destination: Uint8Array;
  #companion: Companion | null = null;
  #memory: ConnectionMemory | null = null;
  #connection: Connection | null = null;
  readonly #onEnd: ((error: number) => void) | null;
  #isEnded = false;
  #error = 0;

  /** `onEnd` is called with 0 or the error, perhaps in start(), and not after abandon(). */
  constructor(
    core: SwitchCore,
    socket: SwitchSocket,
    destination: Uint8Array,
    onEnd: ((error: number) => void) | null = null,
  ) {
    this.#core = core;
    this.#socket = socket;
    this.#destination = destination;
    this.#onEnd = onEnd;
  }

  readonly isDone = (): boolean => this.#isEnded;

  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** 0, or why it failed; meaningful once it has ended. */
  get error(): number {
    return this.#error;
  }

  /** Starts; it may have ended on return. */
  start(): void {
    this.#socket.state = SocketState.connecting;
    this.#socket.attempt = this;
    const route = this.#route();
    if (route === null || !this.#startSan(route)) this.#startTcp();
  }

  /** Gives up: the application closes the socket. [CONNECT-07, BLK-02] */
  abandon(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#error = wsa.WSA_OPERATION_ABORTED;
    this.#socket.attempt = null;
    if (this.#connection === null) this.#dropCompanion();
    else {
      this.#connection.isOrphan = true;
      this.#connection.abort(wsa.WSA_OPERATION_ABORTED);
    }
  }

  /** TCP/IP reports the end of its connect. */
  tcpEnded(error: number): void {
    if (this.#isEnded || this.#companion !== null) return;
    this.#end(error);
  }

  /** The companion's event has been signalled. */
  attend(): void {
    const companion = this.#companion;
    if (companion === null || this.#connection !== null || this.#isEnded) return;
    const seen = ws.createNetworkEvents();
    const errno = ws.ref(0);
    const { procs } = companion.provider;
    const failed =
      procs.lpWSPEnumNetworkEvents(companion.descriptor, companion.event, seen, errno) !== 0;
    if (failed) this.#sanEnded(errno.value);
    else if ((seen.lNetworkEvents & ws.FD_CONNECT) !== 0) {
      this.#sanEnded(seen.iErrorCode[ws.FD_CONNECT_BIT] ?? 0);
    }
  }

  established(connection: Connection): void {
    const socket = this.#socket;
    socket.peerName = this.#destination;
    socket.attempt = null;
    carry(this.#core, socket, connection);
    this.#end(0);
  }

  changed(): void {
    // Nothing is readable before the negotiation is complete.
  }

  /** The connection was lost in the negotiation: too late for TCP/IP. [COMP-12] */
  ended(_connection: Connection, error: number): void {
    if (this.#isEnded) return;
    this.#end(error === 0 ? wsa.WSAECONNABORTED : error);
  }

  #route(): Route | null {
    const socket = this.#socket;
    if (socket.family !== ws.AF_INET || !socket.isStream) return null;
    if (sockaddrFamily(this.#destination) !== ws.AF_INET) return null;
    const bound = this.#tcpName();
    const address = bound === null ? ws.INADDR_ANY : sockaddrInAddress(bound);
    return this.#core.routing.routeTo(sockaddrInAddress(this.#destination), address);
  }

  /** The address TCP/IP has bound, or null when it has none. */
  #tcpName(): Uint8Array | null {
    const name = new Uint8Array(SOCKADDR_IN_BYTES);
    const { descriptor } = this.#socket;
    const failed =
      this.#core.tcp.lpWSPGetSockName(descriptor, name, ws.ref(name.length), ws.ref(0)) !== 0;
    return failed || sockaddrPort(name) === 0 ? null : name;
  }

  /** False: nothing was left behind, and TCP/IP is to try. */
  #startSan(route: Route): boolean {
    const core = this.#core;
    const socket = this.#socket;
    const localName = this.#companionName(route);
    if (localName === null) return false;
    const { provider } = route;
    const { options } = socket;
    const made = createCompanion(core, { provider, localName, options, attendant: this });
    if (typeof made === 'number') return this.#fallBack('companion', made);
    this.#companion = made;
    this.#memory = core.memory.take(made.limits);
    if (this.#memory === null) return this.#fallBack('memory', wsa.WSAENOBUFS);
    const errno = ws.ref(0);
    const { lpWSPEventSelect, lpWSPConnect } = provider.procs;
    if (lpWSPEventSelect(made.descriptor, made.event, ws.FD_CONNECT, errno) !== 0) {
      return this.#fallBack('WSPEventSelect', errno.value);
    }
    socket.localName = localName;
    const to = this.#destination;
    const failed =
      lpWSPConnect(made.descriptor, to, to.length, null, null, null, null, errno) !== 0;
    if (!failed) this.#sanEnded(0);
    else if (errno.value !== wsa.WSAEWOULDBLOCK) this.#sanEnded(errno.value);
    return true;
  }

  /** COMP-08: a full address, whose port TCP/IP has given. null: it would not. */
  #companionName(route: Route): Uint8Array | null {
    const { tcp } = this.#core;
    const { descriptor } = this.#socket;
    let name = this.#tcpName();
    if (name === null) {
      const any = sockaddrIn(route.localAddress, 0);
      if (tcp.lpWSPBind(descriptor, any, any.length, ws.ref(0)) !== 0) return null;
      this.#socket.isBound = true;
      name = this.#tcpName();
    }
    return name === null ? null : sockaddrIn(route.localAddress, sockaddrPort(name));
  }

  #sanEnded(error: number): void {
    if (error === 0) {
      this.#negotiate();
      return;
    }
    if (FINAL_ERRORS.includes(error)) {
      this.#dropCompanion();
      this.#end(error);
      return;
    }
    this.#fallBack('WSPConnect', error);
    this.#startTcp();
  }

  #negotiate(): void {
    const companion = this.#companion;
    const memory = this.#memory;
    if (companion === null || memory === null) return;
    this.#memory = null;
    const connection = new Connection(this.#core, companion, 'connector', memory);
    this.#connection = connection;
    const error = connection.start(this);
    if (error !== 0) this.#end(error);
  }

  #fallBack(step: string, error: number): false {
    const { logger } = this.#core.environment;
    logger.info('connection falls back to TCP/IP', { step, error });
    this.#dropCompanion();
    return false;
  }

  #dropCompanion(): void {
    this.#companion?.close();
    this.#companion = null;
    if (this.#memory !== null) this.#core.memory.giveBack(this.#memory);
    this.#memory = null;
  }

  #startTcp(): void {
    const core = this.#core;
    const socket = this.#socket;
    socket.localName = null;
    const error = watchTcp(core, socket);
    if (error !== 0) {
      this.#end(error);
      return;
    }
    const errno = ws.ref(0);
    const to = this.#destination;
    const failed =
      core.tcp.lpWSPConnect(socket.descriptor, to, to.length, null, null, null, null, errno) !== 0;
    if (!failed) this.#end(0);
    else if (errno.value !== wsa.WSAEWOULDBLOCK) this.#end(errno.value);
  }

  #end(error: number): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#error = error;
    const socket = this.#socket;
    socket.attempt = null;
    socket.pendingError = error;
    socket.state = error === 0 ? SocketState.connected : SocketState.open;
    if (error === 0 && socket.connection === null) this.#connectedByTcp();
    if (error === 0) socket.isBound = true;
    else socket.localName = null;
    occur(this.#core, socket, ws.FD_CONNECT_BIT, error);
    if (error !== 0) socket.reportedEvents &= ~ws.FD_CONNECT;
    if (error === 0) occur(this.#core, socket, ws.FD_WRITE_BIT, 0);
    this.#onEnd?.(error);
  }

  #connectedByTcp(): void {
    const { statistics, environment } = this.#core;
    statistics.tcpConnected();
    this.#socket.connectedAt = environment.clock.now();
    this.#socket.reportedEvents &= ~ws.FD_WRITE;
  }
}

/** The destination of a connect, copied; or the error. [CONNECT-10, W5.5] */
export function destinationOf(
  socket: SwitchSocket,
  name: Uint8Array | null,
  namelen: number,
): Uint8Array | number {
  if (socket.state === SocketState.disconnected) return wsa.WSAEISCONN;
  if (name === null || namelen > name.length) return wsa.WSAEFAULT;
  const endpoint = parseSockaddr(name, namelen);
  if (endpoint === null) return namelen < SOCKADDR_IN_BYTES ? wsa.WSAEFAULT : wsa.WSAEAFNOSUPPORT;
  if (endpoint.family !== socket.family) return wsa.WSAEAFNOSUPPORT;
  if (socket.isStream && endpoint.ip === '0.0.0.0') return wsa.WSAEADDRNOTAVAIL;
  if (socket.isStream && endpoint.port === 0) return wsa.WSAEADDRNOTAVAIL;
  return name.slice(0, namelen);
}
