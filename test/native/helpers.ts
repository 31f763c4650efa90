// What the native tests share: a scratch directory in memory, children that talk in lines, and a
// watchdog on every wait. It must not assert anything itself.

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach } from 'vitest';
import { Arena } from '../../native/arena.js';
import { FabricDirectory } from '../../native/fabric-directory.js';
import { native } from '../../native/load.js';
import { seconds } from '../../runtime/clock.js';
import { SharedBlock } from './two-sided.js';

/** How long anything may take before a test gives up on it. Generous: machines are shared. */
export const WATCHDOG_MILLIS = 60_000;

/** Settles like `promise`, or rejects when that takes too long. */
export async function watchdog<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`gave up waiting: ${what}`));
    }, WATCHDOG_MILLIS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Lets the event loop turn until `done()` holds. */
export async function until(done: () => boolean, what: string): Promise<void> {
  const giveUp = native.now() + seconds(WATCHDOG_MILLIS / 1000);
  while (!done()) {
    if (native.now() > giveUp) throw new Error(`gave up waiting: ${what}`);
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

const cleanups: (() => void)[] = [];

/** Runs `act` when the test ends, in reverse order. */
export function atEnd(act: () => void): void {
  cleanups.push(act);
}

afterEach(() => {
  for (let act = cleanups.pop(); act !== undefined; act = cleanups.pop()) act();
});

/** An empty directory in shared memory, removed when the test ends. */
export function scratchDirectory(): string {
  const path = mkdtempSync('/dev/shm/wsd-test-');
  atEnd(() => {
    rmSync(path, { recursive: true, force: true });
  });
  return path;
}

export interface Child {
  readonly pid: number;
  /** The next line that the child prints; fails when it ends first. */
  line(): Promise<string>;
  send(line: string): void;
  kill(): void;
  /** The exit code, or the name of the signal that ended it. */
  readonly ended: Promise<number | string>;
}

export interface ChildOptions {
  readonly nodeArguments?: readonly string[];
  /** A command that runs node, such as prlimit with its arguments. */
  readonly through?: readonly string[];
}

/**
 * Starts children/<name>.ts with string arguments. It is killed when the test ends before it
 * does.
 */
export function startChild(
  name: string,
  args: readonly string[],
  options: ChildOptions = {},
): Child {
  const file = fileURLToPath(new URL(`./children/${name}.ts`, import.meta.url));
  const node = [
    process.execPath,
    ...(options.nodeArguments ?? []),
    '--import',
    'tsx',
    file,
    ...args,
  ];
  const [command, ...rest] = [...(options.through ?? []), ...node] as [string, ...string[]];
  const child = spawn(command, rest, { stdio: ['pipe', 'pipe', 'inherit'] });
  atEnd(() => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
  });
  return {
    pid: child.pid ?? -1,
    line: lineReader(child),
    send: (line) => {
      child.stdin.write(`${line}\n`);
    },
    kill: () => {
      child.kill('SIGKILL');
    },
    ended: watchdog(
      new Promise((resolve) => {
        child.once('close', (code, signal) => {
          resolve(code ?? signal ?? -1);
        });
      }),
      `the end of child ${name}`,
    ),
  };
}

function lineReader(child: ChildProcess): () => Promise<string> {
  if (child.stdout === null) throw new Error('the child has no output');
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return async () => {
    const next = await watchdog(lines.next(), 'a line from a child');
    if (next.done === true) throw new Error('the child ended before its line');
    return next.value;
  };
}

/** Claims a host for the test, with a block of `bytes`; returns what the child needs to find it. */
export function ownedBlock(bytes: number): { block: SharedBlock; args: string[] } {
  const base = scratchDirectory();
  const address = '127.77.0.1';
  const host = new FabricDirectory('two', { base }).claim(address, {
    arena: new Arena(),
    bytes: 1_048_576,
  });
  atEnd(() => {
    host.release();
  });
  const offset = host.segment.allocate(bytes) ?? 0;
  return {
    block: new SharedBlock(host.segment.arena, host.segment.word(offset)),
    args: [base, address, String(offset)],
  };
}
