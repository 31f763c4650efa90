// A connection one layer below an application's: the SAN provider driven directly, as a switch would,
// on registered memory. Its outcomes are polled with WSPGetOverlappedResult (hEvent is odd), which
// drives the NIC. Sources: COMP, CONNECT, ACCEPT, REGMEM, REGRDMA, RDMA, OVL-05.

import { openEnvironment, sanProvider } from '../index.js';
import type { HostEnvironment } from '../index.js';
import * as spi from '../provider/spi/index.js';
import type { Endpoint, WaitMode } from './endpoint.js';
import { PATIENCE_NANOS, POLLS_PER_CLOCK_READ, SLOT_COUNT } from './endpoint.js';
import type { HostPlan } from './host-plan.js';
import { hostOptions } from './host-plan.js';
import { breathe, Deadline, DeadlineError } from './measure.js';
import { now } from './machine.js';
import { SmallestUpcalls } from './upcalls.js';

/** The tag of an event that is never signalled: the low bit suppresses the notification. */
const SUPPRESSED_EVENT = 5;
/** A wait in the kernel lasts this long at most while there is something else to look at. */
const SLICE_NANOS = 20e6;
/** Room for any provider's RDMA descriptor. */
const DESCRIPTOR_ROOM = 256;

/** A started provider without a switch. Belongs to the thread that opened it. */
export class RawProvider {
  readonly environment: HostEnvironment;
  readonly table: spi.SanProcTable;
  readonly extensions: spi.SanExtensions;
  readonly upcalls: SmallestUpcalls;

  private constructor(
    environment: HostEnvironment,
    table: spi.SanProcTable,
    extensions: spi.SanExtensions,
    upcalls: SmallestUpcalls,
  ) {
    this.environment = environment;
    this.table = table;
    this.extensions = extensions;
    this.upcalls = upcalls;
  }

  /** Opens a NIC and starts the plan's SAN provider on it. Throws as openHost does, and WsaError. */
  static async open(plan: HostPlan): Promise<RawProvider> {
    const environment = await openEnvironment(hostOptions(plan));
    try {
      const provider = await environment.createProvider(plan.provider ?? sanProvider);
      const upcalls = new SmallestUpcalls();
      const table = spi.emptyProcTable();
      const result = provider.WSPStartupEx(
        spi.WSP_VERSION_2_2,
        spi.emptyWspData(),
        spi.tcpProtocolInfo(),
        upcalls,
        table,
      );
      if (result !== 0) throw new spi.WsaError(result, { call: 'WSPStartupEx' });
      const procedures = asSanTable(table);
      return new RawProvider(environment, procedures, fetchExtensions(procedures), upcalls);
    } catch (thrown) {
      await environment.close();
      throw thrown;
    }
  }

  /** Waits in the thread's loop until `done()`. Throws DeadlineError. */
  wait(done: () => boolean, what: string): void {
    const { progress } = this.environment;
    if (!progress.waitUntil(done, now() + PATIENCE_NANOS)) throw new DeadlineError(what);
  }

  async close(): Promise<void> {
    this.table.lpWSPCleanup(spi.ref(0));
    await this.environment.close();
  }
}

function asSanTable(table: spi.WSPProcTable): spi.SanProcTable {
  for (const slot of spi.SAN_PROC_TABLE_SLOTS) {
    if (table[slot] === null) throw new spi.WsaError(spi.WSAEINVALIDPROCTABLE, { call: slot });
  }
  return table as spi.SanProcTable;
}

function fetchExtensions(table: spi.SanProcTable): spi.SanExtensions {
  const fetched: Record<string, unknown> = {};
  for (const { name, guid, required } of spi.SAN_EXTENSIONS) {
    const box: spi.ExtensionFunctionPointer = { value: null };
    const errno = spi.ref(0);
    const result = table.lpWSPIoctl(
      0,
      spi.SIO_GET_EXTENSION_FUNCTION_POINTER,
      spi.guidBytes(guid),
      spi.GUID_BYTES,
      box,
      spi.EXTENSION_FUNCTION_POINTER_BYTES,
      spi.ref(0),
      null,
      null,
      null,
      errno,
    );
    if (result !== 0 && required) throw new spi.WsaError(errno.value, { call: name });
    fetched[name] = result === 0 ? box.value : null;
  }
  return fetched as unknown as spi.SanExtensions;
}

