// What is left of a connection when the other side goes away or writes nonsense into shared memory.

import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../../runtime/clock.js';
import { Prng } from '../../../runtime/prng.js';
import { QUEUE_PAIR_SLOTS, segmentHeader } from '../../../native/layout/segment.layout.js';
import { FabricDirectory } from '../../../native/fabric-directory.js';
import { addressText } from '../../../provider/nic/address.js';
import { emitFrame, FrameType, wakeFrame } from '../../../provider/nic/cm-frame.js';
import { WcStatus } from '../../../provider/nic/verbs.js';
import {
  ENTRY_BYTES,
  HOT_QUEUE_PAIRS,
  RESCUE_INTERVAL,
  WIRE_SLOTS,
} from '../../../provider/nic/limits.js';
import { readsPipe } from '../../../provider/nic/process-of.js';
import { queuePairState } from '../../../provider/nic/layout.js';
import { LocalEnd } from './harness/end.js';
import {
  completions,
  expectEvent,
  FAR,
  INLINE,
  Machine,
  NEAR,
  Pair,
  registered,
  TWO_PROCESSES,
} from './harness/pair.js';

const SEED = 0x5eed;
const THIRD = 0x7f4d0003;

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
    ['the doorbells', false],
    ['the doorbells, and the flag of a sleeper,', true],
  ])('over %s delays the messages of others, and loses none', async (_, isParkedToo) => {
    const machine = new Machine();
    const clock = new VirtualClock(1);
    const near = await LocalEnd.open(machine.loop, machine.options(NEAR), clock);
    const [far, third] = [await machine.open(FAR), await machine.open(THIRD)];
    const connect = async (end: LocalEnd): Promise<[number, number]> => {
      const slot = await end.queuePair();
      await end.connect(slot, NEAR, 80);
      const { requestId } = await expectEvent(near, 'connect-request');
      const nearSlot = await near.queuePair();
      await near.accept(nearSlot, requestId);
      await expectEvent(near, 'established');
      await expectEvent(end, 'established');
      return [nearSlot, slot];
    };
    await near.listen(80);
    await connect(third);
    let slots = await connect(far);
    // More than are polled, so that the last one is not.
    for (let count = 0; count < 2 * HOT_QUEUE_PAIRS; count++) slots = await connect(far);
    const host = new FabricDirectory('test', { base: machine.base }).open(
      addressText(NEAR),
      machine.loop.arena,
    );
    const words = machine.loop.arena.view.words;
    const header = host?.segment.word(0) ?? 0;
    // The rescue that is due from the start.
    for (let turn = 0; turn < 1000; turn++) near.opened.nic.progress();
    const deadlines: number[] = [];
    for (let message = 1; message <= 5; message++) {
      await near.postReceive(slots[0], { id: message, sges: [] });
      near.opened.nic.port.arm();
      await far.postSend(slots[1], { sges: [] });
      const first = segmentHeader.word(isParkedToo ? 'engineParked' : 'readySummary');
      words.fill(0, header + first, header + segmentHeader.bytes / 4);
      for (let turn = 0; turn < 1000; turn++) near.opened.nic.progress();
      expect(await near.completionsNow(slots[0])).toEqual([]);
      const deadline = near.opened.nic.port.deadline();
      deadlines.push(deadline - clock.now());
      clock.advanceTo(deadline);
      near.opened.nic.progress();
      near.opened.nic.port.disarm();
      const found = await near.completionsNow(slots[0]);
      expect(found).toMatchObject([{ id: message, status: WcStatus.SUCCESS }]);
    }
    // A sleeper wakes by itself within this time.
    expect(Math.max(...deadlines)).toBeLessThanOrEqual(RESCUE_INTERVAL);
    host?.close();
    for (const end of [near, far, third]) await end.close();
    expect(machine.files()).toEqual([]);
    machine.close();
  });

  it('into its own process id cannot have memory moved in that process', async () => {
    const pair = await Pair.open(TWO_PROCESSES);
    const connection = await pair.connect();
    const { block, region } = await registered(pair.far, connection.far, {
      storage: 'process',
      bytes: 4096,
    });
    const host = new FabricDirectory('test', { base: pair.machine.base }).open(
      addressText(FAR),
      pair.machine.loop.arena,
    );
    if (host === null) throw new Error('no far host');
    expect(readsPipe(pair.farProcess?.pid ?? 0, host.pipe.fd)).toBe(true);
    // This process writes to that pipe and does not read from it; nor does any other.
    expect(
      [process.pid, process.ppid, 0x7fffffff].map((pid) => readsPipe(pid, host.pipe.fd)),
    ).toEqual([false, false, false]);
    host.close();
    // A host of this process that looks now sees a peer that claims to live here.
    const words = pair.machine.loop.arena.view.words;
    const far = new FabricDirectory('test', { base: pair.machine.base }).open(
      addressText(FAR),
      pair.machine.loop.arena,
    );
    const pid = (far?.segment.word(0) ?? 0) + segmentHeader.word('pid');
    words[pid] = process.pid;
    const third = await pair.machine.open(THIRD);
    await pair.far.listen(81);
    const slot = await third.queuePair();
    await third.connect(slot, FAR, 81);
    const { requestId } = await expectEvent(pair.far, 'connect-request');
    const farSlot = await pair.far.queuePair();
    await pair.far.accept(farSlot, requestId);
    await expectEvent(third, 'established');
    const theirs = await registered(pair.far, farSlot, { storage: 'process', bytes: 4096 });
    const mine = await registered(third, slot, { bytes: 4096 });
    // It still works: through the bounce buffer, which nobody's word is needed for.
    await pair.far.write(theirs.block.id, 0, new Uint8Array(4096).fill(7));
    await third.postReceive(slot, { sges: [[mine.region.address, 4096, mine.region.localKey]] });
    const sge = [theirs.region.address, 4096, theirs.region.localKey] as const;
    await pair.far.postSend(farSlot, { sges: [sge] });
    expect((await third.completion(slot)).status).toBe(WcStatus.SUCCESS);
    expect(await third.read(mine.block.id, 0, 4096)).toEqual(new Uint8Array(4096).fill(7));
    expect(region.length).toBe(4096);
    await pair.far.release(block.id);
    far?.close();
    await third.close();
    await pair.close();
  });

  it('a request whose probe address cannot be one is as good as any from an unreachable process', async () => {
    const pair = await Pair.open(TWO_PROCESSES);
    const base = { base: pair.machine.base };
    const { arena } = pair.machine.loop;
    const [host, far] = [NEAR, FAR].map((address) =>
      new FabricDirectory('test', base).open(addressText(address), arena),
    );
    await pair.near.listen(80);
    const common = { ...wakeFrame(FAR), type: FrameType.REQ, targetAddress: NEAR, targetPort: 80 };
    const endpoint = { queuePair: 1, slot: 0, ring: 4096, state: 65_536, sequence: 1 };
    const generation = far?.segment.generation ?? 0;
    for (const probeAddress of [0, 1, 2 ** 52, 2 ** 53, 2 ** 63, 2 ** 64 - 2048]) {
      host?.pipe.write(emitFrame({ ...common, generation, endpoint, probeAddress, sourceComm: 9 }));
      const { requestId } = await expectEvent(pair.near, 'connect-request');
      await pair.near.reject(requestId);
    }
    await pair.near.unlisten(80);
    host?.close();
    far?.close();
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
