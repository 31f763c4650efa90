// Lines of JSON between a test and its child: calls one way, results the other. Byte arrays travel as
// base64. It must not know what is called.

import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

export interface Call {
  readonly call: number;
  readonly operation: string;
  readonly args: readonly unknown[];
}

export interface Result {
  readonly call: number;
  readonly value?: unknown;
  readonly failure?: string;
}

export function encode(message: Call | Result): string {
  return JSON.stringify(message, (_, value: unknown) =>
    value instanceof Uint8Array ? { base64: Buffer.from(value).toString('base64') } : value,
  );
}

export function decode(line: string): unknown {
  return JSON.parse(line, (_, value: unknown) => {
    if (typeof value !== 'object' || value === null || !('base64' in value)) return value;
    return new Uint8Array(Buffer.from(String(value.base64), 'base64'));
  });
}

export function onLine(input: Readable, handle: (line: string) => void): void {
  createInterface({ input }).on('line', handle);
}

/** An object whose methods are carried out by the child, seen as `T` by the caller. Calls still open when it ends are rejected. */
// The caller says what it is: nothing here can check that.
// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters
export function remote<T extends object>(child: ChildProcess): T {
  const { stdin, stdout } = child;
  if (stdin === null || stdout === null) throw new Error('the child has no pipes');
  const open = new Map<number, { resolve(value: unknown): void; reject(reason: Error): void }>();
  let calls = 0;
  onLine(stdout, (line) => {
    const result = decode(line) as Result;
    const call = open.get(result.call);
    open.delete(result.call);
    if (result.failure === undefined) call?.resolve(result.value);
    else call?.reject(new Error(result.failure));
  });
  child.once('close', () => {
    for (const call of open.values()) call.reject(new Error('the child ended'));
    open.clear();
  });
  const call = (operation: string, args: readonly unknown[]): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const number = calls++;
      open.set(number, { resolve, reject });
      stdin.write(`${encode({ call: number, operation, args })}\n`);
    });
  return new Proxy({} as T, {
    // A promise would ask for `then`; it is no operation.
    get: (_, operation) =>
      typeof operation === 'string' && operation !== 'then'
        ? (...args: unknown[]) => call(operation, args)
        : undefined,
  });
}
