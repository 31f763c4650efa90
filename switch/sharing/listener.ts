// A listening socket that other processes have too: whose companions are in one process at a time, and
// move when another one accepts. The shell around a Group, as share.ts is for a connection, but nothing
// is suspended and TCP/IP's part is everybody's at any time. An accept that waits is in progress, and
// is waited for. Sources: DUP-07 (b), DUP-14; docs/duplication.md, "Control of a listener".

import * as wsa from '../../provider/spi/error-codes.js';
import * as ws from '../../provider/spi/winsock2.js';
import type { Companion } from '../companion.js';
import type { SwitchCore } from '../core.js';
import type { SharingServices } from './channel.js';
import { type GroupAction, Group } from './group.js';
import { Links } from './links.js';
import type { MovedCompanion } from './listener-state.js';
import { decodeCompanions, encodeCompanions } from './listener-state.js';

/** What is shared: the part of a listener that providers have. */
export interface SharedListener {
  sharing: ListenerShare | null;
  /** Accepts that wait here for a connection. */
  readonly acceptsInProgress: number;
  /** A connection was accepted at a provider, and belongs here whatever comes of it. */
  readonly isNegotiating: boolean;
  /** Gives its companions up, which whoever called closes. */
  releaseCompanions(): Companion[];
  /** Goes on with one of another process's; waits for the provider. */
  takeCompanion(moved: MovedCompanion): void;
  /** Control is here: requests that wait may be accepted. */
  serveWaiting(): void;
  /** Control will not come any more: listens as if nobody shared it. */
  goOnAlone(): void;
}

export class ListenerShare {
  readonly #core: SwitchCore;
  readonly #listener: SharedListener;
  readonly #links: Links;
  readonly #group: Group;
  /** Accepts that were in progress when control was wanted elsewhere: they come first. */
  #entitled = 0;
  #isQuiet = false;
  #isRunning = false;
  #isClosed = false;

