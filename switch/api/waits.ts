// Waits: for events and sockets, and for nothing but time. They drive everything on the thread until
// something is signalled or, where they are alertable, completion routines have run. Sources: W9.1,
// W9.9.3, W9.12.2 to W9.12.6, W2.3.

import * as wsa from '../../provider/spi/error-codes.js';
import type { DWORD_PTR } from '../../provider/spi/winsock2.js';
import * as ws from '../../provider/spi/winsock2.js';
import type { LPWSAUSERAPC } from '../../provider/spi/ws2spi.js';
import type { Nanos } from '../../runtime/clock.js';
import { milliseconds } from '../../runtime/clock.js';
import type { SwitchCore } from '../core.js';
import type { ApiState } from './last-error.js';

/** What QueueUserAPC says of a thread that has ended (winerror.h). [W9.12.6] */
const ERROR_GEN_FAILURE = 31;
const NO_HANDLES: readonly number[] = [];
/**
 * Turns before a wait looks at the clock: a provider finds that something has ended in the one, the
 * switch makes something of it in the next, and most waits are over.
 */
const TURNS_WITHOUT_CLOCK = 2;

export interface WaitFunctions {
  /**
   * Waits for one event, or for all; a socket counts as signalled when an operation without an event
   * has ended on it. WSA_WAIT_EVENT_0 plus an index, WSA_WAIT_IO_COMPLETION, WSA_WAIT_TIMEOUT, or
   * WSA_WAIT_FAILED: WSA_INVALID_PARAMETER (count not 1 to 64, duplicates with fWaitAll),
   * WSA_INVALID_HANDLE. dwTimeout is in milliseconds. [W9.12.2]
   */
  WSAWaitForMultipleEvents(
    cEvents: number,
    lphEvents: readonly number[],
    fWaitAll: boolean,
    dwTimeout: number,
    fAlertable: boolean,
  ): number;
  /** The same for one object. */
  WaitForSingleObjectEx(hHandle: number, dwMilliseconds: number, bAlertable: boolean): number;
  /** Lets time pass: 0, or WSA_WAIT_IO_COMPLETION when routines have run instead. [W9.12.4] */
  SleepEx(dwMilliseconds: number, bAlertable: boolean): number;
  /** The thread that this Winsock belongs to, for QueueUserAPC. */
  GetCurrentThread(): number;
  /**
   * Queues a procedure for the thread's next alertable wait. False: WSA_INVALID_HANDLE, or 31 when the
   * thread has ended. [W9.12.6]
   */
  QueueUserAPC(pfnAPC: LPWSAUSERAPC, hThread: number, dwData: DWORD_PTR): boolean;
}

/** One wait; pooled, since waits nest inside completion routines but rarely. */
export class EventWait {
  readonly #core: SwitchCore;
  count = 0;
  handles = NO_HANDLES;
  all = false;
  alertable = false;
  readonly isDone = (): boolean =>
    this.signalled() >= 0 || (this.alertable && this.#core.apcs.isRunnable);

  constructor(core: SwitchCore) {
    this.#core = core;
  }

  /** The lowest signalled index; with `all`, 0 when all are; -1 when the wait goes on. */
  signalled(): number {
    for (let index = 0; index < this.count; index++) {
      const isSignalled = this.#isSignalled(this.handles[index] as number);
      if (this.all && !isSignalled) return -1;
      if (!this.all && isSignalled) return index;
    }
    return this.all ? 0 : -1;
  }

  #isSignalled(handle: number): boolean {
    const { events, sockets } = this.#core;
    if (events.isEvent(handle)) return events.isSignalled(handle);
    return sockets.find(handle)?.isSignalled === true;
  }
}

/** 0, or the error of WSAWaitForMultipleEvents' arguments. */
export function checkWait(
  core: SwitchCore,
  count: number,
  handles: readonly number[],
  all: boolean,
): number {
  if (count < 1 || count > ws.WSA_MAXIMUM_WAIT_EVENTS || count > handles.length) {
    return wsa.WSA_INVALID_PARAMETER;
  }
  for (let index = 0; index < count; index++) {
    const handle = handles[index] as number;
    if (!core.events.isEvent(handle) && core.sockets.find(handle) === null) {
      return wsa.WSA_INVALID_HANDLE;
    }
    if (all && handles.indexOf(handle) < index) return wsa.WSA_INVALID_PARAMETER;
  }
  return 0;
}

/** When a wait of that many milliseconds that starts now ends. */
export function waitDeadline(core: SwitchCore, timeoutMs: number): Nanos {
  if (timeoutMs === ws.WSA_INFINITE) return Infinity;
  return core.environment.clock.now() + milliseconds(timeoutMs);
}

export function waitFunctions(state: ApiState): WaitFunctions {
  const { core } = state.theSwitch;
  const { apcs } = core;
  const { progress } = core.environment;
  const spare: EventWait[] = [];
  const WSAWaitForMultipleEvents: WaitFunctions['WSAWaitForMultipleEvents'] = (
    cEvents,
    lphEvents,
    fWaitAll,
    dwTimeout,
    fAlertable,
  ) => {
    if (!state.isStarted()) return ws.WSA_WAIT_FAILED;
    const error = checkWait(core, cEvents, lphEvents, fWaitAll);
    if (error !== 0) {
      state.lastError = error;
      return ws.WSA_WAIT_FAILED;
    }
    const wait = spare.pop() ?? new EventWait(core);
    wait.count = cEvents;
    wait.handles = lphEvents;
    wait.all = fWaitAll;
    wait.alertable = fAlertable;
    for (let turn = 0; turn < TURNS_WITHOUT_CLOCK && !wait.isDone(); turn++) {
      if (progress.poll() === 0) break;
    }
    if (dwTimeout !== 0 && !wait.isDone()) {
      progress.waitUntil(wait.isDone, waitDeadline(core, dwTimeout));
    }
    // W9.12.5: the events' state first; routines run only where the thread would have to wait.
    const index = wait.signalled();
    wait.handles = NO_HANDLES;
    spare.push(wait);
    if (index >= 0) return ws.WSA_WAIT_EVENT_0 + index;
    if (fAlertable && apcs.run() > 0) return ws.WSA_WAIT_IO_COMPLETION;
    return ws.WSA_WAIT_TIMEOUT;
  };
  return {
    WSAWaitForMultipleEvents,
    WaitForSingleObjectEx: (hHandle, dwMilliseconds, bAlertable) =>
      WSAWaitForMultipleEvents(1, [hHandle], false, dwMilliseconds, bAlertable),
    SleepEx(dwMilliseconds, bAlertable) {
      const isDone = (): boolean => bAlertable && apcs.isRunnable;
      if (!isDone()) {
        if (dwMilliseconds === 0) progress.poll();
        else progress.waitUntil(isDone, waitDeadline(core, dwMilliseconds));
      }
      return bAlertable && apcs.run() > 0 ? ws.WSA_WAIT_IO_COMPLETION : 0;
    },
    GetCurrentThread: () => apcs.threadId.ThreadHandle,
    QueueUserAPC(pfnAPC, hThread, dwData) {
      const isKnown = hThread === apcs.threadId.ThreadHandle;
      const isAlive = isKnown && apcs.isThread(apcs.threadId);
      if (isAlive) apcs.queueApc(pfnAPC, dwData);
      else state.lastError = isKnown ? ERROR_GEN_FAILURE : wsa.WSA_INVALID_HANDLE;
      return isAlive;
    },
  };
}
