// A long RDMA through the kernel, copied by both engines at once. The kernel copies between two processes
// at half the rate of a copy within one, on each core. The responder, which has checked the request, says
// which slot it executes; both then take pieces from the front until none is left. A requester that is
// busy with something else takes none, and the responder copies it all. Does not decide what may be
// copied. Sources: RDMA-01, MEM-05, docs/shared-memory.md, "Joint copies".

import { assert } from '../../runtime/assert.js';
import type { EngineCore } from './engine-core.js';
import { addressAt } from './engine-core.js';
import type { EngineQueuePair } from './engine-queue-pair.js';
import { awaitPeer } from './exposed-regions.js';
import { STATE_ARMED, STATE_CARRIED, STATE_CLAIMED, Wqe } from './layout.js';
import { JOINT_PIECE_BYTES_MIN, MAX_MESSAGE_BYTES, WIRE_SLOTS } from './limits.js';
import { PROCESS_SPACE } from './mover.js';
import { Opcode, WcStatus } from './verbs.js';

/** What a piece is a multiple of: a page, so that neither engine pins one of the other's. */
const UNIT = 4096;
/** Both words have a mark, which says of what slot they are, above a count of units. */
const UNIT_BITS = 20;
const UNITS_MAX = (1 << UNIT_BITS) - 1;
const SLOTS_TOLD_APART = 1024;
/** In place of a count of units: a piece could not be copied. */
const FAILED = UNITS_MAX;
const PIECE_UNITS_MIN = JOINT_PIECE_BYTES_MIN / UNIT;
const NO_SLOT = 0;
assert(MAX_MESSAGE_BYTES / UNIT < FAILED, 'the units of a message are counted in their bits');
assert(WIRE_SLOTS < SLOTS_TOLD_APART, 'no two slots of a ring have one mark');

/** What copying came to besides a WcStatus: the peer has not finished its pieces. */
export const UNFINISHED = -1;

/** An RDMA as the responder has read it: remote key, and address and length of our memory. */
export interface JointRequest {
  readonly opcode: number;
  readonly key: number;
  readonly address: number;
  readonly length: number;
}

interface Transfer {
  /** NIC addresses of the peer's memory and ours. */
  readonly theirs: number;
  readonly ours: number;
  readonly length: number;
}

export class JointCopy {
  readonly #core: EngineCore;
  readonly #qp: EngineQueuePair;
  // As the responder: the mark of the transfer that the peer may take part in, the units of which either
  // copies some, and how many were copied here.
  #mark = NO_SLOT;
  #units = 0;
  #own = 0;
  readonly #transfer = { isRead: false, key: 0, theirs: 0, ours: 0, length: 0 };
  /** As the requester: the mark, and the units copied here. */
  #carried = 0;

  constructor(core: EngineCore, qp: EngineQueuePair) {
    this.#core = core;
    this.#qp = qp;
  }

  /** Whether the slot that is executed now is a joint copy which was begun. */
  get isBegun(): boolean {
    return this.#mark !== NO_SLOT;
  }

