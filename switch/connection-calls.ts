// The sends and RDMA calls that one connection has under way at its provider: tagged, polled. Keeps to the provider's queue depth by holding calls
// back. Knows no session: it reports ends to CallEnds, never from inside an upcall. Sources: OVL-01
// to OVL-12, WSPSEND-06 to -10, WSPRECV-03, RDMA-02, REGRDMA-03, MEM-08, IMPL-01, CLOSE-06.

import * as wsa from '../provider/spi/error-codes.js';
import { wsaErrorOfStatus } from '../provider/spi/ntstatus.js';
import type { WSABUF, WSAOVERLAPPED, WSAPROTOCOL_INFO } from '../provider/spi/winsock2.js';
import { createOverlapped, INVALID_SOCKET, ref } from '../provider/spi/winsock2.js';
import type { SanExtensions, WSABUFEX } from '../provider/spi/ws2san.js';
import type { SanProcTable } from '../provider/spi/ws2spi.js';
import { WSS_OPERATION_IN_PROGRESS } from '../provider/spi/ws2spi.js';
import { assert } from '../runtime/assert.js';
import type { ConnectionMemory } from './connection-memory.js';
import type { SessionAction } from './session/actions.js';
import { ActionKind } from './session/actions.js';
import type { SessionLimits } from './session/limits.js';
import type { RegistrationCache } from './registration-cache.js';
import type { Receiving } from './receiving.js';
import { Registrations } from './registrations.js';
import { Ring } from './ring.js';

/** What a connection wants to know about its calls. */
export interface CallEnds {
  sendEnded(index: number, error: number): void;
  transferEnded(slot: number, error: number): void;
}

export interface CallsOptions {
  readonly procs: SanProcTable;
  readonly extensions: SanExtensions;
  readonly descriptor: number;
  readonly memory: ConnectionMemory;
  readonly limits: SessionLimits;
  readonly slotCount: number;
  readonly cache: RegistrationCache;
  readonly probesDescriptorLength: boolean;
  /** Sends and RDMA calls that the provider takes at once. */
  readonly queueDepth: number;
  /** hEvent of every call here, tagged. [OVL-05, WSPSEND-08] */
  readonly taggedEvent: number;
  /** The calls that are not here. */
  readonly receiving: Receiving;
  readonly ends: CallEnds;
}

/**
 * The buffer that a WSPSend or WSPRecv of a message names, for every connection of the thread: a
 * provider keeps nothing of the array, and what each connection had for each call would never be in a
 * cache when there are many.
 */
const oneBuffer: WSABUF = { len: 0, buf: null };
const oneBufferArray: readonly WSABUF[] = [oneBuffer];

class Slot {
  pending = false;
  isRead = false;
  readonly overlapped: WSAOVERLAPPED = createOverlapped();
  readonly buffers: WSABUFEX[] = [{ len: 0, buf: null, handle: 0 }];
  remote: Uint8Array | null = null;
  remoteLength = 0;
  remoteOffset = 0;
}

/** A held-back call is its send buffer's index, or its slot above this bit. */
const SLOT_BIT = 0x1_0000;

export class ConnectionCalls {
  readonly registrations: Registrations;
  private readonly options: CallsOptions;
  private readonly procs: SanProcTable;
  private readonly ends: CallEnds;
  private readonly memory: ConnectionMemory;
  private readonly receiving: Receiving;
  /** Made when their buffer or slot is first used: most connections use few. */
  private readonly sends: (WSAOVERLAPPED | undefined)[];
  /** Bytes of the message in each send buffer whose call is held back. */
  private readonly heldLengths: number[] = [];
  private readonly slots: (Slot | undefined)[];
  private readonly sendsOut: Ring;
  /** Sends out at which their ends are asked for: when the next one goes, and in turns. */
  private reclaimAt = 0;
  private turnsAt = 0;
  private readonly held: Ring;
  private readonly transfersOut: number[] = [];
  /** No call is out or held back, so that a send need not look at where they are kept. */
  private isQuiet = true;
  private s: number;
  isClosed = false;
  private readonly bytes = ref(0);
  private readonly flags = ref(0);
  private readonly errno = ref(0);

  constructor(options: CallsOptions) {
    const { memory, limits } = options;
    this.options = options;
    this.procs = options.procs;
    this.ends = options.ends;
    this.memory = memory;
    this.receiving = options.receiving;
    this.registrations = new Registrations(options.descriptor, options);
    this.s = options.descriptor;
    this.sends = new Array<WSAOVERLAPPED | undefined>(limits.sendCount).fill(undefined);
    this.slots = new Array<Slot | undefined>(options.slotCount).fill(undefined);
    this.sendsOut = new Ring(limits.sendCount);
    this.held = new Ring(limits.sendCount + options.slotCount);
    this.countSends(limits.firstSendCount);
  }

  /** There begins to be need of the send buffers that are out. */
  get mayReclaim(): boolean {
    return this.sendsOut.length >= this.reclaimAt;
  }

