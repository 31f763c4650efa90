// Checks the direction of imports with the rules of .dependency-cruiser.cjs, and that the tool saw
// every source file: a check that quietly looks at nothing is worse than none.

import { readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { cruise, format } from 'dependency-cruiser';
import type { ICruiseResult } from 'dependency-cruiser';
import extractConfig from 'dependency-cruiser/config-utl/extract-depcruise-config';
import extractTsConfig from 'dependency-cruiser/config-utl/extract-ts-config';

const FOLDERS = [
  ...['runtime', 'native', 'provider', 'switch'],
  ...['bench', 'cli', 'examples', 'test', 'scripts'],
];

process.chdir(fileURLToPath(new URL('..', import.meta.url)));
process.exitCode = await main();

async function main(): Promise<number> {
  const sources = FOLDERS.flatMap(sourcesUnder);
  const roots = readdirSync('.').filter(
    (name) => name.endsWith('.ts') && name !== 'vitest.config.ts',
  );
  const rules = await extractConfig(path.resolve('.dependency-cruiser.cjs'));
  const options = { ...rules.options, ruleSet: rules, validate: true };
  const run = await cruise([...roots, ...FOLDERS], options, undefined, {
    tsConfig: extractTsConfig(path.resolve('tsconfig.json')),
  });
  const result = run.output as ICruiseResult;

  const seen = new Set(result.modules.map((module) => module.source));
  const unseen = [...roots, ...sources].filter((file) => !seen.has(file));
  for (const file of unseen) process.stderr.write(`layers: ${file} was not looked at\n`);
  const report = await format(result, { outputType: 'err' });
  if (typeof report.output === 'string') process.stdout.write(report.output);
  const layers = FOLDERS.map((name) => `${name} ${sourcesUnder(name).length}`).join(', ');
  process.stdout.write(`modules: ${layers}\n`);
  return result.summary.error > 0 || unseen.length > 0 || sources.length === 0 ? 1 : 0;
}

function sourcesUnder(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))
    .map((name) => path.posix.join(folder, name));
}
