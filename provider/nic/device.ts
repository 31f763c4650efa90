// What a provider sees of a NIC. It promises no more than a message endpoint over libfabric could
// keep: private data of 48 bytes, no half close, fencing stated per request, a late end of the
// connection after a bad key, progress only when someone asks for it.
//
// A device and everything made from it belong to the thread that opened the host. Nothing here
// blocks, except registerMemory and deregisterMemory, which wait for the engine when that lives in a
// worker thread. Addresses and ports are numbers in host byte order.

import type {
  Arrival,
  ConnectFailure,
  DisconnectReason,
  PostResult,
  WorkCompletion,
  WorkRequest,
} from './verbs.js';

export interface NicAttributes {
  /** The IPv4 address of the NIC. */
  readonly address: number;
  readonly maxSge: number;
  /** The longest message of one SEND, READ or WRITE, in bytes. */
  readonly maxMessageBytes: number;
  /** Messages up to this length travel in one piece with their request: the cheapest ones. */
  readonly inlineBytes: number;
  /** RDMA up to this length is tried with injectWrite and injectRead; absent where that is useless. */
  readonly directBytes?: number;
  readonly rdmaRead: boolean;
  readonly maxPrivateDataBytes: number;
  readonly maxQueuePairs: number;
}

/** Registered memory. Valid for its queue pair only, until deregistered or the queue pair is gone. */
export interface MemoryRegion {
  /** As NicDevice.addressOf gives it: what work requests and remote requests use. */
  readonly address: number;
  readonly length: number;
  readonly access: number;
  /** Opens the memory to this host's own work requests. */
  readonly localKey: number;
  /** Opens it to the peer's RDMA, as far as `access` allows. Random, and not the local key. 0: concealed. */
  readonly remoteKey: number;
}

export type RegistrationFailure =
  /** The buffer is detached, empty, resizable, or shorter than the length. */
  | 'invalid-buffer'
  /** The memlock limit, with pin: 'require'; or the NIC has no region left. */
  | 'no-resources'
  /** The queue pair is gone. */
  | 'invalid-queue-pair';

/** Completion events of one queue, in the manner of ibv_req_notify_cq. Free for queues never armed. */
export interface CompletionNotification {
  /** The queue's number: NicEvent 'completion-event'. */
  readonly index: number;
  /**
   * Asks for one 'completion-event': for the next completion, or for the next that is a failure or
   * answers a request with SendFlag.SOLICITED. The last call counts. Poll afterwards: completions
   * that were there before raise no event.
   */
  arm(kind: 'next' | 'solicited'): void;
  /**
   * Raises the event only after `countMin` completions, or `periodMax` nanoseconds after the first of
   * them, whichever is earlier.
   */
  moderate(limits: { readonly countMin: number; readonly periodMax: number }): void;
}

export interface CompletionQueue {
  /** Absent where a device has no completion events. */
  readonly notification?: CompletionNotification;
  /**
   * Fills `completion` with the next completion and returns true, or returns false when there is
   * none. Completions of one queue appear in the order in which their requests were posted, sends
   * and receives apart. Does not drive the NIC: see NicDevice.progress. A full queue loses nothing:
   * the NIC takes no more work until there is room.
   */
  poll(completion: WorkCompletion): boolean;
}

export interface QueuePairOptions {
  readonly completionQueue: CompletionQueue;
  /** Requests that may be outstanding; powers of two. */
  readonly sendDepth?: number;
  readonly receiveDepth?: number;
  /**
   * How often a request of the peer that finds no receive is tried again, 0 to 7; 7, the default, is
   * for ever. After that the connection ends and the peer's request fails with RNR_RETRY_EXC_ERR.
   */
  readonly rnrRetry?: number;
  /**
   * The pause before each such try, in nanoseconds. By default that of the cost model, or 0 (a message
   * is taken as soon as there is a receive), or 640 µs when rnrRetry is limited.
   */
  readonly minRnrTimer?: number;
  /**
   * How long the peer may take to acknowledge a request, in nanoseconds; by default for ever. A peer
   * without a receive is not silent. After that and `retryCount` (0 to 7, default 7) more times as long
   * the connection ends and the oldest request fails with RETRY_EXC_ERR.
   */
  readonly ackTimeout?: number;
  readonly retryCount?: number;
}

