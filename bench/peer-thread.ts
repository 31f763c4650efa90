// The second side as a thread of this process: both hosts in one process, which moves bytes by plain
// copies instead of reaching into another process. The same tasks, the same protocol.

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { entryPoint } from '../runtime/entry-point.js';
import { FloorMemory } from './machine.js';
import type { TaskCall, TaskReport, TaskStarter } from './peer-protocol.js';
import { PeerDied } from './peer-protocol.js';
import { TaskCalls } from './task-calls.js';

export class PeerThread implements TaskStarter {
  readonly floors = FloorMemory.create();
  readonly #worker: Worker;
  readonly #calls: TaskCalls;
  readonly #exited: Promise<unknown>;

  constructor() {
    this.#worker = new Worker(entryPoint(import.meta.url, './peer-worker.js'), {
      workerData: { floorsFd: this.floors.fd },
    });
    this.#calls = new TaskCalls((request) => this.#worker.postMessage(request));
    this.#worker.on('message', (message) => this.#calls.take(message as TaskReport));
    this.#worker.on('error', (error) => this.#calls.end(error));
    this.#exited = once(this.#worker, 'exit').then(() =>
      this.#calls.end(new PeerDied(undefined, 'the thread has ended')),
    );
  }

  start<Told, Result>(task: string, plan: unknown): TaskCall<Told, Result> {
    return this.#calls.start(task, plan);
  }

  async stop(): Promise<void> {
    this.#worker.postMessage('end');
    await this.#exited;
    this.floors.close();
  }
}
