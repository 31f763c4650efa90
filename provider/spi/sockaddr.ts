// Socket addresses in the Windows layout: sockaddr_in (16 bytes) and sockaddr_in6 (28 bytes),
// made from and read into values. Bytes come from callers and peers, so reading them never
// throws. Layout: W2.13. The family is little-endian (a host integer), the port and the addresses
// big-endian.

import { AF_INET, AF_INET6 } from './winsock2.js';

export const SOCKADDR_IN_BYTES = 16;
export const SOCKADDR_IN6_BYTES = 28;
export const SOCKADDR_STORAGE_BYTES = 128;

export interface Ipv4Endpoint {
  readonly family: typeof AF_INET;
  /** Dotted decimal. */
  readonly ip: string;
  readonly port: number;
}

export interface Ipv6Endpoint {
  readonly family: typeof AF_INET6;
  /** RFC 5952 text, without a zone. */
  readonly ip: string;
  readonly port: number;
  readonly flowInfo: number;
  readonly scopeId: number;
}

export type Endpoint = Ipv4Endpoint | Ipv6Endpoint;

/**
 * A sockaddr_in. `ip` is dotted decimal or a host-order number. Throws RangeError when malformed.
 */
export function sockaddrIn(ip: string | number, port: number): Uint8Array {
  const address = typeof ip === 'number' ? ip : ipv4Number(ip);
  if (address === null || !isUint32(address)) throw new RangeError(`not an IPv4 address: ${ip}`);
  const bytes = new Uint8Array(SOCKADDR_IN_BYTES);
  writeSockaddrIn(bytes, address, checkedPort(port));
  return bytes;
}

/**
 * Writes a sockaddr_in of a host-order address over the first 16 of `bytes`, without allocating.
 */
export function writeSockaddrIn(bytes: Uint8Array, address: number, port: number): void {
  writeFamilyAndPort(bytes, AF_INET, port);
  bytes[4] = address >>> 24;
  bytes[5] = address >>> 16;
  bytes[6] = address >>> 8;
  bytes[7] = address;
  bytes.fill(0, 8, SOCKADDR_IN_BYTES);
}

/** A sockaddr_in6. Throws RangeError when `ip` or a number is malformed. */
export function sockaddrIn6(
  ip: string,
  port: number,
  options: { readonly flowInfo?: number; readonly scopeId?: number } = {},
): Uint8Array {
  const address = ipv6Bytes(ip);
  if (address === null) throw new RangeError(`not an IPv6 address: ${ip}`);
  const { flowInfo = 0, scopeId = 0 } = options;
  if (!isUint32(flowInfo) || !isUint32(scopeId)) throw new RangeError('flow and scope are 32-bit');
  const bytes = new Uint8Array(SOCKADDR_IN6_BYTES);
  writeFamilyAndPort(bytes, AF_INET6, checkedPort(port));
  const view = viewOf(bytes);
  view.setUint32(4, flowInfo, true);
  bytes.set(address, 8);
  view.setUint32(24, scopeId, true);
  return bytes;
}

/**
 * Reads the first `length` of `bytes` as a socket address. null when they are too short for their
 * family, or of another family than AF_INET and AF_INET6; never throws. Bytes past it are ignored.
 */
export function parseSockaddr(bytes: Uint8Array, length: number = bytes.length): Endpoint | null {
  const available = Math.min(length, bytes.length);
  // Negated, so that a length that is no number at all is malformed too.
  if (!(available >= SOCKADDR_IN_BYTES)) return null;
  const family = sockaddrFamily(bytes);
  const port = sockaddrPort(bytes);
  if (family === AF_INET) return { family: AF_INET, ip: ipv4Text(sockaddrInAddress(bytes)), port };
  if (family !== AF_INET6 || available < SOCKADDR_IN6_BYTES) return null;
  const view = viewOf(bytes);
  return {
    family: AF_INET6,
    ip: ipv6Text(bytes.subarray(8, 24)),
    port,
    flowInfo: view.getUint32(4, true),
    scopeId: view.getUint32(24, true),
  };
}

