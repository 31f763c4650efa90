// Processes that share a socket: some hosts of this thread, the others in children, which serve one test
// after another with a new host each. Everything a test asks of a child goes on while this thread gives its
// own hosts turns. It must not assert anything itself but that calls succeed.

import { afterAll } from 'vitest';
import type { Host } from '../../index.js';
import type { ProviderHook } from '../../provider/hooks/index.js';
import * as spi from '../../provider/spi/index.js';
import { Child } from './child.js';
import type { Death, ShareTask } from './children/share.js';
import { A, atEnd, B, closeClean, Deadline, must, newFabric, open } from './fixture.js';
import type { Engine } from './fixture.js';

export interface Outcome {
  readonly result: number;
  readonly error: number;
  readonly digest?: string;
}

/** Processes that have nothing to do, and end with the file: starting one costs most of a second. */
const idle: Child[] = [];

afterAll(async () => {
  for (const child of idle.splice(0)) {
    child.leave();
    const code = await child.ended;
    if (code !== 0) throw new Error(`a child has ended with ${code}: ${child.errors}`);
  }
});

export class SharingProcess {
  readonly child: Child;
  readonly #stage: Stage;
  #isBusy = true;

  private constructor(stage: Stage, child: Child) {
    this.#stage = stage;
    this.child = child;
    atEnd(async () => {
      // Nobody knows in what state a test that failed has left it.
      if (this.#isBusy) await child.stop();
    });
  }

  /** A process with a host of `stage`. */
  static async open(stage: Stage, address: string, death?: Death): Promise<SharingProcess> {
    const spare = idle.pop();
    const child = spare ?? new Child('share', null, { isCompiled: true, lasts: true });
    const process = new SharingProcess(stage, child);
    if (spare === undefined) await process.said();
    const { fabric, engine } = stage;
    const options = { fabric, address, engine };
    await process.ask({ act: 'open', options, ...(death === undefined ? {} : { death }) });
    return process;
  }

  /** What it says next, with everything here going on meanwhile. */
  said<T = Outcome>(): Promise<T> {
    return this.#stage.during(this.child.said<T>());
  }

  async ask<T = Outcome>(task: ShareTask): Promise<T> {
    this.child.tell(task);
    return this.said<T>();
  }

  /** The same with nothing going on here meanwhile. */
  askAlone(task: ShareTask): Promise<Outcome> {
    this.child.tell(task);
    return this.child.said<Outcome>();
  }

  /** Takes a duplicate. */
  take(info: spi.WSAPROTOCOL_INFO): Promise<Outcome> {
    return this.ask({ act: 'take', info });
  }

  /** It dies where it is, with nothing going on here meanwhile. */
  async kill(): Promise<void> {
    await this.child.stop();
  }

  /** Its host ends as a program's does; what it has still had is told. */
  async end(): Promise<unknown> {
    const { usage } = await this.ask<{ readonly usage: unknown }>({ act: 'end' });
    this.#isBusy = false;
    idle.push(this.child);
    return usage;
  }
}

/** Two hosts of this thread, A1 and another one, and as many processes as there are asked for. */
export abstract class Stage {
  readonly fabric = newFabric();
  readonly engine: Engine;
  #a: Host | null = null;
  #b: Host | null = null;
  #children = 0;

  protected constructor(engine: Engine) {
    this.engine = engine;
  }

  /** The socket of A1 that other processes get a duplicate of. */
  protected abstract get shared(): number;

  /** Another process that has one. */
  async sharing(existing?: SharingProcess): Promise<SharingProcess> {
    const child = existing ?? (await this.process());
    const { result } = await child.take(this.duplicate(child.child.pid));
    if (result !== 0) throw new Error('the duplicate cannot be taken');
    return child;
  }

  duplicate(processId: number): spi.WSAPROTOCOL_INFO {
    const info = spi.emptyProtocolInfo();
    const { winsock } = this.a;
    must(winsock, 'WSADuplicateSocket', winsock.WSADuplicateSocket(this.shared, processId, info));
    return info;
  }

  /** `hooks`: around the SAN provider of A1. */
  protected async openHosts(hooks: readonly ProviderHook[] = []): Promise<void> {
    const { fabric, engine } = this;
    this.#a = await open({ fabric, address: A, engine, hooks });
    this.#b = await open({ fabric, address: B, engine });
  }

  get a(): Host {
    if (this.#a === null) throw new Error('A1 is not open');
    return this.#a;
  }

  get b(): Host {
    if (this.#b === null) throw new Error('B is not open');
    return this.#b;
  }

  /** Another process, which has a host; and dies in a call, if so. */
  process(death?: Death): Promise<SharingProcess> {
    return SharingProcess.open(this, `127.77.0.${10 + ++this.#children}`, death);
  }

  /** Everything of this thread goes on meanwhile. */
  async during<T>(waited: Promise<T>): Promise<T> {
    let isOver = false;
    const note = (): void => {
      isOver = true;
    };
    waited.then(note, note);
    await this.until(() => isOver, 'what the test waits for');
    return waited;
  }

  async until(done: () => boolean, what: string): Promise<void> {
    const deadline = new Deadline(what);
    while (!done()) {
      deadline.check();
      this.a.progress();
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
  }

  /** Gives everything here enough turns to do what it can without the children. */
  async turns(): Promise<void> {
    for (let turn = 0; turn < 200; turn++) {
      this.a.progress();
      if (turn % 20 !== 0) continue;
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
  }

  /** Everything ends, the children first, and nothing is left. */
  protected async endAll(children: readonly SharingProcess[]): Promise<void> {
    for (const child of children) await child.end();
    // Whoever comes next removes what the dead have left.
    const { fabric, engine } = this;
    const sweeper = await open({ fabric, address: '127.77.0.99', engine });
    await closeClean(this.a, this.b, sweeper);
  }
}
