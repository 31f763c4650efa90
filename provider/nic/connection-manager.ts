// Connection management between hosts, in the manner of the InfiniBand CM: REQ, REP, RTU, REJ, and
// DREQ, DREP for the end. Frames go through wake pipes; nothing here is on the data path. An endpoint
// that a frame names is checked against the sender's mapped segment before anything uses it.

import type { Nanos } from '../../runtime/clock.js';
import type { Frame } from './cm-frame.js';
import { FrameFlag, FrameType, redirectedTo, redirection, RejectReason } from './cm-frame.js';
import { FrameSender, NO_DATA } from './cm-sender.js';
import type { ConnectionHost } from './connection-host.js';
import type { Connection, Service } from './connection-table.js';
import { ConnectionTable } from './connection-table.js';
import type { EngineQueuePair } from './engine-queue-pair.js';
import {
  CONNECT_TIMEOUT,
  CONTROL_RETRY,
  MAX_PRIVATE_DATA,
  REDIRECTIONS_MAX,
  RELEASE_TIMEOUT,
  REQUESTS_PER_PEER,
} from './limits.js';
import type { PeerHost } from './peer-host.js';
import { serviceKey } from './service.js';
import type { ConnectFailure, DisconnectReason } from './verbs.js';

/** What a REJ means to the requester; every other reason is a refusal. */
const FAILURES = new Map<number, ConnectFailure>([
  [RejectReason.NO_LISTENER, 'no-listener'],
  // A NIC that no provider drives is as good as none: the host may be reached otherwise.
  [RejectReason.NO_CONSUMER, 'unreachable'],
]);
/** What becomes of the requests for a service: somebody listens, they are sent on, or TCP/IP has it. */
type Answer = 'listening' | { readonly redirectedTo: number | null };

/** Why a DREQ ends a connection, if not because its owner is done: for an error, or to go on elsewhere. */
const FAILED = 1;
const MOVING = 2;
const DISCONNECT_REASONS = new Map<number, DisconnectReason>([
  [FAILED, 'error'],
  [MOVING, 'peer-moving'],
]);

export class ConnectionManager {
  readonly #host: ConnectionHost;
  readonly #connections: ConnectionTable;
  readonly #sender: FrameSender;
  readonly #services = new Map<number, Answer>();
  #isOver = false;
  /** Requests that wait for an answer here. */
  readonly #requestsOf = new Map<PeerHost, number>();

  constructor(host: ConnectionHost) {
    this.#host = host;
    this.#connections = new ConnectionTable(() => host.randomId());
    this.#sender = new FrameSender(host);
  }

  /** Whether doTimers may ever have something to do: connections, or frames for a full pipe. */
  get hasTimers(): boolean {
    return this.#connections.size > 0 || this.#sender.isCongested;
  }

