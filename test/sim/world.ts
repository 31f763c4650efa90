// The applications of a simulated world: carry out one step of a plan after the other, and bring everything
// to its end. It must not know where the steps come from.

import * as spi from '../../provider/spi/index.js';
import { microseconds, milliseconds, seconds } from '../../runtime/clock.js';
import { unreachable } from '../../runtime/assert.js';
import type { Session } from '../../switch/session/session.js';
import { Acceptor } from './acceptor.js';
import { PORT, SimConnection } from './connection.js';
import type { SimEnd } from './end.js';
import { Finding, keepUrgentInline } from './end.js';
import type { SimHost } from './host.js';
import type { SimLoop } from './loop.js';
import type { AcceptingWay, ReadingWay, Step, StepOf, WorldPlan } from './plan.js';
import { ask, Reader } from './reader.js';
import type { Watch } from './watch.js';

/** A wait between steps lets no more pass than this, so that time-outs are somebody's choice. */
const SHORT = milliseconds(1);
/** Once the faults have stopped everything ends within this: the sum of all limits, and some. */
const END_MAX = seconds(600);
/** Nothing of a session is under way for longer, unless somebody is being waited for. */
const SETTLING = milliseconds(100);
/** What no connection that is up suffers from. */
const HARMLESS: ReadonlySet<Step['kind']> = new Set(['delay', 'heal', 'remove-provider']);
const TURNS_PER_LOOK = 4;
const TURNS_MAX = 400_000;

export class SimWorld {
  readonly #hosts: readonly SimHost[];
  readonly #loop: SimLoop;
  readonly #watch: Watch;
  readonly #seed: number;
  readonly #reads: ReadingWay;
  readonly #readers = new Map<SimEnd, Reader>();
  readonly #failsAtEnd: boolean;
  readonly #accepts: AcceptingWay;
  readonly #greeted = new Set<SimConnection>();
  /** A reader has done something in this turn. */
  #hasRead = false;
  readonly #acceptors = new Map<SimHost, Acceptor>();
  readonly #connections: SimConnection[] = [];

  constructor(hosts: readonly SimHost[], loop: SimLoop, watch: Watch, plan: WorldPlan) {
    this.#hosts = hosts;
    this.#loop = loop;
    this.#watch = watch;
    this.#seed = plan.seed;
    this.#reads = plan.reads;
    this.#accepts = plan.accepts;
    this.#failsAtEnd = plan.once === 'WSPCleanup';
    for (const host of hosts) {
      host.as(() => {
        this.#acceptors.set(host, new Acceptor(host, listen(host), plan.accepts));
      });
    }
  }

  carryOut(step: Step): void {
    switch (step.kind) {
      case 'connect':
        return this.#connect(step, null);
      case 'connect-ex':
        return this.#connect(step, step.first);
      case 'turns':
        return this.#turns(step.count);
      case 'pass':
        return this.#pass(microseconds(step.micros));
      case 'still':
      case 'lose-link':
      case 'reset-nic':
      case 'take-nic-out':
      case 'die':
      case 'no-memory':
      case 'fail':
      case 'delay':
      case 'heal':
      case 'remove-provider':
        return this.#fault(step);
      default: {
        const connection = this.#connections[step.conn % Math.max(1, this.#connections.length)];
        const end = connection?.end(step.side);
        if (connection === undefined || end === undefined || end === null) return;
        end.host.as(() => {
          transfer(connection, end, step);
        });
      }
    }
  }

