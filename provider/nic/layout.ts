// The shared structures of a queue pair. Who writes what is the heart of it: every word has exactly
// one writer, except the ready map, which is only ever changed by atomic or and exchange.
//
// A queue pair has two blocks. The private one is invisible to peers:
//
//   send queue      depth entries     written by the application, read by the engine
//   receive queue   depth entries     written by the application, read by the engine
//
// and the public one is mapped by the peer:
//
//   inbound ring    WIRE_SLOTS slots  written by the PEER's engine, read by the engine
//   state           six lines         written by the engine, read by the peer's engine
//
// Every entry and slot begins with a sequence word that is written last. It equals the number the
// reader expects next, or the entry is not there yet; so no head or tail is shared, and a reader
// takes one cache line per entry from the writer's core. Sequence numbers of a ring start at a random
// value agreed at connection time, which keeps a stale writer out of a reused block.

import { CACHE_LINE_BYTES, field, struct } from '../../native/layout/struct.js';
import { ENTRY_BYTES, EXPOSED_REGIONS, WIRE_SLOTS } from './limits.js';

/** A send queue entry (work queue element). */
export const Wqe = {
  SEQUENCE: 0,
  /** opcode | flags << 8 | sgeCount << 16 */
  CONTROL: 1,
  ID: 2,
  /** Total length in bytes. */
  LENGTH: 3,
  REMOTE_ADDRESS_LOW: 4,
  REMOTE_ADDRESS_HIGH: 5,
  REMOTE_KEY: 6,
  /**
   * Of a receive, written when it is posted to an inline engine: where in the segment a small message
   * goes without further checks, how many keys the queue pair had lost when that was found, and how long
   * such a message may be, or -1.
   */
  TARGET: 4,
  KEYS_REMOVED: 5,
  ROOM: 6,
  /** First scatter/gather element: address low, address high, length, key. */
  SGE: 8,
} as const;

/** A slot of a wire ring. */
export const Slot = {
  SEQUENCE: 0,
  /** opcode | SlotFlag << 8 | reference count << 16 */
  CONTROL: 1,
  LENGTH: 2,
  REMOTE_KEY: 3,
  REMOTE_ADDRESS_LOW: 4,
  REMOTE_ADDRESS_HIGH: 5,
  /** With SlotFlag.TIMED: the time before which this slot has not arrived, 64 bits of nanoseconds. */
  DUE: 6,
  /** Payload of an inline message, or references: address low, address high, length, unused. */
  PAYLOAD: 8,
} as const;

export const SlotFlag = {
  /** The payload is in the slot. */
  INLINE: 1,
  /** The requester waits for the acknowledgement of this slot. */
  ACKNOWLEDGE: 2,
  /** The message goes on in the next slot; a receive is complete only with the last. */
  MORE: 4,
  /** The receive's completion is a solicited event. */
  SOLICITED: 8,
  /** The slot is on its way until Slot.DUE. */
  TIMED: 16,
} as const;

/**
 * Beside a completion queue: how far the application has read, and its arming (a count of armings << 1,
 * | 1 for solicited completions only); and, written by the engine, whether work waits for room.
 */
export const completionQueueControl = struct('CompletionQueueControl', [
  field('consumed', 'u32', { align: CACHE_LINE_BYTES }),
  field('armed', 'u32'),
  field('held', 'u32', { align: CACHE_LINE_BYTES }),
]);

export const CQ_CONSUMED = completionQueueControl.word('consumed');
export const CQ_ARMED = completionQueueControl.word('armed');
export const CQ_HELD = completionQueueControl.word('held');

/** A completion queue entry. */
export const Cqe = {
  SEQUENCE: 0,
  QUEUE_PAIR: 1,
  ID: 2,
  /** opcode | status << 8 */
  CONTROL: 3,
  LENGTH: 4,
} as const;

/** Words of one entry of QueuePairState.exposed. */
export const EXPOSED_WORDS = 4;

