// What `wsd bench` refuses before it opens anything, each with a sentence: options that mean nothing for a
// test, requests that cannot be measured, places that cannot be written to.

import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { addBenchCommands } from '../../cli/bench-commands.js';
import { UsageError } from '../../cli/errors.js';

/** In this process: none of these gets as far as opening a host. Rejects with what the command throws. */
async function bench(args: readonly string[]): Promise<void> {
  const program = new Command().exitOverride().configureOutput({ writeErr: () => undefined });
  addBenchCommands(program, () => new AbortController().signal);
  for (const command of program.commands) quieten(command);
  await program.parseAsync(['bench', ...args], { from: 'user' });
}

function quieten(command: Command): void {
  command.exitOverride().configureOutput({ writeErr: () => undefined });
  for (const one of command.commands) quieten(one);
}

describe('wsd bench refuses what cannot be measured', () => {
  it.each([
    [['lat', 'write', '-s', '3'], 'multiple of 4'],
    [['bw', 'write', '--layer', 'app'], 'no RDMA write'],
    [['lat', 'fetch'], 'fetch is no operation'],
    [['lat', 'send', 'write'], 'one operation'],
    [['lat', '10.0.0.1'], '127.0.0.0/8'],
    [['lat', '127.0.0.999'], '127.0.0.0/8'],
    [['lat', '127.77.0.1', '--floors'], 'both sides in one command'],
    [['lat', '--completion', 'port'], 'only with --layer app'],
    [['lat', '-e', '--completion', 'poll'], '--events is --completion event'],
    [['pattern', '--completion', 'port'], 'poll or event'],
    [['mixed', '--layer', 'nic'], 'a matter of applications'],
    [['lat', '--layer', 'nic', '--provider', 'vitest'], 'createProvider'],
    [['reg', '--layer', 'nic', '--uncached'], 'no cache'],
    [['lat', '-s', '128M'], 'at most 64M'],
    [['bw', '-s', '1K', '--profile', 'hostile'], '256 bytes at a time'],
    [['bw', '-t', '128'], 'hold 64'],
    [['bw', '-t', '17', '--profile', 'real-switch'], 'hold 16'],
    [['lat', '-D', '1', '-n', '3'], 'not both'],
    [['lat', '-a', '-s', '64'], 'not both'],
    [['lat', '-D', '1', '-f', '1'], 'takes all of --duration'],
    [['lat', '--memory', '4000'], 'at most 2048'],
    [['compare', 'package.json', 'package.json'], 'no report of this version'],
    [['latency'], 'is no test'],
  ])('%j', async (args, sentence) => {
    const refusal = bench(args);
    await expect(refusal).rejects.toThrow(UsageError);
    await expect(refusal).rejects.toThrow(sentence);
  });
});

describe('wsd bench refuses options that say nothing', () => {
  it.each([
    [['lat', '-w', '3'], '--limit_bw says nothing to lat'],
    [['lat', '-b'], '--bidirectional'],
    [['lat', '--mix', '64:1'], '--mix'],
    [['bw', '-H'], '--histogram'],
    [['conn', '-D', '1'], '--duration'],
    [['conn', '-s', '4K'], '--size'],
    [['reg', '--floors'], '--floors'],
    [['lat', '-f', '1'], '--margin is of --duration'],
    [['--json', 'lat'], 'behind the name of the test'],
  ])('%j', async (args, sentence) => {
    await expect(bench(args)).rejects.toThrow(sentence);
  });
});

it.each([
  [['lat', '--report', '/proc/nowhere']],
  [['lat', '--out_json', '/proc/nowhere.json']],
  [['bw', '--out_json', '/']],
  [['--out_json', '/nonexistent/report.json']],
])('wsd bench %j says before it measures that the report cannot be written', async (args) => {
  await expect(bench(args)).rejects.toThrow('cannot be written');
});

it.each([
  [['bw', '-s', '12Q'], 'commander.invalidArgument'],
  [['lat', '--port', '99999'], 'commander.invalidArgument'],
  [['lat', '--nonsense'], 'commander.unknownOption'],
])('wsd bench %j is a mistake in the command line', async (args, code) => {
  await expect(bench(args)).rejects.toMatchObject({ code });
});
