// Runs every mutant: those of the provider against every case of the conformance kit, those of the switch in
// the simulation; and says who catches it. A mutant that nobody catches, or not who its table says, is an
// error, and so is an unbroken provider or switch with which anything is found.
//
//   tsx scripts/mutants.ts [name ...]
//   tsx scripts/mutants.ts --rows        the tables of docs/mutants.md, without running anything

import { createProvider } from '../provider/san/provider.js';
import type { Mutant } from '../test/conformance/self/mutant.js';
import { rowOf } from '../test/conformance/self/mutant.js';
import { MUTANTS, runMutant, simulateMutant } from '../test/conformance/self/mutants.js';
import { switchMutants } from '../test/conformance/self/switch-mutants.js';

/** Of the simulation, for a switch that is not broken. */
const SEEDS = Array.from({ length: 40 }, (_, index) => index + 1);
const NAME_COLUMNS = 36;

const unbroken: Mutant = {
  name: 'unbroken',
  source: '',
  change: { kind: 'source', createProvider },
  caughtBy: {},
};

/** What was noticed, and what should have been and was not. */
interface Outcome {
  readonly noticed: readonly string[];
  readonly missed: readonly string[];
}

async function ofProvider(mutant: Mutant): Promise<Outcome> {
  const { cases, stops } = await runMutant(mutant, null);
  const noticed = [...cases.map((id) => `case ${id}`), ...stops.map((code) => `stop ${code}`)];
  const { cases: ids = [], stops: codes = [] } = mutant.caughtBy;
  const expected = [...ids.map((id) => `case ${id}`), ...codes.map((code) => `stop ${code}`)];
  return { noticed, missed: expected.filter((one) => !noticed.includes(one)) };
}

async function ofSwitch(mutant: Mutant): Promise<Outcome> {
  const { seeds = [] } = mutant.caughtBy;
  const caught = await simulateMutant(mutant, seeds);
  const first = [...caught.values()][0]?.split('\n')[0] ?? '';
  return {
    noticed: [...caught.keys()].map((seed) => `seed ${seed} (${first})`),
    missed: seeds.filter((seed) => !caught.has(seed)).map((seed) => `seed ${seed}`),
  };
}

/** One line about a mutant. Whether it is caught as it should be. */
function report({ name, source }: Mutant, { noticed, missed }: Outcome): boolean {
  const isCaught = missed.length === 0 && noticed.length > 0;
  const [first = 'nobody', ...more] = noticed;
  const others = more.length === 0 ? '' : ` and ${more.length} more`;
  const by = isCaught ? `caught by ${first}${others}` : `SURVIVES ${missed.join(', ')}`;
  process.stdout.write(
    `${name.padEnd(NAME_COLUMNS)} ${by}\n${' '.repeat(NAME_COLUMNS)} ${source}\n`,
  );
  return isCaught;
}

const wanted = process.argv.slice(2);
if (wanted[0] === '--rows') {
  for (const mutants of [MUTANTS, switchMutants]) {
    process.stdout.write(`${mutants.map(rowOf).join('\n')}\n\n`);
  }
  process.exit(0);
}
const chosen = (mutants: readonly Mutant[]): readonly Mutant[] =>
  mutants.filter(({ name }) => wanted.length === 0 || wanted.includes(name));
let [count, survivors, isSound] = [0, 0, true];
for (const mutant of chosen(MUTANTS)) {
  count++;
  if (!report(mutant, await ofProvider(mutant))) survivors++;
}
for (const mutant of chosen(switchMutants)) {
  count++;
  if (!report(mutant, await ofSwitch(mutant))) survivors++;
}
if (wanted.length === 0) {
  const { noticed } = await ofProvider(unbroken);
  const found = await simulateMutant({ ...unbroken, change: unchanged() }, SEEDS);
  isSound = noticed.length === 0 && found.size === 0;
  const all = [...noticed, ...[...found.keys()].map((seed) => `seed ${seed}`)];
  process.stdout.write(`unbroken: ${isSound ? 'nothing is found' : all.join(', ')}\n`);
}
process.stdout.write(`${count - survivors} of ${count} mutants caught\n`);
process.exit(survivors === 0 && count > 0 && isSound ? 0 : 1);

function unchanged(): Mutant['change'] {
  return { kind: 'caller', wrap: (inner) => inner };
}
