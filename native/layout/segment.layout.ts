// The segment: one shared file per host, mapped by the host itself, by its NIC worker, and by every
// host connected to it. This file states the layout of its header; allocation is segment.ts.
//
//   byte 0                                                              one cache line, written once
//   +--------+---------+------------------+-----------+-----------+------------------+
//   | magic  | version | bytes (u64)      | pid       | address   | generation (u64) |
//   +--------+---------+------------------+-----------+-----------+------------------+
//   byte 64    engine doorbell: written by the sleeper, cleared by whoever wakes it
//   +--------+-----------------------------------------------------------------------+
//   | parked |                                                                       |
//   +--------+-----------------------------------------------------------------------+
//   byte 128   what an engine looks at in every turn
//   +-------------------------------+--------------+---------------------------------+
//   | ready summary (4 words)       | framesWaiting|                                 |
//   +-------------------------------+--------------+---------------------------------+
//              bit i of the summary says that word i of the ready map is not empty; framesWaiting is
//              set by whoever has put a frame into the host's pipe
//   byte 192   ready map: bit n says that queue pair slot n has news for a host that armed it
//   byte 192 + READY_MAP_BYTES …  blocks, handed out by segment.ts in whole cache lines

import { CACHE_LINE_BYTES, field, struct } from './struct.js';

export const SEGMENT_MAGIC = 0x31445357; // "WSD1"
export const SEGMENT_VERSION = 4;

/** Queue pair slots of one host: the bits of the ready map. 128 words of 32 bits, 4 summary words. */
export const QUEUE_PAIR_SLOTS = 4096;
export const READY_MAP_WORDS = QUEUE_PAIR_SLOTS / 32;
export const READY_SUMMARY_WORDS = READY_MAP_WORDS / 32;

export const segmentHeader = struct('SegmentHeader', [
  field('magic', 'u32'),
  field('version', 'u32'),
  field('bytes', 'u64'),
  field('pid', 'u32'),
  field('address', 'u32'),
  field('generation', 'u64'),
  field('engineParked', 'u32', { align: CACHE_LINE_BYTES }),
  field('readySummary', 'u32', { align: CACHE_LINE_BYTES, count: READY_SUMMARY_WORDS }),
  field('framesWaiting', 'u32'),
  field('readyMap', 'u32', { align: CACHE_LINE_BYTES, count: READY_MAP_WORDS }),
]);

/** Values of `engineParked`: how the sleeper wants to be woken. */
export const PARKED_NO = 0;
export const PARKED_FUTEX = 1;
export const PARKED_PIPE = 2;
