// The options that every host-opening command shares, and how they are turned into plans for both hosts. Checks what can
// be checked before anything is opened, so that a mistake is told as one.

import { statSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Command } from 'commander';
import { InvalidArgumentError, Option } from 'commander';
import type { HostPlan } from '../bench/host-plan.js';
import { checkOptions } from '../index.js';
import { UsageError } from './errors.js';

export interface HostArguments {
  readonly fabric?: string;
  readonly engine: 'inline' | 'worker' | 'auto';
  readonly pin: 'require' | 'try' | 'off';
  /** MiB. */
  readonly memory: number;
  readonly provider?: string;
  readonly address: string;
  readonly peerAddress: string;
  readonly quick: boolean;
}

/** Of an option. Throws InvalidArgumentError. */
export function wholeNumber(text: string): number {
  const number = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(number) || number === 0) {
    throw new InvalidArgumentError('It is not a whole number above 0.');
  }
  return number;
}

/** The options of every command that opens hosts. */
export function hostOptionsOf(command: Command): Command {
  return command
    .option('--fabric <name>', 'the fabric both hosts are on (default: one of this run)')
    .addOption(
      new Option('--engine <engine>', 'where the NIC works')
        .choices(['inline', 'worker', 'auto'])
        .default('auto'),
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

export interface HostPlans {
  readonly host: HostPlan;
  readonly peerHost: HostPlan;
}

/** Memory for the buffers of both directions and for the connection beside them. */
const MEMORY_MIB_MIN = 48;
/** The length of a segment is a number of 31 bits. */
const MEMORY_MIB_MAX = 2048;

/** Throws UsageError and HostOptionsError. */
export async function hostPlans(options: HostArguments, command: string): Promise<HostPlans> {
  if (options.memory > MEMORY_MIB_MAX) {
    throw new UsageError(`--memory ${options.memory}: at most ${MEMORY_MIB_MAX} MiB`);
  }
  if (options.memory < MEMORY_MIB_MIN) {
    throw new UsageError(
      `--memory ${options.memory}: ${command} needs at least ${MEMORY_MIB_MIN} MiB`,
    );
  }
  if (options.address === options.peerAddress) {
    throw new UsageError(`both hosts have the address ${options.address}: give them two`);
  }
  const shared = {
    fabric: options.fabric ?? `${command}-${process.pid}`,
    engine: options.engine,
    pin: options.pin,
    segmentBytes: options.memory * 1024 * 1024,
    ...(options.provider === undefined ? {} : { provider: await providerModule(options.provider) }),
  };
  const { fabric, engine, pin, segmentBytes } = shared;
  for (const address of [options.address, options.peerAddress]) {
    checkOptions({ fabric, engine, pin, segmentBytes, address });
  }
  return {
    host: { ...shared, address: options.address },
    peerHost: { ...shared, address: options.peerAddress },
  };
}

/** A path is one from here; anything else is a package. It must load and be a provider module. */
export async function providerModule(name: string): Promise<string> {
  const isPath = /^\.{0,2}\//.test(name) || isFile(name);
  const specifier = isPath ? pathToFileURL(path.resolve(name)).href : name;
  let loaded: { readonly createProvider?: unknown };
  try {
    loaded = (await import(specifier)) as { readonly createProvider?: unknown };
  } catch (thrown) {
    // Who imports it, a file of ours, is nothing to the reader.
    const why = (thrown instanceof Error ? thrown.message : String(thrown)).replace(
      / imported from .*$/s,
      '',
    );
    throw new UsageError(`provider module ${name} cannot be loaded: ${why}`, { cause: thrown });
  }
  if (typeof loaded.createProvider !== 'function') {
    throw new UsageError(`provider module ${name} exports no function createProvider`);
  }
  return specifier;
}

function isFile(name: string): boolean {
  return statSync(name, { throwIfNoEntry: false })?.isFile() === true;
}
