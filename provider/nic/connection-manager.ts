// Connection management between hosts, in the manner of the InfiniBand CM: REQ, REP, RTU, REJ, and
// DREQ, DREP for the end. Frames go through wake pipes; nothing here is on the data path. An endpoint
// that a frame names is checked against the sender's mapped segment before anything uses it.

import type { Clock, Nanos } from '../../runtime/clock.js';
import type { Frame } from './cm-frame.js';
import { FrameFlag, FrameType, RejectReason } from './cm-frame.js';
import type { EngineEvent } from './commands.js';
import type { EngineQueuePair } from './engine-queue-pair.js';
import type { WireEndpoint } from './layout.js';
import {
  CONNECT_TIMEOUT,
  CONTROL_RETRY,
  MAX_PRIVATE_DATA,
  RELEASE_TIMEOUT,
  REQUESTS_PER_PEER,
} from './limits.js';
import type { PeerHost } from './peer-host.js';
import type { ConnectFailure, DisconnectReason } from './verbs.js';

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

type Phase =
  /** REQ sent. */
  | 'requesting'
  /** REQ received, the listener has not answered. */
  | 'requested'
  /** REP sent, RTU not received: whether the request came from where it says is not known yet. */
  | 'accepted'
  | 'connected'
  /** DREQ sent, waiting for the peer to let go. */
  | 'disconnecting';

interface Connection {
  readonly id: number;
  readonly peer: PeerHost;
  phase: Phase;
  queuePair: EngineQueuePair | null;
  remoteId: number;
  /** The remote endpoint and wish of a request that waits for its answer. */
  endpoint: WireEndpoint | null;
  acknowledgesSends: boolean;
  reachesPeer: boolean;
  port: number;
  deadline: Nanos;
}

const NO_ENDPOINT: WireEndpoint = { queuePair: 0, slot: 0, ring: 0, state: 0, sequence: 0 };
/** What a REJ means to the requester; every other reason is a refusal. */
const FAILURES = new Map<number, ConnectFailure>([
  [RejectReason.NO_LISTENER, 'no-listener'],
  // A NIC that no provider drives is as good as none: the host may be reached otherwise.
  [RejectReason.NO_CONSUMER, 'unreachable'],
]);
const NO_DATA = new Uint8Array(0);
/** Why a DREQ ends a connection, if not because its owner is done: for an error, or to go on elsewhere. */
const FAILED = 1;
const MOVING = 2;
const DISCONNECT_REASONS = new Map<number, DisconnectReason>([
  [FAILED, 'error'],
  [MOVING, 'peer-moving'],
]);

export class ConnectionManager {
  readonly #host: ConnectionHost;
  readonly #connections = new Map<number, Connection>();
  readonly #byQueuePair = new Map<EngineQueuePair, Connection>();
  readonly #listeners = new Set<number>();
  readonly #congested = new Set<PeerHost>();
  #earliest: Nanos = Infinity;
  /** Those with a deadline: few, however many connections there are. */
  readonly #timed = new Set<Connection>();
  /** Requests that wait for an answer here. */
  readonly #requestsOf = new Map<PeerHost, number>();

  constructor(host: ConnectionHost) {
    this.#host = host;
  }

  /** Whether doTimers may ever have something to do: connections, or frames for a full pipe. */
  get hasTimers(): boolean {
    return this.#connections.size > 0 || this.#congested.size > 0;
  }

  listen(port: number): void {
    this.#listeners.add(port);
  }

