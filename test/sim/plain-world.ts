// A simulated world in which nothing is out of the ordinary, for tests that say step by step what happens.

import type { Plan, Step } from './index.js';
import { makePlan } from './index.js';

export const plainWorld: Plan['world'] = {
  ...makePlan(1).world,
  hosts: 2,
  profile: 'documented',
  cost: 'none',
  threshold: 300,
  completion: 'pending',
  cache: false,
  verify: false,
  once: 'none',
  unequal: false,
  reads: 'receives',
  accepts: 'accept',
};

/** Enough for whatever has been begun to end. */
export const turns: Step = { kind: 'turns', count: 60 };

export const connect = (from: number, to: number): Step => ({
  kind: 'connect',
  from,
  to,
  port: false,
});
