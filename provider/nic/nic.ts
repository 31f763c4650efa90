// The NIC of a host: the application side of every queue, the registrations, the events. Below it is
// an engine, reached through a port (engine-port.ts).

import { assert } from '../../runtime/assert.js';
import type { Arena } from '../../native/arena.js';
import { QUEUE_PAIR_SLOTS } from '../../native/layout/segment.layout.js';
import type { Segment } from '../../native/segment.js';
import type { SharedView } from '../../native/shared-view.js';
import type { EngineEvent } from './commands.js';
import type { CompletionQueueHost } from './completion-queue.js';
import { SharedCompletionQueue } from './completion-queue.js';
import type { CostModel } from './cost-model.js';
import type {
  CompletionQueue,
  MemoryRegion,
  NicAttributes,
  NicDevice,
  NicEvent,
  QueuePair,
  QueuePairOptions,
  RegistrationFailure,
} from './device.js';
import type { EnginePort } from './engine-port.js';
import type { BufferPin, HostMemory } from './host-memory.js';
import type { Patience } from './engine-queue-pair.js';
import { completionQueueControl, queuePairBlock } from './layout.js';
import {
  CQE_WORDS,
  DEFAULT_CQ_DEPTH,
  DEFAULT_QUEUE_DEPTH,
  DEFAULT_RNR_TIMER,
  DIRECT_BYTES_MAX,
  INLINE_BYTES,
  MAX_MEMORY_REGIONS,
  MAX_MESSAGE_BYTES,
  MAX_PRIVATE_DATA,
} from './limits.js';
import type { QueuePairHost } from './queue-pair.js';
import { LinkState, SharedQueuePair } from './queue-pair.js';
import { isKey } from './regions.js';
import { serviceKey } from './service.js';
import { SecretNumbers } from './secret-numbers.js';
import type { WorkCompletion } from './verbs.js';
import { MAX_SGE, Opcode, RETRY_FOREVER } from './verbs.js';

export interface NicOptions {
  readonly arena: Arena;
  readonly publicSegment: Segment;
  /** Queues that no peer sees. */
  readonly privateSegment: Segment;
  readonly memory: HostMemory;
  readonly port: EnginePort;
  readonly costs: CostModel | null;
}

interface Registration extends MemoryRegion {
  /** 0 while it is concealed. */
  remoteKey: number;
  /** Keeps shared memory alive, and shows whether the memory was detached. */
  readonly buffer: Uint8Array;
  /** Null for memory of the segment. */
  readonly pin: BufferPin | null;
  readonly owner: QueuePairRecord;
}

interface QueuePairRecord {
  readonly queuePair: SharedQueuePair;
  readonly block: number;
  readonly queues: number;
  readonly registrations: Set<Registration>;
}

export class Nic implements NicDevice, QueuePairHost, CompletionQueueHost {
  readonly role = 'nic';
  readonly attributes: NicAttributes;
  readonly port: EnginePort;
  /** Calls of progress(): whether anybody drives this NIC. */
  turns = 0;
  readonly #options: NicOptions;
  readonly #view: SharedView;
  readonly #records = new Map<number, QueuePairRecord>();
  /** The same queue pairs by slot, for the completion path. */
  readonly #queuePairs: (SharedQueuePair | undefined)[] = [];
  readonly #freeSlots: number[] = [];
  readonly #keys = new Set<number>();
  readonly #numbers = new Set<number>();
  readonly #services = new Set<number>();
  #events: NicEvent[] = [];
  /** Slots whose peer has let go before their owner has seen the end. */
  #unreleased: number[] = [];
  #completionQueues = 0;
  #nextSlot = 0;
  readonly #secrets = new SecretNumbers();

  constructor(options: NicOptions) {
    this.#options = options;
    this.port = options.port;
    this.#view = options.arena.view;
    this.attributes = {
      address: options.publicSegment.address,
      maxSge: MAX_SGE,
      maxMessageBytes: MAX_MESSAGE_BYTES,
      inlineBytes: INLINE_BYTES,
      directBytes: DIRECT_BYTES_MAX,
      rdmaRead: true,
      maxPrivateDataBytes: MAX_PRIVATE_DATA,
      maxQueuePairs: QUEUE_PAIR_SLOTS,
    };
  }

  /** Queue pairs that were created and not yet released, and live registrations. */
  get queuePairCount(): number {
    return this.#records.size;
  }

