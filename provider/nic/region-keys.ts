// The keys of a queue pair's memory regions, in the engine's table and with the queue pair: they come
// with a registration and go with it, or with the queue pair. Decides nothing about what a key opens:
// regions.ts. Source: docs/nic.md, "Trust".

import type { EngineCommand } from './commands.js';
import type { EngineQueuePair } from './engine-queue-pair.js';
import type { RegionTable } from './regions.js';
import { LOCAL_READ } from './requester.js';
import { Access } from './verbs.js';

type Registration = Extract<EngineCommand, { type: 'register-memory' }>;

/** A local key, and a remote one if the region has remote rights. */
export function addKeys(regions: RegionTable, qp: EngineQueuePair, region: Registration): void {
  const { slot, address, length, access } = region;
  const local = LOCAL_READ | (access & Access.LOCAL_WRITE);
  regions.add(region.localKey, address, length, local, slot);
  qp.keys.add(region.localKey);
  const remote = access & (Access.REMOTE_READ | Access.REMOTE_WRITE);
  if (remote === 0) return;
  regions.add(region.remoteKey, address, length, remote, slot);
  qp.keys.add(region.remoteKey);
}

/** Nothing happens for a key that the queue pair does not have. */
export function removeKey(regions: RegionTable, qp: EngineQueuePair, key: number): void {
  if (!qp.keys.delete(key)) return;
  regions.remove(key);
  qp.forgetKeys();
}

export function removeAllKeys(regions: RegionTable, qp: EngineQueuePair): void {
  for (const key of qp.keys) regions.remove(key);
  qp.keys.clear();
  qp.forgetKeys();
}
