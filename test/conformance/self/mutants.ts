// All mutants, and how those of a provider are run: the reference provider, broken, between two hosts,
// with the verifier around it.

import { environmentFixture } from '../../../cli/conformance-fixture.js';
import type { StopCode } from '../../../provider/hooks/index.js';
import { trace, verify } from '../../../provider/hooks/index.js';
import { createProvider } from '../../../provider/san/provider.js';
import type { CreateProvider } from '../../../provider/spi/index.js';
import type { ConformanceCase } from '../index.js';
import { makePlan, runPlan, SimMachine } from '../../sim/index.js';
import { ALL_CASES, caseId, runCases } from '../index.js';
import { completionMutants } from './completion-mutants.js';
import { connectionMutants } from './connection-mutants.js';
import { duplicationMutants } from './duplication-mutants.js';
import { fieldMutants } from './field-mutants.js';
import { memoryMutants } from './memory-mutants.js';
import type { Mutant } from './mutant.js';

export const MUTANTS: readonly Mutant[] = [
  ...completionMutants,
  ...memoryMutants,
  ...connectionMutants,
  ...fieldMutants,
  ...duplicationMutants,
];

/** Who noticed. */
export interface Catch {
  /** Cases that failed, by id. */
  readonly cases: readonly string[];
  /** Stops of the provider, each once. */
  readonly stops: readonly StopCode[];
}

/** What a case may wait for what never comes, in slices: long enough for what does. */
const PATIENCE = 25;

/** Failures after which a run against everything has seen enough: each costs a new pair of hosts. */
const ENOUGH = 5;

/**
 * Runs some cases against a mutant; or, for null, those of its table and then all others until several
 * more have failed. A case that fails because of the verifier alone is not counted: its findings are
 * kept apart.
 */
export async function runMutant(mutant: Mutant, ids: readonly string[] | null): Promise<Catch> {
  const { cases: listed = [], under = [] } = mutant.caughtBy;
  const first = [...listed, ...under];
  const stops = new Set<StopCode>();
  const verifier = verify({
    onViolation: ({ party, code }) => {
      if (party === 'provider') stops.add(code);
    },
    fullPayload: true,
  });
  const fixture = await environmentFixture({
    source: { createProvider: createMutant(mutant) },
    engine: 'inline',
    profile: 'documented',
    seed: 1,
    patience: PATIENCE,
    observe: () => {
      const tracer = trace();
      return { hooks: [verifier, tracer], history: () => tracer.lines(), violations: () => [] };
    },
  });
  const isFirst = (one: ConformanceCase): boolean => first.includes(caseId(one));
  const chosen =
    ids === null
      ? [...ALL_CASES.filter(isFirst), ...ALL_CASES.filter((one) => !isFirst(one))]
      : ALL_CASES.filter((one) => ids.includes(caseId(one)));
  const cases: string[] = [];
  for await (const { id, verdict } of runCases(fixture, chosen, { seed: 1 })) {
    if (verdict === 'fail') cases.push(id);
    if (ids === null && cases.length >= first.length + ENOUGH) break;
  }
  return { cases, stops: [...stops] };
}

/** The seeds with which a simulation notices a mutant of the switch, and what it says. */
export async function simulateMutant(
  { change }: Mutant,
  seeds: readonly number[],
): Promise<ReadonlyMap<number, string>> {
  const caught = new Map<number, string>();
  const machine = new SimMachine();
  const restore = change.kind === 'patch' ? change.apply() : (): void => undefined;
  const breaks = change.kind === 'caller' ? { caller: change.wrap } : {};
  try {
    for (const seed of seeds) {
      const { failure } = await runPlan(machine, makePlan(seed), breaks);
      if (failure !== null) caught.set(seed, failure);
    }
  } finally {
    restore();
    machine.close();
  }
  return caught;
}

/** The reference provider with the change made. Throws for a change that is not of a provider. */
function createMutant({ name, change }: Mutant): CreateProvider<never, never> {
  switch (change.kind) {
    case 'provider':
      return (environment) => change.wrap(createProvider(environment));
    case 'source':
      return change.createProvider;
    case 'caller':
    case 'patch':
      throw new Error(`${name} is a mutant of the switch: a simulation runs it`);
  }
}
