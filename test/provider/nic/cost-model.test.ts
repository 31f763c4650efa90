// The cost model: what a link and a NIC cost becomes time, to the nanosecond, on the clock that the
// engine was given; and nothing when there is no model.

import { expect, it } from 'vitest';
import { MonotonicClock, VirtualClock } from '../../../runtime/clock.js';
import { native } from '../../../native/load.js';
import type { CostModel } from '../../../provider/nic/cost-model.js';
import { COST_MODELS, LinkTime } from '../../../provider/nic/cost-model.js';
import { Opcode, WcStatus, WorkRequest } from '../../../provider/nic/verbs.js';
import type { Request } from './harness/end.js';
import { Pair, registered } from './harness/pair.js';
import type { Side } from './harness/virtual.js';
import { VirtualPair } from './harness/virtual.js';

/** No two figures have a common divisor, so that no sum comes out right by chance. */
const ODD: CostModel = {
  requestNanos: 211,
  latencyNanos: 1_009,
  bytesPerSecond: 997_000_000,
  completionNanos: 307,
  registrationNanos: 10_007,
  registrationPageNanos: 101,
  rnrTimerNanos: 50_021,
};
const LENGTHS = [0, 1, 64, 96, 97, 4096, 1_048_576];

function transfer(model: CostModel, bytes: number): number {
  return Math.ceil((bytes * 1e9) / model.bytesPerSecond);
}

function request(side: Side, length: number, fields: Partial<Request> = {}): Request {
  return { sges: [[side.region.address, length, side.region.localKey]], ...fields };
}

it.each(['giganet-clan', 'infiniband-ddr', 'infiniband-hdr', 'odd figures'] as const)(
  'a SEND arrives after request, transfer, latency and completion, and completes one latency later: %s',
  async (name) => {
    const model = name === 'odd figures' ? ODD : COST_MODELS[name];
    const pair = await VirtualPair.open({ costModel: name === 'odd figures' ? ODD : name });
    const { near, far } = pair;
    for (const length of LENGTHS) {
      const start = pair.clock.now();
      await far.end.postReceive(far.slot, request(far, 2 ** 20));
      await near.end.postSend(near.slot, request(near, length));
      const due = start + model.requestNanos + transfer(model, length);
      const arrival = due + model.latencyNanos + model.completionNanos;
      const [received] = await pair.completions(far, 1);
      expect(received).toMatchObject({ status: WcStatus.SUCCESS, byteLength: length, at: arrival });
      const [sent] = await pair.completions(near, 1);
      expect(sent).toMatchObject({ status: WcStatus.SUCCESS, at: arrival + model.latencyNanos });
    }
    await pair.close();
  },
);

it('a peer that stands still makes nobody spin: no deadline lies in the past, and its word rings', async () => {
  const pair = await VirtualPair.open({ costModel: ODD });
  const { near, far } = pair;
  const { nic } = near.end.opened;
  await far.end.postReceive(far.slot, request(far, 4096));
  const send = new WorkRequest();
  send.sgeCount = 1;
  send.setSge(0, near.region.address, 4096, near.region.localKey);
  // From here on without a pause, in which the far engine would have a turn.
  expect(near.end.queuePairOf(near.slot).postSend(send)).toBe(0);
  for (let turns = 0; turns < 1000; turns++) nic.progress();
  // Longer than anything costs.
  pair.clock.advance(1_000_000);
  nic.progress();
  expect(nic.port.deadline()).toBeGreaterThan(pair.clock.now());
  const start = pair.clock.now();
  const [sent] = await pair.completions(near, 1);
  expect(sent).toMatchObject({ status: WcStatus.SUCCESS, at: start });
  await pair.completions(far, 1);
  await pair.close();
});

it('a full completion queue makes nobody spin either: what is due waits for room', async () => {
  const pair = await VirtualPair.open({ costModel: ODD, near: { completionDepth: 2 } });
  const { near, far } = pair;
  for (let id = 1; id <= 3; id++) {
    await far.end.postReceive(far.slot, request(far, 64, { id }));
    await near.end.postSend(near.slot, request(near, 64, { id }));
  }
  await pair.completions(far, 3);
  pair.quiesce();
  pair.clock.advance(1_000_000);
  pair.quiesce();
  expect(near.end.opened.nic.port.deadline()).toBeGreaterThan(pair.clock.now());
  const ids = (await pair.completions(near, 3)).map(({ id }) => id);
  expect(ids).toEqual([1, 2, 3]);
  await pair.close();
});

