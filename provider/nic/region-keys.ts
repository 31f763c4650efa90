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
type Exposure = Extract<EngineCommand, { type: 'expose-memory' }>;
type Deregistration = Extract<EngineCommand, { type: 'deregister-memory' }>;

const REMOTE_RIGHTS = Access.REMOTE_READ | Access.REMOTE_WRITE;

/** A local key, and a remote one if the region has remote rights. */
export function addKeys(core: EngineCore, qp: EngineQueuePair, region: Registration): void {
  const { slot, address, length, access } = region;
  const local = LOCAL_READ | (access & Access.LOCAL_WRITE);
  core.regions.add(region.localKey, address, length, local, slot);
  qp.keys.add(region.localKey | 0);
  addRemoteKey(core, qp, region);
}

/** The remote one alone. */
export function addRemoteKey(
  core: EngineCore,
  qp: EngineQueuePair,
  region: Registration | Exposure,
): void {
  const { slot, address, length, remoteKey } = region;
  const access = region.access & REMOTE_RIGHTS;
  if (access === 0) return;
  core.regions.add(remoteKey, address, length, access, slot);
  qp.keys.add(remoteKey | 0);
  expose(core, qp, { remoteKey, address, length, access });
}

/** Both keys; nothing happens for one that the queue pair does not have. The peer is out when it returns. */
export function removeKeys(core: EngineCore, qp: EngineQueuePair, region: Deregistration): void {
  if (qp.keys.delete(region.localKey | 0)) core.regions.remove(region.localKey);
  qp.forgetKeys();
  removeRemoteKey(core, qp, region.remoteKey);
}

/** The same for the remote key alone; what was found out about local keys stays good. */
export function removeRemoteKey(core: EngineCore, qp: EngineQueuePair, remoteKey: number): void {
  if (qp.keys.delete(remoteKey | 0)) core.regions.remove(remoteKey);
  if (qp.joint !== null && !qp.joint.revoke(remoteKey)) failAwaiting(core, qp);
  withdraw(core, qp, remoteKey);
}

export function removeAllKeys(regions: RegionTable, qp: EngineQueuePair): void {
  for (const key of qp.keys) regions.remove(key);
  qp.keys.clear();
  qp.forgetKeys();
}
