// Makes a clone ready to run: installs the dependencies, builds the addon, compiles the TypeScript,
// each only when something it depends on has changed. Node built-ins only, because it runs before
// anything is installed. What was built last is remembered as content hashes under .setup/.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { withLock } from './setup-lock.mjs';

export const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const stamps = path.join(root, '.setup');
const at = (...parts) => path.join(root, ...parts);

/** A condition the user can mend: shown as one sentence, without a stack. */
class SetupError extends Error {}

/**
 * Brings the clone up to date and returns; on a failure says why and ends the process with code 1.
 * `only` restricts it to one step, by name.
 * @param {{ only?: string }} [options]
 */
export async function setup({ only } = {}) {
  try {
    checkPlatform();
    const steps = STEPS.filter((step) => only === undefined || step.name === only);
    if (steps.every((step) => step.isDone())) return;
    // Another run may have finished the work while this one waited for the lock: look again inside.
    await withLock(path.join(stamps, 'lock'), () => {
      for (const step of steps) if (!step.isDone()) step.run();
    });
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  }
}

function checkPlatform() {
  if (Number(process.versions.node.split('.')[0]) < 20) {
    throw new SetupError(
      `winsock-direct needs Node 20 or newer; this is Node ${process.versions.node}.`,
    );
  }
  if (process.platform !== 'linux') {
    throw new SetupError(`winsock-direct runs on Linux only; this is ${process.platform}.`);
  }
}

// Dependencies ---------------------------------------------------------------------------------

/** Whether node_modules holds what the lock file asks for, by npm's own record of what it put there. */
function dependenciesInstalled() {
  // As a dependency of another package this one has no lock file, and npm has installed the rest.
  if (!fs.existsSync(at('package-lock.json'))) return true;
  const record = readJson(at('node_modules', '.package-lock.json'));
  if (record === null) return false;
  const wanted = Object.entries(readJson(at('package-lock.json')).packages);
  return wanted.every(([place, one]) => {
    if (place === '') return true;
    const found = record.packages[place];
    return found === undefined ? one.optional === true : found.version === one.version;
  });
}

function installDependencies() {
  // --ignore-scripts: the addon is the next step's work. --include=dev: also under NODE_ENV=production.
  const flags = ['--ignore-scripts', '--include=dev', '--no-audit', '--no-fund'];
  run('installing the dependencies (npm ci)', 'npm', ['ci', ...flags]);
  linkTool();
}

// Addon ----------------------------------------------------------------------------------------

const abi = () => `${process.versions.modules} ${process.arch}`;

function addonKey() {
  const inputs = [at('binding.gyp'), ...filesUnder(at('native/src'), () => true)];
  return `${abi()} ${hashOf(inputs, readJson(at('node_modules/node-addon-api/package.json'))?.version)}`;
}

function addonBuilt() {
  if (!fs.existsSync(at('binding.gyp'))) return true;
  const outputs = filesUnder(at('build/Release'), (name) => name.endsWith('.node'));
  return outputs.length > 0 && readStamp('addon') === addonKey();
}

function buildAddon() {
  needTool('a C++ compiler', process.env.CXX ?? 'g++');
  needTool('make', process.env.MAKE ?? 'make');
  needTool('python3', process.env.PYTHON ?? 'python3');
  const key = addonKey();
  // make keeps objects of another ABI, since their sources have not changed.
  const sameAbi = readStamp('addon')?.startsWith(`${abi()} `) === true;
  const commands = sameAbi ? ['configure', 'build'] : ['rebuild'];
  // The headers that came with this node save a download, and work without a network.
  const prefix = path.dirname(path.dirname(process.execPath));
  const headers = fs.existsSync(path.join(prefix, 'include/node/node.h'))
    ? [`--nodedir=${prefix}`]
    : [];
  const local = at('node_modules/node-gyp/bin/node-gyp.js');
  const nodeGyp = fs.existsSync(local) ? local : process.env.npm_config_node_gyp;
  if (nodeGyp === undefined) throw new SetupError('node-gyp is missing; run npm install first.');
  run('building the addon (node-gyp)', process.execPath, [
    nodeGyp,
    ...commands,
    '--jobs=max',
    ...headers,
  ]);
  writeStamp('addon', key);
}

