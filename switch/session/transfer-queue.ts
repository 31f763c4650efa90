// Numbers of announced transfers in the order of the stream: a ring that never grows, as long as there
// are slots. Knows nothing of what was announced.

export class TransferQueue {
  readonly #numbers: Int32Array;
  #head = 0;
  #count = 0;

  constructor(slots: number) {
    this.#numbers = new Int32Array(slots);
  }

  get count(): number {
    return this.#count;
  }

  /** Only where there is one. */
  get oldest(): number {
    return this.#numbers[this.#head] as number;
  }

  push(transfer: number): void {
    this.#numbers[(this.#head + this.#count) % this.#numbers.length] = transfer;
    this.#count++;
  }

  drop(): void {
    this.#head = (this.#head + 1) % this.#numbers.length;
    this.#count--;
  }

  /** Oldest first. */
  save(): number[] {
    return Array.from({ length: this.#count }, (_, index) => {
      return this.#numbers[(this.#head + index) % this.#numbers.length] as number;
    });
  }
}
