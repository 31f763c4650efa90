// The bounds of one session, and the relations between them that the protocol's arguments rest on:
// each relation is asserted with its reason, once, when a session is made. Data only; knows nothing
// of connections. Source: docs/session-protocol.md "Limits"; wsd-spec SESS-02 … SESS-08, XFER-04,
// XFER-07.

import { assert } from '../../runtime/assert.js';
import type { Nanos } from '../../runtime/clock.js';
import { seconds } from '../../runtime/clock.js';

/** Bytes of the fixed part of every message. */
export const HEADER_BYTES = 20;
/** Bytes of an announcement between the header and the descriptor. */
export const ANNOUNCE_BYTES = 8;
/** Bytes of a target message between the header and the descriptor. */
export const TARGET_BYTES = 12;
/** The longest opaque descriptor of registered RDMA memory that a message has room for. */
export const DESCRIPTOR_BYTES_MAX = 64;
/** SESS-05: the provider holds an early negotiation message of up to this many bytes. */
export const NEGOTIATION_BYTES_MAX = 256;
/** The smallest message buffer: the longest control message, and some payload behind it. */
export const MESSAGE_BYTES_MIN = NEGOTIATION_BYTES_MAX;
/** Control work that waits for a credit is kept in words of 32 bits, one bit per slot. */
export const TRANSFER_SLOTS_MAX = 16;
/** The most one announcement covers; a longer send is announced in several pieces. */
export const TRANSFER_BYTES_MAX = 2 ** 30;
/** Credits that data leaves alone: one for control messages, and the last one (credits.ts). */
export const DATA_RESERVE = 2;
/** Credits that control messages leave alone: the last one, which only a credit update may take. */
export const CONTROL_RESERVE = 1;

export interface SessionLimits {
  /** N: receives kept posted, at most. SESS-08 saw twelve. */
  readonly receiveCount: number;
  /** As many as are posted from the start; the others come when the peer has more to say. */
  readonly firstReceiveCount: number;
  /** Message buffers for sending; the bound on WSPSend calls in flight. */
  readonly sendCount: number;
  /** Of those, as many as are there from the start; the others come when these are all in flight. */
  readonly firstSendCount: number;
  /** Bytes of one message buffer, header included. */
  readonly messageBytes: number;
  /** XFER-07: more than this goes by RDMA, up to and including this by message. */
  readonly thresholdBytes: number;
  /** XFER-08: the most that an announcing message carries of the data itself. */
  readonly initialBytes: number;
  /** Private storage for data that arrives before anyone asked for it (SO_RCVBUF); the window. */
  readonly windowBytes: number;
  /** Bytes of the staging buffer, through which large data reaches those who only read. */
  readonly stagingBytes: number;
  /** SO_MAX_RDMA_SIZE of the own provider (RDMA-06). */
  readonly rdmaBytesMax: number;
  /** Large transfers outstanding in each direction. */
  readonly transferSlots: number;
  /** From handleConnected to the peer's half of the negotiation. */
  readonly negotiationNanosMax: Nanos;
  /** From the end of our data after close() to the peer's last word. */
  readonly closeNanosMax: Nanos;
  /** After close(), how long our stream may stand still because the peer leaves it unread. */
  readonly drainNanosMax: Nanos;
  /** How long RDMA may still work on a request that was given up (BLK-05). */
  readonly cancelNanosMax: Nanos;
  /** From the request to suspend to its answer. */
  readonly suspendNanosMax: Nanos;
  /** How long the peer of a suspended session waits for its new controller. */
  readonly resumeNanosMax: Nanos;
}

export const defaultSessionLimits: SessionLimits = {
  receiveCount: 12,
  firstReceiveCount: 12,
  sendCount: 12,
  firstSendCount: 1,
  messageBytes: 4096 + 64,
  thresholdBytes: 4096,
  initialBytes: 256,
  windowBytes: 65_536,
  stagingBytes: 65_536,
  rdmaBytesMax: 0xffff_ffff,
  transferSlots: 8,
  negotiationNanosMax: seconds(10),
  closeNanosMax: seconds(30),
  drainNanosMax: seconds(120),
  cancelNanosMax: seconds(1),
  suspendNanosMax: seconds(30),
  resumeNanosMax: seconds(60),
};

