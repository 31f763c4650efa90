// Who controls a shared socket: several Groups and the channels between them, messages in any legal order,
// processes that die. One process controls at a time, and control goes where it was asked for first.
// Randomized: a failure prints fast-check's seed and path.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Group, REJOIN_NANOS_MAX, TENURE_NANOS } from '../../switch/sharing/group.js';
import {
  type ControlMessage,
  decodeMessage,
  encodeMessage,
} from '../../switch/sharing/messages.js';

const WSAECONNABORTED = 10053;
const WSAENOBUFS = 10055;

/** One process: its group, and what a shell would do for it. */
class Process {
  readonly channels = new Map<number, { to: Process; id: number }>();
  readonly begun: number[] = [];
  group: Group;
  isDead = false;
  ended: number | null = null;
  /** The connection itself. */
  hasConnection = false;
  isClosed = false;
  #last = 0;

  constructor(
    readonly world: World,
    readonly name: string,
    hub: string | null,
  ) {
    this.group = hub === null ? Group.controlling(name) : Group.joining(name, hub);
    this.hasConnection = hub === null;
  }

  open(to: Process): { to: Process; id: number } {
    const id = ++this.#last;
    const channel = { to, id: 0 };
    this.channels.set(id, channel);
    return { to: this, id };
  }

  /** Carries out what the group asks for. */
  run(): void {
    for (let next = this.group.poll(true); next !== null; next = this.group.poll(true)) {
      switch (next.kind) {
        case 'send':
          this.world.send(this, next.to, next.message);
          break;
        case 'connect':
          this.world.connect(this, next.name);
          break;
        case 'disconnect':
          this.world.disconnect(this, next.from);
          break;
        case 'yield':
          // What has begun ends some time later.
          this.world.later(this, () => this.group.yielded(this.world.now));
          break;
        case 'resume':
        case 'begin':
          if (next.kind === 'begin') this.begun.push(this.world.now);
          break;
        case 'hand-over':
          this.hasConnection = false;
          this.group.handedOver(next.to, Uint8Array.of(1, 2, 3));
          break;
        case 'take':
          expect([...next.state]).toEqual([1, 2, 3]);
          this.hasConnection = true;
          this.group.taken(this.world.now);
          break;
        case 'end':
          this.ended = next.error;
          this.hasConnection = false;
          break;
        case 'close':
          this.isClosed = true;
          this.hasConnection = false;
          break;
      }
    }
  }
}

class World {
  readonly processes: Process[] = [];
  now = 0;
  /** What has begun does not end as long as this holds. */
  isBusy = false;
  /** Per pair of ends, messages are in order; between pairs any order is legal. */
  readonly #queues = new Map<string, (() => void)[]>();

  add(hub: Process | null): Process {
    const name = String(this.processes.length + 1).padStart(32, '0');
    const process = new Process(this, name, hub?.name ?? null);
    this.processes.push(process);
    hub?.group.offered();
    process.run();
    return process;
  }

