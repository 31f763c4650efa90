// The receives of a connection at its provider, and what comes of them: takes the messages that have come,
// the short way where the session is at ease, and posts their buffers again when nobody waits for this side.
// All that the short way needs lies in this one object. Never does anything from inside an upcall. Sources:
// XFER-05, OVL-01 to OVL-04, OVL-14, WSPRECV-03, GOR-05; docs/decisions/0085-put-off.md.

import * as wsa from '../provider/spi/error-codes.js';
import { wsaErrorOfStatus } from '../provider/spi/ntstatus.js';
import type { WSABUF, WSAOVERLAPPED } from '../provider/spi/winsock2.js';
import { createOverlapped, INVALID_SOCKET, ref } from '../provider/spi/winsock2.js';
import type { SanProcTable } from '../provider/spi/ws2spi.js';
import { WSS_OPERATION_IN_PROGRESS } from '../provider/spi/ws2spi.js';
import { assert } from '../runtime/assert.js';
import type { AppRequest, RequestPool } from './app-request.js';
import type { Session } from './session/session.js';
import type { ShortWay } from './session/short-way.js';

/** The rest of the connection. */
export interface ReceivingShell {
  /** The SAN connection is lost, but that has not been told yet. */
  readonly isLossHeld: boolean;
  /** A receive has failed, or found a message that goes the long way. */
  receiveEnded(index: number, error: number, bytes: number): void;
  /** A receive of the application has got its data, and nothing else has happened. */
  received(): void;
  /** Something is to be done in the next turn. */
  queue(): void;
  lost(error: number): void;
  drain(): void;
}

export interface ReceivingOptions {
  readonly procs: SanProcTable;
  readonly descriptor: number;
  readonly session: Session;
  readonly requests: RequestPool;
  readonly buffers: readonly Uint8Array[];
  /** Receives that are posted from the start; the session may post more. */
  readonly firstCount: number;
  readonly messageBytes: number;
  /** hEvent of every receive. [OVL-06] */
  readonly event: number;
  readonly shell: ReceivingShell;
}

/** Receives that may wait to be posted again: few of the peer's credits, so that it never notices. */
const SPENT_MAX = 4;

// V8 checks an import at every use, and a constant of the module once.
const IN_PROGRESS = WSS_OPERATION_IN_PROGRESS;
const { WSA_IO_PENDING } = wsa;

// For every connection of the thread: a provider keeps nothing of them, calls do not nest, and what each
// connection had for itself would never be in a cache when there are many.
const oneBuffer: WSABUF = { len: 0, buf: null };
const oneBufferArray: readonly WSABUF[] = [oneBuffer];
const bytesReceived = ref(0);
const flagsReceived = ref(0);
const errno = ref(0);

export class Receiving {
  private readonly session: Session;
  private readonly shortWay: ShortWay;
  private readonly requests: RequestPool;
  private readonly shell: ReceivingShell;
  private readonly procs: SanProcTable;
  /** As many as have been posted at once: more come when the session posts one that is not there. */
  private readonly receives: WSAOVERLAPPED[] = [];
  private readonly event: number;
  private readonly buffers: readonly Uint8Array[];
  private readonly messageBytes: number;
  private spentMax = 0;
  private s: number;
  /**
   * Receives under way: so many from `oldest` on, and round. They are posted in the order of their
   * indexes, which is the order in which messages fill and leave them. [OVL-14]
   */
  private out = 0;
  private oldest = 0;
  /** Receives that were taken and are to be posted again. */
  private spent = 0;
  /** The provider has refused a receive: the connection goes. */
  private isRefused = false;

  constructor(options: ReceivingOptions) {
    const { session, buffers, event, firstCount } = options;
    this.session = session;
    this.shortWay = session.shortWay;
    this.requests = options.requests;
    this.shell = options.shell;
    this.procs = options.procs;
    this.event = event;
    for (let index = 0; index < firstCount; index++) this.addReceive();
    this.buffers = buffers;
    this.messageBytes = options.messageBytes;
    this.s = options.descriptor;
  }

  /** No receive has its hands on memory of the connection. */
  get isIdle(): boolean {
    return this.out === 0;
  }

  /** Receives wait to be posted again. */
  get hasDebts(): boolean {
    return this.spent > 0;
  }

  /** Whether the oldest receive has ended: what an upcall has noted, or an inline completion. */
  get hasReceived(): boolean {
    return this.out > 0 && this.receives[this.oldest]?.Internal !== IN_PROGRESS;
  }

  /**
   * Somebody polls for the next message: has the provider look for it, takes it if it is there, and does
   * nothing else. [OVL-04, GOR-05]
   */
  poll(): void {
    if (this.out === 0) return;
    const overlapped = this.receives[this.oldest] as WSAOVERLAPPED;
    if (overlapped.Internal === IN_PROGRESS) {
      if (this.s === INVALID_SOCKET) return;
      const { lpWSPGetOverlappedResult } = this.procs;
      lpWSPGetOverlappedResult(this.s, overlapped, bytesReceived, false, flagsReceived, errno);
      if (isPending(overlapped)) return;
    }
    this.take(overlapped);
  }