  /**
   * The responder's side: executes an RDMA that has been checked, between our memory and the peer's at
   * `theirs`, up to the last piece that nobody has taken. Then see finish().
   */
  begin(request: JointRequest, theirs: number): number {
    const { view } = this.#core;
    const transfer = this.#transfer;
    transfer.isRead = request.opcode === Opcode.RDMA_READ;
    transfer.key = request.key;
    transfer.theirs = theirs;
    transfer.ours = request.address;
    transfer.length = request.length;
    const units = jointUnits(transfer.isRead, request.length);
    const word = this.#qp.ownState + STATE_CLAIMED;
    this.#mark = markOf(this.#qp.executed + 1);
    this.#units = units;
    this.#own = 0;
    view.exchange(word, this.#mark);
    let last = 0;
    // Each time round one of the two takes a unit or more; longer than that only who lies goes on.
    for (let looks = 0; looks <= units; looks++) {
      const claimed = view.loadAcquire(word);
      const at = claimed - this.#mark;
      if (at < last || at > units) break;
      if (at === units) return this.finish();
      last = at;
      const piece = pieceOf(units - at);
      if (view.compareExchange(word, claimed, claimed + piece) !== claimed) continue;
      this.#own += piece;
      if (!this.#move(transfer, !transfer.isRead, at, piece)) return WcStatus.REM_OP_ERR;
    }
    return WcStatus.REM_INV_REQ_ERR;
  }

  /** Whether everything is there: a WcStatus, or UNFINISHED. Copies the end of a WRITE. */
  finish(): number {
    const outcome = this.#outcome(this.#units - this.#own);
    if (outcome === UNFINISHED) return outcome;
    this.#mark = NO_SLOT;
    if (outcome !== WcStatus.SUCCESS || this.#transfer.isRead) return outcome;
    return this.#move(this.#transfer, true, this.#units, 1) ? outcome : WcStatus.REM_OP_ERR;
  }

  /**
   * The memory that `key` opens, or any if it is null, is taken back: the transfer does not go on, and when
   * this returns the peer is not in the middle of a piece. False when that takes too long.
   */
  revoke(key: number | null): boolean {
    if (this.#mark === NO_SLOT || (key !== null && key !== this.#transfer.key)) return true;
    const { view } = this.#core;
    const qp = this.#qp;
    const full = this.#mark + this.#units;
    const claimed = view.exchange(qp.ownState + STATE_CLAIMED, full) - this.#mark;
    const theirs = Math.min(claimed, this.#units) - this.#own;
    const isUsing = (): boolean => this.#outcome(theirs) === UNFINISHED;
    const isFree = awaitPeer(this.#core, qp, qp.peerState + STATE_CARRIED, isUsing);
    this.#mark = NO_SLOT;
    return isFree;
  }

  /**
   * The requester's side: takes part in the request at word `wqe`, of one element, which is in slot
   * `slotCount`, if the peer is copying it now. The caller has checked its own memory. Returns the pieces.
   */
  help(wqe: number, slotCount: number): number {
    const { view } = this.#core;
    const { words } = view;
    const qp = this.#qp;
    const word = qp.peerState + STATE_CLAIMED;
    const mark = markOf(slotCount);
    if ((view.loadAcquire(word) & ~UNITS_MAX) !== mark) return 0;
    const isRead = ((words[wqe + Wqe.CONTROL] as number) & 0xff) === Opcode.RDMA_READ;
    const length = (words[wqe + Wqe.LENGTH] as number) >>> 0;
    const ours = addressAt(words, wqe + Wqe.SGE);
    const theirs = addressAt(words, wqe + Wqe.REMOTE_ADDRESS_LOW);
    if (qp.peer === null || (theirs >= PROCESS_SPACE && !qp.peer.isReached)) return 0;
    if ((this.#carried & ~UNITS_MAX) !== mark) this.#carried = mark;
    if (this.#carried === mark + FAILED) return 0;
    const units = jointUnits(isRead, length);
    let pieces = 0;
    for (let looks = 0; looks <= units; looks++) {
      const claimed = view.loadAcquire(word);
      const at = claimed - mark;
      if (at < 0 || at >= units) break;
      const piece = pieceOf(units - at);
      if (view.compareExchange(word, claimed, claimed + piece) !== claimed) continue;
      pieces++;
      const isDone = this.#move({ theirs, ours, length }, isRead, at, piece);
      this.#carried = isDone ? this.#carried + piece : mark + FAILED;
      view.exchange(qp.ownState + STATE_CARRIED, this.#carried);
      if (!isDone) break;
    }
    // As after an acknowledgement: the peer may wait for this.
    if (pieces > 0 && words[qp.peerState + STATE_ARMED] !== 0) qp.peer.ringDoorbell(qp.peerSlot);
    return pieces;
  }

  #outcome(units: number): number {
    if (units <= 0) return WcStatus.SUCCESS;
    const carried = this.#core.view.loadAcquire(this.#qp.peerState + STATE_CARRIED);
    if ((carried & ~UNITS_MAX) !== this.#mark) return UNFINISHED;
    const done = carried & UNITS_MAX;
    if (done === FAILED) return WcStatus.REM_OP_ERR;
    return done >= units ? WcStatus.SUCCESS : UNFINISHED;
  }

  #move({ theirs, ours, length }: Transfer, inward: boolean, at: number, piece: number): boolean {
    const { peer } = this.#qp;
    const { mover } = this.#core;
    const offset = at * UNIT;
    const bytes = Math.min(piece * UNIT, length - offset);
    if (peer === null) return false;
    return inward
      ? mover.pull(peer, theirs + offset, ours + offset, bytes)
      : mover.push(peer, theirs + offset, ours + offset, bytes);
  }
}

/** Of a WRITE all but the last: who looks at the last bytes until they change finds the rest. */
function jointUnits(isRead: boolean, length: number): number {
  return Math.ceil(length / UNIT) - (isRead ? 0 : 1);
}

function markOf(slotCount: number): number {
  return ((slotCount & (SLOTS_TOLD_APART - 1)) + 1) << UNIT_BITS;
}

/** Half of what is left: the other engine copies meanwhile, and neither waits long for the last piece. */
function pieceOf(left: number): number {
  return Math.min(left, Math.max(PIECE_UNITS_MIN, left >>> 1));
}
