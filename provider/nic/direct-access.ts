// The initiator's side of one-sided RDMA: small WRITEs and READs of an inline engine are carried out here,
// in the call, in memory that the peer has listed for this queue pair (exposed-regions.ts). The peer takes
// no part. Either the whole of it is done or nothing: then the request goes by a slot, and the peer's
// engine says what is wrong. Sources: RDMA-01, RDMA-09, RDMA-10, docs/shared-memory.md, "One-sided access".

import type { SharedView } from '../../native/shared-view.js';
import type { EngineCore } from './engine-core.js';
import type { EngineQueuePair } from './engine-queue-pair.js';
import { QueuePairState } from './engine-queue-pair.js';
import {
  Exposed,
  EXPOSED_WORDS,
  STATE_ACCESSING,
  STATE_ACKNOWLEDGED,
  STATE_ADOPTED,
  STATE_EXPOSED,
  STATE_WANTS_FENCE,
} from './layout.js';
import {
  DIRECT_BYTES_MAX,
  DIRECT_PER_LOOK,
  ENTRY_WORDS,
  EXPOSED_REGIONS,
  OFFSET_MAX,
  WORD_LOOP_BYTES_MAX,
} from './limits.js';
import type { ShortWay } from './short-way.js';
import { Access, Opcode, WcStatus } from './verbs.js';
import type { WorkRequest } from './verbs.js';

// V8 checks an import, and loads a field of it, at every use; a constant of the module costs nothing.
const { RTS } = QueuePairState;
const { REMOTE_READ, REMOTE_WRITE } = Access;
const ACCESSING = STATE_ACCESSING;
const ACKNOWLEDGED = STATE_ACKNOWLEDGED;
const WORDS = ENTRY_WORDS;
const LENGTH_MAX = DIRECT_BYTES_MAX;
const LOOP_MAX = WORD_LOOP_BYTES_MAX;

export class DirectAccess {
  private readonly core: EngineCore;
  private readonly view: SharedView;
  private readonly words: Int32Array;
  private readonly doubles: Float64Array;
  private readonly shortWay: ShortWay;
  private readonly hasBarrier: boolean;
  private readonly own: number;

  constructor(core: EngineCore, shortWay: ShortWay) {
    this.core = core;
    this.view = core.view;
    this.words = core.view.words;
    this.doubles = core.view.doubles;
    this.shortWay = shortWay;
    this.hasBarrier = core.hasBarrier;
    this.own = core.own.offset;
  }

  /** A posted request of one element; its completion is in the queue then. */
  post(qp: EngineQueuePair, request: WorkRequest): boolean {
    const address = request.addresses[0] as number;
    const length = request.lengths[0] as number;
    const { opcode, remoteAddress } = request;
    const isWrite = opcode === Opcode.RDMA_WRITE;
    if (!isWrite && opcode !== Opcode.RDMA_READ) return false;
    if (address > OFFSET_MAX || remoteAddress > OFFSET_MAX || !qp.completions.hasRoom(1))
      return false;
    const key = (request.keys[0] as number) | 0;
    const remoteKey = request.remoteKey | 0;
    const isDone = isWrite
      ? this.write(qp, address | 0, length | 0, key, remoteAddress | 0, remoteKey)
      : this.read(qp, address | 0, length | 0, key, remoteAddress | 0, remoteKey);
    if (!isDone) return false;
    qp.lastSlot[qp.sendTaken & qp.sendMask] = qp.published;
    qp.sendTaken = (qp.sendTaken + 1) | 0;
    qp.sendCompleted = qp.sendTaken;
    qp.completions.push(qp.slot, request.id | 0, opcode, WcStatus.SUCCESS, length);
    return true;
  }

  /** Our bytes at `offset` → the peer's at `remoteOffset`. Keys and offsets are signed 32-bit numbers. */
  write(
    qp: EngineQueuePair,
    offset: number,
    length: number,
    key: number,
    remoteOffset: number,
    remoteKey: number,
  ): boolean {
    if (!this.isInOrder(qp, length)) return false;
    if (key !== qp.sendKey && !this.shortWay.learnSendKey(qp, key)) return false;
    if (offset < qp.sendFrom || offset + length > qp.sendTo) return false;
    if (!this.begin(qp, remoteOffset, length, remoteKey, REMOTE_WRITE)) return false;
    this.copy(qp.peerSegment + remoteOffset, this.own + offset, length);
    this.view.storeRelease(qp.ownState + ACCESSING, 0);
    return true;
  }

  /** The peer's bytes at `remoteOffset` → ours at `offset`. */
  read(
    qp: EngineQueuePair,
    offset: number,
    length: number,
    key: number,
    remoteOffset: number,
    remoteKey: number,
  ): boolean {
    if (!this.isInOrder(qp, length)) return false;
    if (key !== qp.receiveKey && !this.shortWay.learnReceiveKey(qp, key)) return false;
    if (offset < qp.receiveFrom || offset + length > qp.receiveTo) return false;
    if (!this.begin(qp, remoteOffset, length, remoteKey, REMOTE_READ)) return false;
    this.copy(this.own + offset, qp.peerSegment + remoteOffset, length);
    this.view.storeRelease(qp.ownState + ACCESSING, 0);
    return true;
  }

