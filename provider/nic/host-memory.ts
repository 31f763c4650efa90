// The memory a host gives to its providers and applications: VirtualAlloc from the mapped segment,
// addresses for any buffer, and pins. Belongs to the thread that opened the host.

import { types } from 'node:util';
import type { Arena } from '../../native/arena.js';
import { errno } from '../../native/errors.js';
import type { NativeBinding } from '../../native/binding.js';
import { roundUp } from '../../native/layout/struct.js';
import type { Segment } from '../../native/segment.js';
import { PROCESS_SPACE } from './mover.js';

/** What to do about the memlock limit: fail, go on without the lock, or never lock at all. */
export type PinPolicy = 'require' | 'try' | 'off';

/** An ordinary buffer that is pinned and held; see HostMemory.pinBuffer. */
export interface BufferPin {
  readonly address: number;
  readonly length: number;
  readonly hold: number;
}

/** The hold on shared memory, which is never detached: whoever refers to it keeps it. */
const NO_HOLD = 0;

export class HostMemory {
  readonly #arena: Arena;
  readonly #segment: Segment;
  readonly #native: NativeBinding;
  readonly #policy: PinPolicy;
  readonly #warn: (message: string) => void;
  readonly #page: number;
  /** Blocks of VirtualAlloc by arena offset. */
  readonly #blocks = new Map<number, { readonly bytes: number; readonly isLocked: boolean }>();
  /** Addresses of ordinary ArrayBuffers; asking the addon costs more than remembering. */
  readonly #addresses = new WeakMap<ArrayBufferLike, number>();
  #warned = false;

  constructor(options: {
    arena: Arena;
    segment: Segment;
    native: NativeBinding;
    policy: PinPolicy;
    warn: (message: string) => void;
  }) {
    this.#arena = options.arena;
    this.#segment = options.segment;
    this.#native = options.native;
    this.#policy = options.policy;
    this.#warn = options.warn;
    this.#page = options.native.pageSize();
  }

  /** Blocks handed out and not freed. */
  get blockCount(): number {
    return this.#blocks.size;
  }

  /**
   * Zeroed memory inside the segment, in whole pages, locked as the pin policy says; null when the
   * segment, the shared-memory file system or (policy 'require') the memlock limit has no room.
   */
  readonly VirtualAlloc = (bytes: number): Uint8Array | null => {
    if (!(Number.isInteger(bytes) && bytes > 0)) return null;
    const offset = this.#segment.allocate(roundUp(bytes, this.#page), this.#page);
    if (offset === null) return null;
    const start = this.#segment.offset + offset;
    const locked = this.pin(this.#arena.address + start, bytes);
    if (locked === 'no-resources') {
      this.#segment.free(offset);
      return null;
    }
    this.#blocks.set(start, { bytes, isLocked: locked === 'locked' });
    return new Uint8Array(this.#arena.buffer, start, bytes);
  };

  /** Frees a whole block of VirtualAlloc. False when `memory` does not begin one. */
  readonly VirtualFree = (memory: Uint8Array): boolean => {
    if (memory.buffer !== this.#arena.buffer) return false;
    const block = this.#blocks.get(memory.byteOffset);
    if (block === undefined) return false;
    this.#blocks.delete(memory.byteOffset);
    this.unpin(this.#arena.address + memory.byteOffset, block.bytes);
    this.#segment.free(memory.byteOffset - this.#segment.offset);
    return true;
  };

  /** The process address of the first byte of `buffer`; 0 when it is empty or detached. */
  readonly addressOf = (buffer: Uint8Array): number => {
    const backing = buffer.buffer;
    if (backing.byteLength === 0) return 0;
    if (backing === this.#arena.buffer) return this.#arena.address + buffer.byteOffset;
    let base = this.#addresses.get(backing);
    if (base === undefined) {
      base = this.#native.addressOf(backing);
      this.#addresses.set(backing, base);
    }
    return base === 0 ? 0 : base + buffer.byteOffset;
  };

  /** The address by which the NIC knows the first byte of `buffer`; 0 when it is detached. */
  nicAddressOf(buffer: Uint8Array): number {
    if (buffer.buffer === this.#arena.buffer) {
      const offset = buffer.byteOffset - this.#segment.offset;
      return offset >= 0 && offset < this.#segment.bytes ? offset : 0;
    }
    const address = this.addressOf(buffer);
    return address === 0 ? 0 : PROCESS_SPACE + address;
  }

  /** Whether `buffer` lies in the segment, which is locked as a whole block at VirtualAlloc. */
  isOwn(buffer: Uint8Array): boolean {
    return buffer.buffer === this.#arena.buffer;
  }

  /** Pins a range of this process; see PinPolicy. Every success wants one unpin of the same range. */
  pin(address: number, length: number): 'locked' | 'unlocked' | 'no-resources' {
    if (this.#policy !== 'off') {
      const result = this.#native.pin(address, length);
      if (result >= 0) return 'locked';
      if (this.#policy === 'require') return 'no-resources';
      this.#warnOnce(result);
    }
    return this.#native.pinUnlocked(address, length) >= 0 ? 'unlocked' : 'no-resources';
  }

  unpin(address: number, length: number): void {
    this.#native.unpin(address, length);
  }

  /**
   * Pins the first `length` bytes of a buffer outside the segment and holds its memory: it stays where
   * it is until `unpinBuffer`, whatever becomes of the ArrayBuffer meanwhile.
   */
  pinBuffer(buffer: Uint8Array, length: number): BufferPin | 'invalid-buffer' | 'no-resources' {
    const backing = buffer.buffer;
    const hold = types.isSharedArrayBuffer(backing) ? NO_HOLD : this.#native.hold(backing);
    if (hold < 0) return 'invalid-buffer';
    const address = this.addressOf(buffer);
    if (this.pin(address, length) !== 'no-resources') return { address, length, hold };
    if (hold !== NO_HOLD) this.#native.release(hold);
    return 'no-resources';
  }

  unpinBuffer({ address, length, hold }: BufferPin): void {
    this.unpin(address, length);
    if (hold !== NO_HOLD) this.#native.release(hold);
  }

  /** Frees what is left, when the host closes. */
  close(): void {
    for (const [start, block] of this.#blocks) this.unpin(this.#arena.address + start, block.bytes);
    this.#blocks.clear();
  }

  #warnOnce(result: number): void {
    if (this.#warned) return;
    this.#warned = true;
    const why =
      result === -errno.ENOMEM || result === -errno.EPERM
        ? 'the memlock limit'
        : `errno ${-result}`;
    this.#warn(
      `memory is not locked from here on: ${why} was met (ulimit -l; pin: 'require' makes it an error)`,
    );
  }
}
