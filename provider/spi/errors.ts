// The error vocabulary of the contract: every number with its name and meaning, and the one
// exception class that carries it where an exception is the right form (the promise API, tools).
// The SPI itself never throws: it writes *lpErrno (W1.1). Sources: W1.1-1.3, DATA-06.

import * as codes from './error-codes.js';
import { ERROR_TEXT } from './error-text.js';

export * from './error-codes.js';

export interface ErrorEntry {
  readonly code: number;
  /** As in winsock2.h or winerror.h. */
  readonly name: string;
  readonly text: string;
}

/** Every error of W1.2, the QoS range included, and of W1.3, in numeric order. */
export const WSA_ERRORS: readonly ErrorEntry[] = (Object.keys(codes) as (keyof typeof codes)[])
  .map((name) => ({ code: codes[name], name, text: ERROR_TEXT[name] }))
  .sort((a, b) => a.code - b.code);

const BY_CODE: ReadonlyMap<number, ErrorEntry> = new Map(
  WSA_ERRORS.map((entry) => [entry.code, entry]),
);

/**
 * The header name of an error; the number as text for one that is not in the table. 0 is
 * NO_ERROR.
 */
export function errorName(code: number): string {
  return code === 0 ? 'NO_ERROR' : (BY_CODE.get(code)?.name ?? String(code));
}

/** One sentence about an error, for any number. */
export function errorText(code: number): string {
  return code === 0 ? 'No error.' : (BY_CODE.get(code)?.text ?? `Unknown error ${code}.`);
}

export interface WsaErrorOptions {
  /** The function that failed, such as 'WSPSend'. */
  readonly call: string;
  readonly cause?: unknown;
}

/** A Winsock failure as an exception: the number, its name, and the call it came from. */
export class WsaError extends Error {
  override readonly name = 'WsaError';
  readonly code: number;
  readonly codeName: string;
  readonly call: string;

  constructor(code: number, options: WsaErrorOptions) {
    const codeName = errorName(code);
    const cause = options.cause === undefined ? {} : { cause: options.cause };
    super(`${options.call}: ${codeName} (${code}): ${errorText(code)}`, cause);
    this.code = code;
    this.codeName = codeName;
    this.call = options.call;
  }
}

/** Whether `value` is a WsaError, and of the given code if there is one. */
export function isWsaError(value: unknown, code?: number): value is WsaError {
  return value instanceof WsaError && (code === undefined || value.code === code);
}