  unlisten(port: number): void {
    this.#listeners.delete(port);
    for (const connection of [...this.#connections.values()]) {
      if (connection.phase === 'requested' && connection.port === port) this.reject(connection.id);
    }
  }

  connect(
    qp: EngineQueuePair,
    address: number,
    port: number,
    localPort: number,
    privateData: Uint8Array,
  ): void {
    const peer = this.#host.openPeer(address);
    if (peer === null) {
      this.#reportFailure(qp, 'unreachable');
      return;
    }
    const connection = this.#add({
      id: this.#newId(),
      peer,
      phase: 'requesting',
      queuePair: qp,
      remoteId: 0,
      endpoint: null,
      acknowledgesSends: false,
      reachesPeer: false,
      port,
      deadline: this.#host.clock.now() + CONNECT_TIMEOUT,
    });
    this.#send(connection, FrameType.REQ, { port, localPort, privateData });
  }

  accept(qp: EngineQueuePair, requestId: number, privateData: Uint8Array): void {
    const connection = this.#connections.get(requestId);
    if (connection?.phase !== 'requested' || connection.endpoint === null) {
      // The requester has gone since; the owner of the new queue pair learns of it as of any loss.
      this.#host.deactivate(qp, 'peer-disconnected');
      return;
    }
    this.#countRequest(connection.peer, -1);
    connection.phase = 'accepted';
    connection.queuePair = qp;
    this.#byQueuePair.set(qp, connection);
    qp.attach(connection.peer, connection.endpoint, connection.acknowledgesSends);
    this.#send(connection, FrameType.REP, { privateData });
    this.#host.report({ type: 'established', queuePair: qp.slot, privateData: NO_DATA });
  }

  reject(requestId: number): void {
    const connection = this.#connections.get(requestId);
    if (connection?.phase !== 'requested') return;
    this.#send(connection, FrameType.REJ, { reason: RejectReason.REJECTED });
    this.#countRequest(connection.peer, -1);
    this.#remove(connection);
  }

  /** This side ends the connection of `qp`, or never had one. 'released' follows, maybe later. */
  disconnect(qp: EngineQueuePair, isMoving: boolean): void {
    const connection = this.#byQueuePair.get(qp);
    if (connection === undefined) this.#host.released(qp);
    else this.#beginRelease(connection, qp, isMoving ? MOVING : 0);
  }

  /** The connection failed on this side while its owner keeps the queue pair: tell the peer. */
  abort(qp: EngineQueuePair): void {
    const connection = this.#byQueuePair.get(qp);
    if (connection?.phase === 'connected')
      this.#send(connection, FrameType.DREQ, { reason: FAILED });
  }

  handle(frame: Frame): void {
    if (frame.targetAddress !== this.#host.address || frame.type === FrameType.WAKE) return;
    if (frame.type === FrameType.REQ) {
      this.#handleRequest(frame);
      return;
    }
    const connection = this.#find(frame);
    if (connection === undefined) {
      this.#handleStray(frame);
      return;
    }
    switch (frame.type) {
      case FrameType.REP:
        this.#handleReply(connection, frame);
        break;
      case FrameType.RTU:
        this.#handleReady(connection, frame);
        break;
      case FrameType.REJ:
        this.#handleReject(connection, frame);
        break;
      case FrameType.DREQ:
        this.#handleDisconnect(connection, frame);
        break;
      case FrameType.DREP:
        if (connection.phase === 'disconnecting') this.#finish(connection);
        break;
    }
  }

  /** Every connection with a host that died is over. */
  handlePeerDeath(peer: PeerHost): void {
    this.#congested.delete(peer);
    for (const connection of [...this.#connections.values()]) {
      if (connection.peer === peer) this.#lose(connection, 'peer-died', 'unreachable');
    }
  }

  /** The earliest time at which doTimers has something to do. */
  nextDeadline(): Nanos {
    const retry = this.#congested.size > 0 ? this.#host.clock.now() + CONTROL_RETRY : Infinity;
    return Math.min(retry, this.#earliest);
  }

  doTimers(now: Nanos): number {
    for (const peer of this.#congested) {
      peer.retry();
      if (!peer.isCongested) this.#congested.delete(peer);
    }
    if (now < this.#earliest) return 0;
    let expired = 0;
    for (const connection of [...this.#timed]) {
      if (connection.deadline > now) continue;
      expired++;
      this.#expire(connection);
    }
    return expired;
  }

  #setDeadline(connection: Connection, deadline: Nanos): void {
    connection.deadline = deadline;
    if (deadline === Infinity) this.#timed.delete(connection);
    else this.#timed.add(connection);
    this.#earliest = Infinity;
    for (const { deadline: other } of this.#timed)
      if (other < this.#earliest) this.#earliest = other;
  }

  #handleRequest(frame: Frame): void {
    const peer = this.#host.openPeer(frame.sourceAddress);
    if (peer === null || peer.generation !== frame.generation) return;
    const valid =
      peer.isValidEndpoint(frame.endpoint) && frame.privateData.length <= MAX_PRIVATE_DATA;
    const connection = this.#add({
      id: this.#newId(),
      peer,
      phase: 'requested',
      queuePair: null,
      remoteId: frame.sourceComm,
      endpoint: frame.endpoint,
      acknowledgesSends: (frame.flags & FrameFlag.ACKNOWLEDGE_SENDS) !== 0,
      reachesPeer: this.#host.reaches(peer, frame.probeAddress),
      port: frame.targetPort,
      deadline: Infinity,
    });
    const reason = valid ? this.#objection(peer, frame.targetPort) : RejectReason.NO_LISTENER;
    if (reason !== 0) {
      this.#send(connection, FrameType.REJ, { reason });
      this.#remove(connection);
      return;
    }
    this.#countRequest(peer, 1);
    this.#host.report({
      type: 'connect-request',
      port: frame.targetPort,
      requestId: connection.id,
      remoteAddress: frame.sourceAddress,
      remotePort: frame.sourcePort,
      privateData: frame.privateData,
    });
  }

  /** Why a request is refused without asking anybody; 0 when it is not. */
  #objection(peer: PeerHost, port: number): number {
    const { NO_LISTENER, NO_CONSUMER, NO_RESOURCES } = RejectReason;
    if (!this.#listeners.has(port)) return this.#host.hasConsumer ? NO_LISTENER : NO_CONSUMER;
    // A peer has no more queue pairs to connect: whoever asks on only wants to use up memory.
    const waiting = this.#requestsOf.get(peer) ?? 0;
    return waiting < REQUESTS_PER_PEER ? 0 : NO_RESOURCES;
  }

  #countRequest(peer: PeerHost, change: 1 | -1): void {
    const count = (this.#requestsOf.get(peer) ?? 0) + change;
    if (count === 0) this.#requestsOf.delete(peer);
    else this.#requestsOf.set(peer, count);
  }

  /**
   * The requester exists: only who was sent the REP knows its ids. Until here nothing was written into
   * the memory that the request named, because anybody can write a REQ in somebody's name.
   */
  #handleReady(connection: Connection, frame: Frame): void {
    if (connection.phase !== 'accepted' || connection.queuePair === null) return;
    connection.phase = 'connected';
    connection.peer.reachesUs = (frame.flags & FrameFlag.REACHES_YOU) !== 0;
    this.#host.activate(connection.queuePair);
  }

  #handleReply(connection: Connection, frame: Frame): void {
    const qp = connection.queuePair;
    if (connection.phase !== 'requesting' || qp === null) return;
    connection.remoteId = frame.sourceComm;
    if (!connection.peer.isValidEndpoint(frame.endpoint)) {
      this.#send(connection, FrameType.DREQ, { reason: FAILED });
      this.#lose(connection, 'error', 'rejected');
      return;
    }
    connection.phase = 'connected';
    this.#setDeadline(connection, Infinity);
    connection.reachesPeer = this.#host.reaches(connection.peer, frame.probeAddress);
    connection.peer.reachesUs = (frame.flags & FrameFlag.REACHES_YOU) !== 0;
    qp.attach(connection.peer, frame.endpoint, (frame.flags & FrameFlag.ACKNOWLEDGE_SENDS) !== 0);
    this.#send(connection, FrameType.RTU, {});
    this.#host.activate(qp);
    this.#host.report({ type: 'established', queuePair: qp.slot, privateData: frame.privateData });
  }

  #handleReject(connection: Connection, frame: Frame): void {
    if (connection.phase !== 'requesting') return;
    const reason = FAILURES.get(frame.reason) ?? 'rejected';
    this.#lose(connection, 'error', reason);
  }

  #handleDisconnect(connection: Connection, frame: Frame): void {
    // First execute what the peer had sent before; then promise to touch its memory no more.
    const reason = DISCONNECT_REASONS.get(frame.reason) ?? 'peer-disconnected';
    this.#lose(connection, reason, 'rejected');
    this.#send(connection, FrameType.DREP, {});
  }

  /** A frame about a connection that is gone on this side: its sender must let go as well. */
  #handleStray(frame: Frame): void {
    if (frame.type !== FrameType.REP && frame.type !== FrameType.DREQ) return;
    const peer = this.#host.openPeer(frame.sourceAddress);
    if (peer === null || peer.generation !== frame.generation) return;
    const type = frame.type === FrameType.REP ? FrameType.DREQ : FrameType.DREP;
    this.#sendTo(peer, this.#frame(type, frame.targetComm, frame.sourceComm, peer));
  }

  /** The connection a frame speaks of. A request given up before its answer names no target. */
  #find(frame: Frame): Connection | undefined {
    const named = this.#connections.get(frame.targetComm);
    if (named !== undefined) return isFrom(named, frame) ? named : undefined;
    if (frame.targetComm !== 0 || frame.type !== FrameType.DREQ) return undefined;
    for (const connection of this.#connections.values()) {
      if (connection.remoteId === frame.sourceComm && isFrom(connection, frame)) return connection;
    }
    return undefined;
  }

  /** Ends a connection in whatever phase it is, without a word to the peer. */
  #lose(connection: Connection, reason: DisconnectReason, failure: ConnectFailure): void {
    const qp = connection.queuePair;
    const phase = connection.phase;
    this.#remove(connection);
    if (phase === 'requested') {
      const { id, port, peer } = connection;
      this.#countRequest(peer, -1);
      this.#host.report({ type: 'request-withdrawn', port, requestId: id });
    } else if (qp !== null && phase === 'requesting') {
      this.#reportFailure(qp, failure);
    } else if (qp !== null) {
      if (phase === 'connected' || phase === 'accepted') this.#host.deactivate(qp, reason);
      this.#host.released(qp);
    }
  }

  /** Only requests and releases have deadlines. */
  #expire(connection: Connection): void {
    const qp = connection.queuePair;
    if (connection.phase === 'requesting' && qp !== null) {
      this.#reportFailure(qp, 'timeout');
      // The listener may still answer, and then write into our ring: it has to let go first.
      this.#beginRelease(connection, qp);
    } else this.#finish(connection);
  }

  /** The peer knows our ring from the request on, answered or not; it is asked to forget it. */
  #beginRelease(connection: Connection, qp: EngineQueuePair, reason = 0): void {
    connection.phase = 'disconnecting';
    this.#setDeadline(connection, this.#host.clock.now() + RELEASE_TIMEOUT);
    qp.peerReleased = false;
    this.#send(connection, FrameType.DREQ, { reason });
  }

  #finish(connection: Connection): void {
    this.#remove(connection);
    if (connection.queuePair !== null) this.#host.released(connection.queuePair);
  }

  #reportFailure(qp: EngineQueuePair, reason: ConnectFailure): void {
    this.#host.report({ type: 'connect-failed', queuePair: qp.slot, reason });
  }

  #add(connection: Connection): Connection {
    this.#connections.set(connection.id, connection);
    this.#setDeadline(connection, connection.deadline);
    if (connection.queuePair !== null) this.#byQueuePair.set(connection.queuePair, connection);
    return connection;
  }

  #remove(connection: Connection): void {
    this.#connections.delete(connection.id);
    if (connection.deadline !== Infinity) this.#setDeadline(connection, Infinity);
    if (connection.queuePair !== null) this.#byQueuePair.delete(connection.queuePair);
  }

  #newId(): number {
    for (;;) {
      const id = this.#host.randomId();
      if (id !== 0 && !this.#connections.has(id)) return id;
    }
  }

  #send(
    connection: Connection,
    type: FrameType,
    fields: { port?: number; localPort?: number; privateData?: Uint8Array; reason?: number },
  ): void {
    const frame = this.#frame(type, connection.id, connection.remoteId, connection.peer);
    frame.targetPort = fields.port ?? 0;
    frame.sourcePort = fields.localPort ?? 0;
    frame.reason = fields.reason ?? 0;
    frame.privateData = fields.privateData ?? NO_DATA;
    if (connection.reachesPeer) frame.flags |= FrameFlag.REACHES_YOU;
    const qp = connection.queuePair;
    if (qp !== null) frame.endpoint = this.#host.endpointOf(qp);
    if (qp?.limitsRetries === true) frame.flags |= FrameFlag.ACKNOWLEDGE_SENDS;
    this.#sendTo(connection.peer, frame);
  }

  #sendTo(peer: PeerHost, frame: Frame): void {
    peer.send(frame);
    if (peer.isCongested) this.#congested.add(peer);
  }

  #frame(type: FrameType, sourceComm: number, targetComm: number, peer: PeerHost): Frame {
    return {
      type,
      sourceAddress: this.#host.address,
      targetAddress: peer.address,
      sourcePort: 0,
      targetPort: 0,
      sourceComm,
      targetComm,
      reason: 0,
      generation: this.#host.generation,
      processId: this.#host.processId,
      endpoint: NO_ENDPOINT,
      probeAddress: this.#host.probeAddress,
      flags: 0,
      privateData: NO_DATA,
    };
  }
}

/** Whether a frame comes from the host that the connection is with, in its present life. */
function isFrom(connection: Connection, frame: Frame): boolean {
  const { peer } = connection;
  return peer.address === frame.sourceAddress && peer.generation === frame.generation;
}
