// One test as the command line asks for it: its own measurements at every size, floors and peers beside
// them, all in turn, and the report of it. It must not know how the request was written.

import { describeMachine } from './environment.js';
import { companionsOf } from './companions.js';
import { measureCase } from './cases/index.js';
import type { FloorMemory } from './machine.js';
import type { Measure } from './measure.js';
import { interleave } from './measure.js';
import type { TaskStarter } from './peer-protocol.js';
import type { CasePlan, TestName } from './plan.js';
import { CYCLE_LENGTH, makePlan, PATTERNS } from './plan.js';
import type { BenchReport, Result } from './report.js';
import { REPORT_VERSION } from './report.js';
import type { Description } from './results.js';
import { makeResults, pathWarnings, warningsOf } from './results.js';
import { readingOf } from './tasks.js';

export interface BenchRequest {
  readonly test: TestName;
  /** What holds for every size. */
  readonly common: Omit<Partial<CasePlan>, 'bytes'> & Pick<CasePlan, 'level' | 'host' | 'peerHost'>;
  readonly sizes: readonly number[];
  /** Numbers of connections, one result each. */
  readonly connections: readonly number[];
  /** How often everything is measured; the medians count. */
  readonly pairs: number;
  /** Rounds before them that do not count. */
  readonly warmUps: number;
  /** Rounds after them at most, while too few samples are undisturbed. */
  readonly extra: number;
  readonly floors: boolean;
  /** Which peers, by the first part of their names; 'all', or none. */
  readonly peers: readonly string[] | 'all';
}

/** The other side, and memory that both share where it is a process or thread of this command. */
export interface Partner extends TaskStarter {
  readonly floors?: FloorMemory;
}

export type Described = Measure & Description;

export interface BenchProgress {
  /** Called before each sample; throws to end the run. */
  step(name: string, pair: number): void;
  /** Ends a sample that lasts, too. */
  readonly signal?: AbortSignal;
}

/** Throws PeerFailure, PeerDied, WsaError, SystemError, PayloadError, and what `progress` throws. */
export async function runTest(
  partner: Partner,
  request: BenchRequest,
  progress: BenchProgress,
): Promise<BenchReport> {
  const startedAt = new Date().toISOString();
  const environment = describeMachine(request.common.pins ?? true);
  const plans = plansOf(request);
  const own = plans.map((plan) => subject(partner, plan, request, progress.signal ?? null));
  const companions = companionsOf(partner, request, plans);
  const all = [...companions.floors, ...own, ...companions.peers];
  const present = all.filter(({ absent }) => absent === undefined);
  const { pairs, warmUps, extra } = request;
  const samples = await interleave(present, {
    ...{ pairs, warmUps, extra },
    check: ({ name }, round) => progress.step(name, round),
  });
  const results = makeResults(all, samples);
  return {
    format: 'winsock-direct bench',
    version: REPORT_VERSION,
    startedAt,
    command: process.argv.slice(2),
    environment,
    parameters: {
      test: request.test,
      engine: request.common.host.engine ?? 'auto',
      provider: request.common.host.provider ?? 'reference',
      pairs: request.pairs,
      plans,
      further: {},
    },
    results,
    warnings: [
      ...warningsOf(results),
      ...pathWarnings(samples),
      ...plans.flatMap(unusedWarning),
      ...sideWarnings(request, environment),
    ],
  };
}

/** Round trips go over the connections in turn. */
function unusedWarning({ test, iterations, duration, connections }: CasePlan): string[] {
  if (test !== 'scale' || duration !== null || iterations >= connections) return [];
  return [`scale: ${iterations} round trips use ${iterations} of ${connections} connections`];
}

function sideWarnings(
  { common }: BenchRequest,
  { pinnedTo, cores, loadAverage }: BenchReport['environment'],
): string[] {
  const warnings: string[] = [];
  if (pinnedTo === null && common.pins !== false) warnings.push('there are no two cores to pin to');
  if (loadAverage > cores) {
    warnings.push(`load average ${loadAverage.toFixed(1)} on ${cores} cores when the run began`);
  }
  if (common.verify === 'off') warnings.push('the payload was not looked at');
  return warnings;
}

// Plans ------------------------------------------------------------------------------------------

/** Memory above the slots that a host needs, and for each connection beyond the first. */
const BASE_BYTES = 48 << 20;
const BYTES_PER_CONNECTION = 320 * 1024;
const SEGMENT_BYTES_MAX = 2 ** 31;

function plansOf(request: BenchRequest): CasePlan[] {
  const { test, common } = request;
  return request.sizes.flatMap((bytes) =>
    request.connections.flatMap((connections) => {
      const base = { ...usual(test, bytes), ...common, test, bytes, connections };
      if (test !== 'pattern') return [roomy(makePlan(base))];
      const patterns = common.pattern === undefined ? PATTERNS : [common.pattern];
      return patterns.flatMap((pattern) =>
        [true, false].map((plain) => {
          const { iterations, warmUp } = wholeCycles({ ...base, pattern });
          return roomy(makePlan({ ...base, pattern, plain, iterations, warmUp }));
        }),
      );
    }),
  );
}

