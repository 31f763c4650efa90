// A connection below the provider: queue pairs and work requests of the NIC model, in the terms of the
// verbs. What a provider adds to it is the difference to ProviderEndpoint. It knows no Winsock.

import type { HostEnvironment } from '../index.js';
import type { CompletionQueue, MemoryRegion, NicDevice, QueuePair } from '../provider/nic/index.js';
import { Access, Opcode, WcStatus, wcStatusName } from '../provider/nic/index.js';
import { WorkCompletion, WorkRequest } from '../provider/nic/index.js';
import type { Endpoint, EndpointOptions, SlotMemory, WaitMode } from './endpoint.js';
import { PATIENCE_NANOS, POLLS_PER_CLOCK_READ } from './endpoint.js';
import { now } from './machine.js';
import { Deadline, DeadlineError } from './measure.js';
import { SlotBlock } from './slot-block.js';

/** Added to the slot in the id of a work request whose outcome belongs to a receiving slot. */
const RECEIVING = 1 << 16;
const PENDING = -1;
/** Address, remote key of the receiving half; the same of the sending half. */
const DESCRIPTOR_LENGTH = 4;

export interface NicConnection {
  readonly host: HostEnvironment;
  readonly queuePair: QueuePair;
  readonly completionQueue: CompletionQueue;
}

/** A connection of the NIC did not come about, or has ended. */
export class NicFailure extends Error {
  override readonly name = 'NicFailure';
}

/** An established queue pair with registered memory. Owns the host unless told otherwise. */
export class NicEndpoint implements Endpoint {
  readonly slotBytes: number;
  readonly slotCount: number;
  readonly sendWords: Uint32Array;
  readonly receiveWords: Uint32Array;
  readonly descriptor: readonly number[];
  readonly #host: HostEnvironment;
  readonly #nic: NicDevice;
  readonly #queuePair: QueuePair;
  readonly #queue: CompletionQueue;
  readonly #block: SlotBlock;
  readonly #mode: WaitMode;
  readonly #ownsHost: boolean;
  readonly #request = new WorkRequest();
  readonly #completion = new WorkCompletion();
  readonly #sending: MemoryRegion;
  readonly #receiving: MemoryRegion;
  /** Bytes of the outcome of each slot, or PENDING. */
  readonly #sent: Int32Array;
  readonly #received: Int32Array;
  #target: readonly number[] = [];
  #drives = 0;

