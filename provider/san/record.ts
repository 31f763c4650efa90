// What the provider knows of a socket and of each operation on it, and the table from descriptors to
// sockets. Plain records: the files beside this one act on them.
// Sources: COMP-06, COMP-07, DUP-17, CLOSE-02 to CLOSE-04, EVT-03.

import type { Nanos } from '../../runtime/clock.js';
import type { QueuePair } from '../nic/device.js';
import type { WorkRequest } from '../nic/verbs.js';
import type { Profile } from '../spi/profile.js';
import type { RandomSource } from '../spi/provider.js';
import type { WSAOVERLAPPED } from '../spi/winsock2.js';
import { createNetworkEvents } from '../spi/winsock2.js';
import { SocketExposures } from './exposures.js';
import { RdmaPlaces } from './rdma-short-way.js';
import type { RegisteredBuffers } from './registered-buffers.js';
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
  /** Another process has the connection, or may take it; only WSPCloseSocket is left. [DUP-11] */
  | 'handed-over'
  /** WSPCloseSocket was called; the record waits for its operations and its queue pair. */
  | 'closed';

/** A connection request that waits for WSPAccept. */
export interface PendingRequest {
  readonly requestId: number;
  readonly remoteAddress: number;
  readonly remotePort: number;
  /** What the requester's provider calls the connection; null for one that does not hand over. */
  readonly identity: string | null;
  /** Where it waits. */
  of: RequestQueue;
  /** The requester gave up while the condition function was deciding. */
  withdrawn: boolean;
}

/** Where requests wait: a listener, or one that another process is about to take. */
export interface RequestQueue {
  backlog: number;
  requests: PendingRequest[];
}

/** A listener that another process may take, or has taken. */
export interface MovedListener extends RequestQueue {
  /** What it listens on: a port of a NIC's address, whether or not the socket was bound to that. */
  readonly address: number;
  readonly port: number;
  /** Until when requests wait for somebody to take it; null once somebody has, or nobody came. */
  waitsUntil: Nanos | null;
}

/** An overlapped operation between its start and its notification. Reused. */
export class Operation {
  // What the short way of a receive touches comes first.
  overlapped: WSAOVERLAPPED | null = null;
  next: Operation | null = null;
  /** Its place in the socket's operations, and the id of its work request. */
  readonly index: number = 0;
  /** The registrations that it keeps busy, one for each element of its scatter/gather list. */
  registrationCount = 0;
  // One element of the scatter/gather list lies in the record itself, because most operations have no
  // more: a socket has a record per message buffer, and with many sockets none is in a cache.
  private registration: Registration | null = null;
  private address = 0;
  private length = 0;
  isReceive = false;
  /** Result flags: WSAOVERLAPPED.Offset. */
  flags = 0;
  isRead = false;
  bytes = 0;
  error = 0;
  private further: Element[] = NO_ELEMENTS;
  readonly socket: SanSocket;

  constructor(socket: SanSocket, index: number) {
    this.socket = socket;
    this.index = index;
  }

  /** One more registration that it keeps busy. */
  hold(registration: Registration): void {
    const index = this.registrationCount++;
    if (index === 0) this.registration = registration;
    else this.element(index).registration = registration;
  }

  /** The registration of an element, which it refers to no more. */
  letGo(index: number): Registration | null {
    const registration = this.registrationAt(index);
    if (index === 0) this.registration = null;
    else this.element(index).registration = null;
    return registration;
  }

  /** Remembers a request for describeAgain(): what a receive is posted with, in case the peer moves. */
  keep(request: WorkRequest): void {
    this.address = request.addresses[0] as number;
    this.length = request.lengths[0] as number;
    for (let index = 1; index < request.sgeCount; index++) {
      const element = this.element(index);
      element.address = request.addresses[index] as number;
      element.length = request.lengths[index] as number;
    }
  }

  /** A receive into one place, which is posted already. */
  receiveInto(
    registration: Registration,
    address: number,
    length: number,
    overlapped: WSAOVERLAPPED,
  ): void {
    this.isReceive = true;
    this.flags = 0;
    this.address = address;
    this.length = length;
    this.registration = registration;
    this.registrationCount = 1;
    registration.busy++;
    this.overlapped = overlapped;
  }

