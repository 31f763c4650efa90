// One-sided RDMA over inline engines: what the initiator carries out by itself, in memory that the owner
// lists for its queue pair, and everything that must send it the long way, where the owner says no. Both
// ends are in one thread, so that the owner provably has no turn. Two processes: one-sided-apart.test.ts.

import { expect, it, vi } from 'vitest';
import { native } from '../../../native/load.js';
import {
  Exposed,
  EXPOSED_WORDS,
  STATE_ACCESSING,
  STATE_EXPOSED,
  STATE_ADOPTED,
} from '../../../provider/nic/layout.js';
import { BARRIERS_MAX, DIRECT_BYTES_MAX, EXPOSED_REGIONS } from '../../../provider/nic/limits.js';
import { Access, Opcode, WcStatus } from '../../../provider/nic/verbs.js';
import { describePair, expectEvent, INLINE, registerBlock, registered } from './harness/pair.js';
import { SIDE_BYTES, Sides, stateWordOf } from './harness/sides.js';

describePair('one-sided', [INLINE], (pair) => {
  it('a small WRITE and READ are done when the call returns, whatever their length and place [RDMA-01 RDMA-03]', async () => {
    const sides = await Sides.open(pair());
    const { near, far } = pair();
    const lengths = [1, 3, 4, 7, 8, 12, 60, 64, 96, 97, 255, 256, 260, 4095, DIRECT_BYTES_MAX];
    let value = 0;
    for (const length of lengths) {
      for (const [from, to] of [
        [0, 0],
        [8, 16],
        [4, 12],
        [8, 4],
        [1, 3],
        [2, 5],
      ] as const) {
        value = (value % 250) + 1;
        const bytes = Uint8Array.from({ length }, (_, index) => (value + index) & 0xff);
        await near.write(sides.near.block.id, from, bytes);
        await far.write(sides.far.block.id, 0, new Uint8Array(SIDE_BYTES));
        expect(sides.write(from, length, { offset: to })).toBe(true);
        const found = await sides.farBytes();
        expect(Buffer.compare(found.subarray(to, to + length), bytes)).toBe(0);
        expect(found.subarray(0, to).some((byte) => byte !== 0)).toBe(false);
        expect(found.subarray(to + length).some((byte) => byte !== 0)).toBe(false);
        await near.write(sides.near.block.id, 0, new Uint8Array(SIDE_BYTES));
        expect(sides.read(to, length)).toBe(true);
        const back = await near.read(sides.near.block.id, to, length);
        expect(Buffer.compare(back, bytes)).toBe(0);
      }
    }
    expect(await near.completionsNow(sides.connection.near)).toEqual([]);
    expect(sides.queuePair.sendsOutstanding).toBe(0);
    await sides.close();
  });

  it('a posted one completes at once, with its id, opcode and length, in the order of posting [RDMA-05]', async () => {
    const sides = await Sides.open(pair());
    const { near, far } = sides;
    for (const [id, opcode, length] of [
      [7, Opcode.RDMA_WRITE, 64],
      [8, Opcode.RDMA_READ, 32],
      [9, Opcode.RDMA_WRITE, DIRECT_BYTES_MAX],
    ] as const) {
      await pair().near.postSend(sides.connection.near, {
        id,
        opcode,
        sges: [[near.region.address, length, near.region.localKey]],
        remoteAddress: far.region.address,
        remoteKey: far.region.remoteKey,
      });
    }
    expect(await pair().near.completionsNow(sides.connection.near)).toMatchObject([
      { id: 7, opcode: Opcode.RDMA_WRITE, status: WcStatus.SUCCESS, byteLength: 64 },
      { id: 8, opcode: Opcode.RDMA_READ, status: WcStatus.SUCCESS, byteLength: 32 },
      { id: 9, opcode: Opcode.RDMA_WRITE, status: WcStatus.SUCCESS, byteLength: DIRECT_BYTES_MAX },
    ]);
    await sides.close();
  });

  it('none overtakes what was sent before: not until the peer has executed that [RDMA-09]', async () => {
    const sides = await Sides.open(pair());
    const { near, far } = pair();
    await sides.fill(5);
    // In the peer's ring, complete here, and not yet received there.
    await near.postSend(sides.connection.near, { id: 1, sges: [] });
    expect(sides.write(0, 64)).toBe(false);
    expect(sides.read(0, 64)).toBe(false);
    await far.postReceive(sides.connection.far, { id: 2, sges: [] });
    await far.completion(sides.connection.far);
    // By a slot: it is answered, and then everything before it is known to be done.
    await near.postSend(sides.connection.near, {
      id: 3,
      opcode: Opcode.RDMA_WRITE,
      sges: [[sides.near.region.address, 64, sides.near.region.localKey]],
      remoteAddress: sides.far.region.address,
      remoteKey: sides.far.region.remoteKey,
    });
    expect(await near.completion(sides.connection.near)).toMatchObject({ id: 1 });
    expect(await near.completion(sides.connection.near)).toMatchObject({ id: 3 });
    expect(sides.write(64, 64)).toBe(true);
    expect(await sides.farBytes(0, 129)).toEqual(
      Uint8Array.from({ length: 129 }, (_, at) => (at < 128 ? 5 : 0)),
    );
    await sides.close();
  });

  it('refuses, with nothing done, other keys, ranges and rights, on either side [RDMA-10 MEM-03 MEM-06]', async () => {
    const sides = await Sides.open(pair(), Access.REMOTE_WRITE | Access.LOCAL_WRITE);
    const { near, far, queuePair } = sides;
    await sides.fill(9);
    const { address, localKey } = near.region;
    const target = far.region.address;
    const key = far.region.remoteKey | 0;
    const write = (
      from: number,
      length: number,
      own: number,
      to: number,
      remote: number,
    ): boolean => queuePair.injectWrite(from, length, own | 0, to, remote | 0);
    expect(sides.read(0, 64)).toBe(false); // Only writable.
    for (const wrong of [0, 1, key + 1, far.region.localKey, near.region.remoteKey])
      expect(write(address, 64, localKey, target, wrong)).toBe(false);
    for (const wrong of [0, 1, localKey + 1, near.region.remoteKey])
      expect(write(address, 64, wrong, target, key)).toBe(false);
    expect(write(address, 64, localKey, target - 1, key)).toBe(false);
    expect(write(address, 64, localKey, target + SIDE_BYTES - 63, key)).toBe(false);
    expect(write(address - 1, 64, localKey, target, key)).toBe(false);
    expect(write(address + SIDE_BYTES - 63, 64, localKey, target, key)).toBe(false);
    expect(write(address, 0, localKey, target, key)).toBe(false);
    expect(write(address, -1, localKey, target, key)).toBe(false);
    expect(write(address, DIRECT_BYTES_MAX + 1, localKey, target, key)).toBe(false);
    expect(await sides.farBytes()).toEqual(new Uint8Array(SIDE_BYTES));
    expect(sides.write(0, 64)).toBe(true);
    await sides.close();
  });

  it('a key of another connection opens nothing here, although both are between the same hosts [MEM-04 REGRDMA-06]', async () => {
    const [one, other] = [await Sides.open(pair()), await Sides.open(pair())];
    await one.fill(3);
    expect(other.write(0, 64)).toBe(true);
    expect(one.write(0, 64, { region: other.far.region })).toBe(false);
    expect(await other.farBytes(0, 8)).toEqual(new Uint8Array(8));
    await pair().disconnect(one.connection, other.connection);
    for (const { near, far } of [one, other]) {
      await pair().near.release(near.block.id);
      await pair().far.release(far.block.id);
    }
  });

  it('what was deregistered is out of reach at once, also when its place in the list has a new key [DEREGRDMA-02 MEM-05]', async () => {
    const sides = await Sides.open(pair());
    const { far } = pair();
    await sides.fill(1);
    const seen = [sides.far.region];
    expect(sides.write(0, 64)).toBe(true);
    for (let round = 0; round < 3 * EXPOSED_REGIONS; round++) {
      const last = seen.at(-1) ?? sides.far.region;
      await far.deregister(last.id);
      expect(sides.write(128, 64, { region: last })).toBe(false);
      seen.push(await registerBlock(far, sides.connection.far, sides.far.block));
      for (const stale of seen.slice(0, -1))
        expect(sides.write(128, 64, { region: stale })).toBe(false);
      expect(await sides.farBytes(128, 64)).toEqual(new Uint8Array(64));
      const next = seen.at(-1) ?? sides.far.region;
      expect(sides.write(0, 64, { region: next })).toBe(true);
    }
    // Key 0 stands for no region, on either side.
    await far.deregister(seen.at(-1)?.id ?? -1);
    expect(sides.write(0, 64, { region: seen.at(-1) ?? sides.far.region })).toBe(false);
    expect(sides.write(0, 64, { region: { ...sides.far.region, remoteKey: 0 } })).toBe(false);
    await sides.close();
  });

  it('what a local deregistration has ended is not read from any more [DEREGMEM-01]', async () => {
    const sides = await Sides.open(pair());
    expect(sides.write(0, 64)).toBe(true);
    await pair().near.deregister(sides.near.region.id);
    expect(sides.write(0, 64)).toBe(false);
    await sides.close();
  });

  it('more regions than the list holds are all reached, the last ones through their owner', async () => {
    const sides = await Sides.open(pair());
    const { near, far } = pair();
    await sides.fill(8);
    const regions = [sides.far.region];
    while (regions.length < EXPOSED_REGIONS + 3)
      regions.push(await registerBlock(far, sides.connection.far, sides.far.block));
    const direct = regions.map((region, at) => sides.write(at * 64, 64, { region }));
    expect(direct).toEqual(regions.map((_, at) => at < EXPOSED_REGIONS));
    const last = regions.at(-1) ?? sides.far.region;
    await near.postSend(sides.connection.near, {
      opcode: Opcode.RDMA_WRITE,
      sges: [[sides.near.region.address, 64, sides.near.region.localKey]],
      remoteAddress: last.address + 4096,
      remoteKey: last.remoteKey,
    });
    expect(await near.completion(sides.connection.near)).toMatchObject({
      status: WcStatus.SUCCESS,
    });
    expect(await sides.farBytes(4096, 64)).toEqual(new Uint8Array(64).fill(8));
    // A place becomes free and is used again.
    await far.deregister(regions[5]?.id ?? -1);
    const fresh = await registerBlock(far, sides.connection.far, sides.far.block);
    expect(sides.write(0, 64, { region: fresh })).toBe(true);
    await sides.close();
  });

  it('ends with the connection, on both sides [MEM-05]', async () => {
    const sides = await Sides.open(pair());
    const { near, far } = pair();
    expect(sides.write(0, 64)).toBe(true);
    await far.destroy(sides.connection.far);
    // The near side has heard nothing of it yet.
    expect(sides.write(64, 64)).toBe(false);
    await expectEvent(far, 'destroyed');
    await expectEvent(near, 'disconnected');
    expect(sides.write(64, 64)).toBe(false);
    const late = await registered(near, sides.connection.near, { bytes: 64 });
    await near.destroy(sides.connection.near);
    await pair().settled();
    for (const block of [sides.near.block.id, late.block.id]) await near.release(block);
    await far.release(sides.far.block.id);
  });

  it('believes nothing of the peer’s list that leaves the peer’s segment', async () => {
    const sides = await Sides.open(pair());
    const { words } = sides;
    const entry = sides.farState + STATE_EXPOSED;
    expect(words[entry + Exposed.KEY]).toBe(sides.far.region.remoteKey | 0);
    const { OFFSET, LENGTH, ACCESS } = Exposed;
    const honest = [OFFSET, LENGTH, ACCESS].map((word) => words[entry + word] ?? 0);
    const before = words.slice(0, 1024);
    for (const [offset, length] of [
      [0, -1],
      [honest[0] ?? 0, 0x7fffffff],
      [-4096, 8192],
      [32 * 2 ** 20 - 64, 128],
    ] as const) {
      words[entry + OFFSET] = offset;
      words[entry + LENGTH] = length;
      expect(sides.write(0, 64)).toBe(false);
    }
    [OFFSET, LENGTH, ACCESS].forEach((word, index) => {
      words[entry + word] = honest[index] ?? 0;
    });
    expect(words.slice(0, 1024)).toEqual(before);
    expect(sides.write(0, 64)).toBe(true);
    await sides.close();
  });

  it('keeps no owner waiting for a peer that claims to be using some other key', async () => {
    const sides = await Sides.open(pair());
    const { words } = sides;
    const { far, near } = pair();
    const state = stateWordOf(near, sides.connection.near);
    await far.deregister(sides.far.region.id);
    words[state + STATE_ADOPTED] = 1;
    for (const claim of [1, -1, 0x12345678]) {
      const region = await registerBlock(far, sides.connection.far, sides.far.block);
      words[state + STATE_ACCESSING] = claim;
      await far.deregister(region.id);
    }
    words[state + STATE_ACCESSING] = 0;
    await sides.close();
  });

  it('costs an owner a barrier only for a key that its peer has adopted, and none once it has paid often [MEM-05]', async () => {
    const sides = await Sides.open(pair());
    const { far } = pair();
    const slot = sides.connection.far;
    const barrier = vi.spyOn(native, 'barrier');
    /** The barriers for taking a region back that the peer has used, or not. */
    const cost = async (isUsed: boolean): Promise<number> => {
      const region = await registerBlock(far, slot, sides.far.block);
      if (isUsed) expect(sides.write(0, 64, { region })).toBe(true);
      const before = barrier.mock.calls.length;
      await far.deregister(region.id);
      const barriers = barrier.mock.calls.length - before;
      expect(sides.write(0, 64, { region })).toBe(false);
      return barriers;
    };
    try {
      expect(await cost(false)).toBe(0);
      // What the peer knew before is not known any more, so it is adopted again and refused.
      expect(sides.write(0, 64)).toBe(true);
      const other = await registerBlock(far, slot, sides.far.block);
      expect(sides.write(0, 64, { region: other })).toBe(true);
      await far.deregister(sides.far.region.id);
      expect(barrier).not.toHaveBeenCalled();
      expect(sides.write(0, 64)).toBe(false);
      for (let count = 0; count < BARRIERS_MAX; count++) expect(await cost(true)).toBe(1);
      for (let count = 0; count < 3; count++) expect(await cost(true)).toBe(0);
      await far.deregister(other.id);
    } finally {
      barrier.mockRestore();
    }
    await sides.close();
  });

  it('lists memory of the segment with remote rights, and nothing else', async () => {
    const connection = await pair().connect();
    const { far } = pair();
    const state = stateWordOf(far, connection.far);
    const { words } = pair().machine.loop.arena.view;
    const listed = (): number[] =>
      Array.from(
        { length: EXPOSED_REGIONS },
        (_, at) => words[state + STATE_EXPOSED + at * EXPOSED_WORDS] ?? 0,
      ).filter((key) => key !== 0);
    const local = await registered(far, connection.far, {
      bytes: 64,
      access: Access.LOCAL_WRITE,
    });
    const process = await registered(far, connection.far, { bytes: 64, storage: 'process' });
    expect(listed()).toEqual([]);
    const open = await registered(far, connection.far, { bytes: 64, access: Access.REMOTE_READ });
    expect(listed()).toEqual([open.region.remoteKey | 0]);
    await pair().disconnect(connection);
    for (const { block } of [local, process, open]) await far.release(block.id);
  });
});
