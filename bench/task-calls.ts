// The tasks that one side has asked the other for: requests go out, reports come in, and whoever waits
// for one is woken. It must not know how the two sides are connected.

import type { TaskCall, TaskReport, TaskRequest, TaskStarter } from './peer-protocol.js';
import { PeerFailure } from './peer-protocol.js';

export class TaskCalls implements TaskStarter {
  readonly #send: (request: TaskRequest) => void;
  readonly #calls = new Map<number, Call>();
  #ended: Error | null = null;
  #nextId = 1;

  /** `send` may throw: the task then fails with what it throws. */
  constructor(send: (request: TaskRequest) => void) {
    this.#send = send;
  }

  start<Told, Result>(task: string, plan: unknown): TaskCall<Told, Result> {
    const id = this.#nextId++;
    const call = new Call();
    this.#calls.set(id, call);
    this.#try(call, { id, task, plan });
    return {
      told: () => call.told() as Promise<Told>,
      note: (info) => this.#try(call, { id, note: info }),
      result: () => call.result() as Promise<Result>,
    };
  }

  /** A report has arrived. */
  take(report: TaskReport): void {
    this.#calls.get(report.id)?.take(report);
    if (report.kind !== 'told') this.#calls.delete(report.id);
  }

  /** The other side is gone: everything under way fails, and whatever is started later. */
  end(error: Error): void {
    this.#ended ??= error;
    for (const call of this.#calls.values()) call.fail(this.#ended);
  }

  #try(call: Call, request: TaskRequest): void {
    if (this.#ended !== null) return call.fail(this.#ended);
    try {
      this.#send(request);
    } catch (thrown) {
      call.fail(thrown instanceof Error ? thrown : new Error(String(thrown)));
    }
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
