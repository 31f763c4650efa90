// What the switch keeps for one socket of the application: the TCP/IP descriptor it is known by, what
// was asked of it before a provider was chosen, cached names, and the connection that carries it.
// State only; the rules are in the files of the calls. Sources: COMP-01, COMP-10, SPI-04.

import type { WSANETWORKEVENTS } from '../provider/spi/winsock2.js';
import { createNetworkEvents, SOCK_STREAM } from '../provider/spi/winsock2.js';
import type { RoutineOwner } from './apc-queue.js';
import type { AppRequest } from './app-request.js';
import type { ConnectAttempt } from './connect.js';
import type { Connection } from './connection.js';
import type { Listener } from './listen.js';

export const SocketState = {
  open: 0,
  connecting: 1,
  connected: 2,
  listening: 3,
  closed: 4,
} as const;
export type SocketState = (typeof SocketState)[keyof typeof SocketState];

export interface StoredOption {
  readonly level: number;
  readonly name: number;
  readonly value: Uint8Array;
}

export class SwitchSocket implements RoutineOwner {
  /** TCP/IP's, and the application's, for life. [COMP-01] */
  readonly descriptor: number;
  readonly family: number;
  readonly type: number;
  readonly protocol: number;
  /** WSA_FLAG_OVERLAPPED was given. [W3.1] */
  readonly overlappedCapable: boolean;
  state: SocketState = SocketState.open;
  nonBlocking = false;
  isBound = false;
  /** The application's data goes through a SAN provider; null: through TCP/IP. */
  connection: Connection | null = null;
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
  /** Overlapped receives under way: they outlive shutdown(SD_RECEIVE). [W9.10.4] */
  /** Calls of WSPGetOverlappedResult that found the operation in progress. */
  polls = 0;
  receivesPending = 0;

  /** The application's WSAEventSelect. */
  selectedEvent = 0;
  selectedMask = 0;
  /** Occurrences not yet enumerated; `reported` ones wait for their re-enabling call. */
  readonly record: WSANETWORKEVENTS = createNetworkEvents();
  reportedEvents = 0;

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
