// Child processes of the integration tests, as the test sees them: started from children/, spoken to in
// lines of JSON, ended by their ids. It must not assert anything itself.

import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { atEnd, watched } from './fixture.js';

export interface ChildOptions {
  readonly nodeArguments?: readonly string[];
  /** A command that runs what follows it, such as one that sets a limit first. */
  readonly through?: readonly string[];
}

/** Owns the process: it is killed when the test ends before it does. */
export class Child {
  /** The exit code, or the name of the signal that ended it. */
  readonly ended: Promise<number | string>;
  readonly #name: string;
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  #errors = '';

  constructor(name: string, plan: unknown, options: ChildOptions = {}) {
    this.#name = name;
    const file = fileURLToPath(new URL(`./children/${name}.ts`, import.meta.url));
    const { nodeArguments = [], through = [] } = options;
    const node = [process.execPath, ...nodeArguments, '--import', 'tsx', file];
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
    this.ended = watched(closed, `the end of child ${name}`);
    // Whoever waits for it learns of it; a test that failed before does not.
    this.ended.catch(() => undefined);
    atEnd(async () => {
      child.kill('SIGKILL');
      await closed;
    });
  }

  get pid(): number {
    return this.#process.pid ?? 0;
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

  kill(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }
}