const errno = spi.ref(0);

function must(call: string, isGood: boolean): void {
  if (!isGood) throw new spi.WsaError(errno.value, { call });
}

function newSocket(raw: RawProvider, port: number): number {
  const { table, environment } = raw;
  const { AF_INET, SOCK_STREAM, IPPROTO_TCP, WSA_FLAG_OVERLAPPED } = spi;
  const s = table.lpWSPSocket(
    AF_INET,
    SOCK_STREAM,
    IPPROTO_TCP,
    null,
    0,
    WSA_FLAG_OVERLAPPED,
    errno,
  );
  must('WSPSocket', s !== spi.INVALID_SOCKET);
  const name = spi.sockaddrIn(environment.address, port);
  must('WSPBind', table.lpWSPBind(s, name, name.length, errno) === 0);
  return s;
}

/** A listening descriptor on `port`; ports are the provider's own, since there is no TCP/IP here. */
export function listenRaw(raw: RawProvider, port: number): number {
  const listener = newSocket(raw, port);
  const event = raw.upcalls.newEvent();
  const { table } = raw;
  must('WSPEventSelect', table.lpWSPEventSelect(listener, event, spi.FD_ACCEPT, errno) === 0);
  must('WSPListen', table.lpWSPListen(listener, 1, errno) === 0);
  return listener;
}

/** Accepts one connection within `PATIENCE_NANOS`, with an eye on `signal`. */
export async function acceptRaw(
  raw: RawProvider,
  listener: number,
  signal: AbortSignal,
): Promise<number> {
  const { table, environment } = raw;
  const deadline = new Deadline(PATIENCE_NANOS, 'the connection request');
  let s = spi.INVALID_SOCKET;
  const isOver = (): boolean => {
    s = table.lpWSPAccept(listener, null, null, () => spi.CF_ACCEPT, null, errno);
    return s !== spi.INVALID_SOCKET || errno.value !== spi.WSAEWOULDBLOCK;
  };
  while (!environment.progress.waitUntil(isOver, now() + SLICE_NANOS)) {
    await breathe(signal);
    deadline.check();
  }
  must('WSPAccept', s !== spi.INVALID_SOCKET);
  return s;
}

export function connectRaw(
  raw: RawProvider,
  address: string,
  port: number,
  localPort: number,
): number {
  const { table, upcalls } = raw;
  const s = newSocket(raw, localPort);
  const event = upcalls.newEvent();
  must('WSPEventSelect', table.lpWSPEventSelect(s, event, spi.FD_CONNECT, errno) === 0);
  const name = spi.sockaddrIn(address, port);
  const result = table.lpWSPConnect(s, name, name.length, null, null, null, null, errno);
  must('WSPConnect', result === 0 || errno.value === spi.WSAEWOULDBLOCK);
  raw.wait(() => upcalls.isSet(event), 'WSPConnect');
  const events = spi.createNetworkEvents();
  must('WSPEnumNetworkEvents', table.lpWSPEnumNetworkEvents(s, event, events, errno) === 0);
  errno.value = events.iErrorCode[spi.FD_CONNECT_BIT] ?? 0;
  must('WSPConnect', errno.value === 0);
  return s;
}

class Slot {
  readonly overlapped = spi.createOverlapped(SUPPRESSED_EVENT);
  readonly buffers: readonly [spi.WSABUFEX];

  constructor(memory: Uint8Array, handle: number) {
    this.buffers = [{ len: memory.length, buf: memory, handle }];
  }
}

/** A connected descriptor with registered memory of VirtualAlloc. Owns the provider. */
export class ProviderEndpoint implements Endpoint {
  readonly slotBytes: number;
  readonly sendWords: Uint32Array;
  readonly receiveWords: Uint32Array;
  /** What the peer needs to write into the receiving slots: slot n begins at n * slotBytes. */
  readonly descriptor: Uint8Array;
  readonly #raw: RawProvider;
  readonly #socket: number;
  readonly #memory: Uint8Array;
  readonly #sends: readonly Slot[];
  readonly #receives: readonly Slot[];
  readonly #mode: WaitMode;
  readonly #bytes = spi.ref(0);
  readonly #flags = spi.ref(0);

