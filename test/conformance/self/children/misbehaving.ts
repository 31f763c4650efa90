// A provider module that misbehaves as MISBEHAVIOUR says, for tests of the kit: it must give a verdict
// whatever a module does. Everything else is the reference provider's.

import { sanProvider } from '../../../../index.js';
import type { CreateProvider } from '../../../../provider/spi/index.js';
import { broken } from '../broken.js';

const how = process.env['MISBEHAVIOUR'];

if (how === 'throws-at-load') throw new Error('this module throws when it is loaded');
if (how === 'ends-at-load') process.exit(7);
if (how === 'hangs-at-load') await new Promise(() => undefined);

/** What WSPListen does. */
const LISTEN: Readonly<Record<string, () => number>> = {
  throws: () => {
    throw new Error('a provider throws');
  },
  hangs: () => {
    for (;;);
  },
  ends: () => process.exit(7),
  nonsense: () => 'yes' as unknown as number,
};

export const createProvider: CreateProvider<never> = (environment) => {
  if (how === 'throws-at-start') throw new Error('this provider cannot be made');
  const provider = (sanProvider.createProvider as CreateProvider<never>)(environment);
  const listen = LISTEN[how ?? ''];
  if (listen === undefined) return provider;
  return broken(() => ({ procedures: () => ({ lpWSPListen: listen }) }))(provider);
};
