// The bounds of the switch, each with what it is derived from. Data and arithmetic only.
// Sources: SESS-08, IMPL-01, OPT-03 to OPT-06, OPT-09, XFER-04, XFER-07, RDMA-06.

import { seconds } from '../runtime/clock.js';
import type { SessionLimits } from './session/limits.js';
import { defaultSessionLimits, HEADER_BYTES, MESSAGE_BYTES_MIN } from './session/limits.js';

/** The most a field provider's queues hold; more receives than that would be refused. [IMPL-01] */
const PROVIDER_QUEUE_DEPTH = 16;
/** Send buffers of a connection that never has more messages on their way at once. */
const FIRST_SEND_COUNT = 2;
/** Receives of a connection whose peer has not said more than a few messages. */
const FIRST_RECEIVE_COUNT = 8;
/** A message buffer is a whole number of cache lines. */
const CACHE_LINE = 64;
/** However large an application makes SO_RCVBUF. */
const WINDOW_BYTES_MAX = 2 ** 24;
/** What SOMAXCONN means to the switch's own queue of arrivals. */
export const BACKLOG_MAX = 200;
/** How long WSACleanup and the closing of a host wait for data that is still on its way. */
export const STOP_NANOS_MAX = seconds(5);
/** Blocks of connection memory kept for the next connection: some 18 MB, pinned and mapped. */
export const SPARE_MEMORY_COUNT_MAX = 128;

/** Overlapped operations under way on one socket; the next one is WSAEWOULDBLOCK. [W4.16] */
export const OVERLAPPED_COUNT_MAX = 4_096;

/** What stays registered for later: some sixteen connections with four buffers each, of 1 MiB. */
export const REGISTRATION_BOUNDS = { entries: 64, bytes: 64 * 2 ** 20 };

export interface ProviderSizes {
  /** SO_MAX_MSG_SIZE, or 0xffffffff. */
  readonly messageBytesMax: number;
  /** SO_MAX_RDMA_SIZE, or 0xffffffff. */
  readonly rdmaBytesMax: number;
  /** SO_RDMA_THRESHOLD_SIZE, or the switch's own choice. */
  readonly thresholdBytes: number;
  /** Posted sends and receives per socket that the profile allows; null: no word about it. */
  readonly sendQueueDepth: number | null;
  readonly receiveQueueDepth: number | null;
  /** Receives that the profile wants posted; null: as many as there may be. */
  readonly receivesPosted: number | null;
  /** SO_RCVBUF as the application has set it before connect or listen; null: it has not. */
  readonly receiveBufferBytes: number | null;
}

/** The switch's own choice where the provider has no preference. [OPT-09] */
export const THRESHOLD_BYTES_DEFAULT = 4096;

/**
 * Bounds of a session over a provider of these sizes, or null when the provider is too small to
 * carry any: it then stays unused.
 */
export function deriveSessionLimits(sizes: ProviderSizes): SessionLimits | null {
  if (sizes.messageBytesMax < MESSAGE_BYTES_MIN) return null;
  const whole = roundUp(sizes.thresholdBytes + HEADER_BYTES, CACHE_LINE);
  // A threshold above what fits one message would send large data in pieces: legal, but the piece
  // is what RDMA is for, so the message is only made as large as the provider allows.
  const allowed = sizes.messageBytesMax - (sizes.messageBytesMax % 4);
  const messageBytes = Math.min(Math.max(whole, 2 * MESSAGE_BYTES_MIN), allowed, 65_536);
  const receives = Math.min(
    PROVIDER_QUEUE_DEPTH,
    sizes.receiveQueueDepth ?? PROVIDER_QUEUE_DEPTH,
    sizes.receivesPosted ?? PROVIDER_QUEUE_DEPTH,
  );
  if (receives < 4) return null;
  return {
    ...defaultSessionLimits,
    receiveCount: receives,
    // A profile that says how many means from the start.
    firstReceiveCount:
      sizes.receivesPosted === null ? Math.min(FIRST_RECEIVE_COUNT, receives) : receives,
    sendCount: PROVIDER_QUEUE_DEPTH,
    firstSendCount: FIRST_SEND_COUNT,
    messageBytes,
    thresholdBytes: Math.max(1, Math.min(sizes.thresholdBytes, 2 ** 30)),
    windowBytes: windowOf(sizes.receiveBufferBytes, messageBytes),
    rdmaBytesMax: Math.max(1, sizes.rdmaBytesMax),
  };
}

/** The bounds derived last: the sizes of a provider are mostly the same for all its sockets. */
export class DerivedLimits {
  #sizes: ProviderSizes | null = null;
  #limits: SessionLimits | null = null;

  /** See deriveSessionLimits. */
  of(sizes: ProviderSizes): SessionLimits | null {
    if (this.#sizes !== null && areSame(this.#sizes, sizes)) return this.#limits;
    this.#sizes = sizes;
    this.#limits = deriveSessionLimits(sizes);
    return this.#limits;
  }
}

function areSame(one: ProviderSizes, other: ProviderSizes): boolean {
  return (
    one.messageBytesMax === other.messageBytesMax &&
    one.rdmaBytesMax === other.rdmaBytesMax &&
    one.thresholdBytes === other.thresholdBytes &&
    one.sendQueueDepth === other.sendQueueDepth &&
    one.receiveQueueDepth === other.receiveQueueDepth &&
    one.receivesPosted === other.receivesPosted &&
    one.receiveBufferBytes === other.receiveBufferBytes
  );
}

/** What is stored for a reader that is not there: SO_RCVBUF, and at least one message. */
function windowOf(receiveBufferBytes: number | null, messageBytes: number): number {
  const wanted = receiveBufferBytes ?? defaultSessionLimits.windowBytes;
  return Math.max(Math.min(wanted, WINDOW_BYTES_MAX), messageBytes);
}

export function roundUp(bytes: number, unit: number): number {
  return Math.ceil(bytes / unit) * unit;
}
