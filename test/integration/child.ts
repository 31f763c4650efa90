// Child processes of the integration tests, as the test sees them: started from children/, spoken to in
// lines of JSON, ended by their ids. It must not assert anything itself.

import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { entryPoint } from '../../runtime/entry-point.js';
import { atEnd, watched } from './fixture.js';

export interface ChildOptions {
  readonly nodeArguments?: readonly string[];
  /** A command that runs what follows it, such as one that sets a limit first. */
  readonly through?: readonly string[];
  /** Runs what was compiled of it, as a program does: it starts in a third of the time. */
  readonly isCompiled?: boolean;
  /** It outlives the test: whoever made it looks after its end. */
  readonly lasts?: boolean;
}

/** Owns the process: it is killed when the test ends before it does, unless it lasts. */
export class Child {
  readonly #name: string;
  readonly #process: ChildProcess;
  readonly #closed: Promise<number | string>;
  readonly #lines: AsyncIterator<string>;
  #errors = '';

  constructor(name: string, plan: unknown, options: ChildOptions = {}) {
    this.#name = name;
    const { nodeArguments = [], through = [], isCompiled = false, lasts = false } = options;
    const file = isCompiled
      ? [entryPoint(import.meta.url, `./children/${name}.js`)]
      : ['--import', 'tsx', fileURLToPath(new URL(`./children/${name}.ts`, import.meta.url))];
    const node = [process.execPath, ...nodeArguments, ...file];
    const whole = [...through, ...node, JSON.stringify(plan)];
    const [command, ...args] = whole as [string, ...string[]];
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#process = child;
    // A child that has been killed reads no more.
    child.stdin.on('error', () => undefined);
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#errors += text;
    });
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const closed = new Promise<number | string>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => {
        resolve(code ?? signal ?? -1);
      });
    });
    this.#closed = closed;
    // Whoever waits for it learns of it; a test that failed before does not.
    closed.catch(() => undefined);
    if (!lasts) atEnd(() => this.stop());
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** The exit code, or the name of the signal that ended it: waited for under the watchdog. */
  get ended(): Promise<number | string> {
    return watched(this.#closed, `the end of child ${this.#name}`);
  }

  /** What it has written to standard error so far. */
  get errors(): string {
    return this.#errors;
  }

  /** What the child says next. Rejects when it ends instead. */
  async said<T>(): Promise<T> {
    const next = await watched(
      this.#lines.next(),
      `a line of child ${this.#name}: ${this.#errors}`,
    );
    if (next.done === true) {
      await this.ended;
      throw new Error(`child ${this.#name} ended before its line: ${this.#errors}`);
    }
    return JSON.parse(next.value) as T;
  }

  tell(message: unknown): void {
    this.#process.stdin?.write(`${JSON.stringify(message)}\n`);
  }

  /** It is told nothing more. */
  leave(): void {
    this.#process.stdin?.end();
  }

  /** Ends it, whatever it does. */
  async stop(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.#closed;
  }

  kill(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }
}
