// Procedures that wait for an alertable wait of the thread: those that a provider queues and the
// completion routines of the application. One switch serves one thread, so there is one queue and
// one thread id. Sources: W9.9, W13.1, W13.2, IOCTL-02.

import type {
  DWORD_PTR,
  WSAOVERLAPPED,
  WSAOVERLAPPED_COMPLETION_ROUTINE,
  WSATHREADID,
} from '../provider/spi/winsock2.js';
import type { LPWSAUSERAPC } from '../provider/spi/ws2spi.js';

/** Routines of one socket never nest; this is how the queue knows that one of them runs. */
export interface RoutineOwner {
  routineRunning: boolean;
}

class QueuedProcedure {
  apc: LPWSAUSERAPC | null = null;
  context: DWORD_PTR = null;
  owner: RoutineOwner | null = null;
  routine: WSAOVERLAPPED_COMPLETION_ROUTINE | null = null;
  error = 0;
  bytes = 0;
  overlapped: WSAOVERLAPPED | null = null;
  flags = 0;
}

const THREAD_HANDLE = 0x6000_0000;

export class ApcQueue {
  readonly threadId: WSATHREADID = { ThreadHandle: THREAD_HANDLE, Reserved: 0 };
  #queue: QueuedProcedure[] = [];
  readonly #spare: QueuedProcedure[] = [];
  #isEnded = false;

  /** Whether run() would run anything now. */
  get isRunnable(): boolean {
    if (this.#queue.length === 0) return false;
    return this.#queue.some((entry) => entry.owner === null || !entry.owner.routineRunning);
  }

  isThread(id: WSATHREADID): boolean {
    return id.ThreadHandle === THREAD_HANDLE && !this.#isEnded;
  }

  /** The thread has ended: what is queued is dropped, and nothing is queued any more. [W9.10.2] */
  end(): void {
    this.#isEnded = true;
    this.#queue = [];
  }

  queueApc(apc: LPWSAUSERAPC, context: DWORD_PTR): void {
    if (this.#isEnded) return;
    const entry = this.#take();
    entry.apc = apc;
    entry.context = context;
    this.#queue.push(entry);
  }

  queueRoutine(
    owner: RoutineOwner,
    routine: WSAOVERLAPPED_COMPLETION_ROUTINE,
    error: number,
    bytes: number,
    overlapped: WSAOVERLAPPED | null,
    flags: number,
  ): void {
    if (this.#isEnded) return;
    const entry = this.#take();
    entry.owner = owner;
    entry.routine = routine;
    entry.error = error;
    entry.bytes = bytes;
    entry.overlapped = overlapped;
    entry.flags = flags;
    this.#queue.push(entry);
  }

  /**
   * Runs, oldest first, all that may run: what is queued meanwhile too, but no routine of a socket
   * that is inside one of its own. Returns how many ran. [W9.9.3, W9.9.4]
   */
  run(): number {
    let ran = 0;
    for (let index = 0; index < this.#queue.length; ) {
      const entry = this.#queue[index] as QueuedProcedure;
      if (entry.owner?.routineRunning === true) {
        index++;
        continue;
      }
      this.#queue.splice(index, 1);
      this.#call(entry);
      ran++;
      // A nested wait may have taken entries away from anywhere.
      index = 0;
    }
    return ran;
  }

  clear(): void {
    this.#queue = [];
  }

  #call(entry: QueuedProcedure): void {
    const { apc, context, owner, routine, error, bytes, overlapped, flags } = entry;
    entry.apc = null;
    entry.context = null;
    entry.owner = null;
    entry.routine = null;
    entry.overlapped = null;
    this.#spare.push(entry);
    if (apc !== null) {
      apc(context);
      return;
    }
    if (owner === null || routine === null) return;
    owner.routineRunning = true;
    try {
      routine(error, bytes, overlapped, flags);
    } finally {
      owner.routineRunning = false;
    }
  }

  #take(): QueuedProcedure {
    return this.#spare.pop() ?? new QueuedProcedure();
  }
}
