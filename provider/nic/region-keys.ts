// The keys of a queue pair's memory regions, in the engine's table and with the queue pair, and in the
// list that the peer sees: they come with a registration and go with it, or with the queue pair. Decides
// nothing about what a key opens: regions.ts. Source: docs/nic.md, "Trust".

import type { EngineCommand } from './commands.js';
import type { EngineCore } from './engine-core.js';
import type { EngineQueuePair } from './engine-queue-pair.js';
import { expose, failAwaiting, withdraw } from './exposed-regions.js';
import type { RegionTable } from './regions.js';
import { LOCAL_READ } from './requester.js';
import { Access } from './verbs.js';

type Registration = Extract<EngineCommand, { type: 'register-memory' }>;
type Deregistration = Extract<EngineCommand, { type: 'deregister-memory' }>;

/** A local key, and a remote one if the region has remote rights. */
export function addKeys(core: EngineCore, qp: EngineQueuePair, region: Registration): void {
  const { regions } = core;
  const { slot, address, length, access } = region;
  const local = LOCAL_READ | (access & Access.LOCAL_WRITE);
  regions.add(region.localKey, address, length, local, slot);
  qp.keys.add(region.localKey);
  const remote = access & (Access.REMOTE_READ | Access.REMOTE_WRITE);
  if (remote === 0) return;
  regions.add(region.remoteKey, address, length, remote, slot);
  qp.keys.add(region.remoteKey);
  expose(core, qp, { remoteKey: region.remoteKey, address, length, access: remote });
}

/** Both keys; nothing happens for one that the queue pair does not have. The peer is out when it returns. */
export function removeKeys(core: EngineCore, qp: EngineQueuePair, region: Deregistration): void {
  for (const key of [region.localKey, region.remoteKey]) {
    if (qp.keys.delete(key)) core.regions.remove(key);
  }
  qp.forgetKeys();
  if (qp.joint !== null && !qp.joint.revoke(region.remoteKey)) failAwaiting(core, qp);
  withdraw(core, qp, region.remoteKey);
}

export function removeAllKeys(regions: RegionTable, qp: EngineQueuePair): void {
  for (const key of qp.keys) regions.remove(key);
  qp.keys.clear();
  qp.forgetKeys();
}
