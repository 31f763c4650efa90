// Local memory that connections keep registered for the next large transfer: an application that uses
// the same buffers again and again then costs no call of its provider each time. Bounded over all
// connections of a switch, least recently used goes first; memory exposed to a peer is never kept, since
// it must be out of reach when its transfer ends. Knows no provider: owners register and deregister.
// Sources: MEM-01, MEM-07, MEM-08, CACHE-04 to CACHE-06; docs/decisions/0027-registration-cache.md.

/** Whose registrations they are: they are tied to one connected SAN socket. */
export interface RegistrationOwner {
  endRegistration(handle: number): void;
}

export interface CacheBounds {
  readonly entries: number;
  readonly bytes: number;
}

/** One registration: in use by transfers, or idle in the cache. */
export class CachedRegistration {
  users = 1;
  /** Its memory is going or its owner is: not to be found again. */
  isDropped = false;
  readonly #block: ArrayBufferLike;
  readonly #start: number;
  readonly #end: number;

  constructor(
    readonly owner: RegistrationOwner,
    readonly handle: number,
    readonly memory: Uint8Array,
  ) {
    this.#block = memory.buffer;
    this.#start = memory.byteOffset;
    this.#end = memory.byteOffset + memory.length;
  }

  get bytes(): number {
    return this.#end - this.#start;
  }

  covers({ buffer, byteOffset, length }: Uint8Array): boolean {
    return buffer === this.#block && byteOffset >= this.#start && byteOffset + length <= this.#end;
  }

  touches({ buffer, byteOffset, length }: Uint8Array): boolean {
    return buffer === this.#block && byteOffset < this.#end && byteOffset + length > this.#start;
  }
}

export class RegistrationCache {
  readonly #bounds: CacheBounds;
  readonly #byOwner = new Map<RegistrationOwner, Set<CachedRegistration>>();
  /** Used by no transfer, least recently used first. */
  readonly #idle = new Set<CachedRegistration>();
  #idleBytes = 0;

  constructor(bounds: CacheBounds) {
    this.#bounds = bounds;
  }

  get idleCount(): number {
    return this.#idle.size;
  }

  get idleBytes(): number {
    return this.#idleBytes;
  }

  /** A registration of `owner` that covers `memory`, in use from now on; null when there is none. */
  take(owner: RegistrationOwner, memory: Uint8Array): CachedRegistration | null {
    for (const entry of this.#byOwner.get(owner) ?? []) {
      if (!entry.covers(memory)) continue;
      if (entry.users === 0) this.#wake(entry);
      entry.users++;
      return entry;
    }
    return null;
  }

  /** A registration that `owner` has just made for a transfer. */
  add(owner: RegistrationOwner, handle: number, memory: Uint8Array): CachedRegistration {
    const entry = new CachedRegistration(owner, handle, memory);
    const entries = this.#byOwner.get(owner);
    if (entries === undefined) this.#byOwner.set(owner, new Set([entry]));
    else entries.add(entry);
    return entry;
  }

  /** A transfer has ended: kept for the next, unless there is too much already. */
  giveBack(entry: CachedRegistration): void {
    entry.users--;
    if (entry.users > 0) return;
    if (entry.isDropped) {
      entry.owner.endRegistration(entry.handle);
      return;
    }
    this.#idle.add(entry);
    this.#idleBytes += entry.bytes;
    const { entries, bytes } = this.#bounds;
    for (const oldest of this.#idle) {
      if (this.#idle.size <= entries && this.#idleBytes <= bytes) return;
      this.#drop(oldest);
    }
  }

  /** Ends everything idle: something else could not be registered. Whether there was anything. */
  clear(): boolean {
    const had = this.#idle.size > 0;
    for (const entry of this.#idle) this.#drop(entry);
    return had;
  }

  /** Memory is about to be freed: no registration of any of it stays, but for transfers under way. */
  forgetMemory(memory: Uint8Array): void {
    for (const entries of this.#byOwner.values()) {
      for (const entry of entries) if (entry.touches(memory)) this.#drop(entry);
    }
  }

  /** The socket of `owner` is about to be closed. [MEM-08] */
  forgetOwner(owner: RegistrationOwner): void {
    for (const entry of this.#byOwner.get(owner) ?? []) this.#drop(entry);
    this.#byOwner.delete(owner);
  }

  #wake(entry: CachedRegistration): void {
    this.#idle.delete(entry);
    this.#idleBytes -= entry.bytes;
  }

  #drop(entry: CachedRegistration): void {
    const entries = this.#byOwner.get(entry.owner);
    entries?.delete(entry);
    if (entries?.size === 0) this.#byOwner.delete(entry.owner);
    entry.isDropped = true;
    if (entry.users > 0) return;
    this.#wake(entry);
    entry.owner.endRegistration(entry.handle);
  }
}
