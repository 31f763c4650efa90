#!/usr/bin/env node
// The command-line tool: which commands there are and what they take. What a command does is in a file
// of its own; how it ends, with exit codes 0, 1, 2 or 128 + signal, is errors.ts.

import { Command, InvalidArgumentError, Option } from 'commander';
import { servePeer } from '../bench/peer.js';
import { sanTasks } from '../bench/tasks.js';
import { tcpTasks } from '../bench/tcp.js';
import type { BenchArguments } from './bench.js';
import { benchCommand } from './bench.js';
import type { DemoArguments } from './demo.js';
import { demoCommand } from './demo.js';
import { demoTasks } from './demo-transfer.js';
import { reportError } from './errors.js';
import { onInterruption } from './interruption.js';

const ENGINES = ['inline', 'worker', 'auto'];

function wholeNumber(text: string): number {
  const number = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(number) || number === 0) {
    throw new InvalidArgumentError('It is not a whole number above 0.');
  }
  return number;
}

/** The options of every command that opens hosts. */
function hostOptionsOf(command: Command): Command {
  return command
    .option('--fabric <name>', 'the fabric both hosts are on (default: one of this run)')
    .addOption(
      new Option('--engine <engine>', 'where the NIC works').choices(ENGINES).default('auto'),
    )
    .addOption(
      new Option('--pin <policy>', 'at the limit of locked memory')
        .choices(['require', 'try', 'off'])
        .default('try'),
    )
    .option('--memory <MiB>', "each host's shared memory", wholeNumber, 128)
    .option('--provider <module>', 'a SAN provider module in place of the reference provider')
    .option('--address <ip>', "this process's host", '127.77.0.1')
    .option('--peer-address <ip>', "the second process's host", '127.77.0.2')
    .option('--quick', 'smaller measurements', false);
}

function makeProgram(): Command {
  const program = new Command('wsd')
    .description('Windows Sockets Direct between processes of this machine.')
    .exitOverride();
  hostOptionsOf(program.command('demo'))
    .description('send a file to a second process through the SAN provider, verify it, and measure')
    .argument('[file]', 'the file to send (default: the Node executable)')
    .option('--repeat <n>', 'send it so many times', wholeNumber, 1)
    .addOption(
      new Option('--progress <how>', 'auto: on a terminal only; lines: one line per percent')
        .choices(['auto', 'lines', 'off'])
        .default('auto'),
    )
    .option('--no-table', 'leave the measurements out')
    .action((file: string | undefined, options: DemoArguments) =>
      demoCommand(file ?? process.execPath, options, onInterruption()),
    );
  hostOptionsOf(program.command('bench'))
    .description('measure both levels against the floors of this machine')
    .option('-s, --size <bytes>', 'small message size, a multiple of 4', wholeNumber)
    .option('-n, --iterations <n>', 'round trips of a latency sample', wholeNumber)
    .option('--pairs <n>', 'how often everything is measured', wholeNumber)
    .option('--json', 'print the report as JSON', false)
    .option('--out_json <file>', 'write the report as JSON to a file')
    .option('--check', 'fail when an undisturbed result is beyond its limit', false)
    .action((options: BenchArguments) => benchCommand(options, onInterruption()));
  program
    .command('demo-peer', { hidden: true })
    .description('the second process of demo and bench')
    .action(async () => {
      process.exitCode = await servePeer({ ...sanTasks, ...tcpTasks, ...demoTasks });
    });
  return program;
}

try {
  await makeProgram().parseAsync();
} catch (thrown) {
  process.exitCode = reportError(thrown);
}
// Whatever an interrupted command left running must not keep the process: its hosts are removed at exit.
process.exit();
