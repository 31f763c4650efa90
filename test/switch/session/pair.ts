// Two sessions and a fake transport between them, driven in virtual time from one seed. The
// transport does what a provider may do and no more: messages in order, each into one posted
// receive (none posted is a failure of the test, except for the negotiation, SESS-06); completions
// in any order; RDMA only within live registrations of the right kind; abortive close that loses
// what is on its way.

import { expect } from 'vitest';
import { Prng } from '../../../runtime/prng.js';
import {
  Access,
  ActionKind,
  defaultSessionLimits,
  HEADER_BYTES,
  RequestState,
  Session,
  SessionAction,
  type SessionLimits,
  SessionRequest,
  STAGING_REGISTRATION,
  wordsOf,
} from '../../../switch/session/session.js';

export const WSAENOBUFS = 10055;
export const WSAECONNRESET = 10054;
export const WSA_OPERATION_ABORTED = 995;

/** Small numbers, so that every bound is met often. */
export const smallLimits: SessionLimits = {
  ...defaultSessionLimits,
  receiveCount: 4,
  sendCount: 3,
  messageBytes: 256,
  thresholdBytes: 300,
  initialBytes: 16,
  windowBytes: 512,
  stagingBytes: 700,
  rdmaBytesMax: 500,
  transferSlots: 2,
};

export interface EndOptions {
  readonly limits?: SessionLimits;
  readonly rdmaRead?: boolean;
  /** Connections move from process to process. */
  readonly suspends?: boolean;
  /** One registration of application memory in this many fails; 0 for none. */
  readonly registrationFailureEvery?: number;
  /** Receives that the short way has emptied and that may wait for a turn; Infinity: for repost(). */
  readonly spentMax?: number;
  /** Whether the host has memory for more send buffers than the session begins with. */
  readonly lendsSends?: boolean;
}

interface Region {
  readonly owner: End;
  readonly buffer: Uint8Array;
  readonly offset: number;
  readonly length: number;
  readonly access: Access;
}

interface FlyingMessage {
  readonly bytes: Uint8Array;
  readonly from: End;
  readonly index: number;
}

/** One switch's side: a session, its memory, and what the application has asked of it. */
export class End {
  readonly session: Session;
  readonly posted: number[] = [];
  readonly spent: number[] = [];
  readonly completed: SessionRequest[] = [];
  readonly kinds: ActionKind[] = [];
  readonly registered = new Map<number, { region: Region; token: number }>();
  /** RDMA calls of this end at work, by slot, and what ends them. */
  readonly calls = new Map<number, () => void>();
  readonly inFlight: FlyingMessage[] = [];
  connected = true;
  /** What went the short ways of sendSmall and receiveSmall. */
  shortSends = 0;
  shortReceives = 0;
  timesAskedForSends = 0;
  abortError = 0;
  /** A suspension that this end has asked for has come to its point. */
  isQuiet = false;
  private readonly sendBuffers: Uint8Array[];
  private readonly receiveBuffers: Uint8Array[];
  private readonly stagingBuffer: Uint8Array;
  readonly limits: SessionLimits;
  private readonly action = new SessionAction();

  constructor(
    readonly name: string,
    readonly pair: Pair,
    readonly role: 'connector' | 'acceptor',
    readonly options: EndOptions,
  ) {
    const limits = options.limits ?? defaultSessionLimits;
    this.limits = limits;
    this.sendBuffers = region(limits.sendCount, limits.messageBytes);
    this.receiveBuffers = region(limits.receiveCount, limits.messageBytes);
    this.stagingBuffer = new Uint8Array(limits.stagingBytes);
    this.session = new Session({
      role,
      limits,
      rdmaRead: options.rdmaRead ?? true,
      suspends: options.suspends ?? false,
      sendBuffers: this.sendBuffers,
      sendWords: this.sendBuffers.map((buffer) => wordsOf(buffer, limits.messageBytes)),
      receiveBuffers: this.receiveBuffers,
      lendSends: () => {
        this.timesAskedForSends++;
        return options.lendsSends ?? true;
      },
      receiveWords: this.receiveBuffers.map((buffer) => wordsOf(buffer, limits.messageBytes)),
      lendStaging: () => this.stagingBuffer,
    });
  }

  get peer(): End {
    return this.pair.a === this ? this.pair.b : this.pair.a;
  }

  send(bytes: Uint8Array, flags = 0, ...cuts: number[]): SessionRequest {
    const request = makeRequest(bytes, flags, cuts);
    if (flags !== 0 || cuts.length > 0 || !this.sendSmall(bytes, request)) {
      this.session.send(request, this.pair.now);
    }
    this.drain();
    return request;
  }

