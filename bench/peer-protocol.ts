// What the two sides of a benchmark or a demonstration say to each other, over the IPC channel of
// child_process.fork, a MessagePort, or a TCP connection: tasks go one way; what a task tells, and how
// it ended, comes back. Plain data.

/** The parent asks for a task, or tells something to one that is under way. */
export type TaskRequest =
  | { readonly id: number; readonly task: string; readonly plan: unknown }
  | { readonly id: number; readonly note: unknown };

/** One task under way, as the parent sees it. `told` must be asked for as often as the task tells. */
export interface TaskCall<Told, Result> {
  /** What the task tells next. Rejects with PeerFailure or PeerDied. */
  told(): Promise<Told>;
  /** Tells the task something, which it hears. */
  note(info: unknown): void;
  /** How it ends. Rejects likewise. */
  result(): Promise<Result>;
}

/** Whoever carries out tasks: a process, a thread, or a server in another terminal. */
export interface TaskStarter {
  /** Starts a task. One at a time: the other side is one thread. */
  start<Told, Result>(task: string, plan: unknown): TaskCall<Told, Result>;
}

export type TaskReport =
  /** The task has reached a point that the parent waits for. */
  | { readonly id: number; readonly kind: 'told'; readonly info: unknown }
  | { readonly id: number; readonly kind: 'done'; readonly result: unknown }
  | { readonly id: number; readonly kind: 'failed'; readonly failure: Failure };

/** An error on its way between processes. `code` is that of a WsaError or a SystemError. */
export interface Failure {
  readonly name: string;
  readonly message: string;
  readonly code: string | number | null;
  readonly stack: string | null;
}

export function failureOf(thrown: unknown): Failure {
  if (!(thrown instanceof Error)) {
    return { name: 'Error', message: String(thrown), code: null, stack: null };
  }
  const code = 'code' in thrown ? thrown.code : null;
  return {
    name: thrown.name,
    message: thrown.message,
    code: typeof code === 'string' || typeof code === 'number' ? code : null,
    stack: thrown.stack ?? null,
  };
}

/** A task of the other process failed: its error, as one of ours. */
export class PeerFailure extends Error {
  override readonly name = 'PeerFailure';
  readonly failure: Failure;

  constructor(failure: Failure) {
    super(`in the second process: ${failure.message}`);
    this.failure = failure;
  }
}

/** The other process ended although it was still needed. */
export class PeerDied extends Error {
  override readonly name = 'PeerDied';

  constructor(pid: number | undefined, how: string) {
    super(`the second process (${pid ?? 'not started'}) ended unexpectedly: ${how}`);
  }
}

/** The descriptor number at which the child finds the memory of the floors. */
export const FLOOR_MEMORY_FD = 4;
