// From the options of a test to a request: operation, sizes, shares, hosts. What cannot be measured is
// refused in bench-refusals.ts. It must not run anything.

import { isIPv4 } from 'node:net';
import type { WaitMode } from '../bench/endpoint.js';
import type { HostPlan } from '../bench/host-plan.js';
import type { CasePlan, Operation, TestName } from '../bench/plan.js';
import { limitsOf, OPERATIONS } from '../bench/plan.js';
import type { BenchRequest } from '../bench/run.js';
import type { OutputArguments } from './bench-output.js';
import { UsageError } from './errors.js';
import type { HostArguments } from './host-arguments.js';
import { hostPlans } from './host-arguments.js';

type Completion = 'poll' | 'event' | 'promise' | 'routine' | 'port';

export interface BenchTestArguments extends HostArguments, OutputArguments {
  readonly server: boolean;
  readonly port: number;
  readonly size?: readonly number[];
  readonly all: boolean;
  readonly iterations?: number;
  /** Seconds. */
  readonly duration?: number;
  /** Seconds at both ends of a duration. */
  readonly margin?: number;
  readonly bidirectional: boolean;
  readonly qp: number;
  readonly txDepth?: number;
  readonly rxDepth?: number;
  readonly postList: number;
  readonly connections?: readonly number[];
  readonly mix?: [number, number][];
  readonly seed: number;
  readonly pairs?: number;
  readonly stampEvery: number;
  readonly layer?: CasePlan['level'];
  readonly completion?: Completion;
  readonly events: boolean;
  readonly buffers: CasePlan['memory'];
  readonly processes: '1' | '2';
  readonly profile?: NonNullable<HostPlan['profile']>;
  readonly cost?: string;
  readonly uncached: boolean;
  readonly pattern?: NonNullable<CasePlan['pattern']>;
  readonly verify: CasePlan['verify'];
  readonly affinity: boolean;
  readonly floors: boolean;
  /** true: all of them. */
  readonly peers: true | readonly string[] | undefined;
  readonly histogram: boolean;
  readonly report_gbits: boolean;
  readonly limit_bw?: number;
  readonly limit_msgrate?: number;
}

/** An operation, an address, both, or neither. */
export function readWords(words: readonly (string | undefined)[]): {
  operation: Operation;
  address: string | null;
} {
  let operation: Operation = 'send';
  let address: string | null = null;
  for (const [at, word] of words.entries()) {
    if (word === undefined) continue;
    const named = OPERATIONS.find((one) => one === word);
    const isAddress = /^\d+\.\d+\.\d+\.\d+$/.test(word);
    if (isAddress && !(isIPv4(word) && word.startsWith('127.'))) {
      throw new UsageError(`${word}: hosts of a fabric have addresses in 127.0.0.0/8`);
    }
    if ((named !== undefined && at > 0) || (isAddress && address !== null)) {
      throw new UsageError(`${word}: one operation, and then one address`);
    }
    if (named !== undefined) operation = named;
    else if (isAddress) address = word;
    else throw new UsageError(`${word} is no operation (send, write, read) and no address`);
  }
  return { operation, address };
}

const MODES: Readonly<Record<Completion, WaitMode>> = {
  poll: 'spin',
  event: 'sleep',
  promise: 'promise',
  routine: 'routine',
  port: 'port',
};

const ALL_POWERS = Array.from({ length: 23 }, (_, at) => 2 ** (at + 1));
const CONNECTION_COUNTS = [1, 16, 256, 1024, 4096];
const MIX: [number, number][] = [
  [64, 70],
  [1024, 20],
  [4096, 7],
  [65_536, 3],
];
/** With something to compare with, a single pair says little. */
const PAIRS_COMPARED = 5;

