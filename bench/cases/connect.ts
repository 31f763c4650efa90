// conn: connections made and closed, one after the other: how many a second, and how long each takes from
// the call to an endpoint that is ready to send, with its memory registered below the switch.

import { Breather } from '../breath.js';
import type { Listening } from '../connection.js';
import type { Endpoint } from '../endpoint.js';
import { Histogram } from '../histogram.js';
import { now, pinToSide, unpin } from '../machine.js';
import { NoiseWatch } from '../noise.js';
import type { Task, TaskContext } from '../peer.js';
import type { TaskStarter } from '../peer-protocol.js';
import type { CasePlan } from '../plan.js';
import { casePlan } from '../plan.js';
import type { Site, SlotOptions } from '../sites.js';
import { openSite } from '../sites.js';
import { waitModeFor } from '../host-plan.js';
import type { Answered, CaseReading } from './case.js';
import { clockNanos } from './case.js';

const CONNECT_TASK = 'connect';
const SLOT_BYTES = 64;
const SLOT_COUNT = 2;
const BACKLOG = 16;

export async function measureConnections(
  peer: TaskStarter,
  plan: CasePlan,
  signal: AbortSignal | null = null,
): Promise<CaseReading> {
  const call = peer.start<Listening, Answered>(CONNECT_TASK, plan);
  const { port } = await call.told();
  const own = await onSite(plan, 0, async (site, options) => {
    const how = { port, options, breather: new Breather(signal) };
    await connectMany(site, plan, { ...how, count: plan.warmUp });
    const watch = new NoiseWatch();
    const begin = now();
    const times = await connectMany(site, plan, { ...how, count: plan.iterations });
    const nanos = now() - begin;
    call.note(null);
    const statistics = site.statistics();
    return { nanos, times, noise: watch.end(), engine: site.engine, statistics };
  });
  const answered = await call.result();
  return {
    operations: plan.iterations,
    bytes: 0,
    nanos: own.nanos,
    times: own.times.data(),
    peak: null,
    digest: String(plan.iterations),
    slices: null,
    details: {},
    engine: own.engine,
    answerDigest: answered.digest,
    verifyNanos: 0,
    clockNanos: clockNanos(),
    statistics: own.statistics,
    noise: [own.noise, answered.noise],
  };
}

async function connectMany(
  site: Site,
  plan: CasePlan,
  how: {
    readonly port: number;
    readonly options: SlotOptions;
    readonly count: number;
    readonly breather: Breather;
  },
): Promise<Histogram> {
  const times = new Histogram();
  for (let made = 0; made < how.count; made++) {
    const begin = now();
    const endpoint = site.connect(plan.peerHost.address, how.port, how.options);
    times.record(now() - begin - clockNanos());
    await endpoint.close();
    if (how.breather.isDue(now())) await how.breather.breathe(now());
  }
  return times;
}

const answerConnections: Task = async (given: unknown, context: TaskContext) => {
  const plan = casePlan.parse(given);
  return onSite(plan, 1, async (site, options) => {
    await context.tell({ port: site.listen(BACKLOG) } satisfies Listening);
    let watch = new NoiseWatch();
    const count = plan.warmUp + plan.iterations;
    let last: Endpoint | null = null;
    for (let taken = 0; taken < count; taken++) {
      if (taken === plan.warmUp) watch = new NoiseWatch();
      const endpoint = await site.accept(options, context.signal);
      // The starting side closes first; that it goes on says that it has.
      await last?.close();
      last = endpoint;
    }
    await context.hear();
    await last?.close();
    return { noise: watch.end(), digest: String(count - plan.warmUp) } satisfies Answered;
  });
};

async function onSite<T>(
  plan: CasePlan,
  side: 0 | 1,
  act: (site: Site, options: SlotOptions) => Promise<T>,
): Promise<T> {
  unpin();
  const site = await openSite(plan.level, side === 0 ? plan.host : plan.peerHost);
  try {
    if (plan.pins && site.engine === 'inline') pinToSide(side);
    const mode = plan.mode ?? waitModeFor(site.engine);
    const options = { slotBytes: SLOT_BYTES, slotCount: SLOT_COUNT, mode, memory: plan.memory };
    return await act(site, options);
  } finally {
    await site.close();
    unpin();
  }
}

export const connectTasks: Readonly<Record<string, Task>> = { [CONNECT_TASK]: answerConnections };
