// Two ends on one fabric, in every arrangement of engines and processes that a suite is to run in, and
// the check that a test left nothing behind. It must not know what the suites test.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeEach, describe, expect } from 'vitest';
import type { CostModel } from '../../../../provider/nic/cost-model.js';
import type { NicEvent } from '../../../../provider/nic/device.js';
import { Access } from '../../../../provider/nic/verbs.js';
import type { Block, Completion, End, EndOptions, QueueOptions, Region, Storage } from './end.js';
import { LocalEnd } from './end.js';
import { remote } from './rpc.js';
import { ThreadLoop } from './thread-loop.js';

export const NEAR = 0x7f4d0001;
export const FAR = 0x7f4d0002;

/** Every right there is. */
export const EVERYTHING = Access.LOCAL_WRITE | Access.REMOTE_READ | Access.REMOTE_WRITE;

export interface Arrangement {
  readonly name: string;
  readonly near: 'inline' | 'worker';
  readonly far: 'inline' | 'worker';
  /** The far end lives in a child process. */
  readonly isApart: boolean;
  readonly isCutOff?: boolean;
  readonly costModel?: CostModel;
}

export const INLINE: Arrangement = {
  name: 'inline engines',
  near: 'inline',
  far: 'inline',
  isApart: false,
};
export const TWO_PROCESSES: Arrangement = { ...INLINE, name: 'two processes', isApart: true };
export const ARRANGEMENTS: readonly Arrangement[] = [
  INLINE,
  { name: 'worker engines', near: 'worker', far: 'worker', isApart: false },
  { name: 'an inline and a worker engine', near: 'inline', far: 'worker', isApart: false },
  TWO_PROCESSES,
];

/** A scratch directory for fabrics and this process's loop. Closed by whoever made it. */
export class Machine {
  readonly loop = new ThreadLoop();
  readonly base = mkdtempSync('/dev/shm/wsd-nic-test-');

  options(address: number, engine: 'inline' | 'worker' = 'inline'): EndOptions {
    return { base: this.base, fabric: 'test', address, engine };
  }

  open(address: number, engine: 'inline' | 'worker' = 'inline'): Promise<LocalEnd> {
    return LocalEnd.open(this.loop, this.options(address, engine));
  }

  /** The files of the fabric; none when every host has gone. */
  files(): string[] {
    return existsSync(this.base)
      ? readdirSync(this.base, { recursive: true }).map(String).sort()
      : [];
  }

  close(): void {
    this.loop.close();
    rmSync(this.base, { recursive: true, force: true });
  }
}

/** An end in a process of its own. */
export interface EndProcess<T> {
  readonly end: T;
  readonly pid: number;
  /** Ends it with SIGKILL and waits until it is gone. */
  kill(): Promise<void>;
  /** Ends it when it has not ended by itself. */
  dispose(): Promise<void>;
}

export type FarProcess = EndProcess<End>;

/** Starts a child with an end of its own and waits until its NIC is open. */
export function startFar(options: EndOptions): Promise<FarProcess> {
  return startEnd<End>(new URL('../children/peer.ts', import.meta.url), options);
}

/** Starts `program` in a process of its own, with `options`, and waits until it first says something. */
export async function startEnd<T extends object>(
  program: URL,
  options: object,
): Promise<EndProcess<T>> {
  const args = ['--import', 'tsx', fileURLToPath(program), JSON.stringify(options)];
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const gone = once(child, 'close');
  await Promise.race([
    once(child.stdout, 'readable'),
    gone.then(() => {
      throw new Error('the child did not start');
    }),
  ]);
  return {
    end: remote<T>(child),
    pid: child.pid ?? -1,
    kill: async () => {
      child.kill('SIGKILL');
      await gone;
    },
    dispose: async () => {
      if (child.exitCode === null && child.signalCode === null) child.stdin.end();
      await gone;
    },
  };
}

/** Two connected queue pairs, by slot. */
export interface Connection {
  readonly near: number;
  readonly far: number;
}

export class Pair {
  readonly machine: Machine;
  readonly near: LocalEnd;
  readonly far: End;
  readonly farProcess: FarProcess | null;
  #isClosed = false;

  private constructor(machine: Machine, near: LocalEnd, far: End, farProcess: FarProcess | null) {
    this.machine = machine;
    this.near = near;
    this.far = far;
    this.farProcess = farProcess;
  }

