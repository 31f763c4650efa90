// One measurement as plain data: what both sides need to know of it. It travels to the other side, which
// may be a server in another terminal, and is checked there.

import { z } from 'zod';
import type { ConnectionPlan } from './connection.js';
import type { HostPlan } from './host-plan.js';
import { PROFILES } from '../provider/spi/index.js';
import { PayloadSequence } from './payload.js';
import { Prng } from '../runtime/prng.js';

/** What else openHost takes passes through: it is checked there. */
const hostPlan: z.ZodType<HostPlan> = z.looseObject({
  fabric: z.string(),
  address: z.string(),
  engine: z.enum(['inline', 'worker', 'auto']).exactOptional(),
  profile: z.enum(['documented', 'windows', 'real-switch', 'hostile']).exactOptional(),
  pin: z.enum(['require', 'try', 'off']).exactOptional(),
  provider: z.string().exactOptional(),
  segmentBytes: z.int().positive().exactOptional(),
  costModel: z.string().exactOptional(),
});

export const TESTS = ['lat', 'bw', 'rate', 'reg', 'conn', 'scale', 'mixed', 'pattern'] as const;
export const OPERATIONS = ['send', 'write', 'read'] as const;
export const LEVELS = ['nic', 'provider', 'app'] as const;
export const WAIT_MODES = ['spin', 'sleep', 'routine', 'port', 'promise'] as const;
/** The ways of sending that the shipped switch was slow at. */
export const PATTERNS = ['nonblocking-overlapped', 'large-after-small', 'many-buffers'] as const;

export const BYTES_MAX = 64 << 20;
export const CONNECTIONS_MAX = 4096;
/** What a provider's queues hold; the NIC's are made as long as a plan says. */
const QUEUE_DEPTH = 64;

/** What a provider takes at a time under a profile: operations, receives, and bytes of one of them. */
export function limitsOf(
  profile: HostPlan['profile'],
  operation: Operation,
): { readonly depth: number; readonly receiveDepth: number; readonly bytes: number } {
  const found = PROFILES[profile ?? 'documented'];
  const bytes = operation === 'send' ? found.maxMessageBytes : found.maxRdmaBytes;
  return {
    depth: Math.min(QUEUE_DEPTH, found.sendQueueDepth ?? QUEUE_DEPTH),
    receiveDepth: Math.min(QUEUE_DEPTH, found.receiveQueueDepth ?? QUEUE_DEPTH),
    bytes: bytes ?? BYTES_MAX,
  };
}

export const casePlan = z.strictObject({
  test: z.enum(TESTS),
  operation: z.enum(OPERATIONS),
  level: z.enum(LEVELS),
  host: hostPlan,
  peerHost: hostPlan,
  /** Bytes of a message; of the longest one where sizes vary. */
  bytes: z.int().min(1).max(BYTES_MAX),
  /** Sizes that vary: bytes and how often among all, in parts. */
  mix: z.array(z.tuple([z.int().min(1).max(BYTES_MAX), z.number().positive()])).nullable(),
  seed: z.int().min(0),
  iterations: z.int().positive(),
  warmUp: z.int().min(0),
  /** In place of `iterations`: how long it lasts, and what of it at either end does not count. */
  duration: z
    .strictObject({ nanos: z.number().positive(), marginNanos: z.number().min(0) })
    .nullable(),
  depth: z.int().positive(),
  receiveDepth: z.int().positive(),
  postList: z.int().positive(),
  slotCount: z.int().min(2),
  connections: z.int().min(1).max(CONNECTIONS_MAX),
  bidirectional: z.boolean(),
  memory: z.enum(['virtual', 'buffer']),
  mode: z.enum(WAIT_MODES).nullable(),
  verify: z.enum(['off', 'counter', 'full']),
  /** Round trips between two readings of the clock. */
  stampEvery: z.int().positive(),
  /** Registrations of memory that the provider has in its cache. */
  cached: z.boolean(),
  pattern: z.enum(PATTERNS).nullable(),
  /** Pattern: without what makes it one, to compare with. */
  plain: z.boolean(),
  pins: z.boolean(),
});

