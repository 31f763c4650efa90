// What a socket waits for in the kernel, derived from its state alone, and its registration with the
// reactor. A descriptor nobody waits for is not watched at all: the kernel reports a hang-up for ever,
// asked for or not, and a thread woken for it would never sleep again. Source: W10, W15.

import {
  EPOLLERR,
  EPOLLHUP,
  EPOLLIN,
  EPOLLOUT,
  EPOLLRDHUP,
  Reactor,
} from '../../native/reactor.js';
import * as ws from '../spi/winsock2.js';
import type { Context, KernelSocket } from './record.js';
import { EPOLLPRI } from './translate.js';

/** Whether an occurrence of this event is selected and would be recorded. [W10.2] */
export function isWanted(socket: KernelSocket, event: number): boolean {
  return (socket.selection.mask & ~socket.selection.fired & event) !== 0;
}

function interestOf(socket: KernelSocket): number {
  switch (socket.state) {
    case 'connecting':
      return EPOLLOUT;
    case 'listening': {
      const isAwaited = socket.acceptWaiterCount > 0 && !socket.isAcceptReady;
      return isAwaited || isWanted(socket, ws.FD_ACCEPT) ? EPOLLIN : 0;
    }
    case 'connected':
    case 'draining':
      return socket.message === null ? connectionInterest(socket) : messageInterest(socket);
    case 'open':
      return socket.isOpenForData ? messageInterest(socket) : 0;
    case 'closed':
      return 0;
  }
}

function connectionInterest(socket: KernelSocket): number {
  if (socket.failure !== 0) return 0;
  const isLive = !socket.isInboundEnded;
  // Behind the end of the stream nothing urgent can come any more, read or not.
  const mayBeUrgent = isLive && !socket.isCloseDeferred;
  let events = 0;
  if (socket.receives.length > 0 || (isLive && isWanted(socket, ws.FD_READ))) {
    events |= EPOLLIN | EPOLLRDHUP;
  }
  if (isWanted(socket, ws.FD_CLOSE) && !socket.isCloseDeferred) events |= EPOLLRDHUP;
  if (socket.sends.length > 0 || (socket.isWriteBlocked && isWanted(socket, ws.FD_WRITE))) {
    events |= EPOLLOUT;
  }
  if (socket.urgentReceives.length > 0) events |= EPOLLPRI | EPOLLRDHUP;
  if (mayBeUrgent && isWanted(socket, ws.FD_OOB)) events |= EPOLLPRI | EPOLLRDHUP;
  return events;
}

function messageInterest(socket: KernelSocket): number {
  const isReading = socket.receives.length > 0 || isWanted(socket, ws.FD_READ);
  const isRoomWanted = socket.isWriteBlocked && isWanted(socket, ws.FD_WRITE);
  return (isReading ? EPOLLIN : 0) | (socket.sends.length > 0 || isRoomWanted ? EPOLLOUT : 0);
}

/** What a registration may go on reporting although nobody waits for it any more. */
const LINGERING = EPOLLIN | EPOLLRDHUP;

/**
 * Brings the registration up to date; to be called whenever anything changed that it depends on. What
 * arrives is mostly waited for again before more of it comes: that interest stays until a report shows
 * it to be in vain, and a receive after a receive costs no system call for it.
 */
export function updateInterest(context: Context, socket: KernelSocket): void {
  const wanted = interestOf(socket);
  const isTransferring = socket.state === 'connected' || socket.state === 'open';
  const lingering = isTransferring ? socket.interest & LINGERING : 0;
  register(context, socket, wanted | lingering);
}

function register(context: Context, socket: KernelSocket, interest: number): void {
  if (interest === socket.interest) return;
  const { reactor } = context.kernel;
  if (interest === 0) {
    stopWatching(context, socket);
    return;
  }
  socket.interest = interest;
  if (socket.watch === null) {
    socket.watch = reactor.watch(socket.fd, interest, (ready) => {
      if (!isStray(context, socket, ready)) context.onReady(socket, ready);
    });
  } else {
    reactor.change(socket.watch, interest);
  }
}

/**
 * Takes back the interest that a report shows to be in vain. Whether nothing is left of the report.
 */
function isStray(context: Context, socket: KernelSocket, ready: number): boolean {
  const wanted = interestOf(socket);
  if ((ready & socket.interest & ~wanted) !== 0 || wanted === 0) register(context, socket, wanted);
  // A broken connection is reported asked for or not, and concerns whoever waits for anything.
  return wanted === 0 || (ready & (wanted | EPOLLERR | EPOLLHUP)) === 0;
}

export function stopWatching(context: Context, socket: KernelSocket): void {
  socket.interest = 0;
  if (socket.watch === null) return;
  context.kernel.reactor.unwatch(socket.watch);
  socket.watch = null;
}

/** The readiness of a descriptor now, without a trace in any record. [W10.12] */
export function readinessOf(fd: number, events: number): number {
  const probe = new Reactor();
  let ready = 0;
  const token = probe.watch(fd, events, (reported) => {
    ready = reported;
  });
  probe.poll(0);
  probe.unwatch(token);
  probe.close();
  return ready;
}
