// What the provider knows about a socket, the table of sockets, and what every file of the provider
// shares. Data and lookups only: rules are with the functions. Sources: W2.1, W3, COMP-01.

import type { DescriptorOffer } from '../../native/descriptor-offer.js';
import type { Reactor, WatchToken } from '../../native/reactor.js';
import type { Clock, Nanos } from '../../runtime/clock.js';
import { WSAENOTSOCK, WSANOTINITIALISED } from '../spi/errors.js';
import type { Profile } from '../spi/profile.js';
import type { HandoverStore } from '../spi/provider.js';
import type { WSPUpcallTable } from '../spi/ws2spi.js';
import { AF_INET6, INVALID_SOCKET } from '../spi/winsock2.js';
import type { Ref } from '../spi/winsock2.js';
import type { BlockingCalls } from './blocking.js';
import type { Operation } from './operation.js';

/** Blocks the calling thread and drives its progress meanwhile; a ProgressLoop is one. */
export interface BlockingWait {
  /**
   * Returns what `done()` said last. `deadline` is on the environment's clock; `spinNanos`, if given, is
   * how long to look before the thread sleeps.
   */
  waitUntil(done: () => boolean, deadline?: Nanos, spinNanos?: Nanos): boolean;
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
  /** IPV6_V6ONLY: off is a dual-stack socket. */
  isIpv6Only = true;
}

/** What an option or a control code of a message socket left behind, and what the network said. */
export class MessageState {
  /** Bytes of the longest message. [W4.9] */
  readonly bytesMax: number;
  /** What the network answered to an earlier message; 0: nothing, or it was told. [W5.7, W6.7] */
  networkError = 0;
  /** SIO_UDP_CONNRESET. */
  tellsUnreachable = true;
  /** The default peer is a broadcast address: the kernel looks at that when connecting only. */
  isPeerBroadcast = false;
  isBroadcastAllowed = false;
  /** The names before there was a default peer, the kernel's and the application's. */
  unconnectedNames: { readonly kernel: Uint8Array; readonly local: Uint8Array } | null = null;
  /** Whether the application wants control messages that tell the destination. [W8.3.5] */
  wantsPacketInfo = false;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }
}

export interface SocketIdentity {
  readonly handle: number;
  readonly fd: number;
  readonly family: number;
  /** SOCK_*. */
  readonly type: number;
  /** IPPROTO_*. */
  readonly protocol: number;
  readonly isOverlapped: boolean;
}

export class KernelSocket implements SocketIdentity {
  readonly handle: number;
  readonly fd: number;
  readonly family: number;
  readonly type: number;
  readonly protocol: number;
  /** null: a stream. */
  readonly message: MessageState | null;
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

  /** Another process has, or may have, the kernel's socket as well. [W3.7] */
  isShared = false;

  watch: WatchToken | null = null;
  /** What the reactor reports; it may be more than anybody waits for (interest.ts). */
  interest = 0;
  /** What the last attempt or report has shown of unread data, for the rules that follow at once. */
  inbound: 'unknown' | 'drained' | 'ready' = 'unknown';

  constructor(identity: SocketIdentity, message: MessageState | null) {
    this.handle = identity.handle;
    this.fd = identity.fd;
    this.family = identity.family;
    this.type = identity.type;
    this.protocol = identity.protocol;
    this.isOverlapped = identity.isOverlapped;
    this.message = message;
  }

  /** Whether data may come and go: a stream is connected, a message socket has an address. */
  get isOpenForData(): boolean {
    if (this.state === 'connected') return true;
    return this.message !== null && this.localName !== null && this.state === 'open';
  }

  /** IPv6 and, in mapped addresses, IPv4. */
  get isDualStack(): boolean {
    return this.family === AF_INET6 && !this.options.isIpv6Only;
  }

  /** Overlapped operations that have not ended. */
  get outstandingCount(): number {
    const { sends, receives, urgentReceives, controls } = this;
    return sends.length + receives.length + urgentReceives.length + controls.length;
  }
}

/** Shared by the functions of one provider instance. */
export interface Context {
  readonly kernel: KernelSockets;
  readonly blocking: BlockingCalls;
  readonly clock: Clock;
  readonly profile: Profile;
  readonly table: SocketTable;
  /** The table of the last WSPStartupEx. */
  upcalls: WSPUpcallTable;
  /** Where sockets are left for other processes; null where they cannot be. */
  readonly handover: HandoverStore | null;
  /** Sockets that were left and not taken yet. */
  readonly offers: Set<DescriptorOffer>;
  /** Readiness of a socket's descriptor; set by provider.ts, which knows all rules. */
  readonly onReady: (socket: KernelSocket, ready: number) => void;
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
  readonly #sockets = new Map<number, KernelSocket>();
  /** Closed by the application, alive until their data is out. [W12.4] */
  readonly draining = new Set<KernelSocket>();
  #next = FIRST_HANDLE;

  get count(): number {
    return this.#sockets.size;
  }

  all(): KernelSocket[] {
    return [...this.#sockets.values()];
  }

  newHandle(): number {
    do {
      this.#next = this.#next >= LAST_HANDLE ? FIRST_HANDLE : this.#next + HANDLE_STEP;
    } while (this.#sockets.has(this.#next));
    return this.#next;
  }

  add(socket: KernelSocket): void {
    this.#sockets.set(socket.handle, socket);
  }

  remove(socket: KernelSocket): void {
    this.#sockets.delete(socket.handle);
  }

  /** The socket, or null with WSANOTINITIALISED or WSAENOTSOCK in lpErrno. [W3.4, W3.6] */
  find(handle: number, lpErrno: Ref<number>): KernelSocket | null {
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
