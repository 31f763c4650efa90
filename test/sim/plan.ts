// What happens in one simulated run, as data and as text that people read: the world, and what is done
// in it step by step. Any list of steps is a plan, also one with steps taken out: a step whose subject is
// not there does nothing. It must not know how steps are carried out. Source: docs/simulation.md.

import { z } from 'zod';
import { COST_MODELS } from '../../provider/nic/cost-model.js';
import type { CostModelName } from '../../provider/nic/cost-model.js';

/**
 * Calls that may be made to fail: all that a provider may answer with an error that says nothing about the
 * call's own arguments. WSPGetOverlappedResult is none of them: its error is the operation's. After a
 * WSPCloseSocket that failed nobody could end the connection; WSPSetSockOpt is for SO_DEBUG alone.
 */
export const FAILABLE = [
  'WSPSocket',
  'WSPBind',
  'WSPConnect',
  'WSPAccept',
  'WSPEventSelect',
  'WSPSend',
  'WSPRecv',
  'WSPRdmaWrite',
  'WSPRdmaRead',
  'WSPRegisterMemory',
  'WSPRegisterRdmaMemory',
  'WSPGetSockOpt',
  'WPUCreateSocketHandle',
  'WSPEnumNetworkEvents',
  'WSPDeregisterMemory',
  'WSPDeregisterRdmaMemory',
] as const;

/** What may fail once while a host starts and begins to listen, or at its very end. */
export const FAILABLE_ONCE = [
  'none',
  'WSPStartupEx',
  'WSPIoctl',
  'WPUCreateSocketHandle',
  'WSPSocket',
  'WSPBind',
  'WSPGetSockOpt',
  'WSPListen',
  'WSPEventSelect',
  'WSPCleanup',
] as const;

/** Receives are posted; or whoever reads waits for select, or for network events. */
export const READING_WAYS = ['receives', 'select', 'events'] as const;
export type ReadingWay = (typeof READING_WAYS)[number];

/** AcceptEx is posted ahead; it may wait for the first data. */
export const ACCEPTING_WAYS = ['accept', 'AcceptEx', 'AcceptEx-with-data'] as const;
export type AcceptingWay = (typeof ACCEPTING_WAYS)[number];

const whole = z.coerce.number().int().min(0);
const lengths = z.union([
  z.array(whole),
  z
    .string()
    .transform((text) => text.split(',').map((part) => z.coerce.number().int().parse(part))),
]);
const yes = z.union([z.boolean(), z.enum(['0', '1']).transform((text) => text === '1')]);
const side = z.enum(['a', 'b']);
const memory = z.enum(['segment', 'process']);
const step = <Kind extends string, Shape extends z.ZodRawShape>(kind: Kind, shape: Shape) =>
  z.strictObject({ kind: z.literal(kind), ...shape });

const stepSchema = z.discriminatedUnion('kind', [
  /** A connection between two hosts, by number. `port`: completions come through one. */
  step('connect', { from: whole, to: whole, port: yes }),
  /** The same with ConnectEx and so many bytes of first data. */
  step('connect-ex', { from: whole, to: whole, port: yes, first: whole }),
  step('send', { conn: whole, side, parts: lengths, memory, urgent: yes }),
  step('send-now', { conn: whole, side, length: whole }),
  step('receive', { conn: whole, side, parts: lengths, memory, all: yes }),
  step('receive-now', { conn: whole, side, length: whole, peek: yes }),
  /** TransmitFile, of up to two parts that are no file. Nothing else is sent meanwhile. */
  step('transmit', { conn: whole, side, parts: lengths, memory }),
  /** Many small sends at once, as far as they are taken; and reading all there is. */
  step('burst', { conn: whole, side, count: whole, length: whole }),
  step('drain', { conn: whole, side, length: whole }),
  /** Blocking calls with a time limit. */
  step('send-wait', { conn: whole, side, length: whole, millis: whole }),
  step('receive-wait', { conn: whole, side, length: whole, millis: whole }),
  /** select and WSAPoll, and whether what they promise holds. */
  step('ask', { conn: whole, side }),
  step('cancel', { conn: whole, side, what: z.enum(['send', 'receive']) }),
  step('shutdown', { conn: whole, side }),
  /** Wants to receive nothing more. */
  step('deafen', { conn: whole, side }),
  /** DisconnectEx. */
  step('disconnect', { conn: whole, side, reuse: yes }),
  step('close', { conn: whole, side, hard: yes }),
  step('turns', { count: whole }),
  /** Lets so many microseconds pass. */
  step('pass', { micros: whole }),
  /** The SAN provider is taken out of use: what is connected goes on, the rest is for TCP/IP. */
  step('remove-provider', { host: whole }),
  // Faults.
  step('still', { host: whole, micros: whole }),
  step('lose-link', { host: whole, slot: whole }),
  step('reset-nic', { host: whole }),
  step('take-nic-out', { host: whole }),
  step('die', { host: whole }),
  step('no-memory', { host: whole, on: yes }),
  step('fail', { host: whole, call: z.enum(FAILABLE), error: whole, of: whole }),
  step('delay', { host: whole, turns: whole, of: whole }),
  step('heal', { host: whole }),
]);

