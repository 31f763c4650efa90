// A queue pair as its engine sees it: where its queues lie, how far each has been worked off, and
// with whom it is connected. Data only; requester.ts and responder.ts are the algorithms.

import type { Nanos } from '../../runtime/clock.js';
import type { CompletionRing } from './completion-ring.js';
import type { JointCopy } from './joint-copy.js';
import type { WireEndpoint } from './layout.js';
import { DIRECT_PER_LOOK, INLINE_BYTES } from './limits.js';
import type { PeerHost } from './peer-host.js';
import { RemoteRegion } from './remote-region.js';
import { QpState, RETRY_FOREVER } from './verbs.js';

/** Numbers, not strings: the engine asks for them in every turn. */
export const QueuePairState = {
  ...QpState,
  /** Destroyed by its owner: flushing as in ERR, then waiting for the peer to let go. */
  CLOSING: 7,
} as const;
export type QueuePairState = (typeof QueuePairState)[keyof typeof QueuePairState];

/** Why the message at the head of the inbound ring is not executed. */
export const Wait = {
  NONE: 0,
  /** For a receive: whoever posts one rings. */
  RECEIVE: 1,
  /** For room in the completion queue. */
  ROOM: 2,
  /** For the time `retryAt`. */
  TIME: 3,
  /** For the peer's part of a joint copy: it rings. */
  PEER: 4,
} as const;
export type Wait = (typeof Wait)[keyof typeof Wait];

/** How patient a queue pair is; set at its creation. Times in nanoseconds. */
export interface Patience {
  /** Receiver not ready: the pause before the peer's request is tried again; 0 for none. */
  readonly minRnrTimer: Nanos;
  /** How often it is tried again; RETRY_FOREVER for always. */
  readonly rnrRetry: number;
  /** How long the peer may take to acknowledge, one try; 0 for ever. */
  readonly ackTimeout: Nanos;
  readonly retryCount: number;
}

export class EngineQueuePair {
  // What a small message needs comes first, side by side: of a thousand connections used in turn nothing
  // is in a near cache. Numbers begin as numbers, so that V8 never looks whether they are.
  state: QueuePairState = QueuePairState.INIT;
  /** What an arrived message waits for. */
  wait: Wait = Wait.NONE;
  /** Keys that were taken away so far: what was found out about keys before is void. */
  keysRemoved = 0;
  // Inbound: the ring the peer writes, and what we tell it. Rings and queues are word indexes.
  readonly ring: number = 0;
  executed = 0;
  executedPublished = 0;
  inboundSequence = 0;
  readonly receiveQueue: number = 0;
  readonly receiveMask: number = 0;
  /** Entries taken from the receive queue. */
  receiveTaken = 0;
  /** Bytes of a message of several slots that are in the current receive already. */
  receivedBytes = 0;
  /** Turns that found work since the last sweep of the polled ones. */
  activity = 0;
  // Outbound: the peer's ring, which we write, and what the peer tells us.
  outboundRing = 0;
  published = 0;
  acknowledged = 0;
  outboundSequence = 0;
  /** Slots executed when the lines of the next outbound slot were last fetched. */
  claimedAfter = 0;
  peerState = 0;
  /** Whose doorbell rings, unless it polls: with many connections it seldom does. */
  peer: PeerHost | null = null;
  peerSlot = 0;
  /** Messages up to here go without the send queue; -1 for none. */
  directBytes = 0;
  /** Keys used last by the short ways and what they open, as offsets of the segment; 0 for none. */
  sendKey = 0;
  sendFrom = 0;
  sendTo = 0;
  receiveKey = 0;
  receiveFrom = 0;
  receiveTo = 0;

  readonly slot: number = 0;
  readonly number: number = 0;
  readonly completions: CompletionRing;
  readonly patience: Patience;
  /** Keys of its memory regions, signed: such numbers need no box. */
  readonly keys = new Set<number>();
  /** Barriers paid for taking remote keys away. */
  barriers = 0;
  /** Of those, the remote keys that the peer finds listed, by their place there; 0 for a free place. */
  readonly exposedKeys: number[] = [];
  // One-sided access of our own (direct-access.ts).
  readonly remote = new RemoteRegion();
  /** With a fence, which the owner has asked for. */
  isFenced = false;
  /** Accesses before the peer's life is looked at. */
  looksIn = DIRECT_PER_LOOK;

  // The send queue, and the count of entries taken from it.
  readonly sendQueue: number = 0;
  readonly sendMask: number = 0;
  sendTaken = 0;
  sendCompleted = 0;

  readonly ownState: number = 0;
  /** Where the peer's segment lies in the arena, in bytes. */
  peerSegment = 0;
  /** For every send queue entry, the count of slots published when its last slot was. */
  readonly lastSlot: Int32Array;
  /** What both engines copy; null until there is something long. */
  joint: JointCopy | null = null;
  /** The count of slots published when the last long RDMA was. */
  lastLong = 0;
  /** RDMA READs published and not yet acknowledged. */
  readsOutstanding = 0;
  /** Until when a peer that writes READ data is waited for; 0 while nobody waits. */
  pushEnds: Nanos = 0;
  /** Bytes of the request at the head that went through the bounce buffer already. */
  bouncedBytes = 0;
  /** The bufferful under way: its length, the count of slots after its own, and whether it is the last. */
  bounceLength = 0;
  bounceSlot = 0;
  bounceIsLast = false;
  bounceIsRead = false;

