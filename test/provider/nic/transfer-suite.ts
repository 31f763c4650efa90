// The transfer suite: what SEND, RDMA WRITE and RDMA READ do to bytes and in which order they complete,
// over any pair. Lengths straddle the inline limit; buffers lie in the segment and outside it.

import { expect, it } from 'vitest';
import { Prng } from '../../../runtime/prng.js';
import { Opcode, PostResult, SendFlag, WcStatus } from '../../../provider/nic/verbs.js';
import type { Block, Completion, Region, Storage } from './harness/end.js';
import type { Connection, Pair } from './harness/pair.js';
import { completions, EVERYTHING, registerBlock, registered } from './harness/pair.js';

const SEED = 0x5eed;
const MEBIBYTE = 2 ** 20;
const LENGTHS = [0, 1, 31, 32, 95, 96, 97, 4096, 65_537, MEBIBYTE];
const STORAGES: readonly Storage[] = ['segment', 'process'];
const PLACES = STORAGES.flatMap((from) => STORAGES.map((to) => ({ from, to })));

/** A connection with one registered block per side. */
class Bench {
  readonly pair: Pair;
  readonly connection: Connection;
  readonly near: { block: Block; region: Region };
  readonly far: { block: Block; region: Region };

  private constructor(
    pair: Pair,
    connection: Connection,
    near: { block: Block; region: Region },
    far: { block: Block; region: Region },
  ) {
    this.pair = pair;
    this.connection = connection;
    this.near = near;
    this.far = far;
  }

  static async set(
    pair: Pair,
    options: {
      bytes: number;
      from?: Storage;
      to?: Storage;
      completionDepth?: number;
      depth?: number;
    },
  ): Promise<Bench> {
    const depth = options.depth ?? 64;
    const connection = await pair.connect({
      sendDepth: depth,
      receiveDepth: depth,
      completionDepth: options.completionDepth ?? 256,
    });
    const near = await registered(pair.near, connection.near, {
      storage: options.from ?? 'segment',
      bytes: options.bytes,
    });
    const far = await registered(pair.far, connection.far, {
      storage: options.to ?? 'segment',
      bytes: options.bytes,
    });
    return new Bench(pair, connection, near, far);
  }

  /** Posts a SEND of part of the near block. */
  send(id: number, offset: number, length: number): Promise<PostResult> {
    const { region } = this.near;
    return this.pair.near.postSend(this.connection.near, {
      id,
      sges: length === 0 ? [] : [[region.address + offset, length, region.localKey]],
    });
  }

  /** Posts a receive into part of the far block. */
  receive(id: number, offset: number, length: number): Promise<PostResult> {
    const { region } = this.far;
    return this.pair.far.postReceive(this.connection.far, {
      id,
      sges: length === 0 ? [] : [[region.address + offset, length, region.localKey]],
    });
  }

  /** Posts an RDMA operation between equal offsets of the two blocks. */
  rdma(
    opcode: typeof Opcode.RDMA_READ | typeof Opcode.RDMA_WRITE,
    id: number,
    offset: number,
    length: number,
  ): Promise<PostResult> {
    const { near, far } = this;
    return this.pair.near.postSend(this.connection.near, {
      id,
      opcode,
      sges: [[near.region.address + offset, length, near.region.localKey]],
      remoteAddress: far.region.address + offset,
      remoteKey: far.region.remoteKey,
    });
  }

  sent(count: number): Promise<Completion[]> {
    return completions(this.pair.near, this.connection.near, count);
  }

  received(count: number): Promise<Completion[]> {
    return completions(this.pair.far, this.connection.far, count);
  }

  async clear(): Promise<void> {
    await this.pair.disconnect(this.connection);
    await this.pair.near.release(this.near.block.id);
    await this.pair.far.release(this.far.block.id);
  }
}

/** `toEqual` takes seconds for a mebibyte. */
function expectSame(found: Uint8Array, expected: Uint8Array): void {
  expect(Buffer.compare(found, expected)).toBe(0);
}

function randomBytes(random: Prng, length: number): Uint8Array {
  const words = Uint32Array.from({ length: Math.ceil(length / 4) }, () => random.uint32());
  return new Uint8Array(words.buffer, 0, length);
}

/** Lengths of `count` pieces that add up to `total`; pieces may be empty. */
function split(random: Prng, total: number, count: number): number[] {
  const cuts = Array.from({ length: count - 1 }, () => random.between(0, total)).sort(
    (a, b) => a - b,
  );
  return [...cuts, total].map((end, index) => end - (index === 0 ? 0 : (cuts[index - 1] ?? 0)));
}

