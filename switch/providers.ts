// The SAN providers of a running switch: how one comes, at the start or later, how its addresses are
// asked for anew, and how one goes, which is not before its last connection. Knows providers by their
// procedure tables and nothing of where they come from. Sources: INIT-01 to INIT-08, INST-07 to
// INST-10, ADDR-08, CLEANUP-03; docs/decisions/0031-removed-providers.md.

import { errorName } from '../provider/spi/errors.js';
import type { ServiceProvider } from '../provider/spi/provider.js';
import * as ws from '../provider/spi/winsock2.js';
import type { WSPUpcallTableEx } from '../provider/spi/ws2spi.js';
import type { SwitchCore } from './core.js';
import type { LoadedProvider, StartFailure } from './loaded-provider.js';
import {
  endProvider,
  introduceProvider,
  isStartFailure,
  queryAddresses,
  startProvider,
} from './loaded-provider.js';

export class Providers {
  readonly #core: SwitchCore;
  readonly #upcalls: WSPUpcallTableEx;
  /** Removed, and still carrying connections. */
  #retired: LoadedProvider[] = [];

  constructor(core: SwitchCore, upcalls: WSPUpcallTableEx) {
    this.#core = core;
    this.#upcalls = upcalls;
  }

  /** Whether endRetired() has anything to look at. */
  get hasRetired(): boolean {
    return this.#retired.length > 0;
  }

  /** All that have been started and not ended. */
  all(): LoadedProvider[] {
    return [...this.#core.providers, ...this.#retired];
  }

  /** Starts one; listeners that include its addresses listen on it too. Whether it is in use. */
  add(provider: ServiceProvider): boolean {
    const core = this.#core;
    const id = provider.providerId;
    if (core.providers.some(({ providerId }) => providerId === id)) return false;
    const table = startProvider(provider, core.tcpInfo, this.#upcalls);
    if (isStartFailure(table)) return this.#leaveOut(provider, table);
    const loaded = introduceProvider(provider, table, core.tcpInfo, core.environment.logger);
    if (isStartFailure(loaded)) {
      endProvider(table);
      return this.#leaveOut(provider, loaded);
    }
    core.providers = [...core.providers, loaded];
    this.#addressesChanged();
    return true;
  }

  /**
   * Nothing new goes to the provider from now on; connections up at this moment live as long as
   * they would have, and with the last one the provider is ended. False: there is none with this id.
   */
  remove(providerId: string): boolean {
    const core = this.#core;
    const leaving = core.providers.find((provider) => provider.providerId === providerId);
    if (leaving === undefined) return false;
    core.providers = core.providers.filter((provider) => provider !== leaving);
    this.#retired.push(leaving);
    this.#addressesChanged();
    this.endRetired();
    return true;
  }

  /** Ends removed providers that carry nothing any more. How many. */
  endRetired(): number {
    const done = this.#retired.filter(({ companions }) => companions === 0);
    if (done.length === 0) return 0;
    this.#retired = this.#retired.filter((provider) => !done.includes(provider));
    for (const provider of done) this.#end(provider);
    return done.length;
  }

  /** Ends all of them, the last one first: nothing uses them any more. [CLEANUP-03] */
  endAll(): void {
    const core = this.#core;
    const all = this.all();
    core.providers = [];
    this.#retired = [];
    core.routing.rebuild([]);
    for (const provider of all.reverse()) this.#end(provider);
  }

  /** Asks every provider for its addresses anew. [ADDR-08] */
  refreshAddresses(): void {
    for (const provider of this.#core.providers) this.#query(provider);
    this.#addressesChanged();
  }

  /** The same of one that has said that it has lost some. [ADDR-08, ERR-04] */
  refresh(provider: LoadedProvider): void {
    this.#query(provider);
    this.#addressesChanged();
  }

  #query(provider: LoadedProvider): void {
    const { procs } = provider;
    const { AF_INET, SOCK_STREAM, IPPROTO_TCP, WSA_FLAG_OVERLAPPED, ref } = ws;
    const info = this.#core.tcpInfo;
    const flags = WSA_FLAG_OVERLAPPED;
    const s = procs.lpWSPSocket(AF_INET, SOCK_STREAM, IPPROTO_TCP, info, 0, flags, ref(0));
    if (s === ws.INVALID_SOCKET) return;
    const addresses = queryAddresses(procs, s);
    // One that cannot say keeps what it had: connects to it fall back if that is wrong.
    if (!isStartFailure(addresses)) provider.addresses = addresses;
    procs.lpWSPCloseSocket(s, ref(0));
  }

  #addressesChanged(): void {
    const core = this.#core;
    core.routing.rebuild(core.providers);
    for (const socket of core.sockets.all()) socket.listener?.followProviders();
  }

  #end(provider: LoadedProvider): void {
    endProvider(provider.procs);
    this.#core.environment.providerEnded?.(provider.providerId);
  }

  #leaveOut(provider: ServiceProvider, failure: StartFailure): false {
    const { step, error, cause } = failure;
    const details = { provider: provider.name, step, error: errorName(error) };
    const thrown = cause === undefined ? {} : { thrown: textOf(cause) };
    this.#core.environment.logger.warn('SAN provider left out', { ...details, ...thrown });
    return false;
  }
}

function textOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : 'not an Error';
}
