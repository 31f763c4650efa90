// The requester's half of a connection: takes work requests from the send queue, publishes them as
// slots in the peer's ring, and completes them as the peer acknowledges. A request becomes one slot;
// only one that goes through the bounce buffer becomes several, one after the other.

import { PARKED_NO } from '../../native/layout/segment.layout.js';
import type { SharedView } from '../../native/shared-view.js';
import { needsBounce, throughBounce } from './bounce.js';
import type { LinkTime } from './cost-model.js';
import type { EngineCore } from './engine-core.js';
import { addressAt, TWO_32 } from './engine-core.js';
import { QueuePairState } from './engine-queue-pair.js';
import type { EngineQueuePair } from './engine-queue-pair.js';
import { JointCopy } from './joint-copy.js';
import {
  Slot,
  SlotFlag,
  STATE_ACKNOWLEDGED,
  STATE_ARMED,
  STATE_NOT_READY,
  STATE_PUSHING,
  STATE_STATUS,
  Wqe,
} from './layout.js';
import {
  ENTRY_WORDS,
  INLINE_BYTES,
  JOINT_BYTES_MIN,
  MAX_MESSAGE_BYTES,
  RELEASE_TIMEOUT,
  SGE_WORDS,
  TURN_BUDGET,
  WIRE_SLOTS,
} from './limits.js';
import type { Mover } from './mover.js';
import type { RegionTable } from './regions.js';
import { Access, MAX_SGE, Opcode, SendFlag, WcStatus, wcStatusName } from './verbs.js';

// V8 checks an import, and loads a field of it, at every use; a constant of the module costs nothing.
const { SEQUENCE } = Slot;
const ARMED = STATE_ARMED;
const NOT_PARKED = PARKED_NO;

/** Every local key carries this right besides Access; remote keys never do. */
export const LOCAL_READ = 8;

export class Requester {
  private readonly core: EngineCore;
  private readonly view: SharedView;
  private readonly words: Int32Array;
  private readonly regions: RegionTable;
  private readonly mover: Mover;
  private readonly hasBarrier: boolean;

  constructor(core: EngineCore) {
    this.core = core;
    this.view = core.view;
    this.words = core.view.words;
    this.regions = core.regions;
    this.mover = core.mover;
    this.hasBarrier = core.hasBarrier;
  }

  /** Whether the send queue holds a request that was not taken yet. */
  hasWork(qp: EngineQueuePair): boolean {
    const wqe = qp.sendQueue + (qp.sendTaken & qp.sendMask) * ENTRY_WORDS;
    return this.words[wqe] === ((qp.sendTaken + 1) | 0);
  }

  /** Publishes what the send queue holds and the ring has room for. Returns the requests taken. */
  transmit(qp: EngineQueuePair): number {
    const words = this.words;
    let taken = 0;
    qp.isHeld = false;
    while (taken < TURN_BUDGET) {
      const wqe = qp.sendQueue + (qp.sendTaken & qp.sendMask) * ENTRY_WORDS;
      if (words[wqe] !== ((qp.sendTaken + 1) | 0)) break;
      if (!this.hasSlot(qp)) break;
      if (!qp.completions.hasRoom(1) || !this.publishRequest(qp, wqe)) {
        qp.isHeld = true;
        break;
      }
      taken++;
    }
    return taken;
  }

  /** Completes what the peer has acknowledged. Returns the completions. */
  complete(qp: EngineQueuePair): number {
    if (qp.sendCompleted === qp.sendTaken && qp.bounceLength === 0) return 0;
    if (qp.patience.ackTimeout > 0 && this.isSilent(qp)) {
      if (qp.completions.hasRoom(1)) this.failOldest(qp, WcStatus.RETRY_EXC_ERR);
      return 0;
    }
    // Before the count: the peer writes the count first, so a status comes with its final count.
    const status = this.peerStatus(qp);
    this.refreshAcknowledged(qp);
    if (qp.state !== QueuePairState.RTS) return 0;
    if (qp.bounceLength > 0 && ((qp.acknowledged - qp.bounceSlot) | 0) >= 0) this.afterBounce(qp);
    let completed = 0;
    while (qp.sendCompleted !== qp.sendTaken && qp.completions.hasRoom(1)) {
      const index = qp.sendCompleted & qp.sendMask;
      if (((qp.acknowledged - (qp.lastSlot[index] as number)) | 0) < 0) break;
      // What was acknowledged before a refusal is complete, due or not.
      if (status === WcStatus.SUCCESS && !this.isDue(qp, index)) break;
      this.completeHead(qp, WcStatus.SUCCESS);
      completed++;
    }
    if (status !== WcStatus.SUCCESS) this.handleNak(qp, status);
    else if (qp.isLong) completed += this.help(qp);
    return completed;
  }

