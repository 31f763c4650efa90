// The Windows Sockets switch: one per host, over TCP/IP and any number of SAN providers, which it
// makes look like one. This file starts and stops it and gives everything under it its turns; what
// applications call is procedures.ts. It knows providers by their procedure tables only.
// Sources: ARCH-05 to ARCH-09, INIT-01 to INIT-09, CLEANUP-03, INST-07 to INST-10, CACHE-04.

import type { Nanos } from '../runtime/clock.js';
import type { Agent } from '../runtime/progress.js';
import type { ServiceProvider } from '../provider/spi/provider.js';
import type { WSPUpcallTableEx } from '../provider/spi/ws2spi.js';
import * as ws from '../provider/spi/winsock2.js';
import { WSA_OPERATION_ABORTED, WSASYSNOTREADY } from '../provider/spi/errors.js';
import { AddressWatch } from './address-watch.js';
import { wait } from './blocking.js';
import { endThread } from './cancel.js';
import type { Connection } from './connection.js';
import { MemoryPool } from './connection-memory.js';
import { SwitchCore } from './core.js';
import type { SwitchEnvironment } from './environment.js';
import { STOP_NANOS_MAX } from './limits.js';
import { endProvider, isStartFailure, startProvider } from './loaded-provider.js';
import { SwitchProcedures } from './procedures.js';
import { Providers } from './providers.js';
import type { SwitchStatistics } from './statistics.js';
import { createUpcallTable } from './upcalls.js';

export class Switch implements Agent {
  readonly role = 'switch';
  readonly core: SwitchCore;
  readonly procedures: SwitchProcedures;
  readonly upcalls: WSPUpcallTableEx;
  readonly #environment: SwitchEnvironment;
  readonly #providers: Providers;
  readonly #addressWatch: AddressWatch;
  readonly #paths = new Map<string, string>();
  #idleTurns = 0;
  #isRunning = false;

