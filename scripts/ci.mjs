// Every check and then the tests, in named stages: the one command that decides whether a change is
// good, here and on any other machine. `check` as the argument leaves the tests out. A failing check
// does not hide the next one; the tests come last so that their counts end the output.

import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { root, setup } from './setup.mjs';

const bin = (name) => path.join(root, 'node_modules/.bin', name);
const STAGES = [
  { name: 'format', command: [bin('biome'), 'format', '.'] },
  { name: 'lint', command: [bin('eslint'), '.', '--max-warnings=0'] },
  { name: 'types', command: [process.execPath, 'scripts/setup.mjs', 'typescript'] },
  { name: 'layers', command: [bin('tsx'), 'scripts/layers.ts'] },
  { name: 'unused', command: [bin('knip'), '--no-progress'] },
  { name: 'layout', command: [bin('tsx'), 'scripts/gen-layout.ts', '--check'] },
  { name: 'snippets', command: [bin('tsx'), 'scripts/snippets.ts', '--check'] },
];

await setup({ only: 'install' });
const failed = STAGES.filter((stage) => !runStage(stage.name, stage.command)).map(
  (stage) => stage.name,
);
process.stdout.write(
  failed.length === 0 ? 'checks: all good\n' : `checks failed: ${failed.join(', ')}\n`,
);
let isGood = failed.length === 0;
if (process.argv[2] !== 'check') {
  isGood = runStage('test', [process.execPath, 'scripts/test.mjs']) && isGood;
}
process.exitCode = isGood ? 0 : 1;

function runStage(name, [program, ...args]) {
  process.stdout.write(`== ${name}\n`);
  const script = args.find((arg) => arg.startsWith('scripts/'));
  if (script !== undefined && !fs.existsSync(path.join(root, script))) {
    process.stdout.write(`${script} is missing\n`);
    return false;
  }
  return spawnSync(program, args, { cwd: root, stdio: 'inherit' }).status === 0;
}
