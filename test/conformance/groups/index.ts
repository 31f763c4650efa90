// Every case, in the order of the design guide: from the start of a provider to its end. The fixture
// comes first, because nothing means anything when it is wrong.

import type { ConformanceCase } from '../case.js';
import { callsInEveryState } from './calls-in-every-state.js';
import { completionCases } from './completion.js';
import { connectionCases } from './connections.js';
import { dataCases } from './data.js';
import { duplicatingCases } from './duplicating.js';
import { endingCases } from './ending.js';
import { fixtureCases } from './fixture-itself.js';
import { initializingCases } from './initializing.js';
import { memoryCases } from './memory.js';
import { socketCases } from './sockets.js';

export const ALL_CASES: readonly ConformanceCase[] = [
  ...fixtureCases,
  ...initializingCases,
  ...socketCases,
  ...connectionCases,
  ...memoryCases,
  ...dataCases,
  ...completionCases,
  ...endingCases,
  ...duplicatingCases,
  ...callsInEveryState,
];
