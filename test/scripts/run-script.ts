// Runs a timeline script: hosts of the simulation, taking turns in a fixed order under a virtual clock. Each
// line is carried out, or waited for; the first that comes otherwise ends the run. It must not know files.

import type { VerifyHook } from '../../provider/hooks/index.js';
import { verify } from '../../provider/hooks/index.js';
import * as spi from '../../provider/spi/index.js';
import { Prng } from '../../runtime/prng.js';
import { SimHost } from '../sim/host.js';
import { SimLoop } from '../sim/loop.js';
import { Neighbours } from '../sim/neighbours.js';
import type { SimMachine } from '../sim/machine.js';
import { FakeTcpNetwork } from '../switch/fakes/fake-tcp.js';
import { Application, type Offers } from './application.js';
import type { Passed } from './record.js';
import { Recorder } from './record.js';
import type { PassLine, Script, ScriptLine } from './script.js';

/** Turns that a line may need to come true. */
const TURNS_MAX = 20_000;
/** With nothing to do before that, everything that was begun is over: only limits are left. */
const SETTLED = 20_000_000;

/** Something came otherwise than the script says. The message begins with file:line. */
export class Mismatch extends Error {
  override readonly name = 'Mismatch';
}

interface Actor {
  readonly host: SimHost;
  readonly recorder: Recorder;
  readonly application: Application;
}

/** Resolves when everything came as the script says; rejects with Mismatch. */
export async function runScript(machine: SimMachine, script: Script): Promise<void> {
  const run = new ScriptRun(machine, script);
  try {
    await run.open();
    run.play();
  } finally {
    await run.close();
  }
}

/** What passes when only the applications of a script do what it says: lines to make a script of. */
export async function learnScript(machine: SimMachine, script: Script): Promise<string[]> {
  const run = new ScriptRun(machine, script);
  try {
    await run.open();
    return run.learn();
  } finally {
    await run.close();
  }
}

class ScriptRun {
  readonly #machine: SimMachine;
  readonly #script: Script;
  readonly #loop = new SimLoop(new Prng(1));
  readonly #reactor;
  readonly #actors: Actor[] = [];
  #order = 0;
  #time: number;

  constructor(machine: SimMachine, script: Script) {
    this.#machine = machine;
    this.#script = script;
    this.#reactor = machine.reactor();
    this.#time = this.#loop.clock.now();
  }

