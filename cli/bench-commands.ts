// `wsd bench` and the commands below it: what they are called and what they take, in the letters that
// users of perftest know. What they do is in bench.ts, bench-test.ts and bench-compare.ts.

import { InvalidArgumentError, Option } from 'commander';
import type { Command } from 'commander';
import { PEER_NAMES } from '../bench/companions.js';
import { TESTS } from '../bench/plan.js';
import type { TestName } from '../bench/plan.js';
import { DEFAULT_PORT } from '../bench/remote.js';
import type { BenchArguments } from './bench.js';
import { benchCommand } from './bench.js';
import type { CompareArguments } from './bench-compare.js';
import { compareCommand } from './bench-compare.js';
import type { GivenOptions } from './bench-refusals.js';
import type { BenchTestArguments } from './bench-request.js';
import { benchTestCommand } from './bench-test.js';
import { UsageError } from './errors.js';
import { hostOptionsOf, wholeNumber } from './host-arguments.js';
import { onInterruption } from './interruption.js';

const WHAT: Readonly<Record<TestName, string>> = {
  lat: 'half a round trip of a message; a whole one of a read',
  bw: 'bandwidth with many messages under way',
  rate: 'small messages a second',
  reg: 'registering and deregistering memory',
  conn: 'connections made and closed, a second',
  scale: 'latency over one to 4,096 connections in turn',
  mixed: 'bandwidth of messages of mixed sizes',
  pattern: 'the ways of sending that the shipped switch was slow at',
};

/** Adds `bench` to the program; a command calls `interruption` when it begins. */
export function addBenchCommands(program: Command, interruption = onInterruption): void {
  const bench = hostOptionsOf(program.command('bench'))
    .description('measure both levels against the floors of this machine')
    .option('-s, --size <bytes>', 'small message size, a multiple of 4', wholeNumber)
    .option('-n, --iterations <n>', 'round trips of a latency sample', wholeNumber)
    .option('--pairs <n>', 'how often everything is measured', wholeNumber)
    .option('--json', 'print the report as JSON', false)
    .option('--out_json <file>', 'write the report as JSON to a file')
    .option('--check', 'fail when an undisturbed result is beyond its limit', false)
    .allowExcessArguments(true)
    .action((options: BenchArguments, command: Command) => {
      const [word] = command.args;
      if (word !== undefined) throw new UsageError(`${word} is no test: use ${TESTS.join(', ')}`);
      return benchCommand(options, interruption());
    });
  // What follows the name of a test belongs to the test.
  program.enablePositionalOptions();
  bench.enablePositionalOptions();
  for (const test of TESTS) addTest(bench, test, interruption);
  bench
    .command('compare')
    .description('say what changed from one report to another')
    .argument('<before>', 'a report written by --out_json')
    .argument('<after>', 'another one')
    .option('--limit <percent>', 'fail when a result is worse by more than this', percent, 10)
    .action((before: string, after: string, options: CompareArguments) =>
      compareCommand(before, after, options),
    );
}

function addTest(bench: Command, test: TestName, interruption: () => AbortSignal): void {
  const command = hostOptionsOf(bench.command(test))
    .description(WHAT[test])
    .argument('[operation]', 'send, write or read; or the address of a server')
    .argument('[address]', 'the address of a server in another terminal')
    .option('--server', 'be the side that answers, for a client in another terminal', false)
    .option('--port <port>', 'where the server listens (kernel TCP)', portNumber, DEFAULT_PORT);
  shapeOptions(command);
  meansOptions(command);
  outputOptions(command);
  command.action(
    (first: string | undefined, second: string | undefined, options: BenchTestArguments) =>
      benchTestCommand(
        { test, words: [first, second], options, given: givenOptions(command) },
        interruption(),
      ),
  );
}

/** What the command line says, apart from what goes without saying. Throws UsageError. */
function givenOptions(command: Command): GivenOptions {
  const [stray] = command.parent === null ? [] : optionsOf(command.parent).values();
  if (stray !== undefined) {
    throw new UsageError(`${stray}: options stand behind the name of the test`);
  }
  return optionsOf(command);
}

function optionsOf(command: Command): GivenOptions {
  const given = command.options.filter(
    (option) => command.getOptionValueSource(option.attributeName()) === 'cli',
  );
  return new Map(given.map((option) => [option.attributeName(), option.long ?? option.flags]));
}

