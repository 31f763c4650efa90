// What was sent before the end is delivered: a SEND that has completed was received by the peer's NIC, so
// it finds a receive although its queue pair is gone. Source: verbs semantics of a reliable connection;
// docs/nic.md.

import { expect, it } from 'vitest';
import { WcStatus } from '../../../provider/nic/verbs.js';
import type { Completion } from './harness/end.js';
import type { Connection, Pair } from './harness/pair.js';
import {
  ARRANGEMENTS,
  completions,
  describePair,
  expectEvent,
  registered,
} from './harness/pair.js';

const BYTES = 16;
const { SUCCESS, WR_FLUSH_ERR } = WcStatus;

/** Sends from near, waits until all have completed, and gives near's queue pair up at once. */
async function sendAndGo({ near }: Pair, connection: Connection, count: number): Promise<void> {
  const { block, region } = await registered(near, connection.near, { bytes: BYTES });
  const outcomes: Completion[] = [];
  for (let id = 0; id < count; id++) {
    await near.write(block.id, 0, new Uint8Array(BYTES).fill(id + 1));
    await near.postSend(connection.near, { id, sges: [[region.address, BYTES, region.localKey]] });
    outcomes.push(...(await completions(near, connection.near, 1)));
  }
  await near.destroy(connection.near);
  await near.release(block.id);
  expect(outcomes.map(({ status }) => status)).toEqual(new Array(count).fill(SUCCESS));
}

/** Posts a receive for each place of a block of far; `read` gives the first byte of each place. */
async function receives(
  { far }: Pair,
  connection: Connection,
  count: number,
): Promise<{ post: () => Promise<void>; read: () => Promise<number[]> }> {
  const { block, region } = await registered(far, connection.far, { bytes: BYTES * count });
  return {
    post: async () => {
      for (let id = 0; id < count; id++) {
        const address = region.address + BYTES * id;
        await far.postReceive(connection.far, { id, sges: [[address, BYTES, region.localKey]] });
      }
    },
    read: async () => {
      const bytes = await far.read(block.id, 0, BYTES * count);
      await far.release(block.id);
      return Array.from({ length: count }, (_, id) => bytes[BYTES * id] ?? -1);
    },
  };
}

describePair('the last messages', ARRANGEMENTS, (pair) => {
  it('arrive in receives that are posted already', async () => {
    const connection = await pair().connect();
    const { post, read } = await receives(pair(), connection, 3);
    await post();
    await sendAndGo(pair(), connection, 2);
    const outcomes = await completions(pair().far, connection.far, 3);
    expect(outcomes.map(({ status }) => status)).toEqual([SUCCESS, SUCCESS, WR_FLUSH_ERR]);
    expect(await read()).toEqual([1, 2, 0]);
    await pair().disconnect(connection);
  });

  it('arrive in receives that are posted after the end, and only the others are flushed', async () => {
    const connection = await pair().connect();
    const { post, read } = await receives(pair(), connection, 3);
    await sendAndGo(pair(), connection, 2);
    await expectEvent(pair().far, 'disconnected');
    await post();
    const outcomes = await completions(pair().far, connection.far, 3);
    expect(outcomes.map(({ status }) => status)).toEqual([SUCCESS, SUCCESS, WR_FLUSH_ERR]);
    expect(await read()).toEqual([1, 2, 0]);
    await pair().disconnect(connection);
  });

  it('wait for room in the completion queue, and arrive', async () => {
    const connection = await pair().connect({ completionDepth: 4 });
    const { post, read } = await receives(pair(), connection, 10);
    await post();
    await sendAndGo(pair(), connection, 10);
    await expectEvent(pair().far, 'disconnected');
    const outcomes = await completions(pair().far, connection.far, 10);
    expect(outcomes.map(({ status }) => status)).toEqual(new Array(10).fill(SUCCESS));
    expect(await read()).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    await pair().disconnect(connection);
  });

  it('are gone with the receiver that destroys its own queue pair', async () => {
    const connection = await pair().connect();
    await sendAndGo(pair(), connection, 2);
    await expectEvent(pair().far, 'disconnected');
    await pair().far.destroy(connection.far);
    await pair().settled();
  });
});
