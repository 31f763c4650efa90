// System failures as one typed error. The addon answers a failed system call with the negative
// errno; check() turns that into a SystemError, and code that expects a certain failure compares
// numbers and never builds an error. It must not know what the failure means to Winsock: that
// mapping is above.

import { constants } from 'node:os';

const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(constants.errno).map(([name, number]) => [number, name]),
);

/** The errno numbers of this system, positive: `result === -errno.EAGAIN`. */
export const errno = constants.errno;

/** The name of an errno number such as 'ENOSPC', or 'E<number>' for one that Node does not name. */
export function errnoName(number: number): string {
  return NAMES.get(number) ?? `E${number}`;
}

/** A system call that failed: `code` is the errno's name, `errno` its positive number. */
export class SystemError extends Error {
  override readonly name = 'SystemError';
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;

  constructor(errnoNumber: number, syscall: string, detail?: string) {
    const code = errnoName(errnoNumber);
    super(`${syscall} failed with ${code}${detail === undefined ? '' : `: ${detail}`}`);
    this.code = code;
    this.errno = errnoNumber;
    this.syscall = syscall;
  }
}

/** Returns `result`, or throws SystemError when it is a negative errno. */
export function check(result: number, syscall: string, detail?: string): number {
  if (result < 0) throw new SystemError(-result, syscall, detail);
  return result;
}

/** Whether something thrown, by us or by node:fs, is the named system failure. */
export function isSystemFailure(thrown: unknown, ...codes: readonly string[]): boolean {
  if (!(thrown instanceof Error) || !('code' in thrown)) return false;
  return typeof thrown.code === 'string' && codes.includes(thrown.code);
}
