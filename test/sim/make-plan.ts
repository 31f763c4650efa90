// A plan from a seed, as a swarm: each seed leaves some kinds of steps out and prefers others, so that
// the seeds together reach what an even mixture never does. It must not know how plans are run.

import { COST_MODELS } from '../../provider/nic/cost-model.js';
import type { CostModelName } from '../../provider/nic/cost-model.js';
import * as spi from '../../provider/spi/index.js';
import { Prng } from '../../runtime/prng.js';
import type { Plan, Side, Step, WorldPlan } from './plan.js';
import { ACCEPTING_WAYS, FAILABLE, FAILABLE_ONCE, READING_WAYS } from './plan.js';

const PROFILES = ['documented', 'windows', 'real-switch', 'hostile'] as const;
const COSTS: readonly (CostModelName | 'none')[] = [
  'none',
  ...(Object.keys(COST_MODELS) as CostModelName[]),
];
const FAULTS: readonly Step['kind'][] = [
  'still',
  'lose-link',
  'reset-nic',
  'die',
  'no-memory',
  'fail',
  'delay',
];
/** What was added later; see makePlan. */
const EXTRAS = [
  'connect-ex',
  'transmit',
  'disconnect',
  'ask',
  'send-wait',
  'receive-wait',
  'deafen',
  'take-nic-out',
  'remove-provider',
] as const satisfies readonly Step['kind'][];
const EXTRAS_MAX = 12;
const STEPS_MAX = 60;
/** What a provider may answer that has run out of something. */
const ERRORS = [spi.WSAENOBUFS, spi.WSAENETDOWN] as const;

/** The plan of a seed; the same on every machine. */
export function makePlan(seed: number): Plan {
  const random = new Prng(seed);
  // What was added later draws by itself, so that the steps of a seed stay what they were.
  const aside = new Prng(seed ^ 0x0ce);
  const world: WorldPlan = {
    seed,
    hosts: random.chance(1, 4) ? 3 : 2,
    profile: random.pick(PROFILES),
    cost: random.pick(COSTS),
    read: random.chance(2, 3),
    threshold: random.pick([300, 4096, 16_384]),
    completion: random.pick(['pending', 'immediate'] as const),
    cache: random.chance(3, 4),
    verify: random.chance(1, 4),
    once: aside.chance(1, 10) ? aside.pick(FAILABLE_ONCE) : 'none',
    unequal: aside.chance(1, 4),
    reads: aside.chance(1, 2) ? 'receives' : aside.pick(READING_WAYS),
    accepts: aside.chance(1, 2) ? 'accept' : aside.pick(ACCEPTING_WAYS),
  };
  const steps = new StepMaker(random, world).steps();
  return { world, steps: aside.chance(1, 2) ? steps : withExtras(steps, aside) };
}

/** Some steps of other kinds among those of a plan. */
function withExtras(steps: readonly Step[], random: Prng): Step[] {
  const hasFaults = steps.some(({ kind }) => FAULTS.includes(kind));
  const kinds = EXTRAS.filter(
    (kind) => (hasFaults || kind !== 'take-nic-out') && random.chance(1, 2),
  );
  if (kinds.length === 0) return [...steps];
  const all = [...steps];
  for (let count = random.between(1, EXTRAS_MAX); count > 0; count--) {
    all.splice(random.between(1, all.length), 0, extraStep(random.pick(kinds), random));
  }
  return all;
}

function extraStep(kind: (typeof EXTRAS)[number], random: Prng): Step {
  const conn = random.below(4);
  const host = random.below(4);
  const side: Side = random.pick(['a', 'b'] as const);
  const length = random.pick([1, 100, 5_000, 60_000]);
  const millis = random.pick([1, 20, 1_000]);
  switch (kind) {
    case 'connect-ex': {
      const [first, to] = [random.pick([0, 30, 60_000]), host + random.between(1, 3)];
      return { kind, from: host, to, port: random.chance(1, 2), first };
    }
    case 'transmit': {
      const parts = random.chance(1, 2) ? [length] : [random.pick([10, 40_000]), length];
      return { kind, conn, side, parts, memory: random.pick(['segment', 'process'] as const) };
    }
    case 'disconnect':
      return { kind, conn, side, reuse: random.chance(1, 2) };
    case 'send-wait':
    case 'receive-wait':
      return { kind, conn, side, length, millis };
    case 'ask':
    case 'deafen':
      return { kind, conn, side };
    case 'take-nic-out':
    case 'remove-provider':
      return { kind, host };
  }
}

class StepMaker {
  readonly #random: Prng;
  readonly #world: WorldPlan;
  #connections = 0;

