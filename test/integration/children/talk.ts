// How a child talks to its test: its plan as an argument, lines of JSON out and in. Output is written
// before the call returns, so it also works while the thread blocks.

import { once } from 'node:events';
import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';

/** What the test has passed to Child. */
export function plan<T>(): T {
  return JSON.parse(process.argv[2] ?? 'null') as T;
}

export function say(message: unknown): void {
  writeSync(1, `${JSON.stringify(message)}\n`);
}

/** Waits for one line of the test. */
export async function hear<T>(): Promise<T> {
  const input = createInterface({ input: process.stdin });
  try {
    const [line] = (await once(input, 'line')) as [string];
    return JSON.parse(line) as T;
  } finally {
    input.close();
    process.stdin.unref();
  }
}
