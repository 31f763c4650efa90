// A listening socket that other processes have too: whose companions are in one process at a time, and
// move when another one accepts, with the connections that nobody has accepted. As share.ts for a connection,
// but TCP/IP's part is everybody's at any time. An accept that waits is in progress, and is waited for.
// Sources: DUP-07 (b), DUP-14; docs/duplication.md, "Control of a listener".

import * as wsa from '../../provider/spi/error-codes.js';
import * as ws from '../../provider/spi/winsock2.js';
import type { Arrival } from '../arrivals.js';
import type { Companion } from '../companion.js';
import type { SwitchCore } from '../core.js';
import type { SwitchSocket } from '../socket.js';
import type { SharingServices } from './channel.js';
import type { MovedCompanion } from './listener-state.js';
import { decodeMoved, encodeMoved } from './listener-state.js';
import { Membership, type Shareable } from './membership.js';
import { MovingArrivals } from './moving-arrivals.js';

/** What is shared: the part of a listener that providers have. */
export interface SharedListener {
  readonly socket: SwitchSocket;
  /** Connections that wait for an accept, in their order. */
  readonly ready: Arrival[];
  sharing: ListenerShare | null;
  /** Accepts that wait here for a connection. */
  readonly acceptsInProgress: number;
  /** A connection was accepted at a provider, and belongs here whatever comes of it. */
  readonly isNegotiating: boolean;
  /** Gives its companions up, which whoever called closes. */
  releaseCompanions(): Companion[];
  /** Resets what waits for an accept: there will be none. */
  refuseArrivals(): void;
  /** Goes on with one of another process's; waits for the provider. */
  takeCompanion(moved: MovedCompanion): void;
  /** Control is here: requests that wait may be accepted. */
  serveWaiting(): void;
  /** Control will not come any more: listens as if nobody shared it. */
  goOnAlone(): void;
}

export class ListenerShare implements Shareable {
  readonly #core: SwitchCore;
  readonly #listener: SharedListener;
  readonly #membership: Membership;
  readonly #arrivals: MovingArrivals;
  /** Accepts that were in progress when control was wanted elsewhere: they come first. */
  #entitled = 0;
  #isQuiet = false;
  #isClosed = false;

  private constructor(
    core: SwitchCore,
    listener: SharedListener,
    services: SharingServices,
    hub: string | null,
  ) {
    this.#core = core;
    this.#listener = listener;
    this.#membership = new Membership(core, services, hub, this);
    this.#arrivals = new MovingArrivals(core);
  }