  /**
   * Completes everything outstanding as flushed, sends only. Returns false when some of it must wait:
   * the completion queue is full, or the peer is still writing into memory that a READ gave it.
   */
  flush(qp: EngineQueuePair): boolean {
    const words = this.words;
    if (qp.readsOutstanding > 0 && this.isPushing(qp)) return false;
    if (this.core.bounce.holder === qp) this.core.bounce.holder = null;
    for (;;) {
      const index = qp.sendCompleted & qp.sendMask;
      const wqe = qp.sendQueue + index * ENTRY_WORDS;
      if (words[wqe] !== ((qp.sendCompleted + 1) | 0)) return true;
      if (!qp.completions.hasRoom(1)) return false;
      if (qp.sendTaken === qp.sendCompleted) qp.sendTaken = (qp.sendTaken + 1) | 0;
      this.completeHead(qp, WcStatus.WR_FLUSH_ERR);
    }
  }

  /** Copies a part of the oldest request, if that is long and the peer is at it. */
  private help(qp: EngineQueuePair): number {
    if (qp.sendCompleted === qp.sendTaken) return 0;
    const words = this.words;
    const index = qp.sendCompleted & qp.sendMask;
    const wqe = qp.sendQueue + index * ENTRY_WORDS;
    const control = words[wqe + Wqe.CONTROL] as number;
    const opcode = control & 0xff;
    const length = (words[wqe + Wqe.LENGTH] as number) >>> 0;
    const sgeCount = (control >>> 16) & 0xff;
    if (opcode === Opcode.SEND || sgeCount !== 1 || length < JOINT_BYTES_MIN) return 0;
    // Its own memory may have been taken back meanwhile.
    if (this.checkRequest(qp, wqe, opcode, sgeCount, length) !== WcStatus.SUCCESS) return 0;
    qp.joint ??= new JointCopy(this.core, qp);
    return qp.joint.help(wqe, qp.lastSlot[index] as number);
  }

  private isDue(qp: EngineQueuePair, index: number): boolean {
    return qp.dues === null || this.core.clock.now() >= (qp.dues[index] as number);
  }

  /** Whether the peer may be writing into memory of ours; not believed for ever. */
  private isPushing(qp: EngineQueuePair): boolean {
    const { peer } = qp;
    if (peer === null || !peer.alive) return false;
    if (this.view.loadAcquire(qp.peerState + STATE_PUSHING) === 0) return false;
    const now = this.core.clock.now();
    if (qp.pushEnds === 0) qp.pushEnds = now + RELEASE_TIMEOUT;
    return now < qp.pushEnds;
  }

  private publishRequest(qp: EngineQueuePair, wqe: number): boolean {
    const words = this.words;
    const control = words[wqe + Wqe.CONTROL] as number;
    const opcode = control & 0xff;
    const sgeCount = (control >>> 16) & 0xff;
    const length = (words[wqe + Wqe.LENGTH] as number) >>> 0;
    const problem = this.checkRequest(qp, wqe, opcode, sgeCount, length);
    if (problem !== WcStatus.SUCCESS) {
      // Those before it complete first, as what they are.
      if (qp.sendCompleted === qp.sendTaken) this.failHead(qp, problem);
      return false;
    }
    if (length <= INLINE_BYTES && opcode !== Opcode.RDMA_READ) {
      this.publishInline(qp, wqe, opcode, sgeCount, length);
      return true;
    }
    // A request that began in the bounce buffer ends there, although the peer reaches us meanwhile.
    if (qp.isMidBounce || needsBounce(this.words, qp, wqe, sgeCount))
      return this.publishBounced(qp, wqe, opcode, length);
    const slot = this.slot(qp);
    for (let sge = 0; sge < sgeCount; sge++) {
      const from = wqe + Wqe.SGE + sge * SGE_WORDS;
      const to = slot + Slot.PAYLOAD + sge * SGE_WORDS;
      words[to] = words[from] as number;
      words[to + 1] = words[from + 1] as number;
      words[to + 2] = words[from + 2] as number;
    }
    if (opcode === Opcode.RDMA_READ) qp.readsOutstanding++;
    if (length >= JOINT_BYTES_MIN && opcode !== Opcode.SEND) qp.lastLong = qp.published + 1;
    this.publishSlot(qp, wqe, slot, opcode, SlotFlag.ACKNOWLEDGE, sgeCount, length, 0);
    this.requestPublished(qp);
    return true;
  }

