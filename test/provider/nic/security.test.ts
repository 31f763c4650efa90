// The attacks of ReDMArk ("Bypassing RDMA Security Mechanisms", USENIX Security 2021), by name: the
// attacker gets nothing, not a byte moves, and the connections of others go on. An attacker is a host
// of the same user on the same fabric; docs/nic.md says what is not defended against.

import { readdirSync, statSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Prng } from '../../../runtime/prng.js';
import { FabricDirectory } from '../../../native/fabric-directory.js';
import { addressText } from '../../../provider/nic/address.js';
import type { Frame } from '../../../provider/nic/cm-frame.js';
import { emitFrame, FrameType, wakeFrame } from '../../../provider/nic/cm-frame.js';
import type { MemoryRegion, QueuePair } from '../../../provider/nic/device.js';
import {
  DIRECT_BYTES_MAX,
  MAX_MEMORY_REGIONS,
  REQUESTS_PER_PEER,
} from '../../../provider/nic/limits.js';
import { Access, Opcode, WcStatus } from '../../../provider/nic/verbs.js';
import type { LocalEnd } from './harness/end.js';
import type { Connection } from './harness/pair.js';
import {
  describePair,
  EVERYTHING,
  expectEvent,
  FAR,
  INLINE,
  Machine,
  NEAR,
  Pair,
  registered,
} from './harness/pair.js';

const SEED = 0x5eed;
const THIRD = 0x7f4d0003;
const BYTES = 4096;

function register(end: LocalEnd, slot: number, buffer: Uint8Array): MemoryRegion {
  const region = end.opened.nic.registerMemory(
    end.queuePairOf(slot),
    buffer,
    buffer.length,
    EVERYTHING,
  );
  if (typeof region === 'string') throw new Error(`not registered: ${region}`);
  return region;
}

/** A message and its answer on a connection of others. */
async function expectGoesOn(pair: Pair, { near, far }: Connection): Promise<void> {
  await pair.near.postReceive(near, { id: 1, sges: [] });
  await pair.far.postReceive(far, { id: 2, sges: [] });
  await pair.far.postSend(far, { id: 3, sges: [] });
  await pair.near.postSend(near, { id: 4, sges: [] });
  for (const [end, slot] of [
    [pair.near, near],
    [pair.far, far],
  ] as const) {
    const found = [await end.completion(slot), await end.completion(slot)];
    expect(found.map(({ status }) => status)).toEqual([WcStatus.SUCCESS, WcStatus.SUCCESS]);
  }
}

/** The far end tries RDMA with a key and an address on a new connection each time. */
async function expectShut(
  pair: Pair,
  attempts: readonly { address: number; key: number; length?: number }[],
): Promise<void> {
  for (const { address, key, length = 64 } of attempts) {
    for (const opcode of [Opcode.RDMA_READ, Opcode.RDMA_WRITE] as const) {
      const trial = await pair.connect();
      const mine = await registered(pair.far, trial.far, { bytes: BYTES });
      await pair.far.postSend(trial.far, {
        opcode,
        sges: [[mine.region.address, length, mine.region.localKey]],
        remoteAddress: address,
        remoteKey: key,
      });
      expect((await pair.far.completion(trial.far)).status).toBe(WcStatus.REM_ACCESS_ERR);
      expect(await pair.far.read(mine.block.id, 0, BYTES)).toEqual(new Uint8Array(BYTES));
      for (const end of [pair.near, pair.far]) await expectEvent(end, 'disconnected');
      await pair.near.destroy(trial.near);
      await pair.far.destroy(trial.far);
      for (const end of [pair.near, pair.far]) await expectEvent(end, 'destroyed');
      await pair.far.release(mine.block.id);
    }
  }
}

