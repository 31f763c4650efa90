// What is left of a connection when the other side goes away or writes nonsense into shared memory.

import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Prng } from '../../../runtime/prng.js';
import { QUEUE_PAIR_SLOTS, segmentHeader } from '../../../native/layout/segment.layout.js';
import { FabricDirectory } from '../../../native/fabric-directory.js';
import { addressText } from '../../../provider/nic/address.js';
import { emitFrame, FrameType, wakeFrame } from '../../../provider/nic/cm-frame.js';
import { WcStatus } from '../../../provider/nic/verbs.js';
import { ENTRY_BYTES, WIRE_SLOTS } from '../../../provider/nic/limits.js';
import { queuePairState } from '../../../provider/nic/layout.js';
import {
  completions,
  FAR,
  INLINE,
  Machine,
  NEAR,
  Pair,
  registered,
  TWO_PROCESSES,
} from './harness/pair.js';

const SEED = 0x5eed;

describe('a peer that goes away', () => {
  it.each(['segment', 'process'] as const)(
    'killed while it sends from %s memory: peer-died, a flush, and its files are gone',
    async (storage) => {
      const pair = await Pair.open(TWO_PROCESSES);
      const { near, far } = pair;
      const connection = await pair.connect();
      const mine = await registered(near, connection.near, { bytes: 2 ** 20 });
      const theirs = await registered(far, connection.far, { storage, bytes: 2 ** 20 });
      const element = [theirs.region.address, 2 ** 20, theirs.region.localKey] as const;
      for (let id = 0; id < 20; id++) await far.postSend(connection.far, { id, sges: [element] });
      for (let id = 0; id < 3; id++) {
        await near.postReceive(connection.near, {
          id,
          sges: [[mine.region.address, 2 ** 20, mine.region.localKey]],
        });
      }
      await near.completion(connection.near);
      await pair.farProcess?.kill();
      for (let id = 3; id < 9; id++) {
        await near.postReceive(connection.near, {
          id,
          sges: [[mine.region.address, 2 ** 20, mine.region.localKey]],
        });
      }
      expect(await near.event()).toEqual({
        type: 'disconnected',
        queuePair: connection.near,
        reason: 'peer-died',
      });
      const rest = await completions(near, connection.near, 8);
      expect(rest.map((one) => one.id)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
      expect(rest.at(-1)).toMatchObject({ status: WcStatus.WR_FLUSH_ERR });
      expect(pair.machine.files().filter((name) => name.includes(addressText(FAR)))).toEqual([]);
      await near.destroy(connection.near);
      await near.settled();
      await near.release(mine.block.id);
      const again = await pair.machine.open(FAR);
      await again.close();
      await pair.close();
    },
  );

  it('killed while its request waits: the request is withdrawn', async () => {
    const pair = await Pair.open(TWO_PROCESSES);
    await pair.near.listen(80);
    await pair.far.connect(await pair.far.queuePair(), NEAR, 80);
    expect((await pair.near.event()).type).toBe('connect-request');
    await pair.farProcess?.kill();
    expect((await pair.near.event()).type).toBe('request-withdrawn');
    await pair.close();
  });

  it('closing its NIC ends the connection with everything flushed', async () => {
    const pair = await Pair.open(INLINE);
    const { near, far } = pair;
    const connection = await pair.connect();
    for (let id = 0; id < 4; id++) await near.postReceive(connection.near, { id, sges: [] });
    await far.close();
    expect(await near.event()).toMatchObject({ type: 'disconnected', reason: 'peer-disconnected' });
    const flushed = await completions(near, connection.near, 4);
    expect(flushed.map((one) => one.status)).toEqual([5, 5, 5, 5]);
    await near.destroy(connection.near);
    await near.settled();
    await near.close();
    expect(existsSync(`${pair.machine.base}/x`) || pair.machine.files().length > 0).toBe(false);
    pair.machine.close();
  });
});

/** Writes random words, seeded; some of them plausible. */
function litter(random: Prng, words: Int32Array, start: number, count: number): void {
  for (let index = 0; index < count; index++) {
    if (random.chance(1, 3)) continue;
    words[start + index] =
      random.pick([random.uint32(), random.below(256), (words[start + index] ?? 0) + 1, -1]) | 0;
  }
}

describe('a peer that writes nonsense', () => {
  it('into its ring breaks its own connection at most; others go on', async () => {
    for (let seed = SEED; seed < SEED + 60; seed++) {
      const random = new Prng(seed);
      const pair = await Pair.open(INLINE);
      const [victim, bystander] = [await pair.connect(), await pair.connect()];
      const { memory, nic } = pair.near.opened;
      const block = await registered(pair.near, victim.near, { bytes: 4096 });
      const sge = [block.region.address, 4096, block.region.localKey] as const;
      for (let id = 0; id < 8; id++) await pair.near.postReceive(victim.near, { id, sges: [sge] });
      // The ring lies in front of the state words, whose place the queue pair knows.
      const words = pair.machine.loop.arena.view.words;
      const state = (pair.near.queuePairOf(victim.near) as unknown as { stateWord: number })
        .stateWord;
      const ring = state - (WIRE_SLOTS * ENTRY_BYTES) / 4;
      for (let round = 0; round < 20; round++) {
        const slot = ring + random.below(WIRE_SLOTS) * (ENTRY_BYTES / 4);
        // With the right sequence number the slot is executed.
        const sequence = words[slot] ?? 0;
        litter(random, words, slot, ENTRY_BYTES / 4);
        if (random.chance(1, 2)) words[slot] = sequence;
        if (random.chance(1, 4)) litter(random, words, state, queuePairState.bytes / 4);
        if (random.chance(1, 2)) await pair.far.postSend(victim.far, { sges: [] });
        for (let turn = 0; turn < 5; turn++) pair.machine.loop.turn();
      }
      await pair.near.postReceive(bystander.near, { id: 1, sges: [] });
      await pair.far.postSend(bystander.far, { id: 1, sges: [] });
      expect([seed, await pair.near.completion(bystander.near)]).toMatchObject([
        seed,
        { id: 1, status: WcStatus.SUCCESS },
      ]);
      expect([nic.queuePairCount, memory.blockCount]).toEqual([2, 1]);
      await pair.disconnect(victim, bystander);
      await pair.close();
    }
  });

  it('into the ready map or the pipe costs a look and no connection', async () => {
    const random = new Prng(SEED);
    const pair = await Pair.open(INLINE);
    const { arena } = pair.machine.loop;
    const connection = await pair.connect();
    const directory = new FabricDirectory('test', { base: pair.machine.base });
    const host = directory.open(addressText(NEAR), arena);
    expect(host).not.toBeNull();
    for (let round = 0; round < 200 && host !== null; round++) {
      const ready =
        host.segment.word(segmentHeader.offset('readyMap')) + random.below(QUEUE_PAIR_SLOTS / 32);
      arena.view.or(ready, random.uint32() | 0);
      arena.view.or(
        host.segment.word(segmentHeader.offset('readySummary')) + random.below(4),
        random.uint32() | 0,
      );
      const garbage = new Uint8Array(random.between(1, 300));
      random.fill(garbage);
      host.pipe.write(garbage);
      const frame = {
        ...wakeFrame(FAR),
        type: random.pick(Object.values(FrameType)),
        targetAddress: NEAR,
      };
      host.pipe.write(
        emitFrame({ ...frame, sourceComm: random.uint32(), targetComm: random.uint32() }),
      );
      pair.machine.loop.turn();
    }
    host?.close();
    await pair.near.postReceive(connection.near, { id: 1, sges: [] });
    await pair.far.postSend(connection.far, { id: 1, sges: [] });
    expect(await pair.near.completion(connection.near)).toMatchObject({
      id: 1,
      status: WcStatus.SUCCESS,
    });
    await pair.disconnect(connection);
    await pair.close();
  });

  it.each([
    ['outside its segment', { ring: 2 ** 31, state: 4096 }],
    ['across its end', { ring: 32 * 2 ** 20 - 64, state: 4096 }],
    ['in its header', { ring: 4096, state: 64 }],
    ['off a cache line', { ring: 4100, state: 65_536 }],
    ['in a slot that cannot be', { ring: 4096, state: 65_536, slot: QUEUE_PAIR_SLOTS }],
  ])('a request whose ring or state lies %s is not reported', async (_, place) => {
    const machine = new Machine();
    const near = await machine.open(NEAR);
    const far = await machine.open(FAR);
    await near.listen(80);
    const directory = new FabricDirectory('test', { base: machine.base });
    const [host, own] = [
      directory.open(addressText(NEAR), machine.loop.arena),
      directory.open(addressText(FAR), machine.loop.arena),
    ];
    const frame = {
      ...wakeFrame(FAR),
      type: FrameType.REQ,
      targetAddress: NEAR,
      targetPort: 80,
      sourceComm: 5,
    };
    const generation = own?.segment.generation ?? 0;
    const endpoint = { queuePair: 1, slot: 0, sequence: 1, ...place };
    expect(host?.pipe.write(emitFrame({ ...frame, generation, endpoint }))).toBe('sent');
    for (let turn = 0; turn < 50; turn++) machine.loop.turn();
    expect(near.opened.nic.pollEvent()).toBeNull();
    expect(
      host?.pipe.write(
        emitFrame({
          ...frame,
          generation,
          endpoint: { ...endpoint, slot: 0, ring: 4096, state: 65_536 },
        }),
      ),
    ).toBe('sent');
    expect((await near.event()).type).toBe('connect-request');
    host?.close();
    own?.close();
    await near.close();
    await far.close();
    expect(machine.files()).toEqual([]);
    machine.close();
  });
});
