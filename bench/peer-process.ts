// The second process, as the first one sees it: started by fork, given tasks, ended by its id. It must
// not know what the tasks do. The other side is peer.ts.

import type { ChildProcess } from 'node:child_process';
import { fork } from 'node:child_process';
import { entryPoint } from '../runtime/entry-point.js';
import { FloorMemory } from './machine.js';
import type { TaskReport, TaskRequest } from './peer-protocol.js';
import { PeerDied, PeerFailure } from './peer-protocol.js';

/** How long the second process may take to end by itself before it is killed. */
const STOP_PATIENCE_MS = 3_000;

/** One task under way. `told` must be asked for as often as the task tells. */
export interface TaskCall<Told, Result> {
  /** What the task tells next. Rejects with PeerFailure or PeerDied. */
  told(): Promise<Told>;
  /** How it ends. Rejects likewise. */
  result(): Promise<Result>;
}

/** Owns the child process and the memory of the floors. */
export class PeerProcess {
  readonly floors: FloorMemory;
  readonly #child: ChildProcess;
  readonly #calls = new Map<number, Call>();
  readonly #exited: Promise<void>;
  #ended: PeerDied | null = null;
  #isStopping = false;
  #nextId = 1;

  /** Starts `wsd demo-peer`. Throws SystemError when there is no shared memory. */
  constructor() {
    this.floors = FloorMemory.create();
    const program = entryPoint(import.meta.url, '../cli/wsd.js');
    this.#child = fork(program, ['demo-peer'], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc', this.floors.fd],
    });
    this.#child.on('message', (message) => {
      const report = message as TaskReport;
      this.#calls.get(report.id)?.take(report);
    });
    this.#exited = new Promise((resolve) => {
      const end = (how: string): void => {
        this.#ended ??= new PeerDied(this.#child.pid, how);
        for (const call of this.#calls.values()) call.fail(this.#ended);
        resolve();
      };
      this.#child.on('exit', (code, signal) => end(signal ?? `exit code ${code ?? 'unknown'}`));
      this.#child.on('error', (error) => end(error.message));
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Whether it has ended. */
  get isGone(): boolean {
    return this.#ended !== null;
  }

  /** Resolves when it has ended. */
  exited(): Promise<void> {
    return this.#exited;
  }

  /** Starts a task. One at a time: the other process is one thread. */
  start<Told, Result>(task: string, plan: unknown): TaskCall<Told, Result> {
    const request: TaskRequest = { id: this.#nextId++, task, plan };
    const call = new Call();
    if (this.#ended !== null) {
      call.fail(this.#ended);
    } else {
      this.#calls.set(request.id, call);
      this.#child.send(request, (error) => {
        if (error !== null) call.fail(error);
      });
    }
    return {
      told: () => call.told() as Promise<Told>,
      result: () => call.result() as Promise<Result>,
    };
  }

  /** Lets it end by itself for a while, then ends it. Twice is allowed. */
  async stop(): Promise<void> {
    if (this.#isStopping) return this.#exited;
    this.#isStopping = true;
    if (this.#child.connected) this.#child.disconnect();
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_PATIENCE_MS);
    await this.#exited;
    clearTimeout(timer);
    this.floors.close();
  }
}

/** The reports of one task, kept until they are asked for. */
class Call {
  readonly #told: unknown[] = [];
  #end: { readonly result: unknown } | { readonly error: Error } | null = null;
  #wake: (() => void) | null = null;

  take(report: TaskReport): void {
    if (report.kind === 'told') this.#told.push(report.info);
    else if (report.kind === 'done') this.#end ??= { result: report.result };
    else this.#end ??= { error: new PeerFailure(report.failure) };
    this.#wake?.();
  }

  fail(error: Error): void {
    this.#end ??= { error };
    this.#wake?.();
  }

  async told(): Promise<unknown> {
    await this.#until(() => this.#told.length > 0 || this.#end !== null);
    if (this.#told.length > 0) return this.#told.shift();
    if (this.#end !== null && 'error' in this.#end) throw this.#end.error;
    throw new Error('the task ended without having told what was asked for');
  }

  async result(): Promise<unknown> {
    await this.#until(() => this.#end !== null);
    if (this.#end === null || 'error' in this.#end)
      throw this.#end?.error ?? new Error('no result');
    return this.#end.result;
  }

  async #until(done: () => boolean): Promise<void> {
    while (!done()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