export async function hostsOf(
  options: BenchTestArguments,
): Promise<{ host: HostPlan; peerHost: HostPlan }> {
  const { host, peerHost } = await hostPlans(options, 'bench');
  const further = {
    ...(options.profile === undefined ? {} : { profile: options.profile }),
    ...(options.cost === undefined ? {} : { costModel: options.cost }),
  };
  return { host: { ...host, ...further }, peerHost: { ...peerHost, ...further } };
}

export async function requestOf(
  test: TestName,
  operation: Operation,
  options: BenchTestArguments,
): Promise<BenchRequest> {
  const level = levelOf(test, options);
  const completion = options.completion ?? (options.events ? 'event' : undefined);
  const { duration } = options;
  const margin = marginOf(options);
  const compares = options.floors || options.peers !== undefined || test === 'pattern';
  const pairs = options.pairs ?? (compares ? PAIRS_COMPARED : 1);
  const shares: Partial<CasePlan> = {
    ...(options.txDepth === undefined
      ? {}
      : { depth: options.txDepth, slotCount: options.txDepth }),
    ...(options.rxDepth === undefined ? {} : { receiveDepth: options.rxDepth }),
    ...iterationsOf(options),
    ...(duration === undefined
      ? {}
      : { duration: { nanos: duration * 1e9, marginNanos: margin * 1e9 } }),
    ...(test === 'mixed' ? { mix: options.mix ?? MIX } : {}),
    ...(options.pattern === undefined ? {} : { pattern: options.pattern }),
  };
  return {
    test,
    common: {
      ...(await hostsOf(options)),
      ...shares,
      level,
      operation,
      seed: options.seed,
      stampEvery: options.stampEvery,
      postList: options.postList,
      bidirectional: options.bidirectional,
      memory: options.buffers,
      mode: completion === undefined ? null : MODES[completion],
      verify: options.verify,
      cached: !options.uncached,
      pins: options.affinity,
    },
    sizes: sizesOf(test, operation, { ...options, layer: level }),
    connections: test === 'scale' ? (options.connections ?? CONNECTION_COUNTS) : [options.qp],
    pairs,
    // The time asked for is the time taken, unless there is something to compare with anyway.
    extra: compares && pairs > 1 ? pairs : 0,
    warmUps: compares && !options.quick ? 1 : 0,
    floors: options.floors,
    peers: options.peers === true ? 'all' : (options.peers ?? []),
  };
}

/** The switch's own doings are above it; everything else is measured below unless told otherwise. */
function levelOf(test: TestName, { layer }: BenchTestArguments): CasePlan['level'] {
  return layer ?? (test === 'pattern' || test === 'mixed' ? 'app' : 'provider');
}

const QUICK_ITERATIONS = 200;

/** Code gets fast in the first fifth, unless told otherwise. */
export function marginOf({ margin, duration }: BenchTestArguments): number {
  return margin ?? (duration ?? 0) / 5;
}

function iterationsOf({ iterations, quick }: BenchTestArguments): Partial<CasePlan> {
  const count = iterations ?? (quick ? QUICK_ITERATIONS : undefined);
  return count === undefined ? {} : { iterations: count, warmUp: Math.ceil(count / 2) };
}

function sizesOf(
  test: TestName,
  operation: Operation,
  options: BenchTestArguments,
): readonly number[] {
  if (test === 'mixed') return [Math.max(...(options.mix ?? MIX).map(([size]) => size))];
  // Who looks at memory for a write needs whole words.
  const least = test === 'lat' && operation === 'write' ? 4 : 2;
  const { layer, profile } = options;
  const most = layer === 'provider' ? limitsOf(profile, operation).bytes : Infinity;
  if (options.all) return ALL_POWERS.filter((size) => size >= least && size <= most);
  const usual: Readonly<Record<TestName, number>> = {
    lat: 64,
    scale: 64,
    rate: 64,
    conn: 64,
    bw: 65_536,
    mixed: 65_536,
    reg: 65_536,
    pattern: 8192,
  };
  return options.size ?? [Math.min(usual[test], most)];
}
