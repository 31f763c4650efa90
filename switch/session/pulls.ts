// Large transfers at the receiver: what the peer has announced, and the pulls that fetch pieces of
// it, into posted receives or into the staging buffer, by RDMA read (variant A) or by exposing the
// piece for the peer to write (variant B). Which piece goes where is inbound.ts. Source:
// docs/session-protocol.md "Large data"; XFER-09 … XFER-11, BLK-05.

import { WSAENOBUFS } from '../../provider/spi/error-codes.js';
import { assert } from '../../runtime/assert.js';
import type { SessionAction } from './actions.js';
import { Access, ActionKind, STAGING_REGISTRATION } from './actions.js';
import { copyBytes } from './copy.js';
import type { SessionCore } from './core.js';
import { DESCRIPTOR_BYTES_MAX, HEADER_BYTES } from './limits.js';
import type { Message } from './messages.js';
import { emitTarget, kindWord, MessageType } from './messages.js';
import type { SessionRequest } from './request.js';
import type { AnnouncementState } from './state.js';

/** A transfer that the peer has announced and we are not done with. */
export class Announcement {
  active = false;
  /** False from a suspension until RENEW says where the bytes lie now. */
  isReady = false;
  rest = 0;
  /** Bytes that pulls have been started for, or that nobody wants. */
  assigned = 0;
  /** Bytes that have arrived, or that nobody wants. */
  ended = 0;
  /** Total of stored bytes (arrived.ts) that come before it in the stream. */
  storedBefore = 0;
  readonly descriptor = new Uint8Array(DESCRIPTOR_BYTES_MAX);
  descriptorLength = 0;
}

const PullState = {
  idle: 0,
  registering: 1,
  /** Variant A: an RDMA read is under way. */
  reading: 2,
  /** Variant B: TARGET waits for a credit. */
  exposing: 3,
  /** Variant B: the peer is writing. */
  exposed: 4,
  /** The receive's memory could not be registered, and the staging buffer is in use. */
  waiting: 5,
} as const;

class Pull {
  state: (typeof PullState)[keyof typeof PullState] = PullState.idle;
  /** null: into the staging buffer, for readers. */
  request: SessionRequest | null = null;
  transfer = 0;
  /** Where the piece lies in the transfer, and where it goes. */
  offset = 0;
  length = 0;
  moved = 0;
  chunk = 0;
  buffer: Uint8Array = new Uint8Array(0);
  bufferOffset = 0;
  registered = false;
  /** Through the staging buffer, and copied from there. */
  bounced = false;
  readonly descriptor = new Uint8Array(DESCRIPTOR_BYTES_MAX);
  descriptorLength = 0;
}

