// Runs the command-line tool as a user does: the compiled program in a process of its own. Waits for
// what it prints, never for a time. It must not assert anything itself.

import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach } from 'vitest';
import { entryPoint } from '../../runtime/entry-point.js';

const program = entryPoint(import.meta.url, '../../cli/wsd.js');
/** Where the compiled modules are. */
export const dist = path.dirname(path.dirname(program));
/** A watchdog, not an expectation. */
const WATCHDOG_MS = 25_000;

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

const running = new Set<ChildProcess>();

afterEach(() => {
  for (const child of running) child.kill('SIGKILL');
});

/** One run. Killed when the test is over and it is not; its second process then ends by itself. */
export class WsdProcess {
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcess;
  readonly #waiters = new Set<() => void>();
  #stdout = '';
  #stderr = '';
  #isOver = false;

  constructor(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    this.#child = spawn(process.execPath, [program, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    running.add(this.#child);
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text;
      this.#changed();
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
      this.#changed();
    });
    this.ended = new Promise((resolve, reject) => {
      this.#child.on('error', reject);
      this.#child.on('close', (code, signal) => {
        this.#isOver = true;
        running.delete(this.#child);
        resolve({ code, signal, stdout: this.#stdout, stderr: this.#stderr });
        this.#changed();
      });
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Resolves with the match as soon as standard output has one. Rejects when it ends without. */
  printed(pattern: RegExp): Promise<RegExpExecArray> {
    return this.#match(pattern, () => this.#stdout);
  }

  /** The same of standard error. */
  said(pattern: RegExp): Promise<RegExpExecArray> {
    return this.#match(pattern, () => this.#stderr);
  }

  async #match(pattern: RegExp, text: () => string): Promise<RegExpExecArray> {
    const giveUp = AbortSignal.timeout(WATCHDOG_MS);
    for (;;) {
      const match = pattern.exec(text());
      if (match !== null) return match;
      if (this.#isOver || giveUp.aborted) {
        throw new Error(`${String(pattern)} was not printed: ${this.#stdout}${this.#stderr}`);
      }
      await new Promise<void>((resolve) => {
        this.#waiters.add(resolve);
        giveUp.addEventListener('abort', () => resolve(), { once: true });
      });
    }
  }

  #changed(): void {
    for (const wake of this.#waiters) wake();
    this.#waiters.clear();
  }
}

export function runWsd(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  return new WsdProcess(args, env).ended;
}

/** Resolves when the process is gone; a zombie that nobody reaps is gone. */
export async function processGone(pid: number): Promise<void> {
  const giveUp = AbortSignal.timeout(WATCHDOG_MS);
  while (isRunning(pid)) {
    if (giveUp.aborted) throw new Error(`process ${pid} is still there`);
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

function isRunning(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

/** Whether anything of a fabric is left in shared memory. */
export function fabricExists(fabric: string): boolean {
  return existsSync(folderOf(fabric));
}

/** Resolves when so many hosts of a fabric are open. */
export async function hostsOpen(fabric: string, count: number): Promise<void> {
  const giveUp = AbortSignal.timeout(WATCHDOG_MS);
  for (;;) {
    const names = fabricExists(fabric) ? readdirSync(folderOf(fabric)) : [];
    if (names.filter((name) => name.endsWith('.segment')).length >= count) return;
    if (giveUp.aborted) throw new Error(`${count} hosts are not open on ${fabric}`);
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

function folderOf(fabric: string): string {
  return `/dev/shm/wsd-${process.getuid?.() ?? 0}-${fabric}`;
}

let fabricCount = 0;

/** A fabric of its own for a test. */
export function ownFabric(): string {
  return `cli-test-${process.pid}-${fabricCount++}`;
}
