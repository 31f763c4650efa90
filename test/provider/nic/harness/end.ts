// One end of a pair: a NIC, its memory, its connections, behind asynchronous operations, so that the
// same test runs whether the end lives in this process or in a child. All arguments and results
// survive JSON (rpc.ts). It must not assert anything itself.

import { MonotonicClock } from '../../../../runtime/clock.js';
import type { Clock } from '../../../../runtime/clock.js';
import type { CostModel, CostModelName } from '../../../../provider/nic/cost-model.js';
import type { NativeBinding } from '../../../../native/binding.js';
import { native } from '../../../../native/load.js';
import type {
  CompletionQueue,
  MemoryRegion,
  NicEvent,
  QueuePair,
  RegistrationFailure,
} from '../../../../provider/nic/device.js';
import type { OpenedNic } from '../../../../provider/nic/open-nic.js';
import { openNic } from '../../../../provider/nic/open-nic.js';
import type { Opcode, PostResult } from '../../../../provider/nic/verbs.js';
import { Opcode as Op, WorkCompletion, WorkRequest } from '../../../../provider/nic/verbs.js';
import type { ThreadLoop } from './thread-loop.js';

const PERMISSION_DENIED = -1;

/** Where a buffer lies: memory of VirtualAlloc, or an ordinary ArrayBuffer. */
export type Storage = 'segment' | 'process';

export const SEGMENT_BYTES = 32 * 2 ** 20;

export interface EndOptions {
  readonly base: string;
  readonly fabric: string;
  readonly address: number;
  readonly engine: 'inline' | 'worker';
  /** The kernel refuses direct access to other processes' memory. */
  readonly isCutOff?: boolean;
  readonly costModel?: CostModelName | CostModel;
}

/** Memory of an end: `id` names it, `address` is its NIC address. */
export interface Block {
  readonly id: number;
  readonly address: number;
  readonly bytes: number;
}

export interface Completion {
  readonly id: number;
  readonly queuePair: number;
  readonly opcode: number;
  readonly status: number;
  readonly byteLength: number;
}

export interface Request {
  readonly id?: number;
  readonly opcode?: Opcode;
  readonly flags?: number;
  /** Address, length, local key of each element. */
  readonly sges: readonly (readonly [number, number, number])[];
  readonly remoteAddress?: number;
  readonly remoteKey?: number;
}

export interface Region {
  readonly id: number;
  readonly address: number;
  readonly length: number;
  readonly localKey: number;
  readonly remoteKey: number;
}

export interface QueueOptions {
  readonly sendDepth?: number;
  readonly receiveDepth?: number;
  readonly completionDepth?: number;
  readonly rnrRetry?: number;
  readonly minRnrTimer?: number;
  readonly ackTimeout?: number;
  readonly retryCount?: number;
}

export interface Counts {
  readonly queuePairs: number;
  readonly registrations: number;
  readonly blocks: number;
}

/** The operations of an end. A queue pair is named by its slot. */
export interface End {
  listen(port: number): Promise<boolean>;
  unlisten(port: number): Promise<void>;
  /** A queue pair with a completion queue of its own. */
  queuePair(options?: QueueOptions): Promise<number>;
  connect(slot: number, address: number, port: number, privateData?: Uint8Array): Promise<void>;
  accept(slot: number, requestId: number, privateData?: Uint8Array): Promise<void>;
  reject(requestId: number): Promise<void>;
  destroy(slot: number): Promise<void>;
  allocate(storage: Storage, bytes: number): Promise<Block>;
  release(block: number): Promise<void>;
  write(block: number, offset: number, bytes: Uint8Array): Promise<void>;
  read(block: number, offset: number, length: number): Promise<Uint8Array>;
  register(
    slot: number,
    block: number,
    access: number,
    length?: number,
  ): Promise<Region | RegistrationFailure>;
  deregister(region: number): Promise<void>;
  postSend(slot: number, request: Request): Promise<PostResult>;
  postReceive(slot: number, request: Request): Promise<PostResult>;
  /** Waits for the next completion of a queue pair's completion queue. */
  completion(slot: number): Promise<Completion>;
  /** What is there now, without waiting. */
  completionsNow(slot: number): Promise<Completion[]>;
  /** Waits for the next event. */
  event(): Promise<NicEvent>;
  counts(): Promise<Counts>;
  /** Waits until every queue pair is released. */
  settled(): Promise<Counts>;
  close(): Promise<void>;
}

const NO_DATA = new Uint8Array(0);

