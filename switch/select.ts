// Readiness of many sockets at once, for select and WSAPoll: of SAN connections and listeners from the
// switch's own state, of everything else asked of TCP/IP anew, so that no record of network events is
// touched. Sources: W2.6, W10.12, BLK-03, LSN-04, docs/decisions/0022-select-over-both.md.

import * as wsa from '../provider/spi/error-codes.js';
import type { fd_set, Ref } from '../provider/spi/winsock2.js';
import * as ws from '../provider/spi/winsock2.js';
import type { Nanos } from '../runtime/clock.js';
import { milliseconds } from '../runtime/clock.js';
import { wait } from './blocking.js';
import type { Connection } from './connection.js';
import type { SwitchCore } from './core.js';
import { watchTcp } from './network-events.js';
import { canRead, canWrite, hasOob } from './readiness.js';
import type { SwitchSocket } from './socket.js';
import { SocketState } from './socket.js';

/** What may be asked of a socket, and answered, as bits. */
export const Ready = {
  read: 1,
  write: 2,
  except: 4,
  /** A connection that has ended or failed, where the switch can tell without reading. */
  end: 8,
} as const;

/** One socket, what is asked of it, and what was found. */
export class Question {
  readonly socket: SwitchSocket;
  wanted = 0;
  found = 0;
  /** What TCP/IP had reported when it was last looked at. */
  seen = 0;

  constructor(socket: SwitchSocket) {
    this.socket = socket;
  }
}

/** TCP/IP tells of a new state at once, but not of room for a send that nobody tried. */
const LOOK_AGAIN_NANOS = milliseconds(5);

export class Readiness {
  readonly #core: SwitchCore;
  readonly #questions: readonly Question[];

  constructor(core: SwitchCore, questions: readonly Question[]) {
    this.#core = core;
    this.#questions = questions;
  }