describePair('keys', [INLINE], (pair) => {
  it('predictable keys: neither earlier keys nor other fields tell the next one [MEM-04]', async () => {
    const { near } = pair();
    const slot = await near.queuePair();
    const buffer = new Uint8Array(64);
    const keys: number[] = [];
    for (let count = 0; count < 8192; count++) {
      const region = register(near, slot, buffer);
      keys.push(region.localKey, region.remoteKey);
    }
    expect(new Set(keys).size).toBe(keys.length);
    // Every bit is a coin: 6 standard deviations around one half.
    for (let bit = 0; bit < 32; bit++) {
      const ones = keys.filter((key) => ((key >>> bit) & 1) === 1).length;
      expect(Math.abs(ones - keys.length / 2)).toBeLessThan(6 * Math.sqrt(keys.length / 4));
    }
    // No step between neighbours comes twice as often as chance allows.
    const steps = keys.slice(1).map((key, index) => (key - (keys[index] ?? 0)) | 0);
    expect(new Set(steps).size).toBeGreaterThan(steps.length - 5);
    await near.destroy(slot);
    await pair().settled();
  });

  it('predictable keys: guesses around a known key open nothing, and each costs its connection [MEM-04 RDMA-10]', async () => {
    const { near } = pair();
    const other = await pair().connect();
    const { block, region } = await registered(near, other.near, { bytes: BYTES });
    const known = region.remoteKey;
    const guesses = [known + 1, known - 1, known ^ 0xff, known << 8, known].map((key) => key >>> 0);
    await expectShut(
      pair(),
      guesses.map((key) => ({ address: region.address, key })),
    );
    expect(await near.read(block.id, 0, BYTES)).toEqual(new Uint8Array(BYTES));
    await expectGoesOn(pair(), other);
    await near.release(block.id);
    await pair().disconnect(other);
  });

  it('reused keys: the same memory never gets the same key again, and old ones open nothing [MEM-05]', async () => {
    const { near } = pair();
    const other = await pair().connect();
    const memory = near.opened.memory.VirtualAlloc(BYTES);
    if (memory === null) throw new Error('no memory');
    const seen = new Set<number>();
    let last: MemoryRegion | null = null;
    for (let round = 0; round < 3000; round++) {
      if (last !== null) near.opened.nic.deregisterMemory(last);
      last = register(near, other.near, memory);
      expect(seen.has(last.remoteKey) || seen.has(last.localKey)).toBe(false);
      seen.add(last.remoteKey).add(last.localKey);
    }
    if (last !== null) near.opened.nic.deregisterMemory(last);
    const address = near.opened.nic.addressOf(memory);
    await expectShut(
      pair(),
      [...seen].slice(-3).map((key) => ({ address, key })),
    );
    expect(memory.every((byte) => byte === 0)).toBe(true);
    near.opened.memory.VirtualFree(memory);
    await pair().disconnect(other);
  });

  it('linear region allocation: knowing one region and where the next lies opens no byte of it [MEM-03 MEM-06]', async () => {
    const { near, far } = pair();
    const [trial, other] = [await pair().connect(), await pair().connect()];
    const first = await registered(near, trial.near, { bytes: BYTES });
    const next = await registered(near, other.near, { bytes: BYTES });
    // Addresses are no secret: the blocks are neighbours.
    expect(Math.abs(next.region.address - first.region.address)).toBe(BYTES);
    const boundary = Math.max(first.region.address, next.region.address);
    const mine = await registered(far, trial.far, { bytes: BYTES });
    await far.write(mine.block.id, 0, new Uint8Array(BYTES).fill(0xee));
    await far.postSend(trial.far, {
      opcode: Opcode.RDMA_WRITE,
      sges: [[mine.region.address, 128, mine.region.localKey]],
      remoteAddress: boundary - 64,
      remoteKey: first.region.remoteKey,
    });
    expect((await far.completion(trial.far)).status).toBe(WcStatus.REM_ACCESS_ERR);
    for (const { block } of [first, next])
      expect(await near.read(block.id, 0, BYTES)).toEqual(new Uint8Array(BYTES));
    for (const end of [near, far]) await expectEvent(end, 'disconnected');
    await expectGoesOn(pair(), other);
    for (const { block } of [first, next]) await near.release(block.id);
    await far.release(mine.block.id);
    await pair().disconnect(trial, other);
  });

  it('access after deregistration: nothing moves from the moment the call returns [MEM-05]', async () => {
    const { near, far } = pair();
    const [trial, other] = [await pair().connect(), await pair().connect()];
    // More than a peer writes by itself, so that the owner has to.
    const bytes = DIRECT_BYTES_MAX + BYTES;
    const target = await registered(near, trial.near, { bytes });
    const mine = await registered(far, trial.far, { bytes });
    await far.write(mine.block.id, 0, new Uint8Array(bytes).fill(0xee));
    const { address, remoteKey } = target.region;
    for (let id = 0; id < 10; id++) {
      await far.postSend(trial.far, {
        id,
        opcode: Opcode.RDMA_WRITE,
        sges: [[mine.region.address, bytes, mine.region.localKey]],
        remoteAddress: address,
        remoteKey,
      });
    }
    // They are all on their way: published, and not executed.
    await near.deregister(target.region.id);
    expect((await far.completion(trial.far)).status).toBe(WcStatus.REM_ACCESS_ERR);
    expect(await near.read(target.block.id, 0, bytes)).toEqual(new Uint8Array(bytes));
    for (const end of [near, far]) await expectEvent(end, 'disconnected');
    await expectGoesOn(pair(), other);
    await near.release(target.block.id);
    await far.release(mine.block.id);
    await pair().disconnect(trial, other);
  });
});