  private constructor(
    core: SwitchCore,
    listener: SharedListener,
    services: SharingServices,
    parts: { readonly hub: string | null },
  ) {
    this.#core = core;
    this.#listener = listener;
    this.#links = new Links(services, {
      opened: (id) => {
        this.#group.opened(id);
      },
      received: (id, message) => {
        this.#group.received(id, message, this.#now());
        this.run(false);
      },
      closed: (id) => {
        this.#group.closed(id, this.#now());
        this.run(false);
      },
    });
    const { name } = this.#links;
    this.#group = parts.hub === null ? Group.controlling(name) : Group.joining(name, parts.hub);
  }

  /** Begins to share a listener; null: there are no descriptors left. */
  static begin(
    core: SwitchCore,
    listener: SharedListener,
    services: SharingServices,
  ): ListenerShare | null {
    const share = new ListenerShare(core, listener, services, { hub: null });
    return share.#links.isOpen ? share.#register() : null;
  }

  /** Comes to a listener that another process shares; null: that process is not there any more. */
  static join(
    core: SwitchCore,
    listener: SharedListener,
    services: SharingServices,
    hub: string,
  ): ListenerShare | null {
    const share = new ListenerShare(core, listener, services, { hub });
    if (!share.#links.isOpen) return null;
    share.run(false);
    if (share.#group.phase === 'member') return share.#register();
    share.#links.close();
    return null;
  }

  #register(): this {
    this.#listener.sharing = this;
    this.#core.shares.add(this);
    return this;
  }

  /** By which another process reaches this one. */
  get name(): string {
    return this.#links.name;
  }

  /** A duplicate was left for another process. */
  offered(): void {
    this.#group.offered();
  }

  /** A duplicate could not be left: without others the listener is shared with nobody. */
  withdraw(): void {
    if (!this.#group.isAlone) return;
    this.#letGo();
    this.#listener.goOnAlone();
  }

  /** The companions are here, or are about to be. */
  get hasControl(): boolean {
    const { phase } = this.#group;
    return phase === 'controls' || phase === 'yielding' || phase === 'taking';
  }

  /** Requests may be accepted at the providers: control is not on its way to somebody else. */
  get mayAccept(): boolean {
    if (this.#isClosed) return false;
    const { phase } = this.#group;
    return phase === 'controls' || (phase === 'yielding' && !this.#isQuiet && this.#entitled > 0);
  }

  /** An accept has found nothing: whoever has the companions is asked for them. [DUP-07] */
  want(): void {
    if (this.mayAccept || this.#isClosed) return;
    this.#group.want();
    this.run(false);
  }

  /** What control was needed for has been found. */
  used(): void {
    this.#group.used();
  }

  /** An accept that was in progress has ended, with a connection or without. */
  acceptEnded(): void {
    this.#group.used();
    if (this.#entitled > 0) this.#entitled--;
    if (this.#group.phase === 'yielding') this.#settle();
    this.run(false);
  }

  /**
   * The application closes its last descriptor. False: nobody else has the socket, and its companions
   * end with it; else they are kept for whoever is next. [W3.7]
   */
  close(): boolean {
    if (this.#group.isAlone) {
      this.#letGo();
      return false;
    }
    this.#isClosed = true;
    this.#entitled = 0;
    this.#group.leave(this.#now());
    this.run(false);
    return true;
  }

  /** WSACleanup could not wait any longer. */
  abandon(): void {
    this.#isClosed = true;
    this.#group.failed(wsa.WSAECONNABORTED);
    this.run(false);
    this.#letGo();
    this.#closeCompanions();
  }

  // Turns ----------------------------------------------------------------------------------------

  get deadline(): number {
    return this.#group.deadline;
  }

  turn(): number {
    if (this.#isRunning) return 0;
    if (this.#group.phase === 'yielding') this.#settle();
    this.#group.turn(this.#now());
    return this.run(true);
  }

  /** Carries out what the group asks for; `mayWait`: a provider may be called that waits. */
  run(mayWait: boolean): number {
    if (this.#isRunning) return 0;
    this.#isRunning = true;
    const group = this.#group;
    let work = 0;
    for (let next = group.poll(mayWait); next !== null; next = group.poll(mayWait)) {
      this.#carryOut(next);
      work++;
    }
    this.#isRunning = false;
    if (group.phase === 'gone' && this.#links.areFlushed) this.#letGo();
    return work;
  }

  #carryOut(action: GroupAction): void {
    switch (action.kind) {
      case 'send':
        this.#links.send(action.to, action.message);
        return;
      case 'connect':
        this.#links.connect(action.name);
        return;
      case 'disconnect':
        this.#links.drop(action.from);
        return;
      case 'yield':
        this.#isQuiet = false;
        this.#entitled = this.#isClosed ? 0 : this.#listener.acceptsInProgress;
        return;
      case 'resume':
        this.#isQuiet = false;
        return;
      case 'hand-over':
        this.#handOver(action.to);
        return;
      case 'take':
        this.#take(action.state);
        return;
      case 'begin':
        if (!this.#isClosed) this.#listener.serveWaiting();
        return;
      case 'end':
        this.#end();
        return;
      case 'close':
        this.#closeCompanions();
        return;
    }
  }

  /** DUP-14: nothing is suspended; accepts in progress have ended. */
  #settle(): void {
    if (this.#isQuiet || this.#entitled > 0 || this.#listener.isNegotiating) return;
    this.#isQuiet = true;
    this.#group.yielded(this.#now());
  }

  #handOver(to: number): void {
    const processId = this.#links.processOf(to);
    if (processId === null) {
      this.#group.refused(to, wsa.WSAECONNABORTED, this.#now());
      return;
    }
    const moved: MovedCompanion[] = [];
    for (const companion of this.#listener.releaseCompanions()) {
      const { procs, providerId } = companion.provider;
      const info = { ...this.#core.tcpInfo };
      const errno = ws.ref(0);
      // One that cannot move ends: TCP/IP serves its requests.
      if (procs.lpWSPDuplicateSocket(companion.descriptor, processId, info, errno) === 0) {
        moved.push({ providerId, reserved: info.dwProviderReserved });
      } else {
        const details = { provider: companion.provider.name, error: errno.value };
        this.#core.environment.logger.warn('SAN listener cannot be handed over', details);
      }
      companion.close();
    }
    this.#isQuiet = false;
    this.#group.handedOver(to, encodeCompanions(moved));
    // What has begun since waits for the next time.
    if (!this.#isClosed && this.#listener.acceptsInProgress > 0) this.#group.want();
  }

  #take(state: Uint8Array): void {
    for (const moved of decodeCompanions(state) ?? []) this.#listener.takeCompanion(moved);
    this.#group.taken(this.#now());
  }

  /** Whoever had the companions has died with them. */
  #end(): void {
    // One that has only just come tells by not having joined.
    if (this.#isClosed || this.#listener.sharing !== this) return;
    this.#letGo();
    this.#listener.goOnAlone();
  }

  #closeCompanions(): void {
    for (const companion of this.#listener.releaseCompanions()) companion.close();
  }

  #letGo(): void {
    this.#links.close();
    this.#core.shares.delete(this);
    if (this.#listener.sharing === this) this.#listener.sharing = null;
  }

  #now(): number {
    return this.#core.environment.clock.now();
  }
}
