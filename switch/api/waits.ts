// WSAWaitForMultipleEvents: drives everything on the thread until an event is signalled or, in an
// alertable wait, completion routines have run. Sources: W9.9.3, W9.12.2 to W9.12.5, W2.3.

import * as wsa from '../../provider/spi/error-codes.js';
import * as ws from '../../provider/spi/winsock2.js';
import { milliseconds } from '../../runtime/clock.js';
import type { EventTable } from '../event-table.js';
import type { ApiState } from './last-error.js';

export interface WaitFunctions {
  /**
   * Waits for one event, or for all. WSA_WAIT_EVENT_0 plus an index, WSA_WAIT_IO_COMPLETION,
   * WSA_WAIT_TIMEOUT, or WSA_WAIT_FAILED: WSA_INVALID_PARAMETER (count not 1 to 64, duplicates with
   * fWaitAll), WSA_INVALID_HANDLE. dwTimeout is in milliseconds. [W9.12.2]
   */
  WSAWaitForMultipleEvents(
    cEvents: number,
    lphEvents: readonly number[],
    fWaitAll: boolean,
    dwTimeout: number,
    fAlertable: boolean,
  ): number;
}

/** One wait; pooled, since waits nest inside completion routines but rarely. */
export class EventWait {
  readonly #events: EventTable;
  readonly #apcs: { readonly isRunnable: boolean };
  count = 0;
  handles: readonly number[] = [];
  all = false;
  alertable = false;
  readonly isDone = (): boolean =>
    this.signalled() >= 0 || (this.alertable && this.#apcs.isRunnable);

  constructor(events: EventTable, apcs: { readonly isRunnable: boolean }) {
    this.#events = events;
    this.#apcs = apcs;
  }

  /** The lowest signalled index; with `all`, 0 when all are; -1 when the wait goes on. */
  signalled(): number {
    for (let index = 0; index < this.count; index++) {
      const isSignalled = this.#events.isSignalled(this.handles[index] as number);
      if (this.all && !isSignalled) return -1;
      if (!this.all && isSignalled) return index;
    }
    return this.all ? 0 : -1;
  }
}

/** 0, or the error of WSAWaitForMultipleEvents' arguments. */
export function checkWait(
  events: EventTable,
  count: number,
  handles: readonly number[],
  all: boolean,
): number {
  if (count < 1 || count > ws.WSA_MAXIMUM_WAIT_EVENTS || count > handles.length) {
    return wsa.WSA_INVALID_PARAMETER;
  }
  for (let index = 0; index < count; index++) {
    const handle = handles[index] as number;
    if (!events.isEvent(handle)) return wsa.WSA_INVALID_HANDLE;
    if (all && handles.indexOf(handle) < index) return wsa.WSA_INVALID_PARAMETER;
  }
  return 0;
}

export function waitFunctions(state: ApiState): WaitFunctions {
  const { core } = state.theSwitch;
  const { events, apcs } = core;
  const { progress, clock } = core.environment;
  const spare: EventWait[] = [];
  return {
    WSAWaitForMultipleEvents(cEvents, lphEvents, fWaitAll, dwTimeout, fAlertable) {
      if (!state.isStarted()) return ws.WSA_WAIT_FAILED;
      const error = checkWait(events, cEvents, lphEvents, fWaitAll);
      if (error !== 0) {
        state.lastError = error;
        return ws.WSA_WAIT_FAILED;
      }
      const wait = spare.pop() ?? new EventWait(events, apcs);
      wait.count = cEvents;
      wait.handles = lphEvents;
      wait.all = fWaitAll;
      wait.alertable = fAlertable;
      if (!wait.isDone()) {
        if (dwTimeout === 0) progress.poll();
        else if (dwTimeout === ws.WSA_INFINITE) progress.waitUntil(wait.isDone);
        else progress.waitUntil(wait.isDone, clock.now() + milliseconds(dwTimeout));
      }
      // W9.12.5: the events' state first; routines run only where the thread would have to wait.
      const index = wait.signalled();
      wait.handles = [];
      spare.push(wait);
      if (index >= 0) return ws.WSA_WAIT_EVENT_0 + index;
      if (fAlertable && apcs.run() > 0) return ws.WSA_WAIT_IO_COMPLETION;
      return ws.WSA_WAIT_TIMEOUT;
    },
  };
}
