// Every test by its name, and the task by which the other side answers any of them.

import type { Task, TaskContext } from '../peer.js';
import { likelierCause } from '../blame.js';
import type { TaskCall, TaskStarter } from '../peer-protocol.js';
import type { CasePlan, TestName } from '../plan.js';
import { casePlan } from '../plan.js';
import type { Answered, Case, CaseReading } from './case.js';
import { answerCase, CASE_TASK, startCase } from './case.js';
import { connectTasks, measureConnections } from './connect.js';
import { latencyCase } from './latency.js';
import { patternCase } from './pattern.js';
import { registrationCase } from './registration.js';
import { streamCase } from './stream.js';

interface Runnable {
  start(peer: TaskStarter, plan: CasePlan, signal: AbortSignal | null): Promise<CaseReading>;
  answer(plan: CasePlan, context: TaskContext): Promise<Answered>;
}

function runnable<Prepared>(test: Case<Prepared>): Runnable {
  return {
    start: (peer, plan, signal) => startCase(peer, test, plan, signal),
    answer: (plan, context) => answerCase(test, plan, context),
  };
}

const CASES: Readonly<Record<Exclude<TestName, 'conn'>, Runnable>> = {
  lat: runnable(latencyCase),
  scale: runnable(latencyCase),
  bw: runnable(streamCase),
  rate: runnable(streamCase),
  mixed: runnable(streamCase),
  reg: runnable(registrationCase),
  pattern: runnable(patternCase),
};

/**
 * Runs one measurement with the other side. Throws what endpoints throw, PayloadError, PeerFailure, and
 * the reason of `signal`.
 */
export async function measureCase(
  peer: TaskStarter,
  plan: CasePlan,
  signal: AbortSignal | null = null,
): Promise<CaseReading> {
  const { test } = plan;
  let call: TaskCall<never, never> | null = null;
  const asked: TaskStarter = {
    start: (task, given) => {
      const started = peer.start<never, never>(task, given);
      call = started;
      return started;
    },
  };
  try {
    if (test === 'conn') return await measureConnections(asked, plan, signal);
    return await CASES[test].start(asked, plan, signal);
  } catch (thrown) {
    throw await likelierCause(thrown, call);
  }
}

const answerTask: Task = (given: unknown, context) => {
  const plan = casePlan.parse(given);
  const { test } = plan;
  if (test === 'conn') throw new TypeError('connections have a task of their own');
  return CASES[test].answer(plan, context);
};

/** What the second side answers to. */
export const caseTasks: Readonly<Record<string, Task>> = {
  [CASE_TASK]: answerTask,
  ...connectTasks,
};
