// Blocking calls: how they wait, and how WSPCancelBlockingCall ends the innermost one. A caller above
// that supplied a blocking callback is called in between, and may not transfer anything from within.
// It must not know what is waited for. Sources: W4.20 (10004, 10036), W13.6, BLK-01.

import type { Clock, Nanos } from '../../runtime/clock.js';
import { milliseconds } from '../../runtime/clock.js';
import * as wsa from '../spi/errors.js';
import { ref } from '../spi/winsock2.js';
import { fail } from '../spi/ws2spi.js';
import type { LPBLOCKINGCALLBACK, LPWSPCANCELBLOCKINGCALL, WSPUpcallTable } from '../spi/ws2spi.js';
import type { BlockingWait } from './record.js';

/** How long a blocking call waits between two calls of a blocking callback. */
const CALLBACK_INTERVAL: Nanos = milliseconds(1);

interface BlockingCall {
  isCancelled: boolean;
}

export type WaitOutcome = 'done' | 'timed out' | 'cancelled';

/** The blocking calls of the one thread that uses a provider instance, innermost last. */
export class BlockingCalls {
  readonly #calls: BlockingCall[] = [];
  readonly #wait: BlockingWait;
  readonly #clock: Clock;
  #callback: (() => boolean) | null = null;
  /** Inside the callback of a blocking call: data functions answer WSAEINPROGRESS. */
  isInCallback = false;

  constructor(wait: BlockingWait, clock: Clock) {
    this.#wait = wait;
    this.#clock = clock;
  }

  /** Asks the caller above how it wants to be called while a call blocks. [W13.6] */
  query(upcalls: WSPUpcallTable, catalogEntryId: number): void {
    const callback = ref<LPBLOCKINGCALLBACK | null>(null);
    const context = ref<unknown>(null);
    const known = upcalls.lpWPUQueryBlockingCallback(catalogEntryId, callback, context, ref(0));
    const { value } = callback;
    this.#callback = known !== 0 || value === null ? null : (): boolean => value(context.value);
  }

  /** Waits until `done()`, `deadline`, or the cancelling of this very call. */
  wait(done: () => boolean, deadline: Nanos = Infinity): WaitOutcome {
    const call: BlockingCall = { isCancelled: false };
    const isOver = (): boolean => call.isCancelled || done();
    this.#calls.push(call);
    try {
      if (this.#callback === null) this.#wait.waitUntil(isOver, deadline);
      else this.waitCallingBack(this.#callback, call, isOver, deadline);
    } finally {
      this.#calls.splice(this.#calls.indexOf(call), 1);
    }
    if (done()) return 'done';
    return call.isCancelled ? 'cancelled' : 'timed out';
  }

  /** Ends the innermost blocking call. False: none blocks. */
  cancel(): boolean {
    const call = this.#calls.at(-1);
    if (call === undefined) return false;
    call.isCancelled = true;
    return true;
  }

  /** FALSE from the callback says that the call was cancelled. [W13.6] */
  private waitCallingBack(
    callback: () => boolean,
    call: BlockingCall,
    isOver: () => boolean,
    deadline: Nanos,
  ): void {
    while (!isOver()) {
      const now = this.#clock.now();
      if (now >= deadline) return;
      this.isInCallback = true;
      try {
        if (!callback()) call.isCancelled = true;
      } finally {
        this.isInCallback = false;
      }
      this.#wait.waitUntil(isOver, Math.min(deadline, now + CALLBACK_INTERVAL), 0);
    }
  }
}

export function createCancelBlockingCall(blocking: BlockingCalls): LPWSPCANCELBLOCKINGCALL {
  return (lpErrno) => (blocking.cancel() ? 0 : fail(lpErrno, wsa.WSAEINVAL));
}