  /** Faults stop, streams end, sockets close, switches stop; nothing may be left. Throws Finding. */
  end(): void {
    for (const host of this.#hosts) heal(host);
    // Each is asked: it may have to say something first.
    const coming = (): SimConnection[] => this.#connections.filter((one) => this.#isComing(one));
    this.#until('connections', () => coming().length === 0);
    this.#checkCredits();
    this.#until('ends of streams', () => this.#readAll());
    for (const end of this.#everyEnd())
      end.host.as(() => {
        this.#readers.get(end)?.stop();
        end.close(false);
      });
    for (const connection of this.#connections) connection.giveUp();
    this.#until('operations', () => !this.#everyEnd().some(({ pending }) => pending.size > 0));
    for (const connection of this.#connections) connection.check();
    for (const end of this.#everyEnd())
      end.host.as(() => {
        end.release();
      });
    this.#stop();
  }

  #stop(): void {
    this.#acceptors.clear();
    const living = this.#hosts.filter(({ isDead }) => !isDead);
    for (const [index, host] of living.entries()) {
      if (index === 0 && this.#failsAtEnd) host.failOnce('WSPCleanup', spi.WSAENETDOWN);
      host.as(() => {
        host.closePort();
        while (host.winsock.WSACleanup() === 0);
      });
    }
    this.#until('what is left to go', () => living.every((host) => host.leftovers().length === 0));
  }

  #everyEnd(): SimEnd[] {
    return this.#connections
      .flatMap(({ ends }) => [ends.a, ends.b])
      .filter((end) => end !== null)
      .filter(({ host }) => !host.isDead);
  }

  #isComing(connection: SimConnection): boolean {
    if (connection.from.isDead) return false;
    if (connection.isConnecting) return connection.ends.b === null;
    // A client that is connected has its other end in the backlog, unless something broke.
    const { a, b } = connection.ends;
    if (a === null || b !== null) return false;
    // Who accepts may wait for the first data.
    if (this.#accepts === 'AcceptEx-with-data' && !this.#greeted.has(connection)) {
      this.#greeted.add(connection);
      a.host.as(() => a.sendNow(1));
    }
    return !connection.isWounded && !connection.to.isDead;
  }

  /** Ends streams, and keeps receives posted until every stream has ended. Whether all have. */
  #readAll(): boolean {
    let open = 0;
    for (const connection of this.#connections) {
      const { a, b } = connection.ends;
      // An end that nobody has accepted waits for nothing; ConnectEx may wait for whoever reads.
      const isConnecting = connection.isConnecting && !connection.from.isDead;
      if (b === null || (a === null && !isConnecting)) continue;
      if (isConnecting) open++;
      for (const end of a === null ? [b] : [a, b]) {
        if (end.host.isDead || end.isClosed || end.isDisconnected) continue;
        end.host.as(() => {
          end.shutdown();
        });
        if (end.hasEnded || end.error !== 0) continue;
        open++;
        end.host.as(() => {
          if (this.#readerOf(end).step()) this.#hasRead = true;
        });
      }
    }
    return open === 0;
  }

  #readerOf(end: SimEnd): Reader {
    let reader = this.#readers.get(end);
    if (reader === undefined) this.#readers.set(end, (reader = new Reader(end, this.#reads)));
    return reader;
  }

  // Steps ------------------------------------------------------------------------------------------

  #connect(step: Omit<StepOf<'connect'>, 'kind'>, first: number | null): void {
    const { from, to, port } = step;
    const [client, server] = [this.#host(from), this.#host(to)];
    if (client.isStill || server.isDead || client === server) return;
    const index = this.#connections.length;
    const parts = { index, from: client, to: server, hasPort: port, first };
    const connection = client.as(
      () => new SimConnection({ ...parts, watch: this.#watch, seed: this.#seed }),
    );
    connection.isWounded = client.isAiling || server.isAiling;
    this.#connections.push(connection);
  }

  #fault(step: Extract<Step, { host: number }>): void {
    const host = this.#host(step.host);
    if (host.isDead) return;
    if (!HARMLESS.has(step.kind)) this.#wound(host);
    switch (step.kind) {
      case 'still':
        host.group.stillUntil = this.#loop.clock.now() + microseconds(step.micros);
        return;
      case 'lose-link':
        return host.as(() => {
          host.loseLink(step.slot);
        });
      case 'reset-nic':
        return host.as(() => {
          host.loseLink(null);
        });
      case 'take-nic-out':
        return host.as(() => {
          host.takeNicOut();
        });
      case 'remove-provider':
        return host.as(() => {
          host.removeProvider();
        });
      case 'die':
        return host.die();
      case 'no-memory':
        host.isOutOfMemory = step.on;
        return;
      case 'fail':
        host.rules.push({ call: step.call, chance: [1, step.of], kind: 'fail', error: step.error });
        return;
      case 'delay':
        for (const call of ['WPUCompleteOverlappedRequest', 'WPUSetEvent']) {
          host.rules.push({ call, chance: [1, step.of], kind: 'delay', turns: step.turns });
        }
        return;
      case 'heal':
        heal(host);
        return;
      default:
        unreachable(step, 'fault');
    }
  }

  #wound(host: SimHost): void {
    host.isAiling = true;
    for (const connection of this.#connections) {
      if (connection.from === host || connection.to === host) connection.isWounded = true;
    }
  }

  #host(number: number): SimHost {
    const host = this.#hosts[number % this.#hosts.length];
    if (host === undefined) throw new Error('a world has hosts');
    return host;
  }

  // Time -------------------------------------------------------------------------------------------

  #turns(count: number): void {
    for (let turn = 0; turn < count; turn++) {
      if (this.#loop.poll() === 0 && this.#loop.pollAll() === 0) {
        this.#loop.advance(this.#loop.clock.now() + SHORT, true);
      }
      if (turn % TURNS_PER_LOOK === 0) this.#look();
    }
  }

