// The application's end of a queue pair: fills send and receive queue entries, counts what is
// outstanding, and rings for the engine. Posting copies the request and allocates nothing.

import { assert } from '../../runtime/assert.js';
import type { SharedView } from '../../native/shared-view.js';
import type { QueuePair } from './device.js';
import { TWO_32 } from './engine-core.js';
import type { EnginePort } from './engine-port.js';
import type { EngineQueuePair } from './engine-queue-pair.js';
import { QueuePairState, Wait } from './engine-queue-pair.js';
import { Wqe } from './layout.js';
import { ENTRY_WORDS, MAX_MESSAGE_BYTES, SGE_WORDS } from './limits.js';
import type { ShortWay } from './short-way.js';
import type { WorkCompletion, WorkRequest } from './verbs.js';
import { Arrival, MAX_SGE, Opcode, PostResult } from './verbs.js';

/** Numbers, in the order in which they follow each other: posting asks for them every time. */
export const LinkState = {
  IDLE: 0,
  CONNECTING: 1,
  CONNECTED: 2,
  DISCONNECTED: 3,
  DESTROYED: 4,
} as const;
export type LinkState = (typeof LinkState)[keyof typeof LinkState];

/** Of Wqe.CONTROL: a receive into one place. */
const ONE_RECEIVE = Opcode.RECV | (1 << 16);
// V8 checks an import, and loads a field of it, at every use; a constant of the module costs nothing.
const { TAKEN, OTHER } = Arrival;
const { RTS } = QueuePairState;
const { OK } = PostResult;
const { DESTROYED } = LinkState;
const { SEQUENCE, CONTROL, ID, LENGTH, SGE } = Wqe;
const WAITS_FOR_NOTHING = Wait.NONE;
const WORDS = ENTRY_WORDS;
const LENGTH_MAX = MAX_MESSAGE_BYTES;
/** The largest offset in a segment. */
const OFFSET_MAX = 0x7fffffff;

/** What a queue pair asks of its device. */
export interface QueuePairHost {
  connect(
    queuePair: SharedQueuePair,
    address: number,
    port: number,
    localPort: number,
    privateData: Uint8Array,
  ): void;
  accept(queuePair: SharedQueuePair, requestId: number, privateData: Uint8Array): void;
  destroy(queuePair: SharedQueuePair, isMoving: boolean): void;
}

export class SharedQueuePair implements QueuePair {
  /** Past the queues: null with an engine in another thread. */
  private readonly way: ShortWay | null;
  private readonly half: EngineQueuePair | null;
  readonly slot: number;
  readonly number: number;
  /** Word index of its state in the public segment, which the engine arms. */
  readonly stateWord: number;
  state: LinkState = LinkState.IDLE;
  sendsOutstanding = 0;
  receivesOutstanding = 0;
  private readonly view: SharedView;
  private readonly host: QueuePairHost;
  /** The data path goes to the engine without a detour. */
  private readonly port: EnginePort;
  private readonly sendQueue: number;
  private readonly sendDepth: number;
  private readonly receiveQueue: number;
  private readonly receiveDepth: number;
  private sendsPosted = 0;
  private receivesPosted = 0;

  constructor(options: {
    slot: number;
    number: number;
    stateWord: number;
    view: SharedView;
    host: QueuePairHost;
    port: EnginePort;
    sendQueue: number;
    sendDepth: number;
    receiveQueue: number;
    receiveDepth: number;
    /** The engine's half of it, where that is in this thread. */
    half: EngineQueuePair | null;
  }) {
    // In this order V8 lays the fields: the counts above, and what else a small message needs, come first.
    this.way = options.port.shortWay;
    this.half = options.half;
    this.view = options.view;
    this.receiveQueue = options.receiveQueue;
    this.receiveDepth = options.receiveDepth;
    this.slot = options.slot;
    this.number = options.number;
    this.stateWord = options.stateWord;
    this.host = options.host;
    this.port = options.port;
    this.sendQueue = options.sendQueue;
    this.sendDepth = options.sendDepth;
  }

  postSend(request: WorkRequest): PostResult {
    if (this.state !== LinkState.CONNECTED && this.state !== LinkState.DISCONNECTED)
      return PostResult.BAD_STATE;
    if (this.sendsOutstanding >= this.sendDepth) return PostResult.QUEUE_FULL;
    if (request.sgeCount === 1 && this.sentDirectly(request)) {
      this.sendsPosted = (this.sendsPosted + 1) | 0;
      this.sendsOutstanding++;
      return PostResult.OK;
    }
    const entry = this.sendQueue + (this.sendsPosted & (this.sendDepth - 1)) * ENTRY_WORDS;
    if (!this.fill(entry, request, request.opcode)) return PostResult.TOO_LONG;
    const words = this.view.words;
    if (request.opcode !== Opcode.SEND) {
      words[entry + Wqe.REMOTE_ADDRESS_LOW] = request.remoteAddress | 0;
      words[entry + Wqe.REMOTE_ADDRESS_HIGH] = (request.remoteAddress / TWO_32) | 0;
      words[entry + Wqe.REMOTE_KEY] = request.remoteKey | 0;
    }
    this.sendsPosted = (this.sendsPosted + 1) | 0;
    this.sendsOutstanding++;
    this.view.storeRelease(entry + Wqe.SEQUENCE, this.sendsPosted);
    this.port.sendPosted(this.slot, this.stateWord);
    return PostResult.OK;
  }

  private sentDirectly(request: WorkRequest): boolean {
    const way = this.way;
    const half = this.half;
    if (way === null || half === null) return false;
    return request.opcode === Opcode.SEND
      ? way.sendDirect(half, request)
      : way.direct.post(half, request);
  }

