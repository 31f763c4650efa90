// lat and scale: round trips on one connection or on many in turn, each timed. The figure is half the
// round trip, but for reads, where nobody answers. The cost of reading the clock is taken off every time.

import type { Endpoint } from '../endpoint.js';
import { Histogram } from '../histogram.js';
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
import type { Case, Measured } from './case.js';
import { clockNanos } from './case.js';

interface Prepared {
  readonly answers: Answers | null;
  readonly payload: Payload;
  readonly digest: Digest;
}

export const latencyCase: Case<Prepared> = {
  async measure({ endpoints, endpoint }, plan) {
    const digest = new Digest();
    const payload = new Payload(plan.bytes, plan.verify, digest);
    if (plan.mode === 'promise') {
      const trips = new PromisedRoundTrips(endpoint, payload, plan.operation);
      return { ...(await timeAwaited(trips, plan)), digest: digest.value };
    }
    return { ...time(roundTrips(endpoints, payload, plan), plan), digest: digest.value };
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

function time(trips: RoundTrips, plan: CasePlan): Timed {
  trips.run(plan.warmUp);
  const stamps = new Stamps(plan);
  while (stamps.isOpen) {
    trips.run(plan.stampEvery);
    stamps.stamp();
  }
  trips.stop();
  return stamps.measured();
}

async function timeAwaited(trips: PromisedRoundTrips, plan: CasePlan): Promise<Timed> {
  await trips.run(plan.warmUp);
  const stamps = new Stamps(plan);
  while (stamps.isOpen) {
    await trips.run(plan.stampEvery);
    stamps.stamp();
  }
  await trips.stop();
  return stamps.measured();
}

/** The clock of a ping-pong: one reading per stretch of round trips, from one to the next. */
class Stamps {
  readonly #histogram = new Histogram();
  readonly #plan: CasePlan;
  readonly #clock = clockNanos();
  /** From a whole stretch to the figure of one operation. */
  readonly #share: number;
  readonly #end: number;
  readonly #countsFrom: number;
  readonly #countsUntil: number;
  readonly #begin = now();
  #last = this.#begin;
  #stretches = 0;
  #nanos = 0;
  #isOpen = true;

  constructor(plan: CasePlan) {
    this.#plan = plan;
    this.#share = (plan.operation === 'read' ? 1 : 0.5) / plan.stampEvery;
    const { nanos, marginNanos } = plan.duration ?? { nanos: Infinity, marginNanos: 0 };
    this.#end = this.#begin + nanos;
    this.#countsFrom = this.#begin + marginNanos;
    this.#countsUntil = this.#end - marginNanos;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  stamp(): void {
    const stop = now();
    const start = this.#last;
    this.#last = stop;
    if (start >= this.#countsFrom && stop <= this.#countsUntil) {
      this.#histogram.record((stop - start - this.#clock) * this.#share);
      this.#nanos += stop - start;
    }
    const { duration, iterations, stampEvery } = this.#plan;
    this.#stretches++;
    const isDone =
      duration === null ? this.#stretches * stampEvery >= iterations : stop >= this.#end;
    if (!isDone) return;
    this.#isOpen = false;
    if (this.#histogram.count === 0) this.#recordAll(stop);
  }

  /** No stretch has ended between the margins: all of them together are the one that there is. */
  #recordAll(stop: number): void {
    this.#nanos = stop - this.#begin;
    this.#histogram.record((this.#nanos / this.#stretches - this.#clock) * this.#share);
  }

  measured(): Timed {
    const { bytes, stampEvery } = this.#plan;
    const operations = this.#histogram.count * stampEvery;
    return {
      operations,
      bytes: operations * bytes,
      nanos: this.#nanos,
      times: this.#histogram.data(),
      peak: null,
      details: {},
    };
  }
}