export class Pulls {
  readonly #core: SessionCore;
  /** Made for the first announcement: most connections never have one. */
  #slots: {
    readonly announcements: readonly Announcement[];
    readonly pulls: readonly Pull[];
  } | null = null;
  /** The pull that has the staging buffer to itself; -1 for none. */
  #stagingOwner = -1;
  activeCount = 0;
  /** Transfers announced and not done. */
  announcedCount = 0;
  /**
   * What Inbound wants to know: a piece for `request` (null: `bytes` in the staging buffer) is
   * here.
   */
  onPulled: (request: SessionRequest | null, bytes: number) => void = () => undefined;

  constructor(core: SessionCore) {
    this.#core = core;
  }

  get announcements(): readonly Announcement[] {
    return this.#made.announcements;
  }

  get #pulls(): readonly Pull[] {
    return this.#made.pulls;
  }

  get #made(): {
    readonly announcements: readonly Announcement[];
    readonly pulls: readonly Pull[];
  } {
    const length = this.#core.limits.transferSlots;
    return (this.#slots ??= {
      announcements: Array.from({ length }, () => new Announcement()),
      pulls: Array.from({ length }, () => new Pull()),
    });
  }

  /** Takes an announcement. Returns '' or what is wrong with it. */
  announced(message: Message, from: Uint8Array, storedBefore: number): string {
    if (message.transfer >= this.#core.agreed.transferSlots) return 'slot out of range';
    const announcement = this.announcements[message.transfer] as Announcement;
    const doneUnsaid = (this.#core.doneMask & (1 << message.transfer)) !== 0;
    if (announcement.active || doneUnsaid) return 'transfer still outstanding';
    if (message.descriptorLength > 0 !== this.#core.rdmaRead) return 'wrong variant';
    announcement.active = true;
    announcement.isReady = true;
    announcement.rest = message.rest;
    announcement.assigned = 0;
    announcement.ended = 0;
    announcement.storedBefore = storedBefore;
    announcement.descriptorLength = message.descriptorLength;
    copyBytes(from, message.descriptorOffset, announcement.descriptor, 0, message.descriptorLength);
    this.announcedCount++;
    return '';
  }

  /** What was announced lies where it lay no longer. [DUP-09] */
  suspend(): void {
    if (this.#slots === null) return;
    for (const announcement of this.announcements) announcement.isReady = false;
  }

  /** The peer says where the bytes of a transfer lie now. Returns '' or what is wrong with it. */
  handleRenew(message: Message, from: Uint8Array): string {
    if (message.transfer >= this.#core.agreed.transferSlots) return 'slot out of range';
    const announcement = this.announcements[message.transfer] as Announcement;
    if (message.descriptorLength > 0 !== this.#core.rdmaRead) return 'wrong variant';
    // DONE may be on its way: then nobody wants to know.
    if (!announcement.active) return '';
    if (announcement.isReady || announcement.rest !== message.rest) return 'nothing to renew';
    announcement.isReady = true;
    announcement.descriptorLength = message.descriptorLength;
    copyBytes(from, message.descriptorOffset, announcement.descriptor, 0, message.descriptorLength);
    return '';
  }

  /** What is announced and not done, for the next controller; no pull is under way. */
  save(): AnnouncementState[] {
    if (this.#slots === null) return [];
    return this.announcements.flatMap(
      ({ active, rest, assigned, ended, storedBefore }, transfer) =>
        active ? [{ transfer, rest, assigned, ended, storedBefore }] : [],
    );
  }

  load(states: readonly AnnouncementState[]): void {
    for (const { transfer, rest, assigned, ended, storedBefore } of states) {
      const announcement = this.announcements[transfer] as Announcement;
      Object.assign(announcement, { active: true, rest, assigned, ended, storedBefore });
    }
    this.announcedCount = states.length;
  }

  /** A pull of this announcement can be started now. */
  mayStart(announcement: Announcement): boolean {
    return announcement.isReady && this.activeCount < this.#core.agreed.transferSlots;
  }

  /** Starts a pull of the next `length` bytes of a transfer; the caller has checked mayStart. */
  start(
    transfer: number,
    length: number,
    into: { request: SessionRequest | null; buffer: Uint8Array; offset: number },
  ): void {
    const announcement = this.announcements[transfer] as Announcement;
    const id = this.#pulls.findIndex((pull) => pull.state === PullState.idle);
    assert(id >= 0 && id < this.#core.agreed.transferSlots, 'a pull slot is free');
    const pull = this.#pulls[id] as Pull;
    pull.request = into.request;
    pull.transfer = transfer;
    pull.offset = announcement.assigned;
    pull.length = length;
    pull.moved = 0;
    pull.buffer = into.buffer;
    pull.bufferOffset = into.offset;
    pull.registered = false;
    pull.bounced = false;
    announcement.assigned += length;
    this.activeCount++;
    if (into.request !== null) {
      this.#register(id, pull);
      return;
    }
    assert(this.#stagingOwner < 0, 'one pull at a time uses the staging buffer');
    this.#stagingOwner = id;
    this.#next(id, pull);
  }

  handleRegistered(id: number, descriptor: Uint8Array | null, length: number, error: number): void {
    const pull = this.#pulls[id] as Pull;
    if (pull.state !== PullState.registering) return;
    if (error !== 0 || length > DESCRIPTOR_BYTES_MAX) {
      if (error === 0) this.#core.actions.push(ActionKind.deregister, id, 0);
      this.#bounce(id, pull);
      return;
    }
    pull.registered = true;
    if (this.#core.rdmaRead) {
      this.#read(id, pull);
      return;
    }
    assert(descriptor !== null && length > 0, 'memory exposed to the peer has a descriptor');
    pull.descriptorLength = length;
    copyBytes(descriptor, 0, pull.descriptor, 0, length);
    pull.state = PullState.exposing;
    this.#core.targetMask |= 1 << id;
  }

  /** Sends TARGET for `id`; the caller has checked credits and buffers. */
  sendTarget(id: number): void {
    const core = this.#core;
    const pull = this.#pulls[id] as Pull;
    const index = core.take();
    const part = { offset: pull.offset + pull.moved, length: pull.chunk };
    const at = emitTarget(core.sendWords[index] as Int32Array, part, pull.descriptorLength);
    copyBytes(pull.descriptor, 0, core.sendBuffers[index] as Uint8Array, at, pull.descriptorLength);
    core.post(
      index,
      at + pull.descriptorLength,
      kindWord(MessageType.target, 0, pull.transfer, id),
      0,
    );
    assert(at >= HEADER_BYTES, 'a descriptor lies behind the header');
    pull.state = PullState.exposed;
  }

  /** The peer has written what pull `id` exposed. Returns '' or what is wrong with that. */
  handleWritten(id: number): string {
    const pull = this.#pulls[id];
    if (pull?.state !== PullState.exposed) return 'pull not waiting for a write';
    this.#chunkEnded(id, pull);
    return '';
  }

  handleReadComplete(id: number, error: number): void {
    const pull = this.#pulls[id] as Pull;
    const request = pull.request;
    if (request !== null && !pull.bounced) request.calls--;
    if (this.#core.over) {
      if (request !== null) this.#core.callEnded(request);
    } else if (error !== 0) {
      this.#core.fail(error);
      if (request !== null) this.#core.callEnded(request);
    } else {
      this.#chunkEnded(id, pull);
    }
  }

  /** Nobody wants what is left of a transfer. */
  discard(transfer: number): void {
    const announcement = this.announcements[transfer] as Announcement;
    announcement.ended += announcement.rest - announcement.assigned;
    announcement.assigned = announcement.rest;
    this.#maybeDone(transfer);
  }

  failAll(): void {
    if (this.#slots === null) return;
    for (const pull of this.#pulls) pull.state = PullState.idle;
    for (const announcement of this.announcements) announcement.active = false;
    this.activeCount = 0;
    this.announcedCount = 0;
    this.#stagingOwner = -1;
  }

  fillRegister(id: number, action: SessionAction): void {
    const pull = this.#pulls[id] as Pull;
    this.#fillMemory(pull, action);
    action.access = this.#core.rdmaRead ? Access.local : Access.remoteWrite;
    action.length = this.#viaStaging(pull) ? pull.chunk : pull.length;
  }

  fillRead(id: number, action: SessionAction): void {
    const pull = this.#pulls[id] as Pull;
    const announcement = this.announcements[pull.transfer] as Announcement;
    if (pull.request !== null && !pull.bounced) pull.request.calls++;
    this.#fillMemory(pull, action);
    action.length = pull.chunk;
    action.registrationSlot = this.#viaStaging(pull)
      ? STAGING_REGISTRATION
      : this.#core.limits.transferSlots + id;
    action.descriptor = announcement.descriptor;
    action.descriptorLength = announcement.descriptorLength;
    action.remoteOffset = pull.offset + pull.moved;
  }

  #viaStaging(pull: Pull): boolean {
    return pull.bounced || pull.request === null;
  }

  #fillMemory(pull: Pull, action: SessionAction): void {
    // What is copied on starts at 0 each time; what readers will find there is put together.
    action.buffer = pull.bounced ? this.#core.stagingBuffer : pull.buffer;
    action.offset = pull.bounced ? 0 : pull.bufferOffset + pull.moved;
  }

  #register(id: number, pull: Pull): void {
    pull.state = PullState.registering;
    if (!this.#viaStaging(pull)) pull.chunk = pull.length;
    this.#core.actions.push(ActionKind.register, this.#core.limits.transferSlots + id, 0);
  }

  /** The next chunk of a pull through the staging buffer. */
  #next(id: number, pull: Pull): void {
    pull.chunk = Math.min(pull.length - pull.moved, this.#core.stagingBuffer.length);
    if (this.#core.rdmaRead) this.#read(id, pull);
    else this.#register(id, pull);
  }

  #read(id: number, pull: Pull): void {
    pull.state = PullState.reading;
    const left = pull.length - pull.moved;
    const room = this.#viaStaging(pull) ? Math.min(left, this.#core.stagingBuffer.length) : left;
    pull.chunk = Math.min(room, this.#core.agreed.rdmaBytesMax);
    this.#core.actions.push(ActionKind.rdmaRead, this.#core.limits.transferSlots + id, 0);
  }

  /**
   * The receive's memory cannot be registered: its data takes the way through the staging buffer.
   */
  #bounce(id: number, pull: Pull): void {
    if (this.#viaStaging(pull)) {
      this.#core.fail(WSAENOBUFS);
      return;
    }
    this.#core.needStaging();
    pull.bounced = true;
    pull.state = PullState.waiting;
    this.#lendStaging();
  }

  #lendStaging(): void {
    if (this.#stagingOwner >= 0) return;
    const id = this.#pulls.findIndex((pull) => pull.state === PullState.waiting);
    if (id < 0) return;
    this.#stagingOwner = id;
    this.#next(id, this.#pulls[id] as Pull);
  }

  #chunkEnded(id: number, pull: Pull): void {
    const staging = this.#viaStaging(pull);
    if (staging && pull.request !== null) {
      copyBytes(
        this.#core.stagingBuffer,
        0,
        pull.buffer,
        pull.bufferOffset + pull.moved,
        pull.chunk,
      );
    }
    pull.moved += pull.chunk;
    this.#core.statistics.bytesInByRdma += pull.chunk;
    // What goes through staging in variant B is exposed afresh, chunk by chunk.
    const finished = pull.moved === pull.length;
    if (pull.registered && (finished || staging)) {
      this.#core.actions.push(ActionKind.deregister, this.#core.limits.transferSlots + id, 0);
      pull.registered = false;
    }
    if (!finished) {
      this.#again(id, pull, staging);
      return;
    }
    pull.state = PullState.idle;
    this.activeCount--;
    const announcement = this.announcements[pull.transfer] as Announcement;
    announcement.ended += pull.length;
    if (this.#stagingOwner === id) {
      this.#stagingOwner = -1;
      this.#lendStaging();
    }
    this.#maybeDone(pull.transfer);
    const request = pull.request;
    pull.request = null;
    this.onPulled(request, pull.length);
  }

  #again(id: number, pull: Pull, staging: boolean): void {
    if (staging) this.#next(id, pull);
    else this.#read(id, pull);
  }

  #maybeDone(transfer: number): void {
    const announcement = this.announcements[transfer] as Announcement;
    if (!announcement.active || announcement.ended < announcement.rest) return;
    announcement.active = false;
    this.announcedCount--;
    this.#core.doneMask |= 1 << transfer;
  }
}
