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

/** Events worth knowing of and rare enough to count. Messages and bytes are counted at the SPI. */
export interface EngineCounters {
  protocolErrors: number;
  receiverNotReady: number;
}

export interface EngineCore {
  readonly view: SharedView;
  readonly own: OwnMemory;
  readonly regions: RegionTable;
  readonly mover: Mover;
  readonly bounce: BounceBuffer;
  readonly counters: EngineCounters;
  /**
   * Whether a slot is published with a plain store; otherwise with an exchange, because the kernel
   * has no barrier for the sleeper to use (docs/shared-memory.md).
   */
  readonly hasBarrier: boolean;
  /** The connection has failed on this side: tell the peer, flush, report. */
  fail(queuePair: EngineQueuePair): void;
}

/** 64-bit values travel as two words. */
export const TWO_32 = 2 ** 32;