  /** The request that was kept, with the keys that its registrations have now. */
  describeAgain(request: WorkRequest): void {
    request.id = this.index;
    request.sgeCount = this.registrationCount;
    for (let index = 0; index < this.registrationCount; index++) {
      const { address, length } =
        index === 0 ? { address: this.address, length: this.length } : this.element(index);
      request.setSge(index, address, length, this.registrationAt(index)?.region.localKey ?? 0);
    }
  }

  private registrationAt(index: number): Registration | null {
    return index === 0 ? this.registration : this.element(index).registration;
  }

  /** Of those behind the first. */
  private element(index: number): Element {
    if (this.further === NO_ELEMENTS) this.further = [];
    return (this.further[index - 1] ??= { registration: null, address: 0, length: 0 });
  }
}

interface Element {
  registration: Registration | null;
  address: number;
  length: number;
}

const NO_ELEMENTS: Element[] = [];

/** Somebody who knows the identity of a connection asks to go on with it. */
export interface ResumeRequest {
  readonly requestId: number;
  readonly address: number;
}

/** A question to another host's provider, put by connecting and answered by accepting. */
export interface Errand {
  readonly identity: string;
  /** null until there is an answer. */
  isGranted: boolean | null;
}

/**
 * What the short ways touch of a socket. It is a class of its own so that V8 lays these fields side by side:
 * of a thousand sockets used in turn none is in a near cache, and every line of it is waited for.
 */
class TransferRecord {
  /** The queue pair while the socket is connected, and null otherwise: what every transfer asks for. */
  connectedPair: QueuePair | null = null;
  sendsPosted = 0;
  receivesPosted = 0;
  /** Operations started whose notification has not returned yet. */
  unfinished = 0;
  /** Records without an operation, linked by `next`: an array would shrink and grow again. */
  freeOperations: Operation | null = null;
  readonly operations: Operation[] = [];
  /** Those of `registrations`: what may be sent from, and what may be received into. */
  readonly readable: RegisteredBuffers;
  readonly writable: RegisteredBuffers;

  constructor(
    /** Ours: what downcalls carry. [COMP-07] */
    readonly descriptor: number,
    readonly registrations: SocketRegistrations,
  ) {
    this.readable = registrations.readable;
    this.writable = registrations.writable;
  }
}

export class SanSocket extends TransferRecord {
  private currentState: SocketState = 'created';
  /** Host order; 0 is every NIC. Meaningful once bound. */
  localAddress = 0;
  localPort = 0;
  remoteAddress = 0;
  remotePort = 0;
  queuePair: QueuePair | null = null;
  /** What ended the connection; 0 while nothing did. */
  connectionError = 0;
  debug = false;

  // Duplication
  /**
   * What both providers call the connection; null when one of them cannot hand it over. Of a listener:
   * what its processes call it, once it was handed over.
   */
  identity: string | null = null;
  /** The NIC at the other end: remoteAddress until the peer moves. */
  peerAddress = 0;
  /** The peer is on its way to another host; until then the connection waits for it. [DUP-18] */
  parkedUntil: Nanos | null = null;
  /** Waits for the old connection to end. */
  resumeRequest: ResumeRequest | null = null;

  // Events [EVT-03]
  hEvent = 0;
  eventMask = 0;
  readonly networkEvents = createNetworkEvents();
  /** The outcome of the connect until WSPEnumNetworkEvents has told it; null otherwise. */
  connectOutcome: number | null = null;

  // Listener
  /** The NIC whose requests it takes: another host's when it was made there. [DUP-14] */
  serviceAddress = 0;
  backlog = 0;
  requests: PendingRequest[] = [];
  /** Condition functions that have not returned. */
  accepting = 0;

  // Memory
  /** What the peer may reach. */
  readonly exposures = new SocketExposures();
  /** What the last RDMA on the short way was from or into. */
  readonly rdmaPlaces = new RdmaPlaces();

