// The short ways of an inline engine, called as a provider calls them: what was found good when a
// receive was posted is asked again once a key is gone, keys open what they open on the long way, and
// whatever is not simple is left to the long way untouched.

import { expect, it } from 'vitest';
import type { QueuePair } from '../../../provider/nic/device.js';
import { STATE_ACKNOWLEDGED } from '../../../provider/nic/layout.js';
import { WIRE_SLOTS } from '../../../provider/nic/limits.js';
import { Arrival, WcStatus, WorkCompletion } from '../../../provider/nic/verbs.js';
import { expectEvent, INLINE, Pair, registered } from './harness/pair.js';
import { Sides } from './harness/sides.js';
import { VirtualPair } from './harness/virtual.js';

const BYTES = 64;

async function withPair(
  run: (pair: VirtualPair, near: QueuePair, far: QueuePair) => Promise<void>,
): Promise<void> {
  const pair = await VirtualPair.open();
  const [near, far] = [pair.near, pair.far].map(({ end, slot }) => end.queuePairOf(slot));
  if (near !== undefined && far !== undefined) await run(pair, near, far);
  await pair.close();
}

it('a message goes into the oldest receive, with its id and length, and leaves no completion', async () => {
  await withPair(async (pair, near, far) => {
    const { region: from } = pair.near;
    const { region: to, end, slot, block } = pair.far;
    const completion = new WorkCompletion();
    expect(far.takeArrival(completion)).toBe(Arrival.NONE);
    expect(far.postReceiveAt(0xfffffff0, to.address, BYTES, to.localKey)).toBe(0);
    expect(far.postReceiveAt(8, to.address + BYTES, BYTES, to.localKey)).toBe(0);
    await pair.near.end.write(pair.near.block.id, 0, new Uint8Array(BYTES).fill(5));
    expect(near.inject(from.address, 40, from.localKey)).toBe(true);
    expect(far.takeArrival(completion)).toBe(Arrival.TAKEN);
    expect([completion.id, completion.byteLength]).toEqual([0xfffffff0, 40]);
    expect(await end.read(block.id, 0, 41)).toEqual(new Uint8Array(41).fill(5, 0, 40));
    expect(far.takeArrival(completion)).toBe(Arrival.NONE);
    expect(far.receivesOutstanding).toBe(1);
    pair.quiesce();
    expect(await end.completionsNow(slot)).toEqual([]);
  });
});

it('a receive whose key goes away after it was posted takes nothing, and fails as on the long way [MEM-05]', async () => {
  await withPair(async (pair, near, far) => {
    const { region: from } = pair.near;
    const { end, slot } = pair.far;
    const { block, region } = await registered(end, slot, { bytes: BYTES });
    expect(far.postReceiveAt(1, region.address, BYTES, region.localKey)).toBe(0);
    await end.deregister(region.id);
    await pair.near.end.write(pair.near.block.id, 0, new Uint8Array(BYTES).fill(5));
    expect(near.inject(from.address, BYTES, from.localKey)).toBe(true);
    expect(far.takeArrival(new WorkCompletion())).toBe(Arrival.OTHER);
    const [failed] = await pair.completions(pair.far, 1);
    expect(failed).toMatchObject({ id: 1, status: WcStatus.LOC_PROT_ERR });
    expect(await end.read(block.id, 0, BYTES)).toEqual(new Uint8Array(BYTES));
  });
});

it('a receive whose own key stays takes its message although another key has gone', async () => {
  await withPair(async (pair, near, far) => {
    const { region: from } = pair.near;
    const { region: to, end, slot } = pair.far;
    const { region: other } = await registered(end, slot, { bytes: BYTES });
    const completion = new WorkCompletion();
    expect(far.postReceiveAt(1, to.address, BYTES, to.localKey)).toBe(0);
    await end.deregister(other.id);
    expect(near.inject(from.address, 8, from.localKey)).toBe(true);
    expect(far.takeArrival(completion)).toBe(Arrival.TAKEN);
  });
});

