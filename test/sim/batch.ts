// Many seeds after each other on one machine, and what became of them, as plain data that crosses threads.

import { makePlan } from './make-plan.js';
import { SimMachine } from './machine.js';
import type { Plan } from './plan.js';
import { runPlan } from './run.js';
import { shrinkPlan } from './shrink.js';

/** Seeds `first` to `first + count - 1`. */
export interface Batch {
  readonly first: number;
  readonly count: number;
}

export interface SeedFailure {
  readonly seed: number;
  readonly failure: string;
}

export interface BatchResult {
  readonly failures: readonly SeedFailure[];
  /** Of each seed, in order. */
  readonly digests: readonly string[];
  readonly spiCalls: number;
}

export async function runBatch({ first, count }: Batch): Promise<BatchResult> {
  const machine = new SimMachine();
  const failures: SeedFailure[] = [];
  const digests: string[] = [];
  let spiCalls = 0;
  try {
    for (let seed = first; seed < first + count; seed++) {
      const result = await runPlan(machine, makePlan(seed));
      digests.push(result.digest);
      spiCalls += result.spiCalls;
      if (result.failure !== null) failures.push({ seed, failure: result.failure });
    }
  } finally {
    machine.close();
  }
  return { failures, digests, spiCalls };
}

/** The shortest plan found that fails as `plan` does; null when that does not fail. */
export async function shortest(plan: Plan): Promise<Plan | null> {
  const machine = new SimMachine();
  try {
    const failureOf = async (one: Plan): Promise<string | null> =>
      (await runPlan(machine, one)).failure;
    const failure = await failureOf(plan);
    if (failure === null) return null;
    const kind = kindOf(failure);
    return await shrinkPlan(plan, async (one) => {
      const other = await failureOf(one);
      return other !== null && kindOf(other) === kind;
    });
  } finally {
    machine.close();
  }
}

/** Numbers and what follows the first line are circumstances. */
function kindOf(failure: string): string {
  return (failure.split('\n')[0] ?? '').replace(/\d+/g, '#');
}
