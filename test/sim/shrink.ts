// Makes a failing plan shorter: takes steps out, in halves, then in smaller and smaller pieces, then one by
// one, as long as it still fails in the same way (delta debugging, Zeller and Hildebrandt, IEEE TSE 2002);
// then makes numbers smaller. It must not know what a step does.

import type { Plan, Step } from './plan.js';

/** Runs that finding a shorter plan may take. */
const RUNS_MAX = 600;

/** The shortest plan found that `fails` in the same way. */
export async function shrinkPlan(
  plan: Plan,
  fails: (plan: Plan) => Promise<boolean>,
): Promise<Plan> {
  const { world } = plan;
  let runs = 0;
  const stillFails = async (steps: readonly Step[]): Promise<boolean> =>
    ++runs <= RUNS_MAX && (await fails({ world, steps }));
  let steps = plan.steps;
  for (let size = Math.ceil(steps.length / 2); size >= 1; ) {
    const shorter = await withoutSome(steps, size, stillFails);
    // After a piece is gone, others of its size may go, too.
    if (shorter === steps) size = size === 1 ? 0 : Math.floor(size / 2);
    else steps = shorter;
  }
  for (let index = 0; index < steps.length; index++) {
    for (const smaller of smallerThan(steps[index] as Step)) {
      const changed = steps.with(index, smaller);
      if (await stillFails(changed)) steps = changed;
    }
  }
  return { world, steps };
}

/** The steps without every piece of `size` that is not needed; the same array if all are. */
async function withoutSome(
  steps: readonly Step[],
  size: number,
  stillFails: (steps: readonly Step[]) => Promise<boolean>,
): Promise<readonly Step[]> {
  let kept = steps;
  for (let at = 0; at < kept.length; ) {
    const shorter = kept.toSpliced(at, size);
    if (shorter.length < kept.length && (await stillFails(shorter))) kept = shorter;
    else at += size;
  }
  return kept;
}

/** The same step with less in it. */
function smallerThan(step: Step): Step[] {
  switch (step.kind) {
    case 'send':
    case 'receive':
      return step.parts.length > 1 ? [{ ...step, parts: step.parts.slice(0, 1) }] : [];
    case 'turns':
      return step.count > 1 ? [{ ...step, count: 1 }] : [];
    default:
      return [];
  }
}
