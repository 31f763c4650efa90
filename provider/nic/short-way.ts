// The short ways of an inline engine: one small message out or in by one call, past the queues that
// otherwise stand between the application's half of a queue pair and the engine. Each does the whole of
// it or nothing, and the long way (requester.ts, responder.ts) says what is wrong. What can be checked
// before a message is there is checked then: see vouch(). No number here ever needs a heap box.

import { assert } from '../../runtime/assert.js';
import { CACHE_LINE_BYTES } from '../../native/layout/struct.js';
import type { SharedView } from '../../native/shared-view.js';
import { DirectAccess } from './direct-access.js';
import type { EngineCore } from './engine-core.js';
import type { EngineQueuePair } from './engine-queue-pair.js';
import { QueuePairState, Wait } from './engine-queue-pair.js';
import { Slot, SlotFlag, Wqe } from './layout.js';
import { ACK_INTERVAL, ENTRY_WORDS, INLINE_BYTES, WIRE_SLOTS } from './limits.js';
import type { Mover } from './mover.js';
import type { RegionTable } from './regions.js';
import type { Requester } from './requester.js';
import { LOCAL_READ } from './requester.js';
import type { Responder } from './responder.js';
import { Access, Arrival, Opcode, SendFlag, WcStatus } from './verbs.js';
import type { WorkCompletion, WorkRequest } from './verbs.js';

// V8 checks an import, and loads a field of it, at every use; a constant of the module costs nothing.
const { NONE, TAKEN, OTHER } = Arrival;
const { RTS } = QueuePairState;
const WAITS_FOR_NOTHING = Wait.NONE;
const WORDS = ENTRY_WORDS;
const SLOTS = WIRE_SLOTS;
const LENGTH_MAX = INLINE_BYTES;
const ACK_EVERY = ACK_INTERVAL;
const SLOT_CONTROL = Slot.CONTROL;
const SLOT_LENGTH = Slot.LENGTH;
const SLOT_PAYLOAD = Slot.PAYLOAD;
/** A word of a slot's second cache line. */
const SECOND_LINE = CACHE_LINE_BYTES / 4;
const ENTRY_ID = Wqe.ID;
const ENTRY_TARGET = Wqe.TARGET;
const ENTRY_KEYS_REMOVED = Wqe.KEYS_REMOVED;
const ENTRY_ROOM = Wqe.ROOM;
/** The control word of a SEND whose payload is in the slot. */
const INLINE_SEND = Opcode.SEND | (SlotFlag.INLINE << 8);
// Without a branch on the shortest way: the flag of a request is that of a slot, one bit up.
assert(SendFlag.SOLICITED << 9 === SlotFlag.SOLICITED << 8, 'the flags are one bit apart');

/** Looks at the slot where the next message will appear before a poll has found nothing. */
const LOOKS = 16;
/**
 * Looks for room in a full ring before a send goes through the queue: a microsecond or so, in which a
 * receiver that runs acknowledges once.
 */
const LOOKS_FOR_ROOM = 256;
/** Of Wqe.ROOM: a message takes the long way into this receive, however short. */
const NO_ROOM = -1;
/** Of Wqe.CONTROL, shifted: the count of elements. */
const ONE_ELEMENT = 1;

/** One for all queue pairs of an engine, so that it stays in the cache however many there are. */
export class ShortWay {
  private readonly view: SharedView;
  private readonly words: Int32Array;
  private readonly regions: RegionTable;
  private readonly mover: Mover;
  private readonly requester: Requester;
  private readonly responder: Responder;
  private readonly segmentBytes: number;
  /** Small RDMA. */
  readonly direct: DirectAccess;

  constructor(core: EngineCore, requester: Requester, responder: Responder) {
    this.view = core.view;
    this.words = core.view.words;
    this.regions = core.regions;
    this.mover = core.mover;
    this.requester = requester;
    this.responder = responder;
    this.segmentBytes = Math.min(core.own.bytes, 2 ** 31 - 1);
    this.direct = new DirectAccess(core, this);
  }