  send(from: Process, id: number, message: ControlMessage): void {
    const channel = from.channels.get(id);
    if (channel === undefined) return;
    const bytes = encodeMessage(message);
    this.#queue(`${from.name} ${channel.to.name} ${channel.id}`, () => {
      const { to } = channel;
      if (to.isDead || !to.channels.has(channel.id)) return;
      const decoded = decodeMessage(bytes);
      expect(decoded).not.toBeNull();
      if (decoded !== null) to.group.received(channel.id, decoded, this.now);
      to.run();
    });
  }

  connect(from: Process, name: string): void {
    const to = this.processes.find((one) => one.name === name);
    if (to === undefined || to.isDead || to.group.phase === 'gone') {
      from.group.closed(0, this.now);
      return;
    }
    const near = from.open(to);
    const far = to.open(from);
    Object.assign(from.channels.get(near.id) ?? {}, { id: far.id });
    Object.assign(to.channels.get(far.id) ?? {}, { id: near.id });
    from.group.opened(near.id);
  }

  disconnect(from: Process, id: number): void {
    const channel = from.channels.get(id);
    from.channels.delete(id);
    if (channel === undefined) return;
    this.#queue(`${from.name} ${channel.to.name} ${channel.id}`, () => {
      if (!channel.to.channels.delete(channel.id) || channel.to.isDead) return;
      channel.to.group.closed(channel.id, this.now);
      channel.to.run();
    });
  }

  later(process: Process, act: () => void): void {
    this.#queue(`${process.name} itself`, () => {
      if (process.isDead) return;
      act();
      process.run();
    });
  }

  kill(process: Process): void {
    process.isDead = true;
    for (const id of [...process.channels.keys()]) this.disconnect(process, id);
  }

  /** Lets one thing happen, which one being the caller's choice. False: nothing can. */
  step(choice: number): boolean {
    const keys = [...this.#queues.keys()].filter((one) => !this.isBusy || !one.endsWith('itself'));
    const key = keys[choice % Math.max(1, keys.length)];
    if (key === undefined) return false;
    const queue = this.#queues.get(key) ?? [];
    const act = queue.shift();
    if (queue.length === 0) this.#queues.delete(key);
    this.now += 1000;
    act?.();
    expect(this.processes.filter((one) => one.hasConnection && !one.isDead).length).toBeLessThan(2);
    for (const one of this.processes) {
      if (one.isDead || one.group.phase !== 'gone') continue;
      for (const id of [...one.channels.keys()]) this.disconnect(one, id);
    }
    return true;
  }

  settle(): void {
    for (let steps = 0; ; steps++) {
      if (steps > 10_000) throw new Error('no rest');
      if (this.step(0)) continue;
      const due = Math.min(
        ...this.processes.map((one) => (one.isDead ? Infinity : one.group.deadline)),
      );
      if (due === Infinity) return;
      this.now = Math.max(this.now, due);
      for (const one of this.processes) {
        if (one.isDead) continue;
        one.group.turn(this.now);
        one.run();
      }
    }
  }

  want(process: Process): void {
    process.group.want();
    process.run();
  }

  leave(process: Process): void {
    process.group.leave(this.now);
    process.run();
  }

  #queue(key: string, act: () => void): void {
    const queue = this.#queues.get(key);
    if (queue === undefined) this.#queues.set(key, [act]);
    else queue.push(act);
  }
}

/** A world with a controller and so many others that have come to it. */
function shared(others: number): { world: World; all: Process[] } {
  const world = new World();
  const first = world.add(null);
  for (let count = 0; count < others; count++) world.add(first);
  world.settle();
  return { world, all: world.processes };
}

const holder = (world: World): Process | undefined =>
  world.processes.find((one) => one.hasConnection && !one.isDead);

