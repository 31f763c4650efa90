// Long RDMA, which both engines copy: who copies what, how memory is taken back in the middle, and what a
// peer gains by lying. Here both sides are in one thread, so that each acts exactly where the test says;
// joint-copy-apart.test.ts has two processes.

import { describe, expect, it } from 'vitest';
import { SharedView } from '../../../native/shared-view.js';
import type { EngineCore } from '../../../provider/nic/engine-core.js';
import type { EngineQueuePair } from '../../../provider/nic/engine-queue-pair.js';
import { JointCopy, UNFINISHED } from '../../../provider/nic/joint-copy.js';
import { STATE_CARRIED, STATE_CLAIMED, Wqe } from '../../../provider/nic/layout.js';
import { JOINT_PIECE_BYTES_MIN } from '../../../provider/nic/limits.js';
import { PROCESS_SPACE } from '../../../provider/nic/mover.js';
import { Opcode, WcStatus } from '../../../provider/nic/verbs.js';
import { VirtualClock } from '../../../runtime/clock.js';

const LENGTH = 8 * JOINT_PIECE_BYTES_MIN + 100;
const KEY = 77;
const EXECUTED = 5;
const OWNER_STATE = 64;
const REQUESTER_STATE = 128;
const WQE = 256;
/** The mark of the slot, above the counts. */
const MARK = (EXECUTED + 2) << 20;

interface Piece {
  readonly by: 'owner' | 'requester';
  readonly from: number;
  readonly to: number;
}

/** Both sides of one transfer, with the memory of each; `between` runs in the middle of every piece. */
class Bench {
  readonly view = new SharedView(new ArrayBuffer(4096));
  readonly pieces: Piece[] = [];
  readonly memory = {
    owner: new Uint8Array(LENGTH),
    requester: new Uint8Array(LENGTH),
  };
  between: (by: Piece['by']) => void = () => undefined;
  /** The kernel lets the requester copy. */
  isReachable = true;
  /** The requester knows that it does. */
  isReached = true;
  isPeerAlive = true;
  rings = 0;
  readonly owner: JointCopy;
  readonly requester: JointCopy;

  constructor(readonly opcode: typeof Opcode.RDMA_READ | typeof Opcode.RDMA_WRITE) {
    const { view } = this;
    for (let at = 0; at < LENGTH; at++) this.source[at] = (at * 31 + (at >>> 12)) & 0xff;
    view.words[WQE + Wqe.CONTROL] = opcode;
    view.words[WQE + Wqe.LENGTH] = LENGTH;
    view.store64(WQE + Wqe.SGE, PROCESS_SPACE);
    view.store64(WQE + Wqe.REMOTE_ADDRESS_LOW, PROCESS_SPACE);
    this.owner = new JointCopy(this.#core('owner'), this.#queuePair(OWNER_STATE, REQUESTER_STATE));
    this.requester = new JointCopy(
      this.#core('requester'),
      this.#queuePair(REQUESTER_STATE, OWNER_STATE),
    );
  }

  get source(): Uint8Array {
    return this.opcode === Opcode.RDMA_READ ? this.memory.owner : this.memory.requester;
  }

  get target(): Uint8Array {
    return this.opcode === Opcode.RDMA_READ ? this.memory.requester : this.memory.owner;
  }

  begin(): number {
    const request = { opcode: this.opcode, key: KEY, address: PROCESS_SPACE, length: LENGTH };
    return this.owner.begin(request, PROCESS_SPACE);
  }

  help(slotCount = EXECUTED + 1): number {
    return this.requester.help(WQE, slotCount);
  }

  /** Does something in the first piece of the owner. */
  atFirst(act: () => void): void {
    this.between = (by) => {
      if (by === 'owner') act();
      this.between = () => undefined;
    };
  }

  get claimed(): number {
    return this.view.words[OWNER_STATE + STATE_CLAIMED] as number;
  }

  set claimed(value: number) {
    this.view.words[OWNER_STATE + STATE_CLAIMED] = value;
  }

  /** What a requester does that is interrupted in the middle of a piece. */
  take(units: number): void {
    this.claimed += units;
  }

  /** It goes on. */
  carry(units: number): void {
    this.view.words[REQUESTER_STATE + STATE_CARRIED] = MARK + units;
  }

  piecesOf(by: Piece['by']): Piece[] {
    return this.pieces.filter((piece) => piece.by === by);
  }

  #core(by: Piece['by']): EngineCore {
    const copy = (_peer: unknown, theirs: number, ours: number, length: number): boolean => {
      expect(theirs).toBe(ours);
      const from = ours - PROCESS_SPACE;
      this.between(by);
      if (!this.isReachable && by === 'requester') return false;
      this.target.set(this.source.subarray(from, from + length), from);
      this.pieces.push({ by, from, to: from + length });
      return true;
    };
    return {
      view: this.view,
      clock: new VirtualClock(0),
      mover: { pull: copy, push: copy },
    } as unknown as EngineCore;
  }

  #queuePair(ownState: number, peerState: number): EngineQueuePair {
    const isAlive = (): boolean => this.isPeerAlive;
    const isReached = (): boolean => this.isReached;
    return {
      ...{ ownState, peerState, executed: EXECUTED, peerSlot: 0 },
      peer: {
        ...{ alive: true, isAlive },
        get isReached() {
          return isReached();
        },
        pauseOn: () => {
          this.between('requester');
        },
        ringDoorbell: () => {
          this.rings++;
        },
      },
    } as unknown as EngineQueuePair;
  }
}

