// A queue pair as its engine sees it: where its queues lie, how far each has been worked off, and
// with whom it is connected. Data only; requester.ts and responder.ts are the algorithms.

import type { CompletionRing } from './completion-ring.js';
import type { WireEndpoint } from './layout.js';
import type { PeerHost } from './peer-host.js';

/** States are numbers, not strings: the engine asks for them in every turn. */
export const QueuePairState = {
  /** Created; not connected, or connecting. Receives may be posted. */
  IDLE: 0,
  READY: 1,
  /** The connection is over; everything outstanding and everything posted now completes flushed. */
  ERROR: 2,
  /** Destroyed by its owner; flushing, then waiting for the peer to let go. */
  CLOSING: 3,
} as const;
export type QueuePairState = (typeof QueuePairState)[keyof typeof QueuePairState];

export class EngineQueuePair {
  readonly slot: number;
  readonly number: number;
  readonly completions: CompletionRing;
  state: QueuePairState = QueuePairState.IDLE;
  /** Keys of its memory regions. */
  readonly keys = new Set<number>();

  // Own queues, as word indexes into the arena, and the count of entries taken from each.
  readonly sendQueue: number;
  readonly sendMask: number;
  sendTaken = 0;
  sendCompleted = 0;
  readonly receiveQueue: number;
  readonly receiveMask: number;
  receiveTaken = 0;

  // Inbound: the ring the peer writes, and what we tell it.
  readonly ring: number;
  readonly ownState: number;
  executed = 0;
  executedPublished = 0;
  inboundSequence: number;
  /** Bytes of a message of several slots that are in the current receive already. */
  receivedBytes = 0;

  // Outbound: the peer's ring, which we write, and what the peer tells us.
  peer: PeerHost | null = null;
  peerSlot = 0;
  outboundRing = 0;
  peerState = 0;
  published = 0;
  acknowledged = 0;
  outboundSequence = 0;
  /** For every send queue entry, the count of slots published when its last slot was. */
  readonly lastSlot: Int32Array;
  /** RDMA READs published and not yet acknowledged. */
  readsOutstanding = 0;
  /** Bytes of the request at the head that went through the bounce buffer already. */
  bouncedBytes = 0;
  /** The bufferful under way: its length, the count of slots after its own, and whether it is the last. */
  bounceLength = 0;
  bounceSlot = 0;
  bounceIsLast = false;
  bounceIsRead = false;

  /** Whether the engine polls this queue pair without being asked. */
  hot = false;
  /** An arrived message waits for a receive, or for room in the completion queue. */
  isBlocked = false;
  /** A posted request waits for room in the completion queue or for the bounce buffer. */
  isHeld = false;
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
  }

  /** Whether part of the request at the head is in the bounce buffer, or has been through it. */
  get isMidBounce(): boolean {
    const headIsOut = this.bounceLength > 0 && (this.bounceIsRead || !this.bounceIsLast);
    return headIsOut || this.bouncedBytes > 0;
  }

  /** Whether nothing will happen here unless somebody rings: no answer is awaited, nothing waits. */
  get isQuiet(): boolean {
    return (
      this.sendCompleted === this.sendTaken &&
      this.bounceLength === 0 &&
      !this.isBlocked &&
      !this.isHeld
    );
  }

  /** Attaches the peer's end. `endpoint` was checked against the peer's segment (peer-host.ts). */
  attach(peer: PeerHost, endpoint: WireEndpoint): void {
    this.peer = peer;
    this.peerSlot = endpoint.slot;
    this.outboundRing = peer.wordIndex(endpoint.ring);
    this.peerState = peer.wordIndex(endpoint.state);
    this.outboundSequence = endpoint.sequence | 0;
    this.peerReleased = false;
    this.state = QueuePairState.READY;
  }
}
