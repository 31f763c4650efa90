// How a command ends: which exit code, and which sentence on standard error. Usage is 2, a failure 1, a
// signal 128 + its number. It must not print a stack unless WSD_DEBUG=1 asks for it.

import { constants } from 'node:os';
import { CommanderError } from 'commander';
import { ZodError } from 'zod';
import { PeerFailure } from '../bench/peer-protocol.js';
import { HostOptionsError, SystemError } from '../index.js';

export const ExitCode = { success: 0, failure: 1, usage: 2 } as const;

/** The command line asks for something that cannot be. The message is the sentence to show. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** The command did its work and the outcome is bad. The message is the sentence to show. */
export class CommandFailure extends Error {
  override readonly name = 'CommandFailure';
}

/** A signal asked the command to end. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
  readonly signal: 'SIGINT' | 'SIGTERM';

  constructor(signal: 'SIGINT' | 'SIGTERM') {
    super(`ended by ${signal}`);
    this.signal = signal;
  }
}

/** Says on standard error what went wrong and returns the exit code. */
export function reportError(thrown: unknown): number {
  // Commander has said it already; asking for help or the version is no error.
  if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : ExitCode.usage;
  if (thrown instanceof Interrupted) {
    process.stderr.write(`wsd: ${thrown.message}\n`);
    return 128 + constants.signals[thrown.signal];
  }
  process.stderr.write(`wsd: ${sentenceFor(thrown)}\n`);
  if (process.env['WSD_DEBUG'] === '1') process.stderr.write(`${stackOf(thrown)}\n`);
  return isUsage(thrown) ? ExitCode.usage : ExitCode.failure;
}

function isUsage(thrown: unknown): boolean {
  if (thrown instanceof PeerFailure) return thrown.failure.name === 'HostOptionsError';
  return thrown instanceof UsageError || thrown instanceof HostOptionsError;
}

function sentenceFor(thrown: unknown): string {
  if (thrown instanceof SystemError) return sentenceForSystem(thrown.code, thrown.message);
  if (thrown instanceof PeerFailure && isUsage(thrown)) return thrown.failure.message;
  if (thrown instanceof PeerFailure && typeof thrown.failure.code === 'string') {
    return `in the second process: ${sentenceForSystem(thrown.failure.code, thrown.failure.message)}`;
  }
  if (thrown instanceof ZodError) return formSentence(thrown);
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return message.split('\n')[0] ?? message;
}

/** What data of another form lacks, in one line. */
export function formSentence({ issues }: ZodError): string {
  return issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ');
}

function sentenceForSystem(code: string, message: string): string {
  switch (code) {
    case 'EADDRINUSE':
      return `the address is in use by a living host (${message})`;
    case 'ENOSPC':
    case 'ENOMEM':
      return `there is not enough shared memory (${message})`;
    case 'EACCES':
      return `the fabric belongs to somebody else (${message})`;
    default:
      return message;
  }
}

function stackOf(thrown: unknown): string {
  if (thrown instanceof PeerFailure) return thrown.failure.stack ?? '';
  return thrown instanceof Error ? (thrown.stack ?? '') : '';
}
