// Which addresses a host may use, and what the kernel socket is bound to instead. Several hosts share
// one kernel, each with an address of 127.0.0.0/8, so a host never takes the kernel's wildcard.
// It must not know sockets' states. Source: docs/decisions/0002-host-addresses.md, W15.9, W12.3.

import { native } from '../../native/load.js';
import * as wsa from '../spi/errors.js';
import {
  SOCKADDR_IN6_BYTES,
  sockaddrFamily,
  sockaddrIn,
  sockaddrIn6,
  sockaddrInAddress,
  sockaddrPort,
} from '../spi/sockaddr.js';
import * as ws from '../spi/winsock2.js';
import { sockaddrBytes, toWindowsSockaddr } from './translate.js';

const IPV6_LOOPBACK = '::1';
const LAST_BYTE = 23;

/** 0, or why `name` cannot name anything on a socket of `family`. */
export function nameError(name: Uint8Array | null, length: number, family: number): number {
  if (name === null || length < 2 || name.length < 2) return wsa.WSAEFAULT;
  if (sockaddrFamily(name) !== family) return wsa.WSAEAFNOSUPPORT;
  return Math.min(length, name.length) < sockaddrBytes(family) ? wsa.WSAEFAULT : 0;
}

/** Whether a well-formed name is 0.0.0.0 or ::. */
export function isWildcard(name: Uint8Array): boolean {
  if (sockaddrFamily(name) === ws.AF_INET) return sockaddrInAddress(name) === ws.INADDR_ANY;
  return name.subarray(8, SOCKADDR_IN6_BYTES - 4).every((byte) => byte === 0);
}

export function withPort(name: Uint8Array, port: number): Uint8Array {
  const copy = name.slice();
  copy[2] = port >>> 8;
  copy[3] = port;
  return copy;
}

/** The wildcard address with a port, as an application sees the socket it bound there. */
export function wildcardName(family: number, port: number): Uint8Array {
  return family === ws.AF_INET6 ? sockaddrIn6('::', port) : sockaddrIn(ws.INADDR_ANY, port);
}

/** The host's own name with a port: what stands for the wildcard in the kernel. */
export function hostName(hostAddress: number | null, family: number, port: number): Uint8Array {
  if (hostAddress === null) return wildcardName(family, port);
  return family === ws.AF_INET6 ? sockaddrIn6(IPV6_LOOPBACK, port) : sockaddrIn(hostAddress, port);
}

/**
 * The name to bind in the kernel for the one that the application wants; null: not an address of
 * this host.
 */
export function kernelBindName(hostAddress: number | null, name: Uint8Array): Uint8Array | null {
  const family = sockaddrFamily(name);
  if (hostAddress === null) return name.slice(0, sockaddrBytes(family));
  if (isWildcard(name)) return hostName(hostAddress, family, sockaddrPort(name));
  const isOurs =
    family === ws.AF_INET6
      ? isIpv6Loopback(name)
      : [hostAddress, ws.INADDR_LOOPBACK].includes(sockaddrInAddress(name));
  return isOurs ? name.slice(0, sockaddrBytes(family)) : null;
}

/** What an unbound socket is bound to before it connects, so that the peer sees the right host. */
export function sourceName(hostAddress: number | null, target: Uint8Array): Uint8Array {
  const family = sockaddrFamily(target);
  const isLoopback = family === ws.AF_INET && sockaddrInAddress(target) === ws.INADDR_LOOPBACK;
  return isLoopback ? sockaddrIn(ws.INADDR_LOOPBACK, 0) : hostName(hostAddress, family, 0);
}

/** The kernel's idea of a socket's own name; null when it has none (the connection is gone). */
export function kernelLocalName(fd: number): Uint8Array | null {
  return nameBy((name) => native.socketName(fd, name));
}

export function kernelPeerName(fd: number): Uint8Array | null {
  return nameBy((name) => native.socketPeerName(fd, name));
}

function nameBy(call: (name: Uint8Array) => number): Uint8Array | null {
  const name = new Uint8Array(SOCKADDR_IN6_BYTES);
  const length = call(name);
  return length < 0 ? null : toWindowsSockaddr(name, length);
}

/** Answers with a name as getsockname does: 0, or the error. */
export function answerName(
  answer: Uint8Array,
  name: Uint8Array | null,
  length: ws.Ref<number> | null,
): number {
  if (name === null || length === null) return wsa.WSAEFAULT;
  if (Math.min(length.value, name.length) < answer.length) return wsa.WSAEFAULT;
  name.set(answer);
  length.value = answer.length;
  return 0;
}

function isIpv6Loopback(name: Uint8Array): boolean {
  const address = name.subarray(8, LAST_BYTE + 1);
  return address.every((byte, index) => byte === (index === 15 ? 1 : 0));
}
