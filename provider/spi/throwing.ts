// A style for providers that are to be short rather than fast: a function of the contract fails by
// throwing, from however deep, and the switch sees what the header says, the value that means failure
// and a code in lpErrno. An exception costs microseconds, so this is for examples and tests.
// Sources: W1.1, and the return values of the headers (base-provider.ts).

import type { ProcTableSlot } from './base-provider.js';
import { failureValue } from './base-provider.js';
import { isWsaError, WsaError } from './errors.js';
import type { Ref } from './winsock2.js';

/** Ends a function of `answering` with `code`; WSA_IO_PENDING is told in the same way. */
export function raise(code: number): never {
  throw new WsaError(code, { call: 'WSP' });
}

/** Functions of the contract that get a `Subject` in place of their first number, and may return nothing. */
export type Raising<Table, Subject> = {
  [Name in keyof Table]: Table[Name] extends
    | ((first: number, ...rest: infer Rest) => infer Result)
    | null
    ?
        | ((subject: Subject, ...rest: Rest) => Result)
        | ((subject: Subject, ...rest: Rest) => void)
        | Extract<Table[Name], null>
    : never;
};

type Procedure = (first: unknown, ...rest: readonly unknown[]) => unknown;

/**
 * Functions of a procedure table, or the extensions, as the switch calls them: `find` makes the subject
 * of the first parameter, mostly of a descriptor. What either raises goes to lpErrno, the last parameter;
 * anything else is thrown on. A function that returns nothing has succeeded; null stays null.
 */
export function answering<Table extends object, Subject = number>(
  find: (first: number) => Subject,
  table: Raising<Table, Subject>,
): Table {
  const answers = Object.entries(table).map(([name, procedure]: [string, unknown]) => {
    if (procedure === null) return [name, null];
    const failure = name === 'WSPRegisterMemory' ? 0 : failureValue(name as ProcTableSlot);
    const answer = (first: number, ...rest: readonly unknown[]): unknown => {
      try {
        return (procedure as Procedure)(find(first), ...rest) ?? 0;
      } catch (thrown) {
        if (!isWsaError(thrown)) throw thrown;
        (rest[rest.length - 1] as Ref<number>).value = thrown.code;
        return failure;
      }
    };
    return [name, answer];
  });
  return Object.fromEntries(answers) as Table;
}