  /**
   * Takes a small SEND straight from the request, with nothing before it: the request comes with the
   * doorbell instead of through the send queue (as with the BlueFlame of real adapters), so an entry is
   * neither written nor read. Its completion is in the queue then.
   */
  sendDirect(qp: EngineQueuePair, request: WorkRequest): boolean {
    const address = request.addresses[0] as number;
    const length = request.lengths[0] as number;
    const head = qp.sendQueue + (qp.sendTaken & qp.sendMask) * ENTRY_WORDS;
    if (
      address >= this.segmentBytes ||
      length > INLINE_BYTES ||
      qp.sendTaken !== qp.sendCompleted ||
      this.words[head] === ((qp.sendTaken + 1) | 0) ||
      !qp.completions.hasRoom(1)
    ) {
      return false;
    }
    const flags = (request.flags & SendFlag.SOLICITED) << 9;
    if (!this.inject(qp, address | 0, length | 0, (request.keys[0] as number) | 0, flags))
      return false;
    qp.lastSlot[qp.sendTaken & qp.sendMask] = qp.published;
    qp.sendTaken = (qp.sendTaken + 1) | 0;
    qp.sendCompleted = qp.sendTaken;
    qp.completions.push(qp.slot, request.id | 0, Opcode.SEND, WcStatus.SUCCESS, length);
    return true;
  }

  /** QueuePair.inject: publishes such a SEND if all is in order. No request is outstanding. */
  inject(
    qp: EngineQueuePair,
    offset: number,
    length: number,
    key: number,
    slotFlags: number,
  ): boolean {
    if (
      qp.state !== RTS ||
      length > qp.directBytes ||
      (offset & 7) !== 0 ||
      (key !== qp.sendKey && !this.learnSendKey(qp, key)) ||
      offset < qp.sendFrom ||
      offset + length > qp.sendTo ||
      (((qp.published - qp.acknowledged) | 0) >= SLOTS && !this.findsSlot(qp))
    ) {
      return false;
    }
    const words = this.words;
    const slot = qp.outboundRing + (qp.published & (SLOTS - 1)) * WORDS;
    this.mover.collectSmall(slot + SLOT_PAYLOAD, offset, length);
    words[slot + SLOT_CONTROL] = INLINE_SEND | slotFlags;
    words[slot + SLOT_LENGTH] = length;
    this.requester.publish(qp, slot);
    if (qp.executed !== qp.claimedAfter) this.claimNext(qp);
    return true;
  }

  /**
   * Whether the ring, which was full, has room within a moment. A sender that is faster than its receiver
   * comes here every few messages: the send queue would cost both sides more than the wait.
   */
  private findsSlot(qp: EngineQueuePair): boolean {
    // A look may end the connection: a peer that says what cannot be true is believed no longer.
    for (let left = LOOKS_FOR_ROOM; left > 0 && qp.state === RTS; left--)
      if (this.requester.hasSlot(qp)) return true;
    return false;
  }

  /**
   * Stores into both cache lines of the slot after the one that was published, so that they are on this
   * core when the next message is: meanwhile the other side reads the last one. Only where the slot is
   * known to be free, and only if something has come since the last time: in a stream of messages it would
   * wait for the same lines a message earlier, and gain nothing.
   */
  private claimNext(qp: EngineQueuePair): void {
    qp.claimedAfter = qp.executed;
    if (((qp.published - qp.acknowledged) | 0) >= SLOTS) return;
    const words = this.words;
    const slot = qp.outboundRing + (qp.published & (SLOTS - 1)) * WORDS;
    words[slot + SECOND_LINE] = 0;
    words[slot + SLOT_LENGTH] = 0;
  }

