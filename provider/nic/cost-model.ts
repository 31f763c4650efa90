// What a link and a NIC cost, as data, and the arithmetic that turns it into points in time. Off by
// default. It must not know queues or memory: it is told a length and answers when. In the manner of
// LogGP (Alexandrov et al., SPAA 1995): overhead o and gap g are `requestNanos`, latency L, gap per
// byte G is 1 / bandwidth.

import type { Clock, Nanos } from '../../runtime/clock.js';

/** All times in nanoseconds. A figure of 0 costs nothing. */
export interface CostModel {
  /** What a NIC spends on one work request before the first byte leaves: 1 / its message rate. */
  readonly requestNanos: Nanos;
  /** One way, from the last byte sent to the last byte received, switch included. */
  readonly latencyNanos: Nanos;
  readonly bytesPerSecond: number;
  /** From the last byte received to the completion in the completion queue. */
  readonly completionNanos: Nanos;
  /** One registration, whatever its length, and what every page of 4 KiB adds. */
  readonly registrationNanos: Nanos;
  readonly registrationPageNanos: Nanos;
  /** How long a sender waits before it tries again what found no receive; see minRnrTimer. */
  readonly rnrTimerNanos: Nanos;
}

/**
 * Round figures, each for the class of hardware and not for one machine. Small messages take
 * request + latency + completion; the sources give that sum, its split is ours, as are the registration
 * figures where the source gives a curve.
 *
 * giganet-clan: 14.2 µs for a message of 288 bytes and 87.7 MB/s, on Windows NT 4.0 ("Experimental
 *   Analysis of VI Architecture", University of Minnesota, 2000).
 * infiniband-ddr: 4 lanes of 5 Gb/s, 8b/10b coded, are 16 Gb/s of data; about 1.3 µs for a small
 *   message (Sur, Koop, Chai and Panda, Hot Interconnects 2007); registration after Mietke et al.,
 *   Euro-Par 2006. The RNR timer is code 12 of the InfiniBand specification's table.
 * infiniband-hdr: 200 Gb/s, below 600 ns, 215 million messages a second (NVIDIA ConnectX-6 manual).
 */
export const COST_MODELS = {
  'giganet-clan': {
    requestNanos: 3_000,
    latencyNanos: 5_000,
    bytesPerSecond: 87_700_000,
    completionNanos: 3_000,
    registrationNanos: 10_000,
    registrationPageNanos: 1_000,
    rnrTimerNanos: 0,
  },
  'infiniband-ddr': {
    requestNanos: 200,
    latencyNanos: 900,
    bytesPerSecond: 2_000_000_000,
    completionNanos: 200,
    registrationNanos: 20_000,
    registrationPageNanos: 400,
    rnrTimerNanos: 640_000,
  },
  'infiniband-hdr': {
    requestNanos: 5,
    latencyNanos: 500,
    bytesPerSecond: 25_000_000_000,
    completionNanos: 95,
    registrationNanos: 10_000,
    registrationPageNanos: 100,
    rnrTimerNanos: 10_000,
  },
} as const satisfies Readonly<Record<string, CostModel>>;

export type CostModelName = keyof typeof COST_MODELS;

const PAGE_BYTES = 4096;
const SECOND = 1e9;

/** The time of one NIC under a cost model. Belongs to its engine. */
export class LinkTime {
  readonly model: CostModel;
  readonly #clock: Clock;
  /** Until when the NIC, and its link in each direction, work off what they were given. */
  #sendingUntil: Nanos = 0;
  #receivingUntil: Nanos = 0;
  /** Until when the host's thread is busy registering memory. */
  #registeringUntil: Nanos = 0;

  constructor(model: CostModel, clock: Clock) {
    this.model = model;
    this.#clock = clock;
  }

  /** Takes a request that sends `bytes`. Returns when the responder's NIC has dealt with it. */
  send(bytes: number): Nanos {
    const { requestNanos, latencyNanos, completionNanos } = this.model;
    const start = Math.max(this.#clock.now(), this.#sendingUntil, this.#registeringUntil);
    this.#sendingUntil = start + requestNanos + this.#transfer(bytes);
    return this.#sendingUntil + latencyNanos + completionNanos;
  }

  /** When the requester learns of what the responder has dealt with at `time`. */
  acknowledged(time: Nanos): Nanos {
    return time + this.model.latencyNanos;
  }

  /** When `bytes` of an RDMA READ, which the responder takes from its memory at `time`, are here. */
  response(time: Nanos, bytes: number): Nanos {
    const { latencyNanos, completionNanos } = this.model;
    this.#receivingUntil = Math.max(time, this.#receivingUntil) + this.#transfer(bytes);
    return this.#receivingUntil + latencyNanos + completionNanos;
  }

  /** Registering is work of the host's thread: what it posts afterwards leaves later. */
  register(bytes: number): void {
    const { registrationNanos, registrationPageNanos } = this.model;
    const cost = registrationNanos + Math.ceil(bytes / PAGE_BYTES) * registrationPageNanos;
    this.#registeringUntil = Math.max(this.#clock.now(), this.#registeringUntil) + cost;
  }

  #transfer(bytes: number): Nanos {
    return Math.ceil((bytes * SECOND) / this.model.bytesPerSecond);
  }
}
