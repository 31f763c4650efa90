// Large transfers at the sender: memory is registered, announced behind its initial portion, and
// then read by the peer (variant A) or written by us where the peer says (variant B). Source:
// docs/session-protocol.md "Large data"; XFER-08 … XFER-11, XFER-13, RDMA-09.

import { WSAENOBUFS } from '../../provider/spi/error-codes.js';
import type { SessionAction } from './actions.js';
import { Access, ActionKind } from './actions.js';
import { copyBytes } from './copy.js';
import type { SessionCore } from './core.js';
import { advance, contiguous } from './core.js';
import {
  ANNOUNCE_BYTES,
  DESCRIPTOR_BYTES_MAX,
  HEADER_BYTES,
  TRANSFER_BYTES_MAX,
} from './limits.js';
import type { Message } from './messages.js';
import { emitAnnounce, kindWord, MessageType } from './messages.js';
import type { SessionRequest } from './request.js';

const SourceState = {
  idle: 0,
  registering: 1,
  registered: 2,
  announced: 3,
  /** Announced, and out of the peer's reach while the session is suspended. [DUP-09] */
  dormant: 4,
  /** Registered again, to be told by RENEW. */
  renewing: 5,
} as const;

class Source {
  state: (typeof SourceState)[keyof typeof SourceState] = SourceState.idle;
  request: SessionRequest | null = null;
  buffer: Uint8Array = new Uint8Array(0);
  /** Where the rest starts in `buffer`, behind the initial portion. */
  offset = 0;
  initial = 0;
  rest = 0;
  /** Variant B: bytes the peer has asked for, and writes under way or not yet reported. */
  asked = 0;
  writes = 0;
  readonly descriptor = new Uint8Array(DESCRIPTOR_BYTES_MAX);
  descriptorLength = 0;
}

const WriteState = { idle: 0, writing: 1, written: 2 } as const;

/** One WSPRdmaWrite after another into one target; indexed by the peer's pull. */
class Write {
  state: (typeof WriteState)[keyof typeof WriteState] = WriteState.idle;
  source = 0;
  offset = 0;
  length = 0;
  moved = 0;
  chunk = 0;
  request: SessionRequest | null = null;
  readonly descriptor = new Uint8Array(DESCRIPTOR_BYTES_MAX);
  descriptorLength = 0;
}

export class Sources {
  readonly #core: SessionCore;
  /** Made for the first large transfer: most connections never have one. */
  #slots: { readonly sources: readonly Source[]; readonly writes: readonly Write[] } | null = null;
  /** The source that the head of the send queue waits to announce; -1 for none. */
  #pending = -1;
  /** What Outbound wants to know: a registration failed; a transfer of a request ended. */
  onRegistrationFailed: (request: SessionRequest) => void = () => undefined;
  onEnded: (request: SessionRequest) => void = () => undefined;

  constructor(core: SessionCore) {
    this.#core = core;
  }