  /** Nobody but turns would find out about the end of a call. */
  get needsTurns(): boolean {
    return this.isAwaited || this.sendsOut.length >= this.turnsAt;
  }

  /** Somebody waits for the end of a call: RDMA, or a call that is held back. */
  get isAwaited(): boolean {
    return this.transfersOut.length > 0 || this.held.length > 0;
  }

  /** No call has its hands on memory of the connection or the application. */
  get isIdle(): boolean {
    const transfers = this.transfersOut.length;
    return this.receiving.isIdle && this.sendsOut.length === 0 && transfers === 0;
  }

  /** The send buffers behind the first ones, from now on; false when there is no memory for them. */
  lendSends(): boolean {
    const isLent = this.registrations.lendSends();
    if (isLent) this.countSends(this.options.limits.sendCount);
    return isLent;
  }

  private countSends(count: number): void {
    this.reclaimAt = Math.max(1, count >> 1);
    this.turnsAt = Math.max(this.reclaimAt, Math.min(count, 2));
  }

  /**
   * Sends the first `length` bytes of send buffer `index`. Whether it has ended well in the call, as one
   * does that a provider takes at once; anything else was reported, or is to come.
   */
  send(index: number, length: number): boolean {
    if (this.isQuiet || !this.mustHold()) return this.startSend(index, length);
    this.heldLengths[index] = length;
    this.held.push(index);
    return false;
  }

  transfer(action: SessionAction): void {
    const slot = (this.slots[action.slot] ??= new Slot());
    assert(!slot.pending, 'a slot has one RDMA call at a time');
    const buffer = slot.buffers[0] as WSABUFEX;
    // A view per RDMA call: the call's buffer starts where the piece starts. Not the message path.
    buffer.buf = (action.buffer as Uint8Array).subarray(
      action.offset,
      action.offset + action.length,
    );
    buffer.len = action.length;
    buffer.handle = this.registrations.handleOf(action.registrationSlot);
    slot.isRead = action.kind === ActionKind.rdmaRead;
    slot.remote = (action.descriptor as Uint8Array).subarray(0, action.descriptorLength);
    slot.remoteLength = action.descriptorLength;
    slot.remoteOffset = action.remoteOffset;
    slot.pending = true;
    this.isQuiet = false;
    if (this.mustHold()) this.held.push(action.slot | SLOT_BIT);
    else this.startTransfer(action.slot);
  }

  /**
   * Fetches what has ended of the tagged calls, oldest first, and starts what was held back.
   * `drive` asks the provider even when the structure says "in progress": some move only when
   * asked (GOR-05). Returns how many ended.
   */
  poll(drive: boolean): number {
    let ended = 0;
    for (let index = this.sendsOut.oldest; index >= 0; index = this.sendsOut.oldest) {
      const overlapped = at(this.sends, index);
      const error = this.result(overlapped, drive);
      if (error === wsa.WSA_IO_INCOMPLETE) break;
      this.sendsOut.shift();
      ended++;
      this.ends.sendEnded(index, error);
    }
    for (let position = 0; position < this.transfersOut.length; ) {
      const index = this.transfersOut[position] as number;
      const error = this.result(at(this.slots, index).overlapped, drive);
      if (error === wsa.WSA_IO_INCOMPLETE) {
        position++;
        continue;
      }
      this.transfersOut.splice(position, 1);
      this.endTransfer(index, error);
      ended++;
    }
    while (this.held.length > 0 && !this.isFull() && !this.isClosed) this.startHeld();
    this.isQuiet = this.sendsOut.length === 0 && !this.isAwaited;
    return ended;
  }

  /**
   * Closes the SAN socket: deregisters what no pending call uses (MEM-08), then WSPCloseSocket. Calls
   * that were held back end here; the others end when the provider says so.
   */
  close(lateCalls: boolean): void {
    if (this.isClosed) return;
    const held: number[] = [];
    while (this.held.length > 0) held.push(this.held.shift());
    this.registrations.deregisterUnused({
      sends: this.sendsOut.length > 0,
      receives: !this.receiving.isIdle,
      handles: this.transfersOut.map((slot) => at(this.slots, slot).buffers[0]?.handle ?? 0),
    });
    this.procs.lpWSPCloseSocket(this.s, this.errno);
    this.s = INVALID_SOCKET;
    this.isClosed = true;
    this.receiving.close();
    if (lateCalls) this.receiving.callTooLate();
    for (const call of held) {
      if (call >= SLOT_BIT) this.endTransfer(call & ~SLOT_BIT, wsa.WSA_OPERATION_ABORTED);
    }
  }

