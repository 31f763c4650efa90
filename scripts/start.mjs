// The main job, from a fresh clone: sets up, then runs the command-line tool with the arguments
// given: `npm start -- ARGS` is `wsd demo ARGS`, `npm run bench -- ARGS` is `wsd bench ARGS`.

import { spawn } from 'node:child_process';
import path from 'node:path';
import { root, setup } from './setup.mjs';

await setup();
const program = path.join(root, 'dist/cli/wsd.js');
const child = spawn(process.execPath, [program, ...process.argv.slice(2)], { stdio: 'inherit' });
// A Ctrl-C reaches the child too (same terminal): let it finish, and end as it does.
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => {
  process.exitCode = signal === null ? code : 1;
});
