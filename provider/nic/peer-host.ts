// Another host of the fabric, as an engine knows it: its mapped segment, its wake pipe, and whether
// it lives. One per peer and engine, however many connections there are.

import type { PeerHost as MappedHost } from '../../native/fabric-directory.js';
import { waitOnWord } from '../../native/futex.js';
import { PARKED_NO, QUEUE_PAIR_SLOTS, segmentHeader } from '../../native/layout/segment.layout.js';
import type { SharedView } from '../../native/shared-view.js';
import { CACHE_LINE_BYTES } from '../../native/layout/struct.js';
import type { Frame } from './cm-frame.js';
import { writeFrame } from './cm-frame.js';
import { queuePairState } from './layout.js';
import type { WireEndpoint } from './layout.js';
import { ENTRY_BYTES, WIRE_SLOTS } from './limits.js';
import { PROCESS_SPACE } from './mover.js';
import { NO_PROCESS } from './process-of.js';

const PARKED = segmentHeader.word('engineParked');
const FRAMES_WAITING = segmentHeader.word('framesWaiting');
const SUMMARY = segmentHeader.word('readySummary');
const READY = segmentHeader.word('readyMap');

export class PeerHost {
  readonly address: number;
  readonly generation: number;
  /** NO_PROCESS when its segment states one that is not its own. */
  readonly processId: number;
  /** Where its segment lies in our arena, and how long it is. */
  readonly offset: number;
  readonly bytes: number;
  alive = true;
  /** The peer's engine can read and write this process's own memory. */
  reachesUs = false;
  /** And ours the peer's own. */
  isReached = false;
  readonly #host: MappedHost;
  readonly #view: SharedView;
  readonly #isSameProcess: boolean;
  readonly #base: number;
  /** Frames that its pipe had no room for. */
  readonly #outbox: Uint8Array[] = [];
  readonly #wake: Uint8Array;

  /** `processId` was verified, or is NO_PROCESS; `isHere` says that it would be this process. */
  constructor(
    host: MappedHost,
    view: SharedView,
    options: { processId: number; isHere: boolean; wake: Uint8Array },
  ) {
    const { processId, isHere, wake } = options;
    const segment = host.segment;
    this.#host = host;
    this.#view = view;
    this.#isSameProcess = isHere && processId !== NO_PROCESS;
    this.#base = segment.word(0);
    this.#wake = wake;
    this.address = segment.address;
    this.generation = segment.generation;
    this.processId = processId;
    this.offset = segment.offset;
    this.bytes = segment.bytes;
  }

  get pipeDescriptor(): number {
    return this.#host.pipe.fd;
  }

  /** Asks the kernel whether the peer still lives. */
  isAlive(): boolean {
    return this.alive && this.#host.pipe.isAlive();
  }

  /** The process id that NativeBinding.move wants for an address of this peer. */
  moveId(address: number): number {
    return address < PROCESS_SPACE || this.#isSameProcess ? 0 : this.processId;
  }

  /** Sleeps for at most `nanos` while a word of its segment, by arena index, stays as it is. */
  pauseOn(word: number, nanos: number): void {
    const { arena } = this.#host.segment;
    waitOnWord(arena, word, this.#view.loadAcquire(word), nanos);
  }

  wordIndex(byteOffset: number): number {
    return this.#base + byteOffset / 4;
  }

  /** Whether what a peer says of its ring and state lies in its segment, aligned, apart from the header. */
  isValidEndpoint(endpoint: WireEndpoint): boolean {
    return (
      endpoint.slot < QUEUE_PAIR_SLOTS &&
      this.#isBlock(endpoint.ring, WIRE_SLOTS * ENTRY_BYTES) &&
      this.#isBlock(endpoint.state, queuePairState.bytes)
    );
  }

  #isBlock(offset: number, bytes: number): boolean {
    return (
      offset % CACHE_LINE_BYTES === 0 &&
      offset >= segmentHeader.bytes &&
      offset + bytes <= this.bytes
    );
  }

  /** Tells the peer that one of its queue pairs has news: its ready bit, and a wake-up if it sleeps. */
  ringDoorbell(slot: number): void {
    ringDoorbell(this.#view, this.#base, slot);
    if (this.#view.loadAcquire(this.#base + PARKED) !== PARKED_NO) this.wake();
  }

  wake(): void {
    // A full pipe has wakened its owner already.
    if (this.alive) this.#host.pipe.write(this.#wake);
  }

  /** Sends a frame, or keeps it for retry() when the pipe is full. */
  send(frame: Frame): void {
    if (!this.alive) return;
    const bytes = writeFrame(frame);
    if (this.isCongested || !this.#put(bytes)) this.#outbox.push(bytes.slice());
  }

  /** Whether frames still wait. */
  get isCongested(): boolean {
    return this.#outbox.length > 0;
  }

  retry(): void {
    while (this.isCongested && this.#put(this.#outbox[0] as Uint8Array)) this.#outbox.shift();
  }

  /** False when the pipe is full. */
  #put(bytes: Uint8Array): boolean {
    // A peer that is gone is reported by its pipe; what was meant for it has no reader.
    if (this.#host.pipe.write(bytes) === 'full') return false;
    // An engine that is awake looks here in every turn, and at its descriptors only now and then.
    this.#view.storeRelease(this.#base + FRAMES_WAITING, 1);
    return true;
  }

  close(): void {
    this.alive = false;
    this.#outbox.length = 0;
    this.#host.close();
  }
}

/** Sets the ready bit of a queue pair slot in the header at word `base`: map first, then summary. */
export function ringDoorbell(view: SharedView, base: number, slot: number): void {
  const word = slot >>> 5;
  view.or(base + READY + word, 1 << (slot & 31));
  view.or(base + SUMMARY + (word >>> 5), 1 << (word & 31));
}