  /**
   * Hands the connection to another process, with nothing but receives pending: what names it there goes
   * into `info`, and the socket is closed. 0, or the error, after which the connection goes on, or
   * INVALID_SOCKET when it cannot. [DUP-08, DUP-09, DUP-11]
   */
  handOver(processId: number, info: WSAPROTOCOL_INFO): number {
    assert(!this.receiving.hasDebts, 'all receives that are counted as posted are posted');
    const { lpWSPDuplicateSocket } = this.procs;
    this.registrations.deregisterUnused({ sends: false, receives: true, handles: [] });
    const errno = ref(0);
    if (lpWSPDuplicateSocket(this.s, processId, info, errno) !== 0) {
      return this.registrations.registerAgain() ? errno.value : INVALID_SOCKET;
    }
    this.procs.lpWSPCloseSocket(this.s, this.errno);
    this.s = INVALID_SOCKET;
    this.isClosed = true;
    this.receiving.close();
    return 0;
  }

  /** The provider did not end its calls after the close: they count as aborted. */
  abandon(): void {
    this.receiving.abandon();
    while (this.sendsOut.length > 0) this.sendsOut.shift();
    for (const slot of this.transfersOut.splice(0)) {
      this.endTransfer(slot, wsa.WSA_OPERATION_ABORTED);
    }
  }

  private mustHold(): boolean {
    return this.held.length > 0 || this.isFull();
  }

  private isFull(): boolean {
    return this.sendsOut.length + this.transfersOut.length >= this.options.queueDepth;
  }

  private startHeld(): void {
    const call = this.held.shift();
    if (call >= SLOT_BIT) this.startTransfer(call & ~SLOT_BIT);
    else if (this.startSend(call, at(this.heldLengths, call))) this.ends.sendEnded(call, 0);
  }

  /** See send(). */
  private startSend(index: number, length: number): boolean {
    const overlapped = (this.sends[index] ??= createOverlapped(this.options.taggedEvent));
    const buffers = withBuffer(at(this.memory.sendBuffers, index), length);
    overlapped.Internal = WSS_OPERATION_IN_PROGRESS;
    const { lpWSPSend } = this.procs;
    const errno = this.errno;
    if (lpWSPSend(this.s, buffers, 1, this.bytes, 0, overlapped, null, null, errno) === 0) {
      return true;
    }
    let error = errno.value;
    if (error === wsa.WSA_IO_PENDING) {
      // Over already, most likely: asked for now it costs less than a place in the queue. [WSPSEND-07]
      error = this.sendsOut.length > 0 ? wsa.WSA_IO_INCOMPLETE : this.result(overlapped, false);
      if (error === 0) return true;
      if (error === wsa.WSA_IO_INCOMPLETE) {
        this.isQuiet = false;
        this.sendsOut.push(index);
        return false;
      }
    }
    this.ends.sendEnded(index, error);
    return false;
  }

  private startTransfer(index: number): void {
    const slot = at(this.slots, index);
    const { WSPRdmaRead, WSPRdmaWrite } = this.options.extensions;
    const call = slot.isRead ? WSPRdmaRead : WSPRdmaWrite;
    assert(call !== null, 'only a provider with WSPRdmaRead is asked to read');
    slot.overlapped.hEvent = this.options.taggedEvent;
    slot.overlapped.Internal = WSS_OPERATION_IN_PROGRESS;
    const { buffers, remote, remoteLength, remoteOffset, overlapped } = slot;
    const bytes = this.bytes;
    const errno = this.errno;
    const failed =
      call(
        this.s,
        buffers,
        1,
        remote,
        remoteLength,
        remoteOffset,
        bytes,
        0,
        overlapped,
        null,
        null,
        errno,
      ) !== 0;
    if (failed && errno.value === wsa.WSA_IO_PENDING) this.transfersOut.push(index);
    else this.endTransfer(index, failed ? errno.value : 0);
  }

  private endTransfer(index: number, error: number): void {
    const slot = at(this.slots, index);
    slot.pending = false;
    (slot.buffers[0] as WSABUFEX).buf = null;
    slot.remote = null;
    this.ends.transferEnded(index, error);
  }

  /** 0, the operation's error, or WSA_IO_INCOMPLETE. [WSPSEND-07, OVL-10] */
  private result(overlapped: WSAOVERLAPPED, drive: boolean): number {
    const status = overlapped.Internal;
    if (status === WSS_OPERATION_IN_PROGRESS && (!drive || this.isClosed)) {
      return wsa.WSA_IO_INCOMPLETE;
    }
    if (this.isClosed) return wsaErrorOfStatus(status);
    const { lpWSPGetOverlappedResult } = this.procs;
    const errno = this.errno;
    const done = lpWSPGetOverlappedResult(this.s, overlapped, this.bytes, false, this.flags, errno);
    return done ? 0 : errno.value;
  }
}

function withBuffer(buf: Uint8Array, len: number): readonly WSABUF[] {
  oneBuffer.buf = buf;
  oneBuffer.len = len;
  return oneBufferArray;
}

function at<T>(items: readonly (T | undefined)[], index: number): T {
  const item = items[index];
  assert(item !== undefined, 'an index of this connection');
  return item;
}
