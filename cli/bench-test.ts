// `wsd bench lat` and its like: one command or two terminals, the run, and the limits that fail it. What
// is asked for is bench-request.ts, what is said of it bench-output.ts.

import { caseTasks } from '../bench/cases/index.js';
import { sweepFabrics } from '../bench/machine.js';
import { PeerProcess } from '../bench/peer-process.js';
import { PeerThread } from '../bench/peer-thread.js';
import type { TestName } from '../bench/plan.js';
import { RemotePeer, serveClient } from '../bench/remote.js';
import type { BenchReport } from '../bench/report.js';
import { perftestTables } from '../bench/report-text.js';
import type { BenchRequest, Partner } from '../bench/run.js';
import { runTest } from '../bench/run.js';
import { makePlaces, printReport, ProgressLine } from './bench-output.js';
import type { BenchTestArguments } from './bench-request.js';
import type { GivenOptions } from './bench-refusals.js';
import { checkClient, checkOptionsOf, checkRequest } from './bench-refusals.js';
import { hostsOf, readWords, requestOf } from './bench-request.js';
import { CommandFailure, UsageError } from './errors.js';

export interface BenchTestCall {
  readonly test: TestName;
  /** An operation, an address, both, or neither. */
  readonly words: readonly (string | undefined)[];
  readonly options: BenchTestArguments;
  readonly given: GivenOptions;
}

/** Throws UsageError, CommandFailure (a limit is missed), Interrupted, and what the run throws. */
export async function benchTestCommand(
  { test, words, options, given }: BenchTestCall,
  signal: AbortSignal,
): Promise<void> {
  const { operation, address } = readWords(words);
  // As with perftest, a server may be given the same options as its client: they are the client's.
  if (options.server) {
    if (address !== null) throw new UsageError('--server: its own address is given by --address');
    return serve(options, signal);
  }
  checkOptionsOf(test, given);
  const request = await requestOf(test, operation, options);
  checkRequest(request, options);
  if (address !== null) checkClient(options);
  makePlaces(options);
  if (address !== null) {
    const remote = await RemotePeer.connect(address, options.port, signal);
    return measure(remote, onFabricOf(request, remote), options, signal);
  }
  const partner = options.processes === '1' ? new PeerThread() : new PeerProcess();
  return measure(partner, request, options, signal);
}

// Two terminals ----------------------------------------------------------------------------------

const SHARED_FABRIC = 'bench';

async function serve(options: BenchTestArguments, signal: AbortSignal): Promise<void> {
  const { host } = await hostsOf({ fabric: SHARED_FABRIC, ...options });
  try {
    await serveClient({
      host,
      port: options.port,
      tasks: Object.keys(caseTasks),
      signal,
      listening: (port) =>
        process.stderr.write(`waiting for a client on ${host.address}:${port}\n`),
    });
  } finally {
    sweepFabrics();
  }
}

/** The client takes the server's fabric, and another address than the server's. */
function onFabricOf(request: BenchRequest, { hello }: RemotePeer): BenchRequest {
  const { host, peerHost } = request.common;
  const isTaken = host.address === hello.address;
  const own = { ...host, fabric: hello.fabric, ...(isTaken ? { address: peerHost.address } : {}) };
  const other = { ...peerHost, fabric: hello.fabric, address: hello.address };
  return { ...request, common: { ...request.common, host: own, peerHost: other } };
}

// Run --------------------------------------------------------------------------------------------

async function measure(
  partner: Partner & { stop(): Promise<void>; takeLeave?(): void },
  request: BenchRequest,
  options: BenchTestArguments,
  signal: AbortSignal,
): Promise<void> {
  const line = new ProgressLine(request.pairs, options, signal);
  try {
    const report = await runTest(partner, request, {
      signal,
      step: (name, pair) => line.step(name, pair),
    });
    partner.takeLeave?.();
    line.clear();
    const shape = { gigabits: options.report_gbits, histograms: options.histogram };
    await printReport(report, options, () => perftestTables(report, shape));
    checkLimits(report, options);
  } finally {
    await partner.stop();
    sweepFabrics();
  }
}

const MIB = 2 ** 20;
const GIGABIT = 1e9 / 8;

/** Throws CommandFailure; what was disturbed throughout is said to be. */
function checkLimits({ results }: BenchReport, options: BenchTestArguments): void {
  const missed: string[] = [];
  for (const { name, bandwidth, disturbedCount, samples } of results) {
    if (bandwidth === null) continue;
    const doubt = disturbedCount === samples.length ? ' (disturbed)' : '';
    const shown = bandwidth.averageBytesPerSecond / (options.report_gbits ? GIGABIT : MIB);
    if (options.limit_bw !== undefined && shown < options.limit_bw) {
      missed.push(`${name}: bandwidth ${shown.toFixed(2)} below ${options.limit_bw}${doubt}`);
    }
    const rate = bandwidth.messagesPerSecond / 1e6;
    if (options.limit_msgrate !== undefined && rate < options.limit_msgrate) {
      missed.push(
        `${name}: message rate ${rate.toFixed(6)} below ${options.limit_msgrate}${doubt}`,
      );
    }
  }
  if (missed.length > 0) throw new CommandFailure(missed.join('; '));
}
