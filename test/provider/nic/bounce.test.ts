// The transfer suite where the kernel lets no process reach the other's memory: everything that does
// not lie in a segment goes through the bounce buffer.

import { describePair, TWO_PROCESSES } from './harness/pair.js';
import { transferSuite } from './transfer-suite.js';

describePair(
  'transfer through the bounce buffer',
  [{ ...TWO_PROCESSES, isCutOff: true }],
  transferSuite,
);
