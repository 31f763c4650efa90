// A connection of an application: WSASend and WSARecv through the switch, overlapped. The outcomes are
// learned in every way that Winsock has: polled, by event, routine, completion port, or promise.
// Sources: W4, W8.1, W9.11, W9.12.

import { openHost } from '../index.js';
import type { Host, Winsock } from '../index.js';
import * as spi from '../provider/spi/index.js';
import type { Endpoint, EndpointOptions, WaitMode } from './endpoint.js';
import { PATIENCE_NANOS, POLLS_PER_CLOCK_READ } from './endpoint.js';
import type { HostPlan } from './host-plan.js';
import { hostOptions } from './host-plan.js';
import { breathe } from './breath.js';
import { Deadline, DeadlineError } from './measure.js';
import { SlotBlock } from './slot-block.js';

const PATIENCE_MS = PATIENCE_NANOS / 1e6;
/** A wait in the kernel lasts this long at most while there is something else to look at. */
const SLICE_MS = 20;
const WINSOCK_2_2 = 0x0202;

/** Opens a host and starts Winsock on it. Throws as openHost does, and WsaError. */
export async function openApp(plan: HostPlan): Promise<Host> {
  const host = await openHost(hostOptions(plan));
  const result = host.winsock.WSAStartup(WINSOCK_2_2, emptyWsaData());
  if (result === 0) return host;
  await host.close();
  throw new spi.WsaError(result, { call: 'WSAStartup' });
}

function emptyWsaData(): spi.WSADATA {
  return {
    wVersion: 0,
    wHighVersion: 0,
    iMaxSockets: 0,
    iMaxUdpDg: 0,
    lpVendorInfo: null,
    szDescription: '',
    szSystemStatus: '',
  };
}

/** Throws the last error as WsaError when a call has failed. */
export function must(winsock: Winsock, call: string, result: number): number {
  if (result !== spi.SOCKET_ERROR && result !== spi.INVALID_SOCKET) return result;
  throw new spi.WsaError(winsock.WSAGetLastError(), { call });
}

/** A listening socket on a free port of the host's address. */
export function listenOn(
  host: Host,
  backlog = 1,
): { readonly listener: number; readonly port: number } {
  const { winsock } = host;
  const listener = newSocket(winsock);
  const name = spi.sockaddrIn(host.address, 0);
  must(winsock, 'bind', winsock.bind(listener, name, name.length));
  must(winsock, 'listen', winsock.listen(listener, backlog));
  must(winsock, 'getsockname', winsock.getsockname(listener, name, spi.ref(name.length)));
  return { listener, port: spi.sockaddrPort(name) };
}

/** Accepts one connection within `PATIENCE_NANOS`, with an eye on `signal`. Closes the listener. */
export async function acceptOne(
  host: Host,
  listener: number,
  signal: AbortSignal,
): Promise<number> {
  const acceptor = new Acceptor(host, listener);
  try {
    return await acceptor.next(signal);
  } finally {
    acceptor.close();
  }
}

/** Takes connection requests of a listener, which it owns. */
export class Acceptor {
  readonly #winsock: Winsock;
  readonly #listener: number;
  readonly #event: number;