describe('static initialization state', () => {
  it('a host that starts again repeats no key and no queue pair number', async () => {
    const seen = new Set<number>();
    for (let life = 0; life < 5; life++) {
      const machine = new Machine();
      const near = await machine.open(NEAR);
      const slot = await near.queuePair();
      const region = register(near, slot, new Uint8Array(64));
      const values = [region.localKey, region.remoteKey, near.queuePairOf(slot).number];
      for (const value of values) expect(seen.has(value)).toBe(false);
      for (const value of values) seen.add(value);
      await near.close();
      machine.close();
    }
  });

  it('queue pair numbers are unique in a host and tell nothing of each other', async () => {
    const machine = new Machine();
    const near = await machine.open(NEAR);
    const { nic } = near.opened;
    const completionQueue = nic.createCompletionQueue(64);
    const numbers: number[] = [];
    for (let count = 0; count < 1000; count++) {
      const made = nic.createQueuePair({ completionQueue, sendDepth: 1, receiveDepth: 1 });
      if (made !== null) numbers.push(made.number);
    }
    expect(new Set(numbers).size).toBe(1000);
    const steps = numbers.slice(1).map((number, index) => number - (numbers[index] ?? 0));
    expect(new Set(steps).size).toBeGreaterThan(990);
    await near.close();
    machine.close();
  });
});

/** Writes frames into a host's pipe, in whose name it likes. */
class Forger {
  readonly #machine: Machine;
  readonly #directory: FabricDirectory;

  constructor(machine: Machine) {
    this.#machine = machine;
    this.#directory = new FabricDirectory('test', { base: machine.base });
  }

  generationOf(address: number): number {
    const host = this.#directory.open(addressText(address), this.#machine.loop.arena);
    const generation = host?.segment.generation ?? 0;
    host?.close();
    return generation;
  }

  send(to: number, frames: readonly Partial<Frame>[]): void {
    const host = this.#directory.open(addressText(to), this.#machine.loop.arena);
    for (const frame of frames) {
      const bytes = emitFrame({ ...wakeFrame(FAR), targetAddress: to, ...frame });
      while (host?.pipe.write(bytes) === 'full') this.#machine.loop.turn();
    }
    host?.close();
    for (let turn = 0; turn < 20; turn++) this.#machine.loop.turn();
  }
}

