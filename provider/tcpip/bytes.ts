// Little-endian numbers in option values and control buffers: the order of Windows, and of every
// machine that this package runs on. Room is checked by the caller; beyond it, reads give zeros.

export function readUint16(bytes: Uint8Array, offset = 0): number {
  return (bytes[offset] ?? 0) | ((bytes[offset + 1] ?? 0) << 8);
}

export function readUint32(bytes: Uint8Array, offset = 0): number {
  return (readUint16(bytes, offset) | (readUint16(bytes, offset + 2) << 16)) >>> 0;
}

export function writeUint16(bytes: Uint8Array, value: number, offset = 0): void {
  bytes[offset] = value;
  bytes[offset + 1] = value >>> 8;
}

export function writeUint32(bytes: Uint8Array, value: number, offset = 0): void {
  writeUint16(bytes, value, offset);
  writeUint16(bytes, value >>> 16, offset + 2);
}
