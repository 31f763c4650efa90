// A provider module that misbehaves as MISBEHAVIOUR says, for tests of the kit: it must give a verdict
// whatever a module does. Everything else is the reference provider's.

import { sanProvider } from '../../../../index.js';
import type { CreateProvider, ServiceProvider } from '../../../../provider/spi/index.js';
import { WSA_IO_INCOMPLETE } from '../../../../provider/spi/index.js';
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
  'returns-nothing': () => undefined as unknown as number,
};

/** What WSPStartupEx does. */
const START: Readonly<Record<string, () => number>> = {
  'start-hangs': () => {
    for (;;);
  },
  'start-throws': () => {
    throw new Error('a provider throws when it is started');
  },
  'start-fills-nothing': () => 0,
};

/** What createProvider returns. */
const MADE: Readonly<Record<string, unknown>> = {
  'makes-nothing': undefined,
  'makes-a-number': 7,
  'makes-an-empty-object': {},
  'makes-a-promise': Promise.resolve({}),
  'makes-half-a-provider': { name: 'half', providerId: 'none', capabilities: null },
};

const make: CreateProvider<never> = (environment) => {
  if (how !== undefined && how in MADE) return MADE[how] as ServiceProvider;
  const provider = (sanProvider.createProvider as CreateProvider<never>)(environment);
  const start = START[how ?? ''];
  if (start !== undefined) return { ...provider, WSPStartupEx: start };
  const listen = LISTEN[how ?? ''];
  if (listen !== undefined) {
    return broken(() => ({ procedures: () => ({ lpWSPListen: listen }) }))(provider);
  }
  return how === 'never-completes' ? silent(provider) : provider;
};

/** Every transfer is started, and none ends. */
const silent = broken(() => ({
  upcalls: () => ({ lpWPUCompleteOverlappedRequest: () => 0 }),
  procedures: () => ({
    lpWSPGetOverlappedResult: (...parameters) => {
      parameters[5].value = WSA_IO_INCOMPLETE;
      return false;
    },
  }),
}));

export const createProvider = how === 'exports-nonsense' ? ('a string' as never) : make;
