// The transfer suite over every arrangement of engines and processes.

import { ARRANGEMENTS, describePair } from './harness/pair.js';
import { transferSuite } from './transfer-suite.js';

describePair('transfer', ARRANGEMENTS, transferSuite);
