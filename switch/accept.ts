// The application's accept: completed by whichever side has an arrival, TCP/IP or a SAN provider. The
// descriptor of a SAN connection is made by TCP/IP all the same. Sources: ACC-01 to ACC-06, COMP-01,
// W10.10, ACCEPT-01, ACCEPT-09.

import * as wsa from '../provider/spi/error-codes.js';
import type { DWORD_PTR, LPCONDITIONPROC, Ref } from '../provider/spi/winsock2.js';
import * as ws from '../provider/spi/winsock2.js';
import { carry } from './carrier.js';
import type { SwitchCore } from './core.js';
import type { Arrival, Decision } from './arrivals.js';
import { evaluate, occur, reenable, watchTcp } from './network-events.js';
import { copyName } from './names.js';
import { SwitchSocket } from './socket.js';
import { SocketState } from './socket.js';

export interface AcceptArguments {
  readonly addr: Uint8Array | null;
  readonly addrlen: Ref<number> | null;
  readonly condition: LPCONDITIONPROC | null;
  readonly callbackData: DWORD_PTR;
}

/**
 * One look at both sides: the new descriptor, or INVALID_SOCKET with WSAEWOULDBLOCK when nobody has
 * arrived, or another error.
 */
export function tryAccept(
  core: SwitchCore,
  socket: SwitchSocket,
  args: AcceptArguments,
  lpErrno: Ref<number>,
): number {
  if (socket.state !== SocketState.listening || socket.listener === null) {
    lpErrno.value = socket.isStream ? wsa.WSAEINVAL : wsa.WSAEOPNOTSUPP;
    return ws.INVALID_SOCKET;
  }
  const { listener } = socket;
  const taken = listener.take(decisionOf(args));
  let accepted: number;
  if (taken === null) accepted = acceptTcp(core, socket, args, lpErrno);
  else if (typeof taken === 'number') {
    lpErrno.value = taken;
    accepted = ws.INVALID_SOCKET;
  } else {
    accepted = acceptSan(core, socket, taken, args, lpErrno);
  }
  // A deferred decision re-enables nothing. [W10.3]
  const isDeferred = accepted === ws.INVALID_SOCKET && lpErrno.value === wsa.WSATRY_AGAIN;
  if (!isDeferred) reenable(socket, ws.FD_ACCEPT);
  if (listener.hasArrival) occur(core, socket, ws.FD_ACCEPT_BIT, 0);
  return accepted;
}

function acceptSan(
  core: SwitchCore,
  socket: SwitchSocket,
  arrival: Arrival,
  args: AcceptArguments,
  lpErrno: Ref<number>,
): number {
  const { family, type, protocol } = socket;
  const { tcp, tcpInfo } = core;
  const flags = ws.WSA_FLAG_OVERLAPPED;
  if (!copyName(arrival.peerName, args.addr, args.addrlen)) {
    socket.listener?.putBack(arrival);
    lpErrno.value = wsa.WSAEFAULT;
    return ws.INVALID_SOCKET;
  }
  const descriptor = tcp.lpWSPSocket(family, type, protocol, tcpInfo, 0, flags, lpErrno);
  if (descriptor === ws.INVALID_SOCKET) {
    socket.listener?.putBack(arrival);
    return ws.INVALID_SOCKET;
  }
  const accepted = childOf(socket, descriptor);
  inherit(socket, accepted);
  core.sockets.add(accepted);
  attachArrival(core, accepted, arrival);
  return descriptor;
}

function acceptTcp(
  core: SwitchCore,
  socket: SwitchSocket,
  args: AcceptArguments,
  lpErrno: Ref<number>,
): number {
  socket.tcpReady &= ~ws.FD_ACCEPT;
  const { addr, addrlen, condition, callbackData } = args;
  const { lpWSPAccept } = core.tcp;
  const s = lpWSPAccept(socket.descriptor, addr, addrlen, condition, callbackData, lpErrno);
  if (s === ws.INVALID_SOCKET) return s;
  const accepted = childOf(socket, s);
  inherit(socket, accepted);
  core.sockets.add(accepted);
  const error = attachTcp(core, accepted, s);
  if (error === 0) return s;
  core.sockets.remove(accepted);
  core.tcp.lpWSPCloseSocket(s, ws.ref(0));
  lpErrno.value = error;
  return ws.INVALID_SOCKET;
}

