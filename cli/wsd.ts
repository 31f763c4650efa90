#!/usr/bin/env node
// The command-line tool: which commands there are and what they take. What a command does is in a file
// of its own; how it ends, with exit codes 0, 1, 2 or 128 + signal, is errors.ts.

import { Command, Option } from 'commander';
import { servePeer } from '../bench/peer.js';
import { sanTasks } from '../bench/tasks.js';
import { tcpTasks } from '../bench/tcp.js';
import { addBenchCommands } from './bench-commands.js';
import type { ConformanceArguments } from './conformance.js';
import { conformanceCommand, REPORTERS } from './conformance.js';
import { conformanceChild } from './conformance-child.js';
import type { DemoArguments } from './demo.js';
import { demoCommand } from './demo.js';
import { demoTasks } from './demo-transfer.js';
import { reportError } from './errors.js';
import { hostOptionsOf, wholeNumber } from './host-arguments.js';
import { onInterruption } from './interruption.js';
import { scriptCommand } from './script.js';
import { simCommand } from './sim.js';
import type { SimArguments } from './sim.js';
import { installProvider, listProviders, removeProvider } from './provider.js';

/** wsd provider install | remove | list. */
function addProviderCommands(program: Command): void {
  const provider = program
    .command('provider')
    .description('the SAN providers that hosts start besides the reference provider');
  const catalog = '--catalog <file>';
  const place = 'the catalog (default: WSD_CATALOG, or in the configuration directory)';
  provider
    .command('install')
    .description('install the provider of a module')
    .argument('<module>', 'a path, or the name of a package')
    .option(catalog, place)
    .option('--name <name>', 'the name of its value in the list "TCP on SAN"')
    .action(installProvider);
  provider
    .command('remove')
    .description('remove an installed provider')
    .argument('<id>', 'its id, its name, or its module')
    .option(catalog, place)
    .action(removeProvider);
  provider
    .command('list')
    .description('say what is installed')
    .option(catalog, place)
    .option('--all', 'every entry of the catalog, TCP/IP and the switch too', false)
    .option('--json', 'print it as JSON', false)
    .action(listProviders);
}

/** wsd conformance, and the process that it runs its cases in. */
function addConformanceCommands(program: Command): void {
  const profiles = ['documented', 'windows', 'real-switch', 'hostile'];
  program
    .command('conformance')
    .description('say clause by clause what works of a SAN provider')
    .argument('[module]', 'a path, or the name of a package (default: the reference provider)')
    .addOption(
      new Option('--engine <engine>', 'where the NIC works')
        .choices(['inline', 'worker', 'both'])
        .default('inline'),
    )
    .addOption(
      new Option('--profile <profile>', 'which of the documented differences hold')
        .choices(profiles)
        .default('documented'),
    )
    .option('--group <group>', 'the cases of one group only')
    .option('--case <case>', 'one case only, by its name')
    .option('--list', 'list the cases and run none', false)
    .option('--seed <n>', 'the seed of all content and choices', wholeNumber, 1)
    .option('--verify', 'put the contract verifier around the provider', false)
    .addOption(
      new Option('--reporter <reporter>', 'how to report').choices(REPORTERS).default('terminal'),
    )
    .option('--clauses', 'report a table of clauses in place of the cases', false)
    .option('--out <file>', 'write the report to a file')
    .option('--expect <file>', 'JSON: cases that are known to fail, each with the reason')
    .option('--timeout <seconds>', 'what one case may take', wholeNumber, 20)
    .action((module: string | undefined, options: ConformanceArguments) =>
      conformanceCommand(module, options, onInterruption()),
    );
  program
    .command('conformance-child', { hidden: true })
    .description('the process in which the cases of conformance run')
    .action(conformanceChild);
}

/** wsd sim, wsd script. */
function addSimulationCommands(program: Command): void {
  program
    .command('sim')
    .description('run whole systems under a virtual clock, each from a seed')
    .option('--seed <n>', 'the first seed', wholeNumber, 1)
    .option('--runs <n>', 'so many seeds from there on', wholeNumber, 100)
    .option('--jobs <n>', 'threads (default: one per core)', wholeNumber)
    .option('--trace <file>', 'write down everything that one run does')
    .option('--script <file>', "run a plan as a failure prints it, in place of a seed's")
    .action((options: SimArguments) => simCommand(options, onInterruption()));
  program
    .command('script')
    .description('play timeline scripts and say where something comes otherwise')
    .argument('<files...>', 'scripts, as in test/scripts')
    .option('--learn', 'print what passes in place of comparing it', false)
    .action(scriptCommand);
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
    .option('--verify', 'put the contract verifier around the SAN provider', false)
    .option('--no-table', 'leave the measurements out')
    .action((file: string | undefined, options: DemoArguments) =>
      demoCommand(file ?? process.execPath, options, onInterruption()),
    );
  addBenchCommands(program);
  addProviderCommands(program);
  addConformanceCommands(program);
  addSimulationCommands(program);
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
// A pipe takes what is written later than the call returns.
for (const stream of [process.stdout, process.stderr]) {
  await new Promise((resolve) => stream.write('', resolve));
}
// Whatever an interrupted command left running must not keep the process: its hosts are removed at exit.
process.exit();
