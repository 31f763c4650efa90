// The machine under the benchmarks: its clock, which core a thread runs on, and its floors, which are what
// two processes reach with bare C++ on the same shared memory. The only file of bench/ and cli/ that
// reaches the addon. It must not know what is measured against the floors.

import { unlinkSync } from 'node:fs';
import { check } from '../native/errors.js';
import { native } from '../native/load.js';

export { sweepFabrics } from '../native/fabric-directory.js';

/** CLOCK_MONOTONIC in nanoseconds, the same in every process. */
export const now = (): number => native.now();

/** CPU time of this process, all threads, in nanoseconds. */
export const cpuNanos = (): number => native.cpuTime();

/** The cores that this thread may use, first two of which the sides are pinned to. */
export function pinnedCores(): readonly number[] | null {
  return allCores.length >= 2 ? allCores.slice(0, 2) : null;
}

const allCores = native.affinity();

/** Pins this thread to the first (side 0) or second (side 1) core it may use. False: there is one only. */
export function pinToSide(side: 0 | 1): boolean {
  const core = allCores[side];
  if (allCores.length < 2 || core === undefined) return false;
  check(native.setAffinity([core]), 'sched_setaffinity');
  return true;
}

/** Takes the pin of this thread away, so that threads it starts spread over the cores. */
export function unpin(): void {
  check(native.setAffinity(allCores), 'sched_setaffinity');
}

const PAGE = 4096;
/** The rotation of the copy floor: as many buffers as the transfers rotate over, on each side. */
const COPY_SLOTS = 16;
const COPY_BYTES = COPY_SLOTS << 20;
const CACHE_LINE = 64;
/** Ping-pongs between two calls of `reset`. */
export const BURSTS_MAX = PAGE / CACHE_LINE;
const FLOOR_BYTES = 2 * PAGE + 2 * COPY_BYTES;

/**
 * Memory of two processes for the floors. The file has no name any more when this returns: the other
 * process gets the descriptor, and nothing can be left behind.
 */
export class FloorMemory {
  readonly #arena: ArrayBuffer;
  readonly #address: number;
  readonly fd: number;

  private constructor(fd: number) {
    const arena = native.arenaCreate(FLOOR_BYTES);
    if (typeof arena === 'number') throw systemFailure(arena);
    check(native.arenaMap(arena, 0, fd, FLOOR_BYTES), 'mmap', 'memory of the floors');
    this.#arena = arena;
    this.#address = native.arenaAddress(arena);
    this.fd = fd;
  }

  /** Throws SystemError, such as ENOSPC. */
  static create(): FloorMemory {
    const path = `/dev/shm/wsd-floor-${process.pid}-${native.now()}`;
    const fd = check(native.segmentCreate(path, FLOOR_BYTES), 'open', path);
    unlinkSync(path);
    try {
      check(native.segmentCommit(fd, 0, FLOOR_BYTES), 'fallocate', `${FLOOR_BYTES} bytes`);
      return new FloorMemory(fd);
    } catch (thrown) {
      native.closeDescriptor(fd);
      throw thrown;
    }
  }

  /** The same memory in the other process, by the descriptor that it inherited. */
  static adopt(fd: number): FloorMemory {
    return new FloorMemory(fd);
  }

  close(): void {
    native.arenaUnmap(this.#arena, 0, FLOOR_BYTES);
    native.closeDescriptor(this.fd);
  }

  /** Sets the words of the ping-pong to zero: before both sides begin. */
  reset(): void {
    new Uint8Array(this.#arena, 0, 2 * PAGE).fill(0);
  }

  /**
   * One side of a spinning ping-pong in C++: the median round trip in nanoseconds for side 0. Each burst
   * has words of its own, so that neither side has to set them back in between.
   */
  spin(side: 0 | 1, rounds: number, burst = 0): number {
    const [ping, pong] = this.#wordsOf(burst);
    return check(native.spinPingPong(ping, pong, side, rounds), 'spinPingPong');
  }

  /** The same, sleeping on futexes. */
  futex(side: 0 | 1, rounds: number, burst = 0): number {
    const [ping, pong] = this.#wordsOf(burst);
    return check(native.futexPingPong(ping, pong, side, rounds), 'futexPingPong');
  }

  #wordsOf(burst: number): readonly [ping: number, pong: number] {
    if (burst >= BURSTS_MAX) throw new TypeError('more bursts than words');
    const ping = this.#address + burst * CACHE_LINE;
    return [ping, ping + PAGE];
  }

  /**
   * Copies `count` times `bytes`, rotating over `slots` buffers of each side as transfers do, or over as
   * many as there is room for. Bytes per nanosecond.
   */
  copy(bytes: number, count: number, slots = COPY_SLOTS): number {
    const source = this.#address + 2 * PAGE;
    const stride = Math.ceil(bytes / CACHE_LINE) * CACHE_LINE;
    const piece = Math.min(stride, COPY_BYTES);
    const pieceCount = Math.ceil(bytes / piece);
    const length = Math.min(bytes, piece);
    const nanos = native.copyRate(
      source + COPY_BYTES,
      source,
      length,
      piece,
      Math.max(1, Math.min(slots, Math.floor(COPY_BYTES / piece))),
      count * pieceCount,
    );
    return (length * count * pieceCount) / check(nanos, 'copyRate');
  }
}

/** Memory as `new Uint8Array` gives it, which another process reaches through the kernel alone. */
export class OrdinaryMemory {
  readonly pid = process.pid;
  readonly address: number;
  readonly #buffer: ArrayBuffer;

  constructor(bytes: number) {
    this.#buffer = new ArrayBuffer(bytes);
    new Uint8Array(this.#buffer).fill(1);
    this.address = native.addressOf(this.#buffer);
    // Only what is accounted for may be copied to.
    check(native.pinUnlocked(this.address, bytes), 'pin');
  }

  free(): void {
    check(native.unpin(this.address, this.#buffer.byteLength), 'unpin');
  }

  /** Copies the same stretch of another process's memory here. Throws SystemError. */
  pull(other: Pick<OrdinaryMemory, 'pid' | 'address'>, offset: number, length: number): void {
    const [here, there] = [this.address + offset, other.address + offset];
    check(native.move(0, here, other.pid, there, length), 'process_vm_readv');
  }
}

function systemFailure(result: number): Error {
  try {
    check(result, 'mmap', 'an arena for the floors');
  } catch (thrown) {
    if (thrown instanceof Error) return thrown;
  }
  return new Error('no arena for the floors');
}