  /** With costs: when each send queue entry may complete, and what was reckoned last. */
  readonly dues: Float64Array | null;
  lastDue: Nanos = 0;
  /** A SEND is complete when acknowledged, however short: somebody counts retries or time. */
  acknowledgesSends = false;
  /** When the peer was last heard of while a request was outstanding, and what it had acknowledged. */
  heardAt: Nanos = 0;
  heardCount = 0;

  /** Whether the engine polls this queue pair without being asked. */
  hot = false;
  /** Doorbells answered since that sweep. */
  rings = 0;
  sweep = 0;
  retryAt: Nanos = 0;
  /** The count of slots before the one that was last found without a receive, and its tries left. */
  rnrSlot = -1;
  rnrTriesLeft = 0;
  /** The connection is over: what has arrived is executed now or never. */
  isLastChance = false;
  /** A posted request waits for room in the completion queue or for the bounce buffer. */
  isHeld = false;
  /** The peer may not use our memory any more; see NicEngine. */
  isRevoked = false;
  /** Set once the owner was told that the connection is over. */
  disconnectReported = false;
  /** The peer has said that it touches our memory no more. */
  peerReleased = true;
  destroyedReported = false;

  constructor(options: {
    slot: number;
    number: number;
    completions: CompletionRing;
    sendQueue: number;
    sendDepth: number;
    receiveQueue: number;
    receiveDepth: number;
    ring: number;
    ownState: number;
    sequence: number;
    patience: Patience;
    /** The NIC has a cost model. */
    isTimed: boolean;
  }) {
    this.slot = options.slot;
    this.number = options.number;
    this.completions = options.completions;
    this.sendQueue = options.sendQueue;
    this.sendMask = options.sendDepth - 1;
    this.receiveQueue = options.receiveQueue;
    this.receiveMask = options.receiveDepth - 1;
    this.ring = options.ring;
    this.ownState = options.ownState;
    this.inboundSequence = options.sequence;
    this.lastSlot = new Int32Array(options.sendDepth);
    this.patience = options.patience;
    this.dues = options.isTimed ? new Float64Array(options.sendDepth) : null;
    this.directBytes = options.isTimed ? -1 : INLINE_BYTES;
  }

  /** A key was taken away. */
  forgetKeys(): void {
    this.sendKey = 0;
    this.receiveKey = 0;
    this.keysRemoved = (this.keysRemoved + 1) | 0;
  }

  /** Whether part of the request at the head is in the bounce buffer, or has been through it. */
  get isMidBounce(): boolean {
    const headIsOut = this.bounceLength > 0 && (this.bounceIsRead || !this.bounceIsLast);
    return headIsOut || this.bouncedBytes > 0;
  }

  /** Whether nothing will happen here unless somebody rings. */
  get isQuiet(): boolean {
    return (
      (this.wait === Wait.NONE || this.wait === Wait.RECEIVE || this.wait === Wait.PEER) &&
      !this.isHeld &&
      this.bounceLength === 0 &&
      (this.sendCompleted === this.sendTaken || !(this.isClocked || this.isLong))
    );
  }

  /** Whether a long RDMA is outstanding, which this side may take part in. */
  get isLong(): boolean {
    return ((this.acknowledged - this.lastLong) | 0) < 0;
  }

  /** Whether outstanding requests have a time at which to look at them. */
  get isClocked(): boolean {
    return this.dues !== null || this.patience.ackTimeout > 0;
  }

  /** Whether its peer's requests are not tried for ever, so that a sender must be told. */
  get limitsRetries(): boolean {
    return this.patience.rnrRetry < RETRY_FOREVER;
  }

  /** The time at which there is something to do that nothing announces; Infinity for none. */
  get nextDue(): Nanos {
    const due = this.wait === Wait.TIME ? this.retryAt : Infinity;
    // Without room nothing completes, whatever the time is; whoever makes some has a turn follow.
    if (this.sendCompleted === this.sendTaken || !this.completions.hasRoom(1)) return due;
    const head = Math.min(due, this.#headDue);
    return this.patience.ackTimeout > 0 ? Math.min(head, this.silenceEnds) : head;
  }

  /** The peer's word comes first, and rings: until then the time that it costs is nothing to wait for. */
  get #headDue(): Nanos {
    const index = this.sendCompleted & this.sendMask;
    const isAcknowledged = ((this.acknowledged - (this.lastSlot[index] as number)) | 0) >= 0;
    return this.dues === null || !isAcknowledged ? Infinity : (this.dues[index] as number);
  }

  /** When a peer that has not been heard of since is given up. */
  get silenceEnds(): Nanos {
    const { ackTimeout, retryCount } = this.patience;
    return this.heardAt + ackTimeout * (retryCount + 1);
  }

  /**
   * Attaches the peer's end. `endpoint` was checked against the peer's segment (peer-host.ts);
   * `acknowledgesSends` is the peer's wish.
   */
  attach(peer: PeerHost, endpoint: WireEndpoint, acknowledgesSends: boolean): void {
    this.peer = peer;
    this.peerSlot = endpoint.slot;
    this.outboundRing = peer.wordIndex(endpoint.ring);
    this.peerState = peer.wordIndex(endpoint.state);
    this.peerSegment = peer.offset;
    this.outboundSequence = endpoint.sequence | 0;
    this.peerReleased = false;
    this.acknowledgesSends = acknowledgesSends || this.patience.ackTimeout > 0;
    if (this.acknowledgesSends) this.directBytes = -1;
    this.state = QueuePairState.RTR;
  }
}