  /**
   * Looks once: whether anything asked for holds. What is found is in the questions. A failure of
   * TCP/IP's is in lpErrno, which is otherwise 0.
   */
  look(lpErrno: Ref<number>): boolean {
    lpErrno.value = 0;
    for (const question of this.#questions) question.found = ownReadiness(question);
    this.#askTcp(lpErrno);
    return this.#questions.some(({ found }) => found !== 0);
  }

  /** Looks until something holds or `deadline` comes. 0 or the error. */
  await(deadline: Nanos): number {
    const errno = ws.ref(0);
    const { clock } = this.#core.environment;
    if (this.look(errno) || errno.value !== 0) return errno.value;
    // Whatever can move on this thread moves once, even if nobody wants to wait.
    this.#core.environment.progress.poll();
    for (;;) {
      if (this.look(errno) || errno.value !== 0) return errno.value;
      const now = clock.now();
      if (now >= deadline) return 0;
      wait(this.#core, this.hasNews, this.lookAgainAt(now, deadline));
      if (this.#core.blocking.isInterrupted) return wsa.WSAEINTR;
    }
  }

  /** Something may have changed since look(): cheap, and never wrong to be true. */
  readonly hasNews = (): boolean => {
    for (const { socket, wanted, seen } of this.#questions) {
      if ((socket.tcpReady & ~seen) !== 0) return true;
      if (isOwnReady(socket, wanted)) return true;
      if (socket.attempt?.isEnded === true || socket.state === SocketState.closed) return true;
    }
    return false;
  };

  /** When a wait that starts now has to look again although there were no news. */
  lookAgainAt(now: Nanos, deadline: Nanos): Nanos {
    const isPartlyTcp = this.#questions.some(({ socket }) => hasTcpPart(socket));
    return isPartlyTcp ? Math.min(deadline, now + LOOK_AGAIN_NANOS) : deadline;
  }

  #askTcp(lpErrno: Ref<number>): void {
    const sets = { read: emptySet(), write: emptySet(), except: emptySet() };
    const asked = this.#questions.filter(({ socket }) => hasTcpPart(socket));
    for (const question of asked) {
      const { socket, wanted } = question;
      const { descriptor } = socket;
      // From now on TCP/IP tells of changes; what it has told so far is in the answer.
      lpErrno.value = watchTcp(this.#core, socket);
      if (lpErrno.value !== 0) return;
      question.seen = socket.tcpReady;
      if ((wanted & Ready.read) !== 0) push(sets.read, descriptor);
      if ((wanted & Ready.write) !== 0) push(sets.write, descriptor);
      if ((wanted & Ready.except) !== 0) push(sets.except, descriptor);
    }
    if (sets.read.fd_count + sets.write.fd_count + sets.except.fd_count === 0) return;
    const { lpWSPSelect } = this.#core.tcp;
    const { read, write, except } = sets;
    if (lpWSPSelect(0, read, write, except, NOW, lpErrno) < 0) return;
    lpErrno.value = 0;
    const readable = new Set(read.fd_array);
    const writable = new Set(write.fd_array);
    const exceptional = new Set(except.fd_array);
    for (const question of asked) {
      const { descriptor } = question.socket;
      if (readable.has(descriptor)) question.found |= Ready.read;
      if (writable.has(descriptor)) question.found |= Ready.write;
      if (exceptional.has(descriptor)) question.found |= Ready.except;
    }
  }
}

const NOW = { tv_sec: 0, tv_usec: 0 };

function emptySet(): fd_set {
  return { fd_count: 0, fd_array: [] };
}

function push(set: fd_set, descriptor: number): void {
  set.fd_array.push(descriptor);
  set.fd_count++;
}

/** TCP/IP has a say: it carries the socket, or listens or connects beside a SAN provider. */
function hasTcpPart(socket: SwitchSocket): boolean {
  if (socket.connection !== null || socket.share !== null) return false;
  return socket.state !== SocketState.closed;
}

function ownReadiness({ socket, wanted }: Question): number {
  const { connection } = socket;
  let found = 0;
  if (socket.connection === null && socket.share !== null) {
    // What control would show, once it is here; nothing can come of a connection that has ended.
    socket.share.look();
    return socket.share.end === null ? 0 : wanted & ~Ready.except;
  }
  if (connection === null) {
    if ((wanted & Ready.read) !== 0) socket.listener?.look();
    if (isOwnReady(socket, wanted & Ready.read)) found |= Ready.read;
    // A connect that a SAN provider has ended for good is nothing TCP/IP knows of.
    const hasFailed = socket.state === SocketState.open && socket.pendingError !== 0;
    if (hasFailed) found |= wanted & (Ready.except | Ready.end);
    return found;
  }
  if ((wanted & Ready.read) !== 0 && canRead(connection)) found |= Ready.read;
  if ((wanted & Ready.write) !== 0 && canWrite(connection)) found |= Ready.write;
  if ((wanted & Ready.except) !== 0 && hasOob(connection)) found |= Ready.except;
  if ((wanted & Ready.end) !== 0 && hasEnded(connection)) found |= Ready.end;
  return found;
}

/** The part of hasNews that is the switch's own: state only, nothing is fetched. */
function isOwnReady(socket: SwitchSocket, wanted: number): boolean {
  const { connection, listener } = socket;
  if (connection === null && socket.share !== null) return socket.share.end !== null;
  if (connection === null) return (wanted & Ready.read) !== 0 && listener?.hasArrival === true;
  if ((wanted & Ready.read) !== 0 && connection.session.isReadable) return true;
  if ((wanted & Ready.write) !== 0 && canWrite(connection)) return true;
  if ((wanted & Ready.end) !== 0 && hasEnded(connection)) return true;
  return (wanted & Ready.except) !== 0 && hasOob(connection);
}

function hasEnded({ session }: Connection): boolean {
  return session.error !== 0 || session.isAtEnd;
}