  get registrationCount(): number {
    let count = 0;
    for (const record of this.#records.values()) count += record.registrations.size;
    return count;
  }

  /** Bytes of shared memory in use: queues, rings, and what VirtualAlloc has handed out. */
  get sharedBytes(): number {
    const { publicSegment, privateSegment } = this.#options;
    return publicSegment.allocatedBytes + privateSegment.allocatedBytes;
  }

  addressOf(buffer: Uint8Array): number {
    return this.#options.memory.nicAddressOf(buffer);
  }

  createCompletionQueue(depth = DEFAULT_CQ_DEPTH): CompletionQueue {
    assert(
      isPowerOfTwo(depth),
      `a completion queue of ${depth} entries: the depth is a power of two`,
    );
    const segment = this.#options.privateSegment;
    const ring = segment.allocate(depth * CQE_WORDS * 4);
    const control = segment.allocate(completionQueueControl.bytes);
    assert(ring !== null && control !== null, 'the private segment holds the completion queues');
    const index = this.#completionQueues++;
    this.port.command({ type: 'create-completion-queue', index, ring, control, depth });
    return new SharedCompletionQueue({
      index,
      view: this.#view,
      ring: segment.word(ring),
      control: segment.word(control),
      depth,
      host: this,
    });
  }

  createQueuePair(options: QueuePairOptions): QueuePair | null {
    const sendDepth = options.sendDepth ?? DEFAULT_QUEUE_DEPTH;
    const receiveDepth = options.receiveDepth ?? DEFAULT_QUEUE_DEPTH;
    assert(isPowerOfTwo(sendDepth) && isPowerOfTwo(receiveDepth), 'queue depths are powers of two');
    assert(
      options.completionQueue instanceof SharedCompletionQueue,
      'the completion queue is of this NIC',
    );
    const slot = this.#freeSlots.pop() ?? this.#nextSlot;
    if (slot >= QUEUE_PAIR_SLOTS) return null;
    const { publicSegment, privateSegment } = this.#options;
    const layout = queuePairBlock(sendDepth, receiveDepth);
    const queues = privateSegment.allocate(layout.queueBytes);
    const block = queues === null ? null : publicSegment.allocate(layout.wireBytes);
    if (queues === null || block === null) {
      if (queues !== null) privateSegment.free(queues);
      if (slot !== this.#nextSlot) this.#freeSlots.push(slot);
      return null;
    }
    if (slot === this.#nextSlot) this.#nextSlot++;
    const number = this.#newNumber();
    this.port.command({
      type: 'create-queue-pair',
      slot,
      number,
      completionQueue: options.completionQueue.index,
      sendQueue: queues + layout.sendQueue,
      receiveQueue: queues + layout.receiveQueue,
      ring: block + layout.ring,
      state: block + layout.state,
      sendDepth,
      receiveDepth,
      // Never 0, which is what fresh memory holds, for the first lap of the ring.
      sequence: (this.#secrets.next() & 0x3fffffff) + 1,
      patience: patienceOf(options, this.#options.costs),
    });
    const queuePair = new SharedQueuePair({
      slot,
      number,
      stateWord: publicSegment.word(block + layout.state),
      view: this.#view,
      host: this,
      port: this.port,
      sendQueue: privateSegment.word(queues + layout.sendQueue),
      sendDepth,
      receiveQueue: privateSegment.word(queues + layout.receiveQueue),
      receiveDepth,
      half: this.port.halfOf(slot),
    });
    this.#queuePairs[slot] = queuePair;
    this.#records.set(slot, { queuePair, block, queues, registrations: new Set() });
    return queuePair;
  }

  registerMemory(
    queuePair: QueuePair,
    buffer: Uint8Array,
    length: number,
    access: number,
  ): MemoryRegion | RegistrationFailure {
    const record = this.#records.get(queuePair.slot);
    if (record?.queuePair !== queuePair || record.queuePair.state === LinkState.DESTROYED) {
      return 'invalid-queue-pair';
    }
    if (!(length > 0) || length > buffer.byteLength) return 'invalid-buffer';
    // Two keys each.
    if (this.#keys.size >= 2 * MAX_MEMORY_REGIONS) return 'no-resources';
    const memory = this.#options.memory;
    const address = memory.nicAddressOf(buffer);
    if (address === 0) return 'invalid-buffer';
    const pin = memory.isOwn(buffer) ? null : memory.pinBuffer(buffer, length);
    if (typeof pin === 'string') return pin;
    const registration: Registration = {
      address,
      length,
      access,
      localKey: this.#newKey(),
      remoteKey: this.#newKey(),
      buffer,
      pin,
      owner: record,
    };
    record.registrations.add(registration);
    const { localKey, remoteKey } = registration;
    this.port.command({
      type: 'register-memory',
      slot: queuePair.slot,
      localKey,
      remoteKey,
      address,
      length,
      access,
    });
    return registration;
  }

  deregisterMemory(region: MemoryRegion): void {
    const registration = region as Registration;
    const { owner, localKey, remoteKey } = registration;
    // Destroying a queue pair ends its registrations, and unpins them once nothing moves.
    if (owner.queuePair.state === LinkState.DESTROYED) return;
    if (!owner.registrations.delete(registration)) return;
    this.port.command({
      type: 'deregister-memory',
      slot: owner.queuePair.slot,
      localKey,
      remoteKey,
    });
    this.#release(registration);
  }

  concealMemory(region: MemoryRegion): void {
    const registration = region as Registration;
    const { owner, remoteKey } = registration;
    if (remoteKey === 0 || !this.#isRegistered(registration)) return;
    registration.remoteKey = 0;
    this.port.command({ type: 'conceal-memory', slot: owner.queuePair.slot, remoteKey });
    this.#keys.delete(remoteKey | 0);
  }

  exposeMemory(region: MemoryRegion): boolean {
    const registration = region as Registration;
    if (registration.remoteKey !== 0 || !this.#isRegistered(registration)) return false;
    const { address, length, access } = registration;
    const { slot } = registration.owner.queuePair;
    const remoteKey = this.#newKey();
    registration.remoteKey = remoteKey;
    this.port.command({ type: 'expose-memory', slot, remoteKey, address, length, access });
    return true;
  }

  #isRegistered(registration: Registration): boolean {
    const { owner } = registration;
    return owner.queuePair.state !== LinkState.DESTROYED && owner.registrations.has(registration);
  }

  listen(port: number, address = this.attributes.address): boolean {
    const key = serviceKey(address, port);
    if (this.#services.has(key)) return false;
    this.#services.add(key);
    this.port.command({ type: 'listen', port, address });
    return true;
  }

  unlisten(port: number, address = this.attributes.address): void {
    this.#services.delete(serviceKey(address, port));
    this.port.command({ type: 'unlisten', port, address });
  }

  redirect(port: number, to: number | null, address = this.attributes.address): void {
    this.#services.delete(serviceKey(address, port));
    this.port.command({ type: 'redirect', port, address, to });
  }

  reject(requestId: number): void {
    this.port.command({ type: 'reject', requestId });
  }

  pollEvent(): NicEvent | null {
    const event = this.#events[0];
    if (event === undefined) return null;
    if (event.type === 'destroyed' && !this.#isDrained(event.queuePair)) return null;
    this.#events.shift();
    return event;
  }

  progress(): number {
    this.turns = (this.turns + 1) | 0;
    const work = this.port.doWork();
    if (this.#unreleased.length > 0) {
      for (const slot of this.#unreleased.splice(0)) this.#released(slot);
    }
    return work + this.port.drainEvents(this.#handle);
  }

  // What queue pairs ask for ---------------------------------------------------------------------

  connect(
    queuePair: SharedQueuePair,
    address: number,
    port: number,
    localPort: number,
    privateData: Uint8Array,
  ): void {
    this.port.command({
      type: 'connect',
      slot: queuePair.slot,
      address,
      port,
      localPort,
      privateData,
    });
  }

  accept(queuePair: SharedQueuePair, requestId: number, privateData: Uint8Array): void {
    this.port.command({ type: 'accept', slot: queuePair.slot, requestId, privateData });
    // Sending is allowed at once; the engine knows the peer's ring already.
    if (queuePair.state === LinkState.CONNECTING) queuePair.state = LinkState.CONNECTED;
  }

  destroy(queuePair: SharedQueuePair, isMoving: boolean): void {
    const record = this.#records.get(queuePair.slot);
    assert(record !== undefined, 'a queue pair is destroyed once');
    // Its registrations stay pinned until 'destroyed': the peer may be writing into them just now.
    this.port.command({ type: 'destroy', slot: queuePair.slot, isMoving });
  }

  // What completion queues ask for ---------------------------------------------------------------

  taken(completion: WorkCompletion): void {
    const queuePair = this.#queuePairs[completion.queuePair];
    if (queuePair === undefined) return;
    if (completion.opcode === Opcode.RECV) queuePair.receivesOutstanding--;
    else queuePair.sendsOutstanding--;
  }

  roomMade(): void {
    this.port.roomMade();
  }

  enableEvents(index: number): void {
    this.port.command({ type: 'enable-completion-events', index });
  }

  moderate(index: number, countMin: number, periodMax: number): void {
    this.port.command({ type: 'moderate-completion-queue', index, countMin, periodMax });
  }

  /** Ends every registration, when the engine has ended and nothing moves any more. */
  releaseAll(): void {
    for (const record of this.#records.values()) this.#releaseRegistrations(record);
  }

  #releaseRegistrations(record: QueuePairRecord): void {
    for (const registration of record.registrations) this.#release(registration);
    record.registrations.clear();
  }

  readonly #handle = (event: EngineEvent): void => {
    if (event.type === 'released') {
      this.#released(event.queuePair);
      return;
    }
    if (event.type === 'destroyed') {
      const record = this.#records.get(event.queuePair);
      if (record !== undefined) this.#releaseRegistrations(record);
    }
    if ('queuePair' in event) {
      const queuePair = this.#records.get(event.queuePair)?.queuePair;
      if (queuePair !== undefined && queuePair.state !== LinkState.DESTROYED) {
        if (event.type === 'established') queuePair.state = LinkState.CONNECTED;
        else if (event.type !== 'destroyed') queuePair.state = LinkState.DISCONNECTED;
      } else if (event.type !== 'destroyed') return;
    }
    this.#events.push(event);
  };

  #released(slot: number): void {
    const record = this.#records.get(slot);
    if (record === undefined) return;
    if (
      !this.#isDrained(slot) ||
      this.#events.some((event) => 'queuePair' in event && event.queuePair === slot)
    ) {
      this.#unreleased.push(slot);
      return;
    }
    this.#records.delete(slot);
    this.#numbers.delete(record.queuePair.number);
    this.#queuePairs[slot] = undefined;
    this.#options.publicSegment.free(record.block);
    this.#options.privateSegment.free(record.queues);
    this.#freeSlots.unshift(slot);
  }

  #isDrained(slot: number): boolean {
    const queuePair = this.#records.get(slot)?.queuePair;
    return (
      queuePair === undefined ||
      (queuePair.sendsOutstanding === 0 && queuePair.receivesOutstanding === 0)
    );
  }

  #release(registration: Registration): void {
    this.#keys.delete(registration.localKey | 0);
    this.#keys.delete(registration.remoteKey | 0);
    if (registration.pin !== null) this.#options.memory.unpinBuffer(registration.pin);
  }

  /** A random key that no live registration of this NIC has. */
  #newKey(): number {
    for (;;) {
      const key = this.#secrets.next();
      if (!isKey(key) || this.#keys.has(key | 0)) continue;
      this.#keys.add(key | 0);
      return key;
    }
  }

  /** A queue pair number that no other queue pair of this NIC has, and that tells nothing of them. */
  #newNumber(): number {
    for (;;) {
      const number = this.#secrets.next() & 0xffffff;
      if (this.#numbers.has(number)) continue;
      this.#numbers.add(number);
      return number;
    }
  }
}

function patienceOf(options: QueuePairOptions, costs: CostModel | null): Patience {
  const { rnrRetry = RETRY_FOREVER, ackTimeout = 0, retryCount = RETRY_FOREVER } = options;
  for (const retries of [rnrRetry, retryCount]) {
    assert(Number.isInteger(retries) && retries >= 0 && retries <= 7, 'retry counts are 0 to 7');
  }
  const minRnrTimer = options.minRnrTimer ?? costs?.rnrTimerNanos ?? 0;
  const isLimited = rnrRetry < RETRY_FOREVER;
  // Retries that follow at once would all find the same.
  return {
    rnrRetry,
    minRnrTimer: isLimited && minRnrTimer === 0 ? DEFAULT_RNR_TIMER : minRnrTimer,
    ackTimeout,
    retryCount,
  };
}

function isPowerOfTwo(value: number): boolean {
  return Number.isInteger(value) && value > 0 && (value & (value - 1)) === 0;
}