  constructor(host: Host, listener: number) {
    this.#winsock = host.winsock;
    this.#listener = listener;
    this.#event = host.winsock.WSACreateEvent();
    const selected = host.winsock.WSAEventSelect(listener, this.#event, spi.FD_ACCEPT);
    must(host.winsock, 'WSAEventSelect', selected);
  }

  async next(signal: AbortSignal): Promise<number> {
    const winsock = this.#winsock;
    const deadline = new Deadline(PATIENCE_NANOS, 'the connection request');
    for (;;) {
      const socket = winsock.accept(this.#listener, null, null);
      if (socket !== spi.INVALID_SOCKET) {
        // It inherits the selection. [W10.13]
        must(winsock, 'WSAEventSelect', winsock.WSAEventSelect(socket, 0, 0));
        return socket;
      }
      if (winsock.WSAGetLastError() !== spi.WSAEWOULDBLOCK) must(winsock, 'accept', socket);
      winsock.WSAResetEvent(this.#event);
      winsock.WSAWaitForMultipleEvents(1, [this.#event], false, SLICE_MS, false);
      await breathe(signal);
      deadline.check();
    }
  }

  close(): void {
    this.#winsock.closesocket(this.#listener);
    this.#winsock.WSACloseEvent(this.#event);
  }
}

export function connectTo(host: Host, address: string, port: number): number {
  const { winsock } = host;
  const socket = newSocket(winsock);
  const name = spi.sockaddrIn(address, port);
  must(winsock, 'connect', winsock.connect(socket, name, name.length));
  return socket;
}

function newSocket(winsock: Winsock): number {
  const socket = winsock.WSASocket(
    spi.AF_INET,
    spi.SOCK_STREAM,
    spi.IPPROTO_TCP,
    null,
    0,
    spi.WSA_FLAG_OVERLAPPED,
  );
  return must(winsock, 'WSASocket', socket);
}

/** One slot of one direction: a buffer, and the operation that runs on it. */
class Slot {
  readonly overlapped: spi.WSAOVERLAPPED;
  readonly buffers: readonly [spi.WSABUF];
  readonly events: readonly number[];
  readonly memory: Uint8Array;
  /** Tells the completion routine from nobody's, where routines are the way. */
  readonly routine: spi.WSAOVERLAPPED_COMPLETION_ROUTINE | null;
  /** What the routine was told: -1 while the operation is pending. */
  count = -1;
  error = 0;
  promise: Promise<number> | null = null;
  /** Where the promise twins put the number of bytes. */
  readonly moved = spi.ref(0);

  constructor(memory: Uint8Array, event: number, hasRoutine: boolean) {
    this.memory = memory;
    this.overlapped = spi.createOverlapped(event);
    this.buffers = [{ len: memory.length, buf: memory }];
    this.events = [event];
    this.routine = hasRoutine
      ? (dwError, cbTransferred): void => {
          this.error = dwError;
          this.count = cbTransferred;
        }
      : null;
  }
}

/** A connected socket of an open host. Owns the socket, and the host unless told otherwise. */
export class AppEndpoint implements Endpoint {
  readonly host: Host;
  readonly socket: number;
  readonly slotBytes: number;
  readonly slotCount: number;
  readonly sendWords: Uint32Array;
  readonly receiveWords: Uint32Array;
  readonly descriptor: readonly number[] = [];
  readonly #winsock: Winsock;
  readonly #block: SlotBlock;
  readonly #sends: readonly Slot[];
  readonly #receives: readonly Slot[];
  readonly #mode: WaitMode;
  readonly #ownsHost: boolean;
  readonly #bytes = spi.ref(0);
  readonly #flags = spi.ref(0);
  /** Never signalled: what an alertable wait waits for. */
  readonly #never: readonly number[];
  /** The completion port, where that is the way, and which slot an outcome belongs to. */
  readonly #port: number;
  readonly #slotOf = new Map<spi.WSAOVERLAPPED, Slot>();
  readonly #key = spi.ref<spi.DWORD_PTR>(0);
  readonly #taken = spi.ref<spi.WSAOVERLAPPED | null>(null);

  /** Throws WsaError WSAENOBUFS when the host's memory cannot hold the slots. */
  constructor(host: Host, socket: number, options: EndpointOptions) {
    const block = new SlotBlock(host, options);
    this.host = host;
    this.socket = socket;
    this.#winsock = host.winsock;
    this.#block = block;
    this.#mode = options.mode;
    this.#ownsHost = options.ownsHost ?? true;
    this.slotBytes = block.slotBytes;
    this.slotCount = block.slotCount;
    this.sendWords = block.sendWords;
    this.receiveWords = block.receiveWords;
    this.#never = options.mode === 'routine' ? [host.winsock.WSACreateEvent()] : [];
    this.#sends = this.#slots(block.sending);
    this.#receives = this.#slots(block.receiving);
    this.#port = options.mode === 'port' ? this.#makePort() : 0;
  }

  /** The memory of a sending slot, for whoever fills it. */
  sendMemory(slot: number): Uint8Array {
    return (this.#sends[slot] as Slot).memory;
  }

  receiveMemory(slot: number): Uint8Array {
    return (this.#receives[slot] as Slot).memory;
  }

  aim(): void {
    throw new TypeError('there is no RDMA above the switch');
  }

  startWrite(): void {
    this.aim();
  }

  startRead(): void {
    this.aim();
  }

  drive(): void {
    this.host.progress();
  }

  postReceive(slot: number, bytes: number): void {
    const one = this.#receives[slot] as Slot;
    const { buffers, overlapped, routine } = one;
    buffers[0].len = bytes;
    if (this.#mode === 'promise') {
      one.promise = this.#promise(
        this.#winsock.promises.WSARecv(this.socket, buffers, 1, one.moved, spi.ref(0)),
      );
      return;
    }
    one.count = -1;
    this.#flags.value = 0;
    const { socket } = this;
    const failed =
      this.#winsock.WSARecv(socket, buffers, 1, null, this.#flags, overlapped, routine) !== 0;
    if (failed) this.#mustBePending('WSARecv');
  }

  startSend(slot: number, bytes: number): void {
    const one = this.#sends[slot] as Slot;
    const { buffers, overlapped, routine } = one;
    buffers[0].len = bytes;
    if (this.#mode === 'promise') {
      one.promise = this.#promise(this.#winsock.promises.WSASend(this.socket, buffers, 1, null, 0));
      return;
    }
    one.count = -1;
    const { socket } = this;
    const failed = this.#winsock.WSASend(socket, buffers, 1, null, 0, overlapped, routine) !== 0;
    if (failed) this.#mustBePending('WSASend');
  }

  awaitReceive(slot: number): number {
    return this.#await(this.#receives[slot] as Slot, 'WSARecv');
  }

  awaitSend(slot: number): void {
    this.#await(this.#sends[slot] as Slot, 'WSASend');
  }

  async received(slot: number): Promise<number> {
    const { promise, moved } = this.#receives[slot] as Slot;
    await promise;
    return moved.value;
  }

  async sent(slot: number): Promise<void> {
    await (this.#sends[slot] as Slot).promise;
  }

  /** Waits up to `timeoutMs` for a slot's receive; -1 when it is still pending. */
  tryReceive(slot: number, timeoutMs: number): number {
    return this.#try(this.#receives[slot] as Slot, 'WSARecv', timeoutMs);
  }

  trySend(slot: number, timeoutMs: number): number {
    return this.#try(this.#sends[slot] as Slot, 'WSASend', timeoutMs);
  }

  /** Ends the sending direction: the far side's receive then returns 0. */
  finish(): void {
    must(this.#winsock, 'shutdown', this.#winsock.shutdown(this.socket, spi.SD_SEND));
  }

  async close(): Promise<void> {
    this.#winsock.closesocket(this.socket);
    for (const slot of [...this.#sends, ...this.#receives]) {
      if (slot.overlapped.hEvent !== 0) this.#winsock.WSACloseEvent(slot.overlapped.hEvent);
    }
    for (const event of this.#never) this.#winsock.WSACloseEvent(event);
    if (this.#port !== 0) this.#winsock.CloseHandle(this.#port);
    this.#block.free();
    if (this.#ownsHost) await this.host.close();
  }

  #slots(half: Uint8Array): Slot[] {
    return this.#block.slotsOf(half).map((memory) => {
      const event = this.#mode === 'sleep' ? this.#winsock.WSACreateEvent() : 0;
      return new Slot(memory, event, this.#mode === 'routine');
    });
  }

  /** Closing the socket fails what is pending, and nobody may be waiting for it. */
  #promise(promise: Promise<number>): Promise<number> {
    promise.catch(() => undefined);
    return promise;
  }

  #makePort(): number {
    const winsock = this.#winsock;
    const port = winsock.CreateIoCompletionPort(this.socket, 0, 0, 1);
    if (port === 0) throw new spi.WsaError(winsock.WSAGetLastError(), { call: 'a port' });
    for (const slot of [...this.#sends, ...this.#receives]) this.#slotOf.set(slot.overlapped, slot);
    return port;
  }

  #await(slot: Slot, call: string): number {
    if (this.#mode === 'routine') return this.#awaitRoutine(slot, call);
    if (this.#mode === 'port') return this.#awaitPort(slot, call);
    if (this.#mode === 'sleep') {
      const count = this.#try(slot, call, PATIENCE_MS);
      if (count < 0) throw new DeadlineError(call);
      return count;
    }
    const { socket } = this;
    let polls = 0;
    let deadline: Deadline | null = null;
    while (
      !this.#winsock.WSAGetOverlappedResult(
        socket,
        slot.overlapped,
        this.#bytes,
        false,
        this.#flags,
      )
    ) {
      this.#mustBeIncomplete(call);
      if (++polls % POLLS_PER_CLOCK_READ !== 0) continue;
      this.host.progress();
      deadline ??= new Deadline(PATIENCE_NANOS, call);
      deadline.check();
    }
    return this.#bytes.value;
  }

  #awaitRoutine(slot: Slot, call: string): number {
    while (slot.count < 0) {
      const why = this.#winsock.WSAWaitForMultipleEvents(1, this.#never, false, PATIENCE_MS, true);
      if (why === spi.WSA_WAIT_TIMEOUT) throw new DeadlineError(call);
    }
    if (slot.error !== 0) throw new spi.WsaError(slot.error, { call });
    return slot.count;
  }

  /** Takes packets, whichever slot they are of, until this slot's has come. */
  #awaitPort(slot: Slot, call: string): number {
    const winsock = this.#winsock;
    const taken = this.#taken;
    while (slot.count < 0) {
      const isGood = winsock.GetQueuedCompletionStatus(
        this.#port,
        this.#bytes,
        this.#key,
        taken,
        PATIENCE_MS,
      );
      if (taken.value === null) throw new DeadlineError(call);
      const found = this.#slotOf.get(taken.value);
      if (found === undefined) throw new TypeError('a packet of nobody');
      found.count = this.#bytes.value;
      found.error = isGood ? 0 : winsock.WSAGetLastError();
    }
    if (slot.error !== 0) throw new spi.WsaError(slot.error, { call });
    return slot.count;
  }

  #try(slot: Slot, call: string, timeoutMs: number): number {
    const { socket } = this;
    const overlapped = slot.overlapped;
    // The event first: it may be signalled already, and nothing but the wait drives progress.
    this.#winsock.WSAWaitForMultipleEvents(1, slot.events, false, timeoutMs, false);
    if (this.#winsock.WSAGetOverlappedResult(socket, overlapped, this.#bytes, false, this.#flags)) {
      return this.#bytes.value;
    }
    this.#mustBeIncomplete(call);
    return -1;
  }

  #mustBePending(call: string): void {
    const error = this.#winsock.WSAGetLastError();
    if (error !== spi.WSA_IO_PENDING) throw new spi.WsaError(error, { call });
  }

  #mustBeIncomplete(call: string): void {
    const error = this.#winsock.WSAGetLastError();
    if (error !== spi.WSA_IO_INCOMPLETE) throw new spi.WsaError(error, { call });
  }
}