describe.each([Opcode.RDMA_READ, Opcode.RDMA_WRITE] as const)('joint copy, opcode %i', (opcode) => {
  it('the owner alone copies all of it when the requester is busy [RDMA-01]', () => {
    const bench = new Bench(opcode);
    expect(bench.begin()).toBe(WcStatus.SUCCESS);
    expect(Buffer.compare(bench.target, bench.source)).toBe(0);
    expect(bench.help()).toBe(0);
    expect(bench.owner.isBegun).toBe(false);
  });

  it('every byte is copied by one of the two, once, and the requester takes what the owner leaves [RDMA-01]', () => {
    const bench = new Bench(opcode);
    bench.between = (by) => {
      if (by === 'owner') bench.help();
    };
    expect(bench.begin()).toBe(WcStatus.SUCCESS);
    expect(Buffer.compare(bench.target, bench.source)).toBe(0);
    expect(bench.piecesOf('requester').length).toBeGreaterThan(1);
    const sorted = [...bench.pieces].sort((a, b) => a.from - b.from);
    expect(sorted.map(({ to }) => to)).toEqual([
      ...sorted.slice(1).map(({ from }) => from),
      LENGTH,
    ]);
  });

  it('it is not complete before the pieces of the requester are there [RDMA-01]', () => {
    const bench = new Bench(opcode);
    bench.atFirst(() => bench.take(32));
    expect(bench.begin()).toBe(UNFINISHED);
    expect(bench.owner.isBegun).toBe(true);
    bench.carry(31);
    expect(bench.owner.finish()).toBe(UNFINISHED);
    bench.carry(32);
    expect(bench.owner.finish()).toBe(WcStatus.SUCCESS);
    expect(bench.owner.isBegun).toBe(false);
  });

  it('a piece that the requester cannot copy fails the request, and it takes no other [RDMA-01]', () => {
    const bench = new Bench(opcode);
    bench.isReachable = false;
    bench.between = (by) => {
      if (by === 'owner') bench.help();
    };
    expect(bench.begin()).toBe(WcStatus.REM_OP_ERR);
    expect(bench.piecesOf('requester')).toEqual([]);
    expect(bench.rings).toBe(0);
  });

  it('who is told of another slot, or does not reach the owner, takes no piece [MEM-03]', () => {
    const bench = new Bench(opcode);
    bench.between = (by) => {
      if (by === 'requester') return;
      expect(bench.help(EXECUTED)).toBe(0);
      expect(bench.help(EXECUTED + 2)).toBe(0);
      bench.isReached = false;
      expect(bench.help()).toBe(0);
      bench.isReached = true;
    };
    expect(bench.begin()).toBe(WcStatus.SUCCESS);
    expect(bench.piecesOf('requester')).toEqual([]);
  });

  it('memory that is taken back waits for the piece under way, and for nobody who is dead [MEM-05 DEREGRDMA-02]', () => {
    for (const isPeerAlive of [true, false]) {
      const bench = new Bench(opcode);
      bench.atFirst(() => bench.take(32));
      expect(bench.begin()).toBe(UNFINISHED);
      expect(bench.owner.revoke(KEY + 1)).toBe(true);
      expect(bench.owner.isBegun).toBe(true);
      let pauses = 0;
      bench.between = () => {
        if (++pauses === 3) bench.carry(32);
      };
      bench.isPeerAlive = isPeerAlive;
      expect(bench.owner.revoke(KEY)).toBe(true);
      expect(pauses).toBe(isPeerAlive ? 3 : 0);
      expect(bench.owner.isBegun).toBe(false);
      expect(bench.help()).toBe(0);
    }
  });

  it('a peer that never finishes its piece is given up [MEM-05]', () => {
    const bench = new Bench(opcode);
    bench.atFirst(() => bench.take(32));
    expect(bench.begin()).toBe(UNFINISHED);
    expect(bench.owner.revoke(null)).toBe(false);
    expect(bench.owner.isBegun).toBe(false);
  });

  it('a count that goes back, beyond the end or round in circles ends the copy [MEM-03]', () => {
    const lies: readonly ((claimed: number, round: number) => number)[] = [
      () => MARK,
      () => MARK + 10_000,
      () => 0,
      () => -1,
      (claimed, round) => claimed + (round % 2 === 0 ? 1 : -1),
    ];
    for (const lie of lies) {
      const bench = new Bench(opcode);
      let round = 0;
      bench.between = (by) => {
        if (by === 'owner') bench.claimed = lie(bench.claimed, round++);
      };
      expect([WcStatus.REM_INV_REQ_ERR, UNFINISHED]).toContain(bench.begin());
    }
  });
});

it('the last bytes of a WRITE come after all others, whoever copies those [RDMA-01]', () => {
  const bench = new Bench(Opcode.RDMA_WRITE);
  bench.between = (by) => {
    if (by === 'owner') bench.help();
  };
  expect(bench.begin()).toBe(WcStatus.SUCCESS);
  expect(bench.pieces.at(-1)).toEqual({ by: 'owner', from: 8 * JOINT_PIECE_BYTES_MIN, to: LENGTH });
});
