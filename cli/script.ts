// `wsd script FILE …`: timeline scripts, each against the switch and the reference provider under a virtual
// clock. The language and what runs it are test/scripts. Exit codes: 0 everything came as the scripts say, 1
// something did not, 2 a file cannot be read.

import { readFileSync } from 'node:fs';
import {
  learnScript,
  Mismatch,
  parseScript,
  runScript,
  ScriptError,
} from '../test/scripts/index.js';
import { SimMachine } from '../test/sim/index.js';
import { CommandFailure, UsageError } from './errors.js';

export interface ScriptArguments {
  /** Print what passes in place of comparing it. */
  readonly learn: boolean;
}

/** Throws UsageError, and CommandFailure with file:line when something comes otherwise. */
export async function scriptCommand(
  files: readonly string[],
  { learn }: ScriptArguments,
): Promise<void> {
  const scripts = files.map(read);
  const machine = new SimMachine();
  try {
    for (const script of scripts) {
      if (learn) print((await learnScript(machine, script)).join('\n'));
      else {
        await runScript(machine, script);
        print(`${script.file}: as it says`);
      }
    }
  } catch (thrown) {
    throw thrown instanceof Mismatch ? new CommandFailure(thrown.message) : thrown;
  } finally {
    machine.close();
  }
}

function read(file: string): ReturnType<typeof parseScript> {
  try {
    return parseScript(readFileSync(file, 'utf8'), file);
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    const message = thrown instanceof ScriptError ? why : `${file} cannot be read: ${why}`;
    throw new UsageError(message, { cause: thrown });
  }
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
