// What the parts of one switch share: the environment, the tables, TCP/IP, and what is due for
// attention. Made once by Switch; decides nothing by itself. Sources: ARCH-05, ARCH-06, INIT-01.

import type { SwitchEnvironment } from './environment.js';
import type { Profile } from '../provider/spi/profile.js';
import type { WSAPROTOCOL_INFO } from '../provider/spi/winsock2.js';
import type { FullProcTable } from '../provider/spi/base-provider.js';
import { failingProcTable } from '../provider/spi/base-provider.js';
import { WSAENETDOWN } from '../provider/spi/error-codes.js';
import { tcpProtocolInfo } from '../provider/spi/protocol-info.js';
import type { WSPProcTable } from '../provider/spi/ws2spi.js';
import { ApcQueue } from './apc-queue.js';
import { RequestPool } from './app-request.js';
import { BlockingCalls } from './blocking.js';
import { PortTable } from './completion-port.js';
import type { Connection } from './connection.js';
import { EventTable } from './event-table.js';
import type { EventObserver } from './event-table.js';
import { ExtensionTable } from './extensions.js';
import { HandleTable } from './handle-table.js';
import type { LoadedProvider } from './loaded-provider.js';
import type { MemoryPool } from './connection-memory.js';
import { REGISTRATION_BOUNDS } from './limits.js';
import { RegistrationCache } from './registration-cache.js';
import { RoutingTable } from './routing.js';
import { Shares } from './sharing/shares.js';
import type { SwitchSocket } from './socket.js';
import { SocketTable } from './socket-table.js';
import type { TcpExtensions } from './tcp-extensions.js';
import { fetchTcpExtensions } from './tcp-extensions.js';
import { StatisticsLedger } from './statistics.js';

/** Something of the switch's that has been signalled and wants a turn of its agent. */
export interface Attendant {
  attend(): void;
}

export class SwitchCore {
  readonly environment: SwitchEnvironment;
  readonly profile: Profile;
  readonly events = new EventTable();
  readonly handles = new HandleTable();
  readonly apcs = new ApcQueue();
  readonly blocking = new BlockingCalls();
  readonly ports = new PortTable();
  /** What SIO_GET_EXTENSION_FUNCTION_POINTER gives out. */
  readonly extensions = new ExtensionTable();
  readonly requests: RequestPool;
  readonly sockets = new SocketTable();
  readonly routing: RoutingTable;
  readonly memory: MemoryPool;
  /** Memory that connections keep registered for their next large transfer. */
  readonly registrations = new RegistrationCache(REGISTRATION_BOUNDS);
  readonly statistics = new StatisticsLedger();
  /** Sockets that other processes have too. */
  readonly shares: Shares;
  providers: readonly LoadedProvider[] = [];
  /** TCP/IP's functions; each fails with WSAENETDOWN until the switch has started. */
  tcp: FullProcTable;
  tcpExtensions: TcpExtensions;
  tcpInfo: WSAPROTOCOL_INFO = tcpProtocolInfo();
  /** Every live connection, closing ones too. */
  readonly connections = new Set<Connection>();
  /** Connections that have something to do in this turn, each once. */
  readonly ready: Connection[] = [];
  /** Connections with calls to poll or a deadline. */
  readonly polled: Connection[] = [];
  /** Sockets with operations at TCP/IP, each once. */
  readonly tcpBusy: SwitchSocket[] = [];
  /** Deadlines of those who wait for a promise. */
  readonly promiseDeadlines = new Set<{ readonly at: number }>();
  /** Told of a provider that says that its NIC is gone: its addresses are to be asked for anew. */
  providerFailed: (provider: LoadedProvider) => void = () => undefined;
  readonly #attention: Attendant[] = [];

  constructor(environment: SwitchEnvironment, memory: MemoryPool) {
    this.environment = environment;
    this.profile = environment.profile;
    this.requests = new RequestPool(this.events, this.apcs);
    this.routing = new RoutingTable(environment.hostAddress);
    this.memory = memory;
    this.shares = new Shares(environment.progress);
    this.tcp = failingProcTable(WSAENETDOWN);
    this.tcpExtensions = fetchTcpExtensions(this.tcp);
  }

  /** TCP/IP's table, with the gaps answering WSAEOPNOTSUPP. */
  adoptTcp(table: WSPProcTable): void {
    const full = failingProcTable();
    for (const [slot, procedure] of Object.entries(table)) {
      if (procedure !== null) (full as unknown as Record<string, unknown>)[slot] = procedure;
    }
    this.tcp = full;
    this.tcpExtensions = fetchTcpExtensions(full);
  }

  /** An event of the switch's own, which brings `attendant` a turn when a provider signals it. */
  createOwnEvent(attendant: Attendant): number {
    return this.events.create(new OwnEvent(this.#attention, attendant));
  }

  /** Somebody was signalled and has not had a turn. */
  get hasSignals(): boolean {
    return this.#attention.length > 0;
  }

  /** Gives everybody who was signalled a turn; how many there were. */
  attend(): number {
    if (this.#attention.length === 0) return 0;
    const waiting = this.#attention.splice(0);
    for (const attendant of waiting) attendant.attend();
    return waiting.length;
  }
}

/** Brings its attendant one turn, however often it is signalled before. */
class OwnEvent implements EventObserver, Attendant {
  readonly #attention: Attendant[];
  readonly #attendant: Attendant;
  #isQueued = false;

  constructor(attention: Attendant[], attendant: Attendant) {
    this.#attention = attention;
    this.#attendant = attendant;
  }

  eventSignalled(): void {
    if (this.#isQueued) return;
    this.#isQueued = true;
    this.#attention.push(this);
  }

  attend(): void {
    this.#isQueued = false;
    this.#attendant.attend();
  }
}