  get #made(): { readonly sources: readonly Source[]; readonly writes: readonly Write[] } {
    const length = this.#core.limits.transferSlots;
    return (this.#slots ??= {
      sources: Array.from({ length }, () => new Source()),
      writes: Array.from({ length }, () => new Write()),
    });
  }

  get #sources(): readonly Source[] {
    return this.#made.sources;
  }

  get #writes(): readonly Write[] {
    return this.#made.writes;
  }

  /** Transfers that the peer has not finished with. */
  get activeCount(): number {
    if (this.#slots === null) return 0;
    return this.#sources.filter((source) => source.state !== SourceState.idle).length;
  }

  get activeWriteCount(): number {
    if (this.#slots === null) return 0;
    return this.#writes.filter((write) => write.state !== WriteState.idle).length;
  }

  /**
   * Brings the contiguous part at the cursor of `request` one step on. True once it is announced.
   */
  announce(request: SessionRequest): boolean {
    const core = this.#core;
    if (this.#pending < 0) {
      this.#begin(request);
      return false;
    }
    const id = this.#pending;
    const source = this.#sources[id] as Source;
    if (source.state !== SourceState.registered) return false;
    if (!core.credits.maySendData || !core.hasFreeBuffer()) return false;
    const index = core.take();
    const target = core.sendBuffers[index] as Uint8Array;
    const descriptorAt = emitAnnounce(
      core.sendWords[index] as Int32Array,
      source.rest,
      source.descriptorLength,
    );
    copyBytes(source.descriptor, 0, target, descriptorAt, source.descriptorLength);
    const payloadAt = descriptorAt + source.descriptorLength;
    copyBytes(source.buffer, request.cursorOffset, target, payloadAt, source.initial);
    advance(request, source.initial + source.rest);
    request.transfers++;
    source.state = SourceState.announced;
    core.sendProgress++;
    this.#pending = -1;
    core.post(
      index,
      payloadAt + source.initial,
      kindWord(MessageType.announce, 0, id, 0),
      source.initial,
    );
    return true;
  }

  /** What was to be announced next is not; its memory is taken back. */
  withdraw(): void {
    const id = this.#pending;
    if (id < 0) return;
    const source = this.#sources[id] as Source;
    this.#pending = -1;
    source.request = null;
    if (source.state !== SourceState.registered) return;
    this.#core.actions.push(ActionKind.deregister, id, 0);
    this.#release(source);
  }

  /** Each request that has announced transfers, once. */
  forEachRequest(visit: (request: SessionRequest) => void): void {
    if (this.#slots === null) return;
    for (const [id, { state, request }] of this.#sources.entries()) {
      if (state < SourceState.announced || request === null) continue;
      if (this.#sources.findIndex((other) => other.request === request) === id) visit(request);
    }
  }

  handleRegistered(id: number, descriptor: Uint8Array | null, length: number, error: number): void {
    const source = this.#sources[id] as Source;
    if (source.state === SourceState.renewing) {
      this.#handleRenewed(id, descriptor, length, error);
      return;
    }
    if (source.state !== SourceState.registering) return;
    const { request } = source;
    const isFailure = error !== 0 || length > DESCRIPTOR_BYTES_MAX;
    if (isFailure || request === null) {
      if (error === 0) this.#core.actions.push(ActionKind.deregister, id, 0);
      this.#release(source);
      // Withdrawn meanwhile, or else nobody's to wait for any more.
      if (request === null) return;
      this.#pending = -1;
      this.onRegistrationFailed(request);
      return;
    }
    this.#keepDescriptor(source, descriptor, length);
    source.state = SourceState.registered;
  }

  #keepDescriptor(source: Source, descriptor: Uint8Array | null, length: number): void {
    source.descriptorLength = this.#core.agreed.peerPulls ? length : 0;
    if (descriptor !== null)
      copyBytes(descriptor, 0, source.descriptor, 0, source.descriptorLength);
  }

  /**
   * Variant B: the peer says where a part of a transfer goes. Returns '' or what is wrong with it.
   */
  handleTarget(message: Message, from: Uint8Array): string {
    const slots = this.#core.agreed.transferSlots;
    if (message.transfer >= slots || message.pull >= slots) return 'slot out of range';
    const source = this.#sources[message.transfer] as Source;
    const write = this.#writes[message.pull] as Write;
    if (source.state !== SourceState.announced || this.#core.agreed.peerPulls)
      return 'nothing to push';
    if (write.state !== WriteState.idle) return 'pull still outstanding';
    if (message.offset + message.length > source.rest) return 'target outside the transfer';
    if (source.asked + message.length > source.rest) return 'more asked for than there is';
    source.asked += message.length;
    source.writes++;
    write.state = WriteState.writing;
    write.source = message.transfer;
    write.offset = message.offset;
    write.length = message.length;
    write.moved = 0;
    write.request = source.request;
    write.descriptorLength = message.descriptorLength;
    copyBytes(from, message.descriptorOffset, write.descriptor, 0, message.descriptorLength);
    this.#nextWrite(message.pull, write);
    return '';
  }

  /** The peer wants nothing more of a transfer. Returns '' or what is wrong with that. */
  handleDone(id: number): string {
    if (id >= this.#core.agreed.transferSlots) return 'slot out of range';
    const source = this.#sources[id] as Source;
    if (source.state < SourceState.announced) return 'transfer not outstanding';
    if (source.writes > 0) return 'a write is under way';
    const request = source.request as SessionRequest;
    if (this.#core.agreed.peerPulls) this.#core.statistics.bytesOutByRdma += source.rest;
    // A transfer that sleeps has nothing registered, and one that wakes may not have been told yet.
    if (source.state !== SourceState.dormant) this.#core.actions.push(ActionKind.deregister, id, 0);
    this.#core.renewMask &= ~(1 << id);
    this.#release(source);
    request.transfers--;
    this.#core.sendProgress++;
    this.onEnded(request);
    return '';
  }

  // Suspension [DUP-09] ------------------------------------------------------------------------

  /** A registration has been asked for and not been answered. */
  get isRegistering(): boolean {
    if (this.#slots === null) return false;
    return this.#sources.some(({ state }) => state === SourceState.registering);
  }

  /** Takes all memory out of reach: what is announced keeps its place, the next is begun anew. */
  suspend(): void {
    if (this.#slots === null) return;
    this.withdraw();
    for (const [id, source] of this.#sources.entries()) {
      if (source.state !== SourceState.announced) continue;
      this.#core.actions.push(ActionKind.deregister, id, 0);
      source.state = SourceState.dormant;
    }
    this.#core.renewMask = 0;
  }

  /** What was announced before is registered again, and told by RENEW. */
  renew(): void {
    if (this.#slots === null) return;
    for (const [id, source] of this.#sources.entries()) {
      if (source.state !== SourceState.dormant) continue;
      source.state = SourceState.renewing;
      this.#core.actions.push(ActionKind.register, id, 0);
    }
  }

  /** Sends RENEW for `id`; the caller has checked credits and buffers. */
  sendRenew(id: number): void {
    const core = this.#core;
    const { rest, descriptor, descriptorLength } = this.#sources[id] as Source;
    const index = core.take();
    const at = emitAnnounce(core.sendWords[index] as Int32Array, rest, descriptorLength);
    copyBytes(descriptor, 0, core.sendBuffers[index] as Uint8Array, at, descriptorLength);
    core.post(index, at + descriptorLength, kindWord(MessageType.renew, 0, id, 0), 0);
  }

  #handleRenewed(id: number, descriptor: Uint8Array | null, length: number, error: number): void {
    // ERR-02: the peer holds a place for bytes that nothing can bring any more.
    if (error !== 0 || length > DESCRIPTOR_BYTES_MAX) {
      this.#core.fail(WSAENOBUFS);
      return;
    }
    const source = this.#sources[id] as Source;
    this.#keepDescriptor(source, descriptor, length);
    source.state = SourceState.announced;
    this.#core.renewMask |= 1 << id;
  }

  handleWriteComplete(pull: number, error: number): void {
    const write = this.#writes[pull] as Write;
    const request = write.request as SessionRequest;
    request.calls--;
    if (this.#core.over) {
      this.#core.callEnded(request);
      return;
    }
    if (error !== 0) {
      this.#core.fail(error);
      return;
    }
    write.moved += write.chunk;
    this.#core.sendProgress++;
    this.#core.statistics.bytesOutByRdma += write.chunk;
    if (write.moved < write.length) {
      this.#nextWrite(pull, write);
      return;
    }
    write.state = WriteState.written;
    this.#core.writtenMask |= 1 << pull;
  }

  /** WRITTEN for `pull` leaves: the peer may use the pull again. */
  writtenSent(pull: number): void {
    const write = this.#writes[pull] as Write;
    (this.#sources[write.source] as Source).writes--;
    write.state = WriteState.idle;
    write.request = null;
  }

  fillRegister(id: number, action: SessionAction): void {
    const source = this.#sources[id] as Source;
    action.buffer = source.buffer;
    action.offset = source.offset;
    action.length = source.rest;
    action.access = this.#core.agreed.peerPulls ? Access.remoteRead : Access.local;
  }

  fillWrite(pull: number, action: SessionAction): void {
    const write = this.#writes[pull] as Write;
    const source = this.#sources[write.source] as Source;
    (write.request as SessionRequest).calls++;
    action.buffer = source.buffer;
    action.offset = source.offset + write.offset + write.moved;
    action.length = write.chunk;
    action.registrationSlot = write.source;
    action.descriptor = write.descriptor;
    action.descriptorLength = write.descriptorLength;
    action.remoteOffset = write.moved;
  }

  failAll(error: number): void {
    if (this.#slots === null) return;
    for (const source of this.#sources) {
      if (source.request !== null) this.#core.finishFailed(source.request, error);
      this.#release(source);
    }
    // Writes keep their request: the end of a call that is still at work finishes it.
    for (const write of this.#writes) write.state = WriteState.idle;
    this.#pending = -1;
  }

  #begin(request: SessionRequest): void {
    const core = this.#core;
    let id = 0;
    while (
      id < core.agreed.transferSlots &&
      (this.#sources[id] as Source).state !== SourceState.idle
    )
      id++;
    if (id === core.agreed.transferSlots || !core.established) return;
    const source = this.#sources[id] as Source;
    const room = core.agreed.messageBytes - HEADER_BYTES - ANNOUNCE_BYTES - DESCRIPTOR_BYTES_MAX;
    const part = contiguous(request);
    // At least one byte is left for RDMA. The window is at least as open when the message leaves.
    source.initial = Math.min(core.limits.initialBytes, room, core.credits.windowLeft, part - 1);
    source.rest = Math.min(part - source.initial, TRANSFER_BYTES_MAX);
    source.buffer = (request.buffers[request.cursorBuffer] as { buf: Uint8Array }).buf;
    source.offset = request.cursorOffset + source.initial;
    source.request = request;
    source.asked = 0;
    source.writes = 0;
    source.state = SourceState.registering;
    this.#pending = id;
    core.actions.push(ActionKind.register, id, 0);
  }

  #nextWrite(pull: number, write: Write): void {
    write.chunk = Math.min(write.length - write.moved, this.#core.agreed.rdmaBytesMax);
    const slots = this.#core.limits.transferSlots;
    this.#core.actions.push(ActionKind.rdmaWrite, 2 * slots + pull, 0);
  }

  #release(source: Source): void {
    source.state = SourceState.idle;
    source.request = null;
  }
}
