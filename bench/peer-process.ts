// The second process, as the first one sees it: started by fork, given tasks, ended by its id. It must
// not know what the tasks do. The other side is peer.ts.

import type { ChildProcess } from 'node:child_process';
import { fork } from 'node:child_process';
import { entryPoint } from '../runtime/entry-point.js';
import { FloorMemory } from './machine.js';
import type { TaskCall, TaskReport, TaskRequest, TaskStarter } from './peer-protocol.js';
import { PeerDied } from './peer-protocol.js';
import { TaskCalls } from './task-calls.js';

/** How long the second process may take to end by itself before it is killed. */
const STOP_PATIENCE_MS = 3_000;

/** Owns the child process and the memory of the floors. */
export class PeerProcess implements TaskStarter {
  readonly floors: FloorMemory;
  readonly #child: ChildProcess;
  readonly #calls: TaskCalls;
  readonly #exited: Promise<void>;
  #ended: PeerDied | null = null;
  #isStopping = false;

  /**
   * Starts `wsd demo-peer`. `relay` gets the reports of requests that are handed to `request`. Throws
   * SystemError when there is no shared memory.
   */
  constructor(relay?: (report: TaskReport) => void) {
    this.floors = FloorMemory.create();
    const program = entryPoint(import.meta.url, '../cli/wsd.js');
    this.#child = fork(program, ['demo-peer'], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc', this.floors.fd],
    });
    this.#calls = new TaskCalls((request) => this.request(request));
    const take = relay ?? ((report: TaskReport): void => this.#calls.take(report));
    this.#child.on('message', (message) => take(message as TaskReport));
    this.#exited = new Promise((resolve) => {
      const end = (how: string): void => {
        this.#ended ??= new PeerDied(this.#child.pid, how);
        this.#calls.end(this.#ended);
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

  /** Hands over what somebody else asks for, as it is. */
  request(request: TaskRequest): void {
    this.#child.send(request, (error) => {
      if (error !== null) this.#calls.end(error);
    });
  }

  /** Starts a task. One at a time: the other process is one thread. */
  start<Told, Result>(task: string, plan: unknown): TaskCall<Told, Result> {
    return this.#calls.start(task, plan);
  }

  /** Lets it end by itself for a while, then ends it. Twice is allowed. */
  async stop(patienceMs = STOP_PATIENCE_MS): Promise<void> {
    if (this.#isStopping) return this.#exited;
    this.#isStopping = true;
    if (this.#child.connected) this.#child.disconnect();
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), patienceMs);
    await this.#exited;
    clearTimeout(timer);
    this.floors.close();
  }
}