it('an RDMA WRITE costs what a SEND does, a READ the way there without and back with its bytes', async () => {
  const pair = await VirtualPair.open({ costModel: ODD });
  const { near, far } = pair;
  for (const length of LENGTHS.slice(1)) {
    const remote = { remoteAddress: far.region.address, remoteKey: far.region.remoteKey };
    const bytes = transfer(ODD, length);
    const oneWay = ODD.requestNanos + ODD.latencyNanos + ODD.completionNanos;
    const costs = [
      [Opcode.RDMA_WRITE, oneWay + bytes + ODD.latencyNanos],
      [Opcode.RDMA_READ, oneWay + bytes + ODD.latencyNanos + ODD.completionNanos],
    ] as const;
    for (const [opcode, cost] of costs) {
      const start = pair.clock.now();
      await near.end.postSend(near.slot, request(near, length, { opcode, ...remote }));
      const [done] = await pair.completions(near, 1);
      expect([length, opcode, done?.status, (done?.at ?? 0) - start]).toEqual([
        length,
        opcode,
        WcStatus.SUCCESS,
        cost,
      ]);
    }
  }
  await pair.close();
});

it('requests wait for each other at the NIC: the message rate and the bandwidth are limits', async () => {
  const pair = await VirtualPair.open({ costModel: ODD });
  const { near, far } = pair;
  const start = pair.clock.now();
  for (let id = 0; id < 20; id++) await far.end.postReceive(far.slot, request(far, 4096, { id }));
  for (let id = 0; id < 20; id++) await near.end.postSend(near.slot, request(near, 4096, { id }));
  const each = ODD.requestNanos + transfer(ODD, 4096);
  const rest = ODD.latencyNanos + ODD.completionNanos;
  const received = await pair.completions(far, 20);
  expect(received.map((one) => one.at - start)).toEqual(
    Array.from({ length: 20 }, (_, index) => (index + 1) * each + rest),
  );
  await pair.close();
});

it('registering memory delays what is posted afterwards, page by page', async () => {
  const pair = await VirtualPair.open({ costModel: ODD });
  const { near, far } = pair;
  const pages = [1, 1, 2, 17];
  const block = await near.end.allocate('segment', 17 * 4096);
  const start = pair.clock.now();
  let cost = 0;
  for (const count of pages) {
    await near.end.register(near.slot, block.id, 0, count * 4096 - 4095);
    cost += ODD.registrationNanos + count * ODD.registrationPageNanos;
  }
  await far.end.postReceive(far.slot, request(far, 64));
  await near.end.postSend(near.slot, request(near, 64));
  const [received] = await pair.completions(far, 1);
  const oneWay = ODD.requestNanos + transfer(ODD, 64) + ODD.latencyNanos + ODD.completionNanos;
  expect((received?.at ?? 0) - start).toBe(cost + oneWay);
  await pair.close();
});

it('what was sent before the end of a connection is delivered, due or not', async () => {
  const pair = await VirtualPair.open({ costModel: ODD });
  const { near, far } = pair;
  for (let id = 0; id < 3; id++) await far.end.postReceive(far.slot, request(far, 96, { id }));
  for (let id = 0; id < 3; id++) await near.end.postSend(near.slot, request(near, 96, { id }));
  await near.end.destroy(near.slot);
  const received = await pair.completions(far, 3);
  expect(received.map(({ status }) => status)).toEqual([0, 0, 0]);
  await pair.close();
});

it('presets are whole figures and order by generation', () => {
  const oneWay = Object.values(COST_MODELS).map((model) => {
    const link = new LinkTime(model, new VirtualClock(0));
    for (const figure of Object.values(model)) expect(Number.isInteger(figure)).toBe(true);
    return [link.send(0), new LinkTime(model, new VirtualClock(0)).send(2 ** 20)] as const;
  });
  expect(oneWay.map(([small]) => small)).toEqual([11_000, 1_300, 600]);
  for (const [index, [, large]] of oneWay.entries()) {
    expect(large).toBeLessThan(oneWay[index - 1]?.[1] ?? Infinity);
  }
});

it('on the real clock a completion is not visible before its time, whatever the engine', async () => {
  const clock = new MonotonicClock(() => native.now());
  for (const engine of ['inline', 'worker'] as const) {
    const costModel = { ...ODD, latencyNanos: 3_000_000 };
    const pair = await Pair.open({
      name: engine,
      near: engine,
      far: engine,
      isApart: false,
      costModel,
    });
    const connection = await pair.connect();
    const { region } = await registered(pair.near, connection.near, { bytes: 4096 });
    await pair.far.postReceive(connection.far, { sges: [] });
    const start = clock.now();
    await pair.near.postSend(connection.near, { sges: [[region.address, 0, region.localKey]] });
    expect((await pair.far.completion(connection.far)).status).toBe(WcStatus.SUCCESS);
    expect(clock.now() - start).toBeGreaterThan(3_000_000);
    expect((await pair.near.completion(connection.near)).status).toBe(WcStatus.SUCCESS);
    expect(clock.now() - start).toBeGreaterThan(6_000_000);
    await pair.disconnect(connection);
    await pair.close();
  }
});
