// The connections of one NIC, from the request to the release: by the id that frames name, by queue
// pair, and those with a deadline. Sends nothing and reports nothing. Source: docs/nic.md.

import type { Nanos } from '../../runtime/clock.js';
import type { Frame } from './cm-frame.js';
import type { EngineQueuePair } from './engine-queue-pair.js';
import type { WireEndpoint } from './layout.js';
import type { PeerHost } from './peer-host.js';

export type Phase =
  /** REQ sent. */
  | 'requesting'
  /** REQ received, the listener has not answered. */
  | 'requested'
  /** REP sent, RTU not received: whether the request came from where it says is not known yet. */
  | 'accepted'
  | 'connected'
  /** DREQ sent, waiting for the peer to let go. */
  | 'disconnecting';

export interface Service {
  readonly address: number;
  readonly port: number;
}

interface RepeatedRequest {
  readonly localPort: number;
  readonly privateData: Uint8Array;
  redirections: number;
}

export interface Connection {
  readonly id: number;
  /** Another one when the request is redirected. */
  peer: PeerHost;
  phase: Phase;
  queuePair: EngineQueuePair | null;
  remoteId: number;
  /** The remote endpoint and wish of a request that waits for its answer. */
  endpoint: WireEndpoint | null;
  acknowledgesSends: boolean;
  reachesPeer: boolean;
  /** What was asked for, here or there. */
  readonly service: Service;
  /** What a redirected request says again; null for the accepting side. */
  readonly request: RepeatedRequest | null;
  deadline: Nanos;
}

export class ConnectionTable {
  readonly #randomId: () => number;
  readonly #byId = new Map<number, Connection>();
  readonly #byQueuePair = new Map<EngineQueuePair, Connection>();
  #earliest: Nanos = Infinity;
  /** Those with a deadline: few, however many connections there are. */
  readonly #timed = new Set<Connection>();

  constructor(randomId: () => number) {
    this.#randomId = randomId;
  }

  get size(): number {
    return this.#byId.size;
  }

  /** The earliest deadline of all. */
  get earliest(): Nanos {
    return this.#earliest;
  }

  /** As they are now: the loop over them may take some out. */
  all(): Connection[] {
    return [...this.#byId.values()];
  }

  get(id: number): Connection | undefined {
    return this.#byId.get(id);
  }

  of(qp: EngineQueuePair): Connection | undefined {
    return this.#byQueuePair.get(qp);
  }

  add(connection: Connection): Connection {
    this.#byId.set(connection.id, connection);
    this.setDeadline(connection, connection.deadline);
    if (connection.queuePair !== null) this.#byQueuePair.set(connection.queuePair, connection);
    return connection;
  }

  remove(connection: Connection): void {
    this.#byId.delete(connection.id);
    if (connection.deadline !== Infinity) this.setDeadline(connection, Infinity);
    if (connection.queuePair !== null) this.#byQueuePair.delete(connection.queuePair);
  }

  /** The queue pair that a request got with its answer. */
  bind(connection: Connection, qp: EngineQueuePair): void {
    connection.queuePair = qp;
    this.#byQueuePair.set(qp, connection);
  }

  newId(): number {
    for (;;) {
      const id = this.#randomId();
      if (id !== 0 && !this.#byId.has(id)) return id;
    }
  }

  setDeadline(connection: Connection, deadline: Nanos): void {
    connection.deadline = deadline;
    if (deadline === Infinity) this.#timed.delete(connection);
    else this.#timed.add(connection);
    this.#earliest = Infinity;
    for (const { deadline: other } of this.#timed)
      if (other < this.#earliest) this.#earliest = other;
  }

  /** Those whose deadline is not after `now`; to be asked when `earliest` is not either. */
  expired(now: Nanos): Connection[] {
    return [...this.#timed].filter((connection) => connection.deadline <= now);
  }

  /** The connection a frame speaks of. A request given up before its answer names no target. */
  find(frame: Frame, isEnd: boolean): Connection | undefined {
    const named = this.#byId.get(frame.targetComm);
    if (named !== undefined) return isFrom(named, frame) ? named : undefined;
    if (frame.targetComm !== 0 || !isEnd) return undefined;
    for (const connection of this.#byId.values()) {
      if (connection.remoteId === frame.sourceComm && isFrom(connection, frame)) return connection;
    }
    return undefined;
  }
}

/** Whether a frame comes from the host that the connection is with, in its present life. */
function isFrom(connection: Connection, frame: Frame): boolean {
  const { peer } = connection;
  return peer.address === frame.sourceAddress && peer.generation === frame.generation;
}