describe('control of a shared socket', () => {
  it('does not move before somebody wants it, and then moves to whoever did [DUP-01 DUP-04 DUP-05]', () => {
    const { world, all } = shared(2);
    const [a, b, c] = all as [Process, Process, Process];
    expect([holder(world), a.group.phase]).toEqual([a, 'controls']);
    world.want(c);
    world.settle();
    expect([holder(world), a.group.phase, b.group.phase]).toEqual([c, 'member', 'member']);
    world.want(a);
    world.settle();
    expect(holder(world)).toBe(a);
  });

  it('goes round in the order of asking, which travels with it [DUP-03]', () => {
    const { world, all } = shared(3);
    const [a, b, c, d] = all as [Process, Process, Process, Process];
    world.isBusy = true;
    for (const one of [c, b, d, a]) {
      world.want(one);
      while (world.step(0));
    }
    world.isBusy = false;
    world.settle();
    const times = [c, b, d, a].map((one) => one.begun[0] ?? Infinity);
    expect(times).toEqual([...times].sort((x, y) => x - y));
    expect(holder(world)).toBe(a);
  });

  it('stays a while with one who has nothing queued, and no longer with one who has begun [DUP-03]', () => {
    const { world, all } = shared(1);
    const [a, b] = all as [Process, Process];
    world.want(b);
    world.settle();
    world.want(a);
    while (world.step(0));
    expect(holder(world)).toBe(b);
    expect(b.group.deadline - (b.begun[0] ?? 0)).toBe(TENURE_NANOS);
    b.group.used();
    b.group.turn(world.now);
    b.run();
    while (world.step(0));
    expect(holder(world)).toBe(a);
  });

  it('does not wait longer than so for one who waited and does not come any more [DUP-03 ERR-02]', () => {
    const { world, all } = shared(2);
    const [a, b, c] = all as [Process, Process, Process];
    for (const one of [b, c]) {
      world.want(one);
      world.step(0);
    }
    while (!b.hasConnection) world.step(0);
    world.kill(c);
    world.want(a);
    const from = world.now;
    world.settle();
    expect(holder(world)).toBe(a);
    expect(world.now - from).toBeLessThanOrEqual(REJOIN_NANOS_MAX + TENURE_NANOS + 100_000);
  });

  it('is handed on by one who closes, and the last one closes the connection [W3.7]', () => {
    const { world, all } = shared(2);
    const [a, b, c] = all as [Process, Process, Process];
    world.leave(a);
    world.settle();
    expect([a.group.phase, holder(world)]).toEqual(['gone', b]);
    world.leave(c);
    world.settle();
    expect([c.group.phase, holder(world), b.isClosed]).toEqual(['gone', b, false]);
    world.leave(b);
    world.settle();
    expect([b.group.phase, b.isClosed]).toEqual(['gone', true]);
  });

  it('is taken by one who closes just then, and goes on from there [ERR-02 W3.7]', () => {
    const { world, all } = shared(1);
    const [a, b] = all as [Process, Process];
    // Both close at once: one of the two has the connection at the end, and ends it gracefully.
    world.leave(a);
    world.leave(b);
    world.settle();
    expect([a, b].filter((one) => one.isClosed).length).toBe(1);
    expect([a.ended, b.ended]).toEqual([null, null]);
  });

  it('is looked for where one came from who finds a process that has handed it on and closed [W3.7 ERR-02]', () => {
    const [first, second, own] = ['a', 'b', 'c'].map((digit) => digit.repeat(32));
    const late = Group.joining(own ?? '', first ?? '');
    const told = (): unknown[] => {
      const actions: unknown[] = [];
      for (let next = late.poll(true); next !== null; next = late.poll(true)) actions.push(next);
      return actions;
    };
    late.opened(1);
    late.received(1, { kind: 'moved', name: second ?? '', term: 1 }, 0);
    late.opened(2);
    told();
    late.closed(2, 0);
    expect([late.phase, told()]).toEqual(['member', [{ kind: 'connect', name: first }]]);
    // Nobody there either.
    late.closed(0, 0);
    expect([late.phase, told()]).toEqual(['ended', [{ kind: 'end', error: WSAECONNABORTED }]]);
  });

  it('ends for all with the one who has it [ERR-02]', () => {
    const { world, all } = shared(2);
    world.kill(all[0] as Process);
    world.settle();
    expect(all.slice(1).map(({ ended }) => ended)).toEqual([WSAECONNABORTED, WSAECONNABORTED]);
  });

  it('ends for all with the error of the connection [ERR-02]', () => {
    const { world, all } = shared(2);
    const [a] = all as [Process];
    a.group.failed(WSAENOBUFS);
    a.run();
    world.settle();
    expect(all.map(({ ended }) => ended)).toEqual([WSAENOBUFS, WSAENOBUFS, WSAENOBUFS]);
  });

  it('believes nothing that no process of ours says', () => {
    const bytes = (text: string): Uint8Array => Buffer.from(text);
    for (const text of [
      '',
      '{}',
      '{}\n',
      '[]\n',
      '{"kind":"join"}\n',
      '{"kind":"grant","from":"x"}\n',
      '{"kind":"ended","error":-1}\n',
      '{"kind":"moved","name":"../x"}\n',
    ]) {
      expect(decodeMessage(bytes(text)), text).toBeNull();
    }
  });
});

it('one process has control at most, and everybody who wants it gets it, whatever dies or closes in between [DUP-01 DUP-03 ERR-02]', () => {
  const step = fc.record({
    act: fc.constantFrom('want', 'want', 'step', 'step', 'step', 'step', 'leave', 'kill', 'join'),
    who: fc.nat(5),
    choice: fc.nat(50),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const { world } = shared(2);
      let died = false;
      const closed = new Set<Process>();
      for (const { act, who, choice } of steps) {
        const one = world.processes[who % world.processes.length] as Process;
        const isOpen = !one.isDead && !closed.has(one);
        if (act === 'step') world.step(choice);
        else if (!isOpen) continue;
        else if (act === 'want') world.want(one);
        else if (act === 'join' && world.processes.length < 6) world.add(one);
        else if (act === 'leave') {
          closed.add(one);
          world.leave(one);
        } else if (act === 'kill' && choice % 5 === 0) {
          died = true;
          world.kill(one);
        }
      }
      world.settle();
      const open = world.processes.filter((one) => !one.isDead && !closed.has(one));
      if (died) {
        // The connection may have gone with the dead; then everybody knows.
        if (holder(world) === undefined) {
          for (const one of open) expect(one.group.phase, one.name).toBe('ended');
        }
        return;
      }
      for (const one of open) {
        if (one.group.phase === 'ended') continue;
        one.begun.length = 0;
        world.want(one);
        world.settle();
        expect(holder(world), one.name).toBe(one);
      }
      if (open.length === 0) {
        const ends = world.processes.filter(({ isClosed }) => isClosed);
        expect(ends.length).toBe(1);
      }
    }),
    { numRuns: 300 },
  );
});
