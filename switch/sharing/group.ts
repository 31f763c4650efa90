// Who controls a socket that several processes share, as one of them sees it: sans-I/O. One process
// controls; the others ask it, and it hands control on in the order of their asking, once what it has
// begun has ended. Events in, actions out, time is an argument; knows no sockets, sessions, providers.
// Source: docs/duplication.md, "Control"; DUP-01, DUP-03 … DUP-05, ERR-02.

import { WSAECONNABORTED } from '../../provider/spi/error-codes.js';
import { assert } from '../../runtime/assert.js';
import type { Nanos } from '../../runtime/clock.js';
import { milliseconds, seconds } from '../../runtime/clock.js';
import type { ControlMessage } from './messages.js';

/** How long control stays at least with somebody who has nothing queued: a nonblocking caller. */
export const TENURE_NANOS = milliseconds(50);
/** How long one who waits for control may take to come to its new holder. */
export const REJOIN_NANOS_MAX = seconds(2);

export type GroupPhase =
  | 'controls'
  /** Control is wanted elsewhere: what has begun comes to its end. */
  | 'yielding'
  /** Somebody else controls, or is about to. */
  | 'member'
  /** Control was granted; the connection is on its way here. */
  | 'taking'
  /** The connection has ended. */
  | 'ended'
  /** Closed here: nothing is left to do. */
  | 'gone';

export type GroupAction =
  | { readonly kind: 'send'; readonly to: number; readonly message: ControlMessage }
  /** Connect to whoever listens by this name: opened() with a number, or closed(0). */
  | { readonly kind: 'connect'; readonly name: string }
  | { readonly kind: 'disconnect'; readonly from: number }
  /** End what has begun, begin nothing: yielded() when all is quiet. [DUP-08] */
  | { readonly kind: 'yield' }
  /** Nobody takes it: go on. */
  | { readonly kind: 'resume' }
  /** Hand the connection over: handedOver() or failed(). [DUP-11] */
  | { readonly kind: 'hand-over'; readonly to: number }
  /** Take the connection over: taken() or failed(). [DUP-12] */
  | { readonly kind: 'take'; readonly state: Uint8Array }
  /** Control is here: what waits for it begins. [DUP-13] */
  | { readonly kind: 'begin' }
  /** The connection has ended: what waits ends with it. [ERR-02] */
  | { readonly kind: 'end'; readonly error: number }
  /** Closed here, and shared with nobody any more: end the connection gracefully. */
  | { readonly kind: 'close' };

interface Member {
  readonly id: number;
  readonly name: string;
}

export class Group {
  readonly #name: string;
  readonly #actions: GroupAction[] = [];
  #phase: GroupPhase;
  #error = 0;
  /** While controlling: those who have joined, and who waits for control, in order; by name. */
  readonly #members = new Map<number, Member>();
  #waiting: string[] = [];
  /** Duplicates that nobody has come with yet. */
  #offers = 0;
  /** While another process controls: the way to it. 0: none yet. */
  #hub = 0;
  #hubName = '';
  /** Who has sent this process there, and knows better if nobody is there any more. */
  #former = '';
  /** The moves of control before the one that is known here to be the last; -1: unknown. */
  #term: number;
  #wants = false;
  #leaving = false;
  #isQuiet = false;
  #tenureEnds: Nanos = 0;
  #rejoinEnds: Nanos = 0;

  private constructor(name: string, phase: GroupPhase, term: number) {
    this.#name = name;
    this.#term = term;
    this.#phase = phase;
  }

  /** The process that has the connection. `name`: by which others reach it. */
  static controlling(name: string): Group {
    return new Group(name, 'controls', 0);
  }

  /** A process that has taken a duplicate from the one that is reached by `hub`. */
  static joining(name: string, hub: string): Group {
    const group = new Group(name, 'member', -1);
    group.#connect(hub);
    return group;
  }

  get phase(): GroupPhase {
    return this.#phase;
  }

  /** What ended the connection: 0 after a graceful end. */
  get error(): number {
    return this.#error;
  }

  /** Closed here, it would be the end of the connection. */
  get isAlone(): boolean {
    return this.#phase === 'controls' && this.#members.size === 0 && this.#offers === 0;
  }