/** An end in this process, driven by this thread's loop. */
export class LocalEnd implements End {
  readonly opened: OpenedNic;
  readonly #loop: ThreadLoop;
  readonly #queuePairs = new Map<number, { queuePair: QueuePair; completions: CompletionQueue }>();
  readonly #blocks = new Map<number, { bytes: Uint8Array; storage: Storage }>();
  readonly #regions = new Map<number, MemoryRegion>();
  readonly #request = new WorkRequest();
  #ids = 0;

  private constructor(loop: ThreadLoop, opened: OpenedNic) {
    this.#loop = loop;
    this.opened = opened;
  }

  static async open(loop: ThreadLoop, options: EndOptions, clock?: Clock): Promise<LocalEnd> {
    const opened = await openNic({
      arena: loop.arena,
      native: options.isCutOff === true ? cutOff(native) : native,
      reactor: loop.reactor,
      clock: clock ?? new MonotonicClock(() => native.now()),
      fabric: options.fabric,
      base: options.base,
      address: options.address,
      engine: options.engine,
      pin: 'try',
      segmentBytes: SEGMENT_BYTES,
      warn: () => undefined,
      ...(options.costModel === undefined ? {} : { costModel: options.costModel }),
    });
    loop.add(opened.nic);
    return new LocalEnd(loop, opened);
  }

  listen(port: number): Promise<boolean> {
    return Promise.resolve(this.opened.nic.listen(port));
  }

  unlisten(port: number): Promise<void> {
    this.opened.nic.unlisten(port);
    return Promise.resolve();
  }

  queuePair(options: QueueOptions = {}): Promise<number> {
    const { completionDepth = 256, ...attributes } = options;
    const completions = this.opened.nic.createCompletionQueue(completionDepth);
    const queuePair = this.opened.nic.createQueuePair({
      completionQueue: completions,
      ...attributes,
    });
    if (queuePair === null) return Promise.reject(new Error('no queue pair is left'));
    this.#queuePairs.set(queuePair.slot, { queuePair, completions });
    return Promise.resolve(queuePair.slot);
  }

  connect(slot: number, address: number, port: number, privateData = NO_DATA): Promise<void> {
    this.queuePairOf(slot).connect(address, port, 4000 + slot, privateData);
    return Promise.resolve();
  }

  accept(slot: number, requestId: number, privateData = NO_DATA): Promise<void> {
    this.queuePairOf(slot).accept(requestId, privateData);
    return Promise.resolve();
  }

  reject(requestId: number): Promise<void> {
    this.opened.nic.reject(requestId);
    return Promise.resolve();
  }

  destroy(slot: number): Promise<void> {
    this.queuePairOf(slot).destroy();
    return Promise.resolve();
  }

  allocate(storage: Storage, bytes: number): Promise<Block> {
    const memory =
      storage === 'segment' ? this.opened.memory.VirtualAlloc(bytes) : new Uint8Array(bytes);
    if (memory === null) return Promise.reject(new Error(`no ${bytes} bytes are left`));
    const id = this.#ids++;
    this.#blocks.set(id, { bytes: memory, storage });
    return Promise.resolve({ id, address: this.opened.nic.addressOf(memory), bytes });
  }

  release(block: number): Promise<void> {
    const { bytes, storage } = this.#block(block);
    this.#blocks.delete(block);
    if (storage === 'segment' && !this.opened.memory.VirtualFree(bytes))
      throw new Error('not a block');
    return Promise.resolve();
  }

  write(block: number, offset: number, bytes: Uint8Array): Promise<void> {
    this.#block(block).bytes.set(bytes, offset);
    return Promise.resolve();
  }

