// The responder's half of a connection: executes what the peer has published in the inbound ring, in
// order, and acknowledges it, under the region table. A peer hands over requests and references; only small
// RDMA it carries out by itself, and then no slot comes (direct-access.ts). Every word of a slot is read
// once and checked before use: the peer may write anything at any time.

import type { SharedView } from '../../native/shared-view.js';
import type { EngineCore } from './engine-core.js';
import { addressAt } from './engine-core.js';
import type { EngineQueuePair } from './engine-queue-pair.js';
import { Wait } from './engine-queue-pair.js';
import { JointCopy, UNFINISHED } from './joint-copy.js';
import {
  Slot,
  SlotFlag,
  STATE_ACKNOWLEDGED,
  STATE_ARMED,
  STATE_CLOSED,
  STATE_NOT_READY,
  STATE_PUSHING,
  STATE_STATUS,
  Wqe,
} from './layout.js';
import {
  ACK_INTERVAL,
  ENTRY_WORDS,
  INLINE_BYTES,
  JOINT_BYTES_MIN,
  MAX_MESSAGE_BYTES,
  SGE_WORDS,
  TURN_BUDGET,
  WIRE_SLOTS,
} from './limits.js';
import type { Mover } from './mover.js';
import type { RegionTable } from './regions.js';
import { Access, MAX_SGE, Opcode, RETRY_FOREVER, WcStatus } from './verbs.js';

/** The control word of a SEND whose payload is in the slot. */
const INLINE_SEND = Opcode.SEND | (SlotFlag.INLINE << 8);
const INLINE_BIT = SlotFlag.INLINE << 8;
const ACKNOWLEDGE_BIT = SlotFlag.ACKNOWLEDGE << 8;

/** What executing one slot came to, besides a WcStatus for the peer: qp.wait says for what it waits. */
const NOT_READY = -1;

/** A slot's header, read once. One object serves for ever. */
class Request {
  slot = 0;
  opcode = 0;
  flags = 0;
  references = 0;
  length = 0;
  key = 0;
  address = 0;
}

export class Responder {
  readonly #core: EngineCore;
  readonly #view: SharedView;
  readonly #words: Int32Array;
  readonly #regions: RegionTable;
  readonly #mover: Mover;
  readonly #request = new Request();

  constructor(core: EngineCore) {
    this.#core = core;
    this.#view = core.view;
    this.#words = core.view.words;
    this.#regions = core.regions;
    this.#mover = core.mover;
  }

