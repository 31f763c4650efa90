// The NIC engine: takes posted work, moves bytes, writes completions, connects. The same class runs
// inline, stepped by whoever waits on the host's thread, and in a worker thread that stands in for the
// hardware. All shared state is in mapped memory; what is here belongs to the engine's thread alone.

import { assert, unreachable } from '../../runtime/assert.js';
import type { Clock, Nanos } from '../../runtime/clock.js';
import type { Arena } from '../../native/arena.js';
import type { NativeBinding } from '../../native/binding.js';
import type { FabricDirectory } from '../../native/fabric-directory.js';
import { PARKED_NO, PARKED_PIPE, segmentHeader } from '../../native/layout/segment.layout.js';
import type { Reactor } from '../../native/reactor.js';
import type { SharedView } from '../../native/shared-view.js';
import type { OwnerPipe } from '../../native/wake-pipe.js';
import type { BounceBuffer } from './bounce.js';
import { emitFrame, wakeFrame } from './cm-frame.js';
import type { EngineCommand, EngineEvent } from './commands.js';
import { CompletionRings } from './completion-rings.js';
import type { ConnectionHost } from './connection-host.js';
import { ConnectionManager } from './connection-manager.js';
import { ControlChannel } from './control-channel.js';
import type { CostModel } from './cost-model.js';
import { LinkTime } from './cost-model.js';
import type { EngineCore, EngineCounters } from './engine-core.js';
import { EngineQueuePair, QueuePairState, Wait } from './engine-queue-pair.js';
import { STATE_ARMED } from './layout.js';
import { ENTRY_WORDS, RESCUE_INTERVAL, WIRE_SLOTS } from './limits.js';
import type { WireEndpoint } from './layout.js';
import type { OwnMemory } from './mover.js';
import { Mover } from './mover.js';
import type { PeerHost } from './peer-host.js';
import { ringDoorbell } from './peer-host.js';
import { Peers } from './peers.js';
import { NO_PROCESS } from './process-of.js';
import { QueuePairEnd } from './queue-pair-end.js';
import { addKeys, addRemoteKey, removeKeys, removeRemoteKey } from './region-keys.js';
import { RegionTable } from './regions.js';
import { Requester } from './requester.js';
import { Responder } from './responder.js';
import { Scheduler } from './scheduler.js';
import { SecretNumbers } from './secret-numbers.js';
import { ShortWay } from './short-way.js';
import type { DisconnectReason } from './verbs.js';

const PARKED = segmentHeader.word('engineParked');
const FRAMES_WAITING = segmentHeader.word('framesWaiting');

/** Turns between two looks at the clock while connection timers run. */
const TURNS_PER_TIMER_CHECK = 256;

export interface EngineOptions {
  readonly arena: Arena;
  readonly native: NativeBinding;
  readonly directory: FabricDirectory;
  readonly clock: Clock;
  readonly reactor: Reactor;
  /** The host's wake pipe: frames of peers arrive here. */
  readonly pipe: OwnerPipe;
  /** The host's segments in this arena; peers see the public one. */
  readonly publicSegment: OwnMemory & { readonly generation: number; readonly address: number };
  readonly privateSegment: OwnMemory;
  /** Offset and length of the bounce buffer in the public segment; PROBE_BYTES follow it. */
  readonly bounce: { readonly address: number; readonly bytes: number };
  /** Whether every process on the fabric's machine takes part in barriers; see docs/shared-memory.md. */
  readonly hasBarrier: boolean;
  /** Whether work is posted by another thread than the engine's own. */
  readonly isApart: boolean;
  /** What the link costs; null for nothing. */
  readonly costs: CostModel | null;
  /** Called for every event, on the engine's thread. */
  readonly report: (event: EngineEvent) => void;
}

