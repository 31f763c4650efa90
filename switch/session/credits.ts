// The two counts that keep a sender within what its peer has room for: messages against posted
// receives, payload bytes against the window. All counters are totals modulo 2^32, kept as 32-bit
// integers and compared by difference. Source: docs/session-protocol.md "Credits", "Window";
// XFER-06.
//
// The deadlock this avoids: both sides without credits, each owing the other all it has reposted,
// neither able to say so. The last credit is therefore spent only by an update that grants at least
// half of the receives. Were both at 0 with everything consumed, each would have consumed the
// other's last update after sending its own; but an update consumed so late leaves the credits it
// grants unspent, so that side would not be at 0. The guide gives the argument in full.

import { CONTROL_RESERVE, creditTrigger, DATA_RESERVE } from './limits.js';

// V8 checks an import at every use, and a constant of the module once.
const RESERVE = DATA_RESERVE;

export class Credits {
  // What we offer.
  private receiveCount: number;
  private readonly windowBytes: number;
  private trigger: number;
  private postedTotal = 0;
  private postedTold = 0;
  private received = 0;
  private payloadIn = 0;
  private payloadFreed = 0;
  private windowTold: number;
  // What the peer offers.
  private peerReceiveCount = 0;
  private peerWindowBytes = 0;
  private granted = 0;
  private sentTotal = 0;
  private window = 0;
  private payloadOut = 0;

  constructor(receiveCount: number, windowBytes: number) {
    this.receiveCount = receiveCount;
    this.windowBytes = windowBytes;
    this.trigger = creditTrigger(receiveCount);
    this.windowTold = windowBytes;
  }

  /** So many receives are kept posted from now on. */
  keep(receiveCount: number): void {
    this.receiveCount = receiveCount;
    this.trigger = creditTrigger(receiveCount);
  }

  /** Messages that the peer still has receives for. */
  get available(): number {
    return (this.granted - this.sentTotal) | 0;
  }

  /** Payload bytes that the peer still has room for. */
  get windowLeft(): number {
    return (this.window - this.payloadOut) | 0;
  }

  get maySendData(): boolean {
    return ((this.granted - this.sentTotal) | 0) > DATA_RESERVE;
  }

  /** A message with so many bytes of data may be sent. */
  maySend(payload: number): boolean {
    const credits = (this.granted - this.sentTotal) | 0;
    return credits > RESERVE && payload <= ((this.window - this.payloadOut) | 0);
  }

  get maySendControl(): boolean {
    return ((this.granted - this.sentTotal) | 0) > CONTROL_RESERVE;
  }

  /** An update is called for and may be sent. */
  get updateDue(): boolean {
    if (((this.postedTotal - this.postedTold) | 0) >= this.trigger) return this.available >= 1;
    // A window alone gives no credit, so it must not take the last one.
    const unsaid = (this.payloadFreed + this.windowBytes - this.windowTold) | 0;
    return unsaid * 2 >= this.windowBytes && this.maySendControl;
  }

  /** Receives posted and not yet consumed; equal to the receive count whenever all is reposted. */
  get postedNow(): number {
    return (this.postedTotal - this.received) | 0;
  }

  /** Receives posted that no message has told the peer of. */
  get unsaid(): number {
    return (this.postedTotal - this.postedTold) | 0;
  }

  /** Payload received and not yet freed. */
  get payloadHeld(): number {
    return (this.payloadIn - this.payloadFreed) | 0;
  }

  /** Learns what the negotiation said of the peer; its header follows through accept(). */
  negotiated(peerReceiveCount: number, peerWindowBytes: number): void {
    this.peerReceiveCount = peerReceiveCount;
    this.peerWindowBytes = peerWindowBytes;
  }

  /** A receive has been posted. */
  posted(): void {
    this.postedTotal = (this.postedTotal + 1) | 0;
  }

  /** Payload has left the store, or never needed it. */
  freed(bytes: number): void {
    this.payloadFreed = (this.payloadFreed + bytes) | 0;
  }

  /**
   * A message with `payload` bytes leaves. Returns its sequence; `granted` and `windowTotal` go
   * with it.
   */
  sent(payload: number): number {
    const sequence = this.sentTotal;
    this.sentTotal = (sequence + 1) | 0;
    this.payloadOut = (this.payloadOut + payload) | 0;
    this.postedTold = this.postedTotal;
    this.windowTold = (this.payloadFreed + this.windowBytes) | 0;
    return sequence;
  }

  get grantedTotal(): number {
    return this.postedTold;
  }

  get windowTotal(): number {
    return this.windowTold;
  }

  /** Takes the counters of a received message. Returns '' or what is wrong with them, and takes none. */
  accept(sequence: number, granted: number, window: number, payload: number): string {
    if (sequence !== this.received) return 'sequence out of order';
    if (((granted - this.granted) | 0) < 0) return 'credits taken back';
    if (((granted - this.sentTotal) | 0) > this.peerReceiveCount)
      return 'more credits than receives';
    if (((window - this.window) | 0) < 0) return 'window taken back';
    if (((window - this.payloadOut) | 0) > this.peerWindowBytes) return 'window too wide';
    const payloadIn = (this.payloadIn + payload) | 0;
    if (((this.windowTold - payloadIn) | 0) < 0) return 'payload beyond the window';
    this.received = (sequence + 1) | 0;
    this.granted = granted;
    this.window = window;
    this.payloadIn = payloadIn;
    return '';
  }

  /** All counters, for the next controller; in the order of load(). */
  save(): number[] {
    return [
      this.postedTotal,
      this.postedTold,
      this.received,
      this.payloadIn,
      this.payloadFreed,
      this.windowTold,
      this.peerReceiveCount,
      this.peerWindowBytes,
      this.granted,
      this.sentTotal,
      this.window,
      this.payloadOut,
    ];
  }

  load(counters: readonly number[]): void {
    const at = (index: number): number => counters[index] ?? 0;
    this.postedTotal = at(0);
    this.postedTold = at(1);
    this.received = at(2);
    this.payloadIn = at(3);
    this.payloadFreed = at(4);
    this.windowTold = at(5);
    this.peerReceiveCount = at(6);
    this.peerWindowBytes = at(7);
    this.granted = at(8);
    this.sentTotal = at(9);
    this.window = at(10);
    this.payloadOut = at(11);
  }

  /** For assertions: what was posted never exceeds the buffers there are. */
  get isConserved(): boolean {
    return this.postedNow >= 0 && this.postedNow <= this.receiveCount;
  }
}
