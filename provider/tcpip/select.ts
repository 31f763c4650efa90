// WSPSelect: readiness of many sockets at once, asked of the kernel anew, so that no record of network
// events is touched. It must not know how the sets travel above. Sources: W2.6, W10.12.

import {
  EPOLLERR,
  EPOLLHUP,
  EPOLLIN,
  EPOLLOUT,
  EPOLLRDHUP,
  Reactor,
} from '../../native/reactor.js';
import { microseconds, seconds } from '../../runtime/clock.js';
import { WSAEINTR, WSAEINVAL } from '../spi/errors.js';
import { fail } from '../spi/ws2spi.js';
import type { LPWSPSELECT } from '../spi/ws2spi.js';
import * as ws from '../spi/winsock2.js';
import type { WaitOutcome } from './blocking.js';
import type { Context, KernelSocket } from './record.js';
import { EPOLLPRI } from './translate.js';

const READABLE = EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR;
const WRITABLE = EPOLLOUT | EPOLLHUP | EPOLLERR;

/** One socket of a call, and what it is asked about. */
interface Asked {
  readonly socket: KernelSocket;
  events: number;
  ready: number;
}

/** What the kernel cannot be asked about a connection that is being made, or was not made. */
function isConnectionPending(asked: Asked): boolean {
  const { state, message } = asked.socket;
  return state === 'connecting' || (state === 'open' && message === null);
}

function isReadable({ socket, ready }: Asked): boolean {
  return socket.deferred.length > 0 || (ready & READABLE) !== 0;
}

function isWritable(asked: Asked): boolean {
  const { state, message } = asked.socket;
  return (state === 'connected' || message !== null) && (asked.ready & WRITABLE) !== 0;
}

/** Urgent data, or a connect that failed. */
function isExceptional({ socket, ready }: Asked): boolean {
  return (
    (ready & EPOLLPRI) !== 0 || (socket.state === 'open' && (socket.connectOutcome ?? 0) !== 0)
  );
}

type Question = readonly [set: ws.fd_set | null, events: number, isAnswered: (a: Asked) => boolean];

/** Looks up every socket of the sets once; null when one of them is none. */
function collect(
  context: Context,
  questions: readonly Question[],
  lpErrno: ws.Ref<number>,
): Map<number, Asked> | null {
  const all = new Map<number, Asked>();
  for (const [set, events] of questions) {
    for (const handle of set?.fd_array.slice(0, set.fd_count) ?? []) {
      const socket = context.table.find(handle, lpErrno);
      if (socket === null) return null;
      const asked = all.get(handle) ?? { socket, events: 0, ready: 0 };
      asked.events |= events;
      all.set(handle, asked);
    }
  }
  return all;
}

/** Reports that one poll takes from the kernel; those it took go to the end of its list. */
const REPORTS_PER_POLL = 64;

/** Asks the kernel about every socket now. */
function refresh(all: readonly Asked[]): void {
  const probe = new Reactor();
  for (const asked of all) {
    asked.ready = 0;
    if (asked.socket.state === 'closed' || isConnectionPending(asked)) continue;
    probe.watch(asked.socket.fd, asked.events, (ready) => {
      asked.ready = ready;
    });
  }
  for (let asked = 0; asked < all.length; asked += REPORTS_PER_POLL) probe.poll(0);
  probe.close();
}

/** Waits until some descriptor is ready or some connect ended: an epoll instance can be watched too. */
function wait(context: Context, all: Iterable<Asked>, deadline: number): WaitOutcome {
  const { reactor } = context.kernel;
  const gathered = new Reactor();
  const connecting: KernelSocket[] = [];
  for (const asked of all) {
    if (asked.socket.state === 'connecting') connecting.push(asked.socket);
    if (isConnectionPending(asked)) continue;
    gathered.watch(asked.socket.fd, asked.events, () => undefined);
  }
  let isReady = false;
  const token = reactor.watch(gathered.fd, EPOLLIN, () => {
    isReady = true;
    reactor.unwatch(token);
  });
  const outcome = context.blocking.wait(
    () => isReady || connecting.some((socket) => socket.state !== 'connecting'),
    deadline,
  );
  if (!isReady) reactor.unwatch(token);
  gathered.close();
  return outcome;
}

/** Keeps in each set what is ready; returns how many entries that are. Nothing ready leaves them. */
function answer(questions: readonly Question[], all: Map<number, Asked>, isFinal: boolean): number {
  let total = 0;
  const kept = questions.map(([set, , isAnswered]) => {
    const handles = set?.fd_array.slice(0, set.fd_count) ?? [];
    const ready = handles.filter((handle) => {
      const asked = all.get(handle);
      return asked !== undefined && isAnswered(asked);
    });
    total += ready.length;
    return ready;
  });
  if (total === 0 && !isFinal) return 0;
  questions.forEach(([set], index) => {
    if (set === null) return;
    set.fd_array = kept[index] ?? [];
    set.fd_count = set.fd_array.length;
  });
  return total;
}

export function createSelect(context: Context): LPWSPSELECT {
  return (_nfds, readfds, writefds, exceptfds, timeout, lpErrno) => {
    const questions: readonly Question[] = [
      [readfds, EPOLLIN | EPOLLRDHUP, isReadable],
      [writefds, EPOLLOUT, isWritable],
      [exceptfds, EPOLLPRI, isExceptional],
    ];
    const all = collect(context, questions, lpErrno);
    if (all === null) return ws.SOCKET_ERROR;
    if (all.size === 0) return fail(lpErrno, WSAEINVAL);
    const { clock } = context;
    const limit =
      timeout === null ? Infinity : seconds(timeout.tv_sec) + microseconds(timeout.tv_usec);
    const deadline = limit === Infinity ? Infinity : clock.now() + limit;
    for (;;) {
      refresh([...all.values()]);
      const isOver = clock.now() >= deadline;
      const count = answer(questions, all, isOver);
      if (count > 0 || isOver) return count;
      const outcome = wait(context, all.values(), deadline);
      if (outcome === 'cancelled') return fail(lpErrno, WSAEINTR);
    }
  };
}