export class NicEngine implements EngineCore, ConnectionHost {
  readonly role = 'nic-engine';
  readonly view: SharedView;
  readonly own: OwnMemory;
  readonly regions = new RegionTable();
  readonly mover: Mover;
  readonly bounce: BounceBuffer;
  readonly counters: EngineCounters = { protocolErrors: 0, receiverNotReady: 0 };
  readonly hasBarrier: boolean;
  readonly clock: Clock;
  readonly link: LinkTime | null;
  readonly address: number;
  readonly generation: number;
  readonly processId = process.pid;
  readonly probeAddress: number;
  readonly report: (event: EngineEvent) => void;
  readonly shortWay: ShortWay;
  readonly #options: EngineOptions;
  readonly #header: number;
  readonly #private: number;
  /** By slot. */
  readonly #queuePairs: (EngineQueuePair | undefined)[] = [];
  readonly #rings: CompletionRings;
  readonly #peers: Peers;
  readonly #scheduler: Scheduler;
  readonly #requester: Requester;
  readonly #responder: Responder;
  readonly #connections: ConnectionManager;
  readonly #end: QueuePairEnd;
  readonly #control: ControlChannel;
  readonly #secrets = new SecretNumbers();
  #turns = 0;
  #rescueAt: Nanos = 0;
  #open = true;
  #isRemoved = false;

