// A socket that other processes have too, whose connection a SAN provider carries: keeps what the
// application asks for while another process has control, and moves the connection as its group says. In
// control the socket is like any other, and nothing here is in the way of its data.
// Sources: DUP-01 … DUP-13, ERR-02; docs/duplication.md, "Control".

import * as wsa from '../../provider/spi/error-codes.js';
import * as ws from '../../provider/spi/winsock2.js';
import type { AppRequest } from '../app-request.js';
import { cancelRequests } from '../cancel.js';
import { carry } from '../carrier.js';
import { closeTcp, endConnection, shutdownConnection } from '../close.js';
import type { Connection } from '../connection.js';
import type { ConnectionWatcher } from '../connection-watcher.js';
import type { SwitchCore } from '../core.js';
import { RequestFlag } from '../session/request.js';
import type { SwitchSocket } from '../socket.js';
import type { SharingServices } from './channel.js';
import { Membership, type Shareable } from './membership.js';
import { applyOptions, optionsOf, type SetOption } from './options.js';
import { decodeState, encodeState } from './state.js';
import { takeConnection } from './take.js';

export class Share implements Shareable {
  readonly #membership: Membership;
  readonly #core: SwitchCore;
  readonly #socket: SwitchSocket;
  /** The connection while this process has control; the socket has none while it yields. */
  #connection: Connection | null = null;
  #carrier: ConnectionWatcher | null = null;
  /** What begins when control is here, in order. */
  readonly #held: AppRequest[] = [];
  readonly #shutdowns: number[] = [];
  readonly #options: SetOption[] = [];
  #isQuiet = false;
  #isClosed = false;

  private constructor(
    core: SwitchCore,
    socket: SwitchSocket,
    services: SharingServices,
    hub: string | null,
  ) {
    this.#core = core;
    this.#socket = socket;
    this.#membership = new Membership(core, services, hub, this);
  }

