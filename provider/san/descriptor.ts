// The RDMA descriptor: what WSPRegisterRdmaMemory stores and the peer's WSPRdmaWrite and WSPRdmaRead
// take. Opaque to the switch, private to this provider, the same on every host of the SAN. It carries
// the length, so that a range outside of it is refused before it costs the connection.
// Sources: REGRDMA-02, REGRDMA-06, RDMA-03, RDMA-10.
//
//   0 remote key | 4 length | 8 address, low | 12 address, high | 16 nonce, 16 bytes
//
// All little-endian. The nonce makes every exposure's descriptor its own, also when keys recur.

import type { MemoryRegion } from '../nic/device.js';
import type { RandomSource } from '../spi/provider.js';

export const DESCRIPTOR_BYTES = 32;
const NONCE_OFFSET = 16;
const TWO_32 = 2 ** 32;

/** Writes the descriptor of a region with a new nonce. */
export function describeRegion(
  bytes: Uint8Array,
  region: MemoryRegion,
  random: RandomSource,
): void {
  for (let at = NONCE_OFFSET; at < DESCRIPTOR_BYTES; at += 4) {
    writeUint32(bytes, at, random.uint32());
  }
  writeUint32(bytes, 0, region.remoteKey);
  writeUint32(bytes, 4, region.length);
  writeUint32(bytes, 8, region.address % TWO_32);
  writeUint32(bytes, 12, Math.floor(region.address / TWO_32));
}

export function remoteKeyOf(descriptor: Uint8Array): number {
  return readUint32(descriptor, 0);
}

export function lengthOf(descriptor: Uint8Array): number {
  return readUint32(descriptor, 4);
}

/** The address of the first byte; not necessarily one that exists, as a peer may send anything. */
export function addressOf(descriptor: Uint8Array): number {
  return readUint32(descriptor, 8) + readUint32(descriptor, 12) * TWO_32;
}

/**
 * A view of the descriptor's bytes as words: remote key, length, address low, address high. Null when it is
 * too short, or begins where words cannot.
 */
export function wordsOf(descriptor: Uint8Array): Uint32Array | null {
  const { buffer, byteOffset, length } = descriptor;
  if (length < DESCRIPTOR_BYTES || byteOffset % 4 !== 0) return null;
  return new Uint32Array(buffer, byteOffset, 4);
}

export function isSameDescriptor(one: Uint8Array, other: Uint8Array): boolean {
  for (let index = 0; index < DESCRIPTOR_BYTES; index++) {
    if (one[index] !== other[index]) return false;
  }
  return true;
}

function writeUint32(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value;
  bytes[offset + 1] = value >>> 8;
  bytes[offset + 2] = value >>> 16;
  bytes[offset + 3] = value >>> 24;
}

function readUint32(bytes: Uint8Array, offset: number): number {
  const high = ((bytes[offset + 3] ?? 0) << 24) | ((bytes[offset + 2] ?? 0) << 16);
  return (high | ((bytes[offset + 1] ?? 0) << 8) | (bytes[offset] ?? 0)) >>> 0;
}
