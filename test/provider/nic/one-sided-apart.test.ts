// One-sided RDMA between two processes: a target that is blocked in its own code finds the bytes, an owner
// that takes its memory back has it to itself from then on, and neither waits for a process that is gone.

import { expect, it } from 'vitest';
import { seconds } from '../../../runtime/clock.js';
import { Prng } from '../../../runtime/prng.js';
import { native } from '../../../native/load.js';
import { DIRECT_PER_LOOK } from '../../../provider/nic/limits.js';
import { Access, Opcode, WcStatus } from '../../../provider/nic/verbs.js';
import type { BlockingActs } from './harness/blocking-acts.js';
import {
  HAMMER_BYTES,
  LOOK_BEGUN,
  LOOK_FOR,
  NOTICE_ADDRESS,
  NOTICE_KEY,
  NOTICE_STOP,
} from './harness/blocking-acts.js';
import type { End, Region } from './harness/end.js';
import type { Connection } from './harness/pair.js';
import { Pair, registered, TWO_PROCESSES } from './harness/pair.js';

const SEED = 0x0151;
const GIVE_UP = seconds(15);
const BYTES = 4096;
const LITTLE = 64;
const PATTERN = 0x5a5a5a5a;
const REUSED = 0x77777777;
const LOOKS_AFTER = 1000;

type ApartEnd = End & BlockingActs;

function apart(pair: Pair): ApartEnd {
  return pair.far as ApartEnd;
}

/** Turns the thread's own wheel, without the NIC, until `done`. */
function spinUntil(done: () => boolean, what: string): void {
  const giveUpAt = native.now() + GIVE_UP;
  while (!done()) if (native.now() > giveUpAt) throw new Error(`gave up waiting for ${what}`);
}

it('a target that never has a turn finds what was written, and is read from [RDMA-01]', async () => {
  const pair = await Pair.open(TWO_PROCESSES);
  const { near } = pair;
  const connection = await pair.connect();
  const mine = await registered(near, connection.near, { bytes: BYTES });
  const theirs = await registered(pair.far, connection.far, { bytes: BYTES });
  const words = near.wordsOf(mine.block.id);
  const queuePair = near.queuePairOf(connection.near);
  const key = mine.region.localKey | 0;
  const { address, remoteKey } = theirs.region;
  const looking = apart(pair).lookFor(theirs.block.id, 77);
  // The call is on its way only once this thread has had its turn.
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  spinUntil(() => {
    expect(queuePair.injectRead(mine.region.address, 8, key, address, remoteKey | 0)).toBe(true);
    return words[LOOK_BEGUN] === 1;
  }, 'the other side to look');
  for (const value of [75, 76, 77]) {
    words[LOOK_FOR] = value;
    await near.postSend(connection.near, {
      id: value,
      opcode: Opcode.RDMA_WRITE,
      sges: [[mine.region.address, 64, mine.region.localKey]],
      remoteAddress: address,
      remoteKey,
    });
    expect(await near.completionsNow(connection.near)).toMatchObject([
      { id: value, status: WcStatus.SUCCESS },
    ]);
  }
  expect(await looking).toBe(true);
  await pair.disconnect(connection);
  await near.release(mine.block.id);
  await pair.far.release(theirs.block.id);
  await pair.close();
});

/** The owner's side of the hammer: memory that is exposed, written to, taken back, and used again. */
class Owner {
  rounds = 0;
  /** Words that changed after their memory was taken back. */
  late = 0;
  readonly #pair: Pair;
  readonly #connection: Connection;
  readonly #notice: Int32Array;
  readonly #random = new Prng(SEED);

  constructor(pair: Pair, connection: Connection, notice: Int32Array) {
    this.#pair = pair;
    this.#connection = connection;
    this.#notice = notice;
  }

