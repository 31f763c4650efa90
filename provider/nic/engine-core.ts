// What the parts of one engine share.

import type { SharedView } from '../../native/shared-view.js';
import type { Clock } from '../../runtime/clock.js';
import type { BounceBuffer } from './bounce.js';
import type { LinkTime } from './cost-model.js';
import type { EngineQueuePair } from './engine-queue-pair.js';
import type { Mover, OwnMemory } from './mover.js';
import type { RegionTable } from './regions.js';

/** Events worth knowing of and rare enough to count. Messages and bytes are counted at the SPI. */
export interface EngineCounters {
  protocolErrors: number;
  /** Messages that found no receive; however often they were tried. */
  receiverNotReady: number;
}

export interface EngineCore {
  readonly view: SharedView;
  readonly own: OwnMemory;
  readonly regions: RegionTable;
  readonly mover: Mover;
  readonly bounce: BounceBuffer;
  readonly counters: EngineCounters;
  readonly clock: Clock;
  /** Null without a cost model. */
  readonly link: LinkTime | null;
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

/** The address in a scatter/gather element or reference at word `entry`. */
export function addressAt(words: Int32Array, entry: number): number {
  return ((words[entry + 1] as number) >>> 0) * TWO_32 + ((words[entry] as number) >>> 0);
}
