// Mixtures of WRITE, READ, SEND and new registrations over one connection, beside a model in which each
// happens when it is posted: what a request finds, and what a message finds when it arrives, is the same
// whether requests are carried out by the initiator or by the owner of the memory. To replay a failure, run
// with the seed and path that fast-check prints.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Opcode, WcStatus } from '../../../provider/nic/verbs.js';
import type { Region } from './harness/end.js';
import { INLINE, Pair, registerBlock } from './harness/pair.js';
import { Sides } from './harness/sides.js';

type Step =
  | { readonly kind: 'write' | 'read'; readonly cell: number; readonly length: number }
  | { readonly kind: 'send' | 'receive' | 'turn' | 'renew' };

const CELLS = 16;
const CELL = 256;
const steps = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constantFrom('write', 'read'),
        cell: fc.nat(CELLS - 1),
        length: fc.constantFrom(4, 64, 200, CELL),
      }),
    },
    { weight: 5, arbitrary: fc.record({ kind: fc.constantFrom('send', 'receive', 'turn') }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('renew') }) },
  ),
  { minLength: 10, maxLength: 60 },
);

it('any mixture of WRITE, READ, SEND and new registrations does what it would do one by one [RDMA-09 RDMA-10]', async () => {
  const pair = await Pair.open(INLINE);
  await fc.assert(
    fc.asyncProperty(steps, async (walk) => {
      const run = await Walk.begin(pair);
      for (const step of walk) await run.step(step);
      await run.end();
    }),
    { numRuns: 60, seed: 0x0151 },
  );
  await pair.close();
});

/** A walk over one connection beside its model: the far memory if everything happened in posting order. */
class Walk {
  readonly #sides: Sides;
  #region: Region;
  readonly #model = new Uint8Array(CELLS * CELL);
  /** The model as it was at every SEND whose receive has not completed. */
  readonly #atSend: Uint8Array[] = [];
  #value = 0;
  #receives = 0;

  private constructor(sides: Sides) {
    this.#sides = sides;
    this.#region = sides.far.region;
  }

  static async begin(pair: Pair): Promise<Walk> {
    return new Walk(await Sides.open(pair));
  }

  async step(step: Step): Promise<void> {
    const { pair, connection } = this.#sides;
    switch (step.kind) {
      case 'write':
        await this.#write(step.cell, step.length);
        break;
      case 'read':
        await this.#read(step.cell, step.length);
        break;
      case 'send':
        if (this.#atSend.length >= 30) break;
        this.#atSend.push(this.#model.slice());
        await pair.near.postSend(connection.near, { id: 1, sges: [] });
        break;
      case 'receive':
        if (this.#receives >= 30) break;
        this.#receives++;
        await pair.far.postReceive(connection.far, { id: 2, sges: [] });
        break;
      case 'renew':
        await this.#renew();
        break;
      case 'turn':
        pair.machine.loop.turn();
    }
    await this.#check();
  }

  /** Everything that was sent is received, and the memory is that of the model. */
  async end(): Promise<void> {
    const { pair, connection, near, far } = this.#sides;
    while (this.#receives < this.#atSend.length) {
      this.#receives++;
      await pair.far.postReceive(connection.far, { id: 2, sges: [] });
    }
    while (this.#atSend.length > 0) this.#received(await pair.far.completion(connection.far));
    await this.#settle();
    await this.#check();
    expect(Buffer.compare(await this.#memory(), this.#model)).toBe(0);
    await pair.disconnect(connection);
    await pair.near.release(near.block.id);
    await pair.far.release(far.block.id);
  }

  async #write(cell: number, length: number): Promise<void> {
    const { pair, near } = this.#sides;
    if (!(await this.#hasRoom())) return;
    this.#value = (this.#value % 255) + 1;
    const bytes = new Uint8Array(length).fill(this.#value);
    // What a request by reference is still read from stays as it is.
    const from = (this.#value % CELLS) * CELL;
    await pair.near.write(near.block.id, from, bytes);
    await this.#post(Opcode.RDMA_WRITE, from, cell * CELL, length);
    this.#model.set(bytes, cell * CELL);
    if (length > 96) await this.#settleUnlessHeld();
  }

  async #read(cell: number, length: number): Promise<void> {
    const { pair, near } = this.#sides;
    // A READ behind a SEND without a receive would wait for ever.
    if (this.#receives < this.#atSend.length || !(await this.#hasRoom())) return;
    const expected = this.#model.slice(cell * CELL, cell * CELL + length);
    await this.#post(Opcode.RDMA_READ, CELLS * CELL, cell * CELL, length);
    await this.#settle();
    const found = await pair.near.read(near.block.id, CELLS * CELL, length);
    expect(Buffer.compare(found, expected)).toBe(0);
  }

  async #post(
    opcode: typeof Opcode.RDMA_WRITE | typeof Opcode.RDMA_READ,
    from: number,
    to: number,
    length: number,
  ): Promise<void> {
    const { pair, connection, near } = this.#sides;
    await pair.near.postSend(connection.near, {
      opcode,
      sges: [[near.region.address + from, length, near.region.localKey]],
      remoteAddress: this.#region.address + to,
      remoteKey: this.#region.remoteKey,
    });
  }

  /** Only when nothing is under way: a refused request would end the connection. */
  async #renew(): Promise<void> {
    const { pair, connection, far } = this.#sides;
    if (this.#receives < this.#atSend.length) return;
    await this.#settle();
    await pair.far.deregister(this.#region.id);
    this.#region = await registerBlock(pair.far, connection.far, far.block);
  }

  async #hasRoom(): Promise<boolean> {
    await this.#takeSends();
    return this.#sides.queuePair.sendsOutstanding < 32;
  }

  async #settleUnlessHeld(): Promise<void> {
    if (this.#receives >= this.#atSend.length) await this.#settle();
  }

  /** Until every request of the near side is complete. */
  async #settle(): Promise<void> {
    const { queuePair, pair } = this.#sides;
    while (queuePair.sendsOutstanding > 0) {
      pair.machine.loop.turn();
      await this.#takeSends();
    }
  }

  async #takeSends(): Promise<void> {
    const { pair, connection } = this.#sides;
    for (const { status } of await pair.near.completionsNow(connection.near))
      expect(status).toBe(WcStatus.SUCCESS);
  }

  async #check(): Promise<void> {
    const { pair, connection } = this.#sides;
    const memory = await this.#memory();
    for (const completion of await pair.far.completionsNow(connection.far))
      this.#received(completion);
    // Nothing that was posted after a SEND is to be seen before that SEND was received.
    const held = this.#atSend[0];
    if (held === undefined || this.#receives > 0) return;
    expect(memory.every((byte, at) => byte === held[at] || isOlder(byte, held[at]))).toBe(true);
  }

  #received(completion: { status: number }): void {
    expect(completion.status).toBe(WcStatus.SUCCESS);
    this.#atSend.shift();
    this.#receives--;
  }

  #memory(): Promise<Uint8Array> {
    return this.#sides.farBytes(0, CELLS * CELL);
  }
}

/** Values count up from 1 and start again after 255, which no walk reaches. */
function isOlder(byte: number, other: number | undefined): boolean {
  return byte < (other ?? 0);
}