  round(expectsWrites = true): void {
    const { nic, memory } = this.#pair.near.opened;
    const block = memory.VirtualAlloc(BYTES);
    if (block === null) throw new Error('no memory');
    const words = new Int32Array(block.buffer, block.byteOffset, HAMMER_BYTES / 4);
    const queuePair = this.#pair.near.queuePairOf(this.#connection.near);
    const access = Access.LOCAL_WRITE | Access.REMOTE_WRITE;
    const region = nic.registerMemory(queuePair, block, BYTES, access);
    if (typeof region === 'string') throw new Error(region);
    this.#notice[NOTICE_ADDRESS] = region.address;
    this.#notice[NOTICE_KEY] = region.remoteKey | 0;
    const last = words.length - 1;
    if (expectsWrites) spinUntil(() => words[last] === PATTERN, 'a write');
    for (let left = this.#random.below(2000); left > 0; left--) words[last] = 0;
    nic.deregisterMemory(region);
    // At once, and where the peer writes last.
    words[last] = REUSED;
    for (let look = 0; look < LOOKS_AFTER; look++) if (words[last] !== REUSED) this.late++;
    words.fill(REUSED);
    for (let look = 0; look < LOOKS_AFTER; look++) if (words[look] !== REUSED) this.late++;
    this.#notice[NOTICE_KEY] = 0;
    memory.VirtualFree(block);
    this.rounds++;
  }
}

/** A pair whose far side is about to write wherever the notice says. */
async function hammered(): Promise<{
  pair: Pair;
  connection: Connection;
  owner: Owner;
  notice: Int32Array;
  blocks: { near: number; far: number };
  hammering: Promise<number>;
}> {
  const pair = await Pair.open(TWO_PROCESSES);
  const connection = await pair.connect();
  const notice = await registered(pair.near, connection.near, { bytes: BYTES });
  const own = await registered(pair.far, connection.far, { bytes: 2 * BYTES });
  const pattern = new Uint8Array(HAMMER_BYTES).fill(PATTERN & 0xff);
  await pair.far.write(own.block.id, 16, pattern);
  const words = pair.near.wordsOf(notice.block.id);
  const hammering = apart(pair).hammer(connection.far, own.region, notice.region);
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  const owner = new Owner(pair, connection, words);
  const blocks = { near: notice.block.id, far: own.block.id };
  return { pair, connection, owner, notice: words, blocks, hammering };
}

it('no byte comes after deregistration has returned, although the peer writes all the time [DEREGRDMA-02 MEM-05]', async () => {
  const { pair, connection, owner, notice, blocks, hammering } = await hammered();
  const end = native.now() + seconds(1);
  while (native.now() < end) owner.round();
  notice[NOTICE_STOP] = 1;
  expect(owner.late).toBe(0);
  expect(owner.rounds).toBeGreaterThan(0);
  expect(await hammering).toBeGreaterThan(owner.rounds);
  await pair.disconnect(connection);
  await pair.near.release(blocks.near);
  await pair.far.release(blocks.far);
  await pair.close();
});

it('deregistration waits for a peer that is in the middle of an access, and for none that is dead [DEREGRDMA-02]', async () => {
  const pair = await Pair.open(TWO_PROCESSES);
  const { near } = pair;
  const connection = await pair.connect();
  const [first, second, mine] = [
    await registered(near, connection.near, { bytes: BYTES }),
    await registered(near, connection.near, { bytes: BYTES }),
    await registered(near, connection.near, { bytes: BYTES }),
  ];
  const theirs = await registered(pair.far, connection.far, { bytes: BYTES });
  await apart(pair).beginAccess(connection.far, first.region.remoteKey);
  const ending = apart(pair).endAccess(connection.far, theirs.block.id);
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  await near.deregister(first.region.id);
  const read = near
    .queuePairOf(connection.near)
    .injectRead(
      mine.region.address,
      4,
      mine.region.localKey | 0,
      theirs.region.address,
      theirs.region.remoteKey | 0,
    );
  expect([read, near.wordsOf(mine.block.id)[0]]).toEqual([true, 1]);
  await ending;
  await apart(pair).beginAccess(connection.far, second.region.remoteKey);
  await pair.farProcess?.kill();
  await near.deregister(second.region.id);
  expect(await near.event()).toMatchObject({ type: 'disconnected', reason: 'peer-died' });
  await near.destroy(connection.near);
  await near.settled();
  for (const { block } of [first, second, mine]) await near.release(block.id);
  await pair.close();
});

it('an owner goes on when the peer is killed in the middle of its writes', async () => {
  const { pair, connection, owner, blocks, hammering } = await hammered();
  const gone = hammering.catch((thrown: unknown) => String(thrown));
  for (let round = 0; round < 20; round++) owner.round();
  await pair.farProcess?.kill();
  expect(await gone).toContain('the child ended');
  owner.round(false);
  expect(owner.late).toBe(0);
  expect(await pair.near.event()).toMatchObject({ type: 'disconnected', reason: 'peer-died' });
  owner.round(false);
  await pair.near.destroy(connection.near);
  await pair.near.settled();
  await pair.near.release(blocks.near);
  await pair.close();
});

it('a writer whose target was killed is told so, by refusals first and then by the end [MEM-05]', async () => {
  const pair = await Pair.open(TWO_PROCESSES);
  const { near } = pair;
  const connection = await pair.connect();
  const mine = await registered(near, connection.near, { bytes: BYTES });
  const theirs = await registered(pair.far, connection.far, { bytes: BYTES });
  const queuePair = near.queuePairOf(connection.near);
  const write = ({ address, remoteKey }: Region): boolean =>
    queuePair.injectWrite(
      mine.region.address,
      64,
      mine.region.localKey | 0,
      address,
      remoteKey | 0,
    );
  for (let count = 0; count < 10_000; count++) expect(write(theirs.region)).toBe(true);
  await pair.farProcess?.kill();
  let done = 0;
  while (done <= DIRECT_PER_LOOK && write(theirs.region)) done++;
  expect(done).toBeLessThanOrEqual(DIRECT_PER_LOOK);
  expect(await near.event()).toMatchObject({ type: 'disconnected', reason: 'peer-died' });
  expect(write(theirs.region)).toBe(false);
  await near.destroy(connection.near);
  await near.settled();
  await near.release(mine.block.id);
  await pair.close();
});

it('a message behind a write never comes before its bytes: two processes, all outcomes [RDMA-09]', async () => {
  const pair = await Pair.open(TWO_PROCESSES);
  const { near, far } = pair;
  const connection = await pair.connect();
  // The near side receives here, and looks at once at what was written before the message.
  const inbox = await registered(near, connection.near, { bytes: BYTES });
  const own = await registered(far, connection.far, { bytes: BYTES });
  const words = near.wordsOf(inbox.block.id);
  const outcomes = new Map<string, number>();
  const rounds = 300;
  for (let posted = 0; posted < 32; posted++)
    await near.postReceive(connection.near, { id: posted, sges: [] });
  const sending = (async () => {
    for (let value = 1; value <= rounds; value++) {
      const bytes = new Uint8Array(LITTLE);
      new Int32Array(bytes.buffer).fill(value);
      await far.write(own.block.id, (value % 32) * LITTLE, bytes);
      const from = own.region.address + (value % 32) * LITTLE;
      await far.postSend(connection.far, {
        opcode: Opcode.RDMA_WRITE,
        sges: [[from, LITTLE, own.region.localKey]],
        remoteAddress: inbox.region.address,
        remoteKey: inbox.region.remoteKey,
      });
      await far.postSend(connection.far, { id: value, sges: [] });
      for (let left = 2; left > 0; left--)
        expect((await far.completion(connection.far)).status).toBe(WcStatus.SUCCESS);
    }
  })();
  for (let value = 1; value <= rounds; value++) {
    expect((await near.completion(connection.near)).status).toBe(WcStatus.SUCCESS);
    const seen = words[0] ?? 0;
    const outcome = seen === value ? 'its bytes' : seen > value ? 'newer bytes' : 'OLDER BYTES';
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    await near.postReceive(connection.near, { id: value, sges: [] });
  }
  await sending;
  const allowed = ['its bytes', 'newer bytes'];
  expect([...outcomes.keys()].filter((outcome) => !allowed.includes(outcome))).toEqual([]);
  await pair.disconnect(connection);
  await near.release(inbox.block.id);
  await far.release(own.block.id);
  await pair.close();
});