describe('impersonating a connection', () => {
  it('frames in the peer’s name without its secret ids change nothing', async () => {
    const pair = await Pair.open(INLINE);
    const random = new Prng(SEED);
    const connection = await pair.connect();
    const forger = new Forger(pair.machine);
    const generation = forger.generationOf(FAR);
    const { DREQ, REJ, REP, RTU, DREP } = FrameType;
    for (const type of [DREQ, REJ, REP, RTU, DREP]) {
      const frames = Array.from({ length: 200 }, (_, index) => ({
        type,
        generation,
        sourceComm: random.uint32(),
        // The way without a target id is guessed at as well.
        targetComm: index % 2 === 0 ? 0 : random.uint32(),
      }));
      forger.send(NEAR, frames);
    }
    expect(pair.near.opened.nic.pollEvent()).toBeNull();
    await expectGoesOn(pair, connection);
    await pair.disconnect(connection);
    await pair.close();
  });

  it('a request in another host’s name makes nobody write into that host’s memory', async () => {
    const pair = await Pair.open(INLINE);
    const { near, far } = pair;
    const other = await pair.connect();
    const target = await registered(far, other.far, { bytes: 16_384 });
    const forger = new Forger(pair.machine);
    await near.listen(80);
    forger.send(NEAR, [
      {
        type: FrameType.REQ,
        generation: forger.generationOf(FAR),
        targetPort: 80,
        sourceComm: 77,
        endpoint: {
          queuePair: 1,
          slot: 0,
          ring: target.region.address,
          state: target.region.address + 8192,
          sequence: 1,
        },
      },
    ]);
    const { requestId } = await expectEvent(near, 'connect-request');
    const slot = await near.queuePair();
    await near.accept(slot, requestId);
    for (let id = 0; id < 8; id++) await near.postSend(slot, { id, sges: [] });
    await expectEvent(near, 'established');
    // The host whose name was used says that it knows nothing of it.
    expect(await near.event()).toMatchObject({ type: 'disconnected', queuePair: slot });
    expect(await far.read(target.block.id, 0, 16_384)).toEqual(new Uint8Array(16_384));
    await near.unlisten(80);
    await expectGoesOn(pair, other);
    await far.release(target.block.id);
    await pair.disconnect(other, { near: slot, far: other.far });
    await pair.close();
  });

  it('a key that was told to one connection is worth nothing on another host’s', async () => {
    const pair = await Pair.open(INLINE);
    const third = await pair.machine.open(THIRD);
    const victim = await pair.connect();
    const { block, region } = await registered(pair.near, victim.near, { bytes: BYTES });
    await pair.near.listen(81);
    const slot = await third.queuePair();
    await third.connect(slot, NEAR, 81);
    const { requestId } = await expectEvent(pair.near, 'connect-request');
    const nearSlot = await pair.near.queuePair();
    await pair.near.accept(nearSlot, requestId);
    await expectEvent(third, 'established');
    const mine = await registered(third, slot, { bytes: BYTES, access: Access.LOCAL_WRITE });
    await third.postSend(slot, {
      opcode: Opcode.RDMA_READ,
      sges: [[mine.region.address, 64, mine.region.localKey]],
      remoteAddress: region.address,
      remoteKey: region.remoteKey,
    });
    expect((await third.completion(slot)).status).toBe(WcStatus.REM_ACCESS_ERR);
    await third.close();
    for (const type of ['established', 'disconnected'] as const) await expectEvent(pair.near, type);
    await expectGoesOn(pair, victim);
    await pair.near.release(block.id);
    await pair.near.unlisten(81);
    await pair.disconnect(victim, { near: nearSlot, far: victim.far });
    await pair.close();
  });
});

