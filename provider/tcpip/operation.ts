// One transfer or control operation: what it moves, how far it is, and whom to tell. It must not know
// sockets. The provider owns the WSAOVERLAPPED as an installable-file-system provider does: it writes
// Internal and InternalHigh itself and answers for the indication. Sources: W5.9, W5.10, W5.14, W9.

import * as wsa from '../spi/errors.js';
import { statusOfWsaError, wsaErrorOfStatus } from '../spi/ntstatus.js';
import { WSS_OPERATION_IN_PROGRESS } from '../spi/ws2spi.js';
import type { WSPUpcallTable } from '../spi/ws2spi.js';
import type * as ws from '../spi/winsock2.js';

/** The low bits of hEvent are tags of the application's, not part of the handle. [W9.13.2] */
const EVENT_TAG_BITS = 3;

/** Whom an operation's end concerns. */
export interface Indication {
  readonly overlapped: ws.WSAOVERLAPPED | null;
  readonly routine: ws.WSAOVERLAPPED_COMPLETION_ROUTINE | null;
  /** The initiating thread, copied by value; null: the caller did not say. [W5.9] */
  readonly thread: ws.WSATHREADID | null;
}

/** What goes with the data of one message, and where what came with it is to be written. */
export interface Envelope {
  /** A send's destination in the kernel's form; null: the default peer. */
  readonly name: Uint8Array | null;
  /** A send's control data in the kernel's form. */
  readonly control: Uint8Array | null;
  /** A send to port 0: the kernel refuses what Windows lets vanish. [W15.8] */
  readonly isToNowhere: boolean;
  /** A send that reports what the network said of an earlier one. [W6.7] */
  readonly asksNetwork: boolean;
  /** A receive's lpFrom and lpFromlen. [W8.2.2] */
  readonly from: Uint8Array | null;
  readonly fromLength: ws.Ref<number> | null;
  /** A receive's WSAMSG. [W8.3] */
  readonly message: ws.WSAMSG | null;
}

/** Data alone, from or to whomever. */
export const PLAIN: Envelope = {
  name: null,
  control: null,
  isToNowhere: false,
  asksNetwork: false,
  from: null,
  fromLength: null,
  message: null,
};

export class Operation {
  /** What is left to move, front first; entries are captured, never the caller's array. [W4.8] */
  readonly buffers: (Uint8Array | null)[] = [];
  readonly lengths: number[] = [];
  remaining = 0;
  transferred = 0;
  /** MSG_* of Windows. */
  flags = 0;
  envelope: Envelope = PLAIN;
  /** null: a blocking caller looks at isDone, or nobody does. */
  indication: Indication | null = null;
  /** Holds data that was reported as sent: survives closesocket. [W12.4] */
  isCopied = false;
  isDone = false;
  error = 0;
  /** A message came and did not fit: WSAEMSGSIZE with a count. [W8.1.11] */
  isCut = false;

  /**
   * Captures the first `count` entries. 0, or WSAEFAULT when one of them is not what it says; the
   * operation is then empty.
   */
  capture(entries: readonly ws.WSABUF[], count: number, flags: number): number {
    this.clear();
    this.flags = flags;
    for (let index = 0; index < count; index++) {
      const entry = entries[index];
      if (entry === undefined || !isBufferOf(entry.buf, entry.len)) {
        this.clear();
        return wsa.WSAEFAULT;
      }
      this.buffers.push(entry.buf);
      this.lengths.push(entry.len);
      this.remaining += entry.len;
    }
    return 0;
  }

  clear(): void {
    this.buffers.length = 0;
    this.lengths.length = 0;
    this.remaining = 0;
    this.transferred = 0;
    this.flags = 0;
    this.envelope = PLAIN;
    this.isCut = false;
  }

  /** A separate operation in the same state, to be kept when the call returns. */
  detach(indication: Indication | null): Operation {
    const kept = new Operation();
    kept.buffers.push(...this.buffers);
    kept.lengths.push(...this.lengths);
    kept.remaining = this.remaining;
    kept.transferred = this.transferred;
    kept.flags = this.flags;
    kept.envelope = this.envelope;
    kept.indication = indication;
    return kept;
  }

  /** What is left, copied, so that the caller's memory is free again at the return. */
  detachCopy(): Operation {
    const copy = this.detach(null);
    copy.buffers.forEach((buffer, index) => {
      copy.buffers[index] = buffer?.slice(0, copy.lengths[index] ?? 0) ?? null;
    });
    copy.isCopied = true;
    return copy;
  }

