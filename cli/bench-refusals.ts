// What `wsd bench` refuses before anything is opened: options that mean nothing for a test, and requests
// that cannot be measured, each with a sentence. It must not run anything.

import type { TestName } from '../bench/plan.js';
import { BYTES_MAX, CONNECTIONS_MAX, limitsOf } from '../bench/plan.js';
import type { BenchRequest } from '../bench/run.js';
import type { BenchTestArguments } from './bench-request.js';
import { marginOf } from './bench-request.js';
import { UsageError } from './errors.js';

const STREAMS: readonly TestName[] = ['bw', 'rate', 'mixed', 'pattern'];
const SIZED: readonly TestName[] = ['lat', 'bw', 'rate', 'reg', 'scale', 'pattern'];
const LASTING: readonly TestName[] = [...SIZED, 'mixed'];
const TIMED: readonly TestName[] = ['lat', 'scale', 'reg', 'conn'];
const FLOORED: readonly TestName[] = ['lat', 'scale', 'bw', 'mixed'];

/** The tests that an option says something to; to every test where it is not listed. */
const ONLY_FOR: Readonly<Record<string, readonly TestName[]>> = {
  size: SIZED,
  all: SIZED,
  duration: LASTING,
  margin: LASTING,
  bidirectional: ['bw', 'rate', 'mixed'],
  qp: ['lat', 'bw', 'rate', 'mixed'],
  txDepth: STREAMS,
  rxDepth: STREAMS,
  postList: STREAMS,
  connections: ['scale'],
  mix: ['mixed'],
  seed: ['mixed'],
  uncached: ['reg'],
  pattern: ['pattern'],
  stampEvery: ['lat', 'scale'],
  verify: ['lat', 'bw', 'rate', 'scale', 'mixed', 'pattern'],
  histogram: TIMED,
  report_gbits: STREAMS,
  limit_bw: STREAMS,
  limit_msgrate: STREAMS,
  floors: FLOORED,
  peers: ['lat', 'bw', 'rate'],
};

/** Options that exclude each other. */
const EITHER_OR: readonly (readonly [string, string])[] = [
  ['size', 'all'],
  ['duration', 'iterations'],
];

/** The options of the command line, by the names of their values, and as they are written. */
export type GivenOptions = ReadonlyMap<string, string>;

/** Throws UsageError for options that have no place in this test. */
export function checkOptionsOf(test: TestName, given: GivenOptions): void {
  for (const [name, flag] of given) {
    const tests = ONLY_FOR[name];
    if (tests === undefined || tests.includes(test)) continue;
    throw new UsageError(`${flag} says nothing to ${test}: it is for ${tests.join(', ')}`);
  }
  for (const [one, other] of EITHER_OR) {
    const [a, b] = [given.get(one), given.get(other)];
    if (a !== undefined && b !== undefined) throw new UsageError(`${a} or ${b}, not both`);
  }
  const margin = given.get('margin');
  if (margin !== undefined && !given.has('duration')) {
    throw new UsageError(`${margin} is of --duration`);
  }
}

const MIB = 2 ** 20;

/** Throws UsageError for what cannot be measured. */
export function checkRequest(request: BenchRequest, options: BenchTestArguments): void {
  const why =
    refusedLayer(request, options) ??
    refusedAmount(request, options) ??
    refusedOperation(request, options) ??
    refusedCompletion(request, options);
  if (why !== null) throw new UsageError(why);
}

/** Throws UsageError for what one terminal of two cannot have. */
export function checkClient(options: BenchTestArguments): void {
  if (options.floors || options.peers !== undefined || options.processes === '1') {
    throw new UsageError('floors, peers and threads need both sides in one command');
  }
}

function refusedLayer(
  { test, common: { level, operation = 'send' } }: BenchRequest,
  { provider, uncached }: BenchTestArguments,
): string | null {
  if (level === 'app' && operation !== 'send')
    return `--layer app: there is no RDMA ${operation} there`;
  if (level === 'app' && test === 'reg') return '--layer app: nobody registers memory there';
  if (level !== 'app' && (test === 'mixed' || test === 'pattern')) {
    return `--layer ${level}: ${test} is a matter of applications`;
  }
  if (level === 'nic' && provider !== undefined) return '--layer nic: there is no provider in it';
  if (level === 'nic' && uncached) return '--layer nic: there is no cache of registrations in it';
  return null;
}

function refusedAmount(
  { common: { level, host, operation = 'send' }, sizes, connections }: BenchRequest,
  options: BenchTestArguments,
): string | null {
  const under = options.profile === undefined ? '' : ` with --profile ${options.profile}`;
  const limits = limitsOf(host.profile, operation);
  for (const size of sizes) {
    if (size > BYTES_MAX) return `--size ${size}: at most ${BYTES_MAX / MIB}M`;
    if (level === 'provider' && size > limits.bytes) {
      return `--size ${size}: the provider moves ${limits.bytes} bytes at a time${under}`;
    }
  }
  for (const count of connections) {
    if (count > CONNECTIONS_MAX) return `${count} connections: at most ${CONNECTIONS_MAX}`;
  }
  const { txDepth = 0, rxDepth = 0 } = options;
  if (level === 'provider' && (txDepth > limits.depth || rxDepth > limits.receiveDepth)) {
    return (
      `the provider's queues hold ${limits.depth} operations and ${limits.receiveDepth} receives` +
      `${under}; see --layer nic, app`
    );
  }
  if (marginOf(options) * 2 >= (options.duration ?? Infinity)) {
    return '--margin takes all of --duration';
  }
  return null;
}

function refusedOperation(
  { test, sizes, common: { operation, mode } }: BenchRequest,
  { bidirectional, duration, verify }: BenchTestArguments,
): string | null {
  const isOneSided = operation !== 'send';
  if (isOneSided && !['lat', 'bw', 'rate'].includes(test)) return `${test} has one operation, send`;
  if (isOneSided && bidirectional && duration !== undefined) {
    return '--duration with --bidirectional: only for send';
  }
  if (test !== 'lat' || operation !== 'write') return null;
  if (mode === 'promise') return 'lat write looks at memory: there is nothing to promise';
  if (sizes.some((size) => size % 4 !== 0)) return 'lat write: use a multiple of 4';
  return verify === 'counter' ? null : 'lat write: the payload is its counter';
}

function refusedCompletion(
  { test, common: { level, mode } }: BenchRequest,
  { completion, events, bidirectional, qp }: BenchTestArguments,
): string | null {
  if (events && completion !== undefined && completion !== 'event') {
    return '--events is --completion event';
  }
  const isOfApplications = mode === 'routine' || mode === 'port';
  if (level !== 'app' && isOfApplications) {
    return `--completion ${completion ?? ''}: only with --layer app`;
  }
  if (test === 'pattern' && (isOfApplications || mode === 'promise')) {
    return 'pattern: use --completion poll or event';
  }
  if (mode === 'promise' && (bidirectional || qp > 1 || test === 'scale')) {
    return '--completion promise: one connection, one direction';
  }
  return null;
}
