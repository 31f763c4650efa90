// `wsd bench`: sizes from options, the run, the report as a table, as JSON, or in a file.

import type { BenchSettings } from '../bench/bench.js';
import { FULL_SIZES, QUICK_SIZES, runBench } from '../bench/bench.js';
import { sweepFabrics } from '../bench/machine.js';
import { PeerProcess } from '../bench/peer-process.js';
import { reportTable } from '../bench/report.js';
import type { OutputArguments } from './bench-output.js';
import { makePlaces, printReport, ProgressLine } from './bench-output.js';
import { CommandFailure, UsageError } from './errors.js';
import { hostPlans } from './host-arguments.js';
import type { HostArguments } from './host-arguments.js';

export interface BenchArguments extends HostArguments, OutputArguments {
  readonly size?: number;
  readonly iterations?: number;
  readonly pairs?: number;
  readonly check: boolean;
}

/** A small message fits the segment in every slot; above it is not small. */
const SMALL_BYTES_MAX = 64 * 1024;

/** Throws UsageError, CommandFailure (with --check), Interrupted, and what the run throws. */
export async function benchCommand(options: BenchArguments, signal: AbortSignal): Promise<void> {
  const settings = await settingsOf(options);
  makePlaces(options);
  const line = new ProgressLine(settings.pairs, options, signal);
  const peer = new PeerProcess();
  try {
    const report = await runBench(peer, settings, line);
    line.clear();
    await printReport(report, options, () => reportTable(report));
    const beyond = report.results.filter(({ verdict }) => verdict === 'beyond');
    if (options.check && beyond.length > 0) {
      throw new CommandFailure(`beyond its limit: ${beyond.map(({ name }) => name).join(', ')}`);
    }
  } finally {
    await peer.stop();
    sweepFabrics();
  }
}

async function settingsOf(options: BenchArguments): Promise<BenchSettings> {
  const sizes = options.quick ? QUICK_SIZES : FULL_SIZES;
  const bytes = options.size ?? sizes.bytes;
  if (bytes % 4 !== 0 || bytes > SMALL_BYTES_MAX) {
    throw new UsageError(`--size ${bytes}: use a multiple of 4 up to ${SMALL_BYTES_MAX}`);
  }
  return {
    ...(await hostPlans(options, 'bench')),
    ...sizes,
    bytes,
    iterations: options.iterations ?? sizes.iterations,
    pairs: options.pairs ?? sizes.pairs,
  };
}
