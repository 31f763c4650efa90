// Every bound of the NIC in one place, with the assertions that relate them.

import { assert } from '../../runtime/assert.js';
import { microseconds, milliseconds, seconds } from '../../runtime/clock.js';
import { MAX_SGE } from './verbs.js';

/** Words (32 bits) of one send or receive queue entry, and of one slot of a wire ring: two cache lines. */
export const ENTRY_WORDS = 32;
export const ENTRY_BYTES = ENTRY_WORDS * 4;
/** Words of an entry before its scatter/gather list or payload. */
export const ENTRY_HEADER_WORDS = 8;
/** Words of one scatter/gather element: address (64 bits), length, key. */
export const SGE_WORDS = 4;
/** The longest message that travels inside its slot and is gone from the sender's buffer at once. */
export const INLINE_BYTES = (ENTRY_WORDS - ENTRY_HEADER_WORDS) * 4;
assert(ENTRY_HEADER_WORDS + MAX_SGE * SGE_WORDS <= ENTRY_WORDS, 'an entry holds its SGE list');

/** Default depths. A power of two, so that an index is a mask away. */
export const DEFAULT_QUEUE_DEPTH = 64;
export const WIRE_SLOTS = 64;
/** The responder acknowledges at least this often, so the requester never runs dry. */
export const ACK_INTERVAL = WIRE_SLOTS / 4;
assert(
  ACK_INTERVAL * 2 <= WIRE_SLOTS,
  'half a ring of slots is free when an acknowledgement is due',
);

export const DEFAULT_CQ_DEPTH = 4096;
export const CQE_WORDS = 8;
/** The application tells the engine how far it has read at least this often. */
export const CQ_INDEX_INTERVAL = 64;

/** The longest message of SEND, and of one RDMA READ or WRITE. */
export const MAX_MESSAGE_BYTES = 1 << 30;
/** Through the bounce buffer a message is limited to what the buffer holds. */
export const BOUNCE_BYTES = 1 << 20;
/** Behind it: where a look into a peer's process is put. */
export const PROBE_BYTES = 64;

/** Private data of a connection request or answer: what every transport can carry. */
export const MAX_PRIVATE_DATA = 48;

/**
 * Queue pairs that the engine polls without being asked; others ring the doorbell. As many as cost
 * together about what one doorbell costs.
 */
export const HOT_QUEUE_PAIRS = 8;
/** A queue pair whose doorbell rings this often between two sweeps is polled from then on. */
export const RINGS_BEFORE_HOT = 64;
/** And one that finds work less often than this between two sweeps is polled no more. */
export const ACTIVITY_TO_STAY = 64;
/** Steps of the engine between two sweeps, which take idle queue pairs off the polled ones. */
export const STEPS_PER_SWEEP = 4096;
/** How long a doorbell that somebody took away (anybody may write it) can hold a message up. */
export const RESCUE_INTERVAL = milliseconds(100);
/** Work taken from one queue pair before the next has its turn. */
export const TURN_BUDGET = 32;

/** Connection manager timers. */
export const CONNECT_TIMEOUT = seconds(5);
export const CONTROL_RETRY = milliseconds(2);
/** How often one request may be sent on to another NIC: more is a circle. */
export const REDIRECTIONS_MAX = 8;
/** How long a destroyed queue pair's memory waits for the peer's word that it has let go. */
export const RELEASE_TIMEOUT = seconds(4);
/** The pause between two looks at a peer that is in the middle of an access of its own. */
export const ACCESS_PAUSE = microseconds(200);
/** Requests of one peer that may wait for an answer: as many as it can have queue pairs. */
export const REQUESTS_PER_PEER = 4096;

/** Receiver not ready: the timer of a queue pair that limits retries and states none. */
export const DEFAULT_RNR_TIMER = microseconds(640);

/** Regions of one queue pair that its peer may find and reach by itself; others it asks for by a slot. */
export const EXPOSED_REGIONS = 16;
/** The longest RDMA that its initiator carries out by itself: what takes about as long as one slot. */
export const DIRECT_BYTES_MAX = 4096;
/** The last offset that is a small integer, signed: what direct access works with. */
export const OFFSET_MAX = 0x7fffffff;
/** Up to here a loop of words beats a call that copies bytes. */
export const WORD_LOOP_BYTES_MAX = 256;
/** How many of those pass before the initiator asks the kernel whether the peer still lives. */
export const DIRECT_PER_LOOK = 1024;

/** From here on both engines copy what goes through the kernel, in pieces of so much at least. */
export const JOINT_BYTES_MIN = 1 << 18;
export const JOINT_PIECE_BYTES_MIN = 1 << 17;

/** Barriers that an owner pays for taking memory back, before it asks the peer for a fence per access. */
export const BARRIERS_MAX = 16;

/** Memory regions of one NIC: bounds the tables, and keeps guessing a key hopeless. */
export const MAX_MEMORY_REGIONS = 1 << 16;
