// The thread of peer-thread.ts: carries out tasks until it is told to end.

import { parentPort, workerData } from 'node:worker_threads';
import { FloorMemory } from './machine.js';
import type { TaskRequest } from './peer-protocol.js';
import { TaskServer } from './peer.js';
import { sanTasks } from './tasks.js';
import { tcpTasks } from './tcp.js';

const { floorsFd } = workerData as { readonly floorsFd: number };
const server = new TaskServer(
  { ...sanTasks, ...tcpTasks },
  FloorMemory.adopt(floorsFd),
  (report) => {
    parentPort?.postMessage(report);
    return Promise.resolve();
  },
);
parentPort?.on('message', (message: TaskRequest | 'end') => {
  if (message === 'end') server.end(new Error('the other thread has ended'));
  else server.take(message);
});
await server.serve();
parentPort?.close();
