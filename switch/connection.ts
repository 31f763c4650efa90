// One established SAN connection: the shell around a session. Feeds it what calls end with, carries
// out its actions, hands finished requests back, and closes when it says so, after the application
// has forgotten the socket if need be. Sources: XFER-01 to XFER-05, CONN-05, SHUT-01, COMP-12.

import * as wsa from '../provider/spi/error-codes.js';
import { MSG_OOB, type WSAOVERLAPPED } from '../provider/spi/winsock2.js';
import { assert } from '../runtime/assert.js';
import type { Nanos } from '../runtime/clock.js';
import type { AppRequest } from './app-request.js';
import type { CallEnds, ConnectionCalls } from './connection-calls.js';
import type { ConnectionMemory } from './connection-memory.js';
import { createCalls, createReceiving, createSession } from './connection-parts.js';
import { type ConnectionWatcher, NOBODY } from './connection-watcher.js';
import type { SwitchCore } from './core.js';
import type { CompletionSink } from './handle-table.js';
import type { Companion } from './companion.js';
import { Departure, type DepartingShell } from './departure.js';
import type { ShortWay } from './session/short-way.js';
import { HEADER_BYTES, type Session } from './session/session.js';
import { SessionAction, ActionKind, ResultFlag } from './session/session.js';
import { lossError, type Receiving, type ReceivingShell } from './receiving.js';
import type { SessionState } from './session/state.js';

export class Connection implements CompletionSink, CallEnds, ReceivingShell, DepartingShell {
  readonly session: Session;
  private readonly shortWay: ShortWay;
  readonly companion: Companion;
  watcher: ConnectionWatcher = NOBODY;
  /** In core.ready. */
  isQueued = false;
  /** In core.polled. */
  isPolled = false;
  hasUrgent = false;
  /** Released by its owner: nobody is left to tell. */
  isOrphan = false;
  /** Bytes kept for nonblocking senders since the suspension under way began. [DUP-10] */
  bytesHeld = 0;
  /** Sends of the application that the session has not handed back. */
  sendsPending = 0;
  private heldLoss = 0;
  private readonly core: SwitchCore;
  private readonly calls: ConnectionCalls;
  private readonly action = new SessionAction();
  private readonly receiving: Receiving;
  readonly departure: Departure;
  /** Deadlines are near: time is read for every event, not once in a while. */
  private exact = true;
  /** And will be until the connection is gone: its end is in sight. */
  private ending = false;
  private draining = false;
  /** A suspension is under way: its calls are polled for. */
  private suspending = false;
  /** Told when both sides are quiet, by whoever has asked for it; takes note only. [DUP-09] */
  onQuiet: (() => void) | null = null;
  private isGone = false;

  constructor(
    core: SwitchCore,
    companion: Companion,
    readonly role: 'connector' | 'acceptor',
    memory: ConnectionMemory,
  ) {
    this.core = core;
    this.companion = companion;
    this.session = createSession(companion, role, memory, {
      lendStaging: () => this.calls.registrations.lendStaging(),
      lendSends: () => this.calls.lendSends(),
      lendReceives: () => this.calls.registrations.lendReceives(),
    });
    this.shortWay = this.session.shortWay;
    const { session } = this;
    this.receiving = createReceiving(core, companion, memory, session, this);
    const receiving = this.receiving;
    this.calls = createCalls(core, companion, memory, session.slotCount, receiving, this);
    const parts = { calls: this.calls, receiving, memory };
    this.departure = new Departure(core, parts, this);
  }

  /**
   * Begins the negotiation, or goes on from what the connection was in another process. 0, or the error,
   * with the connection closed and gone. [DUP-12]
   */
  start(watcher: ConnectionWatcher, state: SessionState | null = null): number {
    this.watcher = watcher;
    const entry = this.companion.handle;
    if (entry !== null) entry.sink = this;
    this.core.connections.add(this);
    let error = this.calls.registrations.registerRegions();
    if (error === 0 && state !== null && !this.session.moving.load(state, this.now())) {
      error = wsa.WSAENOBUFS;
    }
    if (error !== 0) {
      this.watcher = NOBODY;
      this.session.abort(error, this.now());
      this.drain();
      return error;
    }
    this.poll();
    if (state === null) this.session.handleConnected(this.now());
    this.drain();
    return 0;
  }

  /** The time, for the session: exact only where deadlines are. Reading it costs as much as a send. */
  now(): Nanos {
    return this.exact ? this.core.environment.clock.now() : 0;
  }

  // What ends, from ConnectionCalls -------------------------------------------------------------

