// What a session asks of its shell, in the order in which it is to be done. The queue holds numbers
// only; what an RDMA action needs is read from its slot when the action is polled, which is sound
// because a slot has one thing under way at a time. Executes nothing. Source: docs/session-
// protocol.md "Shell"; wsd-spec XFER-04, XFER-09, XFER-10.

import { assert } from '../../runtime/assert.js';

export const ActionKind = {
  none: 0,
  /** WSPRecv into receive buffer `index`, whole. */
  postReceive: 1,
  /** WSPSend of the first `length` bytes of send buffer `index`; ends with handleSendComplete. */
  sendMessage: 2,
  /**
   * Register `length` bytes at `offset` of `buffer` for `slot` as `access` says; ends with
   * handleRegistered(slot, …), which may be called at once.
   */
  register: 3,
  /** End the registration that `slot` holds. Before the request concerned is polled as complete. */
  deregister: 4,
  /** WSPRdmaRead: `length` bytes from `remoteOffset` of `descriptor` to `offset` of `buffer`. */
  rdmaRead: 5,
  /** WSPRdmaWrite: `length` bytes at `offset` of `buffer` to `remoteOffset` of `descriptor`. */
  rdmaWrite: 6,
  /** The negotiation is complete: the application's connect or accept may succeed. */
  connectComplete: 7,
  /** All that the peer will ever send has arrived (not: has been read). */
  peerShutdown: 8,
  /** Urgent data has arrived; see Session.urgentMark. */
  urgent: 9,
  /** Both directions are finished and known to be: close the SAN socket. */
  disconnect: 10,
  /** The session has failed with `error`: close the SAN socket at once. */
  abort: 11,
  /** A suspension begins: poll for calls, read the clock for every event; ends with handleHeld. */
  hold: 12,
  /** Both sides are quiet: the connection may be handed to another process, or resumed. */
  quiet: 13,
  /** The suspension is over. */
  release: 14,
} as const;
export type ActionKind = (typeof ActionKind)[keyof typeof ActionKind];

export const Access = {
  /** WSPRegisterMemory: our own RDMA call reads or writes it. */
  local: 0,
  /** WSPRegisterRdmaMemory with MEM_READ: the peer reads it. */
  remoteRead: 1,
  /** WSPRegisterRdmaMemory with MEM_WRITE: the peer writes it. */
  remoteWrite: 2,
} as const;
export type Access = (typeof Access)[keyof typeof Access];

/** `registrationSlot` of an RDMA call on the staging buffer, which the shell registers once. */
export const STAGING_REGISTRATION = -1;

/** One action, filled by Session.pollAction; only the fields its kind names mean anything. */
export class SessionAction {
  kind: ActionKind = ActionKind.none;
  /** postReceive, sendMessage. */
  index = 0;
  /** sendMessage, register, rdmaRead, rdmaWrite: bytes. */
  length = 0;
  /** register, deregister, rdmaRead, rdmaWrite: 0 … Session.slotCount - 1. */
  slot = 0;
  /** register. */
  access: Access = Access.local;
  /** register, rdmaRead, rdmaWrite: local memory. */
  buffer: Uint8Array | null = null;
  offset = 0;
  /** rdmaRead, rdmaWrite: the slot whose registration covers `buffer`, or STAGING_REGISTRATION. */
  registrationSlot = 0;
  /** rdmaRead, rdmaWrite: the peer's opaque descriptor; valid until the call ends. */
  descriptor: Uint8Array | null = null;
  descriptorLength = 0;
  remoteOffset = 0;
  /** abort: a Winsock error number. */
  error = 0;
}

/** Entries of a queue that has not held more: few sessions ever come to its bound. */
const FIRST_ENTRIES = 32;

/** A ring of (kind, index or slot, length) triples that does not grow past its bound, which is derived. */
export class ActionQueue {
  readonly #entriesMax: number;
  #words: Int32Array;
  #mask: number;
  #head = 0;
  #tail = 0;

  /** `capacity`: the most actions that can be pending at once; an assertion guards it. */
  constructor(capacity: number) {
    this.#entriesMax = 2 ** Math.ceil(Math.log2(capacity));
    const entries = Math.min(this.#entriesMax, FIRST_ENTRIES);
    this.#words = new Int32Array(entries * 4);
    this.#mask = entries - 1;
  }

  get isEmpty(): boolean {
    return this.#head === this.#tail;
  }

  push(kind: ActionKind, index: number, length: number): void {
    if (((this.#tail - this.#head) | 0) > this.#mask) this.#grow();
    const at = (this.#tail & this.#mask) << 2;
    this.#words[at] = kind;
    this.#words[at + 1] = index;
    this.#words[at + 2] = length;
    this.#tail = (this.#tail + 1) | 0;
  }

  /**
   * Takes the oldest triple into `action` (kind, index, slot, length). False when there is none.
   */
  shift(action: SessionAction): boolean {
    if (this.#head === this.#tail) return false;
    const at = (this.#head & this.#mask) << 2;
    action.kind = this.#words[at] as ActionKind;
    action.index = this.#words[at + 1] as number;
    action.slot = action.index;
    action.length = this.#words[at + 2] as number;
    this.#head = (this.#head + 1) | 0;
    return true;
  }

  #grow(): void {
    const entries = this.#mask + 1;
    assert(entries < this.#entriesMax, 'more actions pending than there can be');
    const words = new Int32Array(2 * entries * 4);
    // In order from the start, whatever the place of the oldest was.
    const oldest = (this.#head & this.#mask) << 2;
    words.set(this.#words.subarray(oldest));
    words.set(this.#words.subarray(0, oldest), this.#words.length - oldest);
    this.#words = words;
    this.#mask = 2 * entries - 1;
    this.#head = 0;
    this.#tail = entries;
  }

  /** Forgets everything: what a failed session had still asked for. */
  clear(): void {
    this.#head = this.#tail;
  }
}
