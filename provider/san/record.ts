// What the provider knows of a socket and of each operation on it, and the table from descriptors to
// sockets. Plain records: the files beside this one act on them.
// Sources: COMP-06, COMP-07, DUP-17, CLOSE-02 to CLOSE-04, EVT-03.

import type { QueuePair } from '../nic/device.js';
import type { Profile } from '../spi/profile.js';
import type { RandomSource } from '../spi/provider.js';
import type { WSAOVERLAPPED } from '../spi/winsock2.js';
import { createNetworkEvents } from '../spi/winsock2.js';
import { MAX_SGE } from '../nic/verbs.js';
import { SocketExposures } from './exposures.js';
import type { Registration } from './registration.js';
import { SocketRegistrations } from './registrations.js';

export type SocketState =
  | 'created'
  | 'bound'
  | 'listening'
  | 'connecting'
  | 'connected'
  /** The attempt failed; only WSPCloseSocket is left. */
  | 'failed'
  /** The connection is over; every transfer fails with connectionError. [CLOSE-07] */
  | 'disconnected'
  /** WSPCloseSocket was called; the record waits for its operations and its queue pair. */
  | 'closed';

/** A connection request that waits for WSPAccept. */
export interface PendingRequest {
  readonly requestId: number;
  readonly remoteAddress: number;
  readonly remotePort: number;
  /** The requester gave up while the condition function was deciding. */
  withdrawn: boolean;
}

/** An overlapped operation between its start and its notification. Reused. */
export class Operation {
  overlapped: WSAOVERLAPPED | null = null;
  isReceive = false;
  isRead = false;
  /** Result flags: WSAOVERLAPPED.Offset. */
  flags = 0;
  bytes = 0;
  error = 0;
  /** The registrations that it keeps busy, one for each element of its scatter/gather list. */
  readonly registrations = new Array<Registration | null>(MAX_SGE).fill(null);
  registrationCount = 0;
  next: Operation | null = null;

  constructor(
    readonly socket: SanSocket,
    /** Its place in the socket's operations, and the id of its work request. */
    readonly index: number,
  ) {}
}

export class SanSocket {
  state: SocketState = 'created';
  /** Host order; 0 is every NIC. Meaningful once bound. */
  localAddress = 0;
  localPort = 0;
  remoteAddress = 0;
  remotePort = 0;
  queuePair: QueuePair | null = null;
  /** What ended the connection; 0 while nothing did. */
  connectionError = 0;
  debug = false;

  // Events [EVT-03]
  hEvent = 0;
  eventMask = 0;
  readonly networkEvents = createNetworkEvents();
  /** The outcome of the connect until WSPEnumNetworkEvents has told it; null otherwise. */
  connectOutcome: number | null = null;

  // Listener
  backlog = 0;
  requests: PendingRequest[] = [];

  // Memory
  readonly registrations: SocketRegistrations;
  /** What the peer may reach. */
  readonly exposures = new SocketExposures();

  // Operations
  readonly operations: Operation[] = [];
  /** Records without an operation, linked by `next`: an array would shrink and grow again. */
  freeOperations: Operation | null = null;
  sendsPosted = 0;
  receivesPosted = 0;
  readsPosted = 0;
  /** Operations started whose notification has not returned yet. */
  unfinished = 0;
  /** Operations flushed before the NIC said why: they wait for the reason, in order. */
  heldFlushes: Operation[] = [];
  /** No queue pair needs the record: there is none, or the NIC has let go of it. */
  isQueuePairGone = true;

  constructor(
    /** Ours: what downcalls carry. [COMP-07] */
    readonly descriptor: number,
    /** The switch's: what upcalls carry. [COMP-07] */
    readonly handle: number,
    random: RandomSource,
    profile: Profile,
  ) {
    this.registrations = new SocketRegistrations(random, profile);
  }

  /** A record for a new operation. There are as many as were ever in progress together. */
  takeOperation(): Operation {
    const free = this.freeOperations;
    if (free !== null) {
      this.freeOperations = free.next;
      free.next = null;
      return free;
    }
    const operation = new Operation(this, this.operations.length);
    this.operations.push(operation);
    return operation;
  }
}

/** Names a connection among those of this NIC. */
export function connectionKey(
  localPort: number,
  remoteAddress: number,
  remotePort: number,
): string {
  return `${localPort} ${remoteAddress} ${remotePort}`;
}

/** Where descriptors begin, away from the small numbers that a switch hands out. [COMP-07] */
const FIRST_DESCRIPTOR = 0x00100001;
/** Below INVALID_SOCKET, whatever the step. */
const DESCRIPTOR_LIMIT = 0xfffffff0;

export class SocketTable {
  readonly #sockets = new Map<number, SanSocket>();
  /** The socket of the latest call: calls come in runs. */
  #latest: SanSocket | null = null;
  #next = FIRST_DESCRIPTOR;

  get size(): number {
    return this.#sockets.size;
  }

  /** The open socket with this descriptor, or null. */
  find(descriptor: number): SanSocket | null {
    const latest = this.#latest;
    if (latest !== null && latest.descriptor === descriptor) return latest;
    const socket = this.#sockets.get(descriptor);
    if (socket === undefined) return null;
    this.#latest = socket;
    return socket;
  }

  add(socket: SanSocket): void {
    this.#sockets.set(socket.descriptor, socket);
  }

  /** The descriptor means nothing from now on. */
  remove(socket: SanSocket): void {
    this.#sockets.delete(socket.descriptor);
    if (this.#latest === socket) this.#latest = null;
  }

  /** The open sockets, as they are now. */
  all(): SanSocket[] {
    return [...this.#sockets.values()];
  }

  /**
   * A descriptor that has not been used for as long as there are others. [DUP-17] `oddAndSparse`
   * is the random source to skip with, or null for dense ones.
   */
  newDescriptor(oddAndSparse: RandomSource | null): number {
    do {
      const step = oddAndSparse === null ? 1 : 2 + 2 * (oddAndSparse.uint32() % 0xfff);
      this.#next = this.#next + step < DESCRIPTOR_LIMIT ? this.#next + step : FIRST_DESCRIPTOR;
    } while (this.#sockets.has(this.#next));
    return this.#next;
  }
}
