// lat and scale: round trips on one connection or on many in turn, each timed. The figure is half the
// round trip, but for reads, where nobody answers. The cost of reading the clock is taken off every time.

import type { Endpoint } from '../endpoint.js';
import { Histogram, mergeHistograms } from '../histogram.js';
import type { Answers, RoundTrips } from '../loops/ping-pong.js';
import {
  ReadAnswers,
  ReadRoundTrips,
  SendAnswers,
  SendRoundTrips,
  WriteAnswers,
  WriteRoundTrips,
} from '../loops/ping-pong.js';
import { PromisedRoundTrips, promisedAnswers } from '../loops/promised.js';
import { now } from '../machine.js';
import { Digest, Payload } from '../payload.js';
import type { CasePlan } from '../plan.js';
import type { Slices } from '../slices.js';
import { isEnough, warmUp } from '../slices.js';
import type { Case, Measured } from './case.js';
import { clockNanos } from './case.js';

interface Prepared {
  readonly answers: Answers | null;
  readonly payload: Payload;
  readonly digest: Digest;
}

export const latencyCase: Case<Prepared> = {
  async measure({ endpoints, endpoint }, plan, slices) {
    const digest = new Digest();
    const payload = new Payload(plan.bytes, plan.verify, digest);
    const trips =
      plan.mode === 'promise'
        ? new PromisedRoundTrips(endpoint, payload, plan.operation)
        : roundTrips(endpoints, payload, plan);
    return { ...(await timeAwaited(trips, plan, slices)), digest: digest.value };
  },

  verifyCost: ({ endpoint }, plan) => Payload.cost(endpoint, plan.bytes, plan.verify),

  prepare(endpoints, plan) {
    const digest = new Digest();
    const payload = new Payload(plan.bytes, plan.verify, digest);
    const isPromised = plan.mode === 'promise' && plan.operation === 'send';
    return { answers: isPromised ? null : answers(endpoints, payload, plan), payload, digest };
  },

  async serve({ answers: sync, payload, digest }, endpoints) {
    if (sync === null) await promisedAnswers(only(endpoints), payload);
    else sync.serve();
    return digest.value;
  },
};

function only(endpoints: readonly Endpoint[]): Endpoint {
  const [endpoint] = endpoints;
  if (endpoint === undefined) throw new TypeError('a measurement needs a connection');
  return endpoint;
}

function roundTrips(endpoints: readonly Endpoint[], payload: Payload, plan: CasePlan): RoundTrips {
  if (plan.operation === 'send') return new SendRoundTrips(endpoints, payload);
  if (plan.operation === 'write') return new WriteRoundTrips(only(endpoints), payload);
  return new ReadRoundTrips(only(endpoints), payload);
}

function answers(endpoints: readonly Endpoint[], payload: Payload, plan: CasePlan): Answers {
  if (plan.operation === 'send') return new SendAnswers(endpoints, payload);
  if (plan.operation === 'write') return new WriteAnswers(only(endpoints), payload);
  return new ReadAnswers(only(endpoints), payload);
}

type Timed = Omit<Measured, 'digest'>;

async function timeAwaited(
  trips: RoundTrips | PromisedRoundTrips,
  plan: CasePlan,
  slices: Slices,
): Promise<Timed> {
  await warmUp(plan.warmUp, slices, (count) => trips.run(count));
  const stamps = new Stamps(plan, slices);
  while (stamps.isOpen) {
    const running = trips.run(plan.stampEvery);
    // Only what is a promise is awaited: a turn of the microtasks is longer than some round trips.
    if (running !== undefined) await running;
    stamps.stamp();
    if (stamps.isBreathDue) await stamps.breathe();
  }
  await trips.stop();
  return stamps.measured();
}

/** Stretches of one slice at most: it ends early when there are more. */
const STRETCHES_MAX = 1 << 14;

/**
 * The clock of a ping-pong: one reading per stretch of round trips, from one to the next. Stretches are
 * kept or left out by the slice.
 */
export class Stamps {
  readonly #kept = new Histogram();
  readonly #lost = new Histogram();
  readonly #plan: CasePlan;
  readonly #slices: Slices;
  readonly #clock = clockNanos();
  /** From a whole stretch to the figure of one operation. */
  readonly #share: number;
  readonly #end: number;
  readonly #countsFrom: number;
  readonly #countsUntil: number;
  readonly #begin = now();
  /** The stretches of this slice. */
  readonly #stretches = new Float64Array(STRETCHES_MAX);
  #stretchCount = 0;
  #last = this.#begin;
  #ended = 0;
  #isOpen = true;

  constructor(plan: CasePlan, slices: Slices) {
    this.#plan = plan;
    this.#slices = slices;
    this.#share = (plan.operation === 'read' ? 1 : 0.5) / plan.stampEvery;
    const { nanos, marginNanos } = plan.duration ?? { nanos: Infinity, marginNanos: 0 };
    this.#end = this.#begin + nanos;
    this.#countsFrom = this.#begin + marginNanos;
    this.#countsUntil = this.#end - marginNanos;
    slices.begin(this.#begin);
    this.#last = now();
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  stamp(): void {
    const stop = now();
    const start = this.#last;
    this.#last = stop;
    if (start >= this.#countsFrom && stop <= this.#countsUntil) {
      this.#stretches[this.#stretchCount++] = stop - start;
    }
    const { duration, iterations, stampEvery } = this.#plan;
    this.#ended++;
    this.#isOpen = duration === null ? this.#ended * stampEvery < iterations : stop < this.#end;
    const isFull = this.#stretchCount === STRETCHES_MAX;
    if (isFull || !this.#isOpen || this.#slices.isOver(stop)) this.#endSlice(stop);
  }

  get isBreathDue(): boolean {
    return this.#slices.isBreathDue(this.#last);
  }

  /** Between two stretches; what it takes is nobody's round trip. */
  async breathe(): Promise<void> {
    await this.#slices.breathe(this.#last);
    this.#last = now();
  }

  #endSlice(at: number): void {
    if (this.#stretchCount === 0) this.#slices.begin(at);
    else {
      const histogram = this.#slices.end(at) ? this.#kept : this.#lost;
      for (let index = 0; index < this.#stretchCount; index++) {
        const nanos = this.#stretches[index] ?? 0;
        histogram.record((nanos - this.#clock) * this.#share);
      }
      this.#stretchCount = 0;
    }
    // What that took is nobody's round trip.
    this.#last = now();
  }

  measured(): Timed {
    const { bytes, stampEvery } = this.#plan;
    const slices = this.#slices.count;
    const data = [this.#kept.data()];
    if (!isEnough(slices)) data.push(this.#lost.data());
    const times = mergeHistograms(data);
    // No stretch has ended between the margins: all of them together are the one that there is.
    if (times.count === 0) times.record(((now() - this.#begin) / this.#ended) * this.#share);
    const operations = times.count * stampEvery;
    return {
      operations,
      bytes: operations * bytes,
      nanos: (times.mean * times.count) / this.#share,
      times: times.data(),
      peak: null,
      details: {},
      slices,
    };
  }
}