// TypeScript -----------------------------------------------------------------------------------

const OUTSIDE_SOURCES = new Set(['node_modules', 'dist', 'build', 'coverage', 'docs']);

function sourcesKey() {
  const tops = fs
    .readdirSync(root)
    .filter((name) => !OUTSIDE_SOURCES.has(name) && !name.startsWith('.'));
  const sources = tops.flatMap((name) => filesUnder(at(name), (file) => file.endsWith('.ts')));
  const inputs = [at('tsconfig.json'), at('package.json'), ...sources];
  return hashOf(inputs, readJson(at('node_modules/typescript/package.json'))?.version);
}

function sourcesCompiled() {
  if (!fs.existsSync(at('tsconfig.json'))) return true;
  return fs.existsSync(at('dist/.tsbuildinfo')) && readStamp('typescript') === sourcesKey();
}

function compileSources() {
  const key = sourcesKey();
  const tsc = at('node_modules/typescript/bin/tsc');
  run('compiling the TypeScript (tsc)', process.execPath, [tsc, '--pretty', 'false']);
  if (fs.existsSync(at('dist/cli/wsd.js'))) fs.chmodSync(at('dist/cli/wsd.js'), 0o755);
  linkTool();
  writeStamp('typescript', key);
}

/** npx looks here first; without it one try during the build makes later ones fail. */
function linkTool() {
  const link = at('node_modules/.bin/wsd');
  fs.rmSync(link, { force: true });
  fs.symlinkSync('../../dist/cli/wsd.js', link);
}

const STEPS = [
  { name: 'install', isDone: dependenciesInstalled, run: installDependencies },
  { name: 'addon', isDone: addonBuilt, run: buildAddon },
  { name: 'typescript', isDone: sourcesCompiled, run: compileSources },
];

// Helpers --------------------------------------------------------------------------------------

/** Runs one step with its output held back; shows it only when the step fails. */
function run(note, command, args) {
  process.stderr.write(`setup: ${note}\n`);
  const result = spawnSync(command, args, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28 });
  if (result.status === 0) return;
  process.stderr.write(`${result.stdout ?? ''}${result.stderr ?? ''}`);
  const how =
    result.error?.message ??
    (result.signal ? `killed by ${result.signal}` : `exit code ${result.status}`);
  throw new SetupError(`Setting up failed while ${note}: ${how}.`);
}

/** Gives up with one sentence when a program is not on PATH. The name may be a setting with arguments. */
function needTool(what, name) {
  const program = name.trim().split(/\s+/)[0];
  const folders = (process.env.PATH ?? '').split(':');
  if (!folders.some((folder) => isExecutable(path.resolve(folder, program)))) {
    throw new SetupError(
      `winsock-direct builds a small addon and needs ${what}, which was not found.`,
    );
  }
}

function isExecutable(file) {
  try {
    fs.accessSync(file, fs.constants.X_OK);
    return fs.statSync(file).isFile();
  } catch {
    return false;
  }
}

/** Every file at or below `start` whose name is wanted, in a stable order; none when it is missing. */
function filesUnder(start, isWanted) {
  if (!fs.existsSync(start)) return [];
  if (fs.statSync(start).isFile()) return isWanted(start) ? [start] : [];
  const names = fs.readdirSync(start).sort();
  return names.flatMap((name) => filesUnder(path.join(start, name), isWanted));
}

function hashOf(files, ...more) {
  const hash = createHash('sha256');
  for (const file of files) {
    hash
      .update(`${path.relative(root, file)}\0`)
      .update(fs.readFileSync(file))
      .update('\0');
  }
  return hash.update(more.join('\0')).digest('hex');
}

function readJson(file) {
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8'));
  } catch {
    return null;
  }
}

function readStamp(name) {
  try {
    return fs.readFileSync(path.join(stamps, name), 'utf8');
  } catch {
    return null;
  }
}

function writeStamp(name, value) {
  fs.mkdirSync(stamps, { recursive: true });
  fs.writeFileSync(path.join(stamps, name), value);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await setup({ only: process.argv[2] });