export interface QueuePair {
  /** Its slot on the device: WorkCompletion.queuePair. Not reused before 'destroyed' was reported. */
  readonly slot: number;
  /** The 24-bit queue pair number of the wire. */
  readonly number: number;
  /**
   * Posts a SEND, RDMA_WRITE or RDMA_READ. The request is copied; the memory it names belongs to the
   * NIC until its completion. Allowed from connection on; after a failure it completes flushed.
   */
  postSend(request: WorkRequest): PostResult;
  /**
   * Sends `length` bytes at `address`, an offset of the host's segment, if they can leave at once:
   * they then have, and no completion follows. False, with nothing done, whenever that is not so or
   * anything is wrong: postSend says what. No other request may be outstanding.
   */
  inject(address: number, length: number, localKey: number): boolean;
  /**
   * An RDMA WRITE of `length` bytes at `address` that is carried out in the call, without the peer: it
   * then is complete, and no completion follows. The last word, or byte, is written after all others.
   * Addresses are offsets in the segments of the two hosts; addresses and keys are signed 32-bit
   * numbers. False, with nothing done, whenever it cannot be so or anything is wrong: postSend then.
   */
  injectWrite(
    address: number,
    length: number,
    localKey: number,
    remoteAddress: number,
    remoteKey: number,
  ): boolean;
  /** The same for an RDMA READ. */
  injectRead(
    address: number,
    length: number,
    localKey: number,
    remoteAddress: number,
    remoteKey: number,
  ): boolean;
  /**
   * Takes the next message into the oldest receive, if that can be done in the call: `completion` then
   * says which receive and how much it was (`id`, `byteLength`), and none appears in the queue. With
   * OTHER nothing was done: progress() then. With NONE it would do nothing for receives.
   */
  takeArrival(completion: WorkCompletion): Arrival;
  /** Posts a receive, in any state. One message consumes exactly one, in posting order. */
  postReceive(request: WorkRequest): PostResult;
  /** The same for `length` bytes at one place, given by an offset of the host's segment. */
  postReceiveAt(id: number, address: number, length: number, localKey: number): PostResult;
  readonly sendsOutstanding: number;
  readonly receivesOutstanding: number;
  /**
   * Lets an inline engine work on this queue pair alone: what NicDevice.progress does, for less, when
   * the caller waits for this one. Not instead of it: everything else stands still meanwhile.
   */
  progress(): number;
  /** Begins connecting; 'established' or 'connect-failed' follows. */
  connect(address: number, port: number, localPort: number, privateData: Uint8Array): void;
  /** Accepts a request on this queue pair; 'established' or 'disconnected' follows. */
  accept(requestId: number, privateData: Uint8Array): void;
  /**
   * Ends the connection at once and gives the queue pair up. Outstanding requests complete flushed;
   * then 'destroyed' is reported, and nothing about this queue pair after it. 'moving' tells the peer
   * that somebody else will go on in its place: it learns 'peer-moving' in place of
   * 'peer-disconnected'.
   */
  destroy(intent?: 'ending' | 'moving'): void;
}

/** What a NIC reports apart from completions. `queuePair` is a slot. */
export type NicEvent =
  | {
      readonly type: 'connect-request';
      readonly port: number;
      /** Of the service: this NIC's own, or one whose requests are redirected here. */
      readonly address: number;
      readonly requestId: number;
      readonly remoteAddress: number;
      readonly remotePort: number;
      readonly privateData: Uint8Array;
    }
  /** The requester gave up or died before the request was answered. */
  | { readonly type: 'request-withdrawn'; readonly port: number; readonly requestId: number }
  | {
      readonly type: 'established';
      readonly queuePair: number;
      /** The NIC at the other end, which is another one than was asked when that has sent the request on. */
      readonly remoteAddress: number;
      readonly privateData: Uint8Array;
    }
  | { readonly type: 'connect-failed'; readonly queuePair: number; readonly reason: ConnectFailure }
  | { readonly type: 'disconnected'; readonly queuePair: number; readonly reason: DisconnectReason }
  | { readonly type: 'destroyed'; readonly queuePair: number }
  /**
   * The NIC is gone, for good. Connections end as 'device-removed', attempts fail as 'unreachable',
   * requests that wait here are withdrawn, and nothing comes any more; what was made from the device is
   * still to be given up.
   */
  | { readonly type: 'device-removed' }
  /** An armed completion queue has completions; CompletionNotification.index. */
  | { readonly type: 'completion-event'; readonly completionQueue: number };

export interface NicDevice {
  readonly attributes: NicAttributes;
  /**
   * The address by which work requests name the first byte of `buffer`; 0 when it is detached.
   * Memory of VirtualAlloc and ordinary ArrayBuffers both have one.
   */
  addressOf(buffer: Uint8Array): number;
  createCompletionQueue(depth?: number): CompletionQueue;
  /** Returns null when no slot or no memory is left. */
  createQueuePair(options: QueuePairOptions): QueuePair | null;
  /**
   * Registers the first `length` bytes of `buffer` for one queue pair, pins them, and keeps the
   * buffer alive until deregistered. `access` is an OR of Access flags.
   */
  registerMemory(
    queuePair: QueuePair,
    buffer: Uint8Array,
    length: number,
    access: number,
  ): MemoryRegion | RegistrationFailure;
  /** Ends a registration; the peer can reach the memory no more when this returns. */
  deregisterMemory(region: MemoryRegion): void;
  /**
   * Takes the remote key away, and nothing else: the peer can reach the memory no more when this returns,
   * and it stays registered and pinned. As invalidating a memory window in verbs.
   */
  concealMemory(region: MemoryRegion): void;
  /** Gives a concealed region another remote key. False when its queue pair is gone. */
  exposeMemory(region: MemoryRegion): boolean;
  /**
   * Reports requests for `port` of `address` from now on: this NIC's own by default, or one whose NIC
   * redirects here. False when it is listened on already.
   */
  listen(port: number, address?: number): boolean;
  /** Stops, or stops redirecting; requests not yet answered are rejected. */
  unlisten(port: number, address?: number): void;
  /**
   * Sends requests for `port` of `address` on to the NIC at `to`, those that wait here for an answer and
   * those that come, until listen() or unlisten(). To null: they fail with 'unreachable', because the
   * port is served otherwise. Whoever asks follows by itself. Absent where a NIC cannot.
   */
  redirect?(port: number, to: number | null, address?: number): void;
  /** Tells the requester that nobody takes it. */
  reject(requestId: number): void;
  /** The next event, or null. A 'destroyed' event waits until the last completion was polled. */
  pollEvent(): NicEvent | null;
  /** Lets an inline engine work, or takes note of what a worker engine did. Returns the work done. */
  progress(): number;
}