  /** Executes what has arrived, up to a turn's budget. Returns the slots executed. */
  receive(qp: EngineQueuePair): number {
    const view = this.#view;
    let slot = qp.ring + (qp.executed & (WIRE_SLOTS - 1)) * ENTRY_WORDS;
    if (view.loadAcquire(slot) !== qp.inboundSequence) return 0;
    if (qp.wait !== Wait.NONE && !this.#mayTryAgain(qp)) return 0;
    let executed = 0;
    let acknowledge = false;
    while (executed < TURN_BUDGET && view.loadAcquire(slot) === qp.inboundSequence) {
      const outcome = this.#receiveSmall(qp, slot) ? WcStatus.SUCCESS : this.#execute(qp, slot);
      if (outcome === NOT_READY) break;
      if (outcome !== WcStatus.SUCCESS) {
        this.#refuse(qp, outcome);
        return executed + 1;
      }
      qp.executed = (qp.executed + 1) | 0;
      qp.inboundSequence = (qp.inboundSequence + 1) | 0;
      acknowledge ||= ((this.#words[slot + Slot.CONTROL] as number) & ACKNOWLEDGE_BIT) !== 0;
      executed++;
      slot = qp.ring + (qp.executed & (WIRE_SLOTS - 1)) * ENTRY_WORDS;
    }
    if (
      executed > 0 &&
      (acknowledge || ((qp.executed - qp.executedPublished) | 0) >= ACK_INTERVAL)
    ) {
      this.acknowledge(qp);
    }
    return executed;
  }

  /**
   * The connection has ended, and what the peer had sent from its slots was complete there: it goes into
   * receives that were posted too late for it, or wait for room. What refers to the peer's memory was
   * not complete, and is lost. Returns false when the completion queue is full.
   */
  drain(qp: EngineQueuePair): boolean {
    for (;;) {
      const slot = qp.ring + (qp.executed & (WIRE_SLOTS - 1)) * ENTRY_WORDS;
      if (this.#view.loadAcquire(slot) !== qp.inboundSequence) return true;
      if (((this.#words[slot + Slot.CONTROL] as number) & INLINE_BIT) === 0) return true;
      if (!qp.completions.hasRoom(1)) return false;
      if (this.#execute(qp, slot) !== WcStatus.SUCCESS) return true;
      qp.executed = (qp.executed + 1) | 0;
      qp.inboundSequence = (qp.inboundSequence + 1) | 0;
    }
  }

  /** Completes posted receives as flushed. Returns false when the completion queue is full. */
  flush(qp: EngineQueuePair): boolean {
    const words = this.#words;
    for (;;) {
      const entry = qp.receiveQueue + (qp.receiveTaken & qp.receiveMask) * ENTRY_WORDS;
      if (words[entry] !== ((qp.receiveTaken + 1) | 0)) return true;
      if (!qp.completions.hasRoom(1)) return false;
      this.#completeReceive(qp, entry, WcStatus.WR_FLUSH_ERR, 0);
    }
  }

  #mayTryAgain(qp: EngineQueuePair): boolean {
    if (qp.wait === Wait.TIME && !qp.isLastChance && this.#core.clock.now() < qp.retryAt) {
      return false;
    }
    this.#view.storeRelease(qp.ownState + STATE_NOT_READY, 0);
    qp.wait = Wait.NONE;
    return true;
  }

  /** Whether the slot is still on its way, as its sender's cost model has it. */
  #isUnderWay(qp: EngineQueuePair, slot: number): boolean {
    if ((this.#request.flags & SlotFlag.TIMED) === 0 || qp.isLastChance) return false;
    const due = this.#view.load64(slot + Slot.DUE);
    if (this.#core.clock.now() >= due) return false;
    qp.wait = Wait.TIME;
    qp.retryAt = due;
    return true;
  }

  /** No receive is posted: tries again when there is one, or at every tick of the RNR timer. */
  #receiverNotReady(qp: EngineQueuePair): number {
    const { minRnrTimer, rnrRetry } = qp.patience;
    if (qp.rnrSlot !== qp.executed) {
      this.#core.counters.receiverNotReady++;
      qp.rnrSlot = qp.executed;
      qp.rnrTriesLeft = rnrRetry;
    } else qp.rnrTriesLeft--;
    if (qp.rnrTriesLeft <= 0 && rnrRetry !== RETRY_FOREVER) return WcStatus.RNR_RETRY_EXC_ERR;
    if (minRnrTimer === 0) return this.#waitFor(qp, Wait.RECEIVE);
    qp.retryAt = this.#core.clock.now() + minRnrTimer;
    return this.#waitFor(qp, Wait.TIME);
  }

  #waitFor(qp: EngineQueuePair, wait: Wait): number {
    qp.wait = wait;
    // The peer is to know that it waits for the application and not for the network.
    this.#view.storeRelease(qp.ownState + STATE_NOT_READY, 1);
    return NOT_READY;
  }

  /** The peer has closed: nothing more can be done until the connection manager says so. */
  #waitForEnd(qp: EngineQueuePair): number {
    qp.retryAt = Infinity;
    return this.#waitFor(qp, Wait.TIME);
  }

  #read(slot: number): void {
    const words = this.#words;
    const control = words[slot + Slot.CONTROL] as number;
    const request = this.#request;
    request.slot = slot;
    request.opcode = control & 0xff;
    request.flags = (control >>> 8) & 0xff;
    request.references = control >>> 16;
    request.length = (words[slot + Slot.LENGTH] as number) >>> 0;
    if (request.opcode !== Opcode.SEND) {
      request.key = (words[slot + Slot.REMOTE_KEY] as number) >>> 0;
      request.address = addressAt(words, slot + Slot.REMOTE_ADDRESS_LOW);
    }
  }

  #receiveSmall(qp: EngineQueuePair, slot: number): boolean {
    const entry = qp.receiveQueue + (qp.receiveTaken & qp.receiveMask) * ENTRY_WORDS;
    const length = this.#words[slot + Slot.LENGTH] as number;
    if (!qp.completions.hasRoom(1) || !this.#deliverSmall(qp, slot, entry, length)) return false;
    this.#completeReceive(qp, entry, WcStatus.SUCCESS, length);
    return true;
  }

  /**
   * The short way for the commonest slot: a SEND in the slot itself, into one place of
   * the segment. False when it is not of that kind or not in order; the long way then says why.
   */
  #deliverSmall(qp: EngineQueuePair, slot: number, entry: number, length: number): boolean {
    const words = this.#words;
    const offset = words[entry + Wqe.SGE] as number;
    if (
      words[slot + Slot.CONTROL] !== INLINE_SEND ||
      words[entry] !== ((qp.receiveTaken + 1) | 0) ||
      words[entry + Wqe.SGE + 1] !== 0 ||
      length < 0 ||
      length > INLINE_BYTES ||
      length > (words[entry + Wqe.SGE + 2] as number) ||
      (offset & 7) !== 0 ||
      qp.receivedBytes !== 0 ||
      !this.#regions.allows(
        words[entry + Wqe.SGE + 3] as number,
        offset,
        length,
        Access.LOCAL_WRITE,
        qp.slot,
      )
    ) {
      return false;
    }
    this.#mover.deliverSmall(slot + Slot.PAYLOAD, offset, length);
    return true;
  }

  #execute(qp: EngineQueuePair, slot: number): number {
    if (qp.joint !== null && qp.joint.isBegun) return this.#jointOutcome(qp, qp.joint.finish());
    this.#read(slot);
    const request = this.#request;
    if (this.#isUnderWay(qp, slot)) return NOT_READY;
    const inline = (request.flags & SlotFlag.INLINE) !== 0;
    if (request.length > (inline ? INLINE_BYTES : MAX_MESSAGE_BYTES))
      return WcStatus.REM_INV_REQ_ERR;
    if (request.references > MAX_SGE) return WcStatus.REM_INV_REQ_ERR;
    switch (request.opcode) {
      case Opcode.SEND:
        return this.#executeSend(qp, inline);
      case Opcode.RDMA_WRITE:
        return this.#executeWrite(qp, inline);
      case Opcode.RDMA_READ:
        return inline ? WcStatus.REM_INV_REQ_ERR : this.#executeRead(qp);
      default:
        return WcStatus.REM_INV_REQ_ERR;
    }
  }

  #executeSend(qp: EngineQueuePair, inline: boolean): number {
    const words = this.#words;
    const request = this.#request;
    const entry = qp.receiveQueue + (qp.receiveTaken & qp.receiveMask) * ENTRY_WORDS;
    if (words[entry] !== ((qp.receiveTaken + 1) | 0)) return this.#receiverNotReady(qp);
    if (!qp.completions.hasRoom(1)) return this.#waitFor(qp, Wait.ROOM);
    const start = qp.receivedBytes;
    if (start + request.length > (words[entry + Wqe.LENGTH] as number) >>> 0) {
      this.#completeReceive(qp, entry, WcStatus.LOC_LEN_ERR, 0);
      return WcStatus.REM_INV_REQ_ERR;
    }
    const status = inline
      ? this.#deliverInline(qp, entry)
      : this.#deliverReferences(qp, entry, start);
    if (status !== WcStatus.SUCCESS) {
      if (status === WcStatus.REM_OP_ERR)
        this.#completeReceive(qp, entry, WcStatus.LOC_PROT_ERR, 0);
      return status;
    }
    if ((request.flags & SlotFlag.MORE) !== 0) {
      qp.receivedBytes = start + request.length;
      return WcStatus.SUCCESS;
    }
    qp.receivedBytes = 0;
    this.#completeReceive(qp, entry, WcStatus.SUCCESS, start + request.length);
    if ((request.flags & SlotFlag.SOLICITED) !== 0) qp.completions.events?.solicited();
    return WcStatus.SUCCESS;
  }

  /** The payload is in the slot: scatter it over the receive's buffers. */
  #deliverInline(qp: EngineQueuePair, entry: number): number {
    const words = this.#words;
    const regions = this.#regions;
    const mover = this.#mover;
    const request = this.#request;
    let from = (request.slot + Slot.PAYLOAD) * 4;
    let left = request.length;
    const count = ((words[entry + Wqe.CONTROL] as number) >>> 16) & 0xff;
    for (let sge = 0; left > 0 && sge < count; sge++) {
      const element = entry + Wqe.SGE + sge * SGE_WORDS;
      const part = Math.min((words[element + 2] as number) >>> 0, left);
      const address = addressAt(words, element);
      const key = (words[element + 3] as number) >>> 0;
      if (!regions.allows(key, address, part, Access.LOCAL_WRITE, qp.slot))
        return WcStatus.REM_OP_ERR;
      if (!mover.deliver(from, address, part)) return WcStatus.REM_OP_ERR;
      from += part;
      left -= part;
    }
    return left === 0 ? WcStatus.SUCCESS : WcStatus.REM_OP_ERR;
  }

  /** The payload is in the peer's memory: pull it, from `start` of the receive's buffers on. */
  #deliverReferences(qp: EngineQueuePair, entry: number, start: number): number {
    const words = this.#words;
    const request = this.#request;
    const count = ((words[entry + Wqe.CONTROL] as number) >>> 16) & 0xff;
    let sge = 0;
    let skip = start;
    let left = request.length;
    for (let index = 0; index < request.references; index++) {
      const reference = request.slot + Slot.PAYLOAD + index * SGE_WORDS;
      let from = addressAt(words, reference);
      let size = (words[reference + 2] as number) >>> 0;
      if (size > left) return WcStatus.REM_INV_REQ_ERR;
      left -= size;
      while (size > 0) {
        if (sge >= count) return WcStatus.REM_OP_ERR;
        const element = entry + Wqe.SGE + sge * SGE_WORDS;
        const room = ((words[element + 2] as number) >>> 0) - skip;
        if (room <= 0) {
          skip = -room;
          sge++;
          continue;
        }
        const part = Math.min(room, size);
        if (!this.#pullIntoReceive(qp, element, skip, from, part)) return WcStatus.REM_OP_ERR;
        from += part;
        size -= part;
        skip += part;
      }
    }
    if (left > 0) return WcStatus.REM_INV_REQ_ERR;
    // The sender may have closed meanwhile and used its memory again: then this is not the message.
    return this.#isRevoked(qp) ? this.#waitForEnd(qp) : WcStatus.SUCCESS;
  }

  #pullIntoReceive(
    qp: EngineQueuePair,
    element: number,
    skip: number,
    from: number,
    length: number,
  ): boolean {
    const { view, regions, mover } = this.#core;
    const address = addressAt(view.words, element) + skip;
    const key = (view.words[element + 3] as number) >>> 0;
    if (!regions.allows(key, address, length, Access.LOCAL_WRITE, qp.slot)) return false;
    return qp.peer !== null && mover.pull(qp.peer, from, address, length);
  }