  private publishInline(
    qp: EngineQueuePair,
    wqe: number,
    opcode: number,
    sgeCount: number,
    length: number,
  ): void {
    const words = this.words;
    const slot = this.slot(qp);
    let offset = (slot + Slot.PAYLOAD) * 4;
    for (let sge = 0; sge < sgeCount; sge++) {
      const entry = wqe + Wqe.SGE + sge * SGE_WORDS;
      const size = words[entry + 2] as number;
      this.mover.collect(offset, addressAt(words, entry), size);
      offset += size;
    }
    // A WRITE is complete only when its key was found good; a SEND when its bytes are gone.
    const isDone = opcode === Opcode.SEND && !qp.acknowledgesSends;
    const flags = isDone ? SlotFlag.INLINE : SlotFlag.INLINE | SlotFlag.ACKNOWLEDGE;
    this.publishSlot(qp, wqe, slot, opcode, flags, 0, length, 0);
    if (isDone) this.inlineSendPublished(qp);
    else this.requestPublished(qp);
  }

  /** Its bytes have left the sender's buffer: complete, unless an earlier request is not. */
  private inlineSendPublished(qp: EngineQueuePair): void {
    const index = qp.sendTaken & qp.sendMask;
    qp.lastSlot[index] = qp.acknowledged;
    qp.sendTaken = (qp.sendTaken + 1) | 0;
    if (qp.dues !== null) qp.dues[index] = qp.lastDue;
    else if (((qp.sendTaken - qp.sendCompleted) | 0) === 1) this.completeHead(qp, WcStatus.SUCCESS);
  }

  /** One bufferful of a request whose memory the peer cannot reach. Taken when its last one is out. */
  private publishBounced(
    qp: EngineQueuePair,
    wqe: number,
    opcode: number,
    length: number,
  ): boolean {
    const bounce = this.core.bounce;
    if (bounce.holder !== null && bounce.holder !== qp) return false;
    if (qp.bounceLength > 0) return false; // The bufferful before this one is still on its way.
    bounce.holder = qp;
    const words = this.words;
    const part = Math.min(bounce.bytes, length - qp.bouncedBytes);
    if (opcode !== Opcode.RDMA_READ) throughBounce(this.core, wqe, qp.bouncedBytes, part, true);
    const slot = this.slot(qp);
    words[slot + Slot.PAYLOAD] = bounce.address;
    words[slot + Slot.PAYLOAD + 1] = 0;
    words[slot + Slot.PAYLOAD + 2] = part;
    const last = qp.bouncedBytes + part === length;
    const flags = last ? SlotFlag.ACKNOWLEDGE : SlotFlag.ACKNOWLEDGE | SlotFlag.MORE;
    if (opcode === Opcode.RDMA_READ) qp.readsOutstanding++;
    this.publishSlot(qp, wqe, slot, opcode, flags, 1, part, qp.bouncedBytes);
    qp.bounceLength = part;
    qp.bounceSlot = qp.published;
    qp.bounceIsLast = last;
    qp.bounceIsRead = opcode === Opcode.RDMA_READ;
    if (last && opcode !== Opcode.RDMA_READ) {
      qp.bouncedBytes = 0;
      this.requestPublished(qp);
      return true;
    }
    return false;
  }

