// The application's accept: completed by whichever side has an arrival, TCP/IP or a SAN provider. The
// descriptor of a SAN connection is made by TCP/IP all the same. Sources: ACC-01 to ACC-06, COMP-01,
// W10.10, ACCEPT-01, ACCEPT-09.

import * as wsa from '../provider/spi/error-codes.js';
import type { DWORD_PTR, LPCONDITIONPROC, Ref } from '../provider/spi/winsock2.js';
import * as ws from '../provider/spi/winsock2.js';
import { carry } from './carrier.js';
import type { SwitchCore } from './core.js';
import type { Arrival, Decision } from './listen.js';
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
  reenable(socket, ws.FD_ACCEPT);
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
  const accepted = inherit(socket, descriptor);
  accepted.localName = arrival.localName;
  accepted.peerName = arrival.peerName;
  core.sockets.add(accepted);
  carry(core, accepted, arrival.connection);
  if (accepted.selectedMask !== 0) evaluate(core, accepted);
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
  const accepted = inherit(socket, s);
  accepted.state = SocketState.connected;
  if (accepted.connection === null) core.statistics.tcpConnected();
  accepted.isBound = true;
  core.sockets.add(accepted);
  // It has inherited the listener's event at TCP/IP, and needs its own. [ACCEPT-09]
  const error = watchTcp(core, accepted);
  if (error !== 0) {
    core.sockets.remove(accepted);
    core.tcp.lpWSPCloseSocket(s, ws.ref(0));
    lpErrno.value = error;
    return ws.INVALID_SOCKET;
  }
  return s;
}

/** W10.10: options, mode and selection are the listener's. */
function inherit(listener: SwitchSocket, descriptor: number): SwitchSocket {
  const { family, type, protocol, overlappedCapable } = listener;
  const socket = new SwitchSocket(descriptor, { family, type, protocol, overlappedCapable });
  socket.nonBlocking = listener.nonBlocking;
  socket.selectedEvent = listener.selectedEvent;
  socket.selectedMask = listener.selectedMask;
  // The accepting side reports FD_WRITE and never FD_CONNECT. [W10.7]
  socket.reportedEvents = ws.FD_CONNECT | ws.FD_ACCEPT;
  socket.sendTimeoutMs = listener.sendTimeoutMs;
  socket.receiveTimeoutMs = listener.receiveTimeoutMs;
  socket.lingerOn = listener.lingerOn;
  socket.lingerSeconds = listener.lingerSeconds;
  socket.oobInline = listener.oobInline;
  socket.options.push(...listener.options);
  return socket;
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
