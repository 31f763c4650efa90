// `wsd bench lat` and its like: from the options to a request, one command or two terminals, and the
// report as perftest's columns, as JSON, or as a page with pictures.

import { accessSync, constants, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { caseTasks } from '../bench/cases/index.js';
import type { WaitMode } from '../bench/endpoint.js';
import type { HostPlan } from '../bench/host-plan.js';
import { sweepFabrics } from '../bench/machine.js';
import { PeerProcess } from '../bench/peer-process.js';
import { PeerThread } from '../bench/peer-thread.js';
import type { CasePlan, Operation, TestName } from '../bench/plan.js';
import { BYTES_MAX, CONNECTIONS_MAX, OPERATIONS, QUEUE_DEPTH } from '../bench/plan.js';
import { RemotePeer, serveClient } from '../bench/remote.js';
import type { BenchReport } from '../bench/report.js';
import { reportJson } from '../bench/report.js';
import { perftestTables } from '../bench/report-text.js';
import type { BenchRequest, Partner } from '../bench/run.js';
import { runTest } from '../bench/run.js';
import { writeReport } from './bench.js';
import { CommandFailure, UsageError } from './errors.js';
import type { HostArguments } from './host-arguments.js';
import { hostPlans } from './host-arguments.js';

type Completion = 'poll' | 'event' | 'promise' | 'routine' | 'port';

export interface BenchTestArguments extends HostArguments {
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
  readonly layer: CasePlan['level'];
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
  readonly json: boolean;
  readonly out_json?: string;
  readonly report?: string;
}

/** Throws UsageError, CommandFailure (a limit is missed), Interrupted, and what the run throws. */
export async function benchTestCommand(
  test: TestName,
  words: readonly (string | undefined)[],
  options: BenchTestArguments,
  signal: AbortSignal,
): Promise<void> {
  const { operation, address } = readWords(words);
  if (options.server) {
    if (address !== null) throw new UsageError('--server: its own address is given by --address');
    return serve(options, signal);
  }
  const request = await requestOf(test, operation, options);
  checkRequest(request, options, address);
  makePlaces(options);
  if (address !== null) {
    const remote = await RemotePeer.connect(address, options.port);
    return measure(remote, onFabricOf(request, remote), options, signal);
  }
  return measure(
    options.processes === '1' ? new PeerThread() : new PeerProcess(),
    request,
    options,
    signal,
  );
}

/** An operation, an address, both, or neither. */
function readWords(words: readonly (string | undefined)[]): {
  operation: Operation;
  address: string | null;
} {
  let operation: Operation = 'send';
  let address: string | null = null;
  for (const word of words) {
    if (word === undefined) continue;
    const named = OPERATIONS.find((one) => one === word);
    if (named !== undefined) operation = named;
    else if (/^\d+\.\d+\.\d+\.\d+$/.test(word)) address = word;
    else throw new UsageError(`${word} is no operation (send, write, read) and no address`);
  }
  return { operation, address };
}

// Two terminals ----------------------------------------------------------------------------------

const SHARED_FABRIC = 'bench';

async function serve(options: BenchTestArguments, signal: AbortSignal): Promise<void> {
  const { host } = await hostsOf({ fabric: SHARED_FABRIC, ...options });
  try {
    await serveClient({
      host,
      port: options.port,
      tasks: caseTasks,
      signal,
      listening: (port) =>
        process.stderr.write(`waiting for a client on ${host.address}:${port}\n`),
    });
  } finally {
    sweepFabrics();
  }
}

/** The client takes the server's fabric, and another address than the server's. */
function onFabricOf(request: BenchRequest, { hello }: RemotePeer): BenchRequest {
  const { host, peerHost } = request.common;
  const isTaken = host.address === hello.address;
  const own = { ...host, fabric: hello.fabric, ...(isTaken ? { address: peerHost.address } : {}) };
  const other = { ...peerHost, fabric: hello.fabric, address: hello.address };
  return { ...request, common: { ...request.common, host: own, peerHost: other } };
}

// Run --------------------------------------------------------------------------------------------

async function measure(
  partner: Partner & { stop(): Promise<void> },
  request: BenchRequest,
  options: BenchTestArguments,
  signal: AbortSignal,
): Promise<void> {
  try {
    const showsSteps = process.stderr.isTTY && !options.json;
    const report = await runTest(partner, request, {
      signal,
      step: (name, pair) => {
        signal.throwIfAborted();
        const round = pair < 0 ? 'warming up' : `${pair + 1} of ${request.pairs}`;
        if (showsSteps) process.stderr.write(`\r\x1b[K${round}: ${name}`);
      },
    });
    if (showsSteps) process.stderr.write('\r\x1b[K');
    await print(report, options);
    checkLimits(report, options);
  } finally {
    await partner.stop();
    sweepFabrics();
  }
}

async function print(report: BenchReport, options: BenchTestArguments): Promise<void> {
  const json = reportJson(report);
  if (options.out_json !== undefined) writeReport(options.out_json, json);
  if (options.report !== undefined) await writePage(options.report, report);
  const shape = { gigabits: options.report_gbits, histograms: options.histogram };
  process.stdout.write(`${options.json ? json : perftestTables(report, shape)}\n`);
}

async function writePage(folder: string, report: BenchReport): Promise<void> {
  // What draws takes longer to load than all the rest: only who wants pictures waits for it.
  const { reportFiles } = await import('../bench/pictures.js');
  try {
    for (const { name, text } of reportFiles(report)) writeFileSync(path.join(folder, name), text);
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    throw new CommandFailure(`the page cannot be written: ${why}`, { cause: thrown });
  }
}

/** Before anything is measured: who has no place for the outcome wants to know at once. */
function makePlaces({ report, out_json }: BenchTestArguments): void {
  try {
    if (report !== undefined) makeFolder(path.resolve(report));
    if (out_json !== undefined) accessSync(path.dirname(path.resolve(out_json)), constants.W_OK);
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    throw new UsageError(`the report cannot be written: ${why}`, { cause: thrown });
  }
}

/** Step by step: Node's recursive mkdir never returns where a folder refuses new ones by ENOENT. */
function makeFolder(folder: string): void {
  if (existsSync(folder)) return accessSync(folder, constants.W_OK);
  makeFolder(path.dirname(folder));
  mkdirSync(folder);
}

const MIB = 2 ** 20;
const GIGABIT = 1e9 / 8;

/** Throws CommandFailure; what was disturbed throughout is said to be. */
function checkLimits({ results }: BenchReport, options: BenchTestArguments): void {
  const missed: string[] = [];
  for (const { name, bandwidth, disturbedCount, samples } of results) {
    if (bandwidth === null) continue;
    const doubt = disturbedCount === samples.length ? ' (disturbed)' : '';
    const shown = bandwidth.averageBytesPerSecond / (options.report_gbits ? GIGABIT : MIB);
    if (options.limit_bw !== undefined && shown < options.limit_bw) {
      missed.push(`${name}: bandwidth ${shown.toFixed(2)} below ${options.limit_bw}${doubt}`);
    }
    const rate = bandwidth.messagesPerSecond / 1e6;
    if (options.limit_msgrate !== undefined && rate < options.limit_msgrate) {
      missed.push(
        `${name}: message rate ${rate.toFixed(6)} below ${options.limit_msgrate}${doubt}`,
      );
    }
  }
  if (missed.length > 0) throw new CommandFailure(missed.join('; '));
}

// Request ----------------------------------------------------------------------------------------

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

async function hostsOf(
  options: BenchTestArguments,
): Promise<{ host: HostPlan; peerHost: HostPlan }> {
  const { host, peerHost } = await hostPlans(options, 'bench');
  const further = {
    ...(options.profile === undefined ? {} : { profile: options.profile }),
    ...(options.cost === undefined ? {} : { costModel: options.cost }),
  };
  return { host: { ...host, ...further }, peerHost: { ...peerHost, ...further } };
}

async function requestOf(
  test: TestName,
  operation: Operation,
  options: BenchTestArguments,
): Promise<BenchRequest> {
  const level = test === 'pattern' || test === 'mixed' ? 'app' : options.layer;
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
    sizes: sizesOf(test, operation, options),
    connections: test === 'scale' ? (options.connections ?? CONNECTION_COUNTS) : [options.qp],
    pairs,
    // The time asked for is the time taken, unless there is something to compare with anyway.
    extra: compares && pairs > 1 ? pairs : 0,
    warmUps: compares && !options.quick ? 1 : 0,
    floors: options.floors,
    peers: options.peers === true ? 'all' : (options.peers ?? []),
  };
}

