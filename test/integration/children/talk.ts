// How a child talks to its test: its plan as an argument, lines of JSON out. Output is written before
// the call returns, so it also works while the thread blocks.

import { writeSync } from 'node:fs';

/** What the test has passed to Child; the caller knows its type. */
export function plan(): unknown {
  return JSON.parse(process.argv[2] ?? 'null');
}

export function say(message: unknown): void {
  writeSync(1, `${JSON.stringify(message)}\n`);
}