  /** The peer is done with the bounce buffer: bring READ data home, and go on with the request. */
  private afterBounce(qp: EngineQueuePair): void {
    const bounced = qp.bounceLength;
    qp.bounceLength = 0;
    const wqe = qp.sendQueue + (qp.sendTaken & qp.sendMask) * ENTRY_WORDS;
    // The last part of a SEND or WRITE has taken its request: what lies at `wqe` is another.
    const isRead = qp.bounceIsRead;
    if (isRead) throughBounce(this.core, wqe, qp.bouncedBytes, bounced, false);
    if (isRead && qp.bounceIsLast)
      this.requestPublished(qp); // completeHead counts the READ off.
    else if (isRead) qp.readsOutstanding--;
    qp.bouncedBytes = qp.bounceIsLast ? 0 : qp.bouncedBytes + bounced;
    if (qp.bounceIsLast) this.core.bounce.holder = null;
  }

  private checkRequest(
    qp: EngineQueuePair,
    wqe: number,
    opcode: number,
    sgeCount: number,
    length: number,
  ): WcStatus {
    if (opcode < Opcode.SEND || opcode > Opcode.RDMA_READ || sgeCount > MAX_SGE) {
      return WcStatus.LOC_QP_OP_ERR;
    }
    if (length > MAX_MESSAGE_BYTES) return WcStatus.LOC_LEN_ERR;
    const words = this.words;
    const right = opcode === Opcode.RDMA_READ ? Access.LOCAL_WRITE : LOCAL_READ;
    let total = 0;
    for (let sge = 0; sge < sgeCount; sge++) {
      const entry = wqe + Wqe.SGE + sge * SGE_WORDS;
      const size = (words[entry + 2] as number) >>> 0;
      const key = (words[entry + 3] as number) >>> 0;
      if (!this.regions.allows(key, addressAt(words, entry), size, right, qp.slot)) {
        return WcStatus.LOC_PROT_ERR;
      }
      total += size;
    }
    return total === length ? WcStatus.SUCCESS : WcStatus.LOC_QP_OP_ERR;
  }

  /** Whether the peer's ring has room; asks the peer only when it seems not to. May end the connection. */
  hasSlot(qp: EngineQueuePair): boolean {
    if (((qp.published - qp.acknowledged) | 0) < WIRE_SLOTS) return true;
    this.refreshAcknowledged(qp);
    const hasRoom = ((qp.published - qp.acknowledged) | 0) < WIRE_SLOTS;
    return hasRoom && qp.state === QueuePairState.RTS;
  }

  private slot(qp: EngineQueuePair): number {
    return qp.outboundRing + (qp.published & (WIRE_SLOTS - 1)) * ENTRY_WORDS;
  }

  /** Fills the header and publishes. */
  private publishSlot(
    qp: EngineQueuePair,
    wqe: number,
    slot: number,
    opcode: number,
    flags: number,
    references: number,
    length: number,
    remoteOffset: number,
  ): void {
    const words = this.words;
    const requested = (words[wqe + Wqe.CONTROL] as number) >>> 8;
    if ((requested & SendFlag.SOLICITED) !== 0 && opcode === Opcode.SEND)
      flags |= SlotFlag.SOLICITED;
    if (this.core.link !== null) flags |= this.stamp(this.core.link, qp, slot, opcode, length);
    words[slot + Slot.CONTROL] = opcode | (flags << 8) | (references << 16);
    words[slot + Slot.LENGTH] = length;
    if (opcode !== Opcode.SEND) {
      const low = ((words[wqe + Wqe.REMOTE_ADDRESS_LOW] as number) >>> 0) + remoteOffset;
      const high = words[wqe + Wqe.REMOTE_ADDRESS_HIGH] as number;
      words[slot + Slot.REMOTE_KEY] = words[wqe + Wqe.REMOTE_KEY] as number;
      words[slot + Slot.REMOTE_ADDRESS_LOW] = low | 0;
      words[slot + Slot.REMOTE_ADDRESS_HIGH] = low >= TWO_32 ? high + 1 : high;
    }
    this.publish(qp, slot);
  }

  /** Writes when the slot arrives, and notes when its request may complete. */
  private stamp(
    link: LinkTime,
    qp: EngineQueuePair,
    slot: number,
    opcode: number,
    length: number,
  ): number {
    const isRead = opcode === Opcode.RDMA_READ;
    const due = link.send(isRead ? 0 : length);
    qp.lastDue = isRead ? link.response(due, length) : link.acknowledged(due);
    this.view.store64(slot + Slot.DUE, due);
    return SlotFlag.TIMED;
  }

