// What an SPI function returns when it fails, and a procedure table in which every function
// fails. A provider or a test overwrites the slots it implements; the rest answer instead of
// being missing. Not for SAN providers: theirs leave what they lack null (SPI-05).

import { WSAEOPNOTSUPP } from './errors.js';
import type { Ref } from './winsock2.js';
import { INVALID_SOCKET, SOCKET_ERROR } from './winsock2.js';
import type { WSPProcTable } from './ws2spi.js';
import { PROC_TABLE_SLOTS } from './ws2spi.js';

export type ProcTableSlot = (typeof PROC_TABLE_SLOTS)[number];

/** A procedure table without gaps. */
export type FullProcTable = { [Slot in ProcTableSlot]: NonNullable<WSPProcTable[Slot]> };

/** What the function of a slot returns on failure, by the type that the header gives it. */
export function failureValue(slot: ProcTableSlot): number | false {
  switch (slot) {
    case 'lpWSPAccept':
    case 'lpWSPJoinLeaf':
    case 'lpWSPSocket':
      return INVALID_SOCKET;
    case 'lpWSPGetOverlappedResult':
    case 'lpWSPGetQOSByName':
      return false;
    default:
      return SOCKET_ERROR;
  }
}

/**
 * A table in which every function fails with `code`. lpErrno is the last parameter of all of
 * them.
 */
export function failingProcTable(code: number = WSAEOPNOTSUPP): FullProcTable {
  const entries = PROC_TABLE_SLOTS.map((slot) => {
    const value = failureValue(slot);
    const failing = (...parameters: readonly unknown[]): number | false => {
      (parameters[parameters.length - 1] as Ref<number>).value = code;
      return value;
    };
    return [slot, failing] as const;
  });
  return Object.fromEntries(entries) as unknown as FullProcTable;
}