const isCount = (value: number, low: number, high: number): boolean =>
  Number.isInteger(value) && value >= low && value <= high;

/** Throws AssertionError unless the limits bear out what the protocol's arguments assume. */
export function checkLimits(limits: SessionLimits): void {
  // Half of them, the trigger of a credit update, must be at least two, or an update would cause an
  // update in answer, forever; and it must be reached before the peer runs into its reserve.
  assert(isCount(limits.receiveCount, 4, 4096), 'a session posts 4 to 4096 receives');
  assert(
    isCount(limits.firstReceiveCount, 4, limits.receiveCount),
    'a session begins with 4 at least',
  );
  const trigger = creditTrigger(limits.firstReceiveCount);
  assert(trigger >= 2, 'a credit update alone must not cause another');
  assert(
    trigger <= limits.firstReceiveCount - DATA_RESERVE,
    'an update is due before data has to stop',
  );
  assert(CONTROL_RESERVE >= 1 && DATA_RESERVE > CONTROL_RESERVE, 'the last credit is for updates');
  // Send buffers come back by themselves: a message in flight always meets a posted receive.
  assert(isCount(limits.sendCount, 1, 4096), 'a session has 1 to 4096 send buffers');
  assert(isCount(limits.firstSendCount, 1, limits.sendCount), 'a session begins with one of them');
  // Every control message fits any message buffer, so that none needs to be split.
  assert(HEADER_BYTES + TARGET_BYTES + DESCRIPTOR_BYTES_MAX <= MESSAGE_BYTES_MIN, 'a target fits');
  assert(
    HEADER_BYTES + ANNOUNCE_BYTES + DESCRIPTOR_BYTES_MAX < MESSAGE_BYTES_MIN,
    'an announcement fits',
  );
  assert(
    isCount(limits.messageBytes, MESSAGE_BYTES_MIN, 2 ** 24),
    'message buffers of 256 B to 16 MiB',
  );
  assert(limits.messageBytes % 4 === 0, 'headers are words');
  assert(isCount(limits.thresholdBytes, 1, 2 ** 30), 'the threshold is 1 B to 1 GiB');
  assert(isCount(limits.initialBytes, 0, 2 ** 24), 'the initial portion is at most a message');
  // The payload of any single message can be stored, so an empty store always lets the peer go on.
  assert(
    isCount(limits.windowBytes, limits.messageBytes, 2 ** 30),
    'the store holds any one message',
  );
  assert(isCount(limits.stagingBytes, 1, 2 ** 30), 'there is a staging buffer');
  assert(isCount(limits.rdmaBytesMax, 1, 0xffff_ffff), 'an RDMA call moves at least one byte');
  assert(isCount(limits.transferSlots, 1, TRANSFER_SLOTS_MAX), '1 to 16 transfer slots');
  const { negotiationNanosMax, closeNanosMax, drainNanosMax, cancelNanosMax } = limits;
  const { suspendNanosMax, resumeNanosMax } = limits;
  const shortest = Math.min(
    negotiationNanosMax,
    closeNanosMax,
    drainNanosMax,
    cancelNanosMax,
    suspendNanosMax,
    resumeNanosMax,
  );
  assert(shortest > 0, 'timeouts lie ahead');
}

/** Reposted receives after which the peer is told even if nothing else is to be said. */
export function creditTrigger(receiveCount: number): number {
  return receiveCount >> 1;
}

/**
 * The most WSPSend and RDMA calls that a session has outstanding at once: what the queues of a
 * provider must hold. One message per send buffer, one RDMA read per pull, one write per target.
 */
export function outstandingCallsMax(limits: SessionLimits): number {
  return limits.sendCount + limits.transferSlots + limits.transferSlots;
}
