// What a case is, and what it is given: two started sides, a connection when it asks for one, seeded
// bytes. It must not know how cases are run or reported.

import type { Profile, ProviderCapabilities } from '../../provider/spi/index.js';
import * as spi from '../../provider/spi/index.js';
import type { Prng } from '../../runtime/prng.js';
import { expectCode } from './check.js';
import type { ConformancePair, ProviderFixture } from './fixture.js';
import type { Drive, Listening } from './side.js';
import { Side } from './side.js';

/** What a case needs of the provider, or needs it not to have. */
export type Requirement = (capabilities: ProviderCapabilities, profile: Profile) => string | null;

export interface ConformanceCase {
  /** The page of the design guide it belongs to. */
  readonly group: string;
  /** Unique in its group; a word for the command line. */
  readonly name: string;
  /** The behaviour, as a sentence. */
  readonly title: string;
  readonly clauses: readonly string[];
  /** Why it does not apply, or null if it does. Default: applies always. */
  readonly unless?: Requirement;
  run(context: CaseContext): void;
}

/** A connection between the sides: `a` is the connector's descriptor, `b` the acceptor's. */
export interface Connection {
  readonly a: number;
  readonly b: number;
  readonly listener: Listening;
  readonly port: number;
}

/** Where ports begin; every case takes new ones. */
const FIRST_PORT = 20_000;
const PORTS = 30_000;

/** Belongs to one case. */
export class CaseContext {
  readonly left: Side;
  readonly right: Side;
  readonly capabilities: ProviderCapabilities;
  readonly profile: Profile;
  readonly drive: Drive;
  #target: Side | null = null;

  constructor(
    private readonly pair: ConformancePair,
    fixture: ProviderFixture,
    readonly random: Prng,
    private readonly ports: PortSource,
  ) {
    this.capabilities = fixture.capabilities;
    this.profile = fixture.profile;
    this.drive = (done) => pair.drive(done);
    this.left = new Side(pair.a, this.drive);
    this.right = new Side(pair.b, this.drive);
  }

  /** The process that takes connections over from the left side, started when it is asked for. */
  get target(): Side {
    const host = this.pair.target;
    if (host === undefined) throw new Error('the fixture has no target for a duplication');
    return (this.#target ??= new Side(host, this.drive));
  }

  /** All that were started. */
  get sides(): readonly Side[] {
    return [this.left, this.right, ...(this.#target === null ? [] : [this.#target])];
  }

  /** A port that no earlier case of this pair has used. */
  port(): number {
    return this.ports.next();
  }

  /** Waits for a request on a listener and accepts it. */
  accepted(side: Side, listener: Listening): number {
    this.left.until(() => side.upcalls.isSignalled(listener.hEvent), 'FD_ACCEPT is signalled');
    const { value, code } = side.accept(listener.s);
    expectCode('WSPAccept', code, 0);
    return value;
  }

  /** A connection from left to right. */
  connected(): Connection {
    const port = this.port();
    const listener = this.right.listening(port);
    return { ...this.connectTo(listener, port), listener, port };
  }

  /** One more connection to a listener of the right side. */
  connectTo(listener: Listening, port: number): { readonly a: number; readonly b: number } {
    const a = this.left.bound(this.port());
    const hEvent = this.left.upcalls.createEvent();
    expectCode('WSPEventSelect', this.left.select(a, hEvent, spi.FD_CONNECT), 0);
    expectCode('WSPConnect', this.left.connect(a, this.right.address, port), spi.WSAEWOULDBLOCK, 0);
    const b = this.accepted(this.right, listener);
    expectCode('FD_CONNECT', this.left.connectOutcome(a, hEvent), 0);
    return { a, b };
  }

  /** The length of a message: what is wanted, or what the provider allows. [WSPSEND-10] */
  messageBytes(wanted: number): number {
    return Math.min(wanted, this.capabilities.maxMessageSize ?? wanted);
  }

  /** The length of an RDMA transfer: what is wanted, or what the provider allows. [RDMA-06] */
  rdmaBytes(wanted: number): number {
    return Math.min(wanted, this.capabilities.maxRdmaSize ?? wanted);
  }

  /** Host memory of a side with seeded content. */
  filled(side: Side, bytes: number): Uint8Array {
    const memory = side.allocate(bytes);
    this.random.fill(memory);
    return memory;
  }
}

/** Ports, one after the other, for all cases of a pair. */
export class PortSource {
  #count = 0;

  next(): number {
    return FIRST_PORT + (this.#count++ % PORTS);
  }
}

/** The cases of one group. */
export function casesOf(
  group: string,
  cases: readonly Omit<ConformanceCase, 'group'>[],
): ConformanceCase[] {
  return cases.map((one) => ({ ...one, group }));
}
