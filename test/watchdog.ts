// The watchdog of a test process. vitest cannot interrupt a test that holds its thread, so a loop that
// never ends would hold the whole run. A thread beside the tests notices when one test has not ended
// for far longer than its timeout, says which one it is and where it stands, and ends the process:
// the run goes on with the next file, and fails.

import { Worker } from 'node:worker_threads';
import { afterAll, afterEach, beforeEach } from 'vitest';

/** How many times its timeout a test may take: one that can be interrupted never takes two. */
const PATIENCE = 4;

const watch = `
  const { parentPort } = require('node:worker_threads');
  const { Session } = require('node:inspector');
  const { writeSync } = require('node:fs');
  const say = (text) => { writeSync(2, text + '\\n'); };
  const end = () => { process.kill(process.pid, 'SIGKILL'); };

  let timer;
  parentPort.on('message', ({ name, limitMs }) => {
    clearTimeout(timer);
    if (name !== null) timer = setTimeout(giveUp, limitMs, name, limitMs);
  });

  function giveUp(name, limitMs) {
    say('watchdog: no end of "' + name + '" after ' + limitMs / 1000 + ' s');
    // A thread inside native code cannot be paused.
    setTimeout(() => { say('    in native code'); end(); }, 5000);
    const session = new Session();
    session.connectToMainThread();
    const urls = new Map();
    session.on('Debugger.scriptParsed', ({ params }) => { urls.set(params.scriptId, params.url); });
    session.on('Debugger.paused', ({ params }) => {
      for (const { functionName, location } of params.callFrames) {
        const place = urls.get(location.scriptId) + ':' + (location.lineNumber + 1);
        say('    at ' + (functionName || '(anonymous)') + ' ' + place);
      }
      end();
    });
    session.post('Debugger.enable', () => { session.post('Debugger.pause'); });
  }
`;

const worker = new Worker(watch, { eval: true, execArgv: [] });
worker.unref();

beforeEach(({ task }) => {
  worker.postMessage({
    name: `${task.file.name} > ${task.name}`,
    limitMs: task.timeout * PATIENCE,
  });
});

afterEach(() => {
  worker.postMessage({ name: null });
});

afterAll(async () => {
  await worker.terminate();
});