  inject(address: number, length: number, localKey: number): boolean {
    const way = this.way;
    const half = this.half;
    if (way === null || half === null || this.sendsOutstanding !== 0) return false;
    return way.inject(half, address, length, localKey, 0);
  }

  injectWrite(
    address: number,
    length: number,
    localKey: number,
    remoteAddress: number,
    remoteKey: number,
  ): boolean {
    const way = this.way;
    const half = this.half;
    if (way === null || half === null || this.sendsOutstanding !== 0) return false;
    return way.direct.write(half, address, length, localKey, remoteAddress, remoteKey);
  }

  injectRead(
    address: number,
    length: number,
    localKey: number,
    remoteAddress: number,
    remoteKey: number,
  ): boolean {
    const way = this.way;
    const half = this.half;
    if (way === null || half === null || this.sendsOutstanding !== 0) return false;
    return way.direct.read(half, address, length, localKey, remoteAddress, remoteKey);
  }

  takeArrival(completion: WorkCompletion): Arrival {
    const way = this.way;
    const half = this.half;
    if (way === null || half === null) return OTHER;
    // What was received before comes first, and may be in the completion queue.
    const polledCount = (this.receivesPosted - this.receivesOutstanding) | 0;
    if (half.receiveTaken !== polledCount) return OTHER;
    const arrival = way.takeArrival(half, completion);
    if (arrival === TAKEN) this.receivesOutstanding--;
    return arrival;
  }

  postReceive(request: WorkRequest): PostResult {
    const address = request.addresses[0] as number;
    if (request.sgeCount === 1 && address <= OFFSET_MAX) {
      const length = request.lengths[0] as number;
      return this.postReceiveAt(request.id, address | 0, length, (request.keys[0] as number) | 0);
    }
    if (this.state === LinkState.DESTROYED) return PostResult.BAD_STATE;
    if (this.receivesOutstanding >= this.receiveDepth) return PostResult.QUEUE_FULL;
    const entry = this.nextReceive();
    if (!this.fill(entry, request, Opcode.RECV)) return PostResult.TOO_LONG;
    if (this.half !== null) this.way?.refuse(this.half, entry);
    this.receivePosted(entry);
    return PostResult.OK;
  }

  postReceiveAt(id: number, address: number, length: number, localKey: number): PostResult {
    if (this.state === DESTROYED) return PostResult.BAD_STATE;
    if (this.receivesOutstanding >= this.receiveDepth) return PostResult.QUEUE_FULL;
    if (length > LENGTH_MAX) return PostResult.TOO_LONG;
    const words = this.view.words;
    const entry = this.nextReceive();
    words[entry + CONTROL] = ONE_RECEIVE;
    words[entry + ID] = id;
    words[entry + LENGTH] = length;
    words[entry + SGE] = address;
    words[entry + SGE + 1] = 0;
    words[entry + SGE + 2] = length;
    words[entry + SGE + 3] = localKey;
    if (this.half !== null) this.way?.vouch(this.half, entry, address, length, localKey);
    this.receivePosted(entry);
    return OK;
  }

  private nextReceive(): number {
    return this.receiveQueue + (this.receivesPosted & (this.receiveDepth - 1)) * WORDS;
  }

  private receivePosted(entry: number): void {
    const half = this.half;
    this.receivesPosted = (this.receivesPosted + 1) | 0;
    this.receivesOutstanding++;
    this.view.storeRelease(entry + SEQUENCE, this.receivesPosted);
    // An engine in this thread wants to know only when something waits for it.
    const isUnnoticed = half?.state === RTS && half.wait === WAITS_FOR_NOTHING;
    if (!isUnnoticed) this.port.receivePosted(this.slot, this.stateWord);
  }

  progress(): number {
    return this.port.progressOf(this.slot);
  }

  connect(address: number, port: number, localPort: number, privateData: Uint8Array): void {
    assert(this.state === LinkState.IDLE, 'a queue pair connects once');
    this.state = LinkState.CONNECTING;
    this.host.connect(this, address, port, localPort, privateData);
  }

  accept(requestId: number, privateData: Uint8Array): void {
    assert(this.state === LinkState.IDLE, 'a queue pair accepts once');
    this.state = LinkState.CONNECTING;
    this.host.accept(this, requestId, privateData);
  }

  destroy(intent: 'ending' | 'moving' = 'ending'): void {
    if (this.state === LinkState.DESTROYED) return;
    this.state = LinkState.DESTROYED;
    this.host.destroy(this, intent === 'moving');
  }

  /** Everything of an entry but its sequence word and remote address. */
  private fill(entry: number, request: WorkRequest, opcode: number): boolean {
    const count = request.sgeCount;
    if (count > MAX_SGE) return false;
    const words = this.view.words;
    let total = 0;
    for (let sge = 0; sge < count; sge++) {
      const element = entry + Wqe.SGE + sge * SGE_WORDS;
      const address = request.addresses[sge] as number;
      const length = request.lengths[sge] as number;
      words[element] = address | 0;
      words[element + 1] = (address / TWO_32) | 0;
      words[element + 2] = length;
      words[element + 3] = request.keys[sge] as number;
      total += length;
    }
    if (total > MAX_MESSAGE_BYTES) return false;
    words[entry + Wqe.CONTROL] = opcode | (request.flags << 8) | (count << 16);
    words[entry + Wqe.ID] = request.id;
    words[entry + Wqe.LENGTH] = total;
    return true;
  }
}
