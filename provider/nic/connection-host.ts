// What connection management asks of the engine that it works for: peers, events, and what becomes of a
// queue pair when its connection comes up or ends. Knows no frame. Source: docs/nic.md.

import type { Clock } from '../../runtime/clock.js';
import type { EngineEvent } from './commands.js';
import type { EngineQueuePair } from './engine-queue-pair.js';
import type { WireEndpoint } from './layout.js';
import type { PeerHost } from './peer-host.js';
import type { DisconnectReason } from './verbs.js';

/** What the connection manager asks of its engine. */
export interface ConnectionHost {
  readonly clock: Clock;
  readonly address: number;
  readonly generation: number;
  readonly processId: number;
  /** An address in this process that holds the generation, for peers to try. */
  readonly probeAddress: number;
  /** Whether a provider uses the NIC at all. */
  readonly hasConsumer: boolean;
  /** The living host at `address`, mapped; null when there is none. */
  openPeer(address: number): PeerHost | null;
  /** Writes to the pipe of a host that cannot be mapped; it may be lost. */
  writeUnmapped(address: number, bytes: Uint8Array): void;
  /** Whether this engine can move bytes to and from the peer's process. */
  reaches(peer: PeerHost, probeAddress: number): boolean;
  randomId(): number;
  report(event: EngineEvent): void;
  /** The queue pair's ring and state, as peers are told of them. */
  endpointOf(queuePair: EngineQueuePair): WireEndpoint;
  /** The connection is up: poll the queue pair from now on. */
  activate(queuePair: EngineQueuePair): void;
  /** The connection is over: execute what has arrived, then flush everything. */
  deactivate(queuePair: EngineQueuePair, reason: DisconnectReason): void;
  /** Neither side touches the other's memory any more. */
  released(queuePair: EngineQueuePair): void;
}
