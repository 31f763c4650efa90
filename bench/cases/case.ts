// What every measurement has in common: the connection is opened on both sides, each side watches for
// disturbances while the messages run, and everything is closed whatever happens.

import type { SwitchStatistics } from '../../index.js';
import type { Opened } from '../connection.js';
import { answer, start } from '../connection.js';
import type { Listening, Ready } from '../connection.js';
import type { Endpoint } from '../endpoint.js';
import type { HistogramData } from '../histogram.js';
import { now } from '../machine.js';
import type { Disturbance } from '../noise.js';
import { Neighbours, NoiseWatch, ThreadWaits } from '../noise.js';
import type { SliceCount } from '../slices.js';
import { Slices } from '../slices.js';
import type { TaskContext } from '../peer.js';
import type { TaskCall, TaskStarter } from '../peer-protocol.js';
import type { CasePlan } from '../plan.js';
import { connectionOf } from '../plan.js';

/** What the starting side has measured. */
export interface Measured {
  /** Operations that count, and their bytes. */
  readonly operations: number;
  readonly bytes: number;
  /** How long those took. */
  readonly nanos: number;
  /** One-way times (half round trips), or whole ones of a test that has no other side. */
  readonly times: HistogramData | null;
  /** Bytes per nanosecond of the best slice; null where none was whole. */
  readonly peak: number | null;
  /** Of what was received on this side; see Digest. */
  readonly digest: string;
  readonly details: Readonly<Record<string, number>>;
  /** How it was cut where moments could be left out; null where it counts as a whole. */
  readonly slices: SliceCount | null;
}

/** What the answering side has to say. */
export interface Answered {
  readonly noise: Disturbance;
  readonly digest: string;
}

export interface CaseReading extends Measured {
  readonly engine: 'inline' | 'worker';
  readonly answerDigest: string;
  /** What the starting side's switch has counted; null below it. */
  readonly statistics: SwitchStatistics | null;
  /** Nanoseconds of filling and checking one message. */
  readonly verifyNanos: number;
  /** Nanoseconds of one reading of the clock. */
  readonly clockNanos: number;
  readonly noise: readonly Disturbance[];
}

/** The two sides of a test. */
export interface Case<Prepared> {
  /** The starting side, before the other one may reach its memory. */
  arrange?(endpoints: readonly Endpoint[], plan: CasePlan): void;
  /** The starting side, on connections that stand. */
  measure(opened: Opened, plan: CasePlan, slices: Slices): Measured | Promise<Measured>;
  /** Nanoseconds of checking the payload, when nothing runs any more. */
  verifyCost(opened: Opened, plan: CasePlan): number;
  /** The answering side, before the other one may send. */
  prepare(endpoints: readonly Endpoint[], plan: CasePlan): Prepared;
  /** Serves until the end; the digest of what came. */
  serve(
    prepared: Prepared,
    endpoints: readonly Endpoint[],
    plan: CasePlan,
  ): string | Promise<string>;
}

/** The name of the task that answers any measurement. */
export const CASE_TASK = 'case';

export async function startCase(
  peer: TaskStarter,
  test: Pick<Case<never>, 'arrange' | 'measure' | 'verifyCost'>,
  plan: CasePlan,
  signal: AbortSignal | null,
): Promise<CaseReading> {
  const call = peer.start<Listening | Ready, Answered>(CASE_TASK, plan);
  const opened = await start(connectionOf(plan, 0), call, signal, (endpoints) =>
    test.arrange?.(endpoints, plan),
  );
  const own = await closingAfter(opened, async () => {
    const waits = new ThreadWaits(opened.spins ? opened.threads : []);
    const neighbours = new Neighbours(opened.threads);
    const watch = new NoiseWatch();
    try {
      const slices = new Slices(waits, signal);
      const measured = await measuredOrNot(call, () => test.measure(opened, plan, slices));
      const noise = seen(opened, watch.end(), neighbours.end());
      const statistics = opened.statistics();
      return { measured, noise, statistics, verifyNanos: test.verifyCost(opened, plan) };
    } finally {
      waits.close();
    }
  });
  const answered = await call.result();
  return {
    ...own.measured,
    engine: opened.engine,
    answerDigest: answered.digest,
    statistics: own.statistics,
    verifyNanos: own.verifyNanos,
    clockNanos: clockNanos(),
    noise: [own.noise, seen(opened, answered.noise, 0)],
  };
}

/** Who spins needs its core all the time; who sleeps needs the others to leave it one. */
function seen({ spins }: Opened, noise: Disturbance, foreignNanos: number): Disturbance {
  return spins ? noise : { ...noise, waitedNanos: 0, involuntarySwitches: 0, foreignNanos };
}

export async function answerCase<Prepared>(
  test: Case<Prepared>,
  plan: CasePlan,
  context: TaskContext,
): Promise<Answered> {
  const opened = await answer(connectionOf(plan, 1), context, (endpoints) =>
    test.prepare(endpoints, plan),
  );
  return closingAfter(opened, async () => {
    const watch = new NoiseWatch();
    const digest = await test.serve(opened.prepared, opened.endpoints, plan);
    const noise = watch.end();
    // Closing ends a connection at once: not before the last message has been taken.
    await context.hear();
    return { noise, digest };
  });
}

/**
 * Closes this side before the other side's outcome is waited for: closing takes both, and nothing
 * moves on a host whose thread waits for something else.
 */
export async function closingAfter<T>(opened: Opened, act: () => T | Promise<T>): Promise<T> {
  try {
    return await act();
  } finally {
    await opened.close();
  }
}

/** Tells the other side, which waits for it before it closes, that this side has all it wants. */
async function measuredOrNot<T>(
  call: Pick<TaskCall<never, never>, 'note'>,
  act: () => T | Promise<T>,
): Promise<T> {
  try {
    return await act();
  } finally {
    call.note(null);
  }
}

let knownClockNanos = 0;

/** What a reading of the clock costs here: the best of some, found out once. */
export function clockNanos(): number {
  if (knownClockNanos > 0) return knownClockNanos;
  const reads = 20_000;
  let best = Infinity;
  for (let repeat = 0; repeat < 10; repeat++) {
    const begin = now();
    for (let read = 0; read < reads; read++) now();
    best = Math.min(best, (now() - begin) / reads);
  }
  knownClockNanos = best;
  return best;
}
