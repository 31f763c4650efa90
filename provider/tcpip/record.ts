// What the provider knows about a socket, the table of sockets, and what every file of the provider
// shares. Data and lookups only: rules are with the functions. Sources: W2.1, W3, COMP-01.

import type { Reactor, WatchToken } from '../../native/reactor.js';
import type { Clock, Nanos } from '../../runtime/clock.js';
import { WSAENOTSOCK, WSANOTINITIALISED } from '../spi/errors.js';
import type { Profile } from '../spi/profile.js';
import type { WSPUpcallTable } from '../spi/ws2spi.js';
import { INVALID_SOCKET } from '../spi/winsock2.js';
import type { Ref } from '../spi/winsock2.js';
import type { Operation } from './operation.js';

/** Blocks the calling thread and drives its progress meanwhile; a ProgressLoop is one. */
export interface BlockingWait {
  /** Returns what `done()` said last. `deadline` is on the environment's clock. */
  waitUntil(done: () => boolean, deadline?: Nanos): boolean;
}

/** What the host hands the provider as `environment.sockets`. */
export interface KernelSockets {
  /** Polled by whoever runs the thread's progress loop; completions are delivered from there. */
  readonly reactor: Reactor;
  /** The host's IPv4 address in host byte order; null: the host uses every address of the machine. */
  readonly hostAddress: number | null;
  readonly blocking: BlockingWait;
}

export type SocketState = 'open' | 'connecting' | 'connected' | 'listening' | 'draining' | 'closed';

/** A connection that the kernel accepted and the application has not taken yet. [W10.3 CF_DEFER] */
export interface AcceptedConnection {
  readonly fd: number;
  readonly peerName: Uint8Array;
  readonly localName: Uint8Array;
}

/** The network events of one socket (events.ts has the rules). [W10] */
export class EventSelection {
  event = 0;
  mask = 0;
  /** Whether WSPEventSelect selected something that still holds: FIONBIO 0 is refused then. */
  isActive = false;
  /** Occurrences that WSPEnumNetworkEvents has not reported yet, and their errors by bit number. */
  record = 0;
  readonly errors: number[] = new Array<number>(10).fill(0);
  /** Occurrences that were recorded and not re-enabled since: they do not fire again. */
  fired = 0;
}

/** Options that the kernel does not keep, or keeps with another meaning. */
export class StoredOptions {
  reuseAddress = false;
  exclusiveAddressUse = false;
  isDebugging = false;
  conditionalAccept = false;
  groupPriority = 0;
  lingerOn = false;
  lingerSeconds = 0;
  /** Milliseconds; 0 waits for ever. */
  sendTimeoutMs = 0;
  receiveTimeoutMs = 0;
  /** As the application set them; null: the kernel's. */
  sendBufferBytes: number | null = null;
  receiveBufferBytes: number | null = null;
  outOfBandInline = false;
}

export class TcpSocket {
  readonly handle: number;
  readonly fd: number;
  readonly family: number;
  /** Created with WSA_FLAG_OVERLAPPED. [W3.1] */
  readonly isOverlapped: boolean;
  state: SocketState = 'open';
  isNonblocking = false;

  /** As the application bound it, with the port the kernel gave; null while unbound. */
  localName: Uint8Array | null = null;
  peerName: Uint8Array | null = null;

  /** The outcome of the last WSPConnect: 0 or its error; null: none ended yet. */
  connectOutcome: number | null = null;
  /** What SO_ERROR has to tell, once. */
  pendingError = 0;
  connectedAt: Nanos = 0;

  readonly sends: Operation[] = [];
  readonly receives: Operation[] = [];
  /** MSG_OOB receives: they do not wait behind the stream. */
  readonly urgentReceives: Operation[] = [];
  /** Control operations that never end by themselves. */
  readonly controls: Operation[] = [];
  isSendShut = false;
  isReceiveShut = false;
  /** The kernel is told of SD_SEND when the queued sends are out. [W12.2] */
  isFinPending = false;
  /** The error that broke the connection; every later transfer reports it. */
  failure = 0;
  /** Nothing more can arrive: the stream ended or broke, and what came before was read. */
  isInboundEnded = false;
  /** The end of the stream waits behind unread data; the next receive looks again. [W10.8] */
  isCloseDeferred = false;
  /** A send found no room since the last readiness for writing. [W10.6] */
  isWriteBlocked = false;

  readonly deferred: AcceptedConnection[] = [];
  acceptWaiterCount = 0;
  isAcceptReady = false;

  selection = new EventSelection();
  options = new StoredOptions();

  watch: WatchToken | null = null;
  interest = 0;

  constructor(identity: { handle: number; fd: number; family: number; isOverlapped: boolean }) {
    this.handle = identity.handle;
    this.fd = identity.fd;
    this.family = identity.family;
    this.isOverlapped = identity.isOverlapped;
  }
}

/** Shared by the functions of one provider instance. */
export interface Context {
  readonly kernel: KernelSockets;
  readonly clock: Clock;
  readonly profile: Profile;
  readonly table: SocketTable;
  /** The table of the last WSPStartupEx. */
  upcalls: WSPUpcallTable;
  /** Readiness of a socket's descriptor; set by provider.ts, which knows all rules. */
  readonly onReady: (socket: TcpSocket, ready: number) => void;
  /** For the attempt inside a call; what stays pending is detached from it. */
  readonly scratch: Operation;
}

const FIRST_HANDLE = 0x100;
/** Handles are multiples of 4: the low bits are the application's to tag. [W9.13] */
const HANDLE_STEP = 4;
const LAST_HANDLE = 0x7ffffffc;

/** The sockets of a provider instance by handle. A handle is not soon used again. */
export class SocketTable {
  /** Balance of WSPStartupEx and WSPCleanup. */
  startupCount = 0;
  readonly #sockets = new Map<number, TcpSocket>();
  /** Closed by the application, alive until their data is out. [W12.4] */
  readonly draining = new Set<TcpSocket>();
  #next = FIRST_HANDLE;

  get count(): number {
    return this.#sockets.size;
  }

  all(): TcpSocket[] {
    return [...this.#sockets.values()];
  }

  newHandle(): number {
    do {
      this.#next = this.#next >= LAST_HANDLE ? FIRST_HANDLE : this.#next + HANDLE_STEP;
    } while (this.#sockets.has(this.#next));
    return this.#next;
  }

  add(socket: TcpSocket): void {
    this.#sockets.set(socket.handle, socket);
  }

  remove(socket: TcpSocket): void {
    this.#sockets.delete(socket.handle);
  }

  /** The socket, or null with WSANOTINITIALISED or WSAENOTSOCK in lpErrno. [W3.4, W3.6] */
  find(handle: number, lpErrno: Ref<number>): TcpSocket | null {
    const socket = this.#sockets.get(handle);
    if (socket !== undefined) return socket;
    lpErrno.value = this.startupCount === 0 ? WSANOTINITIALISED : WSAENOTSOCK;
    return null;
  }
}

/** Fails a function that returns a socket. */
export function failSocket(lpErrno: Ref<number>, code: number): typeof INVALID_SOCKET {
  lpErrno.value = code;
  return INVALID_SOCKET;
}
