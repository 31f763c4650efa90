// The words by which a host's thread and its NIC worker keep in step, in one cache line each of the
// private segment, and what the worker is told at its start.

import type { MessagePort } from 'node:worker_threads';
import type { CostModel } from './cost-model.js';
import { CACHE_LINE_BYTES, field, struct } from '../../native/layout/struct.js';

export const workerControl = struct('WorkerControl', [
  /** Commands that were put into the message port; written by the host. */
  field('commandsPosted', 'u32', { align: CACHE_LINE_BYTES }),
  /** Commands that were carried out; written by the worker, and what the host waits on. */
  field('commandsDone', 'u32', { align: CACHE_LINE_BYTES }),
  /** Events that were put into the message port; written by the worker. */
  field('eventsPosted', 'u32', { align: CACHE_LINE_BYTES }),
  /** The host's thread sleeps; written by the host. Here, and not where every peer could clear it. */
  field('hostParked', 'u32', { align: CACHE_LINE_BYTES }),
]);

export const COMMANDS_POSTED = workerControl.word('commandsPosted');
export const COMMANDS_DONE = workerControl.word('commandsDone');
export const EVENTS_POSTED = workerControl.word('eventsPosted');
export const HOST_PARKED = workerControl.word('hostParked');

/** What a worker needs to become the engine of a host. Everything else it opens itself. */
export interface WorkerTask {
  readonly port: MessagePort;
  readonly fabric: string;
  readonly base: string | null;
  readonly publicPath: string;
  readonly privatePath: string;
  readonly pipePath: string;
  /** Event descriptor of the host's thread, signalled when that sleeps and there is news for it. */
  readonly hostSignal: number;
  readonly bounce: { readonly address: number; readonly bytes: number };
  /** Offset of WorkerControl in the private segment. */
  readonly control: number;
  readonly spinNanos: number;
  readonly costs: CostModel | null;
}