/** How much, how often, how many at a time. */
function shapeOptions(command: Command): void {
  command
    .option(
      '-s, --size <bytes>',
      'message size, or several with commas; K and M are 2^10, 2^20',
      sizes,
    )
    .option('-a, --all', 'every power of two up to 8M', false)
    .option('-n, --iterations <n>', 'operations of a sample', wholeNumber)
    .option('-D, --duration <s>', 'in place of iterations: seconds of a sample', seconds)
    .option(
      '-f, --margin <s>',
      'seconds at both ends that do not count (default: a fifth)',
      seconds,
    )
    .option('-b, --bidirectional', 'both directions at a time', false)
    .option('-q, --qp <n>', 'connections that share the messages', wholeNumber, 1)
    .option('-t, --tx-depth <n>', 'operations under way on a connection', wholeNumber)
    .option('-r, --rx-depth <n>', 'receives posted on a connection', wholeNumber)
    .option('-l, --post-list <n>', 'operations started at a time', wholeNumber, 1)
    .option('--connections <list>', 'scale: how many, with commas', numbers)
    .option('--mix <list>', 'mixed: size:parts with commas, such as 64:70,4K:25,64K:5', mix)
    .option('--seed <n>', 'mixed: of the order of sizes', wholeNumber, 1)
    .option('--pairs <n>', 'how often everything is measured', wholeNumber)
    .option(
      '--stamp-every <n>',
      'lat: round trips between two readings of the clock',
      wholeNumber,
      1,
    );
}

/** On what, and how outcomes are learned. */
function meansOptions(command: Command): void {
  command
    .addOption(
      new Option(
        '--layer <layer>',
        'the NIC, the provider below the switch, or the application (default: provider; mixed, pattern: app)',
      ).choices(['nic', 'provider', 'app']),
    )
    .addOption(
      new Option('--completion <how>', 'how outcomes are learned').choices([
        'poll',
        'event',
        'promise',
        'routine',
        'port',
      ]),
    )
    .option('-e, --events', 'the same as --completion event', false)
    .addOption(
      new Option('--buffers <kind>', 'VirtualAlloc or ordinary Buffers')
        .choices(['virtual', 'buffer'])
        .default('virtual'),
    )
    .addOption(
      new Option('--processes <n>', 'two processes, or two threads of one')
        .choices(['1', '2'])
        .default('2'),
    )
    .addOption(
      new Option('--profile <name>', 'the profile of both hosts').choices([
        'documented',
        'windows',
        'real-switch',
        'hostile',
      ]),
    )
    .option('--cost <model>', 'the cost model of the NIC')
    .option('--uncached', 'reg: memory that the provider has not in its cache', false)
    .addOption(
      new Option('--pattern <name>', 'pattern: one of them').choices([
        'nonblocking-overlapped',
        'large-after-small',
        'many-buffers',
      ]),
    )
    .addOption(
      new Option('--verify <what>', 'what is looked at of the payload')
        .choices(['off', 'counter', 'full'])
        .default('counter'),
    )
    .option('--no-affinity', 'do not pin the sides to cores');
}

function outputOptions(command: Command): void {
  command
    .option('--floors', 'measure the floors of this machine in turn with the test', false)
    .option(
      '--peers [list]',
      `and other ways to do the same, all or some: ${PEER_NAMES.join(', ')}`,
      peerNames,
    )
    .option('-H, --histogram', 'print the percentiles', false)
    .option('--report_gbits', 'bandwidth in Gb/sec', false)
    .option('-w, --limit_bw <n>', 'fail below this bandwidth, in the unit shown', positive)
    .option('-y, --limit_msgrate <n>', 'fail below this message rate, in Mpps', positive)
    .option('--json', 'print the report as JSON', false)
    .option('--out_json <file>', 'write the report as JSON to a file')
    .option('--report <folder>', 'write a page with pictures into this folder');
}

// Arguments --------------------------------------------------------------------------------------

function portNumber(text: string): number {
  const port = wholeNumber(text);
  if (port > 0xffff) throw new InvalidArgumentError('A port is at most 65535.');
  return port;
}

function positive(text: string): number {
  const number = Number(text);
  if (text.trim() === '' || !Number.isFinite(number) || number <= 0) {
    throw new InvalidArgumentError('It is not a number above 0.');
  }
  return number;
}

function percent(text: string): number {
  return positive(text.replace(/%$/, ''));
}

function seconds(text: string): number {
  return text === '0' ? 0 : positive(text.replace(/s$/, ''));
}

const UNITS: Readonly<Record<string, number>> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };

/** 64, 4K, 1M. */
export function parseSize(text: string): number {
  const match = /^(\d+)([kmg]?)b?$/i.exec(text.trim());
  const size = Number(match?.[1]) * (UNITS[(match?.[2] ?? '').toLowerCase()] ?? Number.NaN);
  if (!Number.isSafeInteger(size) || size === 0) {
    throw new InvalidArgumentError('It is not a size such as 64, 4K or 1M.');
  }
  return size;
}

function sizes(text: string): number[] {
  return text.split(',').map(parseSize);
}

function numbers(text: string): number[] {
  return text.split(',').map(wholeNumber);
}

function peerNames(text: string): string[] {
  const names = text.split(',');
  for (const name of names) {
    if (!PEER_NAMES.some((known) => known === name)) {
      throw new InvalidArgumentError(`Use some of ${PEER_NAMES.join(', ')}.`);
    }
  }
  return names;
}

function mix(text: string): [number, number][] {
  return text.split(',').map((part) => {
    const [size = '', share = '1'] = part.split(':');
    return [parseSize(size), positive(share)];
  });
}
