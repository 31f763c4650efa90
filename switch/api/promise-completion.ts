// Promise twins of the waits for packets, time and readiness. Sources: W9.12.4, W9.13.4, W10.12.

import * as wsa from '../../provider/spi/error-codes.js';
import { WsaError } from '../../provider/spi/errors.js';
import type { fd_set, Ref, timeval, WSAPOLLFD } from '../../provider/spi/winsock2.js';
import * as ws from '../../provider/spi/winsock2.js';
import { milliseconds } from '../../runtime/clock.js';
import { Readiness } from '../select.js';
import type { OVERLAPPED_ENTRY } from './completion.js';
import { drain, emptyHanded } from './completion.js';
import type { PromiseRunner } from './promise-runner.js';
import { Poll, Selection, timevalDeadline } from './select.js';
import { waitDeadline } from './waits.js';

export interface CompletionPromises {
  /**
   * Resolves with the oldest packet, whatever became of its operation (`Internal`); rejects with
   * WAIT_TIMEOUT, WSA_INVALID_HANDLE or ERROR_ABANDONED_WAIT_0.
   */
  GetQueuedCompletionStatus(
    CompletionPort: number,
    dwMilliseconds: number,
  ): Promise<OVERLAPPED_ENTRY>;
  /** Resolves with true once at least one packet was taken; rejects as above, or with 192. */
  GetQueuedCompletionStatusEx(
    CompletionPort: number,
    lpCompletionPortEntries: OVERLAPPED_ENTRY[],
    ulCount: number,
    ulNumEntriesRemoved: Ref<number>,
    dwMilliseconds: number,
    fAlertable: boolean,
  ): Promise<boolean>;
  SleepEx(dwMilliseconds: number, bAlertable: boolean): Promise<number>;
  select(
    nfds: number,
    readfds: fd_set | null,
    writefds: fd_set | null,
    exceptfds: fd_set | null,
    timeout: timeval | null,
  ): Promise<number>;
  WSAPoll(fdArray: WSAPOLLFD[] | null, fds: number, timeout: number): Promise<number>;
}

export function completionPromises(runner: PromiseRunner): CompletionPromises {
  const { core } = runner;
  return {
    async GetQueuedCompletionStatus(handle, dwMilliseconds) {
      const entries: OVERLAPPED_ENTRY[] = [];
      const call = 'GetQueuedCompletionStatus';
      await take(runner, call, handle, entries, 1, dwMilliseconds, false);
      return entries[0] as OVERLAPPED_ENTRY;
    },
    async GetQueuedCompletionStatusEx(
      handle,
      entries,
      ulCount,
      removed,
      dwMilliseconds,
      alertable,
    ) {
      const call = 'GetQueuedCompletionStatusEx';
      removed.value = await take(runner, call, handle, entries, ulCount, dwMilliseconds, alertable);
      return true;
    },
    async SleepEx(dwMilliseconds, bAlertable) {
      const { apcs } = core;
      const isDone = (): boolean => bAlertable && apcs.isRunnable;
      await runner.until(isDone, waitDeadline(core, dwMilliseconds));
      return bAlertable && apcs.run() > 0 ? ws.WSA_WAIT_IO_COMPLETION : 0;
    },
    async select(_nfds, readfds, writefds, exceptfds, timeout) {
      runner.check('select');
      const asked = new Selection(core, readfds, writefds, exceptfds);
      const deadline = timevalDeadline(core, timeout);
      const error = deadline === null ? wsa.WSAEINVAL : asked.error;
      if (error !== 0) throw new WsaError(error, { call: 'select' });
      await ready(runner, 'select', new Readiness(core, asked.questions), deadline ?? 0);
      return asked.answer();
    },
    async WSAPoll(fdArray, fds, timeout) {
      runner.check('WSAPoll');
      const asked = new Poll(core, fdArray, fds);
      if (asked.error !== 0) throw new WsaError(asked.error, { call: 'WSAPoll' });
      const now = core.environment.clock.now();
      const deadline = timeout < 0 ? Infinity : now + milliseconds(timeout);
      const end = asked.isAnswered ? now : deadline;
      await ready(runner, 'WSAPoll', new Readiness(core, asked.questions), end);
      return asked.answer();
    },
  };
}

/** Looks until something holds or the deadline comes. */
async function ready(
  runner: PromiseRunner,
  call: string,
  readiness: Readiness,
  deadline: number,
): Promise<void> {
  const { clock } = runner.core.environment;
  const errno = ws.ref(0);
  while (!readiness.look(errno)) {
    if (errno.value !== 0) throw new WsaError(errno.value, { call });
    const now = clock.now();
    if (now >= deadline) return;
    await runner.until(readiness.hasNews, readiness.lookAgainAt(now, deadline));
  }
}

/** Takes up to `count` packets, at least one; how many. */
async function take(
  runner: PromiseRunner,
  call: string,
  handle: number,
  entries: OVERLAPPED_ENTRY[],
  count: number,
  timeoutMs: number,
  isAlertable: boolean,
): Promise<number> {
  const { core } = runner;
  const port = core.ports.find(handle);
  if (port === null) throw new WsaError(wsa.WSA_INVALID_HANDLE, { call });
  if (count < 1) throw new WsaError(wsa.WSA_INVALID_PARAMETER, { call });
  const isDone = (): boolean =>
    !port.isEmpty || port.isClosed || (isAlertable && core.apcs.isRunnable);
  await runner.until(isDone, waitDeadline(core, timeoutMs));
  if (!port.isEmpty) return drain(port, entries, count);
  throw new WsaError(emptyHanded(core, port, isAlertable), { call });
}
