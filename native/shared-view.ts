// The only way to read and write shared words, with the memory order in the verb. It must not know
// what the words mean.
//
// On x64 an aligned 32-bit load is an acquire and a store a release in hardware, and V8 keeps
// accesses to typed arrays in program order, so plain accesses do (0.7 ns; Atomics.load takes 7.5
// ns). Elsewhere the ordered verbs are Atomics. Which class it is gets decided once, so that the
// hot path stays monomorphic. Neither orders a store before a later load of another word: that
// takes `exchange`, or the sleeper's barrier (docs/shared-memory.md, "Sleeping").
//
// An index outside the arena reads 0 and writes nothing; with WSD_CHECKED=1 it throws RangeError.

/**
 * Words and bytes of one arena. Indices are in 32-bit words, word values are signed. Any thread.
 */
export interface SharedView {
  readonly words: Int32Array;
  readonly bytes: Uint8Array;
  /**
   * The same memory, eight bytes at a time, for copies alone: V8 moves the elements of a Float64Array
   * without looking at them, so every bit pattern arrives as it was (a test holds it to that).
   */
  readonly doubles: Float64Array;
  /** Reads a word that no other thread writes meanwhile, or whose order does not matter. */
  loadPlain(index: number): number;
  /** Reads a word; later accesses of this thread see what was written before its release. */
  loadAcquire(index: number): number;
  /** Writes a word that nobody else looks at before a later release. */
  storePlain(index: number, value: number): void;
  /** Writes a word after everything this thread wrote before. */
  storeRelease(index: number, value: number): void;
  /** Replaces a word, returns the old value. A full fence. */
  exchange(index: number, value: number): number;
  /** Replaces a word if it holds `expected`; returns what it held. A full fence. */
  compareExchange(index: number, expected: number, value: number): number;
  /** Sets bits; returns the old value. A full fence. */
  or(index: number, bits: number): number;
  /** Keeps only the given bits; returns the old value. A full fence. */
  and(index: number, bits: number): number;
  /** Reads two words as one number below 2^53. Not atomic: another word must publish the pair. */
  load64(index: number): number;
  /** Writes a number from 0 to 2^53 - 1 as two words, the low one first. Not atomic. */
  store64(index: number, value: number): void;
  /** Copies bytes inside the arena. The ranges may overlap. */
  copy(targetByte: number, sourceByte: number, length: number): void;
}

const TWO_32 = 2 ** 32;

/**
 * Up to here four words at a time beat copyWithin, whose call alone costs about 20 ns (64 bytes:
 * 13 to 25 ns).
 */
const WORD_COPY_BYTES_MAX = 64;

class PlainSharedView implements SharedView {
  readonly words: Int32Array;
  readonly bytes: Uint8Array;
  readonly doubles: Float64Array;

  constructor(buffer: ArrayBuffer) {
    this.doubles = new Float64Array(buffer, 0, Math.floor(buffer.byteLength / 8));
    this.words = new Int32Array(buffer, 0, Math.floor(buffer.byteLength / 4));
    this.bytes = new Uint8Array(buffer);
  }

  loadPlain(index: number): number {
    return (this.words[index] as number) | 0;
  }

  loadAcquire(index: number): number {
    return (this.words[index] as number) | 0;
  }

  storePlain(index: number, value: number): void {
    this.words[index] = value;
  }

  storeRelease(index: number, value: number): void {
    this.words[index] = value;
  }

  exchange(index: number, value: number): number {
    return Atomics.exchange(this.words, index, value);
  }

  compareExchange(index: number, expected: number, value: number): number {
    return Atomics.compareExchange(this.words, index, expected, value);
  }

  or(index: number, bits: number): number {
    return Atomics.or(this.words, index, bits);
  }

  and(index: number, bits: number): number {
    return Atomics.and(this.words, index, bits);
  }

  load64(index: number): number {
    return this.loadPlain(index + 1) * TWO_32 + (this.loadPlain(index) >>> 0);
  }

  store64(index: number, value: number): void {
    this.storePlain(index, value | 0);
    this.storePlain(index + 1, Math.floor(value / TWO_32) | 0);
  }

  copy(targetByte: number, sourceByte: number, length: number): void {
    const isSmall = length <= WORD_COPY_BYTES_MAX && ((targetByte | sourceByte | length) & 3) === 0;
    // Ascending order is right unless the target starts inside the source.
    if (isSmall && (targetByte <= sourceByte || targetByte >= sourceByte + length)) {
      this.copyWords(targetByte >>> 2, sourceByte >>> 2, length >>> 2);
    } else {
      this.bytes.copyWithin(targetByte, sourceByte, sourceByte + length);
    }
  }

  private copyWords(target: number, source: number, count: number): void {
    const words = this.words;
    let at = 0;
    for (; at + 4 <= count; at += 4) {
      const first = words[source + at] as number;
      const second = words[source + at + 1] as number;
      const third = words[source + at + 2] as number;
      const fourth = words[source + at + 3] as number;
      words[target + at] = first;
      words[target + at + 1] = second;
      words[target + at + 2] = third;
      words[target + at + 3] = fourth;
    }
    for (; at < count; at++) words[target + at] = words[source + at] as number;
  }
}

/** For machines whose plain accesses are weakly ordered. */
class AtomicSharedView extends PlainSharedView {
  override loadAcquire(index: number): number {
    return Atomics.load(this.words, index);
  }

  override storeRelease(index: number, value: number): void {
    Atomics.store(this.words, index, value);
  }
}

/** Throws RangeError where the others read 0 or write nothing. For tests. */
class CheckedSharedView extends AtomicSharedView {
  override loadPlain(index: number): number {
    return super.loadPlain(this.inside(index));
  }

  override loadAcquire(index: number): number {
    return super.loadAcquire(this.inside(index));
  }

  override storePlain(index: number, value: number): void {
    super.storePlain(this.inside(index), value);
  }

  override storeRelease(index: number, value: number): void {
    super.storeRelease(this.inside(index), value);
  }

  override copy(targetByte: number, sourceByte: number, length: number): void {
    const limit = this.bytes.length - length;
    if (
      !(
        length >= 0 &&
        targetByte >= 0 &&
        sourceByte >= 0 &&
        Math.max(targetByte, sourceByte) <= limit
      )
    ) {
      throw new RangeError(
        `copy of ${length} bytes from ${sourceByte} to ${targetByte} leaves the arena`,
      );
    }
    super.copy(targetByte, sourceByte, length);
  }

  private inside(index: number): number {
    if (Number.isInteger(index) && index >= 0 && index < this.words.length) return index;
    throw new RangeError(`word ${index} lies outside the arena of ${this.words.length} words`);
  }
}

export type SharedViewConstructor = new (buffer: ArrayBuffer) => SharedView;

/** Every implementation, for the tests that show that they agree. */
export const sharedViewVariants: Readonly<
  Record<'plain' | 'atomic' | 'checked', SharedViewConstructor>
> = {
  plain: PlainSharedView,
  atomic: AtomicSharedView,
  checked: CheckedSharedView,
};

function variantForThisMachine(): keyof typeof sharedViewVariants {
  if (process.env['WSD_CHECKED'] === '1') return 'checked';
  return process.arch === 'x64' || process.arch === 'ia32' ? 'plain' : 'atomic';
}

export const SharedView: SharedViewConstructor = sharedViewVariants[variantForThisMachine()];