  #pass(nanos: number): void {
    const end = this.#loop.clock.now() + nanos;
    for (let turn = 0; this.#loop.clock.now() < end; turn++) {
      if (turn > TURNS_MAX) throw new Finding('no time passes');
      if (this.#loop.poll() === 0 && this.#loop.pollAll() + this.#look() === 0) {
        this.#loop.advance(end, true);
      }
    }
  }

  /** Runs until something holds, within END_MAX of virtual time. `holds` may do what an application does. */
  #until(what: string, holds: () => boolean): void {
    const deadline = this.#loop.clock.now() + END_MAX;
    for (let turn = 0; ; turn++) {
      if (turn > TURNS_MAX) throw new Finding(`no end of turns for ${what}`);
      this.#hasRead = false;
      const work = this.#loop.poll();
      if (work > 0 && turn % TURNS_PER_LOOK !== 0) continue;
      this.#look();
      if (holds()) return;
      if (work + this.#loop.pollAll() + this.#look() > 0) continue;
      if (holds()) return;
      if (this.#hasRead) continue;
      if (this.#loop.clock.now() >= deadline) throw new Finding(`time is up for ${what}`);
      if (this.#loop.advance(deadline) || holds() || this.#hasRead) continue;
      throw new Finding(`nothing moves for ${what}`);
    }
  }

  /** What applications do all the time: accept, take completions, see what is over. */
  #look(): number {
    let count = 0;
    for (const host of this.#hosts) {
      if (host.isStill) continue;
      count += host.as(() => this.#accept(host) + this.#takeCompletions(host));
    }
    for (const connection of this.#connections) {
      connection.from.as(() => {
        connection.look();
      });
      for (const side of ['a', 'b'] as const) count += connection.end(side)?.look() ?? 0;
    }
    return count;
  }

  #accept(host: SimHost): number {
    const accepted = this.#acceptors.get(host)?.take() ?? null;
    if (accepted === null) return 0;
    const { socket, port, first } = accepted;
    const connection = this.#connections.find(({ clientPort }) => clientPort === port);
    if (connection?.to !== host) throw new Finding(`accepted somebody from port ${port}`);
    this.#watch.note('accepted', connection.index);
    connection.accepted(socket, first);
    return 1;
  }

  #takeCompletions(host: SimHost): number {
    return host.takeCompletions((key, overlapped) => {
      const connection = this.#connections[key >>> 1];
      const end = connection?.ends[(key & 1) === 0 ? 'a' : 'b'];
      if (end === undefined || end === null) throw new Finding(`a completion with key ${key}`);
      end.reported(overlapped);
    });
  }

  /** Where nothing broke and nothing moves: each side may send what the other has posted for. */
  #checkCredits(): void {
    if (this.#hosts.some(({ isDead, isAiling }) => isDead || isAiling)) return;
    this.#pass(SETTLING);
    for (const { ends, index } of this.#connections) {
      const sessions = [ends.a, ends.b].map(sessionOf);
      const [a, b] = sessions;
      if (!a || !b || a.isOver || b.isOver) continue;
      for (const [from, to] of [
        [a, b],
        [b, a],
      ] as const) {
        const { now, unsaid } = to.receivesPosted;
        if (from.creditsAvailable + unsaid === now) continue;
        throw new Finding(
          `connection ${index}: ${from.creditsAvailable} credits and ${unsaid} unsaid for ${now} receives`,
        );
      }
    }
  }
}

