// Protection: whatever a key does not open stays shut, the target stays as it was byte for byte, the
// connection that tried ends, and the others of the same hosts go on.

import { expect, it } from 'vitest';
import { Access, Opcode, WcStatus } from '../../../provider/nic/verbs.js';
import type { Region } from './harness/end.js';
import type { Connection, Pair } from './harness/pair.js';
import {
  ARRANGEMENTS,
  completions,
  describePair,
  EVERYTHING,
  registerBlock,
} from './harness/pair.js';

const BYTES = 8192;
const LENGTHS = [16, 2048];

interface Attempt {
  readonly opcode: typeof Opcode.RDMA_READ | typeof Opcode.RDMA_WRITE;
  readonly length: number;
  /** Where in the target, and with which key. */
  readonly address: number;
  readonly key: number;
}

/** A trial connection, a bystander, and a target that nothing may change. */
async function prepare(pair: Pair, access: number) {
  const [trial, bystander] = [await pair.connect(), await pair.connect()];
  const source = await pair.near.allocate('segment', BYTES);
  const target = await pair.far.allocate('segment', BYTES);
  await pair.near.write(source.id, 0, new Uint8Array(BYTES).fill(0xaa));
  await pair.far.write(target.id, 0, new Uint8Array(BYTES).fill(0x55));
  const local = await registerBlock(pair.near, trial.near, source, EVERYTHING);
  const region = await registerBlock(pair.far, trial.far, target, access);
  const foreign = await registerBlock(pair.far, bystander.far, target, EVERYTHING);
  return { trial, bystander, source, target, local, region, foreign };
}

type Scene = Awaited<ReturnType<typeof prepare>>;

async function expectRefused(pair: Pair, scene: Scene, attempt: Attempt): Promise<void> {
  const { near, far } = pair;
  const { trial, local } = scene;
  await near.postSend(trial.near, {
    id: 7,
    opcode: attempt.opcode,
    sges: [[local.address, attempt.length, local.localKey]],
    remoteAddress: attempt.address,
    remoteKey: attempt.key,
  });
  expect(await near.completion(trial.near)).toMatchObject({
    id: 7,
    status: WcStatus.REM_ACCESS_ERR,
    byteLength: 0,
  });
  expect(await near.event()).toMatchObject({
    type: 'disconnected',
    queuePair: trial.near,
    reason: 'error',
  });
  expect(await far.event()).toMatchObject({
    type: 'disconnected',
    queuePair: trial.far,
    reason: 'error',
  });
  expect(await far.read(scene.target.id, 0, BYTES)).toEqual(new Uint8Array(BYTES).fill(0x55));
  expect(await near.read(scene.source.id, 0, BYTES)).toEqual(new Uint8Array(BYTES).fill(0xaa));
}

/** The bystander still transfers; then everything goes. */
async function finish(pair: Pair, scene: Scene): Promise<void> {
  const { near, far } = pair;
  const { trial, bystander, source, target } = scene;
  await expectTransfers(pair, bystander, scene.foreign);
  await pair.disconnect(trial, bystander);
  await near.release(source.id);
  await far.release(target.id);
}

async function expectTransfers(pair: Pair, connection: Connection, remote: Region): Promise<void> {
  const { near, far } = pair;
  const block = await near.allocate('segment', BYTES);
  const local = await registerBlock(near, connection.near, block);
  await near.postSend(connection.near, {
    opcode: Opcode.RDMA_READ,
    sges: [[local.address, BYTES, local.localKey]],
    remoteAddress: remote.address,
    remoteKey: remote.remoteKey,
  });
  await far.postReceive(connection.far, { sges: [] });
  await near.postSend(connection.near, { sges: [] });
  const statuses = (await completions(near, connection.near, 2)).map((one) => one.status);
  expect(statuses).toEqual([WcStatus.SUCCESS, WcStatus.SUCCESS]);
  await far.completion(connection.far);
  await near.release(block.id);
}

const REMOTE = Access.REMOTE_READ | Access.REMOTE_WRITE;