  /** The short way, which the shell tries first; its request is as one that finished at once. */
  private sendSmall(bytes: Uint8Array, request: SessionRequest): boolean {
    const index = bytes.length === 0 ? -1 : this.session.shortWay.send(bytes, bytes.length);
    if (index < 0) return false;
    this.kinds.push(ActionKind.sendMessage);
    this.pair.transmit(this, index, this.sendBuffers[index]?.slice(0, HEADER_BYTES + bytes.length));
    request.state = RequestState.finished;
    request.bytes = bytes.length;
    this.completed.push(request);
    this.shortSends++;
    return true;
  }

  receive(length: number, flags = 0, ...cuts: number[]): SessionRequest {
    const request = makeRequest(new Uint8Array(length), flags, cuts);
    if (!this.session.shortWay.post(request)) this.session.receive(request, this.pair.now);
    this.drain();
    return request;
  }

  read(length: number, peek = false): Uint8Array {
    const into = new Uint8Array(length);
    const count = this.session.readStored(into, 0, length, peek, this.pair.now);
    this.drain();
    return into.subarray(0, count);
  }

  act(command: (session: Session, now: number) => void): void {
    command(this.session, this.pair.now);
    this.drain();
  }

  /** What a shell does after every event: actions in order, then completions. */
  drain(): void {
    while (this.session.pollAction(this.action)) this.perform(this.action);
    for (
      let request = this.session.pollCompletion();
      request !== null;
      request = this.session.pollCompletion()
    ) {
      expect(this.completed).not.toContain(request);
      this.completed.push(request);
    }
    this.session.shortWay.settle(true);
  }

  /** Posts again what the short way has left: the shell does it when nothing else is to be done. */
  repost(): void {
    for (let index = this.spent.shift(); index !== undefined; index = this.spent.shift()) {
      this.kinds.push(ActionKind.postReceive);
      this.posted.push(index);
      this.session.shortWay.reposted();
    }
    this.drain();
  }

  /** A message arrives: into the oldest posted receive. */
  deliver(message: FlyingMessage): void {
    const index = this.posted.shift();
    if (index === undefined) throw new Error(`${this.name}: a message without a posted receive`);
    (this.receiveBuffers[index] as Uint8Array).set(message.bytes);
    const received = this.session.shortWay.receive(index, message.bytes.length);
    if (received !== null) {
      this.shortReceives++;
      this.completed.push(received);
      this.spent.push(index);
      const { spentMax = this.limits.receiveCount >> 2 } = this.options;
      if (this.spent.length >= spentMax) this.repost();
      else if (spentMax < Infinity) this.pair.schedule(() => this.repost());
    } else {
      this.repost();
      this.session.handleReceive(index, message.bytes.length, this.pair.now);
    }
    this.drain();
  }

  private perform(action: SessionAction): void {
    this.kinds.push(action.kind);
    switch (action.kind) {
      case ActionKind.postReceive:
        expect(this.posted).not.toContain(action.index);
        this.posted.push(action.index);
        return;
      case ActionKind.sendMessage:
        this.pair.transmit(
          this,
          action.index,
          this.sendBuffers[action.index]?.slice(0, action.length),
        );
        return;
      case ActionKind.register:
        this.register(action);
        return;
      case ActionKind.deregister: {
        const held = this.registered.get(action.slot);
        expect(held).toBeDefined();
        expect(this.calls.has(action.slot)).toBe(false);
        this.pair.regions.delete(held?.token ?? -1);
        this.registered.delete(action.slot);
        return;
      }
      case ActionKind.rdmaRead:
      case ActionKind.rdmaWrite:
        this.rdma(action);
        return;
      case ActionKind.abort:
        this.abortError = action.error;
        this.pair.disconnect(this);
        return;
      case ActionKind.disconnect:
        this.pair.disconnect(this);
        return;
      case ActionKind.hold:
        this.session.moving.handleHeld(this.pair.now);
        return;
      case ActionKind.quiet:
        this.isQuiet = true;
        return;
      default:
        return;
    }
  }