  static async open(arrangement: Arrangement = INLINE): Promise<Pair> {
    const machine = new Machine();
    const isCutOff = arrangement.isCutOff === true;
    const { costModel } = arrangement;
    const common = { isCutOff, ...(costModel === undefined ? {} : { costModel }) };
    const nearOptions = { ...machine.options(NEAR, arrangement.near), ...common };
    const farOptions = { ...machine.options(FAR, arrangement.far), ...common };
    const near = await LocalEnd.open(machine.loop, nearOptions);
    if (!arrangement.isApart)
      return new Pair(machine, near, await LocalEnd.open(machine.loop, farOptions), null);
    const farProcess = await startFar(farOptions);
    const pair = new Pair(machine, near, farProcess.end, farProcess);
    // What the far end waits for may need this side's engine.
    void machine.loop.lasting(() => pair.#isClosed);
    return pair;
  }

  /** Connects a new queue pair of the near end with one of the far end. */
  async connect(options: QueueOptions = {}): Promise<Connection> {
    const { near, far } = this;
    await far.listen(80);
    const nearSlot = await near.queuePair(options);
    await near.connect(nearSlot, FAR, 80);
    const request = await expectEvent(far, 'connect-request');
    const farSlot = await far.queuePair(options);
    await far.accept(farSlot, request.requestId);
    await expectEvent(far, 'established');
    await expectEvent(near, 'established');
    await far.unlisten(80);
    return { near: nearSlot, far: farSlot };
  }

  /** Destroys both ends of one connection among others and waits for both to report it. */
  async disconnectOnly(connection: Connection): Promise<void> {
    await this.near.destroy(connection.near);
    await expectEvent(this.near, 'destroyed');
    await expectEvent(this.far, 'disconnected');
    await this.far.destroy(connection.far);
    await expectEvent(this.far, 'destroyed');
  }

  /** Destroys both ends of a connection and waits until nothing is left of any. */
  async disconnect(...connections: readonly Connection[]): Promise<void> {
    for (const connection of connections) {
      await this.near.destroy(connection.near);
      await this.far.destroy(connection.far);
    }
    await this.settled();
  }

  async settled(): Promise<void> {
    await Promise.all([this.near.settled(), this.far.settled()]);
  }

  async expectNothingLeft(): Promise<void> {
    const nothing = { queuePairs: 0, registrations: 0, blocks: 0 };
    expect(await this.near.counts()).toEqual(nothing);
    expect(await this.far.counts()).toEqual(nothing);
  }

  /** Ends both ends, whatever state they are in. */
  async abandon(): Promise<void> {
    this.#endDriving();
    await this.farProcess?.kill();
    this.near.opened.abandon();
    this.machine.close();
  }

  async close(): Promise<void> {
    this.#endDriving();
    if (this.farProcess === null) await this.far.close();
    else await this.farProcess.dispose();
    await this.near.close();
    expect(this.machine.files()).toEqual([]);
    this.machine.close();
  }

  #endDriving(): void {
    this.#isClosed = true;
    this.machine.loop.wake();
  }
}

/** Runs `suite` in every arrangement, over one pair; every test must leave that as it found it. */
export function describePair(
  title: string,
  arrangements: readonly Arrangement[],
  suite: (pair: () => Pair) => void,
): void {
  describe.each(arrangements)(`${title}, $name`, (arrangement) => {
    let opened: Pair | null = null;
    const pair = (): Pair => {
      if (opened === null) throw new Error('the pair is not open');
      return opened;
    };
    beforeEach(async () => {
      opened ??= await Pair.open(arrangement);
    });
    afterEach(async () => {
      const used = pair();
      try {
        await used.expectNothingLeft();
      } catch (thrown) {
        // The next test is not to suffer from this one.
        opened = null;
        await used.abandon();
        throw thrown;
      }
    });
    afterAll(() => opened?.close());
    suite(pair);
  });
}

/** Waits for the next event, which is of this type. */
export async function expectEvent<T extends NicEvent['type']>(
  end: End,
  type: T,
): Promise<Extract<NicEvent, { type: T }>> {
  const event = await end.event();
  expect(event).toMatchObject({ type });
  return event as Extract<NicEvent, { type: T }>;
}

/** Waits for `count` completions of a queue pair. */
export async function completions(end: End, slot: number, count: number): Promise<Completion[]> {
  const found: Completion[] = [];
  while (found.length < count) found.push(await end.completion(slot));
  return found;
}

/** Memory of an end, registered for a queue pair. */
export async function registered(
  end: End,
  slot: number,
  options: { storage?: Storage; bytes: number; access?: number },
): Promise<{ block: Block; region: Region }> {
  const block = await end.allocate(options.storage ?? 'segment', options.bytes);
  return { block, region: await registerBlock(end, slot, block, options.access) };
}

export async function registerBlock(
  end: End,
  slot: number,
  block: Block,
  access = EVERYTHING,
): Promise<Region> {
  const region = await end.register(slot, block.id, access);
  if (typeof region === 'string') throw new Error(`not registered: ${region}`);
  return region;
}
