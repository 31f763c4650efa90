// The memory that a provider was told of: local registrations and exposures to the peer, where each was
// made and given up, and whether the memory below has gone since. Memory has generations: what is
// registered again after it was freed is something new. Sources: REGMEM, REGRDMA, MEM-05, CACHE-02.

import { MEM_READ, MEM_WRITE } from '../../spi/ws2san.js';
import type { Place } from './stops.js';

/** A range of one ArrayBuffer, with the places of its life. */
export class Range {
  readonly memory: ArrayBufferLike;
  readonly begin: number;
  readonly end: number;
  readonly made: Error;
  references = 1;
  /** Transfers that use it now. */
  busy = 0;
  /** Given back by its owner; null while it is registered. */
  ended: Error | null = null;
  /** When that was, in the world's time. */
  endedAt = Infinity;
  /** The memory was freed under it; null while it was not. */
  freed: Error | null = null;

  constructor(
    readonly buffer: Uint8Array,
    length: number,
    readonly flags: number,
  ) {
    this.memory = buffer.buffer;
    this.begin = buffer.byteOffset;
    this.end = buffer.byteOffset + length;
    this.made = new Error('registered here');
  }

  get isLive(): boolean {
    return this.ended === null;
  }

  /** Freed through the host, or transferred, moved or detached behind everybody's back. */
  get isStale(): boolean {
    return this.freed !== null || (this.memory.byteLength === 0 && this.end > this.begin);
  }

  covers(bytes: Uint8Array, length: number): boolean {
    const { buffer, byteOffset } = bytes;
    if (buffer !== this.memory) return false;
    // A view of detached memory has lost its place: it counts as covered, and is stale.
    if (buffer.byteLength === 0) return true;
    return byteOffset >= this.begin && byteOffset + length <= this.end;
  }

  touches(bytes: Uint8Array): boolean {
    return (
      bytes.buffer === this.memory &&
      bytes.byteOffset < this.end &&
      bytes.byteOffset + bytes.byteLength > this.begin
    );
  }

  allows(right: 'read' | 'write'): boolean {
    return (this.flags & (right === 'read' ? MEM_READ : MEM_WRITE)) !== 0;
  }

  /** Where it was made, and where it ended or lost its memory. */
  places(): Place[] {
    const places = [placeOf('registered here', this.made)];
    if (this.ended !== null) places.push(placeOf('deregistered here', this.ended));
    if (this.freed !== null) places.push(placeOf('freed here', this.freed));
    else if (this.isStale) places.push({ what: 'detached, moved or transferred since', stack: '' });
    return places;
  }
}

export function placeOf(what: string, error: Error): Place {
  return { what, stack: error.stack ?? '' };
}

/** How many ended registrations of a socket are remembered, to say what became of them. */
const FORMER_MAX = 32;

/** The registrations of one socket. */
export class SocketMemory {
  readonly byHandle = new Map<number, Range>();
  readonly #former: Range[] = [];
  #latest: Range | null = null;

  add(handle: number, buffer: Uint8Array, length: number, flags: number): void {
    const same = this.byHandle.get(handle);
    if (same !== undefined && same.covers(buffer, length) && !same.isStale) {
      same.references++;
      return;
    }
    this.byHandle.set(handle, new Range(buffer, length, flags));
  }

  /** The registration really ends with the last of its references. */
  remove(handle: number): void {
    const range = this.byHandle.get(handle);
    if (range === undefined || --range.references > 0) return;
    this.byHandle.delete(handle);
    range.ended = new Error('deregistered here');
    this.#former.push(range);
    if (this.#former.length > FORMER_MAX) this.#former.shift();
    if (this.#latest === range) this.#latest = null;
  }

  /** The live registration around some bytes; a stale one only if there is no other. */
  find(bytes: Uint8Array, length: number, right: 'read' | 'write'): Range | null {
    const latest = this.#latest;
    const isGood = (range: Range): boolean => range.covers(bytes, length) && range.allows(right);
    if (latest !== null && !latest.isStale && isGood(latest)) return latest;
    let stale: Range | null = null;
    for (const range of this.byHandle.values()) {
      if (!isGood(range)) continue;
      if (!range.isStale) {
        this.#latest = range;
        return range;
      }
      stale = range;
    }
    return stale;
  }

  /** One that covered the bytes and is registered no more. */
  former(bytes: Uint8Array, length: number): Range | null {
    return this.#former.findLast((range) => range.covers(bytes, length)) ?? null;
  }

  /** Memory goes: whatever touches it is stale from now on. */
  free(bytes: Uint8Array, freed: Error): void {
    for (const range of this.byHandle.values()) if (range.touches(bytes)) range.freed ??= freed;
  }
}

/** How many ended exposures are remembered. */
const ENDED_MAX = 256;

export interface Exposure<Owner> {
  readonly range: Range;
  readonly owner: Owner;
}

/** What peers may reach, by the bytes of descriptors. Shared by all hosts of a verifier. */
export class Exposures<Owner> {
  readonly #byDescriptor = new Map<string, Exposure<Owner>>();
  readonly #ended: string[] = [];
  /** Some that ended are remembered no more: one that is not found may have been one of them. */
  hasForgotten = false;

  add(descriptor: Uint8Array, owner: Owner, memory: Range): void {
    const key = keyOf(descriptor);
    const same = this.#byDescriptor.get(key);
    if (same !== undefined && same.range.isLive && same.owner === owner) same.range.references++;
    else this.#byDescriptor.set(key, { range: memory, owner });
  }

  find(descriptor: Uint8Array): Exposure<Owner> | null {
    return this.#byDescriptor.get(keyOf(descriptor)) ?? null;
  }

  /** One registration less; the last one ends it at `time`. */
  release(descriptor: Uint8Array, time: number): void {
    const key = keyOf(descriptor);
    const range = this.#byDescriptor.get(key)?.range;
    if (range !== undefined && --range.references === 0) this.#end(key, range, time);
  }

  /** Ends all exposures of a socket that is gone. */
  releaseAll(owner: Owner, time: number): void {
    for (const [key, entry] of this.#byDescriptor) {
      if (entry.owner === owner && entry.range.isLive) this.#end(key, entry.range, time);
    }
  }

  free(bytes: Uint8Array, freed: Error): void {
    for (const { range } of this.#byDescriptor.values()) {
      if (range.isLive && range.touches(bytes)) range.freed ??= freed;
    }
  }

  #end(key: string, range: Range, time: number): void {
    range.ended = new Error('deregistered here');
    range.endedAt = time;
    this.#ended.push(key);
    if (this.#ended.length <= ENDED_MAX) return;
    const oldest = this.#ended.shift();
    const isEnded = oldest !== undefined && this.#byDescriptor.get(oldest)?.range.isLive === false;
    if (isEnded) this.#byDescriptor.delete(oldest);
    this.hasForgotten = true;
  }
}

function keyOf(descriptor: Uint8Array): string {
  return Buffer.from(descriptor.buffer, descriptor.byteOffset, descriptor.byteLength).toString(
    'latin1',
  );
}
