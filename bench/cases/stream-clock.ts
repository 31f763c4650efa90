// What counts of a stream: what lies between two margins, or everything up to the far side's word that the
// last message is there; of that, the slices in which nobody was kept from running.

import { now } from '../machine.js';
import type { PayloadSequence } from '../payload.js';
import type { CasePlan } from '../plan.js';
import type { Slices } from '../slices.js';
import { isEnough, SLICE_NANOS } from '../slices.js';
import type { Measured } from './case.js';

interface Stretch {
  nanos: number;
  count: number;
  bytes: number;
}

const nothing = (): Stretch => ({ nanos: 0, count: 0, bytes: 0 });

export interface StreamStart {
  readonly slices: Slices;
  /** Operations between two stamps. */
  readonly chunk: number;
  /** Operations that are done by now. */
  readonly count: number;
  /** Default: the machine's clock. */
  readonly time?: () => number;
}

/** Counts are of operations that are done, not of those that were started. */
export class StreamClock {
  readonly #plan: CasePlan;
  readonly #sequence: PayloadSequence;
  readonly #slices: Slices;
  readonly #time: () => number;
  readonly #chunk: number;
  readonly #end: number;
  readonly #countsFrom: number;
  readonly #countsUntil: number;
  readonly #slice = nothing();
  readonly #kept = nothing();
  readonly #lost = nothing();
  /** Bytes per nanosecond of the best whole slice. */
  #peak = 0;
  #isOpen: boolean;
  #isFinished = false;
  #left: number;
  #lastNanos: number;
  #lastCount: number;

  constructor(
    plan: CasePlan,
    sequence: PayloadSequence,
    { slices, chunk, count, time = now }: StreamStart,
  ) {
    this.#time = time;
    this.#plan = plan;
    this.#sequence = sequence;
    this.#slices = slices;
    this.#chunk = chunk;
    // The last message of sends is started apart.
    this.#left = plan.iterations - (plan.operation === 'send' ? 1 : 0);
    this.#isOpen = plan.duration !== null || this.#left > 0;
    const { nanos, marginNanos } = plan.duration ?? { nanos: Infinity, marginNanos: 0 };
    const begin = time();
    this.#end = begin + nanos;
    this.#countsFrom = begin + marginNanos;
    this.#countsUntil = this.#end - marginNanos;
    slices.begin(begin);
    [this.#lastNanos, this.#lastCount] = [begin, count];
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** How many to start before the next stamp. */
  next(): number {
    return this.#plan.duration === null ? Math.min(this.#left, this.#chunk) : this.#chunk;
  }

  /** `started` more were started, `count` are done by now. */
  stamp(started: number, count: number): void {
    const time = this.#time();
    const isCounted = this.#lastNanos >= this.#countsFrom && time <= this.#countsUntil;
    if (isCounted) this.#add(time, count);
    [this.#lastNanos, this.#lastCount] = [time, count];
    if (this.#plan.duration !== null) this.#isOpen = time < this.#end;
    else this.#isOpen = (this.#left -= started) > 0;
    // What the look costs counts for the next slice: the stream goes on meanwhile.
    if (this.#slices.isOver(time)) this.#endSlice(time);
  }

  get isBreathDue(): boolean {
    return this.#slices.isBreathDue(this.#lastNanos);
  }

  /** The stream goes on meanwhile, so what it takes counts. */
  breathe(): Promise<void> {
    return this.#slices.breathe(this.#lastNanos);
  }

  /** All are done, and the far side has said that everything is there. */
  finish(count: number): void {
    if (this.#isFinished) return;
    this.#isFinished = true;
    const time = this.#time();
    // Where nothing has ended between the margins, everything counts.
    const isEmpty = this.#slice.nanos + this.#kept.nanos + this.#lost.nanos === 0;
    if (this.#plan.duration === null || isEmpty) this.#add(time, count);
    this.#endSlice(time);
  }

  measured(digest: string, directions: number): Measured {
    const slices = this.#slices.count;
    const kept = this.#kept;
    if (!isEnough(slices)) addTo(kept, this.#lost);
    return {
      operations: kept.count * directions,
      bytes: kept.bytes * directions,
      nanos: kept.nanos,
      times: null,
      peak: this.#peak === 0 ? null : this.#peak * directions,
      digest,
      details: {},
      slices,
    };
  }

  #add(time: number, count: number): void {
    const slice = this.#slice;
    const nanos = time - this.#lastNanos;
    const moved = count - this.#lastCount;
    const bytes = this.#sequence.totalBytes(count) - this.#sequence.totalBytes(this.#lastCount);
    slice.nanos += nanos;
    slice.count += moved;
    slice.bytes += bytes;
  }

  #endSlice(time: number): void {
    if (this.#slice.nanos === 0) return this.#slices.begin(time);
    const slice = this.#slice;
    const isKept = this.#slices.end(time);
    addTo(isKept ? this.#kept : this.#lost, slice);
    // In less time than a slice, what had piled up while nobody looked would count as one moment's.
    if (isKept && slice.nanos >= SLICE_NANOS) {
      this.#peak = Math.max(this.#peak, slice.bytes / slice.nanos);
    }
    Object.assign(slice, nothing());
  }
}

function addTo(sum: Stretch, more: Stretch): void {
  sum.nanos += more.nanos;
  sum.count += more.count;
  sum.bytes += more.bytes;
}