  /**
   * QueuePair.takeArrival. Looks several times before it says that there is nothing: a look costs a
   * nanosecond or two, and whoever polls comes again at once.
   */
  takeArrival(qp: EngineQueuePair, completion: WorkCompletion): Arrival {
    const view = this.view;
    const words = this.words;
    const slot = qp.ring + (qp.executed & (SLOTS - 1)) * WORDS;
    const sequence = qp.inboundSequence;
    for (let left = LOOKS; view.loadAcquire(slot) !== sequence; ) if (--left === 0) return NONE;
    const entry = qp.receiveQueue + (qp.receiveTaken & qp.receiveMask) * WORDS;
    const length = words[slot + SLOT_LENGTH] as number;
    if (
      words[slot + SLOT_CONTROL] !== INLINE_SEND ||
      words[entry] !== ((qp.receiveTaken + 1) | 0) ||
      (words[entry + ENTRY_KEYS_REMOVED] !== qp.keysRemoved && !this.vouchAgain(qp, entry)) ||
      length < 0 ||
      length > (words[entry + ENTRY_ROOM] as number) ||
      qp.state !== RTS ||
      qp.wait !== WAITS_FOR_NOTHING ||
      qp.receivedBytes !== 0
    ) {
      return OTHER;
    }
    this.mover.deliverSmall(slot + SLOT_PAYLOAD, words[entry + ENTRY_TARGET] as number, length);
    completion.id = (words[entry + ENTRY_ID] as number) >>> 0;
    completion.byteLength = length;
    qp.receiveTaken = (qp.receiveTaken + 1) | 0;
    qp.executed = (qp.executed + 1) | 0;
    qp.inboundSequence = (sequence + 1) | 0;
    qp.activity++;
    if (((qp.executed - qp.executedPublished) | 0) >= ACK_EVERY) this.responder.acknowledge(qp);
    return TAKEN;
  }

  /**
   * Notes in the receive queue entry at word `entry`, of one element, whether a small message may go
   * straight into it: its place is in the segment and its key opens it. Good until a key of the queue
   * pair is removed.
   */
  vouch(qp: EngineQueuePair, entry: number, offset: number, length: number, key: number): void {
    const isGood =
      (offset & 7) === 0 &&
      (key === qp.receiveKey || this.learnReceiveKey(qp, key)) &&
      offset >= qp.receiveFrom &&
      offset + length <= qp.receiveTo;
    const words = this.words;
    words[entry + ENTRY_TARGET] = offset;
    words[entry + ENTRY_KEYS_REMOVED] = qp.keysRemoved;
    words[entry + ENTRY_ROOM] = !isGood ? NO_ROOM : length < LENGTH_MAX ? length : LENGTH_MAX;
  }

  /** The same for a receive that is not of that kind. */
  refuse(qp: EngineQueuePair, entry: number): void {
    this.words[entry + ENTRY_ROOM] = NO_ROOM;
    this.words[entry + ENTRY_KEYS_REMOVED] = qp.keysRemoved;
  }

  private vouchAgain(qp: EngineQueuePair, entry: number): boolean {
    const words = this.words;
    const count = (words[entry + Wqe.CONTROL] as number) >>> 16;
    if (count !== ONE_ELEMENT || words[entry + Wqe.SGE + 1] !== 0) return false;
    const offset = words[entry + Wqe.SGE] as number;
    const length = words[entry + Wqe.SGE + 2] as number;
    this.vouch(qp, entry, offset, length, words[entry + Wqe.SGE + 3] as number);
    return true;
  }

  /** Whether `key` opens memory of the segment to be sent from; the queue pair then has it at hand. */
  learnSendKey(qp: EngineQueuePair, key: number): boolean {
    const at = this.regions.place(key, LOCAL_READ, qp.slot, this.segmentBytes);
    if (at < 0) return false;
    qp.sendKey = key;
    qp.sendFrom = this.regions.startOf(at) | 0;
    qp.sendTo = this.regions.endOf(at) | 0;
    return true;
  }

  /** The same for memory to be received into. */
  learnReceiveKey(qp: EngineQueuePair, key: number): boolean {
    const at = this.regions.place(key, Access.LOCAL_WRITE, qp.slot, this.segmentBytes);
    if (at < 0) return false;
    qp.receiveKey = key;
    qp.receiveFrom = this.regions.startOf(at) | 0;
    qp.receiveTo = this.regions.endOf(at) | 0;
    return true;
  }
}
