// Where a listening socket listens besides TCP/IP: its companions, one for each SAN provider whose address
// it is, and their network events. Knows nothing of what becomes of the requests. Sources: LSN-01 to
// LSN-04, COMP-08, INST-10, ADDR-08, EVT-09.

import { sockaddrInAddress } from '../provider/spi/sockaddr.js';
import * as ws from '../provider/spi/winsock2.js';
import { type Companion, createCompanion, takenCompanion } from './companion.js';
import type { Attendant, SwitchCore } from './core.js';
import type { LoadedProvider } from './loaded-provider.js';
import type { MovedCompanion } from './sharing/listener-state.js';
import type { SwitchSocket } from './socket.js';

/** The rest of the listener. */
export interface CompanionOwner {
  /** Requests wait there. */
  requestsWait(companion: Companion): void;
  /** It has been closed, whatever waits there. */
  companionLeft(companion: Companion): void;
}

export class ListenerCompanions {
  readonly #core: SwitchCore;
  readonly #socket: SwitchSocket;
  readonly #owner: CompanionOwner;
  readonly #companions: Companion[] = [];
  /** Those that another process has made, whose address need not be this host's. */
  readonly #taken = new Set<Companion>();

  constructor(core: SwitchCore, socket: SwitchSocket, owner: CompanionOwner) {
    this.#core = core;
    this.#socket = socket;
    this.#owner = owner;
  }

  get isEmpty(): boolean {
    return this.#companions.length === 0;
  }

  /** Listens on every SAN provider that `localName` includes. */
  listenOnAll(localName: Uint8Array, backlog: number): void {
    const address = sockaddrInAddress(localName);
    for (const { provider } of this.#core.routing.listeners(address)) {
      this.#listenOn(provider, localName, backlog);
    }
  }

  #listenOn(provider: LoadedProvider, localName: Uint8Array, backlog: number): void {
    const made = this.#adopt((attendant) => {
      const { options } = this.#socket;
      return createCompanion(this.#core, { provider, localName, options, attendant });
    });
    if (typeof made === 'number') {
      warnLeftOut(this.#core, provider, 'companion', made);
      return;
    }
    const errno = ws.ref(0);
    const { lpWSPListen } = provider.procs;
    const error = lpWSPListen(made.descriptor, backlog, errno) === 0 ? 0 : errno.value;
    this.#begin(made, error);
  }

  /** Goes on with one of another process's; waits for the provider. */
  take({ providerId, reserved }: MovedCompanion): void {
    const { localName, options } = this.#socket;
    const provider = this.#core.providers.find((one) => one.providerId === providerId);
    if (provider === undefined || localName === null) return;
    const made = this.#adopt((attendant) =>
      takenCompanion(this.#core, { provider, localName, options, attendant }, reserved),
    );
    if (typeof made === 'number') {
      warnLeftOut(this.#core, provider, 'WSPSocket', made);
      return;
    }
    this.#taken.add(made);
    this.#begin(made, 0);
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
    warnLeftOut(this.#core, provider, 'WSPListen', errno.value);
  }

  /**
   * Providers have come or gone, or their addresses have changed: those that the address of the
   * listener includes now, and no others, listen from now on; new ones only with `mayListen`.
   * [INST-10, ADDR-08]
   */
  follow(backlog: number, mayListen: boolean): void {
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
    if (!mayListen) return;
    for (const { provider } of wanted) {
      if (this.#companions.some((companion) => companion.provider === provider)) continue;
      this.#listenOn(provider, name, backlog);
    }
  }

  changeBacklog(backlog: number): void {
    for (const { provider, descriptor } of this.#companions) {
      provider.procs.lpWSPListen(descriptor, backlog, ws.ref(0));
    }
  }

  /** Gives them up, which whoever called closes. */
  release(): Companion[] {
    this.#taken.clear();
    return this.#companions.splice(0);
  }

  #leave(companion: Companion): void {
    this.#taken.delete(companion);
    this.#companions.splice(this.#companions.indexOf(companion), 1);
    this.#owner.companionLeft(companion);
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
      warnLeftOut(this.#core, companion.provider, 'FD_ACCEPT', error);
      this.#leave(companion);
      this.#core.providerFailed(companion.provider);
      return;
    }
    this.#owner.requestsWait(companion);
  }
}

/** A provider has failed at `step`, and TCP/IP serves instead. */
export function warnLeftOut(
  core: SwitchCore,
  provider: LoadedProvider,
  step: string,
  error: number,
): void {
  const details = { provider: provider.name, step, error };
  core.environment.logger.warn('SAN provider left out of a listener', details);
}