/** Small and large ones come in cycles: only whole ones have as many of each in either order. */
function wholeCycles({ pattern, iterations = 1, warmUp = 0 }: Partial<CasePlan>): {
  readonly iterations: number;
  readonly warmUp: number;
} {
  if (pattern !== 'large-after-small') return { iterations, warmUp };
  const whole = (count: number): number => Math.ceil(count / CYCLE_LENGTH) * CYCLE_LENGTH;
  return { iterations: whole(iterations), warmUp: whole(warmUp) };
}

/** A host's segment holds the slots of both directions and all connections. */
function roomy(plan: CasePlan): CasePlan {
  const slots =
    (plan.slotCount + 1) * plan.bytes * 2 * (plan.test === 'scale' ? plan.connections : 1);
  const needed = BASE_BYTES + 2 * slots + plan.connections * BYTES_PER_CONNECTION;
  const segmentBytes = Math.min(
    SEGMENT_BYTES_MAX,
    Math.max(plan.host.segmentBytes ?? 0, Math.ceil(needed / 4096) * 4096),
  );
  return {
    ...plan,
    host: { ...plan.host, segmentBytes },
    peerHost: { ...plan.peerHost, segmentBytes },
  };
}

/** Iterations of a test that say something at a size and take less than some seconds. */
function usual(test: TestName, bytes: number): Partial<CasePlan> {
  const streamed = Math.max(64, Math.min(50_000, Math.floor(2 ** 30 / bytes)));
  switch (test) {
    case 'lat':
    case 'scale': {
      const iterations = Math.max(200, Math.min(20_000, Math.floor(2 ** 28 / bytes)));
      const isMany = test === 'scale';
      return { iterations, warmUp: iterations >> 1, ...(isMany ? { slotCount: 2, depth: 1 } : {}) };
    }
    case 'reg':
      return { iterations: 2_000, warmUp: 1_000 };
    case 'conn':
      return { iterations: 200, warmUp: 20 };
    default:
      return { iterations: streamed, warmUp: streamed >> 1 };
  }
}

// Subjects ---------------------------------------------------------------------------------------

export const UNITS: Readonly<Record<TestName, Result['unit']>> = {
  lat: 'ns',
  scale: 'ns',
  reg: 'ns',
  bw: 'GB/s',
  mixed: 'GB/s',
  pattern: 'GB/s',
  rate: '/s',
  conn: '/s',
};

const WHAT: Readonly<Record<TestName, string>> = {
  lat: 'latency',
  scale: 'latency',
  reg: 'registration',
  bw: 'bandwidth',
  mixed: 'bandwidth of mixed sizes',
  pattern: 'bandwidth',
  rate: 'message rate',
  conn: 'connections a second',
};

function subject(
  partner: Partner,
  plan: CasePlan,
  request: BenchRequest,
  signal: AbortSignal | null,
): Described {
  const { test, level, operation, bytes, connections } = plan;
  const unit = UNITS[test];
  const name = subjectName(plan);
  const pattern = plan.pattern === null ? '' : `, ${plan.plain ? 'plainly' : plan.pattern}`;
  const over = connections > 1 || test === 'scale' ? `, ${connections} connections` : '';
  const floor = floorOf(plan, request);
  return {
    name,
    title: `${level}: ${operation} ${bytes} B, ${WHAT[test]}${pattern}${over}`,
    origin: 'subject',
    unit,
    better: unit === 'ns' ? 'less' : 'more',
    bytes,
    connections,
    ...(floor === undefined ? {} : { floor }),
    run: async () => readingOf(await measureCase(partner, plan, signal), test),
  };
}

function subjectName({
  test,
  level,
  operation,
  bytes,
  connections,
  pattern,
  plain,
}: CasePlan): string {
  const parts = [level, test, operation, String(bytes)];
  if (test === 'scale' || connections > 1) parts.push(`x${connections}`);
  if (pattern !== null) parts.push(pattern, ...(plain ? ['plain'] : []));
  return parts.join('.');
}

/** What a result is divided by: a floor of the machine, one connection, or the plain way. */
function floorOf(plan: CasePlan, request: BenchRequest): string | undefined {
  const [fewest = 1] = request.connections;
  if (plan.pattern !== null) return plan.plain ? undefined : subjectName({ ...plan, plain: true });
  if (plan.test === 'scale') {
    return plan.connections === fewest ? undefined : subjectName({ ...plan, connections: fewest });
  }
  if (!request.floors) return undefined;
  if (plan.test === 'lat') return 'floor.spin';
  return plan.test === 'bw' || plan.test === 'mixed' ? `floor.copy.${plan.bytes}` : undefined;
}