  read(block: number, offset: number, length: number): Promise<Uint8Array> {
    return Promise.resolve(this.#block(block).bytes.slice(offset, offset + length));
  }

  register(
    slot: number,
    block: number,
    access: number,
    length?: number,
  ): Promise<Region | RegistrationFailure> {
    const { bytes } = this.#block(block);
    const region = this.opened.nic.registerMemory(
      this.queuePairOf(slot),
      bytes,
      length ?? bytes.length,
      access,
    );
    if (typeof region === 'string') return Promise.resolve(region);
    const id = this.#ids++;
    this.#regions.set(id, region);
    const { address, localKey, remoteKey } = region;
    return Promise.resolve({ id, address, length: region.length, localKey, remoteKey });
  }

  deregister(region: number): Promise<void> {
    const known = this.#regions.get(region);
    if (known === undefined) throw new Error(`region ${region} is not known`);
    this.#regions.delete(region);
    this.opened.nic.deregisterMemory(known);
    return Promise.resolve();
  }

  postSend(slot: number, request: Request): Promise<PostResult> {
    return Promise.resolve(this.queuePairOf(slot).postSend(this.#fill(request)));
  }

  postReceive(slot: number, request: Request): Promise<PostResult> {
    return Promise.resolve(this.queuePairOf(slot).postReceive(this.#fill(request)));
  }

  completion(slot: number): Promise<Completion> {
    const { completions } = this.#entry(slot);
    return this.#loop.until(`a completion of queue pair ${slot}`, () => poll(completions));
  }

  completionsNow(slot: number): Promise<Completion[]> {
    const { completions } = this.#entry(slot);
    const found: Completion[] = [];
    for (let one = poll(completions); one !== null; one = poll(completions)) found.push(one);
    return Promise.resolve(found);
  }

  event(): Promise<NicEvent> {
    return this.#loop.until('an event', () => this.opened.nic.pollEvent());
  }

  counts(): Promise<Counts> {
    return Promise.resolve(this.#counts());
  }

  settled(): Promise<Counts> {
    return this.#loop.until('the release of every queue pair', () => {
      while (this.opened.nic.pollEvent() !== null);
      for (const { completions } of this.#queuePairs.values()) {
        while (poll(completions) !== null);
      }
      const counts = this.#counts();
      return counts.queuePairs === 0 ? counts : null;
    });
  }

  async close(): Promise<void> {
    await this.opened.close();
    this.#loop.remove(this.opened.nic);
  }

  completionQueueOf(slot: number): CompletionQueue {
    return this.#entry(slot).completions;
  }

  /** The queue pair itself, for tests that need more than an end offers. */
  queuePairOf(slot: number): QueuePair {
    return this.#entry(slot).queuePair;
  }

  get words(): Int32Array {
    return this.#loop.arena.view.words;
  }

  /** A block as words of 32 bits, for tests that look at it while nothing else runs. */
  wordsOf(block: number): Int32Array {
    const { bytes } = this.#block(block);
    return new Int32Array(bytes.buffer, bytes.byteOffset, Math.floor(bytes.length / 4));
  }

  /** A block itself, for tests that look at it while nothing else runs. */
  bytesOf(block: number): Uint8Array {
    return this.#block(block).bytes;
  }

  /** The same of the block of the segment that begins at a NIC address. */
  wordsAt(address: number): Int32Array {
    for (const [id, { bytes }] of this.#blocks)
      if (this.opened.nic.addressOf(bytes) === address) return this.wordsOf(id);
    throw new Error(`no block begins at ${address}`);
  }

  #counts(): Counts {
    const { nic, memory } = this.opened;
    return {
      queuePairs: nic.queuePairCount,
      registrations: nic.registrationCount,
      blocks: memory.blockCount,
    };
  }

  #entry(slot: number): { queuePair: QueuePair; completions: CompletionQueue } {
    const entry = this.#queuePairs.get(slot);
    if (entry === undefined) throw new Error(`queue pair ${slot} is not known`);
    return entry;
  }

  #block(block: number): { bytes: Uint8Array; storage: Storage } {
    const known = this.#blocks.get(block);
    if (known === undefined) throw new Error(`block ${block} is not known`);
    return known;
  }

  #fill(request: Request): WorkRequest {
    const work = this.#request;
    work.id = request.id ?? 0;
    work.opcode = request.opcode ?? Op.SEND;
    work.flags = request.flags ?? 0;
    work.sgeCount = request.sges.length;
    request.sges.forEach(([address, length, key], index) => {
      work.setSge(index, address, length, key);
    });
    work.remoteAddress = request.remoteAddress ?? 0;
    work.remoteKey = request.remoteKey ?? 0;
    return work;
  }
}

function poll(completions: CompletionQueue): Completion | null {
  const found = new WorkCompletion();
  if (!completions.poll(found)) return null;
  const { id, queuePair, opcode, status, byteLength } = found;
  return { id, queuePair, opcode, status, byteLength };
}

/** The addon as on a machine whose kernel lets no process touch another's memory. */
function cutOff(binding: NativeBinding): NativeBinding {
  return {
    ...binding,
    move: (toPid, to, fromPid, from, length) =>
      toPid !== 0 || fromPid !== 0
        ? PERMISSION_DENIED
        : binding.move(toPid, to, fromPid, from, length),
  };
}
