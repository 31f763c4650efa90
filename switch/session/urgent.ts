// Urgent bytes that have not been read, and their places in the stream. Knows neither messages nor
// requests: one of these is for bytes that are read apart from the stream (Inbound), one for the places
// of those that are part of it (Arrived). Bounded: as in TCP, what nobody fetches is lost to what is
// newer. Source: OOB-02, W8.1.13, W14.9.

/** Urgent bytes kept for a reader; Windows keeps several, TCP elsewhere one. */
const URGENT_BYTES_MAX = 64;

export class UrgentBytes {
  /** As many as there ever were at once: most connections have none. */
  readonly #bytes: number[] = [];
  /** Bytes of the store before each, as a 32-bit total. */
  readonly #places: number[] = [];
  #head = 0;
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** The oldest; only where there is one. */
  get byte(): number {
    return this.#bytes[this.#head] as number;
  }

  get place(): number {
    return this.#places[this.#head] as number;
  }

  add(byte: number, place: number): void {
    if (this.#count === URGENT_BYTES_MAX) this.drop();
    const at = (this.#head + this.#count) % URGENT_BYTES_MAX;
    this.#bytes[at] = byte;
    this.#places[at] = place;
    this.#count++;
  }

  /** Forgets the oldest. */
  drop(): void {
    this.#head = (this.#head + 1) % URGENT_BYTES_MAX;
    this.#count--;
  }

  /** Bytes and places in turn, oldest first. */
  save(): number[] {
    const pairs: number[] = [];
    for (let index = 0; index < this.#count; index++) {
      const at = (this.#head + index) % URGENT_BYTES_MAX;
      pairs.push(this.#bytes[at] as number, this.#places[at] as number);
    }
    return pairs;
  }

  load(pairs: readonly number[]): void {
    for (let index = 0; index + 1 < pairs.length; index += 2) {
      this.add(pairs[index] as number, pairs[index + 1] as number);
    }
  }

  clear(): void {
    this.#count = 0;
  }
}
