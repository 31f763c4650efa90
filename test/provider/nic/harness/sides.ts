// A connection for tests of one-sided RDMA: memory on both sides, and the calls that are done when they
// return. It must not assert anything itself.

import type { QueuePair } from '../../../../provider/nic/device.js';
import { SharedQueuePair } from '../../../../provider/nic/queue-pair.js';
import type { Block, End, Region } from './end.js';
import { LocalEnd } from './end.js';
import type { Connection, Pair } from './pair.js';
import { registered } from './pair.js';

/** Of either side. */
export const SIDE_BYTES = 8192;

export interface Memory {
  readonly block: Block;
  readonly region: Region;
}

/** A connection of two ends in this process, with memory on both sides; nothing has been sent over it. */
export class Sides {
  readonly pair: Pair;
  readonly connection: Connection;
  readonly near: Memory;
  readonly far: Memory;

  private constructor(pair: Pair, connection: Connection, near: Memory, far: Memory) {
    this.pair = pair;
    this.connection = connection;
    this.near = near;
    this.far = far;
  }

  static async open(pair: Pair, access?: number): Promise<Sides> {
    const connection = await pair.connect();
    const near = await registered(pair.near, connection.near, { bytes: SIDE_BYTES });
    const options = access === undefined ? { bytes: SIDE_BYTES } : { bytes: SIDE_BYTES, access };
    const far = await registered(pair.far, connection.far, options);
    return new Sides(pair, connection, near, far);
  }

  get queuePair(): QueuePair {
    return this.pair.near.queuePairOf(this.connection.near);
  }

  /** Word index of what the far end says of its queue pair. */
  get farState(): number {
    return stateWordOf(this.pair.far, this.connection.far);
  }

  get words(): Int32Array {
    return this.pair.machine.loop.arena.view.words;
  }

  write(offset: number, length: number, to: { region?: Region; offset?: number } = {}): boolean {
    const { region = this.far.region } = to;
    const { address, localKey } = this.near.region;
    const target = region.address + (to.offset ?? offset);
    return this.queuePair.injectWrite(
      address + offset,
      length,
      localKey | 0,
      target,
      region.remoteKey | 0,
    );
  }

  read(offset: number, length: number): boolean {
    const { near, far, queuePair } = this;
    const source = far.region.address + offset;
    const { address, localKey } = near.region;
    return queuePair.injectRead(
      address + offset,
      length,
      localKey | 0,
      source,
      far.region.remoteKey | 0,
    );
  }

  async fill(value: number): Promise<void> {
    await this.pair.near.write(this.near.block.id, 0, new Uint8Array(SIDE_BYTES).fill(value));
  }

  farBytes(offset = 0, length = SIDE_BYTES): Promise<Uint8Array> {
    return this.pair.far.read(this.far.block.id, offset, length);
  }

  async close(): Promise<void> {
    await this.pair.disconnect(this.connection);
    await this.pair.near.release(this.near.block.id);
    await this.pair.far.release(this.far.block.id);
  }
}

/** Word index of what an end of this process says of a queue pair. */
export function stateWordOf(end: End, slot: number): number {
  const queuePair = end instanceof LocalEnd ? end.queuePairOf(slot) : null;
  if (!(queuePair instanceof SharedQueuePair)) throw new Error('the end is in another process');
  return queuePair.stateWord;
}
