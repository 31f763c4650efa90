// One switch's side of a session test: the session, its memory, and what the application has asked of it.
// Its carrier is the fake transport of pair.ts, which may do what a provider may do and no more.

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
import type { Pair } from './pair.js';

export const WSAENOBUFS = 10055;
export const WSAECONNRESET = 10054;
export const WSA_OPERATION_ABORTED = 995;

/** Small numbers, so that every bound is met often. */
export const smallLimits: SessionLimits = {
  ...defaultSessionLimits,
  receiveCount: 4,
  firstReceiveCount: 4,
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
  /** The same for receive buffers. */
  readonly lendsReceives?: boolean;
}

export interface Region {
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
  timesAskedForReceives = 0;
  /** Receives that take turns, and whose is next. */
  private turns = 0;
  private turn = 0;
  /** Receives that the session keeps posted. */
  receivesKept: number;
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
    this.receivesKept = limits.firstReceiveCount;
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
      lendReceives: () => {
        this.timesAskedForReceives++;
        if (options.lendsReceives === false) return false;
        this.receivesKept = limits.receiveCount;
        return true;
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
      this.post(index);
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
      const { spentMax = this.receivesKept >> 2 } = this.options;
      if (this.spent.length >= spentMax) this.repost();
      else if (spentMax < Infinity) this.pair.schedule(() => this.repost());
    } else {
      this.repost();
      this.session.handleReceive(index, message.bytes.length, this.pair.now);
    }
    this.drain();
  }

  /** Receives are posted in turn; new ones come where the first one's turn would be. */
  private post(index: number): void {
    if (index === this.turns) this.turns++;
    else expect(index, `${this.name}: the receive whose turn it is`).toBe(this.turn % this.turns);
    this.turn = index + 1;
    this.posted.push(index);
  }

  private perform(action: SessionAction): void {
    this.kinds.push(action.kind);
    switch (action.kind) {
      case ActionKind.postReceive:
        expect(this.posted).not.toContain(action.index);
        this.post(action.index);
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

export function pattern(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  new Prng(seed).fill(bytes);
  return bytes;
}

export const ownBytes = (request: SessionRequest): Uint8Array =>
  (request.owner as Uint8Array).subarray(0, request.bytes);
