// The bounce buffer: where the kernel lets no process reach another's own memory, what does not lie in
// a segment is copied through a buffer that does. Which request goes through it, and the copying; the
// order of its pieces is the requester's.

import type { EngineCore } from './engine-core.js';
import { addressAt } from './engine-core.js';
import type { EngineQueuePair } from './engine-queue-pair.js';
import { Wqe } from './layout.js';
import { SGE_WORDS } from './limits.js';
import { PROCESS_SPACE } from './mover.js';

/** One per engine. */
export interface BounceBuffer {
  /** Offset in the public segment. */
  readonly address: number;
  readonly bytes: number;
  holder: EngineQueuePair | null;
}

/** Whether the peer cannot reach the memory that the request at word `wqe` names. */
export function needsBounce(
  words: Int32Array,
  qp: EngineQueuePair,
  wqe: number,
  sgeCount: number,
): boolean {
  if (qp.peer === null || qp.peer.reachesUs) return false;
  for (let sge = 0; sge < sgeCount; sge++) {
    if (addressAt(words, wqe + Wqe.SGE + sge * SGE_WORDS) >= PROCESS_SPACE) return true;
  }
  return false;
}

/** Copies `length` bytes at `skip` of a request's memory into the bounce buffer, or back. */
export function throughBounce(
  core: EngineCore,
  wqe: number,
  skip: number,
  length: number,
  outward: boolean,
): void {
  const { view, own, mover, bounce } = core;
  const words = view.words;
  let at = own.offset + bounce.address;
  let left = length;
  const sgeCount = ((words[wqe + Wqe.CONTROL] as number) >>> 16) & 0xff;
  for (let sge = 0; sge < sgeCount && left > 0; sge++) {
    const entry = wqe + Wqe.SGE + sge * SGE_WORDS;
    const size = (words[entry + 2] as number) >>> 0;
    if (skip >= size) {
      skip -= size;
      continue;
    }
    const part = Math.min(size - skip, left);
    const address = addressAt(words, entry) + skip;
    if (outward) mover.collect(at, address, part);
    else mover.deliver(at, address, part);
    at += part;
    left -= part;
    skip = 0;
  }
}