export type CasePlan = z.infer<typeof casePlan>;
export type Operation = (typeof OPERATIONS)[number];
export type TestName = (typeof TESTS)[number];

/** Side 0 starts, side 1 answers. */
export function connectionOf(plan: CasePlan, side: 0 | 1): ConnectionPlan {
  const { level, host, peerHost, slotCount, memory, connections, pins } = plan;
  // A stream is taken as fast as can be, also where promises send it.
  const takesStream = side === 1 && plan.mode === 'promise' && plan.test !== 'lat';
  const mode = takesStream ? null : plan.mode;
  return {
    level,
    host,
    peerHost,
    slotBytes: Math.max(plan.bytes, SLOT_BYTES_MIN),
    // One more, for closing messages.
    slotCount: slotCount + 1,
    memory,
    connections,
    pins,
    ...(mode === null ? {} : { mode }),
  };
}

/** Room for closing messages. */
const SLOT_BYTES_MIN = 64;
const MIX_LENGTH = 4096;

const SMALL_BYTES = 64;
/** Messages of the pattern of small and large ones, after which it begins again. */
export const CYCLE_LENGTH = 128;
/** Small and large messages in turn, or, plainly, many of one before many of the other. */
function smallAndLarge(isPlain: boolean): Uint8Array<ArrayBuffer> {
  const half = CYCLE_LENGTH / 2;
  return Uint8Array.from({ length: CYCLE_LENGTH }, (_, at) =>
    isPlain ? Math.floor(at / half) : at & 1,
  );
}

/** What the messages are, in an order that both sides work out from the plan. */
export function sequenceOf(plan: CasePlan): PayloadSequence {
  const { bytes, mix, verify, seed } = plan;
  if (plan.pattern === 'large-after-small') {
    return new PayloadSequence([SMALL_BYTES, bytes], verify, smallAndLarge(plan.plain));
  }
  if (mix === null) return new PayloadSequence([bytes], verify);
  const total = mix.reduce((sum, [, share]) => sum + share, 0);
  const random = new Prng(seed);
  const order = Uint8Array.from({ length: MIX_LENGTH }, () => {
    let left = (random.uint32() / 2 ** 32) * total;
    return Math.max(
      0,
      mix.findIndex(([, share]) => (left -= share) < 0),
    );
  });
  return new PayloadSequence(
    mix.map(([size]) => size),
    verify,
    order,
  );
}

type Sides = Pick<CasePlan, 'test' | 'level' | 'host' | 'peerHost' | 'bytes'>;

/** A plan with everything else as usual for its size. */
export function makePlan(sides: Sides & Partial<CasePlan>): CasePlan {
  const { operation = 'send', level, host } = sides;
  const limits = limitsOf(level === 'provider' ? host.profile : undefined, operation);
  const depth = sides.depth ?? Math.min(limits.depth, depthFor(sides.bytes));
  // Every operation under way has a slot of its own.
  const slotCount = Math.max(
    sides.slotCount ?? slotCountFor(sides.bytes, depth),
    sides.receiveDepth ?? 0,
  );
  return casePlan.parse({
    operation,
    mix: null,
    seed: 1,
    iterations: 1000,
    warmUp: 0,
    duration: null,
    receiveDepth: Math.min(slotCount, depth, limits.receiveDepth),
    postList: 1,
    connections: 1,
    bidirectional: false,
    memory: 'virtual',
    mode: null,
    verify: 'counter',
    stampEvery: 1,
    cached: true,
    pattern: null,
    plain: false,
    pins: true,
    ...sides,
    depth: Math.min(depth, slotCount),
    slotCount,
  });
}

/** Memory that the slots of one direction take, as the copy floor does. */
const ROTATION_BYTES = 16 << 20;
const SLOTS_MIN = 2;

/** Messages under way: many small ones, few large ones. */
function depthFor(bytes: number): number {
  if (bytes <= 4096) return 32;
  return Math.max(1, Math.min(8, Math.floor(ROTATION_BYTES / 2 / bytes)));
}

function slotCountFor(bytes: number, depth: number): number {
  const fitting = Math.floor(ROTATION_BYTES / bytes);
  return Math.max(SLOTS_MIN, Math.min(2 * depth, Math.max(fitting, depth)));
}