/**
 * A region that is open to the peer. The remote key is written last and taken away first; a key is never
 * used twice, so whoever finds the same key before and after has read the range that belongs to it.
 */
export const Exposed = {
  KEY: 0,
  /** Byte offset in the owner's segment. */
  OFFSET: 1,
  LENGTH: 2,
  /** Remote rights: Access. */
  ACCESS: 3,
} as const;

/**
 * What an engine tells its peer about one queue pair. `acknowledged` is the count of slots of its
 * inbound ring that were executed; with `status` not SUCCESS the slot after that failed. `armed`
 * asks whoever publishes for this queue pair to ring the host's doorbell. `notReady` says that the
 * next slot waits for a receive: the peer is slow, not silent. `closed` revokes every reference to the
 * owner's memory. `pushing` is up while this engine writes into the peer's memory for a READ of the
 * peer's; `accessing` is the key of the region of the peer's that it is in the middle of using for a
 * request of its own, and `adopted` the key of the one that it uses without a fence
 * per access, which `wantsFence` asks the peer not to do. `claimed` is how much of a transfer that
 * both engines copy was taken by either, the one word of the state that the peer changes as well, and
 * `carried` how much of such a transfer of the peer's this engine has copied: see JointCopy. `exposed` are
 * the regions that the peer may use by itself: see Exposed.
 */
export const queuePairState = struct('QueuePairState', [
  field('acknowledged', 'u32', { align: CACHE_LINE_BYTES }),
  field('status', 'u32'),
  field('armed', 'u32'),
  field('notReady', 'u32'),
  field('closed', 'u32', { align: CACHE_LINE_BYTES }),
  field('pushing', 'u32'),
  field('accessing', 'u32'),
  field('adopted', 'u32'),
  field('claimed', 'u32'),
  field('carried', 'u32'),
  field('wantsFence', 'u32'),
  field('exposed', 'u32', { align: CACHE_LINE_BYTES, count: EXPOSED_REGIONS * EXPOSED_WORDS }),
]);

export const STATE_ACKNOWLEDGED = queuePairState.word('acknowledged');
export const STATE_STATUS = queuePairState.word('status');
export const STATE_ARMED = queuePairState.word('armed');
export const STATE_NOT_READY = queuePairState.word('notReady');
export const STATE_CLOSED = queuePairState.word('closed');
export const STATE_PUSHING = queuePairState.word('pushing');
export const STATE_ACCESSING = queuePairState.word('accessing');
export const STATE_ADOPTED = queuePairState.word('adopted');
export const STATE_CLAIMED = queuePairState.word('claimed');
export const STATE_CARRIED = queuePairState.word('carried');
export const STATE_WANTS_FENCE = queuePairState.word('wantsFence');
export const STATE_EXPOSED = queuePairState.word('exposed');

/** Where the parts of a queue pair lie: queues in a private block, ring and state in a public one. */
export interface QueuePairBlock {
  readonly sendQueue: number;
  readonly receiveQueue: number;
  readonly queueBytes: number;
  readonly ring: number;
  readonly state: number;
  readonly wireBytes: number;
}

export function queuePairBlock(sendDepth: number, receiveDepth: number): QueuePairBlock {
  const receiveQueue = sendDepth * ENTRY_BYTES;
  const state = WIRE_SLOTS * ENTRY_BYTES;
  return {
    sendQueue: 0,
    receiveQueue,
    queueBytes: receiveQueue + receiveDepth * ENTRY_BYTES,
    ring: 0,
    state,
    wireBytes: state + queuePairState.bytes,
  };
}

/** How a host introduces a connection to its peer: the ring it reads and the state it writes. */
export interface WireEndpoint {
  /** Queue pair number, for captures and messages. */
  readonly queuePair: number;
  /** The queue pair's slot: its bit in the ready map. */
  readonly slot: number;
  /** Byte offsets in the host's segment. */
  readonly ring: number;
  readonly state: number;
  /** The first sequence number of the ring. */
  readonly sequence: number;
}
