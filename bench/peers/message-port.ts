// The peer inside one process: a worker thread at the other end of a MessagePort, messages copied by
// structured cloning as Node does it.

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { entryPoint } from '../../runtime/entry-point.js';
import { now } from '../machine.js';
import type { Reading } from '../measure.js';
import { median } from '../measure.js';
import type { PortMessage } from './port-worker.js';

const BATCH = 50;
/** Messages posted before the thread has to answer for them. */
const WINDOW = 32;

async function withThread<T>(act: (thread: Worker) => Promise<T>): Promise<T> {
  const thread = new Worker(entryPoint(import.meta.url, './port-worker.js'));
  try {
    return await act(thread);
  } finally {
    await thread.terminate();
  }
}

/** Half the median round trip over batches, in nanoseconds. */
export function measurePortLatency(bytes: number, rounds: number): Promise<Reading> {
  return withThread(async (thread) => {
    const payload = new Uint8Array(bytes);
    const trips: number[] = [];
    for (let round = 0; round < Math.max(rounds, 2 * BATCH); ) {
      const begin = now();
      for (let at = 0; at < BATCH; at++, round++) {
        thread.postMessage({ kind: 'echo', payload } satisfies PortMessage);
        await once(thread, 'message');
      }
      trips.push((now() - begin) / BATCH);
    }
    return { value: median(trips.slice(1)) / 2 };
  });
}

/** Bytes per nanosecond until the thread has counted all of them. */
export function measurePortStream(bytes: number, count: number): Promise<Reading> {
  return withThread(async (thread) => {
    const payload = new Uint8Array(bytes);
    const begin = now();
    let counted = 0;
    for (let sent = 0; sent < count; ) {
      for (let at = 0; at < WINDOW && sent < count; at++, sent++) {
        thread.postMessage({ kind: 'take', payload } satisfies PortMessage);
      }
      thread.postMessage({ kind: 'count' } satisfies PortMessage);
      const [taken] = (await once(thread, 'message')) as [number];
      counted += taken;
    }
    if (counted !== bytes * count) throw new Error(`the thread has counted ${counted} bytes`);
    return { value: counted / (now() - begin) };
  });
}
