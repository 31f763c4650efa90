// Times of single operations, recorded while they are measured: a logarithmic histogram in one fixed
// array, exact extremes and sums beside it. Recording allocates nothing and takes a few nanoseconds.
// It must not know what is timed.

/** Buckets per power of two: a percentile is off by less than 1/128. */
const SUB_BITS = 7;
const SUB_COUNT = 1 << SUB_BITS;
/** Up to 2^37 ns, some two minutes. */
const POWERS = 31;
const BUCKETS = POWERS * SUB_COUNT;

/** A histogram as plain data: pairs of a bucket's lowest value and its count. */
export interface HistogramData {
  readonly count: number;
  readonly sum: number;
  readonly sumOfSquares: number;
  readonly min: number;
  readonly max: number;
  readonly buckets: readonly (readonly [value: number, count: number])[];
}

export class Histogram {
  readonly #counts = new Float64Array(BUCKETS);
  #count = 0;
  #sum = 0;
  #sumOfSquares = 0;
  #min = Infinity;
  #max = 0;

  /** Nanoseconds; what is below 0 (a clock read cheaper than its usual cost) counts as 0. */
  record(nanos: number): void {
    const value = nanos > 0 ? nanos : 0;
    this.#count++;
    this.#sum += value;
    this.#sumOfSquares += value * value;
    if (value < this.#min) this.#min = value;
    if (value > this.#max) this.#max = value;
    const index = bucketOf(value);
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
  }

  get count(): number {
    return this.#count;
  }

  get min(): number {
    return this.#count === 0 ? Number.NaN : this.#min;
  }

  get max(): number {
    return this.#max;
  }

  get mean(): number {
    return this.#sum / this.#count;
  }

  get stdev(): number {
    if (this.#count < 2) return 0;
    return Math.sqrt(Math.max(0, this.#sumOfSquares / this.#count - this.mean ** 2));
  }

  /** The value that `percent` of the recorded ones do not exceed; NaN of nothing. */
  percentile(percent: number): number {
    const wanted = Math.max(1, Math.ceil((percent / 100) * this.#count));
    let seen = 0;
    for (let index = 0; index < BUCKETS; index++) {
      seen += this.#counts[index] ?? 0;
      if (seen < wanted) continue;
      const middle = (lowestOf(index) + lowestOf(index + 1)) / 2;
      return Math.min(this.#max, Math.max(this.#min, middle));
    }
    return Number.NaN;
  }

  merge(other: HistogramData): void {
    for (const [value, count] of other.buckets) {
      const index = bucketOf(value);
      this.#counts[index] = (this.#counts[index] ?? 0) + count;
    }
    this.#count += other.count;
    this.#sum += other.sum;
    this.#sumOfSquares += other.sumOfSquares;
    if (other.count > 0) this.#min = Math.min(this.#min, other.min);
    this.#max = Math.max(this.#max, other.max);
  }

  data(): HistogramData {
    const buckets: [number, number][] = [];
    for (let index = 0; index < BUCKETS; index++) {
      const count = this.#counts[index] ?? 0;
      if (count > 0) buckets.push([lowestOf(index), count]);
    }
    return {
      count: this.#count,
      sum: this.#sum,
      sumOfSquares: this.#sumOfSquares,
      min: this.#count === 0 ? 0 : this.#min,
      max: this.#max,
      buckets,
    };
  }
}

export function mergeHistograms(all: readonly HistogramData[]): Histogram {
  const merged = new Histogram();
  for (const one of all) merged.merge(one);
  return merged;
}

/** Values from here on do not fit the fast arithmetic. */
const FAST_MAX = 2 ** 31;

/** Below SUB_COUNT one bucket per nanosecond, then SUB_COUNT of them per power of two. */
function bucketOf(value: number): number {
  if (value < SUB_COUNT) return value | 0;
  if (value < FAST_MAX) {
    const shift = 31 - SUB_BITS - Math.clz32(value);
    return ((shift + 1) << SUB_BITS) + (value >>> shift) - SUB_COUNT;
  }
  const shift = Math.floor(Math.log2(value)) - SUB_BITS;
  if (shift + 1 >= POWERS) return BUCKETS - 1;
  return ((shift + 1) << SUB_BITS) + Math.floor(value / 2 ** shift) - SUB_COUNT;
}

function lowestOf(index: number): number {
  if (index < SUB_COUNT) return index;
  const power = Math.floor(index / SUB_COUNT);
  return (SUB_COUNT + (index % SUB_COUNT)) * 2 ** (power - 1);
}