  // Operations
  readsPosted = 0;
  /** Operations flushed before the NIC said why: they wait for the reason, in order. */
  heldFlushes: Operation[] = [];
  /** Queue pairs that need the record, because the NIC has not let go of them. */
  queuePairsHeld = 0;

  constructor(
    descriptor: number,
    /** The switch's: what upcalls carry. [COMP-07] */
    readonly handle: number,
    random: RandomSource,
    profile: Profile,
  ) {
    super(descriptor, new SocketRegistrations(random, profile));
  }

  /** A receive into one place has gone well: its memory and its record are free. [CLOSE-02] */
  endReceive(operation: Operation): void {
    const registration = operation.letGo(0);
    if (registration !== null) registration.busy--;
    operation.registrationCount = 0;
    operation.overlapped = null;
    operation.next = this.freeOperations;
    this.freeOperations = operation;
    this.receivesPosted--;
    this.unfinished--;
  }

  get state(): SocketState {
    return this.currentState;
  }

  set state(state: SocketState) {
    this.currentState = state;
    this.connectedPair = state === 'connected' ? this.queuePair : null;
  }

  /** The connection is, from now on, that of this queue pair. */
  attach(queuePair: QueuePair): void {
    this.queuePair = queuePair;
    this.queuePairsHeld++;
    this.connectedPair = this.currentState === 'connected' ? queuePair : null;
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
/** A power of two: sockets that are found without asking the map. */
const RECENT_SOCKETS = 1024;

export class SocketTable {
  private readonly sockets = new Map<number, SanSocket>();
  /** Those that another process has: their descriptors are taken, and good for closing only. */
  private readonly handedOver = new Map<number, SanSocket>();
  /** Sockets that were used lately, by the low bits of their descriptors. */
  private readonly recent: (SanSocket | null)[] = new Array<SanSocket | null>(RECENT_SOCKETS).fill(
    null,
  );
  private next = FIRST_DESCRIPTOR;

  get size(): number {
    return this.sockets.size;
  }

  /** The open socket with this descriptor, or null. */
  find(descriptor: number): SanSocket | null {
    const recent = this.recent[descriptor & (RECENT_SOCKETS - 1)];
    return recent?.descriptor === descriptor ? recent : this.search(descriptor);
  }

  private search(descriptor: number): SanSocket | null {
    const socket = this.sockets.get(descriptor);
    if (socket === undefined) return null;
    this.recent[descriptor & (RECENT_SOCKETS - 1)] = socket;
    return socket;
  }

  add(socket: SanSocket): void {
    this.sockets.set(socket.descriptor, socket);
  }

  /** The same, or one that was handed over: what may still be closed. [DUP-11, DUP-17] */
  findToClose(descriptor: number): SanSocket | null {
    return this.find(descriptor) ?? this.handedOver.get(descriptor) ?? null;
  }

  /** The descriptor is good for findToClose() only, from now on. [DUP-11] */
  handOver(socket: SanSocket): void {
    this.remove(socket);
    this.handedOver.set(socket.descriptor, socket);
  }

  /** The descriptor means nothing from now on. */
  remove(socket: SanSocket): void {
    this.sockets.delete(socket.descriptor);
    this.handedOver.delete(socket.descriptor);
    const place = socket.descriptor & (RECENT_SOCKETS - 1);
    if (this.recent[place] === socket) this.recent[place] = null;
  }

  /** The open sockets, as they are now, those handed over included. */
  all(): SanSocket[] {
    return [...this.sockets.values(), ...this.handedOver.values()];
  }

  /**
   * A descriptor that has not been used for as long as there are others. [DUP-17] `oddAndSparse`
   * is the random source to skip with, or null for dense ones.
   */
  newDescriptor(oddAndSparse: RandomSource | null): number {
    do {
      const step = oddAndSparse === null ? 1 : 2 + 2 * (oddAndSparse.uint32() % 0xfff);
      this.next = this.next + step < DESCRIPTOR_LIMIT ? this.next + step : FIRST_DESCRIPTOR;
    } while (this.sockets.has(this.next) || this.handedOver.has(this.next));
    return this.next;
  }
}