  constructor(environment: SwitchEnvironment) {
    this.#environment = environment;
    const beforeFree = (block: Uint8Array): void => {
      this.releaseMemory(block);
    };
    this.core = new SwitchCore(environment, new MemoryPool(environment.memory, beforeFree));
    this.procedures = new SwitchProcedures(this.core);
    const { events, handles, apcs } = this.core;
    this.upcalls = createUpcallTable({
      events,
      handles,
      apcs,
      providerPath: (id) => this.#paths.get(id) ?? null,
    });
    this.#providers = new Providers(this.core, this.upcalls);
    this.core.providerFailed = (provider) => {
      this.#providers.refresh(provider);
    };
    this.#addressWatch = new AddressWatch(this.core, () => {
      this.refreshAddresses();
    });
  }

  get isRunning(): boolean {
    return this.#isRunning;
  }

  /**
   * Starts TCP/IP, which must be there, then every SAN provider; one that fails is left out and
   * the reason logged. 0, or the error of TCP/IP. [INIT-01, INIT-03, INIT-06 to INIT-08]
   */
  start(providers: readonly ServiceProvider[]): number {
    const base = providers.find(({ capabilities }) => capabilities.kind === 'base');
    if (base === undefined) return WSASYSNOTREADY;
    const table = startProvider(base, this.core.tcpInfo, this.upcalls);
    if (isStartFailure(table)) return table.error;
    this.core.adoptTcp(table);
    this.#paths.set(base.providerId, base.name);
    this.#environment.progress.add(this);
    this.#isRunning = true;
    this.#addressWatch.start();
    for (const provider of providers) if (provider !== base) this.addProvider(provider);
    return 0;
  }

  /**
   * Starts one more SAN provider, at any time; wildcard listeners that exist listen on it too.
   * Whether it is in use now. [INST-09, INST-10]
   */
  addProvider(provider: ServiceProvider): boolean {
    if (!this.#providers.add(provider)) return false;
    this.#paths.set(provider.providerId, provider.name);
    return true;
  }

  /**
   * Sends nothing new to a SAN provider and ends it with its last connection. False: it is not in
   * use. [INST-07; docs/decisions/0031-removed-providers.md]
   */
  removeProvider(providerId: string): boolean {
    this.#paths.delete(providerId);
    return this.#providers.remove(providerId);
  }

  /** Asks every provider for its addresses anew: TCP/IP has reported a change. [ADDR-08] */
  refreshAddresses(): void {
    this.#providers.refreshAddresses();
  }

  /** Memory is about to be freed: every provider that caches is told before it goes. [CACHE-04] */
  releaseMemory(memory: Uint8Array): void {
    this.core.registrations.forgetMemory(memory);
    const address = this.#environment.memory.addressOf(memory);
    for (const { extensions } of this.#providers.all()) {
      extensions.WSPMemoryRegistrationCacheCallback?.(address, memory.length, ws.ref(0));
    }
  }

  /**
   * Closes every socket, waits up to STOP_NANOS_MAX for data on its way, resets what is left, and
   * ends every provider. The switch is as good as new afterwards. [CLEANUP-03, W12.4]
   */
  stop(): void {
    if (!this.#isRunning) return;
    const { core } = this;
    this.closeAll();
    const { clock } = this.#environment;
    wait(core, this.#delivered, clock.now() + STOP_NANOS_MAX);
    for (const share of core.shares.all()) share.abandon();
    for (const connection of core.connections) connection.abort(WSA_OPERATION_ABORTED);
    // A provider that does not end its calls is waited for by each connection's own limit.
    wait(core, this.#quiet, clock.now() + STOP_NANOS_MAX);
    core.memory.drain();
    this.#providers.endAll();
    this.#addressWatch.stop();
    endProvider(core.tcp);
    this.#environment.progress.remove(this);
    core.apcs.clear();
    this.#isRunning = false;
  }

  /**
   * The thread of this switch ends: what it has started is cancelled, and no routine runs any more.
   * [W5.11, W9.10.2]
   */
  endThread(): void {
    if (this.#isRunning) endThread(this.core);
  }

  /** What its connections have moved so far. */
  statistics(): SwitchStatistics {
    const live = [...this.core.connections].map(({ session }) => session.statistics);
    return this.core.statistics.total(live);
  }

  /**
   * Nothing is under way at any provider: no connection, open or closing, and no operation; and whoever
   * waited for one knows.
   */
  get isQuiet(): boolean {
    const { connections, shares, tcpBusy, hasSignals } = this.core;
    return connections.size + tcpBusy.length + shares.count === 0 && !hasSignals;
  }

  /** How long stop() waits for that before it resets what is left. */
  get stopNanosMax(): Nanos {
    return STOP_NANOS_MAX;
  }

  /** Closes every socket of the application; graceful ends go on. */
  closeAll(): void {
    for (const socket of this.core.sockets.all()) {
      socket.nonBlocking = true;
      if (socket.lingerSeconds > 0) socket.lingerOn = false;
      for (const handle of [...socket.moreHandles, socket.handle]) {
        this.procedures.WSPCloseSocket(handle, ws.ref(0));
      }
    }
  }

  // Turns ---------------------------------------------------------------------------------------

  doWork(): number {
    const { core } = this;
    let work = core.attend();
    // Connections that become ready meanwhile have their turn too: the list only grows at its end.
    const { ready } = core;
    for (let index = 0; index < ready.length; index++) {
      work += (ready[index] as Connection).service();
    }
    // Popping is cheap; assigning an array's length goes through the runtime.
    while (ready.length > 0) ready.pop();
    if (core.polled.length > 0) {
      const drive = this.#idleTurns > 0;
      work += this.#turnPolled(drive);
      // Now, and not in the next turn: a loop may go to sleep after one in which nothing has moved.
      if (work === 0 && !drive) work += this.#turnPolled(true);
    }
    if (core.tcpBusy.length > 0) work += this.#turnTcp();
    if (this.#providers.hasRetired) work += this.#providers.endRetired();
    this.#idleTurns = work === 0 ? this.#idleTurns + 1 : 0;
    return work;
  }

  deadline(): Nanos {
    let earliest = Infinity;
    for (const { deadline } of this.core.polled) if (deadline < earliest) earliest = deadline;
    for (const { at } of this.core.promiseDeadlines) if (at < earliest) earliest = at;
    return earliest;
  }

  readonly #quiet = (): boolean => this.isQuiet;

  /** Quiet, or nothing is on its way any more: every peer has all that was sent, and its end. */
  readonly #delivered = (): boolean => {
    if (this.core.tcpBusy.length > 0 || this.core.shares.count > 0) return false;
    for (const { session } of this.core.connections) {
      if (!session.isOver && !session.sendFinished) return false;
    }
    return true;
  };

  /** GOR-05: a provider that moves only when asked is asked (`drive`) once nothing moves by itself. */
  #turnPolled(drive: boolean): number {
    const { polled } = this.core;
    let work = 0;
    let kept = 0;
    for (let index = 0; index < polled.length; index++) {
      const connection = polled[index] as Connection;
      work += connection.turn(drive);
      if (connection.needsTurns) polled[kept++] = connection;
      else connection.isPolled = false;
    }
    while (polled.length > kept) polled.pop();
    return work;
  }

  #turnTcp(): number {
    const { tcpBusy } = this.core;
    let work = 0;
    for (let index = 0; index < tcpBusy.length; ) {
      const socket = tcpBusy[index];
      if (socket === undefined) break;
      work += this.procedures.transfers.tcp.poll(socket);
      if (socket.tcpPending.length > 0) index++;
      else tcpBusy.splice(index, 1);
    }
    return work;
  }
}