  #executeWrite(qp: EngineQueuePair, inline: boolean): number {
    const { view, regions, mover } = this.#core;
    const request = this.#request;
    let to = request.address;
    if (!regions.allows(request.key, to, request.length, Access.REMOTE_WRITE, qp.slot)) {
      return WcStatus.REM_ACCESS_ERR;
    }
    if (inline) {
      const done = mover.deliver((request.slot + Slot.PAYLOAD) * 4, to, request.length);
      return done ? WcStatus.SUCCESS : WcStatus.REM_OP_ERR;
    }
    if (this.#isJoint(qp)) return this.#beginJoint(qp);
    let left = request.length;
    for (let index = 0; index < request.references; index++) {
      const reference = request.slot + Slot.PAYLOAD + index * SGE_WORDS;
      const size = (view.words[reference + 2] as number) >>> 0;
      if (size > left || qp.peer === null) return WcStatus.REM_INV_REQ_ERR;
      if (!mover.pull(qp.peer, addressAt(view.words, reference), to, size))
        return WcStatus.REM_OP_ERR;
      to += size;
      left -= size;
    }
    return left === 0 ? WcStatus.SUCCESS : WcStatus.REM_INV_REQ_ERR;
  }

  /**
   * Pushes our memory into the peer's. The peer may be closing: `pushing` goes up before its `closed`
   * is looked at, and the peer raises `closed` before it looks at `pushing`, both with full fences, so
   * it never takes its memory back under a push.
   */
  #executeRead(qp: EngineQueuePair): number {
    const { view, regions } = this.#core;
    const request = this.#request;
    if (
      !regions.allows(request.key, request.address, request.length, Access.REMOTE_READ, qp.slot)
    ) {
      return WcStatus.REM_ACCESS_ERR;
    }
    view.exchange(qp.ownState + STATE_PUSHING, 1);
    const outcome = this.#isRevoked(qp)
      ? this.#waitForEnd(qp)
      : this.#isJoint(qp)
        ? this.#beginJoint(qp)
        : this.#pushReferences(qp, request.address);
    view.storeRelease(qp.ownState + STATE_PUSHING, 0);
    return outcome;
  }

  #pushReferences(qp: EngineQueuePair, from: number): number {
    const { view, mover } = this.#core;
    const request = this.#request;
    let left = request.length;
    for (let index = 0; index < request.references; index++) {
      const reference = request.slot + Slot.PAYLOAD + index * SGE_WORDS;
      const size = (view.words[reference + 2] as number) >>> 0;
      if (size > left || qp.peer === null) return WcStatus.REM_INV_REQ_ERR;
      if (!mover.push(qp.peer, addressAt(view.words, reference), from, size))
        return WcStatus.REM_OP_ERR;
      from += size;
      left -= size;
    }
    return left === 0 ? WcStatus.SUCCESS : WcStatus.REM_INV_REQ_ERR;
  }

  /** Whether the RDMA to be executed is one that the peer takes part in, if it has the time. */
  #isJoint(qp: EngineQueuePair): boolean {
    const { references, length, slot } = this.#request;
    if (references !== 1 || length < JOINT_BYTES_MIN || qp.peer === null) return false;
    const words = this.#words;
    const isWhole = (words[slot + Slot.PAYLOAD + 2] as number) >>> 0 === length;
    return isWhole && qp.peer.moveId(addressAt(words, slot + Slot.PAYLOAD)) !== 0;
  }

  #beginJoint(qp: EngineQueuePair): number {
    const request = this.#request;
    // The peer takes part in its oldest request only: it must know that those before this one are done.
    if (qp.executed !== qp.executedPublished) this.acknowledge(qp);
    qp.joint ??= new JointCopy(this.#core, qp);
    const theirs = addressAt(this.#words, request.slot + Slot.PAYLOAD);
    return this.#jointOutcome(qp, qp.joint.begin(request, theirs));
  }

  #jointOutcome(qp: EngineQueuePair, outcome: number): number {
    return outcome === UNFINISHED ? this.#waitFor(qp, Wait.PEER) : outcome;
  }

  #isRevoked(qp: EngineQueuePair): boolean {
    return this.#view.loadAcquire(qp.peerState + STATE_CLOSED) !== 0;
  }

  #completeReceive(qp: EngineQueuePair, entry: number, status: WcStatus, length: number): void {
    qp.receiveTaken = (qp.receiveTaken + 1) | 0;
    const id = this.#view.words[entry + Wqe.ID] as number;
    qp.completions.push(qp.slot, id, Opcode.RECV, status, length);
  }

  /** Tells the peer how many slots were executed. */
  acknowledge(qp: EngineQueuePair): void {
    const { view } = this.#core;
    qp.executedPublished = qp.executed;
    // Before the look at `armed`, as a slot is published before it: see Requester.
    if (this.#core.hasBarrier) view.storeRelease(qp.ownState + STATE_ACKNOWLEDGED, qp.executed);
    else view.exchange(qp.ownState + STATE_ACKNOWLEDGED, qp.executed);
    if (view.words[qp.peerState + STATE_ARMED] !== 0) qp.peer?.ringDoorbell(qp.peerSlot);
  }

  #refuse(qp: EngineQueuePair, status: number): void {
    if (status !== WcStatus.RNR_RETRY_EXC_ERR) this.#core.counters.protocolErrors++;
    // The count first: see Requester.complete.
    this.acknowledge(qp);
    this.#view.storeRelease(qp.ownState + STATE_STATUS, status);
    this.#core.fail(qp);
  }
}
