// WSAEventSelect above both kinds of provider: one record per socket, fed by TCP/IP's own events or by
// the state of the SAN session. An occurrence is recorded once, until the function that re-enables it.
// Sources: W10.1 to W10.14, EVT-07, ARCH-15.

import * as wsa from '../provider/spi/error-codes.js';
import type { Ref, WSANETWORKEVENTS } from '../provider/spi/winsock2.js';
import * as ws from '../provider/spi/winsock2.js';
import { fail } from '../provider/spi/ws2spi.js';
import type { SwitchCore } from './core.js';
import { fetchReadable, hasOob } from './readiness.js';
import type { SwitchSocket } from './socket.js';
import { SocketState } from './socket.js';

/** What TCP/IP is asked to report to the switch, from connect or listen on. */
export const TCP_EVENTS =
  ws.FD_READ | ws.FD_WRITE | ws.FD_OOB | ws.FD_ACCEPT | ws.FD_CONNECT | ws.FD_CLOSE;

/** Records an occurrence, unless it waits for its re-enabling call, and signals whoever selected it. */
export function occur(core: SwitchCore, socket: SwitchSocket, bit: number, error: number): void {
  const mask = 1 << bit;
  if ((socket.reportedEvents & mask) !== 0) return;
  socket.reportedEvents |= mask;
  socket.record.lNetworkEvents |= mask;
  socket.record.iErrorCode[bit] = error;
  if ((socket.selectedMask & mask) !== 0) core.events.set(socket.selectedEvent);
}

/** Something new has come: not only the first one is told, where the profile says so. [W10.4] */
export function arrive(core: SwitchCore, socket: SwitchSocket, bit: number): void {
  if (core.profile.arrivalsReportAgain) socket.reportedEvents &= ~(1 << bit);
  occur(core, socket, bit, 0);
}

/** A function that re-enables `mask` has been called. [W10.3] */
export function reenable(socket: SwitchSocket, mask: number): void {
  socket.reportedEvents &= ~mask;
  socket.record.lNetworkEvents &= ~mask;
}

/**
 * A receive was refused before anybody below saw it; it re-enables all the same, unless the profile
 * looks at why. TCP/IP is called in vain for that: it keeps a record of its own. [W10.3, W10.4]
 */
export function receiveRefused(core: SwitchCore, socket: SwitchSocket): void {
  if (socket.selectedMask === 0 || !core.profile.failedReceiveReenables) return;
  reenable(socket, ws.FD_READ | ws.FD_OOB);
  if (socket.connection !== null) {
    evaluate(core, socket);
    return;
  }
  if (socket.share !== null) return;
  const { lpWSPRecv } = core.tcp;
  const { descriptor } = socket;
  lpWSPRecv(descriptor, null, 0, ws.ref(0), ws.ref(0), null, null, null, ws.ref(0));
}

/** Records what holds on a socket that a SAN connection carries. */
export function evaluate(core: SwitchCore, socket: SwitchSocket): void {
  const { connection } = socket;
  if (connection === null || socket.state !== SocketState.connected) return;
  const { session } = connection;
  const error = session.error;
  if (!session.isReadable && (socket.selectedMask & ws.FD_READ) !== 0) fetchReadable(connection);
  const { readableBytes } = session;
  if (readableBytes > socket.readableSeen) arrive(core, socket, ws.FD_READ_BIT);
  else if (readableBytes > 0) occur(core, socket, ws.FD_READ_BIT, 0);
  socket.readableSeen = readableBytes;
  if ((socket.reportedEvents & ws.FD_WRITE) === 0 && session.sendSpaceFor(1) > 0) {
    occur(core, socket, ws.FD_WRITE_BIT, 0);
  }
  if (connection.hasUrgent) arrive(core, socket, ws.FD_OOB_BIT);
  else if (hasOob(connection)) occur(core, socket, ws.FD_OOB_BIT, 0);
  connection.hasUrgent = false;
  // W10.8: once, with 0 for a graceful end, when all before it was read or at once.
  const hasEnded = core.profile.closePrecedesData ? session.peerHasShutdown : session.isAtEnd;
  if (error !== 0) close(core, socket, error);
  else if (hasEnded) close(core, socket, session.endError);
}

function close(core: SwitchCore, socket: SwitchSocket, error: number): void {
  const told = error === wsa.WSAECONNRESET ? core.profile.resetCloseError : error;
  occur(core, socket, ws.FD_CLOSE_BIT, told);
}

