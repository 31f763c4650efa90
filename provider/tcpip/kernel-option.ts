// Integer options of a kernel socket, in the host's byte order. It must not know Windows options.

import { native } from '../../native/load.js';
import { readUint32, writeUint32 } from './bytes.js';
import { LINUX } from './translate.js';

const INT_BYTES = 4;

/** The value, or a negative errno. */
export function readInt(fd: number, level: number, option: number): number {
  const value = new Uint8Array(INT_BYTES);
  const result = native.socketGetOption(fd, level, option, value);
  return result < 0 ? result : readUint32(value) | 0;
}

/** 0, or a negative errno. */
export function writeInt(fd: number, level: number, option: number, value: number): number {
  const bytes = new Uint8Array(INT_BYTES);
  writeUint32(bytes, value);
  return native.socketSetOption(fd, level, option, bytes, INT_BYTES);
}

/** Sets a boolean option of the socket level; such a call does not fail on a live descriptor. */
export function setFlag(fd: number, option: number, isOn: boolean): void {
  writeInt(fd, LINUX.SOL_SOCKET, option, isOn ? 1 : 0);
}

/** Takes the error that the kernel keeps for a socket, a positive errno; 0: none. Clears it. */
export function takeSocketError(fd: number): number {
  return Math.max(0, readInt(fd, LINUX.SOL_SOCKET, LINUX.SO_ERROR));
}
