// Builds the addon with AddressSanitizer and UndefinedBehaviorSanitizer into build/Sanitize, and
// runs the native tests against it. The build happens in a directory of its own, so that
// build/Release stays what it was. Leak detection is off: Node frees much only by exiting;
// test/native/life.test.ts looks for leaks.
//
//   node scripts/native-sanitize.mjs [--build-only] [test files …]

import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const output = join(root, 'build', 'Sanitize');

/** Where node-gyp finds node.h without a download, when it lies beside the running node. */
function nodeHeaders() {
  const prefix = dirname(dirname(process.execPath));
  return existsSync(join(prefix, 'include', 'node', 'node.h')) ? [`--nodedir=${prefix}`] : [];
}

function run(command, args, options) {
  const { status, error } = spawnSync(command, args, { stdio: 'inherit', ...options });
  if (error !== undefined) throw error;
  if (status !== 0) process.exit(status ?? 1);
}

function build() {
  const work = join(output, 'work');
  rmSync(work, { recursive: true, force: true });
  mkdirSync(join(work, 'native'), { recursive: true });
  copyFileSync(join(root, 'binding.gyp'), join(work, 'binding.gyp'));
  copyFileSync(join(root, 'package.json'), join(work, 'package.json'));
  cpSync(join(root, 'native', 'src'), join(work, 'native', 'src'), { recursive: true });
  const nodeGyp = join(root, 'node_modules', 'node-gyp', 'bin', 'node-gyp.js');
  run(process.execPath, [nodeGyp, 'rebuild', ...nodeHeaders(), '--', '-Dsanitize=1'], {
    cwd: work,
  });
  copyFileSync(
    join(work, 'build', 'Release', 'winsock_direct.node'),
    join(output, 'winsock_direct.node'),
  );
  rmSync(work, { recursive: true, force: true });
}

function sanitizerLibraries() {
  const compiler = process.env.CXX ?? 'g++';
  return ['libasan.so', 'libubsan.so']
    .map((name) =>
      execFileSync(compiler, [`-print-file-name=${name}`], { encoding: 'utf8' }).trim(),
    )
    .join(' ');
}

const args = process.argv.slice(2);
const files = args.filter((one) => !one.startsWith('--'));
build();
if (!args.includes('--build-only')) {
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
  run(process.execPath, [vitest, 'run', ...(files.length > 0 ? files : ['test/native'])], {
    cwd: root,
    env: {
      ...process.env,
      WSD_NATIVE_BUILD: 'Sanitize',
      LD_PRELOAD: sanitizerLibraries(),
      ASAN_OPTIONS: 'detect_leaks=0:allocator_may_return_null=1',
      UBSAN_OPTIONS: 'halt_on_error=1:print_stacktrace=1',
    },
  });
}
