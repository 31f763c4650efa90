// The second process: carries out the tasks that the first one asks for, one after the other, and ends
// when the first one is gone. The other side is peer-process.ts.

import { FloorMemory } from './machine.js';
import type { TaskReport, TaskRequest } from './peer-protocol.js';
import { failureOf, FLOOR_MEMORY_FD } from './peer-protocol.js';

export interface TaskContext {
  /** Reports a point that the parent waits for; resolves when the report is on its way. */
  tell(info: unknown): Promise<void>;
  /** Aborted when the parent is gone or this process is to end. */
  readonly signal: AbortSignal;
  readonly floors: FloorMemory;
}

export type Task = (plan: never, context: TaskContext) => Promise<unknown>;

/** A task may close what it has open; then the process ends whatever hangs. */
const END_PATIENCE_MS = 2_000;

/** Serves tasks until the parent disconnects; the exit code is 0 unless that was in the middle of one. */
export async function servePeer(tasks: Readonly<Record<string, Task>>): Promise<number> {
  if (process.send === undefined) throw new Error('demo-peer is started by wsd, not by hand');
  const floors = FloorMemory.adopt(FLOOR_MEMORY_FD);
  const end = new AbortController();
  const queue: TaskRequest[] = [];
  let wake = (): void => undefined;
  const finish = (): void => {
    end.abort(new Error('the first process is gone'));
    wake();
    setTimeout(() => process.exit(1), END_PATIENCE_MS).unref();
  };
  process.on('disconnect', finish);
  process.on('SIGTERM', finish);
  // A Ctrl-C at the terminal reaches both processes: the first one decides.
  process.on('SIGINT', () => undefined);
  process.on('message', (message) => {
    queue.push(message as TaskRequest);
    wake();
  });
  for (;;) {
    const request = queue.shift();
    if (request !== undefined) {
      await carryOut(request, tasks[request.task], { floors, signal: end.signal });
      if (end.signal.aborted) return 1;
      continue;
    }
    if (end.signal.aborted) return 0;
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  }
}

async function carryOut(
  request: TaskRequest,
  task: Task | undefined,
  context: Pick<TaskContext, 'floors' | 'signal'>,
): Promise<void> {
  const { id } = request;
  try {
    if (task === undefined) throw new Error(`there is no task ${request.task}`);
    const tell = (info: unknown): Promise<void> => report({ id, kind: 'told', info });
    const result = await task(request.plan as never, { ...context, tell });
    await report({ id, kind: 'done', result });
  } catch (thrown) {
    await report({ id, kind: 'failed', failure: failureOf(thrown) });
  }
}

/** Resolves when the report was handed to the system, or when nobody is there to read it. */
function report(message: TaskReport): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined || !process.connected) return resolve();
    process.send(message, undefined, undefined, () => resolve());
  });
}
