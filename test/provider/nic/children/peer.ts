// The far end of a pair in a process of its own. Argument: EndOptions as JSON. Calls come as lines on
// standard input, results go out as lines; the end of the input is the end of the process.

import { blockingActs } from '../harness/blocking-acts.js';
import type { EndOptions } from '../harness/end.js';
import { LocalEnd } from '../harness/end.js';
import type { Call, Result } from '../harness/rpc.js';
import { decode, encode, onLine } from '../harness/rpc.js';
import { ThreadLoop } from '../harness/thread-loop.js';

type Operations = Record<string, (...args: readonly unknown[]) => Promise<unknown>>;

const loop = new ThreadLoop();
const end = await LocalEnd.open(loop, JSON.parse(process.argv[2] ?? '') as EndOptions);
const acts = blockingActs(end);
let isOpen = true;

function answer(result: Result): void {
  process.stdout.write(`${encode(result)}\n`);
}

async function carryOut({ call, operation, args }: Call): Promise<void> {
  try {
    const owner = operation in acts ? acts : end;
    const act = (owner as unknown as Operations)[operation];
    if (act === undefined) throw new Error(`no operation ${operation}`);
    const value = await act.apply(owner, [...args]);
    answer({ call, value });
  } catch (thrown) {
    answer({ call, failure: String(thrown) });
  }
  if (operation === 'close') isOpen = false;
}

onLine(process.stdin, (line) => {
  void carryOut(decode(line) as Call);
  loop.wake();
});
process.stdin.once('close', () => {
  isOpen = false;
  loop.wake();
});
answer({ call: -1, value: process.pid });
// An engine on this thread answers its peer whether or not an operation is under way.
await loop.lasting(() => !isOpen);
await end.close();
loop.close();
process.stdin.destroy();
