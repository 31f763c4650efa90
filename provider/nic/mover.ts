// Moves bytes between this host's memory and a peer's. A NIC address below PROCESS_SPACE is an offset
// in its owner's segment, which both sides have mapped; any other is an address of its owner's process
// plus PROCESS_SPACE, and the kernel (another process) or the pin table (this one) checks it. Nothing
// here checks rights: the caller has asked the region table first.

import type { NativeBinding } from '../../native/binding.js';
import type { SharedView } from '../../native/shared-view.js';
import type { PeerHost } from './peer-host.js';

/** Added to a process address to make it a NIC address. Sums stay exact: addresses are below 2^47. */
export const PROCESS_SPACE = 2 ** 52;
/** No process has an address from here on; the addon takes only numbers that it can convert. */
const ADDRESS_END = 2 ** 52;

export interface OwnMemory {
  /** Arena offset and length of the host's public segment. */
  readonly offset: number;
  readonly bytes: number;
}

export class Mover {
  private readonly view: SharedView;
  private readonly native: NativeBinding;
  private readonly own: OwnMemory;
  private readonly arenaAddress: number;
  private readonly doubles: Float64Array;
  private readonly ownDouble: number;

  constructor(view: SharedView, native: NativeBinding, own: OwnMemory, arenaAddress: number) {
    this.view = view;
    this.native = native;
    this.own = own;
    this.arenaAddress = arenaAddress;
    this.doubles = view.doubles;
    this.ownDouble = own.offset / 8;
  }

  /**
   * Copies a small payload between our segment at byte `offset`, a multiple of 8, and the slot whose
   * payload starts at arena word `word`. The caller has checked that the range is in our segment. No
   * number here ever needs a heap box.
   *
   * From the end to the beginning: the reader watches the first line of the slot, and the less time
   * lies between the first store to that line and the last, the fewer times it changes cores.
   */
  collectSmall(word: number, offset: number, length: number): void {
    const doubles = this.doubles;
    const target = word >>> 1;
    const source = this.ownDouble + (offset >>> 3);
    if ((length & 7) !== 0) this.copyTail(word, (this.ownDouble << 1) + (offset >>> 2), length);
    let at = length >>> 3;
    for (; at >= 4; at -= 4) {
      doubles[target + at - 1] = doubles[source + at - 1] as number;
      doubles[target + at - 2] = doubles[source + at - 2] as number;
      doubles[target + at - 3] = doubles[source + at - 3] as number;
      doubles[target + at - 4] = doubles[source + at - 4] as number;
    }
    for (at--; at >= 0; at--) doubles[target + at] = doubles[source + at] as number;
  }

  deliverSmall(word: number, offset: number, length: number): void {
    const doubles = this.doubles;
    const target = this.ownDouble + (offset >>> 3);
    const source = word >>> 1;
    const count = length >>> 3;
    let at = 0;
    for (; at + 4 <= count; at += 4) {
      doubles[target + at] = doubles[source + at] as number;
      doubles[target + at + 1] = doubles[source + at + 1] as number;
      doubles[target + at + 2] = doubles[source + at + 2] as number;
      doubles[target + at + 3] = doubles[source + at + 3] as number;
    }
    for (; at < count; at++) doubles[target + at] = doubles[source + at] as number;
    if ((length & 7) !== 0) this.copyTail((this.ownDouble << 1) + (offset >>> 2), word, length);
  }

  /** The last, incomplete eight bytes of a payload that starts at arena words `target`, `source`. */
  private copyTail(target: number, source: number, length: number): void {
    const words = this.view.words;
    let at = (length >>> 3) << 1;
    if ((length & 4) !== 0) {
      words[target + at] = words[source + at] as number;
      at++;
    }
    if ((length & 3) === 0) return;
    const bytes = this.view.bytes;
    for (let left = 0; left < (length & 3); left++) {
      bytes[(target + at) * 4 + left] = bytes[(source + at) * 4 + left] as number;
    }
  }

  /** The peer's memory at `from` → ours at `to`. False when either range does not exist. */
  pull(peer: PeerHost, from: number, to: number, length: number): boolean {
    if (from < PROCESS_SPACE && to < PROCESS_SPACE) {
      if (from + length > peer.bytes || to + length > this.own.bytes) return false;
      this.view.copy(this.own.offset + to, peer.offset + from, length);
      return true;
    }
    return this.move(
      0,
      this.ownAddress(to, length),
      peer.moveId(from),
      this.peerAddress(peer, from, length),
      length,
    );
  }

  /** Our memory at `from` → the peer's at `to`. */
  push(peer: PeerHost, to: number, from: number, length: number): boolean {
    if (from < PROCESS_SPACE && to < PROCESS_SPACE) {
      if (to + length > peer.bytes || from + length > this.own.bytes) return false;
      this.view.copy(peer.offset + to, this.own.offset + from, length);
      return true;
    }
    return this.move(
      peer.moveId(to),
      this.peerAddress(peer, to, length),
      0,
      this.ownAddress(from, length),
      length,
    );
  }

  /** Arena bytes at `arenaOffset` (a slot's payload) → our memory at `to`. */
  deliver(arenaOffset: number, to: number, length: number): boolean {
    if (to < PROCESS_SPACE) {
      if (to + length > this.own.bytes) return false;
      this.view.copy(this.own.offset + to, arenaOffset, length);
      return true;
    }
    return this.move(0, to - PROCESS_SPACE, 0, this.arenaAddress + arenaOffset, length);
  }

  /** Our memory at `from` → arena bytes at `arenaOffset`. */
  collect(arenaOffset: number, from: number, length: number): boolean {
    if (from < PROCESS_SPACE) {
      if (from + length > this.own.bytes) return false;
      this.view.copy(arenaOffset, this.own.offset + from, length);
      return true;
    }
    return this.move(0, this.arenaAddress + arenaOffset, 0, from - PROCESS_SPACE, length);
  }

  /** Whether the 8 bytes at `address` of another process can be read and hold `expected`. */
  probe(processId: number, address: number, expected: number, scratch: number): boolean {
    const target = this.arenaAddress + scratch;
    if (!this.move(0, target, processId, address, 8)) return false;
    return this.view.load64(scratch / 4) === expected;
  }

  private move(toPid: number, to: number, fromPid: number, from: number, length: number): boolean {
    if (length === 0) return true;
    if (to === 0 || from === 0) return false;
    // A peer may have written any 64 bits as an address.
    if (to >= ADDRESS_END || from >= ADDRESS_END) return false;
    return this.native.move(toPid, to, fromPid, from, length) === length;
  }

  private ownAddress(address: number, length: number): number {
    if (address >= PROCESS_SPACE) return address - PROCESS_SPACE;
    return address + length <= this.own.bytes ? this.arenaAddress + this.own.offset + address : 0;
  }

  private peerAddress(peer: PeerHost, address: number, length: number): number {
    if (address >= PROCESS_SPACE) return address - PROCESS_SPACE;
    return address + length <= peer.bytes ? this.arenaAddress + peer.offset + address : 0;
  }
}