it('a key that is gone, too short, of another connection, or without the right opens nothing [MEM-03 MEM-05 MEM-06]', async () => {
  await withPair(async (pair, near, far) => {
    const { end, slot } = pair.near;
    const { region } = await registered(end, slot, { bytes: 4_096 });
    expect(near.inject(region.address, BYTES, region.localKey)).toBe(true);
    expect(near.inject(region.address + 4_096 - 8, 16, region.localKey)).toBe(false);
    expect(near.inject(region.address - 8, 16, region.localKey)).toBe(false);
    expect(near.inject(region.address, BYTES, region.localKey ^ 1)).toBe(false);
    expect(near.inject(region.address, BYTES, pair.far.region.localKey)).toBe(false);
    await end.deregister(region.id);
    expect(near.inject(region.address, BYTES, region.localKey)).toBe(false);
    // Local reading is always allowed, and is not enough to receive.
    const readable = await registered(pair.far.end, pair.far.slot, { bytes: BYTES, access: 0 });
    const { address, localKey } = readable.region;
    expect(far.postReceiveAt(1, address, BYTES, localKey)).toBe(0);
    expect(far.takeArrival(new WorkCompletion())).toBe(Arrival.OTHER);
  });
});

it('what came before is polled first: with its completion in the queue nothing is taken past it', async () => {
  await withPair(async (pair, near, far) => {
    const { region: from } = pair.near;
    const { region: to, end, slot } = pair.far;
    const completion = new WorkCompletion();
    for (const id of [1, 2]) {
      expect(far.postReceiveAt(id, to.address, BYTES, to.localKey)).toBe(0);
      expect(near.inject(from.address, 8, from.localKey)).toBe(true);
      if (id === 1) pair.quiesce();
    }
    expect(far.takeArrival(completion)).toBe(Arrival.OTHER);
    expect(await end.completionsNow(slot)).toMatchObject([{ id: 1 }]);
    expect(far.takeArrival(completion)).toBe(Arrival.TAKEN);
    expect(completion.id).toBe(2);
  });
});

it('a ring full of messages that nobody has taken is not written to', async () => {
  await withPair(async (pair, near, far) => {
    const { region: from, end, block } = pair.near;
    const { region: to } = pair.far;
    const completion = new WorkCompletion();
    let sent = 0;
    for (; sent <= WIRE_SLOTS; sent++) {
      await end.write(block.id, 0, Uint8Array.of(sent));
      if (!near.inject(from.address, 40, from.localKey)) break;
    }
    expect(sent).toBe(WIRE_SLOTS);
    for (let message = 0; message < sent; message++) {
      expect(far.postReceiveAt(message, to.address, BYTES, to.localKey)).toBe(0);
      // The first ones were found without a receive: the long way looks after those.
      if (far.takeArrival(completion) !== Arrival.TAKEN) pair.quiesce();
      expect(await pair.far.end.read(pair.far.block.id, 0, 1)).toEqual(Uint8Array.of(message));
      await pair.far.end.completionsNow(pair.far.slot);
    }
  });
});

it('a peer that has taken more than was sent is found out by the send that waits for room, at once', async () => {
  const pair = await Pair.open(INLINE);
  const sides = await Sides.open(pair);
  const { address, localKey } = sides.near.region;
  let sent = 0;
  while (sent < WIRE_SLOTS && sides.queuePair.inject(address, 8, localKey)) sent++;
  expect(sent).toBe(WIRE_SLOTS);
  sides.words[sides.farState + STATE_ACKNOWLEDGED] = 2 * WIRE_SLOTS;
  expect(sides.queuePair.inject(address, 8, localKey)).toBe(false);
  expect(await expectEvent(pair.near, 'disconnected')).toMatchObject({ reason: 'error' });
  await sides.close();
  await pair.close();
});