  /**
   * Begins to share a connected socket, or comes to one that the process `hub` shares. null: there is
   * nothing left to do it with, or that process is not there any more.
   */
  static open(
    core: SwitchCore,
    socket: SwitchSocket,
    services: SharingServices,
    hub: string | null,
  ): Share | null {
    const share = new Share(core, socket, services, hub);
    share.#connection = socket.connection;
    if (!share.#membership.start()) return null;
    socket.share = share;
    return share;
  }

  /** A duplicate was left for another process. */
  offered(): void {
    this.#membership.group.offered();
  }

  /** By which another process reaches this one. */
  get name(): string {
    return this.#membership.name;
  }

  /** The connection, wherever it is kept; null while another process has it. */
  get connection(): Connection | null {
    return this.#socket.connection ?? this.#connection;
  }

  /** Nothing will bring control any more: why not, 0 after a graceful end; null while it may come. */
  get end(): number | null {
    const { phase, error } = this.#membership.group;
    return phase === 'ended' || phase === 'gone' ? error : null;
  }

  // What the application asks for without control ------------------------------------------------

  /** It needs control; the order of asking is kept. [DUP-03, DUP-04] */
  want(): void {
    this.#membership.want();
  }

  /** It looks what there is, which takes control as well. */
  look(): void {
    if (this.#socket.connection === null && this.end === null) this.want();
  }

  /** What control was needed for begins now. */
  used(): void {
    this.#membership.group.used();
  }

  /** Keeps an operation, its call still running, until control is here. */
  hold(request: AppRequest): void {
    const { requests } = this.#core;
    const error = this.end;
    if (error !== null) {
      requests.complete(request, request.isSend && error === 0 ? wsa.WSAECONNABORTED : error, 0, 0);
      return;
    }
    request.cancellable = {
      cancel: (reason) => {
        this.#held.splice(this.#held.indexOf(request), 1);
        request.cancellable = null;
        requests.complete(request, reason, 0, 0);
      },
    };
    this.#held.push(request);
    this.want();
  }

  shutdown(how: number): void {
    this.#shutdowns.push(how);
    this.want();
  }

  /** An option that was set here counts from when control is here, whatever it was elsewhere. */
  optionSet(option: SetOption): void {
    if (this.#socket.connection === null) this.#options.push(option);
  }

  /**
   * The application closes its last descriptor. False: nobody else has the socket, which then is like
   * any other again. [W3.7]
   */
  close(): boolean {
    if (this.#membership.group.isAlone) {
      this.#letGo();
      return false;
    }
    const core = this.#core;
    this.#isClosed = true;
    // What has begun to leave still leaves; a reader is not there any more.
    cancelRequests(core, this.#socket, (request) => !request.isSend || this.#isHeld(request));
    this.#membership.leave();
    return true;
  }

  /** A duplicate could not be offered: without others the socket is shared with nobody. */
  withdraw(): void {
    if (this.#membership.group.isAlone) this.#letGo();
  }

  /** WSACleanup could not wait any longer. */
  abandon(): void {
    const { connection } = this;
    this.#membership.group.failed(wsa.WSAECONNABORTED);
    this.#membership.run(false);
    this.#letGo();
    connection?.abort(wsa.WSA_OPERATION_ABORTED);
    if (this.#isClosed) closeTcp(this.#core, this.#socket, ws.ref(0));
  }

  #isHeld(request: AppRequest): boolean {
    return this.#held.includes(request);
  }

  // Turns ----------------------------------------------------------------------------------------

  get deadline(): number {
    return this.#membership.group.deadline;
  }

  turn(): number {
    return this.#membership.turn(this.#step);
  }

  readonly #step = (): void => {
    const { group } = this.#membership;
    const { connection } = this;
    if (connection?.session.isOver === true && group.phase !== 'taking') {
      if (!group.isAlone) group.failed(connection.session.error);
    } else if (this.#isQuiet) {
      this.#isQuiet = false;
      group.yielded(this.#membership.now());
    }
  };

  // The connection -------------------------------------------------------------------------------

  /** From now on the application's requests are held, as everywhere else. [DUP-08, DUP-10] */
  yield(): void {
    const connection = this.#socket.connection ?? this.#connection;
    if (connection === null || connection.session.isOver) {
      this.#membership.group.failed(connection?.session.error ?? wsa.WSAECONNABORTED);
      return;
    }
    const carrier = connection.watcher;
    this.#socket.connection = null;
    this.#connection = connection;
    this.#carrier = carrier;
    connection.watcher = {
      established: () => undefined,
      changed: () => undefined,
      ended: (ended, error) => {
        this.#membership.group.failed(error);
        carrier.ended(ended, error);
      },
    };
    connection.onQuiet = () => {
      this.#isQuiet = true;
    };
    connection.departure.suspend();
  }

  resume(): void {
    this.#connection?.departure.resume();
    this.#carryAgain();
  }

  #carryAgain(): void {
    const connection = this.#connection;
    if (connection === null) return;
    if (this.#carrier !== null) connection.watcher = this.#carrier;
    connection.onQuiet = null;
    this.#carrier = null;
    if (!this.#isClosed) this.#socket.connection = connection;
  }

  /** DUP-11: from here on the connection is the other process's. */
  handOver(to: number, processId: number | null): void {
    const connection = this.#connection;
    if (connection === null || processId === null || connection.session.isOver) {
      this.#membership.group.failed(connection?.session.error ?? wsa.WSAECONNABORTED);
      return;
    }
    const { role, companion, session } = connection;
    const { limits } = companion;
    const state = session.moving.save();
    const info = { ...this.#core.tcpInfo };
    const error = connection.departure.handOver(processId, info);
    if (error === 0) {
      const options = optionsOf(this.#socket);
      const reserved = info.dwProviderReserved;
      this.#connection = null;
      this.#carrier = null;
      this.#membership.group.handedOver(
        to,
        encodeState({ reserved, role, limits, session: state, options }),
      );
    } else if (error === ws.INVALID_SOCKET) {
      connection.abort(wsa.WSAENOBUFS);
      this.#membership.group.failed(wsa.WSAENOBUFS);
    } else {
      this.#membership.group.refused(to, error, this.#membership.now());
    }
  }

  /** DUP-12: the connection comes here, which waits for the provider. */
  take(bytes: Uint8Array): void {
    const state = decodeState(bytes);
    const core = this.#core;
    const socket = this.#socket;
    if (state === null) {
      this.#membership.group.failed(wsa.WSAECONNABORTED);
      return;
    }
    const taken = takeConnection(core, this.#socket.sanProviderId, state);
    if (typeof taken === 'number') {
      this.#membership.group.failed(taken);
      return;
    }
    applyOptions(core, socket, state.options, this.#options.splice(0));
    carry(core, socket, taken);
    this.#connection = taken;
    if (this.#isClosed) socket.connection = null;
    taken.departure.resume();
    this.#membership.group.taken(this.#membership.now());
  }

  /** DUP-13. */
  begin(): void {
    const connection = this.#connection;
    if (connection === null) return;
    if (this.#held.length > 0 || this.#shutdowns.length > 0) this.#membership.group.used();
    for (const request of this.#held.splice(0)) {
      request.cancellable = null;
      if (request.isSend) {
        connection.sendsPending++;
        connection.session.send(request.session, connection.now());
        connection.drain();
      } else if ((request.session.flags & RequestFlag.urgent) !== 0) {
        this.#beginUrgent(connection, request);
      } else {
        connection.receive(request);
      }
    }
    for (const how of this.#shutdowns.splice(0)) {
      shutdownConnection(this.#socket, connection, how);
    }
    // Whoever has selected something learns of what was found.
    connection.drain();
  }

  /** As SanTransfers.receive with MSG_OOB: past the short way, and never in line. [W8.1.13] */
  #beginUrgent(connection: Connection, request: AppRequest): void {
    const { session } = connection;
    if (this.#socket.oobInline && !session.hasUrgent) {
      this.#core.requests.complete(request, wsa.WSAEINVAL, 0, 0);
      return;
    }
    session.receive(request.session, connection.now());
    connection.drain();
  }

  ended(error: number): void {
    const { requests } = this.#core;
    for (const request of this.#held.splice(0)) {
      request.cancellable = null;
      const reason = request.isSend && error === 0 ? wsa.WSAECONNABORTED : error;
      requests.complete(request, reason, 0, 0);
    }
    // Where it was carried last, what is left of it can be read.
    this.#carryAgain();
    if (error !== 0 && this.#socket.connection === null) this.#socket.pendingError = error;
  }

  // The end --------------------------------------------------------------------------------------

  /** Closed here, and nobody else has it: it ends as any. */
  endGracefully(): void {
    if (this.#connection !== null) endConnection(this.#core, this.#socket, this.#connection);
    this.#connection = null;
    this.#isClosed = false;
  }

  vanished(): void {
    const isClosed = this.#isClosed;
    this.#letGo();
    if (isClosed) closeTcp(this.#core, this.#socket, ws.ref(0));
  }

  #letGo(): void {
    this.#membership.close();
    if (this.#socket.share === this) this.#socket.share = null;
    this.#isClosed = false;
  }
}