/** Takes over what TCP/IP has reported on a socket's event. */
export function takeTcpEvents(core: SwitchCore, socket: SwitchSocket): void {
  if (socket.state === SocketState.closed) return;
  const seen = ws.createNetworkEvents();
  const { descriptor, tcpEvent } = socket;
  if (core.tcp.lpWSPEnumNetworkEvents(descriptor, tcpEvent, seen, ws.ref(0)) !== 0) return;
  const bits = seen.lNetworkEvents;
  socket.tcpReady |= bits;
  if ((bits & ws.FD_CONNECT) !== 0) {
    socket.attempt?.tcpEnded(seen.iErrorCode[ws.FD_CONNECT_BIT] ?? 0);
  }
  if (socket.connection !== null || socket.share !== null) return;
  if ((bits & ws.FD_ACCEPT) !== 0 && socket.listener?.hasWaiter === true) {
    // W10.9: taken without a word. What is left, TCP/IP reports again.
    socket.listener.serve();
    return;
  }
  for (const bit of [ws.FD_READ_BIT, ws.FD_OOB_BIT, ws.FD_ACCEPT_BIT]) {
    if ((bits & (1 << bit)) !== 0) arrive(core, socket, bit);
  }
  if ((bits & ws.FD_WRITE) !== 0) occur(core, socket, ws.FD_WRITE_BIT, 0);
  if ((bits & ws.FD_CLOSE) !== 0) close(core, socket, seen.iErrorCode[ws.FD_CLOSE_BIT] ?? 0);
}

/** Records what holds now, whichever provider knows of it. */
export function refresh(core: SwitchCore, socket: SwitchSocket): void {
  if (socket.connection !== null) evaluate(core, socket);
  else if (socket.share !== null) socket.share.look();
  else if (socket.tcpEvent !== 0) takeTcpEvents(core, socket);
}

/**
 * Has TCP/IP report to the switch about `socket`, which makes its calls there nonblocking; the
 * switch does all waiting itself. 0 or the error.
 */
export function watchTcp(core: SwitchCore, socket: SwitchSocket): number {
  if (socket.tcpEvent !== 0) return 0;
  const event = core.createOwnEvent({
    attend: () => {
      takeTcpEvents(core, socket);
    },
  });
  if (event === 0) return wsa.WSAENOBUFS;
  const errno = ws.ref(0);
  if (core.tcp.lpWSPEventSelect(socket.descriptor, event, TCP_EVENTS, errno) !== 0) {
    core.events.close(event);
    return errno.value;
  }
  socket.tcpEvent = event;
  return 0;
}

/** WSPEventSelect of the switch. */
export function selectEvents(
  core: SwitchCore,
  socket: SwitchSocket,
  hEvent: number,
  mask: number,
  lpErrno: Ref<number>,
): number {
  if ((mask & ~ws.FD_ALL_EVENTS) !== 0) return fail(lpErrno, wsa.WSAEINVAL);
  if (mask !== 0 && !core.events.isEvent(hEvent)) return fail(lpErrno, wsa.WSAEINVAL);
  socket.nonBlocking = true;
  socket.selectedMask = mask;
  socket.selectedEvent = mask === 0 ? 0 : hEvent;
  // A stream is watched from its connect or listen on; nothing happens to it before. [W10.6]
  if (!socket.isStream && mask !== 0) {
    const error = watchTcp(core, socket);
    if (error !== 0) return fail(lpErrno, error);
  }
  refresh(core, socket);
  if ((mask & ws.FD_ACCEPT) !== 0) socket.listener?.look();
  // W10.5, W10.14: what has occurred and was never enumerated signals the new event.
  if ((socket.record.lNetworkEvents & mask) !== 0) core.events.set(hEvent);
  return 0;
}

/** WSPEnumNetworkEvents of the switch: copy, clear and reset as one step. [W10.11] */
export function enumerateEvents(
  core: SwitchCore,
  socket: SwitchSocket,
  hEvent: number,
  out: WSANETWORKEVENTS | null,
  lpErrno: Ref<number>,
): number {
  if (out === null) return fail(lpErrno, wsa.WSAEFAULT);
  if (hEvent !== 0 && !core.events.isEvent(hEvent)) return fail(lpErrno, wsa.WSAEINVAL);
  const { record } = socket;
  const bits = record.lNetworkEvents & socket.selectedMask;
  out.lNetworkEvents = bits;
  for (let bit = 0; bit < ws.FD_MAX_EVENTS; bit++) {
    if ((bits & (1 << bit)) !== 0) out.iErrorCode[bit] = record.iErrorCode[bit] ?? 0;
  }
  record.lNetworkEvents &= ~bits;
  if (hEvent !== 0) core.events.reset(hEvent);
  return 0;
}