  /** From the upcall: takes note only. */
  operationCompleted(_overlapped: WSAOVERLAPPED): void {
    this.queue();
  }

  receiveEnded(index: number, error: number, bytes: number): void {
    if (!this.session.isOver) {
      if (error !== 0) this.lost(lossError(error));
      else this.session.handleReceive(index, bytes, this.now());
    }
    this.drain();
  }

  received(): void {
    this.watcher.changed(this);
  }

  /**
   * The connection is gone. If the peer had ended its stream and nothing of ours waits, a reader may
   * still take what has arrived, as from a TCP peer that has closed; the loss is told when it matters.
   */
  lost(error: number): void {
    const mayHold = this.session.peerHasShutdown && this.sendsPending === 0;
    if (mayHold && !this.isOrphan && !this.exact) this.heldLoss = error;
    else this.session.handleDisconnect(error, this.now());
  }

  get isLossHeld(): boolean {
    return this.heldLoss !== 0;
  }

  /** Something is to be sent, or the socket closed: a loss that was held back matters now. */
  tellLoss(): void {
    const error = this.heldLoss;
    if (error === 0) return;
    this.heldLoss = 0;
    this.session.handleDisconnect(error, this.now());
    this.drain();
  }

  sendEnded(index: number, error: number): void {
    if (error === 0 && this.shortWay.sent(index)) return;
    if (this.session.isOver) return;
    this.session.handleSendComplete(index, lossError(error), this.now());
  }

  transferEnded(slot: number, error: number): void {
    this.session.handleTransferComplete(slot, lossError(error), this.now());
  }

  // Turns ---------------------------------------------------------------------------------------

  /** Handles the receives that have ended, in order, and pays debts. Returns how much that was. */
  service(): number {
    this.isQueued = false;
    const work = this.receiving.takeAll() + this.receiving.payDebts();
    if (this.calls.isClosed) this.leave();
    return work;
  }

  /** Somebody polls for something of this connection: its next message, and nothing else. */
  attend(): void {
    this.receiving.poll();
  }

  /** Somebody polls in vain: the time for what was put off, and for other calls that are awaited. */
  attendFurther(): void {
    this.receiving.payDebts();
    // It stays queued for the next turn if it is, which finds nothing left.
    this.receiving.takeAll();
    if (this.calls.isAwaited) this.turn(true);
  }

  /** Sends that have ended give their buffers back, when there begins to be need of them. */
  reclaim(): void {
    if (this.calls.mayReclaim && this.calls.poll(false) > 0) this.drain();
  }

  /** All sends that have ended give their buffers back: somebody would have to wait otherwise. */
  reclaimAll(): void {
    if (this.calls.poll(true) > 0) this.drain();
  }

  /** A turn of core.polled: calls that somebody waits for, and deadlines. */
  turn(drive: boolean): number {
    let work = this.calls.poll(drive);
    if (this.exact && !this.session.isOver) {
      const now = this.now();
      if (now >= this.session.deadline) {
        this.session.handleTimer(now);
        work++;
      }
    }
    if (work > 0) this.drain();
    const mayRelax = !this.ending && !this.suspending;
    if (this.exact && mayRelax && this.session.isEstablished) {
      this.exact = this.session.deadline !== Infinity;
    }
    if (this.calls.isClosed) this.leave();
    return work;
  }

  /** Whether core.polled must keep it. */
  get needsTurns(): boolean {
    if (this.isGone) return false;
    return this.exact || this.calls.needsTurns;
  }

  get deadline(): Nanos {
    return Math.min(this.exact ? this.session.deadline : Infinity, this.departure.deadline);
  }

  /** Puts it on core.polled. */
  poll(): void {
    if (this.isPolled || this.isGone) return;
    this.isPolled = true;
    this.core.polled.push(this);
  }

  watchTime(): void {
    this.exact = true;
    this.poll();
  }

  /** From now on deadlines may be set: the end of the stream is in sight. */
  watchDeadlines(): void {
    this.ending = true;
    this.watchTime();
    this.tellLoss();
  }

  /** Hands a receive to the session, and carries out what that comes to, which is mostly nothing. */
  receive(request: AppRequest): void {
    if (this.shortWay.post(request.session)) return;
    this.session.receive(request.session, this.now());
    this.drain();
  }

  /** The short way of a small send: whether the bytes are on their way. */
  sendSmall(buffer: Uint8Array, length: number): boolean {
    const index = this.shortWay.send(buffer, length);
    if (index < 0) return false;
    this.sendMessage(index, HEADER_BYTES + length);
    return true;
  }