  constructor(random: Prng, world: WorldPlan) {
    this.#random = random;
    this.#world = world;
  }

  steps(): Step[] {
    const random = this.#random;
    const kinds: Step['kind'][] = [];
    const weigh = (kind: Step['kind'], weights: readonly number[]): void => {
      for (let count = random.pick(weights); count > 0; count--) kinds.push(kind);
    };
    weigh('connect', [0, 1, 1]);
    weigh('send', [0, 4, 8]);
    weigh('send-now', [0, 4, 8]);
    weigh('receive', [1, 4, 8]);
    weigh('receive-now', [0, 4, 8]);
    weigh('burst', [0, 2, 8]);
    weigh('drain', [0, 2, 4]);
    weigh('cancel', [0, 0, 1]);
    weigh('shutdown', [0, 1, 1]);
    weigh('close', [0, 0, 1]);
    weigh('turns', [2, 6, 12]);
    weigh('pass', [0, 2]);
    // Half of all seeds are without any fault: there every byte must arrive.
    if (random.chance(1, 2)) {
      for (const kind of FAULTS) weigh(kind, kind === 'die' ? [0, 0, 0, 1] : [0, 0, 1, 2]);
      weigh('heal', [0, 1]);
    }
    const steps: Step[] = [];
    for (let count = random.between(1, 3); count > 0; count--) steps.push(this.#make('connect'));
    const length = random.between(5, STEPS_MAX);
    while (steps.length < length) steps.push(this.#make(random.pick(kinds)));
    return steps;
  }

  #make(kind: Step['kind']): Step {
    const random = this.#random;
    const { hosts } = this.#world;
    const host = random.below(hosts);
    const conn = random.below(Math.max(1, this.#connections));
    const side: Side = random.pick(['a', 'b'] as const);
    const memory = random.pick(['segment', 'process'] as const);
    switch (kind) {
      case 'connect':
        this.#connections++;
        return {
          kind,
          from: host,
          to: (host + random.between(1, hosts - 1)) % hosts,
          port: random.chance(1, 2),
        };
      case 'send':
        return { kind, conn, side, parts: this.#parts(), memory, urgent: random.chance(1, 16) };
      case 'send-now':
        return { kind, conn, side, length: this.#length() };
      case 'receive':
        return { kind, conn, side, parts: this.#parts(), memory, all: random.chance(1, 3) };
      case 'receive-now':
        return { kind, conn, side, length: this.#length(), peek: random.chance(1, 4) };
      case 'burst':
        return {
          kind,
          conn,
          side,
          count: random.between(2, 60),
          length: (this.#length() % 2_000) + 1,
        };
      case 'drain':
        return { kind, conn, side, length: random.pick([50, 5_000, 60_000]) };
      case 'cancel':
        return { kind, conn, side, what: random.pick(['send', 'receive'] as const) };
      case 'shutdown':
        return { kind, conn, side };
      case 'close':
        return { kind, conn, side, hard: random.chance(1, 2) };
      case 'turns':
        return { kind, count: random.between(1, 30) };
      case 'pass':
        return { kind, micros: random.pick([1, 100, 20_000]) };
      default:
        return this.#fault(kind, host);
    }
  }

  #fault(kind: Step['kind'], host: number): Step {
    const random = this.#random;
    switch (kind) {
      case 'still':
        return { kind, host, micros: random.pick([10, 1_000, 500_000, 20_000_000]) };
      case 'lose-link':
        return { kind, host, slot: random.below(4) };
      case 'no-memory':
        return { kind, host, on: random.chance(1, 2) };
      case 'fail':
        return {
          kind,
          host,
          call: random.pick(FAILABLE),
          error: random.pick(ERRORS),
          of: random.pick([1, 3, 10]),
        };
      case 'delay':
        return { kind, host, turns: random.between(1, 5), of: random.pick([1, 2, 5]) };
      case 'reset-nic':
      case 'die':
      case 'heal':
        return { kind, host };
      default:
        throw new Error(`${kind} is no fault`);
    }
  }

  #length(): number {
    const random = this.#random;
    const { threshold } = this.#world;
    switch (random.below(4)) {
      case 0:
        return random.between(1, 100);
      case 1:
        return random.between(Math.max(1, threshold - 10), threshold + 10);
      case 2:
        return random.between(1, 5_000);
      default:
        return random.between(1, 90_000);
    }
  }

  #parts(): number[] {
    const parts = [this.#length()];
    while (parts.length < 3 && this.#random.chance(1, 3)) parts.push(this.#length());
    return parts;
  }
}
