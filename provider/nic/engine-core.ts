// What the parts of one engine share.

import type { SharedView } from '../../native/shared-view.js';
import type { EngineQueuePair } from './engine-queue-pair.js';
import type { Mover, OwnMemory } from './mover.js';
import type { RegionTable } from './regions.js';

/** The engine's one bounce buffer, for peers that cannot reach this process's own memory. */
export interface BounceBuffer {
  /** Offset in the public segment. */
  readonly address: number;
  readonly bytes: number;
  holder: EngineQueuePair | null;
}

/** What an engine has done, by Counter. An array: counting is part of every message. */
export type EngineCounters = Float64Array;

export const Counter = {
  MESSAGES_SENT: 0,
  MESSAGES_RECEIVED: 1,
  BYTES_SENT: 2,
  BYTES_RECEIVED: 3,
  BYTES_WRITTEN: 4,
  BYTES_READ: 5,
  PROTOCOL_ERRORS: 6,
  RECEIVER_NOT_READY: 7,
} as const;
export function add(counters: EngineCounters, counter: number, amount: number): void {
  counters[counter] = (counters[counter] as number) + amount;
}

export const COUNTERS = Object.keys(Counter).length;

export interface EngineCore {
  readonly view: SharedView;
  readonly own: OwnMemory;
  readonly regions: RegionTable;
  readonly mover: Mover;
  readonly bounce: BounceBuffer;
  readonly counters: EngineCounters;
  /**
   * Publishes a slot in a peer's ring: one plain store, or an exchange where the kernel has no
   * barrier for the sleeper to use (docs/shared-memory.md).
   */
  publish(word: number, value: number): void;
  /** The connection has failed on this side: tell the peer, flush, report. */
  fail(queuePair: EngineQueuePair): void;
}

/** 64-bit values travel as two words. */
export const TWO_32 = 2 ** 32;
