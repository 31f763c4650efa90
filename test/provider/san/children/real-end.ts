// An end of a connection in a process of its own. Argument: RealEndOptions as JSON. Calls come as
// lines on standard input, results go out as lines; the end of the input is the end of the process.

import type { Call, Result } from '../../nic/harness/rpc.js';
import { decode, encode, onLine } from '../../nic/harness/rpc.js';
import type { RealEndOptions } from '../real-end.js';
import { RealEnd } from '../real-end.js';

type Operations = Record<string, (...args: readonly unknown[]) => Promise<unknown>>;

const end = await RealEnd.open(JSON.parse(process.argv[2] ?? '') as RealEndOptions);

function answer(result: Result): void {
  process.stdout.write(`${encode(result)}\n`);
}

async function carryOut({ call, operation, args }: Call): Promise<void> {
  try {
    const act = (end as unknown as Operations)[operation];
    if (act === undefined) throw new Error(`no operation ${operation}`);
    answer({ call, value: await act.apply(end, [...args]) });
  } catch (thrown) {
    answer({ call, failure: String(thrown) });
  }
}

onLine(process.stdin, (line) => {
  void carryOut(decode(line) as Call);
});
process.stdin.once('close', () => {
  void end.end();
});
answer({ call: -1, value: process.pid });
