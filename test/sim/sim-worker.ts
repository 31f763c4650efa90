// A thread of `wsd sim`: runs the seeds it is given. Loaded by Piscina, one task per batch.

import type { Batch, BatchResult } from './batch.js';
import { runBatch } from './batch.js';

export default function run(batch: Batch): Promise<BatchResult> {
  return runBatch(batch);
}