/** Elements over consecutive ranges of a region. */
function elements(region: Region, lengths: readonly number[]): [number, number, number][] {
  let at = region.address;
  return lengths.map((length) => {
    const element: [number, number, number] = [at, length, region.localKey];
    at += length;
    return element;
  });
}

export function transferSuite(pair: () => Pair): void {
  it.each(PLACES)(
    'a message of any length arrives whole, from $from to $to memory',
    async ({ from, to }) => {
      const random = new Prng(SEED);
      const bench = await Bench.set(pair(), { bytes: MEBIBYTE, from, to });
      for (const length of LENGTHS) {
        const bytes = randomBytes(random, length);
        await pair().near.write(bench.near.block.id, 0, bytes);
        await bench.receive(length, 0, MEBIBYTE);
        expect(await bench.send(length, 0, length)).toBe(PostResult.OK);
        expect(await bench.received(1)).toMatchObject([
          { id: length, opcode: Opcode.RECV, status: WcStatus.SUCCESS, byteLength: length },
        ]);
        expect(await bench.sent(1)).toMatchObject([
          { id: length, opcode: Opcode.SEND, status: WcStatus.SUCCESS },
        ]);
        expectSame(await pair().far.read(bench.far.block.id, 0, length), bytes);
      }
      await bench.clear();
    },
  );

  it.each(PLACES)(
    'WRITE and READ move ranges at offsets, from $from to $to memory',
    async ({ from, to }) => {
      const { near, far } = pair();
      const random = new Prng(SEED);
      const bytes = 2 * MEBIBYTE + 4096;
      const bench = await Bench.set(pair(), { bytes, from, to });
      for (const length of LENGTHS.filter((one) => one > 0)) {
        const offset = random.below(bytes - length);
        const written = randomBytes(random, length);
        await near.write(bench.near.block.id, offset, written);
        await bench.rdma(Opcode.RDMA_WRITE, 1, offset, length);
        expect(await bench.sent(1)).toMatchObject([
          { opcode: Opcode.RDMA_WRITE, status: WcStatus.SUCCESS, byteLength: length },
        ]);
        expectSame(await far.read(bench.far.block.id, offset, length), written);
        const there = randomBytes(random, length);
        await far.write(bench.far.block.id, offset, there);
        await bench.rdma(Opcode.RDMA_READ, 2, offset, length);
        expect(await bench.sent(1)).toMatchObject([
          { opcode: Opcode.RDMA_READ, status: WcStatus.SUCCESS, byteLength: length },
        ]);
        expectSame(await near.read(bench.near.block.id, offset, length), there);
      }
      await bench.clear();
    },
  );

  it('RDMA touches no byte outside its range, and needs no receive at the other side [RDMA-01 RDMA-03]', async () => {
    const { near, far } = pair();
    const bench = await Bench.set(pair(), { bytes: 4096 });
    await near.write(bench.near.block.id, 0, new Uint8Array(4096).fill(1));
    await bench.rdma(Opcode.RDMA_WRITE, 1, 1001, 517);
    await bench.sent(1);
    const expected = new Uint8Array(4096).fill(1, 1001, 1518);
    expect(await far.read(bench.far.block.id, 0, 4096)).toEqual(expected);
    expect(await far.completionsNow(bench.connection.far)).toEqual([]);
    await bench.clear();
  });

  it('scatter/gather lists of both sides may be cut anywhere [RDMA-04]', async () => {
    const { near, far } = pair();
    const random = new Prng(SEED);
    const bench = await Bench.set(pair(), { bytes: 65_536, from: 'process', to: 'process' });
    const keys = { remoteAddress: bench.far.region.address, remoteKey: bench.far.region.remoteKey };
    for (let round = 0; round < 12; round++) {
      const length = random.pick([96, 97, 1000, 65_536]);
      const gather = elements(bench.near.region, split(random, length, random.between(1, 6)));
      const scatter = elements(bench.far.region, split(random, length, random.between(1, 6)));
      const bytes = randomBytes(random, length);
      await near.write(bench.near.block.id, 0, bytes);
      await far.postReceive(bench.connection.far, { id: round, sges: scatter });
      await near.postSend(bench.connection.near, { id: round, sges: gather });
      expect(await bench.received(1)).toMatchObject([
        { id: round, status: WcStatus.SUCCESS, byteLength: length },
      ]);
      await bench.sent(1);
      expectSame(await far.read(bench.far.block.id, 0, length), bytes);
      await near.postSend(bench.connection.near, {
        opcode: Opcode.RDMA_READ,
        sges: gather,
        ...keys,
      });
      expect(await bench.sent(1)).toMatchObject([{ status: WcStatus.SUCCESS, byteLength: length }]);
      expectSame(await near.read(bench.near.block.id, 0, length), bytes);
    }
    await bench.clear();
  });

  it('requests complete in the order in which they were posted', async () => {
    const random = new Prng(SEED);
    const bench = await Bench.set(pair(), { bytes: 65_536, from: 'process' });
    const expected: { id: number; status: number }[] = [];
    for (let id = 0; id < 60; id++) {
      const kind = random.pick([Opcode.SEND, Opcode.RDMA_READ, Opcode.RDMA_WRITE]);
      const length = random.pick([1, 96, 97, 20_000, 65_536]);
      if (kind === Opcode.SEND) await bench.receive(id, 0, 65_536);
      expect(
        await (kind === Opcode.SEND ? bench.send(id, 0, length) : bench.rdma(kind, id, 0, length)),
      ).toBe(0);
      expected.push({ id, status: WcStatus.SUCCESS });
    }
    expect((await bench.sent(60)).map(({ id, status }) => ({ id, status }))).toEqual(expected);
    await bench.clear();
  });

  it('messages queued behind each other keep their bytes', async () => {
    const { near, far } = pair();
    const random = new Prng(SEED);
    const lengths = [3000, 7000, 40, 50_000, 97, 8, 20_000];
    const bench = await Bench.set(pair(), { bytes: 100_000, from: 'process', to: 'process' });
    const bytes = randomBytes(random, 100_000);
    await near.write(bench.near.block.id, 0, bytes);
    let at = 0;
    for (const [id, length] of lengths.entries()) {
      await bench.receive(id, at, length);
      at += length;
    }
    at = 0;
    for (const [id, length] of lengths.entries()) {
      await bench.send(id, at, length);
      at += length;
    }
    expect((await bench.received(lengths.length)).map((one) => one.byteLength)).toEqual(lengths);
    expect((await bench.sent(lengths.length)).map((one) => one.status)).toEqual(
      lengths.map(() => WcStatus.SUCCESS),
    );
    expectSame(await far.read(bench.far.block.id, 0, at), bytes.slice(0, at));
    await bench.clear();
  });

  it('messages that arrive before any receive is posted wait and are delivered in order [SESS-06 SESS-07]', async () => {
    const bench = await Bench.set(pair(), { bytes: 65_536 });
    const lengths = [10, 5000, 0, 96, 97];
    for (const [id, length] of lengths.entries()) await bench.send(id, 0, length);
    // Round trips of another connection: the messages have arrived by now.
    const other = await pair().connect();
    await pair().disconnectOnly(other);
    expect(await pair().far.completionsNow(bench.connection.far)).toEqual([]);
    for (const id of lengths.keys()) await bench.receive(id, 0, 65_536);
    expect(await bench.received(lengths.length)).toMatchObject(
      lengths.map((byteLength, id) => ({ id, byteLength, status: WcStatus.SUCCESS })),
    );
    expect((await bench.sent(lengths.length)).map((one) => one.id)).toEqual([0, 1, 2, 3, 4]);
    await bench.clear();
  });

  it('more messages than the ring has slots wait for their receives, and none is lost', async () => {
    const { near, far } = pair();
    const bench = await Bench.set(pair(), { bytes: 4096, depth: 256, completionDepth: 1024 });
    await near.write(
      bench.near.block.id,
      0,
      Uint8Array.from({ length: 200 }, (_, id) => id),
    );
    for (let id = 0; id < 200; id++) expect(await bench.send(id, id, 1)).toBe(PostResult.OK);
    for (let id = 0; id < 200; id++) await bench.receive(id, id, 1);
    expect((await bench.received(200)).map((one) => one.id)).toEqual(
      Array.from({ length: 200 }, (_, id) => id),
    );
    expect((await bench.sent(200)).every((one) => one.status === WcStatus.SUCCESS)).toBe(true);
    expect(await far.read(bench.far.block.id, 0, 200)).toEqual(
      Uint8Array.from({ length: 200 }, (_, id) => id),
    );
    await bench.clear();
  });

  it('a message longer than its receive ends the connection: LOC_LEN_ERR there, REM_INV_REQ_ERR here', async () => {
    const { near, far } = pair();
    for (const [length, room] of [
      [96, 95],
      [5000, 4999],
    ] as const) {
      const bench = await Bench.set(pair(), { bytes: 8192 });
      await bench.receive(1, 0, room);
      await bench.receive(2, 0, room);
      await bench.rdma(Opcode.RDMA_WRITE, 0, 6000, 1);
      await bench.send(1, 0, length);
      await bench.rdma(Opcode.RDMA_WRITE, 2, 6000, 1);
      expect(await bench.received(2)).toMatchObject([
        { id: 1, status: WcStatus.LOC_LEN_ERR, byteLength: 0 },
        { id: 2, status: WcStatus.WR_FLUSH_ERR },
      ]);
      expect((await far.event()).type).toBe('disconnected');
      expect(await near.event()).toMatchObject({ type: 'disconnected', reason: 'error' });
      const sent = await bench.sent(3);
      expect(sent[0]).toMatchObject({ id: 0, status: WcStatus.SUCCESS });
      // A short message had left its buffer and completed: the next request tells of its fate.
      const { REM_INV_REQ_ERR, WR_FLUSH_ERR, SUCCESS } = WcStatus;
      const statuses = sent.slice(1).map((one) => one.status);
      expect(
        length > 96
          ? [[REM_INV_REQ_ERR, WR_FLUSH_ERR]]
          : [
              [SUCCESS, REM_INV_REQ_ERR],
              [SUCCESS, WR_FLUSH_ERR],
              [REM_INV_REQ_ERR, WR_FLUSH_ERR],
              [WR_FLUSH_ERR, WR_FLUSH_ERR],
            ],
      ).toContainEqual(statuses);
      expect(await far.read(bench.far.block.id, 0, 8192)).toEqual(new Uint8Array(8192));
      await bench.clear();
    }
  });

  it('a SEND behind a WRITE does not overtake it; one behind a READ waits for it [RDMA-09]', async () => {
    const { near, far } = pair();
    const bench = await Bench.set(pair(), { bytes: MEBIBYTE, from: 'process', to: 'process' });
    for (let round = 1; round <= 10; round++) {
      await near.write(bench.near.block.id, 0, new Uint8Array(MEBIBYTE / 2).fill(round));
      await bench.receive(1, MEBIBYTE - 64, 64);
      await bench.rdma(Opcode.RDMA_WRITE, 1, 0, MEBIBYTE / 2);
      await bench.send(2, 0, 8);
      await bench.received(1);
      const last = await far.read(bench.far.block.id, MEBIBYTE / 2 - 1, 1);
      expect(last).toEqual(new Uint8Array([round]));
      await bench.sent(2);

      await far.write(bench.far.block.id, 0, new Uint8Array(MEBIBYTE / 2).fill(100 + round));
      await bench.receive(3, MEBIBYTE - 64, 64);
      await bench.rdma(Opcode.RDMA_READ, 3, 0, MEBIBYTE / 2);
      await near.postSend(bench.connection.near, {
        id: 4,
        flags: SendFlag.FENCE,
        sges: [[bench.near.region.address, 8, bench.near.region.localKey]],
      });
      // The message says that the READ is done: its source may be changed at once.
      await bench.received(1);
      await far.write(bench.far.block.id, 0, new Uint8Array(MEBIBYTE / 2));
      expect((await bench.sent(2)).map((one) => one.id)).toEqual([3, 4]);
      const read = await near.read(bench.near.block.id, 0, MEBIBYTE / 2);
      expect(read.every((byte) => byte === 100 + round)).toBe(true);
    }
    await bench.clear();
  });

  it('a short SEND behind a WRITE completes although the receiver was not ready', async () => {
    const bench = await Bench.set(pair(), { bytes: 4096 });
    await bench.rdma(Opcode.RDMA_WRITE, 1, 0, 200);
    await bench.send(2, 0, 8);
    expect(await bench.sent(1)).toMatchObject([{ id: 1, status: WcStatus.SUCCESS }]);
    await bench.receive(1, 0, 64);
    await bench.received(1);
    expect(await bench.sent(1)).toMatchObject([{ id: 2, status: WcStatus.SUCCESS }]);
    await bench.clear();
  });

  it('a full queue refuses a request, and takes one again for every completion', async () => {
    const bench = await Bench.set(pair(), { bytes: 4096, depth: 4 });
    for (let id = 0; id < 4; id++) expect(await bench.send(id, 0, 200)).toBe(PostResult.OK);
    expect(await bench.send(4, 0, 200)).toBe(PostResult.QUEUE_FULL);
    await bench.receive(0, 0, 200);
    await bench.received(1);
    expect((await bench.sent(1))[0]).toMatchObject({ id: 0, status: WcStatus.SUCCESS });
    expect(await bench.send(5, 0, 200)).toBe(PostResult.OK);
    expect(await bench.send(6, 0, 200)).toBe(PostResult.QUEUE_FULL);
    for (let id = 0; id < 4; id++) expect(await bench.receive(id, 0, 200)).toBe(PostResult.OK);
    await bench.sent(4);
    await bench.clear();
  });

  it.each([2, 16, 64, 128])(
    'a completion queue of %i entries holds work back and loses nothing',
    async (completionDepth) => {
      const bench = await Bench.set(pair(), { bytes: 65_536, depth: 64, completionDepth });
      const total = 300;
      const sentIds: number[] = [];
      const receivedIds: number[] = [];
      let posted = 0;
      let receives = 0;
      while (sentIds.length < total || receivedIds.length < total) {
        while (receives < total && (await bench.receive(receives, 0, 512)) === PostResult.OK)
          receives++;
        while (
          posted < total &&
          (await bench.send(posted, 0, posted % 3 === 0 ? 300 : 20)) === PostResult.OK
        )
          posted++;
        if (receivedIds.length < receives)
          receivedIds.push(...(await bench.received(1)).map((one) => one.id));
        if (sentIds.length < posted) sentIds.push(...(await bench.sent(1)).map((one) => one.id));
      }
      const all = Array.from({ length: total }, (_, id) => id);
      expect(sentIds).toEqual(all);
      expect(receivedIds).toEqual(all);
      await bench.clear();
    },
  );

  it('a long message of many pieces goes both ways at once', async () => {
    const { near, far } = pair();
    const random = new Prng(SEED);
    const bytes = 3 * MEBIBYTE;
    const bench = await Bench.set(pair(), { bytes: 2 * bytes, from: 'process', to: 'process' });
    const [out, back] = [randomBytes(random, bytes), randomBytes(random, bytes)];
    await near.write(bench.near.block.id, 0, out);
    await far.write(bench.far.block.id, 0, back);
    await near.postReceive(bench.connection.near, {
      id: 1,
      sges: [[bench.near.region.address + bytes, bytes, bench.near.region.localKey]],
    });
    await bench.receive(1, bytes, bytes);
    await bench.send(2, 0, bytes);
    await far.postSend(bench.connection.far, {
      id: 2,
      sges: [[bench.far.region.address, bytes, bench.far.region.localKey]],
    });
    const byOpcode = (found: Completion[]): Completion[] =>
      found.sort((a, b) => a.opcode - b.opcode);
    for (const found of [await bench.sent(2), await bench.received(2)]) {
      expect(byOpcode(found)).toMatchObject([
        { id: 2, opcode: Opcode.SEND, status: WcStatus.SUCCESS, byteLength: bytes },
        { id: 1, opcode: Opcode.RECV, status: WcStatus.SUCCESS, byteLength: bytes },
      ]);
    }
    expectSame(await far.read(bench.far.block.id, bytes, bytes), out);
    expectSame(await near.read(bench.near.block.id, bytes, bytes), back);
    await bench.clear();
  });

  it('a queue pair posts before it is connected only receives, and nothing once destroyed', async () => {
    const { near } = pair();
    const slot = await near.queuePair();
    const block = await near.allocate('segment', 4096);
    const region = await registerBlock(near, slot, block, EVERYTHING);
    const request = { sges: [[region.address, 8, region.localKey]] as const };
    expect(await near.postSend(slot, request)).toBe(PostResult.BAD_STATE);
    for (let posted = 0; posted < 64; posted++)
      expect(await near.postReceive(slot, request)).toBe(PostResult.OK);
    expect(await near.postReceive(slot, request)).toBe(PostResult.QUEUE_FULL);
    await near.destroy(slot);
    expect(await near.postSend(slot, request)).toBe(PostResult.BAD_STATE);
    expect(await near.postReceive(slot, request)).toBe(PostResult.BAD_STATE);
    expect(await near.completion(slot)).toMatchObject({ status: WcStatus.WR_FLUSH_ERR });
    await pair().settled();
    await near.release(block.id);
  });
}