  /**
   * Begins to share a listener, or comes to one that the process `hub` shares. null: there are no
   * descriptors left, or that process is not there any more.
   */
  static open(
    core: SwitchCore,
    listener: SharedListener,
    services: SharingServices,
    hub: string | null,
  ): ListenerShare | null {
    const share = new ListenerShare(core, listener, services, hub);
    if (!share.#membership.start()) return null;
    listener.sharing = share;
    return share;
  }

  /** By which another process reaches this one. */
  get name(): string {
    return this.#membership.name;
  }

  /** A duplicate was left for another process. */
  offered(): void {
    this.#membership.group.offered();
  }

  /** A duplicate could not be left: without others the listener is shared with nobody. */
  withdraw(): void {
    if (!this.#membership.group.isAlone) return;
    this.#letGo();
    this.#listener.goOnAlone();
  }

  /** The companions are here, or are about to be. */
  get hasControl(): boolean {
    const { phase } = this.#membership.group;
    return phase === 'controls' || phase === 'yielding' || phase === 'taking';
  }

  /** Requests may be accepted at the providers: control is not on its way to somebody else. */
  get mayAccept(): boolean {
    if (this.#isClosed) return false;
    const { phase } = this.#membership.group;
    return phase === 'controls' || (phase === 'yielding' && !this.#isQuiet && this.#entitled > 0);
  }

  /** An accept has found nothing: whoever has the companions is asked for them. [DUP-07] */
  want(): void {
    if (this.mayAccept || this.#isClosed) return;
    this.#membership.want();
  }

  /** What control was needed for has been found. */
  used(): void {
    this.#membership.group.used();
  }

  /** An accept that was in progress has ended, with a connection or without. */
  acceptEnded(): void {
    this.#membership.group.used();
    if (this.#entitled > 0) this.#entitled--;
    if (this.#membership.group.phase === 'yielding') this.#settle();
    this.#membership.run(false);
  }

  /**
   * The application closes its last descriptor. False: nobody else has the socket, and its companions
   * and connections end with it; else they are kept for whoever is next. [W3.7]
   */
  close(): boolean {
    if (this.#membership.group.isAlone) {
      this.#letGo();
      return false;
    }
    this.#isClosed = true;
    this.#entitled = 0;
    this.#membership.leave();
    return true;
  }

  /** WSACleanup could not wait any longer. */
  abandon(): void {
    this.#isClosed = true;
    this.#membership.group.failed(wsa.WSAECONNABORTED);
    this.#membership.run(false);
    this.#letGo();
    this.#closeCompanions();
  }

  // Turns ----------------------------------------------------------------------------------------

  get deadline(): number {
    return this.#membership.group.deadline;
  }

  turn(): number {
    return this.#membership.turn(this.#step);
  }

  readonly #step = (): void => {
    if (this.#membership.group.phase === 'yielding') this.#settle();
  };

  // What the group asks for ----------------------------------------------------------------------

  yield(): void {
    this.#isQuiet = false;
    this.#entitled = this.#isClosed ? 0 : this.#listener.acceptsInProgress;
  }

  resume(): void {
    this.#isQuiet = false;
    this.#arrivals.resume(this.#listener.ready);
  }

  /** DUP-14: accepts in progress have ended; and connections that nobody has accepted are quiet. */
  #settle(): void {
    if (this.#isQuiet || this.#entitled > 0 || this.#listener.isNegotiating) return;
    this.#arrivals.suspend(this.#listener.ready);
    if (!this.#arrivals.areQuiet) return;
    this.#isQuiet = true;
    this.#membership.group.yielded(this.#membership.now());
  }

  handOver(to: number, processId: number | null): void {
    if (processId === null) {
      this.#membership.group.refused(to, wsa.WSAECONNABORTED, this.#membership.now());
      return;
    }
    const { socket, ready } = this.#listener;
    const arrivals = this.#arrivals.handOver(processId, socket, ready);
    const companions: MovedCompanion[] = [];
    for (const companion of this.#listener.releaseCompanions()) {
      const { procs, providerId } = companion.provider;
      const info = { ...this.#core.tcpInfo };
      const errno = ws.ref(0);
      // One that cannot move ends: TCP/IP serves its requests.
      if (procs.lpWSPDuplicateSocket(companion.descriptor, processId, info, errno) === 0) {
        companions.push({ providerId, reserved: info.dwProviderReserved });
      } else {
        const details = { provider: companion.provider.name, error: errno.value };
        this.#core.environment.logger.warn('SAN listener cannot be handed over', details);
      }
      companion.close();
    }
    this.#isQuiet = false;
    this.#membership.group.handedOver(to, encodeMoved({ companions, arrivals }));
    // What has begun since waits for the next time.
    if (!this.#isClosed && this.#listener.acceptsInProgress > 0) this.#membership.group.want();
  }

  take(state: Uint8Array): void {
    const { socket, ready } = this.#listener;
    const { companions, arrivals } = decodeMoved(state) ?? { companions: [], arrivals: [] };
    for (const moved of arrivals) this.#arrivals.take(moved, socket, ready);
    for (const moved of companions) this.#listener.takeCompanion(moved);
    this.#membership.group.taken(this.#membership.now());
  }

  begin(): void {
    if (!this.#isClosed) this.#listener.serveWaiting();
  }

  /** Whoever had the companions has died with them. */
  ended(): void {
    // One that has only just come tells by not having joined.
    if (this.#isClosed || this.#listener.sharing !== this) return;
    this.#letGo();
    this.#arrivals.resume(this.#listener.ready);
    this.#listener.goOnAlone();
  }

  endGracefully(): void {
    this.#closeCompanions();
  }

  vanished(): void {
    this.#letGo();
  }

  #closeCompanions(): void {
    for (const companion of this.#listener.releaseCompanions()) companion.close();
  }

  #letGo(): void {
    if (this.#isClosed) {
      this.#arrivals.refuseAll();
      this.#listener.refuseArrivals();
    }
    this.#membership.close();
    if (this.#listener.sharing === this) this.#listener.sharing = null;
  }
}
