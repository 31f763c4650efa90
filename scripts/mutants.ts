// Runs every mutant of a provider against every case of the conformance kit, and says who catches it. A
// mutant that nobody catches, or not who its table says, is an error.
//
//   tsx scripts/mutants.ts [name ...]

import { MUTANTS, runMutant } from '../test/conformance/self/mutants.js';
import type { Mutant } from '../test/conformance/self/mutant.js';

/** One line about a mutant, and whether it is caught as it should be. */
async function report(mutant: Mutant): Promise<boolean> {
  if (mutant.change.kind === 'flag') {
    process.stdout.write(`${mutant.name}: run by the tests of ${mutant.change.layer}\n`);
    return true;
  }
  const { cases, stops } = await runMutant(mutant, null);
  const { cases: expected = [], stops: expectedStops = [] } = mutant.caughtBy;
  const missed = [
    ...expected.filter((id) => !cases.includes(id)),
    ...expectedStops.filter((code) => !stops.includes(code)),
  ];
  const isCaught = missed.length === 0 && cases.length + stops.length > 0;
  const verdict = isCaught ? 'caught' : `NOT CAUGHT by ${missed.join(', ')}`;
  const first = cases.slice(0, 3).join(', ');
  const more = cases.length > 3 ? ` and ${cases.length - 3} more` : '';
  process.stdout.write(
    `${mutant.name}: ${verdict}\n  cases: ${first === '' ? 'none' : first + more}\n` +
      `  stops: ${stops.length === 0 ? 'none' : stops.join(', ')}\n`,
  );
  return isCaught;
}

const wanted = process.argv.slice(2);
const chosen = MUTANTS.filter(({ name }) => wanted.length === 0 || wanted.includes(name));
let survivors = 0;
for (const mutant of chosen) if (!(await report(mutant))) survivors++;
process.stdout.write(`${chosen.length - survivors} of ${chosen.length} mutants caught\n`);
process.exit(survivors === 0 && chosen.length > 0 ? 0 : 1);