  /** Takes all receives that have ended, in order. Returns how many. */
  takeAll(): number {
    let work = 0;
    while (this.hasReceived) {
      this.take(this.receives[this.oldest] as WSAOVERLAPPED);
      work++;
    }
    return work;
  }

  /** Posts again what was put off. Returns how many receives. */
  payDebts(): number {
    if (this.spent === 0) return 0;
    let work = 0;
    while (this.spent > 0 && !this.session.isOver && !this.shell.isLossHeld) {
      this.spent--;
      const error = this.post(this.nextReceive);
      if (error === 0) this.shortWay.reposted();
      else this.shell.lost(lossError(error));
      work++;
    }
    if (this.session.hasWork || this.shell.isLossHeld) this.shell.drain();
    return work;
  }

  /** Posts receive buffer `index`, whose turn it is. 0, or the error with which the connection is gone. */
  post(index: number): number {
    if (index === this.receives.length) this.addReceive();
    if (index !== this.nextReceive) {
      // The connection is going; what was to be posted behind a refused receive has no turn.
      assert(this.isRefused, 'receive buffers are posted in turn');
      return 0;
    }
    const overlapped = this.receives[index] as WSAOVERLAPPED;
    overlapped.InternalHigh = 0;
    overlapped.Internal = IN_PROGRESS;
    flagsReceived.value = 0;
    // Counted before the call: the completion may come from inside it.
    this.out++;
    const { lpWSPRecv } = this.procs;
    const buffers = this.withBuffer(index);
    const bytes = bytesReceived;
    if (lpWSPRecv(this.s, buffers, 1, bytes, flagsReceived, overlapped, null, null, errno) === 0) {
      overlapped.InternalHigh = bytes.value;
      overlapped.Internal = 0;
      this.shell.queue();
      return 0;
    }
    const error = errno.value;
    if (error === WSA_IO_PENDING) return 0;
    this.out--;
    this.isRefused = true;
    return error;
  }

  /** The SAN socket has been closed; the receives that are out end when the provider says so. */
  close(): void {
    this.s = INVALID_SOCKET;
  }

  /** Those that have ended after the close are of no use to anybody. */
  dropReceived(): void {
    while (this.hasReceived) this.shift();
  }

  /** The provider did not end its calls after the close: they count as aborted. */
  abandon(): void {
    this.out = 0;
  }

  /** What the shipped switch was seen doing; the answer is WSAENOTSOCK. [CLOSE-06] */
  callTooLate(): void {
    const overlapped = this.receives[0] as WSAOVERLAPPED;
    const { lpWSPGetOverlappedResult, lpWSPRecv } = this.procs;
    const s = INVALID_SOCKET;
    lpWSPGetOverlappedResult(s, overlapped, bytesReceived, false, flagsReceived, errno);
    flagsReceived.value = 0;
    const spare = createOverlapped();
    const buffers = this.withBuffer(0);
    lpWSPRecv(s, buffers, 1, bytesReceived, flagsReceived, spare, null, null, errno);
  }

  private addReceive(): void {
    this.receives.push(createOverlapped(this.event));
    this.spentMax = Math.min(SPENT_MAX, this.receives.length >> 2);
  }

  private take(overlapped: WSAOVERLAPPED): void {
    const index = this.oldest;
    this.shift();
    const received =
      overlapped.Internal === 0 ? this.shortWay.receive(index, overlapped.InternalHigh) : null;
    if (received === null) {
      this.takeLong(index, overlapped);
      return;
    }
    this.requests.received(received.owner as AppRequest, received.bytes);
    const spent = this.spent + 1;
    this.spent = spent;
    if (spent >= this.spentMax) this.payDebts();
    else this.shell.queue();
    this.shell.received();
  }

  private takeLong(index: number, { Internal, InternalHigh }: WSAOVERLAPPED): void {
    const error = Internal === 0 ? 0 : wsaErrorOfStatus(Internal);
    // Buffers are posted in turn, and the session is about to ask for this one.
    if (error === 0) this.payDebts();
    this.shell.receiveEnded(index, error, InternalHigh);
  }

  /** The oldest receive counts as out no more. */
  private shift(): void {
    const next = this.oldest + 1;
    this.oldest = next < this.receives.length ? next : 0;
    this.out--;
  }

  private get nextReceive(): number {
    const next = this.oldest + this.out;
    const { length } = this.receives;
    return next < length ? next : next - length;
  }

  private withBuffer(index: number): readonly WSABUF[] {
    oneBuffer.buf = this.buffers[index] as Uint8Array;
    oneBuffer.len = this.messageBytes;
    return oneBufferArray;
  }
}

/**
 * What a lost connection means to the application: a receive that was flushed although nobody here
 * closed is a connection that the other side lost. [CLOSE-01, WSPRECV-07, W14.19]
 */
export function lossError(error: number): number {
  return error === wsa.WSA_OPERATION_ABORTED ? wsa.WSAECONNRESET : error;
}

/** A function, because what it reads changes behind calls. */
function isPending(overlapped: WSAOVERLAPPED): boolean {
  return overlapped.Internal === IN_PROGRESS;
}