/** Gives a socket the SAN connection that has arrived at a listener. */
export function attachArrival(core: SwitchCore, accepting: SwitchSocket, arrival: Arrival): void {
  accepting.localName = arrival.localName;
  accepting.peerName = arrival.peerName;
  noteAccepted(accepting);
  carry(core, accepting, arrival.connection);
  if (accepting.selectedMask !== 0) evaluate(core, accepting);
}

/** Gives a socket the connection that TCP/IP has accepted as `s`. 0, or the error. */
export function attachTcp(core: SwitchCore, accepting: SwitchSocket, s: number): number {
  if (accepting.descriptor !== s) giveDescriptor(core, accepting, s);
  // It has inherited the listener's event at TCP/IP, and needs its own. [ACCEPT-09]
  const error = watchTcp(core, accepting);
  if (error !== 0) return error;
  noteAccepted(accepting);
  accepting.state = SocketState.connected;
  accepting.isBound = true;
  accepting.connectedAt = core.environment.clock.now();
  core.statistics.tcpConnected();
  return 0;
}

/**
 * From now on TCP/IP's functions are called with `s` for this socket, whose handle stays the same.
 * The descriptor the handle was made with stays open, so that TCP/IP gives the number to nobody else.
 * [COMP-01; docs/decisions/0030-one-descriptor-for-life.md]
 */
export function giveDescriptor(core: SwitchCore, socket: SwitchSocket, s: number): void {
  const { tcp, events } = core;
  if (socket.tcpEvent !== 0) {
    tcp.lpWSPEventSelect(socket.descriptor, 0, 0, ws.ref(0));
    events.close(socket.tcpEvent);
    socket.tcpEvent = 0;
  }
  if (socket.descriptor !== socket.handle) tcp.lpWSPCloseSocket(socket.descriptor, ws.ref(0));
  socket.descriptor = s;
  for (const { level, name, value } of socket.options) {
    tcp.lpWSPSetSockOpt(s, level, name, value, value.length, ws.ref(0));
  }
}

function childOf(listener: SwitchSocket, descriptor: number): SwitchSocket {
  const { family, type, protocol, overlappedCapable } = listener;
  return new SwitchSocket(descriptor, { family, type, protocol, overlappedCapable });
}

function noteAccepted(accepting: SwitchSocket): void {
  // The accepting side reports FD_WRITE and never FD_CONNECT. [W10.7]
  accepting.reportedEvents = ws.FD_CONNECT | ws.FD_ACCEPT;
}

/** W10.10: options, mode and selection are the listener's. */
export function inherit(listener: SwitchSocket, socket: SwitchSocket): void {
  socket.nonBlocking = listener.nonBlocking;
  socket.selectedEvent = listener.selectedEvent;
  socket.selectedMask = listener.selectedMask;
  socket.sendTimeoutMs = listener.sendTimeoutMs;
  socket.receiveTimeoutMs = listener.receiveTimeoutMs;
  socket.lingerOn = listener.lingerOn;
  socket.lingerSeconds = listener.lingerSeconds;
  socket.oobInline = listener.oobInline;
  if (socket.options.length > 0) socket.options.splice(0);
  for (const option of listener.options) socket.options.push(option);
}

function decisionOf(args: AcceptArguments): Decision | null {
  const { condition, callbackData } = args;
  if (condition === null) return null;
  return (peerName, localName) => {
    const caller = { len: peerName.length, buf: peerName };
    const callee = { len: localName.length, buf: localName };
    return condition(caller, null, null, null, callee, null, ws.ref(0), callbackData);
  };
}
