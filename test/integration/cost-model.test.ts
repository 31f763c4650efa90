// The cost model as a host's option: what openHost takes for one, what it refuses, and that the figures
// reach the NIC. What a model costs, to the nanosecond, is test/provider/nic/cost-model.test.ts.

import { expect, it } from 'vitest';
import { HostOptionsError, openHost } from '../../index.js';
import type { HostOptions } from '../../index.js';
import { COST_MODELS } from '../../provider/nic/cost-model.js';
import type { CostModelName } from '../../provider/nic/cost-model.js';
import { A, B, carry, closeClean, newFabric, openPair } from './fixture.js';
import type { Pair } from './fixture.js';

const FIGURES = COST_MODELS['infiniband-hdr'];
/** Far longer than a message takes without a model, and short for a test. */
const LATENCY_NANOS = 40_000_000;

type NicOptions = NonNullable<HostOptions['nic']>;

/** Nanoseconds until a message of 64 bytes was received, from A to B and from B to A. */
function oneWayNanos({ a, b, atA, atB }: Pair): { readonly there: number; readonly back: number } {
  const atNear = { host: a, socket: atA };
  const atFar = { host: b, socket: atB };
  const text = 'm'.repeat(64);
  const start = process.hrtime.bigint();
  expect(carry(atNear, atFar, text)).toBe(text);
  const between = process.hrtime.bigint();
  expect(carry(atFar, atNear, text)).toBe(text);
  const end = process.hrtime.bigint();
  return { there: Number(between - start), back: Number(end - between) };
}

async function closePair({ a, b, atA, atB }: Pair): Promise<void> {
  a.winsock.closesocket(atA);
  b.winsock.closesocket(atB);
  await closeClean(a, b);
}

it.each(Object.keys(COST_MODELS) as CostModelName[])(
  'hosts with the preset %s connect and carry data',
  async (costModel) => {
    const options = { nic: { costModel } };
    const pair = await openPair({ a: options, b: options });
    const { there, back } = oneWayNanos(pair);
    const { requestNanos, latencyNanos, completionNanos } = COST_MODELS[costModel];
    expect(Math.min(there, back)).toBeGreaterThan(requestNanos + latencyNanos + completionNanos);
    await closePair(pair);
  },
);

it('figures of one’s own are used as they are, each direction by those of its sender', async () => {
  const slow = { nic: { costModel: { ...FIGURES, latencyNanos: LATENCY_NANOS } } };
  for (const [near, far] of [
    [slow, {}],
    [{}, slow],
    [slow, slow],
  ] as const) {
    const pair = await openPair({ a: near, b: far });
    const { there, back } = oneWayNanos(pair);
    if (near === slow) expect(there).toBeGreaterThan(LATENCY_NANOS);
    if (far === slow) expect(back).toBeGreaterThan(LATENCY_NANOS);
    await closePair(pair);
  }
});

it('no model, an empty choice and undefined figures of the NIC are a host without costs', async () => {
  const pair = await openPair({ a: { nic: {} } });
  expect(oneWayNanos(pair).there).toBeGreaterThan(0);
  await closePair(pair);
});

const withoutLatency = Object.fromEntries(
  Object.entries(FIGURES).filter(([name]) => name !== 'latencyNanos'),
);

it.each([
  ['a name of no preset', { costModel: 'infiniband' }],
  ['the name of a property that every object has', { costModel: 'toString' }],
  ['a figure missing', { costModel: withoutLatency }],
  ['a figure too many', { costModel: { ...FIGURES, jitterNanos: 1 } }],
  ['a negative time', { costModel: { ...FIGURES, requestNanos: -1 } }],
  ['a time that is no number', { costModel: { ...FIGURES, completionNanos: Number.NaN } }],
  ['a time without end', { costModel: { ...FIGURES, rnrTimerNanos: Infinity } }],
  ['a link that carries nothing', { costModel: { ...FIGURES, bytesPerSecond: 0 } }],
  ['a number', { costModel: 1 }],
  ['null', { costModel: null }],
  ['another option of the NIC', { costs: 'infiniband-hdr' }],
])('openHost refuses %s, by the name of the option, and opens nothing', async (_what, nic) => {
  const options = { fabric: newFabric(), address: A, nic: nic as unknown as NicOptions };
  await expect(openHost(options)).rejects.toBeInstanceOf(HostOptionsError);
  await expect(openHost(options)).rejects.toThrow(/nic/);
  // The address is free: nothing of the refused host is left.
  const pair = await openPair({ a: { fabric: options.fabric }, b: { fabric: options.fabric } });
  expect([pair.a.address, pair.b.address]).toEqual([A, B]);
  await closePair(pair);
});