  /** Carries out what the session asks for, then hands back what has finished. */
  drain(): void {
    // Ends of calls reported from inside an action find the loop below already running.
    if (this.draining) return;
    this.draining = true;
    const { session } = this;
    const action = this.action;
    while (session.pollAction(action)) this.execute(action);
    for (;;) {
      const finished = session.pollCompletion();
      if (finished === null) break;
      const request = finished.owner as AppRequest;
      if (request.isSend) this.sendsPending--;
      let { error } = finished;
      // W9.10.1: what closesocket ends a receive with, where Windows differs from the page.
      if (error === wsa.WSA_OPERATION_ABORTED && this.isOrphan && !request.isSend) {
        error = this.core.profile.closedReceiveError;
      }
      const flags = (finished.resultFlags & ResultFlag.urgent) !== 0 ? MSG_OOB : 0;
      this.core.requests.complete(request, error, finished.bytes, flags);
    }
    this.draining = false;
    this.shortWay.settle(!this.calls.isClosed && this.heldLoss === 0);
    this.watcher.changed(this);
  }

  /** Lets go of the connection, which ends by itself: what was sent is still delivered. [W12.4] */
  closeGracefully(): void {
    this.watchDeadlines();
    this.session.close(this.now());
    this.drain();
  }

  /**
   * Gives an operation of the application up, which ends with WSA_OPERATION_ABORTED: now, or when RDMA
   * on its memory has ended, which is waited for only so long. False when it has ended, or when its data
   * is all on its way. See Session.cancelSend for what follows a send that had begun. [BLK-04, BLK-05]
   */
  cancel(request: AppRequest): boolean {
    this.watchTime();
    const { session } = this;
    const found = request.isSend
      ? session.cancelSend(request.session, this.now())
      : session.cancelReceive(request.session, this.now());
    this.drain();
    return found;
  }

  abort(error: number): void {
    this.watchDeadlines();
    this.session.abort(error, this.now());
    this.drain();
  }

  queue(): void {
    if (this.isQueued || this.isGone) return;
    this.isQueued = true;
    this.core.ready.push(this);
  }

  private execute(action: SessionAction): void {
    const calls = this.calls;
    switch (action.kind) {
      case ActionKind.postReceive:
        if (!calls.isClosed) this.postReceive(action.index);
        return;
      case ActionKind.sendMessage:
        if (!calls.isClosed) this.sendMessage(action.index, action.length);
        return;
      case ActionKind.register: {
        const { registrations } = calls;
        const error = registrations.register(action);
        const length = registrations.descriptorLengthOf(action.slot);
        const descriptor = length > 0 ? registrations.descriptorOf(action.slot) : null;
        this.session.handleRegistered(action.slot, descriptor, length, error, this.now());
        return;
      }
      case ActionKind.deregister:
        calls.registrations.deregister(action.slot);
        return;
      case ActionKind.rdmaRead:
      case ActionKind.rdmaWrite:
        calls.transfer(action);
        this.poll();
        return;
      case ActionKind.connectComplete:
        this.exact = this.ending;
        this.watcher.established(this);
        return;
      case ActionKind.hold:
        this.suspending = true;
        this.bytesHeld = 0;
        this.watchTime();
        this.session.moving.handleHeld(this.now());
        return;
      case ActionKind.quiet:
        this.onQuiet?.();
        return;
      case ActionKind.release:
        this.suspending = false;
        return;
      case ActionKind.peerShutdown:
        return;
      case ActionKind.urgent:
        this.hasUrgent = true;
        return;
      case ActionKind.disconnect:
        this.close(0);
        return;
      case ActionKind.abort:
        this.close(action.error);
        return;
      default:
        assert(action.kind === ActionKind.none, 'every action is carried out');
    }
  }

  private postReceive(index: number): void {
    const error = this.receiving.post(index);
    if (error !== 0) this.lost(lossError(error));
  }

  private sendMessage(index: number, length: number): void {
    if (this.calls.send(index, length)) {
      this.sendEnded(index, 0);
      return;
    }
    if (!this.isPolled && this.needsTurns) this.poll();
    // It may have ended in its call, or with the connection.
    if (this.session.hasWork) this.drain();
  }

  private close(error: number): void {
    if (this.calls.isClosed) return;
    this.departure.close();
    this.watcher.ended(this, error);
  }

  /** Closed: once the provider has ended all calls, it is gone. */
  private leave(): void {
    if (this.isGone || !this.departure.end()) return;
    this.isGone = true;
    this.core.connections.delete(this);
  }
}