  constructor(options: EngineOptions) {
    const { arena, native, publicSegment, privateSegment, bounce } = options;
    this.#options = options;
    this.hasBarrier = options.hasBarrier;
    this.view = arena.view;
    this.own = publicSegment;
    this.clock = options.clock;
    this.link = options.costs === null ? null : new LinkTime(options.costs, options.clock);
    this.report = options.report;
    this.address = publicSegment.address;
    this.generation = publicSegment.generation;
    this.#header = publicSegment.offset / 4;
    this.#private = privateSegment.offset / 4;
    this.probeAddress = arena.address + publicSegment.offset + segmentHeader.offset('generation');
    this.mover = new Mover(arena.view, native, publicSegment, arena.address);
    this.bounce = { ...bounce, holder: null };
    this.#peers = new Peers({
      directory: options.directory,
      arena,
      reactor: options.reactor,
      processId: this.processId,
      wake: emitFrame(wakeFrame(this.address)),
      died: (peer) => {
        // What it said before it died is in the pipe, and counts: where a connection goes on.
        this.#control.read();
        this.#connections.handlePeerDeath(peer);
      },
    });
    this.#rings = new CompletionRings({
      view: this.view,
      base: this.#private,
      clock: this.clock,
      report: this.report,
    });
    this.#requester = new Requester(this);
    this.#responder = new Responder(this);
    this.shortWay = new ShortWay(this, this.#requester, this.#responder);
    this.#connections = new ConnectionManager(this);
    this.#scheduler = new Scheduler({
      view: this.view,
      native,
      header: this.#header,
      queuePairs: this.#queuePairs,
      turn: (qp) => this.#turn(qp),
      flush: (qp) => {
        this.#end.flush(qp);
      },
    });
    this.#end = new QueuePairEnd({
      core: this,
      requester: this.#requester,
      responder: this.#responder,
      scheduler: this.#scheduler,
      queuePairs: this.#queuePairs,
      native: options.isApart ? native : null,
      report: this.report,
      disconnect: (qp, isMoving) => {
        this.#connections.disconnect(qp, isMoving);
      },
    });
    this.#control = new ControlChannel({
      view: this.view,
      header: this.#header,
      reactor: options.reactor,
      pipe: options.pipe,
      handle: (frame) => {
        this.#connections.handle(frame);
      },
    });
  }

  /** Carries out a command of the application side. */
  command(command: EngineCommand): void {
    switch (command.type) {
      case 'create-completion-queue':
        this.#rings.create(command);
        return;
      case 'enable-completion-events':
        this.#rings.enableEvents(command.index);
        return;
      case 'moderate-completion-queue':
        this.#rings.moderate(command);
        return;
      case 'create-queue-pair':
        this.#createQueuePair(command);
        return;
      case 'register-memory':
        this.link?.register(command.length);
        addKeys(this, this.#queuePair(command.slot), command);
        return;
      case 'deregister-memory':
        removeKeys(this, this.#queuePair(command.slot), command);
        return;
      case 'expose-memory':
        addRemoteKey(this, this.#queuePair(command.slot), command);
        return;
      case 'conceal-memory':
        removeRemoteKey(this, this.#queuePair(command.slot), command.remoteKey);
        return;
      case 'listen':
        this.#connections.listen(command.port, command.address);
        return;
      case 'unlisten':
        this.#connections.unlisten(command.port, command.address);
        return;
      case 'redirect':
        this.#connections.redirect(command.port, command.address, command.to);
        return;
      case 'connect': {
        const { slot, address, port, localPort, privateData } = command;
        const qp = this.#queuePair(slot);
        this.#connections.connect(qp, address, port, localPort, privateData);
        return;
      }
      case 'accept': {
        const { slot, requestId, privateData } = command;
        this.#connections.accept(this.#queuePair(slot), requestId, privateData);
        return;
      }
      case 'reject':
        this.#connections.reject(command.requestId);
        return;
      case 'destroy':
        this.#end.destroy(this.#queuePair(command.slot), command.isMoving);
        return;
      case 'fail':
        for (const qp of this.#queuePairs) {
          if (qp !== undefined && qp.slot === (command.slot ?? qp.slot)) this.fail(qp);
        }
        return;
      case 'remove':
        this.#remove();
        return;
      case 'close':
        this.close();
        return;
      default:
        unreachable(command, 'engine command');
    }
  }

  /** New work in the send queue of `slot`, and nobody else looks: an inline engine sends at once. */
  kick(slot: number): void {
    const qp = this.#queuePair(slot);
    if (qp.state === QueuePairState.RTS) this.#scheduler.follow(qp, this.#requester.transmit(qp));
    else if (qp.state === QueuePairState.ERR) this.#end.flush(qp);
  }

  /** The engine's half of the queue pair in `slot`, for the short ways. */
  halfOf(slot: number): EngineQueuePair {
    return this.#queuePair(slot);
  }

  /** A new receive in the queue of `slot`: whatever does not look at it by itself is told. */
  receivePosted(slot: number): void {
    const qp = this.#queuePairs[slot];
    if (qp === undefined) return;
    if (qp.state === QueuePairState.ERR) this.#end.flush(qp);
    else if (qp.wait === Wait.RECEIVE && !qp.hot) ringDoorbell(this.view, this.#header, slot);
  }

  /** One turn for one queue pair. */
  progressOf(slot: number): number {
    const qp = this.#queuePairs[slot];
    if (qp === undefined) return 0;
    // Most polls find nothing: no slot, no answer awaited, nothing to send.
    const next = qp.ring + (qp.executed & (WIRE_SLOTS - 1)) * ENTRY_WORDS;
    const isIdle = this.view.loadAcquire(next) !== qp.inboundSequence && qp.isQuiet;
    if (isIdle && !this.#requester.hasWork(qp)) return 0;
    const work = this.#turn(qp);
    this.#scheduler.follow(qp, work);
    return work;
  }

  doWork(): number {
    let work = this.#scheduler.step();
    if (this.view.words[this.#header + FRAMES_WAITING] !== 0) work += this.#control.take();
    if (this.#end.isFlushing) this.#end.retryFlushes();
    const isTimeToLook = ++this.#turns % TURNS_PER_TIMER_CHECK === 0;
    if (isTimeToLook && (this.#connections.hasTimers || this.#rings.hasEvents)) {
      work += this.#doTimers(this.clock.now());
    }
    return work;
  }

  arm(): void {
    this.#scheduler.arm();
    // A full fence: where there is no membarrier, nobody else provides one.
    this.view.exchange(this.#header + PARKED, PARKED_PIPE);
  }

  disarm(): void {
    this.view.storeRelease(this.#header + PARKED, PARKED_NO);
    this.#scheduler.disarm();
  }

  deadline(): Nanos {
    // A sleeper has no turns to count, so it looks at the timers whenever it wakes.
    this.#turns = TURNS_PER_TIMER_CHECK - 1;
    const retryFlush = this.#end.isFlushing ? this.clock.now() + 100_000 : Infinity;
    // One peer alone could only stop its own connections: it needs no rescue, and no time-out.
    const needsRescue = this.#peers.count > 1 && this.#connections.hasTimers;
    return Math.min(
      this.#connections.nextDeadline(),
      this.#scheduler.nextDue(),
      this.#rings.nextDue(),
      retryFlush,
      needsRescue ? this.#rescueAt : Infinity,
    );
  }

  fail(qp: EngineQueuePair): void {
    if (qp.state !== QueuePairState.RTS) return;
    this.#connections.abort(qp);
    this.#end.end(qp, qp.peer?.isAlive() === false ? 'peer-died' : 'error');
  }

  /** Ends every connection and lets go of every peer. The segments and the pipe are the owner's. */
  close(): void {
    if (!this.#open) return;
    for (const qp of this.#queuePairs) {
      if (qp !== undefined && qp.state !== QueuePairState.CLOSING) this.#end.destroy(qp);
    }
    this.abandon();
  }

  /** Lets go of every peer without a word, as the end of the process would. */
  abandon(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#control.close();
    this.#peers.close();
  }

  get hasConsumer(): boolean {
    return this.#rings.count > 0 && !this.#isRemoved;
  }

  // What the connection manager asks for ---------------------------------------------------------

  openPeer(address: number): PeerHost | null {
    return this.#peers.open(address);
  }

  writeUnmapped(address: number, bytes: Uint8Array): void {
    this.#peers.writeUnmapped(address, bytes);
  }

  reaches(peer: PeerHost, probeAddress: number): boolean {
    if (peer.processId === this.processId) return true;
    if (peer.processId === NO_PROCESS) return false;
    const scratch = this.own.offset + this.bounce.address + this.bounce.bytes;
    peer.isReached = this.mover.probe(peer.processId, probeAddress, peer.generation, scratch);
    return peer.isReached;
  }

  randomId(): number {
    return this.#secrets.next();
  }

  endpointOf(qp: EngineQueuePair): WireEndpoint {
    return {
      queuePair: qp.number,
      slot: qp.slot,
      ring: qp.ring * 4 - this.own.offset,
      state: qp.ownState * 4 - this.own.offset,
      sequence: qp.inboundSequence - qp.executed,
    };
  }

  activate(qp: EngineQueuePair): void {
    qp.state = QueuePairState.RTS;
    this.#scheduler.offer(qp);
    this.#scheduler.follow(qp, this.#turn(qp));
  }

  deactivate(qp: EngineQueuePair, reason: DisconnectReason): void {
    if (qp.state === QueuePairState.RTS) {
      // What the peer had published before the end was sent, and is still delivered: a ring at most.
      qp.isLastChance = true;
      let left = WIRE_SLOTS;
      for (let took = 1; took > 0 && left > 0 && qp.state === QueuePairState.RTS; left -= took)
        took = this.#responder.receive(qp);
      this.#requester.complete(qp);
    }
    this.#end.end(qp, reason);
  }

  released(qp: EngineQueuePair): void {
    this.#end.released(qp);
  }

  // -----------------------------------------------------------------------------------------------

  #turn(qp: EngineQueuePair): number {
    if (qp.state !== QueuePairState.RTS) return 0;
    let work = this.#responder.receive(qp);
    if (qp.state === QueuePairState.RTS) work += this.#requester.complete(qp);
    if (qp.state === QueuePairState.RTS) work += this.#requester.transmit(qp);
    if (work > 0) qp.activity++;
    return work;
  }

  #doTimers(now: Nanos): number {
    let work = this.#connections.doTimers(now);
    this.#rings.expire(now);
    if (now >= this.#rescueAt) {
      this.#control.read();
      work += this.#scheduler.rescue();
      this.#rescueAt = now + RESCUE_INTERVAL;
    }
    return work;
  }

  /** Its memory and its pipe stay: they stand for the host, which goes on without the NIC. */
  #remove(): void {
    if (this.#isRemoved) return;
    this.#isRemoved = true;
    this.#connections.endAll();
    this.report({ type: 'device-removed' });
  }

  #createQueuePair(command: Extract<EngineCommand, { type: 'create-queue-pair' }>): void {
    const qp = new EngineQueuePair({
      slot: command.slot,
      number: command.number,
      completions: this.#rings.at(command.completionQueue),
      sendQueue: this.#private + command.sendQueue / 4,
      sendDepth: command.sendDepth,
      receiveQueue: this.#private + command.receiveQueue / 4,
      receiveDepth: command.receiveDepth,
      ring: this.#header + command.ring / 4,
      ownState: this.#header + command.state / 4,
      sequence: command.sequence,
      patience: command.patience,
      isTimed: this.link !== null,
    });
    // Nobody polls it yet: whoever publishes rings.
    this.view.storeRelease(qp.ownState + STATE_ARMED, 1);
    this.#queuePairs[command.slot] = qp;
  }

  #queuePair(slot: number): EngineQueuePair {
    const qp = this.#queuePairs[slot];
    // No message with the slot in it: this is asked for every send.
    assert(qp !== undefined, 'the queue pair exists');
    return qp;
  }
}
