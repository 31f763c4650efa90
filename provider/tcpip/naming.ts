// Which addresses a host may use, and what the kernel socket is bound to instead. Several hosts share
// one kernel, each with an address of 127.0.0.0/8, so a host never takes the kernel's wildcard.
// It must not know sockets' states. Source: docs/decisions/0002-host-addresses.md, W15.9, W12.3.

import { native } from '../../native/load.js';
import * as wsa from '../spi/errors.js';
import {
  ipv4Text,
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
const IPV4_ADDRESS = 4;
const IPV4_BYTES = 4;
const IPV6_ADDRESS = 8;
/** Where the IPv4 address of a mapped name begins, and the zeros before its two bytes of ones. */
const MAPPED_ADDRESS = 20;
const MAPPED_ZEROS = 10;
const LAST_BYTE = 23;

/** 0, or why `name` cannot name anything on a socket of `family`. */
export function nameError(name: Uint8Array | null, length: number, family: number): number {
  if (name === null || length < 2 || name.length < 2) return wsa.WSAEFAULT;
  if (sockaddrFamily(name) !== family) return wsa.WSAEAFNOSUPPORT;
  return Math.min(length, name.length) < sockaddrBytes(family) ? wsa.WSAEFAULT : 0;
}

/** Whether a well-formed name is 0.0.0.0, mapped or not, or ::. */
export function isWildcard(name: Uint8Array): boolean {
  if (sockaddrFamily(name) === ws.AF_INET) return sockaddrInAddress(name) === ws.INADDR_ANY;
  const first = isMapped(name) ? MAPPED_ADDRESS : IPV6_ADDRESS;
  return name.subarray(first, LAST_BYTE + 1).every((byte) => byte === 0);
}

/** Whether a name is ::ffff:a.b.c.d: how a dual-stack socket speaks IPv4. */
export function isMapped(name: Uint8Array): boolean {
  if (sockaddrFamily(name) !== ws.AF_INET6 || name.length < SOCKADDR_IN6_BYTES) return false;
  return isMappedAddress(name.subarray(IPV6_ADDRESS, LAST_BYTE + 1));
}

/** The same of the 16 bytes of an address. */
export function isMappedAddress(address: Uint8Array): boolean {
  const prefix = address.subarray(0, MAPPED_ADDRESS - IPV6_ADDRESS);
  return prefix.every((byte, index) => byte === (index < MAPPED_ZEROS ? 0 : 0xff));
}

/** The four bytes of the IPv4 address in a sockaddr_in or a mapped name. */
export function ipv4Bytes(name: Uint8Array): Uint8Array {
  const first = sockaddrFamily(name) === ws.AF_INET ? IPV4_ADDRESS : MAPPED_ADDRESS;
  return name.slice(first, first + IPV4_BYTES);
}

function mappedName(address: number, port: number): Uint8Array {
  return sockaddrIn6(`::ffff:${ipv4Text(address)}`, port);
}

/** Whether a host may send from an address of 4 or 16 bytes. */
export function isOwnAddress(hostAddress: number | null, address: Uint8Array): boolean {
  if (hostAddress === null) return true;
  if (address.length !== IPV4_BYTES) {
    return address.every((byte, index) => byte === (index === address.length - 1 ? 1 : 0));
  }
  const number = address.reduce((sum, byte) => sum * 256 + byte, 0);
  return number === hostAddress || number === ws.INADDR_LOOPBACK;
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
 * this host. A dual-stack wildcard is the kernel's own (docs/decisions/0015-dual-stack.md).
 */
export function kernelBindName(
  hostAddress: number | null,
  name: Uint8Array,
  isDualStack: boolean,
): Uint8Array | null {
  const family = sockaddrFamily(name);
  if (hostAddress === null) return name.slice(0, sockaddrBytes(family));
  if (isWildcard(name)) {
    const port = sockaddrPort(name);
    return isDualStack ? wildcardName(family, port) : hostName(hostAddress, family, port);
  }
  const isIpv6 = family === ws.AF_INET6 && !(isDualStack && isMapped(name));
  const isOurs = isIpv6 ? isIpv6Loopback(name) : isOwnAddress(hostAddress, ipv4Bytes(name));
  return isOurs ? name.slice(0, sockaddrBytes(family)) : null;
}

/** What an unbound socket is bound to before it connects, so that the peer sees the right host. */
export function sourceName(hostAddress: number | null, target: Uint8Array): Uint8Array {
  const family = sockaddrFamily(target);
  if (isMapped(target) && hostAddress !== null) return mappedName(hostAddress, 0);
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
  const address = name.subarray(IPV6_ADDRESS, LAST_BYTE + 1);
  return address.every((byte, index) => byte === (index === 15 ? 1 : 0));
}
