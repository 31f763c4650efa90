// How a case says what is wrong: what it expected and what came, in words of the contract. It must not
// know any case. Codes are compared, never messages.

import { errorName } from '../../provider/spi/index.js';

/** A provider does not do what a clause says. */
export class ConformanceFailure extends Error {
  override readonly name = 'ConformanceFailure';
  readonly expected: string;
  readonly actual: string;

  constructor(what: string, expected: string, actual: string) {
    super(`${what}: expected ${expected}, got ${actual}`);
    this.expected = `${what}: ${expected}`;
    this.actual = actual;
  }
}

/** A capability that only looking can show to be missing; the case is then not supported. */
export class NotSupported extends Error {
  override readonly name = 'NotSupported';
}

/** 0 and every error by the name of the header. */
export function codeText(code: number): string {
  return code === 0 ? 'success' : errorName(code);
}

/** Throws ConformanceFailure unless `actual` is one of `allowed`. */
export function expectCode(what: string, actual: number, ...allowed: readonly number[]): void {
  if (allowed.includes(actual)) return;
  throw new ConformanceFailure(what, allowed.map(codeText).join(' or '), codeText(actual));
}

/** Throws ConformanceFailure unless both are the same number, string, boolean or null. */
export function expectSame<T extends number | string | boolean | null>(
  what: string,
  actual: T,
  expected: T,
): void {
  if (Object.is(actual, expected)) return;
  throw new ConformanceFailure(what, String(expected), String(actual));
}

/** Throws ConformanceFailure, with `expected` in words, unless `holds`. */
export function expectThat(
  holds: boolean,
  what: string,
  expected: string,
  actual: string = 'something else',
): void {
  if (!holds) throw new ConformanceFailure(what, expected, actual);
}

/** Throws ConformanceFailure with the first difference unless the bytes are equal. */
export function expectBytes(what: string, actual: Uint8Array, expected: Uint8Array): void {
  expectSame(`${what}: length`, actual.length, expected.length);
  const at = actual.findIndex((byte, index) => byte !== expected[index]);
  if (at < 0) return;
  throw new ConformanceFailure(
    what,
    `byte ${expected[at] ?? 0} at offset ${at} of ${expected.length}`,
    `byte ${actual[at] ?? 0}`,
  );
}
