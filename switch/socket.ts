// What the switch keeps for one socket of the application: the TCP/IP descriptor it is known by, what
// was asked of it before a provider was chosen, cached names, and the connection that carries it.
// State only; the rules are in the files of the calls. Sources: COMP-01, COMP-10, SPI-04.

import type { DWORD_PTR, WSANETWORKEVENTS } from '../provider/spi/winsock2.js';
import { createNetworkEvents, SOCK_STREAM } from '../provider/spi/winsock2.js';
import type { Nanos } from '../runtime/clock.js';
import type { RoutineOwner } from './apc-queue.js';
import type { AppRequest } from './app-request.js';
import type { CompletionPort } from './completion-port.js';
import type { ConnectAttempt } from './connect.js';
import type { Connection } from './connection.js';
import type { Listener } from './listen.js';
import type { Share } from './sharing/share.js';

export const SocketState = {
  open: 0,
  connecting: 1,
  connected: 2,
  listening: 3,
  closed: 4,
  /** DisconnectEx ended the connection and only closesocket is left. */
  disconnected: 5,
} as const;
export type SocketState = (typeof SocketState)[keyof typeof SocketState];

/** A call under way that the end of its socket ends. */
export interface Cancellable {
  /** Ends it with `error`, unless it has ended. */
  cancel(error: number): void;
}

export interface StoredOption {
  readonly level: number;
  readonly name: number;
  readonly value: Uint8Array;
}

export class SwitchSocket implements RoutineOwner {
  /** What the application knows it by, for life: the descriptor TCP/IP made it with. [COMP-01] */
  readonly handle: number;
  /**
   * What TCP/IP's functions are called with: the same number, until AcceptEx or DisconnectEx gives
   * the socket another of TCP/IP's connections. [docs/decisions/0030-one-descriptor-for-life.md]
   */
  descriptor: number;
  /** Open handles besides `handle`, and how many are open in all: `handle` need not be. [W3.7] */
  readonly moreHandles: number[] = [];
  openHandles = 1;
  readonly family: number;
  readonly type: number;
  readonly protocol: number;
  /** WSA_FLAG_OVERLAPPED was given. [W3.1] */
  readonly overlappedCapable: boolean;
  state: SocketState = SocketState.open;
  nonBlocking = false;
  isBound = false;
  /** DisconnectEx made it as good as new: AcceptEx and ConnectEx take it as it is. */
  isReused = false;
  /** AcceptEx or ConnectEx connected it, and nobody has set SO_UPDATE_*_CONTEXT yet. */
  needsContext = false;
  /** When it was connected, for SO_CONNECT_TIME; -1 when it is not. */
  connectedAt: Nanos = -1;
  /** AcceptEx, ConnectEx, DisconnectEx and TransmitFile under way: closesocket cancels them. */
  readonly extended: Cancellable[] = [];
  /** The application's data goes through a SAN provider; null: through TCP/IP. */
  connection: Connection | null = null;
  /** Other processes have the socket too; without `connection` one of them controls it. [DUP-01] */
  share: Share | null = null;
  /** Whose connection it is that is shared: the same provider in every process. [DUP-06] */
  sanProviderId = '';
  attempt: ConnectAttempt | null = null;
  listener: Listener | null = null;
  /** Cached sockaddrs; null where TCP/IP is asked. [SPI-04] */
  localName: Uint8Array | null = null;
  peerName: Uint8Array | null = null;
  readonly options: StoredOption[] = [];
  /** SO_ERROR. */
  pendingError = 0;
  sendShut = false;
  receiveShut = false;
  sendTimeoutMs = 0;
  receiveTimeoutMs = 0;
  lingerOn = false;
  lingerSeconds = 0;
  oobInline = false;
  conditionalAccept = false;
  routineRunning = false;
  /** The completion port it is associated with, for life. */
  port: CompletionPort | null = null;
  portKey: DWORD_PTR = 0;
  /** SetFileCompletionNotificationModes: FILE_SKIP_* bits. [W2.11] */
  notificationModes = 0;
  /** The handle as an object to wait for: an operation without an event has ended. [W9.1] */
  isSignalled = false;
  /** Overlapped operations under way, newest first, and how many. */
  newestRequest: AppRequest | null = null;
  requestCount = 0;
  /** Overlapped receives under way: they outlive shutdown(SD_RECEIVE). [W9.10.4] */
  receivesPending = 0;

  /** The application's WSAEventSelect. */
  selectedEvent = 0;
  selectedMask = 0;
  /** Occurrences not yet enumerated; `reported` ones wait for their re-enabling call. */
  readonly record: WSANETWORKEVENTS = createNetworkEvents();
  reportedEvents = 0;
  /** Bytes readable when that was last looked at: more are news. [W10.4] */
  readableSeen = 0;

  /** TCP/IP signals this event of the switch's own; 0 until it is needed. */
  tcpEvent = 0;
  /** FD_ bits TCP/IP has reported since a waiter last looked. */
  tcpReady = 0;
  /** Overlapped operations that TCP/IP has not finished. */
  readonly tcpPending: AppRequest[] = [];

  constructor(
    descriptor: number,
    kind: { family: number; type: number; protocol: number; overlappedCapable: boolean },
  ) {
    this.handle = descriptor;
    this.descriptor = descriptor;
    this.family = kind.family;
    this.type = kind.type;
    this.protocol = kind.protocol;
    this.overlappedCapable = kind.overlappedCapable;
  }

  get isStream(): boolean {
    return this.type === SOCK_STREAM;
  }
}