describePair('protection', ARRANGEMENTS, (pair) => {
  it.each([
    ['begins before its registration', -1, 0],
    ['ends behind its registration', BYTES, 1],
    ['lies far outside', 2 ** 40, 0],
  ])('RDMA that %s is refused [RDMA-10 MEM-03]', async (_, offset, endOffset) => {
    for (const length of LENGTHS) {
      for (const opcode of [Opcode.RDMA_READ, Opcode.RDMA_WRITE] as const) {
        const scene = await prepare(pair(), REMOTE);
        const { region } = scene;
        const address = region.address + offset + (endOffset === 1 ? 1 - length : 0);
        await expectRefused(pair(), scene, { opcode, length, address, key: region.remoteKey });
        await finish(pair(), scene);
      }
    }
  });

  it('reading what may only be written, and writing what may only be read, is refused [MEM-06 RDMA-10]', async () => {
    for (const length of LENGTHS) {
      for (const [opcode, access] of [
        [Opcode.RDMA_READ, Access.REMOTE_WRITE],
        [Opcode.RDMA_WRITE, Access.REMOTE_READ],
        [Opcode.RDMA_WRITE, Access.LOCAL_WRITE],
      ] as const) {
        const scene = await prepare(pair(), access);
        const { address, remoteKey } = scene.region;
        await expectRefused(pair(), scene, { opcode, length, address, key: remoteKey });
        await finish(pair(), scene);
      }
    }
  });

  it.each(['0', '1', 'a guess', 'the local key', 'of another queue pair', 'deregistered'])(
    'a remote key that is wrong (%s) opens nothing [MEM-04 MEM-05 RDMA-10]',
    async (which) => {
      for (const opcode of [Opcode.RDMA_READ, Opcode.RDMA_WRITE] as const) {
        const scene = await prepare(pair(), REMOTE | Access.LOCAL_WRITE);
        const { region, foreign } = scene;
        if (which === 'deregistered') await pair().far.deregister(region.id);
        const keys: Record<string, number> = {
          '0': 0,
          '1': 1,
          'a guess': (region.remoteKey ^ 0x5a5a5a5a) >>> 0,
          'the local key': region.localKey,
          'of another queue pair': foreign.remoteKey,
          deregistered: region.remoteKey,
        };
        await expectRefused(pair(), scene, {
          opcode,
          length: 64,
          address: region.address,
          key: keys[which] ?? 0,
        });
        await finish(pair(), scene);
      }
    },
  );

  it('a key is worth nothing on a later connection [MEM-05]', async () => {
    const { near, far } = pair();
    const before = await prepare(pair(), REMOTE);
    await near.destroy(before.trial.near);
    await far.event();
    await far.destroy(before.trial.far);
    await near.event();
    await far.event();
    const trial = await pair().connect();
    const local = await registerBlock(near, trial.near, before.source);
    const { address, remoteKey: key } = before.region;
    const scene = { ...before, trial, local };
    await expectRefused(pair(), scene, { opcode: Opcode.RDMA_WRITE, length: 64, address, key });
    await finish(pair(), scene);
  });

  it('a request with a local key that does not cover its memory fails with LOC_PROT_ERR; those before it complete [MEM-03]', async () => {
    const { near, far } = pair();
    for (const wrong of ['key', 'range', 'right'] as const) {
      const scene = await prepare(pair(), REMOTE);
      const { trial, source, region } = scene;
      const readOnly = await registerBlock(near, trial.near, source, 0);
      const remote = { remoteAddress: region.address, remoteKey: region.remoteKey };
      const good = [readOnly.address, 200, readOnly.localKey] as const;
      const bad = {
        key: [readOnly.address, 200, readOnly.remoteKey],
        range: [readOnly.address, BYTES + 1, readOnly.localKey],
        right: good,
      } as const;
      await far.postReceive(trial.far, { sges: [] });
      await near.postSend(trial.near, { id: 1, sges: [] });
      const opcode = wrong === 'right' ? Opcode.RDMA_READ : Opcode.RDMA_WRITE;
      await near.postSend(trial.near, { id: 2, opcode, sges: [bad[wrong]], ...remote });
      await near.postSend(trial.near, { id: 3, sges: [] });
      expect(await completions(near, trial.near, 3)).toMatchObject([
        { id: 1, status: WcStatus.SUCCESS },
        { id: 2, status: WcStatus.LOC_PROT_ERR },
        { id: 3, status: WcStatus.WR_FLUSH_ERR },
      ]);
      expect(await near.event()).toMatchObject({ type: 'disconnected', reason: 'error' });
      expect((await far.event()).type).toBe('disconnected');
      expect(await near.read(source.id, 0, BYTES)).toEqual(new Uint8Array(BYTES).fill(0xaa));
      await finish(pair(), scene);
    }
  });

  it('a receive whose memory was deregistered fails with LOC_PROT_ERR, and its memory is not written [MEM-05]', async () => {
    const { near, far } = pair();
    for (const length of LENGTHS) {
      const scene = await prepare(pair(), Access.LOCAL_WRITE);
      const { trial, local, region } = scene;
      await far.postReceive(trial.far, { id: 1, sges: [[region.address, BYTES, region.localKey]] });
      await far.deregister(region.id);
      await near.postSend(trial.near, { id: 1, sges: [[local.address, length, local.localKey]] });
      expect(await far.completion(trial.far)).toMatchObject({
        id: 1,
        status: WcStatus.LOC_PROT_ERR,
      });
      expect((await far.event()).type).toBe('disconnected');
      expect((await near.event()).type).toBe('disconnected');
      expect(await far.read(scene.target.id, 0, BYTES)).toEqual(new Uint8Array(BYTES).fill(0x55));
      await finish(pair(), scene);
    }
  });
});
