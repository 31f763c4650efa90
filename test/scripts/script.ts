// A timeline script as data, and the reading of its text. One line per thing that happens: what an
// application calls, what then passes between its switch and its SAN provider, what is injected. It must
// not know how a script is run. The language: docs/simulation.md.

import type { WorldPlan } from '../sim/plan.js';
import { parsePlan, PlanError } from '../sim/plan.js';

interface Common {
  readonly line: number;
  /** The host, by letter in the text: 0 is a. */
  readonly host: number;
  /** `+N`: nanoseconds since the line before, exactly; null for whenever. */
  readonly after: number | null;
}

/** An application calls a function and gets what is said. */
export interface AppLine extends Common {
  readonly kind: 'app';
  readonly call: string;
  readonly args: readonly string[];
  readonly result: string;
}

/** The next thing between switch and provider, so many times. */
export interface PassLine extends Common {
  /** `spi`: the switch calls the provider; `up`: the provider calls the switch. */
  readonly kind: 'spi' | 'up';
  readonly call: string;
  readonly result: string;
  readonly times: number;
}

/** The next such call of the provider fails. */
export interface FailLine extends Common {
  readonly kind: 'fail';
  readonly call: string;
  readonly result: string;
}

/** An overlapped operation of the application ends. */
export interface EndLine extends Common {
  readonly kind: 'end';
  readonly operation: string;
  readonly result: string;
}

/** A fault; or whatever passes at the host until nothing moves, which is of no interest. */
export interface PlainLine extends Common {
  readonly kind: 'lose' | 'die' | 'skip';
}

export type ScriptLine = AppLine | PassLine | FailLine | EndLine | PlainLine;

export interface Script {
  readonly file: string;
  readonly world: WorldPlan;
  readonly lines: readonly ScriptLine[];
}

/** A script cannot be read. The message begins with file:line. */
export class ScriptError extends Error {
  override readonly name = 'ScriptError';
}

const WORLD =
  'seed=1 hosts=2 profile=documented cost=none read=1 threshold=4096 completion=pending cache=1 verify=1 once=none';
const UNITS: Readonly<Record<string, number>> = { ns: 1, us: 1_000, ms: 1_000_000, s: 1e9 };
const LINE = /^(?:\+(\d+)(ns|us|ms|s)\s+)?([a-d])\s+(\w+|\.\.\.)\s*(.*)$/;
const CALL = /^(\w+)\(([^)]*)\)\s*=\s*(\S+)$/;
const PASS = /^(\w+)\s*=\s*(\S+)(?:\s+x(\d+))?$/;
const END = /^(\w+)\s*=\s*(\S+)$/;

/** Throws ScriptError. `#` begins a comment; a line `world …` changes what the hosts are like. */
export function parseScript(text: string, file: string): Script {
  let world = worldOf('', file, 1);
  const lines: ScriptLine[] = [];
  for (const [index, whole] of text.split('\n').entries()) {
    const line = index + 1;
    const content = whole.replace(/#.*/, '').trim();
    if (content === '') continue;
    if (content.startsWith('world ')) world = worldOf(content.slice(6), file, line);
    else lines.push(lineOf(content, file, line));
  }
  if (lines.length === 0) throw new ScriptError(`${file}:1: there is no script in it`);
  const stranger = lines.find(({ host }) => host >= world.hosts);
  if (stranger !== undefined) throw new ScriptError(`${file}:${stranger.line}: no such host`);
  return { file, world, lines };
}

function worldOf(changes: string, file: string, line: number): WorldPlan {
  const fields = new Map<string, string>();
  for (const word of `${WORLD} ${changes}`.trim().split(/\s+/)) {
    fields.set(word.split('=')[0] ?? '', word);
  }
  try {
    return parsePlan(`sim ${[...fields.values()].join(' ')}`, file).world;
  } catch (thrown) {
    if (!(thrown instanceof PlanError)) throw thrown;
    throw new ScriptError(thrown.message.replace(/:1:/, `:${line}:`), { cause: thrown });
  }
}

function lineOf(content: string, file: string, line: number): ScriptLine {
  const fail = (why: string): never => {
    throw new ScriptError(`${file}:${line}: ${why}`);
  };
  const parts = LINE.exec(content);
  if (parts === null) return fail(`"${content}" is no line of a script`);
  const [, count, unit = '', letter = '', kind = '', rest = ''] = parts;
  const after = count === undefined ? null : Number(count) * (UNITS[unit] ?? 1);
  const common = { line, after, host: letter.charCodeAt(0) - 'a'.charCodeAt(0) };
  switch (kind) {
    case 'app': {
      const [, call = '', args = '', result = ''] = CALL.exec(rest) ?? fail('call(…) = result');
      const list = args.trim() === '' ? [] : args.split(',').map((one) => one.trim());
      return { ...common, kind, call, args: list, result };
    }
    case 'spi':
    case 'up': {
      const [, call = '', result = '', times = '1'] = PASS.exec(rest) ?? fail('call = result');
      return { ...common, kind, call, result, times: Number(times) };
    }
    case 'fail': {
      const [, call = '', result = ''] = PASS.exec(rest) ?? fail('call = error');
      return { ...common, kind, call, result };
    }
    case 'end': {
      const [, operation = '', result = ''] = END.exec(rest) ?? fail('operation = result');
      return { ...common, kind, operation, result };
    }
    case 'lose':
    case 'die':
      return { ...common, kind };
    case '...':
      return { ...common, kind: 'skip' };
    default:
      return fail(`there is no "${kind}": it is app, spi, up, fail, end, lose, die or ...`);
  }
}
