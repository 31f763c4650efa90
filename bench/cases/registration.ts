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
import type { Slices } from '../slices.js';
import type { Case, Measured } from './case.js';
import { clockNanos } from './case.js';

const CLOSING_BYTES = 4;

export const registrationCase: Case<null> = {
  measure(opened, plan, slices) {
    const { endpoint } = opened;
    if (endpoint instanceof ProviderEndpoint || endpoint instanceof NicEndpoint) {
      return measure(endpoint, opened, { plan, slices });
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

/** Readings of the clock: before registering, between, and after deregistering. */
interface Once {
  readonly started: number;
  readonly registered: number;
  readonly done: number;
}

async function measure(
  endpoint: ProviderEndpoint | NicEndpoint,
  { endpoint: closing }: Opened,
  { plan, slices }: { readonly plan: CasePlan; readonly slices: Slices },
): Promise<Measured> {
  const memory = endpoint.allocate(plan.bytes, plan.memory);
  // Its pages exist before anything is timed.
  memory.fill(1);
  const clock = clockNanos();
  const [registering, deregistering] = [new Histogram(), new Histogram()];
  for (let round = 0; round < plan.warmUp; round++) registerOnce();
  const { nanos: lasts, marginNanos } = plan.duration ?? { nanos: Infinity, marginNanos: 0 };
  const begin = now();
  const rounds = plan.duration === null ? plan.iterations : Infinity;
  for (let round = 0, at = begin; round < rounds && at < begin + lasts; round++, at = now()) {
    const once = registerOnce();
    if (slices.isBreathDue(once.done)) await slices.breathe(once.done);
    if (once.started < begin + marginNanos || once.done > begin + lasts - marginNanos) continue;
    record(once);
  }
  // Nothing between the margins: one that counts all the same.
  if (registering.count === 0) record(registerOnce());
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

  function record({ started, registered, done }: Once): void {
    registering.record(registered - started - clock);
    deregistering.record(done - registered - clock);
  }

  function registerOnce(): Once {
    if (!plan.cached) endpoint.forget(memory);
    const started = now();
    const token = endpoint.register(memory);
    const registered = now();
    endpoint.deregister(token as never);
    return { started, registered, done: now() };
  }
}