  constructor(raw: RawProvider, socket: number, options: { slotBytes: number; mode: WaitMode }) {
    const { slotBytes } = options;
    const half = SLOT_COUNT * slotBytes;
    const memory = raw.environment.memory.VirtualAlloc(2 * half);
    if (memory === null) throw new spi.WsaError(spi.WSAENOBUFS, { call: 'VirtualAlloc' });
    this.#raw = raw;
    this.#socket = socket;
    this.#mode = options.mode;
    this.#memory = memory;
    this.slotBytes = slotBytes;
    const [sending, receiving] = [memory.subarray(0, half), memory.subarray(half)];
    this.sendWords = new Uint32Array(memory.buffer, memory.byteOffset, half / 4);
    this.receiveWords = new Uint32Array(memory.buffer, memory.byteOffset + half, half / 4);
    this.#sends = this.#register(sending, spi.MEM_READWRITE);
    this.#receives = this.#register(receiving, spi.MEM_READWRITE);
    this.descriptor = this.#expose(receiving);
  }

  postReceive(slot: number, bytes: number): void {
    const { buffers, overlapped } = this.#receives[slot] as Slot;
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
    const { buffers, overlapped } = this.#sends[slot] as Slot;
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

  /** Starts writing a sending slot into the same slot of the peer's exposed memory. */
  startWrite(slot: number, bytes: number, target: Uint8Array): void {
    const { buffers, overlapped } = this.#sends[slot] as Slot;
    buffers[0].len = bytes;
    const result = this.#raw.extensions.WSPRdmaWrite(
      this.#socket,
      buffers,
      1,
      target,
      target.length,
      slot * this.slotBytes,
      this.#bytes,
      0,
      overlapped,
      null,
      null,
      errno,
    );
    if (result !== 0) mustBe(spi.WSA_IO_PENDING, 'WSPRdmaWrite');
  }

  awaitReceive(slot: number): number {
    return this.#await(this.#receives[slot] as Slot, 'WSPRecv');
  }

  awaitSend(slot: number): void {
    this.#await(this.#sends[slot] as Slot, 'WSPSend');
  }

  async close(): Promise<void> {
    this.#raw.table.lpWSPCloseSocket(this.#socket, errno);
    this.#raw.environment.memory.VirtualFree(this.#memory);
    await this.#raw.close();
  }

  #register(memory: Uint8Array, flags: number): Slot[] {
    const { extensions } = this.#raw;
    const handle = extensions.WSPRegisterMemory(this.#socket, memory, memory.length, flags, errno);
    must('WSPRegisterMemory', handle !== 0);
    return Array.from({ length: SLOT_COUNT }, (_, index) => {
      const start = index * this.slotBytes;
      return new Slot(memory.subarray(start, start + this.slotBytes), handle);
    });
  }

  #expose(memory: Uint8Array): Uint8Array {
    const descriptor = new Uint8Array(DESCRIPTOR_ROOM);
    const length = spi.ref(DESCRIPTOR_ROOM);
    const result = this.#raw.extensions.WSPRegisterRdmaMemory(
      this.#socket,
      memory,
      memory.length,
      spi.MEM_WRITE,
      descriptor,
      length,
      errno,
    );
    must('WSPRegisterRdmaMemory', result === 0);
    return descriptor.slice(0, length.value);
  }

  #await(slot: Slot, call: string): number {
    if (this.#isDone(slot, call)) return this.#bytes.value;
    if (this.#mode === 'sleep') {
      this.#raw.wait(() => this.#isDone(slot, call), call);
      return this.#bytes.value;
    }
    let polls = 0;
    let deadline: Deadline | null = null;
    while (!this.#isDone(slot, call)) {
      if (++polls % POLLS_PER_CLOCK_READ !== 0) continue;
      deadline ??= new Deadline(PATIENCE_NANOS, call);
      deadline.check();
    }
    return this.#bytes.value;
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