  /** When turn() must be called although nothing happens. */
  get deadline(): Nanos {
    if (this.#phase === 'yielding') return this.#isQuiet ? this.#rejoinEnds : Infinity;
    return this.#phase === 'controls' && this.#mustYield ? this.#tenureEnds : Infinity;
  }

  /** The next thing to do. Without `mayWait` those that wait for a provider stay where they are. */
  poll(mayWait: boolean): GroupAction | null {
    const [next] = this.#actions;
    if (next === undefined) return null;
    if (!mayWait && (next.kind === 'hand-over' || next.kind === 'take')) return null;
    this.#actions.shift();
    return next;
  }

  // What the application does ------------------------------------------------------------------

  /** A duplicate has been offered to another process. */
  offered(): void {
    this.#offers++;
  }

  /** It has something to do. Begins, or asks for control. [DUP-04] */
  want(): void {
    if (this.#phase === 'yielding') {
      if (!this.#waiting.includes(this.#name)) this.#waiting.push(this.#name);
    } else if (this.#phase === 'member' && !this.#wants && !this.#leaving) {
      this.#wants = true;
      if (this.#hub !== 0) this.#send(this.#hub, { kind: 'want' });
    }
  }

  /** What it wanted control for has begun: it need not be kept any longer than that takes. */
  used(): void {
    this.#tenureEnds = 0;
  }

  /** It has closed the socket. What it has begun still ends; others go on. */
  leave(now: Nanos): void {
    this.#leaving = true;
    this.#tenureEnds = 0;
    this.#waiting = this.#waiting.filter((name) => name !== this.#name);
    if (this.#phase === 'ended') this.#vanish();
    else if (this.#phase === 'controls' && this.isAlone) this.#close();
    else if (this.#phase === 'member') {
      if (this.#hub === 0) this.#vanish();
      else this.#send(this.#hub, { kind: 'leave' });
    }
    this.turn(now);
  }

  // What channels bring ------------------------------------------------------------------------

  /** The channel that was asked for is open. */
  opened(hub: number): void {
    this.#hub = hub;
    const wants = this.#wants;
    this.#send(hub, { kind: 'join', name: this.#name, wants, term: this.#term });
    if (this.#leaving) this.#send(hub, { kind: 'leave' });
  }

  /** A channel has ended, or (0) the one that was asked for cannot be had. */
  closed(id: number, now: Nanos): void {
    const member = this.#members.get(id);
    if (member !== undefined) {
      this.#members.delete(id);
      this.#waiting = this.#waiting.filter((name) => name !== member.name);
      this.turn(now);
      return;
    }
    if (id !== this.#hub || this.#phase !== 'member') return;
    this.#hub = 0;
    // It may have handed control on and closed before it could tell one who was on the way there.
    const former = this.#former;
    if (former !== '') {
      this.#former = '';
      this.#connect(former);
      return;
    }
    // Whoever had control has died with it, or the connection has been lost on its way.
    this.#end(WSAECONNABORTED);
  }

  received(id: number, message: ControlMessage, now: Nanos): void {
    if (message.kind === 'join') this.#joined(id, message);
    else if (message.kind === 'want') this.#wanted(id);
    else if (message.kind === 'leave') this.#left(id);
    else if (id === this.#hub && this.#phase === 'member') this.#told(message, now);
    this.turn(now);
  }

  // What the shell has done --------------------------------------------------------------------

  /** Everything that had begun has ended, and the peer is quiet. */
  yielded(now: Nanos): void {
    this.#isQuiet = true;
    this.turn(now);
  }

  /** The connection is the other process's, from now on. [DUP-05] */
  handedOver(to: number, state: Uint8Array): void {
    const next = this.#members.get(to);
    assert(this.#phase === 'yielding', 'control is handed on by whoever has it');
    if (next === undefined) {
      // It has died meanwhile, and nobody else can take what was left for it.
      this.failed(WSAECONNABORTED);
      return;
    }
    const waiting = this.#waiting.filter((name) => name !== next.name);
    const { name } = next;
    const term = ++this.#term;
    for (const { id } of this.#members.values()) {
      if (id === to) this.#send(id, { kind: 'grant', term, from: this.#name, waiting, state });
      else this.#send(id, { kind: 'moved', name, term });
    }
    this.#phase = 'member';
    this.#isQuiet = false;
    this.#members.clear();
    this.#wants = this.#waiting.includes(this.#name);
    this.#waiting = [];
    this.#offers = 0;
    this.#hub = to;
    this.#hubName = name;
    this.#former = '';
    if (this.#leaving) this.#send(to, { kind: 'leave' });
  }

  /** It cannot be handed over, and goes on here: whoever was to have it is told why. */
  refused(to: number, error: number, now: Nanos): void {
    const member = this.#members.get(to);
    this.#members.delete(to);
    this.#waiting = this.#waiting.filter((name) => name !== member?.name);
    if (member !== undefined) this.#send(to, { kind: 'ended', error });
    this.#isQuiet = true;
    this.turn(now);
  }

  /** The connection is here. */
  taken(now: Nanos): void {
    assert(this.#phase === 'taking', 'control is taken when it was granted');
    this.#phase = 'controls';
    this.#wants = false;
    this.#tenureEnds = now + TENURE_NANOS;
    this.#rejoinEnds = now + REJOIN_NANOS_MAX;
    this.#actions.push({ kind: 'begin' });
    if (this.#leaving && this.isAlone && this.#waiting.length === 0) this.#close();
    this.turn(now);
  }

  /** The connection has ended, or could not be moved: for everybody. [ERR-02] */
  failed(error: number): void {
    if (this.#phase !== 'ended' && this.#phase !== 'gone') this.#end(error);
  }

  /** Takes whatever step time or events have made due. */
  turn(now: Nanos): void {
    if (this.#phase === 'controls' && this.#mustYield && now >= this.#tenureEnds) {
      this.#phase = 'yielding';
      this.#isQuiet = false;
      this.#actions.push({ kind: 'yield' });
    }
    if (this.#phase === 'yielding' && this.#isQuiet) this.#choose(now);
  }

  // --------------------------------------------------------------------------------------------

  get #mustYield(): boolean {
    return this.#waiting.length > 0 || (this.#leaving && this.#members.size > 0);
  }

  /** DUP-03: the first who asked; one who is on its way here is waited for. */
  #choose(now: Nanos): void {
    for (let [first] = this.#waiting; first !== undefined; [first] = this.#waiting) {
      if (first === this.#name) break;
      const member = [...this.#members.values()].find(({ name }) => name === first);
      if (member !== undefined) {
        this.#handOver(member);
        return;
      }
      if (now < this.#rejoinEnds) return;
      this.#waiting.shift();
    }
    const [heir] = this.#members.values();
    if (this.#leaving && heir !== undefined) {
      this.#handOver(heir);
      return;
    }
    if (this.#waiting[0] === this.#name) this.#waiting.shift();
    this.#phase = 'controls';
    this.#isQuiet = false;
    this.#tenureEnds = now + TENURE_NANOS;
    this.#actions.push({ kind: 'resume' }, { kind: 'begin' });
    if (this.#leaving && this.isAlone) this.#close();
  }

  #handOver(member: Member): void {
    this.#isQuiet = false;
    this.#actions.push({ kind: 'hand-over', to: member.id });
  }

  #joined(id: number, { name, wants, term }: Extract<ControlMessage, { kind: 'join' }>): void {
    // One who knows of a later move than this process does knows that control is on its way here.
    if (this.#phase === 'member' && term <= this.#term) {
      this.#offers = Math.max(0, this.#offers - 1);
      this.#send(id, { kind: 'moved', name: this.#hubName, term: this.#term });
      return;
    }
    if (this.#phase === 'ended' || this.#phase === 'gone') {
      this.#send(id, { kind: 'ended', error: this.#error });
      return;
    }
    this.#offers = Math.max(0, this.#offers - 1);
    this.#members.set(id, { id, name });
    if (wants && !this.#waiting.includes(name)) this.#waiting.push(name);
  }

  #wanted(id: number): void {
    const member = this.#members.get(id);
    // It wanted it from whoever had it before: it asks again when it has joined.
    if (member === undefined || this.#waiting.includes(member.name)) return;
    this.#waiting.push(member.name);
  }

  #left(id: number): void {
    const member = this.#members.get(id);
    if (member === undefined) return;
    this.#members.delete(id);
    this.#waiting = this.#waiting.filter((name) => name !== member.name);
    this.#send(id, { kind: 'bye' });
    const isLast = this.#leaving && this.isAlone && this.#waiting.length === 0;
    if (isLast && this.#phase === 'controls') this.#close();
  }

  /** From whoever controls. */
  #told(message: ControlMessage, now: Nanos): void {
    switch (message.kind) {
      case 'grant':
        this.#members.set(this.#hub, { id: this.#hub, name: message.from });
        this.#hub = 0;
        this.#term = message.term;
        this.#waiting = [...new Set([...message.waiting, ...this.#waiting])].filter((name) => {
          return name !== this.#name;
        });
        this.#phase = 'taking';
        this.#rejoinEnds = now + REJOIN_NANOS_MAX;
        this.#actions.push({ kind: 'take', state: message.state });
        return;
      case 'moved':
        this.#actions.push({ kind: 'disconnect', from: this.#hub });
        this.#hub = 0;
        this.#former = this.#hubName;
        this.#term = message.term;
        this.#connect(message.name);
        return;
      case 'ended':
        this.#end(message.error);
        return;
      case 'bye':
        this.#vanish();
        return;
      default:
    }
  }

  #connect(name: string): void {
    this.#hubName = name;
    this.#actions.push({ kind: 'connect', name });
  }

  #send(to: number, message: ControlMessage): void {
    this.#actions.push({ kind: 'send', to, message });
  }

  #end(error: number): void {
    for (const { id } of this.#members.values()) this.#send(id, { kind: 'ended', error });
    this.#members.clear();
    this.#phase = 'ended';
    this.#error = error;
    this.#waiting = [];
    this.#actions.push({ kind: 'end', error });
    if (this.#leaving) this.#vanish();
  }

  #close(): void {
    this.#actions.push({ kind: 'close' });
    this.#vanish();
  }

  #vanish(): void {
    this.#phase = 'gone';
  }
}