  async open(): Promise<void> {
    const { world } = this.#script;
    const tcpNetwork = new FakeTcpNetwork();
    const verifier: VerifyHook | null = world.verify ? verify() : null;
    const reactor = this.#reactor;
    this.#loop.add({ role: 'reactor', doWork: () => reactor.poll(0) });
    const neighbours = new Neighbours(this.#loop);
    const offers: Offers = new Map();
    for (let index = 0; index < world.hosts; index++) {
      const recorder = new Recorder(this.#loop.clock, () => this.#order++);
      const host = await SimHost.open({
        machine: this.#machine,
        reactor,
        loop: this.#loop,
        tcpNetwork,
        neighbours,
        world,
        index,
        watch: recorder.hook,
        verifier,
        starts: false,
      });
      const application = new Application(host, offers);
      this.#actors.push({ host, recorder, application });
    }
    for (const [index, actor] of this.#actors.entries()) {
      if (this.#script.lines.some((line) => isStart(line) && line.host === index)) continue;
      actor.host.start();
      actor.recorder.passed.length = 0;
    }
  }

  play(): void {
    for (const line of this.#script.lines) this.#carryOut(line);
    this.#settle();
    for (const actor of this.#actors) {
      const [left] = actor.recorder.passed;
      if (left === undefined) continue;
      const last = this.#script.lines.at(-1);
      throw this.#mismatch(
        last?.line ?? 1,
        `the end, but ${actor.host.group.name} did ${shown(left)}`,
      );
    }
  }

  learn(): string[] {
    const learned: string[] = [];
    for (const line of this.#script.lines) {
      if (line.kind === 'spi' || line.kind === 'up' || line.kind === 'skip') continue;
      this.#carryOut(line);
      const letter = letterOf(line.host);
      if (line.kind === 'app') {
        learned.push(`${letter} app  ${line.call}(${line.args.join(', ')}) = ${line.result}`);
      } else if (line.kind === 'end') {
        learned.push(`${letter} end  ${line.operation} = ${line.result}`);
      } else if (line.kind === 'fail') {
        learned.push(`${letter} fail ${line.call} = ${line.result}`);
      } else learned.push(`${letter} ${line.kind}`);
      this.#settle();
      learned.push(...this.#takePassed());
    }
    return learned;
  }

  /** What has passed at all hosts, in order, equal lines joined. */
  #takePassed(): string[] {
    const all = this.#actors.flatMap(({ recorder }, host) =>
      recorder.passed.splice(0).map((one) => ({ ...one, host })),
    );
    const lines: { text: string; times: number }[] = [];
    for (const one of all.sort((a, b) => a.order - b.order)) {
      const text = `${letterOf(one.host)} ${shown(one)}`;
      const last = lines.at(-1);
      if (last?.text === text) last.times++;
      else lines.push({ text, times: 1 });
    }
    return lines.map(({ text, times }) => (times > 1 ? `${text} x${times}` : text));
  }

  async close(): Promise<void> {
    for (const { host } of this.#actors) {
      if (host.isDead) continue;
      host.as(() => {
        while (host.winsock.WSACleanup() === 0);
      });
    }
    for (const { host } of this.#actors) await host.close();
    this.#machine.sweep();
    this.#reactor.close();
  }

  #carryOut(line: ScriptLine): void {
    const actor = this.#actors[line.host];
    if (actor === undefined) throw this.#mismatch(line.line, 'no such host');
    if (line.kind === 'spi' || line.kind === 'up') {
      this.#expect(actor, line);
      return;
    }
    if (line.kind === 'end') {
      const { operation } = line;
      this.#until(line, () => actor.application.resultOf(operation) !== 'WSA_IO_PENDING');
      this.#compare(line, actor.application.resultOf(operation), line.result);
      this.#checkTime(line, this.#loop.clock.now());
      return;
    }
    if (line.after !== null) this.#pass(line.after);
    switch (line.kind) {
      case 'app': {
        const got = actor.host.as(() => actor.application.call(line.call, line.args));
        this.#compare(line, got, line.result);
        return;
      }
      case 'fail': {
        const error = codeOf(line.result);
        if (error === null) throw this.#mismatch(line.line, `${line.result} is no error`);
        actor.host.failOnce(line.call, error);
        return;
      }
      case 'lose':
        actor.host.as(() => {
          actor.host.loseLink(null);
        });
        return;
      case 'die':
        actor.host.die();
        return;
      case 'skip':
        this.#settle();
        actor.recorder.passed.length = 0;
    }
  }

  /** The next thing that passes at this host is the one of the line, as often as it says. */
  #expect(actor: Actor, line: PassLine): void {
    const { passed } = actor.recorder;
    const isMeant = (one: Passed): boolean =>
      one.kind === line.kind && one.call === line.call && one.result === line.result;
    for (let count = 0; count < line.times; count++) {
      this.#until(line, () => passed.length > 0);
      const next = passed.shift();
      if (next === undefined || !isMeant(next)) {
        throw this.#mismatch(
          line.line,
          `${shownLine(line)}, but came ${next ? shown(next) : 'nothing'}`,
        );
      }
      if (count === 0) this.#checkTime(line, next.at);
    }
  }

  #checkTime({ after, line }: ScriptLine, at: number): void {
    const elapsed = at - this.#time;
    this.#time = at;
    if (after === null || after === elapsed) return;
    throw this.#mismatch(line, `it comes after ${after} ns, and came after ${elapsed} ns`);
  }

  #compare(line: ScriptLine, got: string, wanted: string): void {
    if (got !== wanted) throw this.#mismatch(line.line, `${wanted}, but came ${got}`);
  }

  #pass(nanos: number): void {
    const end = this.#time + nanos;
    while (this.#loop.clock.now() < end) {
      if (this.#loop.pollAll() === 0) this.#loop.advance(end, true);
    }
    this.#time = end;
  }

  /** Runs until nothing moves for a while. */
  #settle(): void {
    for (let turns = 0; turns < TURNS_MAX; turns++) {
      if (this.#loop.pollAll() > 0) continue;
      const next = this.#loop.nextDeadline();
      if (next - this.#loop.clock.now() > SETTLED || !this.#loop.advance(next)) return;
    }
  }

  #until(line: ScriptLine, holds: () => boolean): void {
    for (let turn = 0; !holds(); turn++) {
      if (turn > TURNS_MAX)
        throw this.#mismatch(line.line, 'this, but there is no end of other things');
      if (this.#loop.pollAll() > 0 || holds()) continue;
      if (!this.#loop.advance(Infinity)) throw this.#mismatch(line.line, 'this, but nothing moves');
    }
  }

  #mismatch(line: number, what: string): Mismatch {
    return new Mismatch(`${this.#script.file}:${line}: expected ${what}`);
  }
}

function isStart(line: ScriptLine): boolean {
  return line.kind === 'app' && line.call === 'WSAStartup';
}

function shown({ kind, call, result }: Passed): string {
  return `${kind.padEnd(4)} ${call} = ${result}`;
}

function shownLine({ kind, call, result }: PassLine): string {
  return `${kind} ${call} = ${result}`;
}

function letterOf(host: number): string {
  return String.fromCharCode('a'.charCodeAt(0) + host);
}

function codeOf(name: string): number | null {
  const codes = spi as unknown as Readonly<Record<string, unknown>>;
  const code = codes[name];
  return typeof code === 'number' ? code : null;
}
