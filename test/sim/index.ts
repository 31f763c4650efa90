// The simulation, for whoever runs it: the command-line tool and the tests.

import { fileURLToPath } from 'node:url';

export type { BatchResult, SeedFailure } from './batch.js';
export { runBatch, shortest } from './batch.js';
export { makePlan } from './make-plan.js';
export { SimMachine } from './machine.js';
export type { Plan, Step } from './plan.js';
export { parsePlan, PlanError, printPlan } from './plan.js';
export type { RunResult } from './run.js';
export { runPlan } from './run.js';

/** The compiled module that a thread loads; this module must be compiled itself. */
export const simWorker = fileURLToPath(new URL('./sim-worker.js', import.meta.url));