  listen(port: number, address: number): void {
    if (this.#isOver) return;
    this.#services.set(serviceKey(address, port), 'listening');
  }

  unlisten(port: number, address: number): void {
    this.#services.delete(serviceKey(address, port));
    for (const connection of this.#waitingFor(port, address)) this.reject(connection.id);
  }

  /** Sends on what waits and what comes; to nobody: whoever asks is told to try another way. */
  redirect(port: number, address: number, to: number | null): void {
    if (this.#isOver) return;
    const answer = { redirectedTo: to };
    this.#services.set(serviceKey(address, port), answer);
    for (const connection of this.#waitingFor(port, address)) {
      this.#sendOn(connection, answer);
      this.#countRequest(connection.peer, -1);
      this.#connections.remove(connection);
    }
  }

  /** The NIC is gone: nothing is up from now on, nor comes up. */
  endAll(): void {
    this.#isOver = true;
    this.#services.clear();
    for (const connection of this.#connections.all()) this.#endOf(connection);
  }

  connect(
    qp: EngineQueuePair,
    address: number,
    port: number,
    localPort: number,
    privateData: Uint8Array,
  ): void {
    const peer = this.#isOver ? null : this.#host.openPeer(address);
    if (peer === null) {
      this.#reportFailure(qp, 'unreachable');
      return;
    }
    const connection = this.#connections.add({
      id: this.#connections.newId(),
      peer,
      phase: 'requesting',
      queuePair: qp,
      remoteId: 0,
      endpoint: null,
      acknowledgesSends: false,
      reachesPeer: false,
      service: { address, port },
      request: { localPort, privateData, redirections: 0 },
      deadline: this.#host.clock.now() + CONNECT_TIMEOUT,
    });
    this.#sender.request(connection);
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
    this.#connections.bind(connection, qp);
    qp.attach(connection.peer, connection.endpoint, connection.acknowledgesSends);
    this.#sender.send(connection, FrameType.REP, { privateData });
    this.#reportEstablished(connection, qp, NO_DATA);
  }

  reject(requestId: number): void {
    const connection = this.#connections.get(requestId);
    if (connection?.phase !== 'requested') return;
    this.#sender.send(connection, FrameType.REJ, { reason: RejectReason.REJECTED });
    this.#countRequest(connection.peer, -1);
    this.#connections.remove(connection);
  }

  /** This side ends the connection of `qp`, or never had one. 'released' follows, maybe later. */
  disconnect(qp: EngineQueuePair, isMoving: boolean): void {
    const connection = this.#connections.of(qp);
    if (connection === undefined) this.#host.released(qp);
    else this.#beginRelease(connection, qp, isMoving ? MOVING : 0);
  }

  /** The connection failed on this side while its owner keeps the queue pair: tell the peer. */
  abort(qp: EngineQueuePair): void {
    const connection = this.#connections.of(qp);
    if (connection?.phase === 'connected')
      this.#sender.send(connection, FrameType.DREQ, { reason: FAILED });
  }

  handle(frame: Frame): void {
    if (frame.targetAddress !== this.#host.address || frame.type === FrameType.WAKE) return;
    if (frame.type === FrameType.REQ) {
      this.#handleRequest(frame);
      return;
    }
    const connection = this.#connections.find(frame, frame.type === FrameType.DREQ);
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
    this.#sender.forget(peer);
    for (const connection of this.#connections.all()) {
      if (connection.peer === peer) this.#lose(connection, 'peer-died', 'unreachable');
    }
  }

  /** The earliest time at which doTimers has something to do. */
  nextDeadline(): Nanos {
    const retry = this.#sender.isCongested ? this.#host.clock.now() + CONTROL_RETRY : Infinity;
    return Math.min(retry, this.#connections.earliest);
  }

  doTimers(now: Nanos): number {
    if (this.#sender.isCongested) this.#sender.retry();
    // Mostly there is none: looking then must not make an array or an iterator.
    if (now < this.#connections.earliest) return 0;
    const expired = this.#connections.expired(now);
    for (const connection of expired) this.#expire(connection);
    return expired.length;
  }

  #handleRequest(frame: Frame): void {
    const peer = this.#host.openPeer(frame.sourceAddress);
    if (peer === null) this.#sender.refuseUnmapped(frame);
    if (peer === null || peer.generation !== frame.generation) return;
    const valid =
      peer.isValidEndpoint(frame.endpoint) && frame.privateData.length <= MAX_PRIVATE_DATA;
    const service = this.#serviceOf(frame);
    const connection = this.#connections.add({
      id: this.#connections.newId(),
      peer,
      phase: 'requested',
      queuePair: null,
      remoteId: frame.sourceComm,
      endpoint: frame.endpoint,
      acknowledgesSends: (frame.flags & FrameFlag.ACKNOWLEDGE_SENDS) !== 0,
      reachesPeer: this.#host.reaches(peer, frame.probeAddress),
      service,
      request: null,
      deadline: Infinity,
    });
    const answer = this.#services.get(serviceKey(service.address, service.port));
    if (valid && typeof answer === 'object') {
      this.#sendOn(connection, answer);
      this.#connections.remove(connection);
      return;
    }
    const reason = valid ? this.#objection(peer, answer) : RejectReason.NO_LISTENER;
    if (reason !== 0) {
      this.#sender.send(connection, FrameType.REJ, { reason });
      this.#connections.remove(connection);
      return;
    }
    this.#countRequest(peer, 1);
    this.#host.report({
      type: 'connect-request',
      port: service.port,
      address: service.address,
      requestId: connection.id,
      remoteAddress: frame.sourceAddress,
      remotePort: frame.sourcePort,
      privateData: frame.privateData,
    });
  }

  /** Why a request is refused without asking anybody; 0 when it is not. */
  #objection(peer: PeerHost, answer: Answer | undefined): number {
    const { NO_LISTENER, NO_CONSUMER, NO_RESOURCES } = RejectReason;
    if (answer === undefined) return this.#host.hasConsumer ? NO_LISTENER : NO_CONSUMER;
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
      this.#sender.send(connection, FrameType.DREQ, { reason: FAILED });
      this.#lose(connection, 'error', 'rejected');
      return;
    }
    connection.phase = 'connected';
    this.#connections.setDeadline(connection, Infinity);
    connection.reachesPeer = this.#host.reaches(connection.peer, frame.probeAddress);
    connection.peer.reachesUs = (frame.flags & FrameFlag.REACHES_YOU) !== 0;
    qp.attach(connection.peer, frame.endpoint, (frame.flags & FrameFlag.ACKNOWLEDGE_SENDS) !== 0);
    this.#sender.send(connection, FrameType.RTU);
    this.#host.activate(qp);
    this.#reportEstablished(connection, qp, frame.privateData);
  }

  #handleReject(connection: Connection, frame: Frame): void {
    if (connection.phase !== 'requesting') return;
    const { REDIRECTED, NO_LISTENER } = RejectReason;
    if (frame.reason === REDIRECTED) {
      this.#askElsewhere(connection, redirectedTo(frame));
      return;
    }
    const reason = FAILURES.get(frame.reason) ?? 'rejected';
    // Whoever was to have the listener has none: the first host may serve the port otherwise.
    const isLost = frame.reason === NO_LISTENER && connection.request?.redirections !== 0;
    this.#lose(connection, 'error', isLost ? 'unreachable' : reason);
  }

  /** The request is another NIC's to answer. A NIC does not connect to itself. */
  #askElsewhere(connection: Connection, address: number | null): void {
    const { request } = connection;
    const mayAsk = request !== null && ++request.redirections <= REDIRECTIONS_MAX;
    const isOther = address !== null && address !== this.#host.address;
    const peer = mayAsk && isOther ? this.#host.openPeer(address) : null;
    if (peer === null) {
      this.#lose(connection, 'error', 'unreachable');
      return;
    }
    connection.peer = peer;
    this.#sender.request(connection);
  }

  #sendOn(connection: Connection, { redirectedTo: to }: Exclude<Answer, string>): void {
    const { REDIRECTED, NO_CONSUMER } = RejectReason;
    const fields =
      to === null ? { reason: NO_CONSUMER } : { reason: REDIRECTED, privateData: redirection(to) };
    this.#sender.send(connection, FrameType.REJ, fields);
  }

  #serviceOf(frame: Frame): Service {
    const address = frame.reason === 0 ? this.#host.address : frame.reason;
    return { address, port: frame.targetPort };
  }

  /** Requests that nobody has answered. */
  #waitingFor(port: number, address: number): Connection[] {
    return this.#connections
      .all()
      .filter(
        ({ phase, service }) =>
          phase === 'requested' && service.port === port && service.address === address,
      );
  }

  #reportEstablished(connection: Connection, qp: EngineQueuePair, privateData: Uint8Array): void {
    const { slot: queuePair } = qp;
    const remoteAddress = connection.peer.address;
    this.#host.report({ type: 'established', queuePair, remoteAddress, privateData });
  }

  #handleDisconnect(connection: Connection, frame: Frame): void {
    // First execute what the peer had sent before; then promise to touch its memory no more.
    const reason = DISCONNECT_REASONS.get(frame.reason) ?? 'peer-disconnected';
    this.#lose(connection, reason, 'rejected');
    this.#sender.send(connection, FrameType.DREP);
  }

  /** A frame about a connection that is gone on this side: its sender must let go as well. */
  #handleStray(frame: Frame): void {
    if (frame.type !== FrameType.REP && frame.type !== FrameType.DREQ) return;
    const peer = this.#host.openPeer(frame.sourceAddress);
    if (peer === null || peer.generation !== frame.generation) return;
    const type = frame.type === FrameType.REP ? FrameType.DREQ : FrameType.DREP;
    this.#sender.answer(peer, frame, type);
  }

  /** Ends a connection in whatever phase it is, without a word to the peer. */
  #lose(connection: Connection, reason: DisconnectReason, failure: ConnectFailure): void {
    const qp = connection.queuePair;
    const phase = connection.phase;
    this.#connections.remove(connection);
    if (phase === 'requested') {
      const { id, peer, service } = connection;
      this.#countRequest(peer, -1);
      this.#host.report({ type: 'request-withdrawn', port: service.port, requestId: id });
    } else if (qp !== null && phase === 'requesting') {
      this.#reportFailure(qp, failure);
    } else if (qp !== null) {
      if (phase === 'connected' || phase === 'accepted') this.#host.deactivate(qp, reason);
      this.#host.released(qp);
    }
  }

  /** Ends a connection in whatever phase it is, because this NIC is gone. */
  #endOf(connection: Connection): void {
    const { phase, queuePair: qp, id, peer, service } = connection;
    if (phase === 'requested') {
      this.#sender.send(connection, FrameType.REJ, { reason: RejectReason.NO_CONSUMER });
      this.#countRequest(peer, -1);
      this.#connections.remove(connection);
      this.#host.report({ type: 'request-withdrawn', port: service.port, requestId: id });
    } else if (phase === 'requesting' && qp !== null) {
      this.#giveUp(connection, qp, 'unreachable');
    } else if (phase !== 'disconnecting' && qp !== null) {
      this.#sender.send(connection, FrameType.DREQ, { reason: FAILED });
      // An RTU on its way brings nothing up any more.
      connection.phase = 'connected';
      this.#host.deactivate(qp, 'device-removed');
    }
  }

  /** The listener may still answer, and then write into our ring: it has to let go first. */
  #giveUp(connection: Connection, qp: EngineQueuePair, reason: ConnectFailure): void {
    this.#reportFailure(qp, reason);
    this.#beginRelease(connection, qp);
  }

  /** Only requests and releases have deadlines. */
  #expire(connection: Connection): void {
    const qp = connection.queuePair;
    if (connection.phase === 'requesting' && qp !== null) {
      this.#giveUp(connection, qp, 'timeout');
    } else this.#finish(connection);
  }

  /** The peer knows our ring from the request on, answered or not; it is asked to forget it. */
  #beginRelease(connection: Connection, qp: EngineQueuePair, reason = 0): void {
    connection.phase = 'disconnecting';
    this.#connections.setDeadline(connection, this.#host.clock.now() + RELEASE_TIMEOUT);
    qp.peerReleased = false;
    this.#sender.send(connection, FrameType.DREQ, { reason });
  }

  #finish(connection: Connection): void {
    this.#connections.remove(connection);
    if (connection.queuePair !== null) this.#host.released(connection.queuePair);
  }

  #reportFailure(qp: EngineQueuePair, reason: ConnectFailure): void {
    this.#host.report({ type: 'connect-failed', queuePair: qp.slot, reason });
  }
}