  private register(action: SessionAction): void {
    const { slot } = action;
    expect(this.registered.has(slot)).toBe(false);
    const every = this.options.registrationFailureEvery ?? 0;
    if (every > 0 && action.buffer !== this.stagingBuffer && this.pair.prng.chance(1, every)) {
      this.session.handleRegistered(slot, null, 0, WSAENOBUFS, this.pair.now);
      return;
    }
    const token = this.pair.nextToken++;
    const region: Region = {
      owner: this,
      buffer: action.buffer as Uint8Array,
      offset: action.offset,
      length: action.length,
      access: action.access,
    };
    expect(region.offset + region.length).toBeLessThanOrEqual(region.buffer.length);
    this.registered.set(slot, { region, token });
    this.pair.regions.set(token, region);
    if (action.access === Access.local) {
      this.session.handleRegistered(slot, null, 0, 0, this.pair.now);
      return;
    }
    // Opaque and of a length nobody knows beforehand.
    const descriptor = new Uint8Array(4 + (token % 61)).fill(0xd5);
    new DataView(descriptor.buffer).setUint32(0, token);
    this.session.handleRegistered(slot, descriptor, descriptor.length, 0, this.pair.now);
  }

  private rdma(action: SessionAction): void {
    const { slot, kind, length, offset, remoteOffset, registrationSlot } = action;
    const local = action.buffer as Uint8Array;
    const descriptor = action.descriptor as Uint8Array;
    const token = new DataView(descriptor.buffer).getUint32(descriptor.byteOffset);
    expect(this.calls.has(slot)).toBe(false);
    expect(length).toBeGreaterThan(0);
    expect(length).toBeLessThanOrEqual(this.limits.rdmaBytesMax);
    if (registrationSlot !== STAGING_REGISTRATION) {
      const held = this.registered.get(registrationSlot)?.region as Region;
      expect(held.buffer).toBe(local);
      expect(offset).toBeGreaterThanOrEqual(held.offset);
      expect(offset + length).toBeLessThanOrEqual(held.offset + held.length);
    }
    const move = (): void => {
      const region = this.pair.regions.get(token) as Region;
      expect(region.owner).toBe(this.peer);
      expect(region.access).toBe(
        kind === ActionKind.rdmaRead ? Access.remoteRead : Access.remoteWrite,
      );
      expect(remoteOffset + length).toBeLessThanOrEqual(region.length);
      const at = region.offset + remoteOffset;
      if (kind === ActionKind.rdmaRead) local.set(region.buffer.subarray(at, at + length), offset);
      else region.buffer.set(local.subarray(offset, offset + length), at);
    };
    const end = (): void => {
      if (!this.calls.delete(slot)) return;
      if (this.connected) move();
      const error = this.connected ? 0 : WSA_OPERATION_ABORTED;
      this.session.handleTransferComplete(slot, error, this.pair.now);
      this.drain();
    };
    this.calls.set(slot, end);
    this.pair.schedule(end);
  }
}

function region(count: number, bytes: number): Uint8Array[] {
  const whole = new Uint8Array(count * bytes);
  return Array.from({ length: count }, (_, index) =>
    whole.subarray(index * bytes, (index + 1) * bytes),
  );
}

function makeRequest(bytes: Uint8Array, flags: number, cuts: readonly number[]): SessionRequest {
  const request = new SessionRequest();
  request.flags = flags;
  request.owner = bytes;
  let at = 0;
  for (const cut of [...cuts, bytes.length]) {
    const end = Math.max(at, Math.min(cut, bytes.length));
    request.add(bytes.subarray(at, end), end - at);
    at = end;
  }
  return request;
}

export class Pair {
  readonly prng: Prng;
  a: End;
  b: End;
  readonly regions = new Map<number, Region>();
  nextToken = 1;
  now = 0;
  /** Whether a close loses the closer's messages that are on their way. */
  losesOnClose = true;
  private readonly events: { time: number; order: number; run: () => void }[] = [];
  private order = 0;

  constructor(options: { seed?: number; a?: EndOptions; b?: EndOptions } = {}) {
    this.prng = new Prng(options.seed ?? 1);
    this.a = new End('connector', this, 'connector', options.a ?? {});
    this.b = new End('acceptor', this, 'acceptor', options.b ?? {});
  }

  /** A pair that has negotiated. */
  static connected(options: { seed?: number; a?: EndOptions; b?: EndOptions } = {}): Pair {
    const pair = new Pair(options);
    pair.connect();
    pair.drive();
    expect([pair.a.session.isEstablished, pair.b.session.isEstablished]).toEqual([true, true]);
    return pair;
  }

  connect(): void {
    this.b.act((session, now) => session.handleConnected(now));
    this.a.act((session, now) => session.handleConnected(now));
  }

