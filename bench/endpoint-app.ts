// A connection of an application: WSASend and WSARecv through the switch, overlapped, with the results
// fetched by WSAGetOverlappedResult. Spins on them, or waits for their events where threads share
// cores. Sources: W4, W8.1, W9.11, W9.12.

import { openHost } from '../index.js';
import type { Host, Winsock } from '../index.js';
import * as spi from '../provider/spi/index.js';
import type { Endpoint, WaitMode } from './endpoint.js';
import { PATIENCE_NANOS, POLLS_PER_CLOCK_READ, SLOT_COUNT } from './endpoint.js';
import type { HostPlan } from './host-plan.js';
import { hostOptions } from './host-plan.js';
import { breathe, Deadline, DeadlineError } from './measure.js';

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
export function listenOn(host: Host): { readonly listener: number; readonly port: number } {
  const { winsock } = host;
  const listener = newSocket(winsock);
  const name = spi.sockaddrIn(host.address, 0);
  must(winsock, 'bind', winsock.bind(listener, name, name.length));
  must(winsock, 'listen', winsock.listen(listener, 1));
  must(winsock, 'getsockname', winsock.getsockname(listener, name, spi.ref(name.length)));
  return { listener, port: spi.sockaddrPort(name) };
}

/** Accepts one connection within `PATIENCE_NANOS`, with an eye on `signal`. Closes the listener. */
export async function acceptOne(
  host: Host,
  listener: number,
  signal: AbortSignal,
): Promise<number> {
  const { winsock } = host;
  const event = winsock.WSACreateEvent();
  const deadline = new Deadline(PATIENCE_NANOS, 'the connection request');
  try {
    must(winsock, 'WSAEventSelect', winsock.WSAEventSelect(listener, event, spi.FD_ACCEPT));
    while (winsock.WSAWaitForMultipleEvents(1, [event], false, SLICE_MS, false) !== 0) {
      await breathe(signal);
      deadline.check();
    }
    const socket = must(winsock, 'accept', winsock.accept(listener, null, null));
    // It inherits the selection. [W10.13]
    must(winsock, 'WSAEventSelect', winsock.WSAEventSelect(socket, 0, 0));
    return socket;
  } finally {
    winsock.closesocket(listener);
    winsock.WSACloseEvent(event);
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

  constructor(memory: Uint8Array, event: number) {
    this.memory = memory;
    this.overlapped = spi.createOverlapped(event);
    this.buffers = [{ len: memory.length, buf: memory }];
    this.events = [event];
  }
}

/** A connected socket of an open host, with memory of VirtualAlloc. Owns the socket and the host. */
export class AppEndpoint implements Endpoint {
  readonly host: Host;
  readonly socket: number;
  readonly slotBytes: number;
  readonly sendWords: Uint32Array;
  readonly receiveWords: Uint32Array;
  readonly #winsock: Winsock;
  readonly #memory: Uint8Array;
  readonly #sends: readonly Slot[];
  readonly #receives: readonly Slot[];
  readonly #mode: WaitMode;
  readonly #bytes = spi.ref(0);
  readonly #flags = spi.ref(0);

  /** Throws WsaError WSAENOBUFS when the host's memory cannot hold the slots. */
  constructor(host: Host, socket: number, options: { slotBytes: number; mode: WaitMode }) {
    const half = SLOT_COUNT * options.slotBytes;
    const memory = host.VirtualAlloc(2 * half);
    if (memory === null) throw new spi.WsaError(spi.WSAENOBUFS, { call: 'VirtualAlloc' });
    this.host = host;
    this.socket = socket;
    this.slotBytes = options.slotBytes;
    this.#winsock = host.winsock;
    this.#memory = memory;
    this.#mode = options.mode;
    this.sendWords = new Uint32Array(memory.buffer, memory.byteOffset, half / 4);
    this.receiveWords = new Uint32Array(memory.buffer, memory.byteOffset + half, half / 4);
    this.#sends = this.#slots(0);
    this.#receives = this.#slots(half);
  }

  /** The memory of a sending slot, for whoever fills it. */
  sendMemory(slot: number): Uint8Array {
    return (this.#sends[slot] as Slot).memory;
  }

  receiveMemory(slot: number): Uint8Array {
    return (this.#receives[slot] as Slot).memory;
  }

  postReceive(slot: number, bytes: number): void {
    const { buffers, overlapped } = this.#receives[slot] as Slot;
    buffers[0].len = bytes;
    this.#flags.value = 0;
    const { socket } = this;
    const failed =
      this.#winsock.WSARecv(socket, buffers, 1, null, this.#flags, overlapped, null) !== 0;
    if (failed) this.#mustBePending('WSARecv');
  }

  startSend(slot: number, bytes: number): void {
    const { buffers, overlapped } = this.#sends[slot] as Slot;
    buffers[0].len = bytes;
    const failed = this.#winsock.WSASend(this.socket, buffers, 1, null, 0, overlapped, null) !== 0;
    if (failed) this.#mustBePending('WSASend');
  }

  awaitReceive(slot: number): number {
    return this.#await(this.#receives[slot] as Slot, 'WSARecv');
  }

  awaitSend(slot: number): void {
    this.#await(this.#sends[slot] as Slot, 'WSASend');
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
    this.host.VirtualFree(this.#memory);
    await this.host.close();
  }

  #slots(from: number): Slot[] {
    return Array.from({ length: SLOT_COUNT }, (_, index) => {
      const start = from + index * this.slotBytes;
      const event = this.#mode === 'sleep' ? this.#winsock.WSACreateEvent() : 0;
      return new Slot(this.#memory.subarray(start, start + this.slotBytes), event);
    });
  }

  #await(slot: Slot, call: string): number {
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
      deadline ??= new Deadline(PATIENCE_NANOS, call);
      deadline.check();
    }
    return this.#bytes.value;
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
