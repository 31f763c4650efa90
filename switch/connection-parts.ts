// What a connection is put together from: the session that the provider's limits allow, and the calls at
// the provider. Sources: XFER-01 to XFER-05, OVL-05, WSPSEND-08.

import type { Companion } from './companion.js';
import { type CallEnds, ConnectionCalls } from './connection-calls.js';
import type { ConnectionMemory } from './connection-memory.js';
import type { SwitchCore } from './core.js';
import { Receiving, type ReceivingShell } from './receiving.js';
import { Session, type SessionOptions } from './session/session.js';

export function createSession(
  { provider, limits }: Companion,
  role: 'connector' | 'acceptor',
  memory: ConnectionMemory,
  lenders: Pick<SessionOptions, 'lendStaging' | 'lendSends' | 'lendReceives'>,
): Session {
  return new Session({
    role,
    limits,
    rdmaRead: provider.extensions.WSPRdmaRead !== null,
    suspends: provider.handsOver,
    sendBuffers: memory.sendBuffers,
    sendWords: memory.sendWords,
    receiveBuffers: memory.receiveBuffers,
    receiveWords: memory.receiveWords,
    lendStaging: lenders.lendStaging,
    lendSends: lenders.lendSends,
    lendReceives: lenders.lendReceives,
  });
}

export function createReceiving(
  core: SwitchCore,
  { provider, limits, descriptor, event }: Companion,
  memory: ConnectionMemory,
  session: Session,
  shell: ReceivingShell,
): Receiving {
  return new Receiving({
    procs: provider.procs,
    descriptor,
    session,
    requests: core.requests,
    buffers: memory.receiveBuffers,
    firstCount: limits.firstReceiveCount,
    messageBytes: limits.messageBytes,
    event: core.profile.transferEvent === 'event' ? event : 0,
    shell,
  });
}

export function createCalls(
  core: SwitchCore,
  { provider, limits, descriptor, event, queueDepth }: Companion,
  memory: ConnectionMemory,
  slotCount: number,
  receiving: Receiving,
  ends: CallEnds,
): ConnectionCalls {
  return new ConnectionCalls({
    procs: provider.procs,
    extensions: provider.extensions,
    descriptor,
    memory,
    limits,
    slotCount,
    cache: core.registrations,
    probesDescriptorLength: core.profile.probesDescriptorLength,
    queueDepth,
    taggedEvent: event | 1,
    receiving,
    ends,
  });
}
