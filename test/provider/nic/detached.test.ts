// Ordinary memory whose ArrayBuffer is transferred away while it is registered: the registration holds
// the memory, so that the NIC never has an address of memory that is gone.

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, expect, it, vi } from 'vitest';
import { native } from '../../../native/load.js';
import type { MemoryRegion } from '../../../provider/nic/device.js';
import { Opcode, WcStatus } from '../../../provider/nic/verbs.js';
import { ARRANGEMENTS, describePair, EVERYTHING, registered } from './harness/pair.js';
import type { Connection, Pair } from './harness/pair.js';
import { immediate } from './harness/thread-loop.js';

/** Large enough that an allocator gives it back to the system when it is freed. */
const BYTES = 1_048_576;
const LENGTHS = [16, 3000, 65_536];

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

afterEach(() => {
  vi.restoreAllMocks();
});

/** Registers a new buffer and transfers it at once; only the memory is left, and `moved` if kept. */
function registerAndTransfer(
  pair: Pair,
  slot: number,
): { region: MemoryRegion; moved: Uint8Array } {
  const buffer = new Uint8Array(BYTES).fill(0x11);
  const { opened } = pair.near;
  const region = opened.nic.registerMemory(pair.near.queuePairOf(slot), buffer, BYTES, EVERYTHING);
  if (typeof region === 'string') throw new Error(`not registered: ${region}`);
  const moved = new Uint8Array(structuredClone(buffer.buffer, { transfer: [buffer.buffer] }));
  expect([buffer.length, opened.nic.addressOf(buffer)]).toEqual([0, 0]);
  return { region, moved };
}

/** The far end writes to the region and reads it back; returns the statuses. */
async function writeAndRead(
  pair: Pair,
  connection: Connection,
  region: MemoryRegion,
): Promise<number[]> {
  const { far } = pair;
  const { block, region: local } = await registered(far, connection.far, { bytes: BYTES });
  const statuses: number[] = [];
  for (const length of LENGTHS) {
    await far.write(block.id, 0, new Uint8Array(length).fill(0xaa));
    for (const opcode of [Opcode.RDMA_WRITE, Opcode.RDMA_READ] as const) {
      await far.postSend(connection.far, {
        opcode,
        sges: [[local.address, length, local.localKey]],
        remoteAddress: region.address,
        remoteKey: region.remoteKey,
      });
      statuses.push((await far.completion(connection.far)).status);
    }
    expect(await far.read(block.id, 0, length)).toEqual(new Uint8Array(length).fill(0xaa));
  }
  await far.release(block.id);
  return statuses;
}

const ALL_SUCCEED = LENGTHS.flatMap(() => [WcStatus.SUCCESS, WcStatus.SUCCESS]);

describePair('a registered buffer that is transferred away', ARRANGEMENTS, (pair) => {
  it('is still the memory that the peer writes to, wherever it moved to', async () => {
    const connection = await pair().connect();
    const { region, moved } = registerAndTransfer(pair(), connection.near);
    expect(await writeAndRead(pair(), connection, region)).toEqual(ALL_SUCCEED);
    const written = Math.max(...LENGTHS);
    const expected = new Uint8Array(BYTES).fill(0x11).fill(0xaa, 0, written);
    expect(Buffer.compare(moved, expected)).toBe(0);
    pair().near.opened.nic.deregisterMemory(region);
    await pair().disconnect(connection);
  });

  it('takes no other memory along when it is collected, and both hosts go on', async () => {
    const connection = await pair().connect();
    const { region } = registerAndTransfer(pair(), connection.near);
    for (let turn = 0; turn < 5; turn++) {
      collect();
      await immediate();
    }
    // What would lie where the buffer was, had its memory been freed.
    const others = Array.from({ length: 8 }, () => new Uint8Array(BYTES).fill(0x55));
    expect(await writeAndRead(pair(), connection, region)).toEqual(ALL_SUCCEED);
    const untouched = new Uint8Array(BYTES).fill(0x55);
    for (const other of others) expect(Buffer.compare(other, untouched)).toBe(0);
    await pair().disconnect(connection);
  });

  it('is held exactly as long as its registration lasts', async () => {
    const holds = vi.spyOn(native, 'hold');
    const releases = vi.spyOn(native, 'release');
    const released = (): unknown[] => releases.mock.calls.map(([handle]) => handle);
    const connection = await pair().connect();
    const { region } = registerAndTransfer(pair(), connection.near);
    registerAndTransfer(pair(), connection.near);
    const handles = holds.mock.results.map((result) => result.value as number);
    expect(handles).toHaveLength(2);
    expect(released()).toEqual([]);
    pair().near.opened.nic.deregisterMemory(region);
    expect(released()).toEqual(handles.slice(0, 1));
    // The end of the queue pair ends the other.
    await pair().disconnect(connection);
    expect(released()).toEqual(handles);
    expect(releases.mock.results.map((result) => result.value as unknown)).toEqual([0, 0]);
  });
});