  /** Counts `bytes` of the front as moved. */
  advance(bytes: number): void {
    this.transferred += bytes;
    this.remaining -= bytes;
    if (this.lengths.length === 1 && this.remaining === 0) {
      this.buffers.pop();
      this.lengths.pop();
      return;
    }
    let whole = 0;
    let left = bytes;
    while (whole < this.lengths.length && left >= (this.lengths[whole] ?? 0)) {
      left -= this.lengths[whole] ?? 0;
      whole++;
    }
    this.buffers.splice(0, whole);
    this.lengths.splice(0, whole);
    if (left === 0) return;
    this.buffers[0] = this.buffers[0]?.subarray(left) ?? null;
    this.lengths[0] = (this.lengths[0] ?? 0) - left;
  }

  /** Whether the memory is still there: a buffer may be detached while the operation is pending. */
  isIntact(): boolean {
    return this.buffers.every((buffer, index) => isBufferOf(buffer, this.lengths[index] ?? 0));
  }
}

function isBufferOf(buffer: Uint8Array | null, length: number): boolean {
  return length >>> 0 === length && length <= (buffer?.length ?? 0);
}

/** Copies the thread id, which the caller may reuse at once. [W5.9] */
export function indicationOf(
  overlapped: ws.WSAOVERLAPPED | null,
  routine: ws.WSAOVERLAPPED_COMPLETION_ROUTINE | null,
  thread: ws.WSATHREADID | null,
): Indication {
  return {
    overlapped,
    routine,
    thread:
      thread === null ? null : { ThreadHandle: thread.ThreadHandle, Reserved: thread.Reserved },
  };
}

/** An overlapped operation begins: its event is reset, unless a routine makes hEvent context. */
export function beginIndication(upcalls: WSPUpcallTable, indication: Indication): void {
  const { overlapped, routine } = indication;
  const event = eventOf(overlapped);
  if (routine === null && event !== 0) upcalls.lpWPUResetEvent(event, { value: 0 });
}

/** The operation goes on after the call: what a caller that polls sees. [W9.7] */
export function markPending(indication: Indication): void {
  if (indication.overlapped !== null) indication.overlapped.Internal = WSS_OPERATION_IN_PROGRESS;
}

interface ApcContext {
  readonly routine: ws.WSAOVERLAPPED_COMPLETION_ROUTINE;
  readonly error: number;
  readonly bytes: number;
  readonly overlapped: ws.WSAOVERLAPPED | null;
}

/** The provider's own APC, in the initiating thread. The flags are always 0. [W5.10, W9.9.6] */
function runRoutine(context: ws.DWORD_PTR): void {
  const { routine, error, bytes, overlapped } = context as ApcContext;
  routine(error, bytes, overlapped, 0);
}

/** Stores the outcome, the count before the status, and tells whoever waits. [W9.7, W5.14] */
export function indicate(
  upcalls: WSPUpcallTable,
  indication: Indication,
  error: number,
  bytes: number,
): void {
  const { overlapped, routine, thread } = indication;
  if (overlapped !== null) {
    const status = statusOfWsaError(error);
    overlapped.InternalHigh = bytes;
    if (wsaErrorOfStatus(status) !== error) overlapped.OffsetHigh = error;
    overlapped.Internal = status;
  }
  const lpErrno = { value: 0 };
  if (routine !== null && thread !== null) {
    const context: ApcContext = { routine, error, bytes, overlapped };
    // A thread that is gone takes its routines with it. [W9.10.2]
    upcalls.lpWPUQueueApc(thread, runRoutine, context, lpErrno);
    return;
  }
  const event = eventOf(overlapped);
  if (event !== 0) upcalls.lpWPUSetEvent(event, lpErrno);
}

/**
 * The outcome that indicate() stored; WSA_IO_INCOMPLETE while there is none. An error without a status
 * of its own is in OffsetHigh. [W9.7]
 */
export function outcomeOf({ Internal, OffsetHigh }: ws.WSAOVERLAPPED): number {
  const error = wsaErrorOfStatus(Internal);
  const isMore = error !== 0 && error !== wsa.WSA_IO_INCOMPLETE;
  return isMore && statusOfWsaError(OffsetHigh) === Internal ? OffsetHigh : error;
}

/** Ends a pending operation. The buffers are let go first. [W14.12] */
export function complete(upcalls: WSPUpcallTable, operation: Operation, error: number): void {
  operation.buffers.length = 0;
  operation.lengths.length = 0;
  operation.isDone = true;
  operation.error = error;
  if (operation.indication === null) return;
  indicate(upcalls, operation.indication, error, operation.transferred);
}

function eventOf(overlapped: ws.WSAOVERLAPPED | null): number {
  return overlapped === null ? 0 : (overlapped.hEvent & ~EVENT_TAG_BITS) >>> 0;
}