  /** Another process goes on in place of `old`, which is quiet: a new session with its state. */
  move(old: End): End {
    expect(old.isQuiet).toBe(true);
    expect([old.inFlight.length, old.peer.inFlight.length]).toEqual([0, 0]);
    expect([old.registered.size, old.peer.registered.size, this.regions.size]).toEqual([0, 0, 0]);
    const state = old.session.moving.save();
    old.session.moving.leave();
    old.drain();
    old.posted.length = 0;
    const next = new End(`${old.name}'`, this, old.role, old.options);
    if (this.a === old) this.a = next;
    else this.b = next;
    next.act((session, now) => {
      expect(session.moving.load(state, now)).toBe(true);
      session.moving.resume(now);
    });
    return next;
  }

  schedule(run: () => void): void {
    const time = this.now + this.prng.below(1000);
    this.events.push({ time, order: this.order++, run });
  }

  transmit(from: End, index: number, bytes: Uint8Array | undefined): void {
    from.inFlight.push({ bytes: bytes as Uint8Array, from, index });
    // Whichever of the scheduled deliveries comes first takes the oldest message: order is kept.
    this.schedule(() => this.deliverNext(from));
  }

  private deliverNext(from: End): void {
    const message = from.inFlight.shift();
    if (message === undefined || !from.connected || !from.peer.connected) return;
    this.schedule(() => {
      if (!from.connected) return;
      if (from.session.shortWay.sent(message.index)) return;
      from.session.handleSendComplete(message.index, 0, this.now);
      from.drain();
    });
    from.peer.deliver(message);
  }

  disconnect(closer: End): void {
    if (!closer.connected) return;
    closer.connected = false;
    if (this.losesOnClose) closer.inFlight.length = 0;
    closer.posted.length = 0;
    closer.spent.length = 0;
    for (const { token } of closer.registered.values()) this.regions.delete(token);
    closer.registered.clear();
    const { peer } = closer;
    for (const end of [...closer.calls.values()]) this.schedule(end);
    this.schedule(() => {
      if (!peer.connected) return;
      peer.session.handleDisconnect(WSAECONNRESET, this.now);
      peer.drain();
    });
    // RDMA of the peer into or from a closed connection ends in failure as well.
    for (const [slot] of peer.calls) {
      peer.calls.delete(slot);
      this.schedule(() => {
        peer.session.handleTransferComplete(slot, WSAECONNRESET, this.now);
        peer.drain();
      });
    }
  }

  /** Runs the earliest event. False when there is none. */
  step(): boolean {
    let first = -1;
    for (let index = 0; index < this.events.length; index++) {
      const event = this.events[index] as { time: number; order: number };
      const best = this.events[first];
      if (
        best === undefined ||
        event.time < best.time ||
        (event.time === best.time && event.order < best.order)
      ) {
        first = index;
      }
    }
    const [event] = first < 0 ? [] : this.events.splice(first, 1);
    if (event === undefined) return false;
    this.now = Math.max(this.now, event.time);
    event.run();
    return true;
  }

  /** Runs events until there are none; a bound guards against chatter without end. */
  drive(stepsMax = 200_000): void {
    let steps = 0;
    while (this.step()) {
      steps++;
      if (steps > stepsMax)
        throw new Error(`no rest after ${stepsMax} steps, seed ${this.prng.seed}`);
    }
  }

  /**
   * At rest: every transfer ended, all memory taken back, all receives posted, credits conserved.
   */
  expectClean(): void {
    for (const end of [this.a, this.b]) {
      expect(end.calls.size, `${end.name}: calls`).toBe(0);
      expect(end.session.outstandingTransfers, `${end.name}: transfers`).toBe(0);
      expect(end.registered.size, `${end.name}: registrations`).toBe(0);
      if (end.session.isOver) continue;
      expect(end.posted.length, `${end.name}: receives`).toBe(end.limits.receiveCount);
      const { creditsAvailable } = end.session;
      const owed = end.peer.limits.receiveCount - creditsAvailable;
      // What is not yet said is less than what must be said.
      expect(owed).toBeGreaterThanOrEqual(0);
      expect(owed).toBeLessThan(Math.max(2, end.peer.limits.receiveCount >> 1));
    }
    expect(this.regions.size).toBe(0);
  }

  /** Both ends finish sending, read to the end, and the connection closes without loss. */
  finish(): void {
    for (const end of [this.a, this.b]) end.act((session, now) => session.shutdownSend(now));
    this.drive();
  }
}

/** Bytes that tell where they are: a misplaced one shows. */
export function pattern(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  new Prng(seed).fill(bytes);
  return bytes;
}

export const ownBytes = (request: SessionRequest): Uint8Array =>
  (request.owner as Uint8Array).subarray(0, request.bytes);
