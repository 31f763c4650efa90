// Where a report was made: the machine, its kernel, Node, the load at the beginning, the clock's own cost.

import { availableParallelism, cpus, loadavg, release } from 'node:os';
import { clockNanos } from './cases/case.js';
import { pinnedCores } from './machine.js';
import type { BenchReport } from './report.js';

export function describeMachine(pins: boolean): BenchReport['environment'] {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    kernel: release(),
    node: process.versions.node,
    loadAverage: loadavg()[0] ?? 0,
    pinnedTo: pins ? pinnedCores() : null,
    clockNanos: clockNanos(),
  };
}
