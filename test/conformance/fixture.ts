// What a provider author gives the kit: how to make two hosts with the provider on them, and what the
// provider says about itself. The kit knows nothing else of the provider; whoever writes a fixture
// knows nothing of the cases. Sources: INIT-02, EXT-02, OPT-06, wsd-spec section 0 (profiles).

import type {
  HostMemory,
  Profile,
  ProviderCapabilities,
  ServiceProvider,
} from '../../provider/spi/index.js';

/** One of the two hosts. Belongs to the thread that made it, until the pair is stopped. */
export interface ConformanceHost {
  /** Not started: the kit calls WSPStartupEx and WSPCleanup itself, in turns. */
  readonly provider: ServiceProvider;
  /** The IPv4 address of the one NIC that the provider drives here. */
  readonly address: string;
  /** What names this host's process in WSPDuplicateSocket. [DUP-11] */
  readonly processId: number;
  readonly memory: HostMemory;
  /** The last calls and upcalls, oldest first, one sentence each; empty without a trace. */
  readonly history: () => readonly string[];
  /** Told when a case begins: what it shows of the history is then its own. */
  readonly forgetHistory?: () => void;
  /** What a verifier around the provider found since the last call, one sentence each. */
  readonly violations: () => readonly string[];
  /** What is in use below the provider, by name; all zero after its last WSPCleanup. */
  readonly usage: () => Readonly<Record<string, number>>;
}

/** Hosts of one SAN subnet. */
export interface ConformancePair {
  readonly a: ConformanceHost;
  readonly b: ConformanceHost;
  /** Another process than `a`, which takes connections over from it. Needed with `duplicate` only. */
  readonly target?: ConformanceHost;
  /**
   * Gives both hosts turns until `done()` holds or the fixture's patience is over; may sleep in
   * between. Returns what `done()` said last. Must come back also when nothing ever happens.
   */
  drive(done: () => boolean): boolean;
  /** Gives everything back. Called once, also after a failure. */
  stop(): Promise<void>;
}

/** Makes pairs, and declares what the kit may expect of them. */
export interface ProviderFixture {
  /** For people: the name in reports. */
  readonly name: string;
  /** Must agree with the `capabilities` of every provider that makePair makes. */
  readonly capabilities: ProviderCapabilities;
  /** Which of the documented differences holds; most providers: PROFILES.documented. */
  readonly profile: Profile;
  /** Cases, by `group/name`, that are known to fail, each with the reason. A pass is an error. */
  readonly expectedFailures: Readonly<Record<string, string>>;
  /** Two fresh hosts; several pairs may exist one after the other, never two at once. */
  makePair(): Promise<ConformancePair>;
}