describe('exhausting', () => {
  it('queue pairs: further requests are refused, other connections go on, and all come back', async () => {
    const pair = await Pair.open(INLINE);
    const other = await pair.connect();
    const { nic } = pair.near.opened;
    const completionQueue = nic.createCompletionQueue(64);
    const hoard: QueuePair[] = [];
    for (;;) {
      const made = nic.createQueuePair({ completionQueue, sendDepth: 1, receiveDepth: 1 });
      if (made === null) break;
      hoard.push(made);
    }
    expect(hoard.length).toBeGreaterThan(1000);
    await pair.near.listen(80);
    const slot = await pair.far.queuePair();
    await pair.far.connect(slot, NEAR, 80);
    const { requestId } = await expectEvent(pair.near, 'connect-request');
    await expect(pair.near.queuePair()).rejects.toThrow('no queue pair is left');
    await pair.near.reject(requestId);
    expect((await expectEvent(pair.far, 'connect-failed')).reason).toBe('rejected');
    await pair.far.destroy(slot);
    await expectEvent(pair.far, 'destroyed');
    await expectGoesOn(pair, other);
    await pair.near.unlisten(80);
    for (const made of hoard) made.destroy();
    await pair.disconnect(other);
    await pair.disconnect(await pair.connect());
    await pair.close();
  });

  it('requests: one peer has so many waiting and no more, another host’s are reported all the same', async () => {
    const pair = await Pair.open(INLINE);
    const other = await pair.connect();
    const third = await pair.machine.open(THIRD);
    const forger = new Forger(pair.machine);
    await pair.near.listen(80);
    const endpoint = { queuePair: 1, slot: 0, ring: 4096, state: 65_536, sequence: 1 };
    const common = { type: FrameType.REQ, generation: forger.generationOf(FAR), targetPort: 80 };
    const flood = Array.from({ length: REQUESTS_PER_PEER + 500 }, (_, index) => ({
      ...common,
      sourceComm: index + 1,
      endpoint,
    }));
    forger.send(NEAR, flood);
    const { nic } = pair.near.opened;
    let reported = 0;
    while (nic.pollEvent() !== null) reported++;
    expect(reported).toBe(REQUESTS_PER_PEER);
    await third.connect(await third.queuePair(), NEAR, 80);
    expect(await pair.near.event()).toMatchObject({
      type: 'connect-request',
      remoteAddress: THIRD,
    });
    await expectGoesOn(pair, other);
    await third.close();
    await pair.near.unlisten(80);
    await pair.disconnect(other);
    await pair.close();
  });

  it('regions: there is a bound, what is beyond is refused, and other connections go on', async () => {
    const pair = await Pair.open(INLINE);
    const [hoarder, other] = [await pair.connect(), await pair.connect()];
    const memory = pair.near.opened.memory.VirtualAlloc(BYTES);
    if (memory === null) throw new Error('no memory');
    const { nic } = pair.near.opened;
    const queuePair = pair.near.queuePairOf(hoarder.near);
    for (let count = 0; count < MAX_MEMORY_REGIONS; count++)
      nic.registerMemory(queuePair, memory, BYTES, EVERYTHING);
    expect(nic.registrationCount).toBe(MAX_MEMORY_REGIONS);
    expect(nic.registerMemory(queuePair, memory, BYTES, EVERYTHING)).toBe('no-resources');
    await expectGoesOn(pair, other);
    await pair.disconnectOnly(hoarder);
    register(pair.near, other.near, memory);
    await pair.disconnect(other);
    await pair.close();
  });

  it('receive buffers: a flood of messages nobody wants holds up its own connections only', async () => {
    const pair = await Pair.open(INLINE);
    const other = await pair.connect();
    const connections: Connection[] = [];
    for (let count = 0; count < 20; count++) connections.push(await pair.connect());
    for (const { far } of connections)
      for (let id = 0; id < 64; id++) await pair.far.postSend(far, { id, sges: [] });
    for (let round = 0; round < 20; round++) await expectGoesOn(pair, other);
    for (const { near } of connections) expect(await pair.near.completionsNow(near)).toEqual([]);
    await pair.disconnect(other, ...connections);
    await pair.close();
  });
});

it('a host’s files can be opened by its user alone', async () => {
  const machine = new Machine();
  const near = await machine.open(NEAR);
  const worker = await machine.open(FAR, 'worker');
  const modes = readdirSync(machine.base, { recursive: true }).map((name) => {
    const status = statSync(`${machine.base}/${String(name)}`);
    return [status.isDirectory(), (status.mode & 0o777).toString(8), status.uid];
  });
  expect(modes.length).toBeGreaterThan(4);
  for (const [isDirectory, mode, uid] of modes)
    expect([mode, uid]).toEqual([isDirectory === true ? '700' : '600', process.getuid?.()]);
  await near.close();
  await worker.close();
  machine.close();
});
