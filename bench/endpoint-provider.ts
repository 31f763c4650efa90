// A connection one layer below an application's: the SAN provider driven directly, as a switch would,
// on registered memory. Its outcomes are polled with WSPGetOverlappedResult (hEvent is odd), which
// drives the NIC, or announced by an event. Sources: COMP, REGMEM, REGRDMA, RDMA, OVL-05.

import * as spi from '../provider/spi/index.js';
import type { Endpoint, EndpointOptions, SlotMemory, WaitMode } from './endpoint.js';
import { PATIENCE_NANOS, POLLS_PER_CLOCK_READ } from './endpoint.js';
import { Deadline } from './measure.js';
import type { RawProvider } from './raw-provider.js';
import { SlotBlock } from './slot-block.js';

export { listenRaw, RawProvider } from './raw-provider.js';

/** The tag of an event that is never signalled: the low bit suppresses the notification. */
const SUPPRESSED_EVENT = 5;
/** Room for any provider's RDMA descriptor. */
const DESCRIPTOR_ROOM = 256;

const errno = spi.ref(0);

function must(call: string, isGood: boolean): void {
  if (!isGood) throw new spi.WsaError(errno.value, { call });
}

class Slot {
  readonly overlapped: spi.WSAOVERLAPPED;
  readonly buffers: readonly [spi.WSABUFEX];
  /** Where the slot begins within its half. */
  readonly offset: number;

  constructor(memory: Uint8Array, handle: number, offset: number, event: number) {
    this.buffers = [{ len: memory.length, buf: memory, handle }];
    this.offset = offset;
    this.overlapped = spi.createOverlapped(event);
  }
}

/** A connected descriptor with registered memory. Owns the provider unless told otherwise. */
export class ProviderEndpoint implements Endpoint {
  readonly slotBytes: number;
  readonly slotCount: number;
  readonly sendWords: Uint32Array;
  readonly receiveWords: Uint32Array;
  /** The RDMA descriptor of the receiving half, then that of the sending half: equally long. */
  readonly descriptor: readonly number[];
  readonly #raw: RawProvider;
  readonly #socket: number;
  readonly #block: SlotBlock;
  readonly #sends: readonly Slot[];
  readonly #receives: readonly Slot[];
  readonly #mode: WaitMode;
  readonly #ownsProvider: boolean;
  readonly #bytes = spi.ref(0);
  readonly #flags = spi.ref(0);
  #drives = 0;
  #writeTarget = new Uint8Array();
  #readSource = new Uint8Array();

  constructor(raw: RawProvider, socket: number, options: EndpointOptions) {
    const block = new SlotBlock(raw.environment.memory, options);
    this.#raw = raw;
    this.#socket = socket;
    this.#mode = options.mode;
    this.#ownsProvider = options.ownsHost ?? true;
    this.#block = block;
    this.slotBytes = block.slotBytes;
    this.slotCount = block.slotCount;
    this.sendWords = block.sendWords;
    this.receiveWords = block.receiveWords;
    this.#sends = this.#register(block.sending);
    this.#receives = this.#register(block.receiving);
    this.descriptor = [
      ...this.#expose(block.receiving, spi.MEM_WRITE),
      ...this.#expose(block.sending, spi.MEM_READ),
    ];
  }

  aim(descriptor: readonly number[]): void {
    const half = descriptor.length / 2;
    this.#writeTarget = Uint8Array.from(descriptor.slice(0, half));
    this.#readSource = Uint8Array.from(descriptor.slice(half));
  }

  drive(slot: number): void {
    this.#isDone(this.#receives[slot] as Slot, 'WSPRecv');
    // What is not about this connection, such as the end of the other process, is looked at now and then.
    if (++this.#drives % POLLS_PER_CLOCK_READ === 0) this.#raw.environment.progress.poll();
  }

  postReceive(slot: number, bytes: number): void {
    const { buffers, overlapped } = this.#begin(this.#receives, slot);
    buffers[0].len = bytes;
    this.#flags.value = 0;
    const { table } = this.#raw;
    const result = table.lpWSPRecv(
      this.#socket,
      buffers,
      1,
      this.#bytes,
      this.#flags,
      overlapped,
      null,
      null,
      errno,
    );
    if (result !== 0) mustBe(spi.WSA_IO_PENDING, 'WSPRecv');
  }

  startSend(slot: number, bytes: number): void {
    const { buffers, overlapped } = this.#begin(this.#sends, slot);
    buffers[0].len = bytes;
    const { table } = this.#raw;
    const result = table.lpWSPSend(
      this.#socket,
      buffers,
      1,
      this.#bytes,
      0,
      overlapped,
      null,
      null,
      errno,
    );
    if (result !== 0) mustBe(spi.WSA_IO_PENDING, 'WSPSend');
  }

  startWrite(slot: number, bytes: number): void {
    const one = this.#begin(this.#sends, slot);
    const target = this.#writeTarget;
    one.buffers[0].len = bytes;
    const result = this.#raw.extensions.WSPRdmaWrite(
      this.#socket,
      one.buffers,
      1,
      target,
      target.length,
      one.offset,
      this.#bytes,
      0,
      one.overlapped,
      null,
      null,
      errno,
    );
    if (result !== 0) mustBe(spi.WSA_IO_PENDING, 'WSPRdmaWrite');
  }

