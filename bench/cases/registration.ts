// reg: what it costs to register memory for transfers and to give the registration back, by size: memory
// that the provider still has in its cache of registrations, or memory that it has never seen. Needs a
// connection, since a registration belongs to one; the other side does nothing. [REGMEM, CACHECB]

import type { Opened } from '../connection.js';
import type { Endpoint } from '../endpoint.js';
import { closingSlotOf } from '../endpoint.js';
import { NicEndpoint } from '../endpoint-nic.js';
import { ProviderEndpoint } from '../endpoint-provider.js';
import { Histogram } from '../histogram.js';
import { awaitPatiently } from '../loops/ping-pong.js';
import { now } from '../machine.js';
import type { CasePlan } from '../plan.js';
import type { Case, Measured } from './case.js';
import { clockNanos } from './case.js';

const CLOSING_BYTES = 4;

export const registrationCase: Case<null> = {
  measure(opened, plan) {
    const { endpoint } = opened;
    if (endpoint instanceof ProviderEndpoint || endpoint instanceof NicEndpoint) {
      return measure(endpoint, opened, plan);
    }
    throw new TypeError('above the switch nobody registers memory');
  },

  verifyCost: () => 0,

  prepare(endpoints) {
    const [first] = endpoints as readonly [Endpoint];
    first.postReceive(closingSlotOf(first), CLOSING_BYTES);
    return null;
  },

  serve(_prepared, endpoints) {
    const [first] = endpoints as readonly [Endpoint];
    awaitPatiently(first, closingSlotOf(first));
    return '';
  },
};

function measure(
  endpoint: ProviderEndpoint | NicEndpoint,
  { endpoint: closing }: Opened,
  plan: CasePlan,
): Measured {
  const memory = endpoint.allocate(plan.bytes, plan.memory);
  // Its pages exist before anything is timed.
  memory.fill(1);
  const clock = clockNanos();
  const [registering, deregistering] = [new Histogram(), new Histogram()];
  const begin = now();
  const end = plan.duration === null ? Infinity : begin + plan.duration.nanos;
  const rounds = plan.duration === null ? plan.warmUp + plan.iterations : Infinity;
  for (let round = 0; round < rounds && now() < end; round++) {
    if (!plan.cached) endpoint.forget(memory);
    const started = now();
    const token = endpoint.register(memory);
    const registered = now();
    endpoint.deregister(token as never);
    const done = now();
    if (round < plan.warmUp) continue;
    registering.record(registered - started - clock);
    deregistering.record(done - registered - clock);
  }
  const nanos = now() - begin;
  endpoint.release(memory);
  const slot = closingSlotOf(closing);
  closing.startSend(slot, CLOSING_BYTES);
  closing.awaitSend(slot);
  return {
    operations: registering.count,
    bytes: 0,
    nanos,
    times: registering.data(),
    peak: null,
    digest: '',
    details: { deregister: deregistering.percentile(50) },
    slices: null,
  };
}