  constructor({ host, queuePair, completionQueue }: NicConnection, options: EndpointOptions) {
    const block = new SlotBlock(host.memory, options);
    this.#host = host;
    this.#nic = host.environment.nic;
    this.#queuePair = queuePair;
    this.#queue = completionQueue;
    this.#block = block;
    this.#mode = options.mode;
    this.#ownsHost = options.ownsHost ?? true;
    this.slotBytes = block.slotBytes;
    this.slotCount = block.slotCount;
    this.sendWords = block.sendWords;
    this.receiveWords = block.receiveWords;
    this.#sent = new Int32Array(block.slotCount).fill(PENDING);
    this.#received = new Int32Array(block.slotCount).fill(PENDING);
    this.#sending = this.#register(block.sending, Access.REMOTE_READ);
    this.#receiving = this.#register(block.receiving, Access.LOCAL_WRITE | Access.REMOTE_WRITE);
    const { address, remoteKey } = this.#receiving;
    this.descriptor = [address, remoteKey, this.#sending.address, this.#sending.remoteKey];
  }

  aim(descriptor: readonly number[]): void {
    if (descriptor.length !== DESCRIPTOR_LENGTH) throw new TypeError('not the memory of a NIC');
    this.#target = descriptor;
  }

  drive(): void {
    this.#queuePair.progress();
    // What is not about this queue pair is looked at now and then.
    if (++this.#drives % POLLS_PER_CLOCK_READ === 0) this.#host.progress.poll();
  }

  postReceive(slot: number, bytes: number): void {
    const request = this.#prepare(slot, bytes, this.#receiving);
    request.id = RECEIVING + slot;
    this.#received[slot] = PENDING;
    mustBePosted(this.#queuePair.postReceive(request));
  }

  startSend(slot: number, bytes: number): void {
    const request = this.#prepare(slot, bytes, this.#sending);
    request.id = slot;
    request.opcode = Opcode.SEND;
    this.#sent[slot] = PENDING;
    mustBePosted(this.#queuePair.postSend(request));
  }

  startWrite(slot: number, bytes: number): void {
    const request = this.#prepare(slot, bytes, this.#sending);
    request.id = slot;
    request.opcode = Opcode.RDMA_WRITE;
    request.remoteAddress = (this.#target[0] ?? 0) + slot * this.slotBytes;
    request.remoteKey = this.#target[1] ?? 0;
    this.#sent[slot] = PENDING;
    mustBePosted(this.#queuePair.postSend(request));
  }

  startRead(slot: number, bytes: number): void {
    const request = this.#prepare(slot, bytes, this.#receiving);
    request.id = RECEIVING + slot;
    request.opcode = Opcode.RDMA_READ;
    request.remoteAddress = (this.#target[2] ?? 0) + slot * this.slotBytes;
    request.remoteKey = this.#target[3] ?? 0;
    this.#received[slot] = PENDING;
    mustBePosted(this.#queuePair.postSend(request));
  }

  awaitReceive(slot: number): number {
    return this.#await(this.#received, slot);
  }

  awaitSend(slot: number): void {
    this.#await(this.#sent, slot);
  }

  received(slot: number): Promise<number> {
    return this.#outcome(this.#received, slot);
  }

  async sent(slot: number): Promise<void> {
    await this.#outcome(this.#sent, slot);
  }

  allocate(bytes: number, kind: SlotMemory): Uint8Array {
    const memory =
      kind === 'buffer' ? new Uint8Array(bytes) : this.#host.memory.VirtualAlloc(bytes);
    if (memory === null) throw new Error('the host has no memory left');
    return memory;
  }

  release(memory: Uint8Array): void {
    this.#host.memory.VirtualFree(memory);
  }

  register(memory: Uint8Array): MemoryRegion {
    return this.#register(memory, Access.LOCAL_WRITE);
  }

  deregister(region: MemoryRegion): void {
    this.#nic.deregisterMemory(region);
  }

  /** The NIC keeps nothing of a registration that has ended. */
  forget(): void {
    this.#nic.progress();
  }

  async close(): Promise<void> {
    this.#queuePair.destroy();
    this.#block.free();
    if (this.#ownsHost) await this.#host.close();
  }

  #register(half: Uint8Array, access: number): MemoryRegion {
    const region = this.#nic.registerMemory(this.#queuePair, half, half.length, access);
    if (typeof region === 'string') throw new Error(`registration failed: ${region}`);
    return region;
  }

  #prepare(slot: number, bytes: number, region: MemoryRegion): WorkRequest {
    const request = this.#request;
    request.sgeCount = 1;
    request.setSge(0, region.address + slot * this.slotBytes, bytes, region.localKey);
    return request;
  }

  #await(outcomes: Int32Array, slot: number): number {
    if (this.#mode !== 'spin') {
      const isDone = (): boolean => this.#look(outcomes, slot) >= 0;
      if (!this.#host.progress.waitUntil(isDone, now() + PATIENCE_NANOS)) {
        throw new DeadlineError('a work request');
      }
      return this.#look(outcomes, slot);
    }
    let polls = 0;
    let deadline: Deadline | null = null;
    for (;;) {
      const bytes = this.#look(outcomes, slot);
      if (bytes >= 0) return bytes;
      // What is not about this queue pair, such as the other host's end, is looked at now and then.
      if (++polls % POLLS_PER_CLOCK_READ !== 0) continue;
      this.#host.progress.poll();
      deadline ??= new Deadline(PATIENCE_NANOS, 'a work request');
      deadline.check();
    }
  }

  async #outcome(outcomes: Int32Array, slot: number): Promise<number> {
    const { progress, wakeup } = this.#host;
    while (this.#look(outcomes, slot) < 0) {
      if (progress.poll() === 0 && this.#look(outcomes, slot) < 0) await wakeup();
    }
    return outcomes[slot] ?? PENDING;
  }

  #look(outcomes: Int32Array, slot: number): number {
    this.#queuePair.progress();
    const completion = this.#completion;
    while (this.#queue.poll(completion)) {
      const { id, status } = completion;
      if (status !== WcStatus.SUCCESS) {
        throw new NicFailure(`work request failed: ${wcStatusName(status)}`);
      }
      if (id >= RECEIVING) this.#received[id - RECEIVING] = completion.byteLength;
      else this.#sent[id] = completion.byteLength;
    }
    return outcomes[slot] ?? PENDING;
  }
}

function mustBePosted(result: number): void {
  if (result !== 0) throw new NicFailure(`a work request was refused: ${result}`);
}
