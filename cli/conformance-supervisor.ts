// Watches over the process in which the cases run: one that hangs is ended, one that ends is missed, the
// case that was running gets its verdict, and a new process goes on with the next case.

import type { ChildProcess } from 'node:child_process';
import { fork } from 'node:child_process';
import { entryPoint } from '../runtime/entry-point.js';
import type { CaseResult } from '../test/conformance/index.js';
import { ALL_CASES, caseId, lostResult } from '../test/conformance/index.js';
import type { ChildMessage, ConformancePlan } from './conformance-child.js';
import { CommandFailure, UsageError } from './errors.js';

/** After so many lost processes a provider is not worth more: each may cost the whole patience. */
const LOST_MAX = 5;

/** What the machine may take to start a process, however busy it is; no provider is in it yet. */
const START_MS = 60_000;

export interface Supervision {
  /** What one case, or the loading of the module, may take. */
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
  readonly onResult?: (result: CaseResult) => void;
}

export interface SupervisedRun {
  readonly provider: string;
  readonly results: readonly CaseResult[];
}

/** Runs the plan. Throws UsageError when the module cannot be loaded, and what the signal says. */
export async function superviseRun(
  plan: ConformancePlan,
  supervision: Supervision,
): Promise<SupervisedRun> {
  const results: CaseResult[] = [];
  let provider = plan.module ?? '';
  let left = [...plan.cases];
  for (let lost = 0; left.length > 0; lost++) {
    if (lost === LOST_MAX) {
      const why = `not run: the provider has hung or ended its process ${lost} times`;
      results.push(...left.map((id) => withoutEnd(id, why)));
      break;
    }
    const part = await new ChildRun({ ...plan, cases: left }, supervision).ended;
    provider = part.provider;
    results.push(...part.results);
    left = left.slice(part.results.length);
  }
  return { provider, results };
}

/** A case without a result of its own. */
function withoutEnd(id: string, why: string): CaseResult {
  const one = ALL_CASES.find((candidate) => caseId(candidate) === id);
  if (one === undefined) throw new CommandFailure(`there is no case ${id}`);
  return lostResult(one, why);
}

/** One child process, until it has run its cases or is lost. */
class ChildRun {
  readonly ended: Promise<SupervisedRun>;
  readonly #results: CaseResult[] = [];
  readonly #child: ChildProcess;
  #provider: string | null = null;
  #running: string | null = null;
  #deadline: NodeJS.Timeout | undefined;
  #why: string | null = null;

  constructor(
    private readonly plan: ConformancePlan,
    private readonly supervision: Supervision,
  ) {
    const program = entryPoint(import.meta.url, './wsd.js');
    // Standard output is the report's: whatever a provider prints goes to standard error.
    this.#child = fork(program, ['conformance-child'], { stdio: ['ignore', 2, 2, 'ipc'] });
    this.ended = new Promise((resolve, reject) => {
      const abort = (): void => {
        this.#kill('it was interrupted');
        reject(supervision.signal.reason as Error);
      };
      supervision.signal.addEventListener('abort', abort, { once: true });
      this.#child.on('error', reject);
      this.#child.on('message', (message) => this.#heard(message as ChildMessage, reject));
      this.#child.on('close', (code, signal) => {
        clearTimeout(this.#deadline);
        supervision.signal.removeEventListener('abort', abort);
        this.#over(signal ?? `exit code ${code ?? 'unknown'}`, resolve, reject);
      });
    });
    this.#child.send(plan);
    this.#watch('starting a process', START_MS);
  }

  #heard(message: ChildMessage, reject: (why: Error) => void): void {
    switch (message.type) {
      case 'ready':
        this.#provider = message.provider;
        break;
      case 'cannot-load':
        reject(new UsageError(`the provider cannot be loaded: ${message.why}`));
        break;
      case 'start':
        this.#running = message.id;
        break;
      case 'result':
        this.#results.push(message.result);
        this.supervision.onResult?.(message.result);
        this.#running = null;
        break;
      case 'up':
      case 'end':
        break;
    }
    const what = this.#provider === null ? 'loading the provider' : 'going on';
    this.#watch(this.#running ?? what, this.supervision.deadlineMs);
  }

  #watch(what: string, deadlineMs: number): void {
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => {
      this.#kill(`no end of ${what} after ${deadlineMs / 1000} s: it hangs`);
    }, deadlineMs);
  }

  #kill(why: string): void {
    this.#why ??= why;
    this.#child.kill('SIGKILL');
  }

  #over(how: string, resolve: (run: SupervisedRun) => void, reject: (why: Error) => void): void {
    const why = this.#why ?? `the process of the provider ended: ${how}`;
    if (this.#provider === null) {
      return reject(new UsageError(`the provider cannot be loaded: ${why}`));
    }
    const next = this.plan.cases[this.#results.length];
    if (next !== undefined) this.#results.push(withoutEnd(next, why));
    resolve({ provider: this.#provider, results: this.#results });
  }
}