const QUICK_ITERATIONS = 200;

/** Code gets fast in the first fifth, unless told otherwise. */
function marginOf({ margin, duration }: BenchTestArguments): number {
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
  if (options.all) return ALL_POWERS.filter((size) => size >= least);
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
  return options.size ?? [usual[test]];
}

/** Throws UsageError for what cannot be measured. */
function checkRequest(
  { test, common, sizes, connections }: BenchRequest,
  options: BenchTestArguments,
  address: string | null,
): void {
  const refuse = (why: string): never => {
    throw new UsageError(why);
  };
  const { level, operation, mode } = common;
  const isOneSided = operation !== 'send';
  if (level === 'app' && isOneSided)
    refuse(`--layer app: there is no RDMA ${operation ?? ''} there`);
  if (level === 'app' && test === 'reg') refuse('--layer app: nobody registers memory there');
  if (level !== 'app' && (mode === 'routine' || mode === 'port')) {
    refuse(`--completion ${options.completion ?? ''}: only with --layer app`);
  }
  for (const size of sizes) {
    if (size > BYTES_MAX) refuse(`--size ${size}: at most ${BYTES_MAX / MIB}M`);
  }
  for (const count of connections) {
    if (count > CONNECTIONS_MAX) refuse(`${count} connections: at most ${CONNECTIONS_MAX}`);
  }
  const deepest = Math.max(options.rxDepth ?? 0, options.txDepth ?? 0);
  if (deepest > QUEUE_DEPTH && level === 'provider') {
    refuse(
      `a depth of ${deepest}: the provider's queues hold ${QUEUE_DEPTH}; see --layer nic, app`,
    );
  }
  if (options.events && options.completion !== undefined && options.completion !== 'event') {
    refuse('--events is --completion event');
  }
  if (options.duration !== undefined && options.iterations !== undefined) {
    refuse('--duration or --iterations, not both');
  }
  const hasLimit = options.limit_bw !== undefined || options.limit_msgrate !== undefined;
  if (hasLimit && !['bw', 'rate', 'mixed', 'pattern'].includes(test)) {
    refuse(`--limit_bw, --limit_msgrate: ${test} has no bandwidth`);
  }
  if (isOneSided && !['lat', 'bw', 'rate'].includes(test))
    refuse(`${test} has one operation, send`);
  if (isOneSided && options.bidirectional && options.duration !== undefined) {
    refuse('--duration with --bidirectional: only for send');
  }
  if (mode === 'promise' && (options.bidirectional || options.qp > 1 || test === 'scale')) {
    refuse('--completion promise: one connection, one direction');
  }
  if (test === 'lat' && operation === 'write') {
    if (mode === 'promise') refuse('lat write looks at memory: there is nothing to promise');
    if (sizes.some((size) => size % 4 !== 0)) refuse('lat write: use a multiple of 4');
    if (options.verify !== 'counter') refuse('lat write: the payload is its counter');
  }
  if (marginOf(options) * 2 >= (options.duration ?? Infinity))
    refuse('--margin takes all of --duration');
  if (
    address !== null &&
    (options.floors || options.peers !== undefined || options.processes === '1')
  ) {
    refuse('floors, peers and threads need both sides in one command');
  }
}