  /**
   * Whether everything before is not only complete but executed by the peer: a WRITE is never seen before
   * the SEND in front of it. Not where time or retries count: those need the peer's engine.
   */
  private isInOrder(qp: EngineQueuePair, length: number): boolean {
    const words = this.words;
    const next = (qp.sendTaken + 1) | 0;
    return (
      length > 0 &&
      length <= LENGTH_MAX &&
      qp.state === RTS &&
      qp.directBytes >= 0 &&
      qp.sendTaken === qp.sendCompleted &&
      words[qp.sendQueue + (qp.sendTaken & qp.sendMask) * WORDS] !== next &&
      words[qp.peerState + ACKNOWLEDGED] === qp.published
    );
  }

  /**
   * Says that the region is being used, then looks whether it is still listed: the owner takes it off the
   * list, then looks whether it is being used. The fence between the two is the owner's barrier, which an
   * owner that takes memory back often does not want to pay for.
   */
  private begin(
    qp: EngineQueuePair,
    offset: number,
    length: number,
    key: number,
    right: number,
  ): boolean {
    const { remote } = qp;
    if (key !== remote.key && !this.adopt(qp, key)) return false;
    if (!remote.opens(offset, length, right)) return false;
    if (--qp.looksIn === 0 && !this.isPeerAlive(qp)) return false;
    const word = qp.ownState + ACCESSING;
    if (this.hasBarrier && !qp.isFenced) this.view.storeRelease(word, key);
    else this.view.exchange(word, key);
    if (this.view.loadAcquire(remote.entry) === key) return true;
    this.view.storeRelease(word, 0);
    remote.forget();
    return false;
  }

  /** Finds a key in the peer's list and remembers what it opens. Believes nothing outside its segment. */
  private adopt(qp: EngineQueuePair, key: number): boolean {
    const { peer, remote } = qp;
    const view = this.view;
    if (peer === null || key === 0) return false;
    let entry = qp.peerState + STATE_EXPOSED;
    const listEnd = entry + EXPOSED_REGIONS * EXPOSED_WORDS;
    while (entry < listEnd && view.loadAcquire(entry) !== key) entry += EXPOSED_WORDS;
    if (entry === listEnd) return false;
    qp.isFenced ||= view.loadAcquire(qp.peerState + STATE_WANTS_FENCE) !== 0;
    // No access is under way, and no other region is known from here on. A full fence: the owner takes the key
    // off its list and then looks whether it is adopted, this looks at the list once more.
    remote.forget();
    view.exchange(qp.ownState + STATE_ADOPTED, qp.isFenced ? 0 : key);
    const offset = view.loadAcquire(entry + Exposed.OFFSET) >>> 0;
    const length = view.loadAcquire(entry + Exposed.LENGTH) >>> 0;
    const access = view.loadAcquire(entry + Exposed.ACCESS);
    const end = Math.min(peer.bytes, OFFSET_MAX);
    if (view.loadAcquire(entry) !== key || offset + length > end) return false;
    remote.set(key, offset, length, access, entry);
    return true;
  }

  /** Whoever only writes never looks at anything that would tell it of the peer's death. */
  private isPeerAlive(qp: EngineQueuePair): boolean {
    qp.looksIn = DIRECT_PER_LOOK;
    return qp.peer?.isAlive() === true;
  }

  /**
   * Copies between arena bytes that do not overlap, the last word, or byte, after everything else: whoever
   * looks at it until it changes finds the rest.
   */
  private copy(target: number, source: number, length: number): void {
    if (((target | source) & 7) !== 0 || (length & 3) !== 0 || length > LOOP_MAX) {
      this.copyBytes(target, source, length);
      return;
    }
    const words = this.words;
    const doubles = this.doubles;
    const to = target >>> 3;
    const from = source >>> 3;
    const last = (length >>> 2) - 1;
    const count = last >>> 1;
    let at = 0;
    for (; at + 4 <= count; at += 4) {
      doubles[(to + at) | 0] = doubles[(from + at) | 0] as number;
      doubles[(to + at + 1) | 0] = doubles[(from + at + 1) | 0] as number;
      doubles[(to + at + 2) | 0] = doubles[(from + at + 2) | 0] as number;
      doubles[(to + at + 3) | 0] = doubles[(from + at + 3) | 0] as number;
    }
    for (; at < count; at++) doubles[to + at] = doubles[from + at] as number;
    const toLast = (to << 1) + last;
    const fromLast = (from << 1) + last;
    if ((last & 1) !== 0) words[toLast - 1] = words[fromLast - 1] as number;
    this.view.storeRelease(toLast, words[fromLast] as number);
  }

  private copyBytes(target: number, source: number, length: number): void {
    const rest = ((target | source | length) & 3) === 0 ? 4 : 1;
    this.view.copy(target, source, length - rest);
    const { bytes } = this.core.view;
    const toLast = target + length - rest;
    const fromLast = source + length - rest;
    if (rest === 1) bytes[toLast] = bytes[fromLast] as number;
    else this.view.storeRelease(toLast / 4, this.words[fromLast / 4] as number);
  }
}
