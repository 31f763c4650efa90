// What a mutant is: a deliberately broken part of the reference implementation, who does such things, and
// who must notice. Data, so that a table of them can be run, counted, and extended: a mutant of another
// layer brings a `change` of another kind, and is run by who knows that kind.

import type { CreateProvider, ServiceProvider } from '../../../provider/spi/index.js';
import type { StopCode } from '../../../provider/hooks/index.js';

/** What is broken. */
export type MutantChange =
  /** Something between the reference provider and whoever calls it. */
  | { readonly kind: 'provider'; readonly wrap: (inner: ServiceProvider) => ServiceProvider }
  /** The reference provider over something broken, such as a NIC. */
  | { readonly kind: 'source'; readonly createProvider: CreateProvider<never, never> }
  /** Something between the switch and its provider, which makes a careless switch of a good one. */
  | { readonly kind: 'caller'; readonly wrap: (inner: ServiceProvider) => ServiceProvider }
  /** A part of the switch replaced while a simulation runs; what `apply` returns puts it back. */
  | { readonly kind: 'patch'; readonly apply: () => () => void };

/** Who notices. At least one of them. */
export interface CaughtBy {
  /** Cases of the kit, by id. */
  readonly cases?: readonly string[];
  /** Stops of the verifier, in a run of those cases, or of `under`. */
  readonly stops?: readonly StopCode[];
  /** Cases during which the stops come, where the kit alone notices nothing. */
  readonly under?: readonly string[];
  /** Seeds with each of which a simulation notices. */
  readonly seeds?: readonly number[];
}

export interface Mutant {
  readonly name: string;
  /** Where such a defect was seen, or the clause that a careless reading breaks. */
  readonly source: string;
  readonly change: MutantChange;
  readonly caughtBy: CaughtBy;
}

/** The row of a mutant in docs/mutants.md. */
export function rowOf({ name, source, caughtBy }: Mutant): string {
  const { cases = [], stops = [], seeds = [] } = caughtBy;
  const by = [
    ...cases.map((id) => `\`${id}\``),
    ...stops.map((code) => `\`${code}\``),
    ...(seeds.length === 0 ? [] : [`seeds ${seeds.join(', ')}`]),
  ];
  return `| \`${name}\` | ${source} | ${by.join(', ')} |`;
}
