// select and WSAPoll under their Winsock names, with the macros that work on an fd_set. Sets are
// rewritten in place. Sources: W2.6, W2.13, W10.12; winsock2.h by name and parameter order.

import * as wsa from '../../provider/spi/error-codes.js';
import type { fd_set, timeval, WSAPOLLFD } from '../../provider/spi/winsock2.js';
import * as ws from '../../provider/spi/winsock2.js';
import type { Nanos } from '../../runtime/clock.js';
import { microseconds, milliseconds, seconds } from '../../runtime/clock.js';
import type { SwitchCore } from '../core.js';
import { Question, Readiness, Ready } from '../select.js';
import type { SwitchSocket } from '../socket.js';
import { SocketState } from '../socket.js';
import type { ApiState } from './last-error.js';

export interface SelectFunctions {
  /**
   * Leaves in each set the sockets that are ready: to read (data, an end, a connection to accept), to
   * write, with urgent data or a failed connect. `timeout` null waits for ever. Returns how many entries
   * are left, 0 when the time is up, or SOCKET_ERROR: WSAEINVAL (no socket at all, a negative time),
   * WSAENOTSOCK, WSAEFAULT, WSAEINTR.
   */
  select(
    nfds: number,
    readfds: fd_set | null,
    writefds: fd_set | null,
    exceptfds: fd_set | null,
    timeout: timeval | null,
  ): number;
  /**
   * Fills `revents` of the first `fds` entries; `timeout` in milliseconds, negative for ever. Returns
   * how many are not 0, or SOCKET_ERROR: WSAEINVAL (nothing to ask, POLLPRI or an unknown event),
   * WSAENOTSOCK (none of them is a socket), WSAEFAULT.
   */
  WSAPoll(fdArray: WSAPOLLFD[] | null, fds: number, timeout: number): number;
  FD_ZERO(set: fd_set): void;
  /** Adds a socket, unless it is there or FD_SETSIZE are. */
  FD_SET(fd: number, set: fd_set): void;
  FD_CLR(fd: number, set: fd_set): void;
  FD_ISSET(fd: number, set: fd_set): boolean;
}

export function selectFunctions(state: ApiState): SelectFunctions {
  const { core } = state.theSwitch;
  return {
    select(_nfds, readfds, writefds, exceptfds, timeout) {
      if (!state.isStarted()) return ws.SOCKET_ERROR;
      const asked = new Selection(core, readfds, writefds, exceptfds);
      const deadline = asked.error === 0 ? timevalDeadline(core, timeout) : 0;
      if (asked.error !== 0 || deadline === null) return state.fail(asked.error || wsa.WSAEINVAL);
      const error = new Readiness(core, asked.questions).await(deadline);
      return error === 0 ? asked.answer() : state.fail(error);
    },
    WSAPoll(fdArray, fds, timeout) {
      if (!state.isStarted()) return ws.SOCKET_ERROR;
      const asked = new Poll(core, fdArray, fds);
      if (asked.error !== 0) return state.fail(asked.error);
      const { clock } = core.environment;
      const deadline = timeout < 0 ? Infinity : clock.now() + milliseconds(timeout);
      const error = new Readiness(core, asked.questions).await(asked.isAnswered ? 0 : deadline);
      return error === 0 ? asked.answer() : state.fail(error);
    },
    FD_ZERO(set) {
      set.fd_count = 0;
    },
    FD_SET(fd, set) {
      if (isSet(fd, set) || set.fd_count >= ws.FD_SETSIZE) return;
      set.fd_array[set.fd_count++] = fd;
    },
    FD_CLR(fd, set) {
      const index = set.fd_array.indexOf(fd);
      if (index < 0 || index >= set.fd_count) return;
      set.fd_array.splice(index, 1);
      set.fd_count--;
    },
    FD_ISSET: isSet,
  };
}

function isSet(fd: number, set: fd_set): boolean {
  const index = set.fd_array.indexOf(fd);
  return index >= 0 && index < set.fd_count;
}

/** When a wait that starts now ends; null for a time that is none. */
export function timevalDeadline(core: SwitchCore, timeout: timeval | null): Nanos | null {
  if (timeout === null) return Infinity;
  const { tv_sec, tv_usec } = timeout;
  if (!(tv_sec >= 0) || !(tv_usec >= 0)) return null;
  return core.environment.clock.now() + seconds(tv_sec) + microseconds(tv_usec);
}

/** The three sets of a select. */
export class Selection {
  readonly #asked = new Map<number, Question>();
  /** What select fails with for its sets alone; 0: they can be asked. */
  readonly error: number;
  readonly #core: SwitchCore;
  readonly #sets: readonly (readonly [set: fd_set | null, bit: number])[];

