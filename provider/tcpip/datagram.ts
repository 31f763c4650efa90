// What a message may be sent to and from: the rules before the kernel is asked, and the envelope that
// goes with the data. It must not know how messages move or wait.
// Sources: W5.1, W5.3 to W5.6, W6.2, W6.4 to W6.6, W8.2.3, W4.10, W4.20, W15.8 to W15.10.

import { native } from '../../native/load.js';
import * as wsa from '../spi/errors.js';
import { sockaddrPort } from '../spi/sockaddr.js';
import * as ws from '../spi/winsock2.js';
import { isIpv4Destination, readSource, writeSource } from './control-data.js';
import type { Source } from './control-data.js';
import { evaluate } from './events.js';
import {
  hostName,
  ipv4Bytes,
  isMapped,
  isOwnAddress,
  isWildcard,
  kernelLocalName,
  nameError,
  wildcardName,
  withPort,
} from './naming.js';
import { PLAIN } from './operation.js';
import type { Envelope } from './operation.js';
import type { Context, KernelSocket } from './record.js';
import { sockaddrBytes, toLinuxSockaddr, wsaErrorOfErrno } from './translate.js';

/** An address as a call gives it. */
export interface Destination {
  readonly name: Uint8Array;
  readonly length: number;
}

/**
 * 0 when a message may be sent now, or the error. `missing` is that of a socket without a default peer
 * when there is no destination. An unbound socket is bound in the profiles that do so. [W5.3, W6.5]
 */
export function readyToSend(
  context: Context,
  socket: KernelSocket,
  flags: number,
  destination: Destination | null,
  missing: number,
): number {
  // Urgent data is of streams, and a message is sent whole. [W4.10]
  if ((flags & ~ws.MSG_DONTROUTE) !== 0) return wsa.WSAEOPNOTSUPP;
  if (socket.isSendShut) return wsa.WSAESHUTDOWN;
  const error =
    destination === null
      ? defaultPeerError(context, socket, missing)
      : destinationError(socket, destination);
  if (error !== 0) return error;
  return socket.localName === null ? bindImplicitly(context, socket) : 0;
}

function defaultPeerError(context: Context, socket: KernelSocket, missing: number): number {
  if (socket.state !== 'connected') return missing;
  const { message } = socket;
  const isRefused =
    message !== null &&
    message.isPeerBroadcast &&
    !message.isBroadcastAllowed &&
    context.profile.connectedBroadcastNeedsOption;
  return isRefused ? wsa.WSAEACCES : 0;
}

/** The address errors that the kernel does not make itself, or makes otherwise. [W5.5] */
function destinationError(socket: KernelSocket, { name, length }: Destination): number {
  const invalid = nameError(name, length, socket.family);
  if (invalid !== 0) return invalid;
  if (isWildcard(name)) return wsa.WSAEADDRNOTAVAIL;
  return isMapped(name) && socket.options.isIpv6Only ? wsa.WSAENETUNREACH : 0;
}

/** The wildcard address and a port of the kernel's choice. 0 or the error. [W5.3] */
export function bindImplicitly(context: Context, socket: KernelSocket): number {
  if (!context.profile.implicitBind) return wsa.WSAEINVAL;
  const { family, fd } = socket;
  const { hostAddress } = context.kernel;
  const own = socket.isDualStack ? wildcardName(family, 0) : hostName(hostAddress, family, 0);
  const kernelName = toLinuxSockaddr(own);
  const result = native.socketBind(fd, kernelName, kernelName.length);
  if (result < 0) return wsaErrorOfErrno(result);
  const port = sockaddrPort(kernelLocalName(fd) ?? own);
  socket.localName = withPort(wildcardName(family, 0), port);
  evaluate(context, socket);
  return 0;
}

/** What goes with a message to `to` (null: the default peer), or why its control data is no good. */
export function envelopeOf(
  context: Context,
  socket: KernelSocket,
  to: Uint8Array | null,
  control: ws.WSABUF | null,
): Envelope | number {
  const target = to ?? socket.peerName;
  const source =
    control === null || target === null ? null : readSource(control, isIpv4Destination(target));
  if (typeof source === 'number') return source;
  if (source !== null && !isUsable(context, source)) return wsa.WSAEADDRNOTAVAIL;
  const chosen = source ?? ownSource(context, socket, target);
  const isToNowhere = to !== null && socket.type === ws.SOCK_DGRAM && sockaddrPort(to) === 0;
  if (to === null && chosen === null) return PLAIN;
  return {
    ...PLAIN,
    name: to === null ? null : kernelName(socket, to),
    control: chosen === null ? null : writeSource(chosen),
    isToNowhere,
  };
}

/** Raw sockets have no ports; the kernel insists on zero. */
function kernelName(socket: KernelSocket, to: Uint8Array): Uint8Array {
  const name = toLinuxSockaddr(to.subarray(0, sockaddrBytes(socket.family)));
  if (socket.type === ws.SOCK_RAW) name.fill(0, 2, 4);
  return name;
}

/** All zeros leave the address to the kernel and choose an interface alone. */
function isUsable(context: Context, { address }: Source): boolean {
  return address.every((byte) => byte === 0) || isOwnAddress(context.kernel.hostAddress, address);
}

/**
 * A dual-stack socket bound to the wildcard is bound to the kernel's, which would let its IPv4 messages
 * leave from 127.0.0.1 instead of the host's address (docs/decisions/0015-dual-stack.md).
 */
function ownSource(
  context: Context,
  socket: KernelSocket,
  target: Uint8Array | null,
): Source | null {
  const { hostAddress } = context.kernel;
  if (!socket.isDualStack) return null;
  const isBoundToAll = socket.localName !== null && isWildcard(socket.localName);
  if (hostAddress === null || target === null || !isBoundToAll || !isMapped(target)) return null;
  return { address: ipv4Bytes(hostName(hostAddress, ws.AF_INET, 0)), interfaceIndex: 0 };
}

/** 0, or WSAEFAULT: there is no room for the sender's address where it is asked for. [W8.2.3] */
export function nameRoomError(
  socket: KernelSocket,
  name: Uint8Array | null,
  length: number,
): number {
  if (name === null) return 0;
  const isEnough = Math.min(length, name.length) >= sockaddrBytes(socket.family);
  return isEnough ? 0 : wsa.WSAEFAULT;
}