  /** Throws WsaError WSAEOPNOTSUPP on a provider that cannot read. [EXT-03] */
  startRead(slot: number, bytes: number): void {
    const one = this.#begin(this.#receives, slot);
    const source = this.#readSource;
    const { WSPRdmaRead } = this.#raw.extensions;
    if (WSPRdmaRead === null) throw new spi.WsaError(spi.WSAEOPNOTSUPP, { call: 'WSPRdmaRead' });
    one.buffers[0].len = bytes;
    const result = WSPRdmaRead(
      this.#socket,
      one.buffers,
      1,
      source,
      source.length,
      one.offset,
      this.#bytes,
      0,
      one.overlapped,
      null,
      null,
      errno,
    );
    if (result !== 0) mustBe(spi.WSA_IO_PENDING, 'WSPRdmaRead');
  }

  awaitReceive(slot: number): number {
    return this.#await(this.#receives[slot] as Slot, 'WSPRecv');
  }

  awaitSend(slot: number): void {
    this.#await(this.#sends[slot] as Slot, 'WSPSend');
  }

  received(slot: number): Promise<number> {
    return this.#outcome(this.#receives[slot] as Slot, 'WSPRecv');
  }

  async sent(slot: number): Promise<void> {
    await this.#outcome(this.#sends[slot] as Slot, 'WSPSend');
  }

  allocate(bytes: number, kind: SlotMemory): Uint8Array {
    const memory =
      kind === 'buffer' ? new Uint8Array(bytes) : this.#raw.environment.memory.VirtualAlloc(bytes);
    if (memory === null) throw new spi.WsaError(spi.WSAENOBUFS, { call: 'VirtualAlloc' });
    return memory;
  }

  release(memory: Uint8Array): void {
    // Ordinary memory is the collector's business.
    this.#raw.environment.memory.VirtualFree(memory);
  }

  register(memory: Uint8Array): number {
    const handle = this.#raw.extensions.WSPRegisterMemory(
      this.#socket,
      memory,
      memory.length,
      spi.MEM_READWRITE,
      errno,
    );
    must('WSPRegisterMemory', handle !== 0);
    return handle;
  }

  deregister(handle: number): void {
    const result = this.#raw.extensions.WSPDeregisterMemory(this.#socket, handle, errno);
    must('WSPDeregisterMemory', result === 0);
  }

  /** Has the provider drop what it keeps of registrations of this memory. [CACHECB-01] */
  forget(memory: Uint8Array): void {
    const { extensions, environment } = this.#raw;
    const address = environment.memory.addressOf(memory);
    const drop = extensions.WSPMemoryRegistrationCacheCallback;
    if (drop !== null) must('the cache callback', drop(address, memory.length, errno) === 0);
  }

  async close(): Promise<void> {
    this.#raw.table.lpWSPCloseSocket(this.#socket, errno);
    this.#block.free();
    if (this.#ownsProvider) await this.#raw.close();
  }

  #register(half: Uint8Array): Slot[] {
    const { upcalls } = this.#raw;
    const handle = this.register(half);
    const isPolled = this.#mode === 'spin';
    return this.#block.slotsOf(half).map((memory, index) => {
      const event = isPolled ? SUPPRESSED_EVENT : upcalls.newEvent();
      return new Slot(memory, handle, index * this.slotBytes, event);
    });
  }

  #expose(half: Uint8Array, flags: number): Uint8Array {
    const descriptor = new Uint8Array(DESCRIPTOR_ROOM);
    const length = spi.ref(DESCRIPTOR_ROOM);
    const result = this.#raw.extensions.WSPRegisterRdmaMemory(
      this.#socket,
      half,
      half.length,
      flags,
      descriptor,
      length,
      errno,
    );
    must('WSPRegisterRdmaMemory', result === 0);
    return descriptor.slice(0, length.value);
  }

  #await(slot: Slot, call: string): number {
    if (this.#isDone(slot, call)) return this.#bytes.value;
    if (this.#mode !== 'spin') {
      this.#raw.wait(() => this.#isSignalled(slot), call);
      if (!this.#isDone(slot, call)) throw new spi.WsaError(spi.WSA_IO_INCOMPLETE, { call });
      return this.#bytes.value;
    }
    let polls = 0;
    let deadline: Deadline | null = null;
    while (!this.#isDone(slot, call)) {
      if (++polls % POLLS_PER_CLOCK_READ !== 0) continue;
      this.#raw.environment.progress.poll();
      deadline ??= new Deadline(PATIENCE_NANOS, call);
      deadline.check();
    }
    return this.#bytes.value;
  }

  async #outcome(slot: Slot, call: string): Promise<number> {
    const { progress, wakeup } = this.#raw.environment;
    while (!this.#isDone(slot, call)) {
      if (progress.poll() > 0) continue;
      if (!this.#isSignalled(slot)) await wakeup();
    }
    return this.#bytes.value;
  }

  #begin(slots: readonly Slot[], at: number): Slot {
    const slot = slots[at] as Slot;
    if (this.#mode !== 'spin') this.#raw.upcalls.reset(slot.overlapped.hEvent);
    return slot;
  }

  #isSignalled(slot: Slot): boolean {
    return this.#raw.upcalls.isSet(slot.overlapped.hEvent);
  }

  #isDone(slot: Slot, call: string): boolean {
    const { table } = this.#raw;
    const isDone = table.lpWSPGetOverlappedResult(
      this.#socket,
      slot.overlapped,
      this.#bytes,
      false,
      this.#flags,
      errno,
    );
    if (!isDone) mustBe(spi.WSA_IO_INCOMPLETE, call);
    return isDone;
  }
}

function mustBe(code: number, call: string): void {
  if (errno.value !== code) throw new spi.WsaError(errno.value, { call });
}
