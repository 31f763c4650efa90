// Two sessions and a fake transport between them, driven in virtual time from one seed. The
// transport does what a provider may do and no more: messages in order, each into one posted
// receive (none posted is a failure of the test, except for the negotiation, SESS-06); completions
// in any order; RDMA only within live registrations of the right kind; abortive close that loses
// what is on its way.

import { expect } from 'vitest';
import { Prng } from '../../../runtime/prng.js';
import { WSAECONNRESET, type EndOptions, End, type Region } from './end.js';

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
      expect(end.posted.length, `${end.name}: receives`).toBe(end.receivesKept);
      const { creditsAvailable } = end.session;
      const owed = end.peer.receivesKept - creditsAvailable;
      // What is not yet said is less than what must be said.
      expect(owed).toBeGreaterThanOrEqual(0);
      expect(owed).toBeLessThan(Math.max(2, end.peer.receivesKept >> 1));
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
