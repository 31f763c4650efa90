// The second process: carries out the tasks that the first one asks for, one after the other, and ends
// when the first one is gone. The other side is peer-process.ts.

import { FloorMemory } from './machine.js';
import type { TaskReport, TaskRequest } from './peer-protocol.js';
import { failureOf, FLOOR_MEMORY_FD } from './peer-protocol.js';

export interface TaskContext {
  /** Reports a point that the parent waits for; resolves when the report is on its way. */
  tell(info: unknown): Promise<void>;
  /** What the parent notes next. Rejects when the parent is gone. */
  hear(): Promise<unknown>;
  /** Aborted when the parent is gone or this process is to end. */
  readonly signal: AbortSignal;
  /** Null where the sides share nothing but a connection. */
  readonly floors: FloorMemory | null;
}

export type Task = (plan: never, context: TaskContext) => Promise<unknown>;

/** A task may close what it has open; then the process ends whatever hangs. */
const END_PATIENCE_MS = 2_000;

/** Serves tasks until the parent disconnects; the exit code is 0 unless that was in the middle of one. */
export async function servePeer(tasks: Readonly<Record<string, Task>>): Promise<number> {
  if (process.send === undefined) throw new Error('demo-peer is started by wsd, not by hand');
  const server = new TaskServer(tasks, FloorMemory.adopt(FLOOR_MEMORY_FD), reportToParent);
  const finish = (): void => {
    server.end(new Error('the first process is gone'));
    setTimeout(() => process.exit(1), END_PATIENCE_MS).unref();
  };
  process.on('disconnect', finish);
  process.on('SIGTERM', finish);
  // A Ctrl-C at the terminal reaches both processes: the first one decides.
  process.on('SIGINT', () => undefined);
  process.on('message', (message) => server.take(message as TaskRequest));
  return (await server.serve()) ? 0 : 1;
}

/** Resolves when the report was handed to the system, or when nobody is there to read it. */
function reportToParent(message: TaskReport): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined || !process.connected) return resolve();
    process.send(message, undefined, undefined, () => resolve());
  });
}

/** Carries out tasks, one after the other, whatever brings the requests and takes the reports. */
export class TaskServer {
  readonly #tasks: Readonly<Record<string, Task>>;
  readonly #floors: FloorMemory | null;
  readonly #report: (report: TaskReport) => Promise<void>;
  readonly #end = new AbortController();
  readonly #queue: Extract<TaskRequest, { readonly task: string }>[] = [];
  readonly #notes: unknown[] = [];
  #wake = (): void => undefined;
  #wakeHearer = (): void => undefined;

  constructor(
    tasks: Readonly<Record<string, Task>>,
    floors: FloorMemory | null,
    report: (report: TaskReport) => Promise<void>,
  ) {
    this.#tasks = tasks;
    this.#floors = floors;
    this.#report = report;
  }

  /** A request has arrived. */
  take(request: TaskRequest): void {
    if ('note' in request) {
      this.#notes.push(request.note);
      this.#wakeHearer();
      return;
    }
    this.#queue.push(request);
    this.#wake();
  }

  /** No more tasks; the one under way is aborted. */
  end(reason: Error): void {
    this.#end.abort(reason);
    this.#wake();
    this.#wakeHearer();
  }

  /** Resolves at the end: false when that was in the middle of a task. */
  async serve(): Promise<boolean> {
    const { signal } = this.#end;
    for (;;) {
      const request = this.#queue.shift();
      if (request !== undefined) {
        await this.#carryOut(request);
        if (signal.aborted) return false;
        continue;
      }
      if (signal.aborted) return true;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async #carryOut({
    id,
    task: name,
    plan,
  }: Extract<TaskRequest, { readonly task: string }>): Promise<void> {
    this.#notes.length = 0;
    try {
      const task = this.#tasks[name];
      if (task === undefined) throw new Error(`there is no task ${name}`);
      const result = await task(plan as never, {
        floors: this.#floors,
        signal: this.#end.signal,
        tell: (info) => this.#report({ id, kind: 'told', info }),
        hear: () => this.#hear(),
      });
      await this.#report({ id, kind: 'done', result });
    } catch (thrown) {
      await this.#report({ id, kind: 'failed', failure: failureOf(thrown) });
    }
  }

  async #hear(): Promise<unknown> {
    while (this.#notes.length === 0) {
      this.#end.signal.throwIfAborted();
      await new Promise<void>((resolve) => {
        this.#wakeHearer = resolve;
      });
    }
    return this.#notes.shift();
  }
}