  /** The sequence word goes last; then the doorbell, if the reader asked for one. */
  publish(qp: EngineQueuePair, slot: number): void {
    const words = this.words;
    if (this.hasBarrier) this.view.storeRelease(slot + SEQUENCE, qp.outboundSequence);
    else this.view.exchange(slot + SEQUENCE, qp.outboundSequence);
    qp.outboundSequence = (qp.outboundSequence + 1) | 0;
    qp.published = (qp.published + 1) | 0;
    if (words[qp.peerState + ARMED] !== NOT_PARKED) qp.peer?.ringDoorbell(qp.peerSlot);
  }

  private requestPublished(qp: EngineQueuePair): void {
    const index = qp.sendTaken & qp.sendMask;
    qp.lastSlot[index] = qp.published;
    if (qp.dues !== null) qp.dues[index] = qp.lastDue;
    if (qp.patience.ackTimeout > 0 && qp.sendTaken === qp.sendCompleted) this.heard(qp);
    qp.sendTaken = (qp.sendTaken + 1) | 0;
  }

  private heard(qp: EngineQueuePair): void {
    qp.heardAt = this.core.clock.now();
    qp.heardCount = qp.acknowledged;
  }

  /** Whether the peer has said nothing for longer than its owner waits. */
  private isSilent(qp: EngineQueuePair): boolean {
    const isWaiting = this.view.loadAcquire(qp.peerState + STATE_NOT_READY) !== 0;
    this.refreshAcknowledged(qp);
    if (isWaiting || qp.acknowledged !== qp.heardCount) this.heard(qp);
    return qp.state === QueuePairState.RTS && this.core.clock.now() >= qp.silenceEnds;
  }

  /** Completes the oldest request. Its entry stays valid until now: the owner waits for this. */
  private completeHead(qp: EngineQueuePair, status: WcStatus): void {
    const words = this.words;
    const wqe = qp.sendQueue + (qp.sendCompleted & qp.sendMask) * ENTRY_WORDS;
    const opcode = (words[wqe + Wqe.CONTROL] as number) & 0xff;
    const length = words[wqe + Wqe.LENGTH] as number;
    const success = status === WcStatus.SUCCESS;
    qp.sendCompleted = (qp.sendCompleted + 1) | 0;
    if (opcode === Opcode.RDMA_READ && qp.readsOutstanding > 0) qp.readsOutstanding--;
    qp.completions.push(
      qp.slot,
      words[wqe + Wqe.ID] as number,
      opcode,
      status,
      success ? length : 0,
    );
  }

  /** The request at the head of the send queue is at fault: it alone gets the status. */
  private failHead(qp: EngineQueuePair, status: WcStatus): void {
    qp.sendTaken = (qp.sendTaken + 1) | 0;
    this.completeHead(qp, status);
    this.core.fail(qp);
  }

  /** The peer refused the slot after the last one it acknowledged. */
  private handleNak(qp: EngineQueuePair, status: number): void {
    if (!qp.completions.hasRoom(1)) return;
    const known = wcStatusName(status) !== `status ${status}`;
    this.failOldest(qp, known ? (status as WcStatus) : WcStatus.BAD_RESP_ERR);
  }

  /** The oldest request that was published has failed, if any is outstanding. */
  private failOldest(qp: EngineQueuePair, status: WcStatus): void {
    if (qp.sendCompleted === qp.sendTaken && qp.bounceLength > 0)
      qp.sendTaken = (qp.sendTaken + 1) | 0;
    if (qp.sendCompleted !== qp.sendTaken) this.completeHead(qp, status);
    this.core.fail(qp);
  }

  private peerStatus(qp: EngineQueuePair): number {
    return this.view.loadAcquire(qp.peerState + STATE_STATUS);
  }

  /** Takes the peer's count over, if it is one that can be true. */
  private refreshAcknowledged(qp: EngineQueuePair): void {
    const said = this.view.loadAcquire(qp.peerState + STATE_ACKNOWLEDGED);
    if (said === qp.acknowledged) return;
    const advance = (said - qp.acknowledged) | 0;
    if (advance < 0 || advance > ((qp.published - qp.acknowledged) | 0)) {
      this.core.counters.protocolErrors++;
      this.core.fail(qp);
      return;
    }
    qp.acknowledged = said;
  }
}