export type Step = z.infer<typeof stepSchema>;
export type StepOf<Kind extends Step['kind']> = Extract<Step, { kind: Kind }>;
export type Side = z.infer<typeof side>;

const worldSchema = z.strictObject({
  seed: whole,
  hosts: whole.min(2).max(4),
  profile: z.enum(['documented', 'windows', 'real-switch', 'hostile']),
  cost: z.union([z.literal('none'), z.enum(Object.keys(COST_MODELS) as [CostModelName])]),
  read: yes,
  threshold: whole,
  completion: z.enum(['pending', 'immediate']),
  cache: yes,
  verify: yes,
  /** Every other host's provider is another one: it reads if these do not, and so on. */
  unequal: yes.default(false),
  /** How applications read streams to their ends. */
  reads: z.enum(READING_WAYS).default('receives'),
  accepts: z.enum(ACCEPTING_WAYS).default('accept'),
  /** What fails in host 0, and its error is WSAENETDOWN. */
  once: z.enum(FAILABLE_ONCE).default('none'),
});

export type WorldPlan = z.infer<typeof worldSchema>;

export interface Plan {
  readonly world: WorldPlan;
  readonly steps: readonly Step[];
}

/** A plan's text is not one. The message begins with the place. */
export class PlanError extends Error {
  override readonly name = 'PlanError';
}

/** One line for the world, one per step: a word, and `name=value` for each of its fields. */
export function printPlan({ world, steps }: Plan): string {
  return [lineOf('sim', world), ...steps.map(({ kind, ...rest }) => lineOf(kind, rest))]
    .join('\n')
    .concat('\n');
}

export function printStep({ kind, ...rest }: Step): string {
  return lineOf(kind, rest);
}

/** The reverse of printPlan; `#` begins a comment. Throws PlanError. */
export function parsePlan(text: string, file: string): Plan {
  let world: WorldPlan | null = null;
  const steps: Step[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const place = `${file}:${index + 1}`;
    const words = line.replace(/#.*/, '').trim().split(/\s+/);
    const [kind = ''] = words;
    if (kind === '') continue;
    const fields = Object.fromEntries(words.slice(1).map((word) => fieldOf(word, place)));
    if (world === null) {
      if (kind !== 'sim') throw new PlanError(`${place}: a plan begins with "sim", not "${kind}"`);
      world = checked(worldSchema.safeParse(fields), place);
    } else steps.push(checked(stepSchema.safeParse({ kind, ...fields }), place));
  }
  if (world === null) throw new PlanError(`${file}:1: there is no plan in it`);
  return { world, steps };
}

function checked<T>(result: z.ZodSafeParseResult<T>, place: string): T {
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new PlanError(`${place}: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'wrong'}`);
}

function fieldOf(word: string, place: string): [string, string] {
  const at = word.indexOf('=');
  if (at < 1) throw new PlanError(`${place}: "${word}" is not name=value`);
  return [word.slice(0, at), word.slice(at + 1)];
}

function lineOf(kind: string, fields: Readonly<Record<string, unknown>>): string {
  const shown = Object.entries(fields).map(([name, value]) => {
    if (Array.isArray(value)) return `${name}=${value.join(',')}`;
    return `${name}=${typeof value === 'boolean' ? Number(value) : String(value)}`;
  });
  return [kind, ...shown].join(' ');
}