/** The session below an end; null for one over TCP/IP, and for a closed one. */
function sessionOf(end: SimEnd | null): Session | null {
  if (end === null || end.host.isDead) return null;
  return end.host.theSwitch.core.sockets.find(end.socket)?.connection?.session ?? null;
}

function listen(host: SimHost): number {
  const { winsock } = host;
  const s = winsock.socket(spi.AF_INET, spi.SOCK_STREAM, 0);
  keepUrgentInline(host, s);
  const name = spi.sockaddrIn('0.0.0.0', PORT);
  const ok = winsock.bind(s, name, name.length) === 0 && winsock.listen(s, 20) === 0;
  if (!ok) throw new Finding(`no listener: ${winsock.WSAGetLastError()}`);
  winsock.ioctlsocket(s, spi.FIONBIO, spi.ref(1));
  return s;
}

function heal(host: SimHost): void {
  host.rules.length = 0;
  host.isOutOfMemory = false;
  host.group.stillUntil = 0;
}

function transfer(
  connection: SimConnection,
  end: SimEnd,
  step: Extract<Step, { conn: number }>,
): void {
  switch (step.kind) {
    case 'send':
      end.send(step.parts, step.memory === 'segment', step.urgent ? spi.MSG_OOB : 0);
      return;
    case 'transmit':
      end.transmit(step.parts, step.memory === 'segment');
      return;
    case 'disconnect':
      connection.isWounded = true;
      connection.wasCutShort = true;
      end.disconnect(step.reuse);
      return;
    case 'send-now':
      end.sendNow(step.length);
      return;
    case 'receive':
      end.receive(step.parts, step.memory === 'segment', step.all);
      return;
    case 'receive-now':
      end.receiveNow(step.length, step.peek);
      return;
    case 'burst':
      for (let count = step.count; count > 0 && end.sendNow(step.length); count--);
      return;
    case 'drain':
      while (end.receiveNow(step.length, false));
      return;
    case 'send-wait':
      if (!end.sendWaiting(step.length, step.millis)) connection.isWounded = true;
      return;
    case 'receive-wait':
      if (!end.receiveWaiting(step.length, step.millis)) connection.isWounded = true;
      return;
    case 'ask':
      if (!end.isClosed) ask(end);
      return;
    case 'deafen':
      connection.isWounded = true;
      connection.wasCutShort = true;
      end.deafen();
      return;
    case 'cancel':
      connection.isWounded = true;
      connection.wasCutShort = true;
      end.cancel(step.what === 'send');
      return;
    case 'shutdown':
      end.shutdown();
      return;
    case 'close':
      connection.isWounded = true;
      connection.wasCutShort = true;
      end.close(step.hard);
      return;
    default:
      unreachable(step, 'step');
  }
}