/** The family of a sockaddr of at least 2 bytes; AF_UNSPEC (0) of a shorter one. */
export function sockaddrFamily(bytes: Uint8Array): number {
  return (bytes[0] ?? 0) | ((bytes[1] ?? 0) << 8);
}

/** The port of a sockaddr of either family. */
export function sockaddrPort(bytes: Uint8Array): number {
  return ((bytes[2] ?? 0) << 8) | (bytes[3] ?? 0);
}

/** The address of a sockaddr_in as a host-order number: 127.0.0.1 is 0x7f000001. */
export function sockaddrInAddress(bytes: Uint8Array): number {
  const high = ((bytes[4] ?? 0) << 24) | ((bytes[5] ?? 0) << 16);
  return (high | ((bytes[6] ?? 0) << 8) | (bytes[7] ?? 0)) >>> 0;
}

export function ipv4Text(address: number): string {
  return `${address >>> 24}.${(address >>> 16) & 255}.${(address >>> 8) & 255}.${address & 255}`;
}

/** The host-order number of strict dotted decimal: four parts, no leading zeros. null otherwise. */
export function ipv4Number(text: string): number | null {
  const parts = text.split('.');
  if (parts.length !== 4) return null;
  let address = 0;
  for (const part of parts) {
    if (!/^(0|[1-9][0-9]{0,2})$/.test(part) || Number(part) > 255) return null;
    address = address * 256 + Number(part);
  }
  return address;
}

/**
 * The 16 bytes of IPv6 text, with `::` and a dotted tail allowed, without a zone. null otherwise.
 */
export function ipv6Bytes(text: string): Uint8Array | null {
  const halves = text.split('::');
  if (halves.length > 2) return null;
  const head = groupsOf(halves[0] ?? '', halves.length === 1);
  const tail = halves.length === 2 ? groupsOf(halves[1] ?? '', true) : [];
  if (head === null || tail === null) return null;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return null;
  const groups = [...head, ...new Array<number>(missing).fill(0), ...tail];
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 255]));
}

/** RFC 5952 text of 16 bytes: lower case, the longest run of zero groups as `::`. */
export function ipv6Text(bytes: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, index) => {
    return ((bytes[2 * index] ?? 0) << 8) | (bytes[2 * index + 1] ?? 0);
  });
  const run = longestZeroRun(groups);
  const text = (part: number[]): string => part.map((group) => group.toString(16)).join(':');
  if (run.length < 2) return text(groups);
  return `${text(groups.slice(0, run.start))}::${text(groups.slice(run.start + run.length))}`;
}

function groupsOf(text: string, dottedTailAllowed: boolean): number[] | null {
  if (text === '') return [];
  const parts = text.split(':');
  const groups: number[] = [];
  for (const [index, part] of parts.entries()) {
    if (/^[0-9a-f]{1,4}$/i.test(part)) {
      groups.push(Number.parseInt(part, 16));
      continue;
    }
    const address = dottedTailAllowed && index === parts.length - 1 ? ipv4Number(part) : null;
    if (address === null) return null;
    groups.push(address >>> 16, address & 0xffff);
  }
  return groups;
}

function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < groups.length; start++) {
    let length = 0;
    while (groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  return best;
}

function writeFamilyAndPort(bytes: Uint8Array, family: number, port: number): void {
  bytes[0] = family;
  bytes[1] = family >>> 8;
  bytes[2] = port >>> 8;
  bytes[3] = port;
}

function checkedPort(port: number): number {
  if (!Number.isInteger(port) || port < 0 || port > 0xffff)
    throw new RangeError(`not a port: ${port}`);
  return port;
}

function isUint32(value: number): boolean {
  return value >>> 0 === value;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
