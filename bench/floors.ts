// The floors: what two processes reach with bare C++ on the same shared memory, cut into bursts like any
// sample, so that a moment in which somebody else had the core is left out.

import type { FloorMemory } from './machine.js';
import { now, OrdinaryMemory, pinToSide, unpin } from './machine.js';
import type { Reading } from './measure.js';
import { median, spread } from './measure.js';
import { threadName, ThreadWaits } from './noise.js';
import type { Task, TaskContext } from './peer.js';
import type { TaskStarter } from './peer-protocol.js';
import type { SliceCount } from './slices.js';
import { isEnough, Slices } from './slices.js';

/** Bursts of half a millisecond. */
export const SPIN_FLOOR = { kind: 'spin', rounds: 4_000, bursts: 24 } as const;
/**
 * A line goes to a core with a cache in common and comes back in the time of some 80 steps of the fixed
 * piece of work, to one without in that of some 370; the floor is half of it.
 */
export const SPIN_STEADINESS = { better: 'less', stepsMax: 90 } as const;
export const FUTEX_FLOOR = { kind: 'futex', rounds: 100, bursts: 4 } as const;

export interface FloorPlan {
  readonly kind: 'spin' | 'futex';
  /** Round trips of a burst, and how many bursts. */
  readonly rounds: number;
  readonly bursts: number;
}

/**
 * Half a round trip of bare C++ between the two processes, in nanoseconds: the median of bursts in which
 * neither side waited for its core.
 */
export async function measureFloor(
  peer: TaskStarter & { readonly floors: FloorMemory },
  plan: FloorPlan,
): Promise<Reading> {
  peer.floors.reset();
  const call = peer.start<string, null>('floor', plan);
  pinToSide(0);
  // Who sleeps on a futex waits to run after each wake-up: that is what it costs.
  const threads = plan.kind === 'spin' ? [threadName(), await call.told()] : [];
  if (plan.kind === 'futex') await call.told();
  const waits = new ThreadWaits(threads);
  try {
    const { values, slices } = burstsOf(
      plan.bursts,
      waits,
      (at) => peer.floors[plan.kind](0, plan.rounds, at) / 2,
    );
    await call.result();
    return { value: median(values), slices, details: { spread: spread(values) ?? 0 } };
  } finally {
    waits.close();
    unpin();
  }
}

/** The median of what `burst` says, of those bursts in which no thread waited. */
function burstsOf(
  count: number,
  waits: ThreadWaits,
  burst: (at: number) => number,
): { values: number[]; slices: SliceCount } {
  const slices = new Slices(waits);
  const kept: number[] = [];
  const lost: number[] = [];
  for (let at = 0; at < count; at++) {
    slices.begin(now());
    const value = burst(at);
    // In the first one the other side may be late, or the memory not yet there.
    if (at > 0 || count === 1) (slices.end(now()) ? kept : lost).push(value);
  }
  return { values: isEnough(slices.count) ? kept : [...kept, ...lost], slices: slices.count };
}

/** Bytes of a burst of copies. */
const COPY_BURST_BYTES = 32 << 20;
const COPY_BURSTS = 9;
const COPIES_MAX = 20_000;

/** Memmove over as many buffers as transfers rotate over, in bytes per nanosecond. */
export function measureCopy(floors: FloorMemory, bytes: number, slots?: number): Reading {
  const count = Math.max(8, Math.min(COPIES_MAX, Math.floor(COPY_BURST_BYTES / bytes)));
  pinToSide(0);
  const waits = new ThreadWaits([threadName()]);
  try {
    const copy = (): number => floors.copy(bytes, count, slots);
    const { values, slices } = burstsOf(COPY_BURSTS, waits, copy);
    return { value: median(values), slices, details: { spread: spread(values) ?? 0 } };
  } finally {
    waits.close();
    unpin();
  }
}

interface Place {
  readonly pid: number;
  readonly address: number;
}

/**
 * The kernel's own copy out of ordinary memory of the other process into ordinary memory of this one, in
 * bytes per nanosecond: what a single mover can reach there.
 */
export async function measureReach(
  peer: TaskStarter,
  bytes: number,
  slots: number,
): Promise<Reading> {
  const call = peer.start<Place, null>('memory', { bytes: bytes * slots });
  const there = await call.told();
  const here = new OrdinaryMemory(bytes * slots);
  const count = Math.max(slots, Math.min(COPIES_MAX, Math.floor(COPY_BURST_BYTES / bytes)));
  pinToSide(0);
  const waits = new ThreadWaits([threadName()]);
  try {
    const { values, slices } = burstsOf(COPY_BURSTS, waits, () => {
      const begin = now();
      for (let at = 0; at < count; at++) here.pull(there, (at % slots) * bytes, bytes);
      return (count * bytes) / (now() - begin);
    });
    return { value: median(values), slices, details: { spread: spread(values) ?? 0 } };
  } finally {
    waits.close();
    unpin();
    here.free();
    call.note(null);
    await call.result();
  }
}

const memory = async (
  { bytes }: { readonly bytes: number },
  context: TaskContext,
): Promise<null> => {
  const here = new OrdinaryMemory(bytes);
  await context.tell({ pid: here.pid, address: here.address } satisfies Place);
  await context.hear();
  here.free();
  return null;
};

const floor = async (plan: FloorPlan, context: TaskContext): Promise<null> => {
  const { floors } = context;
  if (floors === null) throw new TypeError('floors need two processes of one command');
  pinToSide(1);
  try {
    await context.tell(threadName());
    for (let burst = 0; burst < plan.bursts; burst++) floors[plan.kind](1, plan.rounds, burst);
    return null;
  } finally {
    unpin();
  }
};

export const floorTasks: Readonly<Record<string, Task>> = { floor, memory };
