// What the commands of `wsd bench` say and write: the line of progress, the report as columns, JSON or a
// page, and whether a limit is missed. Places to write to are tried before anything is measured.

import { accessSync, closeSync, constants, existsSync, mkdirSync } from 'node:fs';
import { openSync, unlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { BenchReport } from '../bench/report.js';
import { reportJson } from '../bench/report.js';
import { CommandFailure, UsageError } from './errors.js';

export interface OutputArguments {
  readonly json: boolean;
  /** '-' is standard output. */
  readonly out_json?: string;
  /** A folder. */
  readonly report?: string;
}

/** Whether standard output is to be JSON. */
export function printsJson({ json, out_json }: OutputArguments): boolean {
  return json || out_json === '-';
}

/**
 * Before anything is measured: who has no place for the outcome wants to know at once. Throws UsageError.
 */
export function makePlaces({ report, out_json }: OutputArguments): void {
  try {
    if (report !== undefined) makeFolder(path.resolve(report));
    if (out_json !== undefined && out_json !== '-') tryFile(out_json);
  } catch (thrown) {
    throw new UsageError(`the report cannot be written: ${whyNot(thrown)}`, { cause: thrown });
  }
}

/** Step by step: Node's recursive mkdir never returns where a folder refuses new ones by ENOENT. */
function makeFolder(folder: string): void {
  if (existsSync(folder)) return accessSync(folder, constants.W_OK);
  makeFolder(path.dirname(folder));
  mkdirSync(folder);
}

/** Leaves no empty file where there was none: the run may fail. */
function tryFile(file: string): void {
  const isNew = !existsSync(file);
  closeSync(openSync(file, 'a'));
  if (isNew) unlinkSync(file);
}

/** Writes what was asked for, and `text` of the report to standard output. Throws CommandFailure. */
export async function printReport(
  report: BenchReport,
  options: OutputArguments,
  text: () => string,
): Promise<void> {
  const json = reportJson(report);
  try {
    if (options.out_json !== undefined && options.out_json !== '-') {
      writeFileSync(options.out_json, `${json}\n`);
    }
    if (options.report !== undefined) await writePage(options.report, report);
  } catch (thrown) {
    throw new CommandFailure(`the report cannot be written: ${whyNot(thrown)}`, { cause: thrown });
  }
  process.stdout.write(`${printsJson(options) ? json : text()}\n`);
}

async function writePage(folder: string, report: BenchReport): Promise<void> {
  // What draws takes longer to load than all the rest: only who wants pictures waits for it.
  const { reportFiles } = await import('../bench/pictures.js');
  for (const { name, text } of reportFiles(report)) writeFileSync(path.join(folder, name), text);
}

function whyNot(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** The line that says what is being measured: on a terminal, and nowhere else. */
export class ProgressLine {
  readonly #pairs: number;
  readonly #signal: AbortSignal;
  readonly #isShown: boolean;

  constructor(pairs: number, options: OutputArguments, signal: AbortSignal) {
    this.#pairs = pairs;
    this.#signal = signal;
    this.#isShown = process.stderr.isTTY && !printsJson(options);
  }

  /** Before each sample. Throws the reason of the signal. */
  step(name: string, pair: number): void {
    this.#signal.throwIfAborted();
    const round = pair < 0 ? 'warming up' : `${pair + 1} of ${this.#pairs}`;
    if (this.#isShown) process.stderr.write(`\r\x1b[K${round}: ${name}`);
  }

  clear(): void {
    if (this.#isShown) process.stderr.write('\r\x1b[K');
  }
}
