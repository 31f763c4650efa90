// How a child talks to its test: lines out, lines in.

import { createInterface } from 'node:readline';
import { once } from 'node:events';

export function say(line: string | number): void {
  process.stdout.write(`${line}\n`);
}

const input = createInterface({ input: process.stdin });

/** Waits for one line from the test. */
export async function hear(): Promise<string> {
  const [line] = (await once(input, 'line')) as [string];
  return line;
}

/** Lets the child end although its input is open. */
export function hangUp(): void {
  input.close();
  process.stdin.destroy();
}

/** The argument at `index`, which the test always passes. */
export function argument(index: number): string {
  const value = process.argv[2 + index];
  if (value === undefined) throw new Error(`argument ${index} is missing`);
  return value;
}