  constructor(
    core: SwitchCore,
    readfds: fd_set | null,
    writefds: fd_set | null,
    exceptfds: fd_set | null,
  ) {
    this.#core = core;
    this.#sets = [
      [readfds, Ready.read],
      [writefds, Ready.write],
      [exceptfds, Ready.except],
    ];
    this.error = this.#collect();
  }

  get questions(): readonly Question[] {
    return [...this.#asked.values()];
  }

  /** Rewrites the sets; the number of entries that are left in them. */
  answer(): number {
    let total = 0;
    for (const [set, bit] of this.#sets) {
      if (set === null) continue;
      const asked = set.fd_array.slice(0, set.fd_count);
      const left = asked.filter((s) => ((this.#asked.get(s)?.found ?? 0) & bit) !== 0);
      set.fd_array = left;
      set.fd_count = left.length;
      total += left.length;
    }
    return total;
  }

  #collect(): number {
    for (const [set, bit] of this.#sets) {
      if (set === null) continue;
      if (set.fd_count > set.fd_array.length) return wsa.WSAEFAULT;
      for (let index = 0; index < set.fd_count; index++) {
        const handle = set.fd_array[index] as number;
        const socket = this.#core.sockets.find(handle);
        if (socket === null) return wsa.WSAENOTSOCK;
        const question = this.#asked.get(handle) ?? new Question(socket);
        question.wanted |= bit;
        this.#asked.set(handle, question);
      }
    }
    return this.#asked.size === 0 ? wsa.WSAEINVAL : 0;
  }
}

const ASKABLE = ws.POLLIN | ws.POLLOUT;

/** The array of a WSAPoll. */
export class Poll {
  readonly questions: Question[] = [];
  readonly error: number;
  /** Something can be said already, without a look at any socket. */
  isAnswered = false;
  readonly #core: SwitchCore;
  readonly #entries: readonly WSAPOLLFD[];
  readonly #asked = new Map<WSAPOLLFD, Question>();

  constructor(core: SwitchCore, fdArray: WSAPOLLFD[] | null, fds: number) {
    this.#core = core;
    this.#entries = (fdArray ?? []).slice(0, Math.max(0, fds));
    if (fdArray === null || fds > fdArray.length) this.error = wsa.WSAEFAULT;
    else this.error = this.#collect(core);
  }

  /** Fills revents; how many are not 0. */
  answer(): number {
    let total = 0;
    for (const entry of this.#entries) {
      const question = this.#asked.get(entry);
      if (question !== undefined) entry.revents = eventsOf(this.#core, question, entry.events);
      if (entry.revents !== 0) total++;
    }
    return total;
  }

  #collect(core: SwitchCore): number {
    let isAnySocket = false;
    let isAnyAsked = false;
    for (const entry of this.#entries) {
      entry.revents = 0;
      if (entry.fd < 0 || entry.fd === ws.INVALID_SOCKET) continue;
      isAnyAsked = true;
      if ((entry.events & ~ASKABLE) !== 0) return wsa.WSAEINVAL;
      const socket = core.sockets.find(entry.fd);
      if (socket === null) {
        entry.revents = ws.POLLNVAL;
        this.isAnswered = true;
        continue;
      }
      isAnySocket = true;
      const question = new Question(socket);
      // A failure is told unasked.
      question.wanted = Ready.except | Ready.end;
      if ((entry.events & ws.POLLRDNORM) !== 0) question.wanted |= Ready.read;
      if ((entry.events & ws.POLLWRNORM) !== 0) question.wanted |= Ready.write;
      this.#asked.set(entry, question);
      this.questions.push(question);
    }
    if (!isAnyAsked) return wsa.WSAEINVAL;
    return isAnySocket ? 0 : wsa.WSAENOTSOCK;
  }
}

function eventsOf(core: SwitchCore, { socket, found }: Question, events: number): number {
  let revents = 0;
  if ((found & Ready.read) !== 0) revents |= events & ws.POLLRDNORM;
  if ((found & Ready.write) !== 0) revents |= events & ws.POLLWRNORM;
  if ((found & Ready.except) !== 0) {
    const hasFailed = socket.state === SocketState.open;
    revents |= hasFailed ? ws.POLLERR | ws.POLLHUP : events & ws.POLLRDBAND;
  }
  const error = endOf(core, socket, found);
  if (error === null) return revents;
  return revents | (error === 0 ? ws.POLLHUP : ws.POLLERR | ws.POLLHUP);
}

/** How the stream of a socket has ended: 0 gracefully, or the error; null: it goes on. */
function endOf(core: SwitchCore, socket: SwitchSocket, found: number): number | null {
  const { connection } = socket;
  if (connection !== null) {
    const { session } = connection;
    if (session.error !== 0) return session.error;
    return session.isAtEnd ? session.endError : null;
  }
  if (!socket.isStream || socket.state !== SocketState.connected) return null;
  if ((found & Ready.read) === 0) return null;
  // TCP/IP is not asked for the difference between data and the end, but a peek shows it.
  const bytes = ws.ref(0);
  const errno = ws.ref(0);
  const { lpWSPRecv } = core.tcp;
  const buffers = [{ len: 1, buf: new Uint8Array(1) }];
  const flags = ws.ref(ws.MSG_PEEK);
  const { descriptor } = socket;
  if (lpWSPRecv(descriptor, buffers, 1, bytes, flags, null, null, null, errno) !== 0) {
    return errno.value === wsa.WSAEWOULDBLOCK ? null : errno.value;
  }
  return bytes.value === 0 ? 0 : null;
}
